/* See the header. The states that each change may start from are one table; functions only add what belongs to theirs. */
#include "approval/approval.h"

#include "base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define BIT(state) (1u << (state))

static const char *const names[APPROVAL_STATES] = { "pending", "approved", "running", "completed", "failed", "unknown", "denied",
    "expired", "cancelled" };

const char *approval_state_name(enum approval_state state)
{
    return names[state];
}

bool approval_state_parse(const char *name, enum approval_state *ret_state)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(names[i], name)) {
            *ret_state = (enum approval_state) i;
            return true;
        }
    return false;
}

static bool is_one_of(const struct approval *approval, unsigned states)
{
    return (BIT(approval->state) & states) != 0;
}

#define LIVE  (BIT(APPROVAL_PENDING) | BIT(APPROVAL_APPROVED) | BIT(APPROVAL_RUNNING))
#define ENDED (BIT(APPROVAL_COMPLETED) | BIT(APPROVAL_FAILED) | BIT(APPROVAL_UNKNOWN))

bool approval_is_over(const struct approval *approval)
{
    return !is_one_of(approval, LIVE);
}

bool approval_holds(const struct approval *approval)
{
    return !approval->repeatable && (is_one_of(approval, LIVE) || !approval->collected_unix_ms);
}

/* ---- hashes ---- */

static int hash_json(json_t *json, char out[SHA256_TAGGED_MAX])
{
    CLEANUP_JSON json_t *taken = json;
    CLEANUP(buf_free) struct buf text = BUF_INIT(SIZE_MAX / 4);
    uint8_t hash[SHA256_BYTES];

    if (!taken || json_write_canonical(taken, &text) < 0 || sha256(text.data, text.len, hash) < 0)
        return -ENOMEM;
    sha256_tag(hash, out);
    return 0;
}

int approval_seal_make(const struct approval_seal *what, char out[SHA256_TAGGED_MAX])
{
    json_t *preview = what->preview ? json_incref((json_t *) what->preview) : json_string("unavailable");

    return hash_json(
        json_pack("{s:s, s:s, s:O, s:s, s:s, s:o}", "action", what->action, "action_hash", what->action_hash, "arguments",
            what->arguments, "connector_hash", what->connector_hash, "binding", what->binding, "preview", preview),
        out);
}

int approval_same_make(const char *session_id, const char *action, const json_t *arguments, char out[SHA256_TAGGED_MAX])
{
    return hash_json(json_pack("[s, s, O]", session_id, action, arguments), out);
}

/* ---- changes ---- */

static void reason_set(struct approval *approval, const char *reason)
{
    size_t len = reason ? strnlen(reason, APPROVAL_REASON_MAX - 1) : 0;

    /* Cut between characters. */
    while (len > 0 && reason[len] && ((unsigned char) reason[len] & 0xC0) == 0x80)
        len--;
    memcpy(approval->reason, reason ? reason : "", len);
    approval->reason[len] = '\0';
}

int approval_decide(struct approval *approval, bool approved, const char *seal, const char *reason, int64_t now)
{
    if (approval->state != APPROVAL_PENDING)
        return APPROVAL_WRONG_STATE;
    if (seal && strcmp(seal, approval->seal) != 0)
        return APPROVAL_OTHER_SEAL;
    approval->state = approved ? APPROVAL_APPROVED : APPROVAL_DENIED;
    approval->decided_unix_ms = now;
    if (!approved)
        approval->finished_unix_ms = now;
    reason_set(approval, reason);
    return 0;
}

int approval_start(struct approval *approval, int64_t now)
{
    if (approval->state != APPROVAL_APPROVED)
        return APPROVAL_WRONG_STATE;
    approval->state = APPROVAL_RUNNING;
    return 0;
}

static void json_replace(json_t **at, json_t *value)
{
    json_decref(*at);
    *at = value;
}

/* ---- what is kept as text ---- */

static int text_make(const json_t *json, char **ret_text)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SIZE_MAX / 4);

    if (!json) {
        *ret_text = NULL;
        return 0;
    }
    if (json_write(json, &text) < 0 || !(*ret_text = buf_take(&text)))
        return -ENOMEM;
    return 0;
}

static json_t *text_read(const char *text)
{
    return text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
}

static void binding_note(struct approval *approval, const json_t *card)
{
    const char *binding = json_get_str(card, "binding");
    bool is_one = binding && !strchr(binding, ',') && strlen(binding) < sizeof approval->binding;

    snprintf(approval->binding, sizeof approval->binding, "%s", is_one ? binding : "");
}

int approval_set(struct approval *approval, const json_t *asked, const json_t *card)
{
    CLEANUP_FREE char *asked_text = NULL;
    const char *action = json_get_str(asked, "action");
    char *card_text = NULL;

    if (text_make(asked, &asked_text) < 0 || text_make(card, &card_text) < 0)
        return -ENOMEM;
    free(approval->asked);
    free(approval->card);
    approval->asked = TAKE_PTR(asked_text);
    approval->card = card_text;
    binding_note(approval, card);
    snprintf(approval->action, sizeof approval->action, "%s", action ? action : "");
    return 0;
}

json_t *approval_asked(const struct approval *approval)
{
    return text_read(approval->asked);
}

json_t *approval_card(const struct approval *approval)
{
    return text_read(approval->card);
}

int approval_undecide(struct approval *approval)
{
    if (!is_one_of(approval, BIT(APPROVAL_APPROVED) | BIT(APPROVAL_DENIED)) || approval->collected_unix_ms)
        return APPROVAL_WRONG_STATE;
    approval->state = APPROVAL_PENDING;
    approval->decided_unix_ms = approval->finished_unix_ms = 0;
    approval->reason[0] = '\0';
    json_replace(&approval->result, NULL);
    return 0;
}

int approval_ask_again(
    struct approval *approval, const char *seal, json_t *card, json_t *difference, int64_t expires, int64_t now)
{
    CLEANUP_JSON json_t *card_taken = card;
    CLEANUP_JSON json_t *difference_taken = difference;
    char *text = NULL;

    if (approval->state != APPROVAL_APPROVED)
        return APPROVAL_WRONG_STATE;
    if (text_make(card, &text) < 0)
        return -ENOMEM;
    approval->state = APPROVAL_PENDING;
    approval->decided_unix_ms = 0;
    approval->expires_unix_ms = expires;
    approval->reason[0] = '\0';
    memcpy(approval->seal, seal, strnlen(seal, sizeof approval->seal - 1) + 1);
    free(approval->card);
    approval->card = text;
    binding_note(approval, card);
    json_replace(&approval->difference, TAKE_PTR(difference_taken));
    return 0;
}

int approval_finish(struct approval *approval, enum approval_state end, json_t *result, int64_t now)
{
    if (approval->state != APPROVAL_RUNNING || !(BIT(end) & ENDED)) {
        json_decref(result);
        return APPROVAL_WRONG_STATE;
    }
    approval->state = end;
    approval->finished_unix_ms = now;
    json_replace(&approval->result, result);
    return 0;
}

int approval_collect(struct approval *approval, int64_t now)
{
    if (!approval_is_over(approval))
        return APPROVAL_WRONG_STATE;
    if (!approval->collected_unix_ms)
        approval->collected_unix_ms = now;
    return 0;
}

/* Ends that nobody decided. */
static int end_undecided(struct approval *approval, enum approval_state end, int64_t now)
{
    if (approval->state != APPROVAL_PENDING)
        return APPROVAL_WRONG_STATE;
    approval->state = end;
    approval->finished_unix_ms = now;
    return 0;
}

int approval_expire(struct approval *approval, int64_t now)
{
    return now < approval->expires_unix_ms ? APPROVAL_WRONG_STATE : end_undecided(approval, APPROVAL_EXPIRED, now);
}

int approval_cancel(struct approval *approval, const char *reason, int64_t now)
{
    int r = end_undecided(approval, APPROVAL_CANCELLED, now);

    if (r == 0)
        reason_set(approval, reason);
    return r;
}

int approval_resolve(struct approval *approval, int64_t now)
{
    if (approval->state != APPROVAL_UNKNOWN || approval->resolved_unix_ms)
        return APPROVAL_WRONG_STATE;
    approval->resolved_unix_ms = now;
    return 0;
}

bool approval_recover(struct approval *approval, int64_t now)
{
    if (approval->state == APPROVAL_APPROVED) {
        approval->state = APPROVAL_PENDING;
        approval->decided_unix_ms = 0;
        approval->reason[0] = '\0';
        return true;
    }
    if (approval->state == APPROVAL_RUNNING) {
        approval->state = APPROVAL_UNKNOWN;
        approval->finished_unix_ms = now;
        return true;
    }
    return false;
}

bool approval_forget(struct approval *approval, int64_t after_ms, int64_t now)
{
    if (!approval->collected_unix_ms || now - approval->collected_unix_ms < after_ms ||
        (!approval->asked && !approval->card && !approval->result))
        return false;
    free(TAKE_PTR(approval->asked));
    free(TAKE_PTR(approval->card));
    approval->action[0] = approval->binding[0] = '\0';
    json_replace(&approval->result, NULL);
    json_replace(&approval->difference, NULL);
    return true;
}

/* ---- JSON ---- */

static const struct {
    const char *name;
    size_t at;
} times[] = {
    { "requested", offsetof(struct approval, requested_unix_ms) },
    { "expires", offsetof(struct approval, expires_unix_ms) },
    { "decided", offsetof(struct approval, decided_unix_ms) },
    { "finished", offsetof(struct approval, finished_unix_ms) },
    { "collected", offsetof(struct approval, collected_unix_ms) },
    { "resolved", offsetof(struct approval, resolved_unix_ms) },
    { "before_at", offsetof(struct approval, before_unix_ms) },
};

static const struct {
    const char *name;
    size_t at, size;
} texts[] = {
    { "id", offsetof(struct approval, id), sizeof((struct approval *) 0)->id },
    { "session", offsetof(struct approval, session_id), sizeof((struct approval *) 0)->session_id },
    { "seal", offsetof(struct approval, seal), sizeof((struct approval *) 0)->seal },
    { "same", offsetof(struct approval, same), sizeof((struct approval *) 0)->same },
    { "key", offsetof(struct approval, key), sizeof((struct approval *) 0)->key },
    { "reason", offsetof(struct approval, reason), sizeof((struct approval *) 0)->reason },
    { "before", offsetof(struct approval, before), sizeof((struct approval *) 0)->before },
};

static const struct {
    const char *name;
    size_t at;
} values[] = {
    { "result", offsetof(struct approval, result) },
    { "difference", offsetof(struct approval, difference) },
};

static const struct {
    const char *name;
    size_t at;
} flags[] = {
    { "repeatable", offsetof(struct approval, repeatable) },
    { "unattended", offsetof(struct approval, unattended) },
    { "confined", offsetof(struct approval, confined) },
    { "client_gone", offsetof(struct approval, client_gone) },
};

/* All but what is text already. */
static json_t *head_make(const struct approval *approval)
{
    CLEANUP_JSON json_t *json = json_pack("{s:s}", "state", names[approval->state]);
    const char *base = (const char *) approval;
    int r = json ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < ARRAY_LEN(texts); i++)
        if (base[texts[i].at])
            r = json_object_set_new(json, texts[i].name, json_string(base + texts[i].at));
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(times); i++) {
        int64_t value = 0;

        memcpy(&value, base + times[i].at, sizeof value);
        if (value)
            r = json_object_set_new(json, times[i].name, json_integer(value));
    }
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(values); i++) {
        json_t *value = NULL;

        memcpy(&value, base + values[i].at, sizeof value);
        if (value)
            r = json_object_set(json, values[i].name, value);
    }
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(flags); i++)
        if (*(const bool *) (base + flags[i].at))
            r = json_object_set_new(json, flags[i].name, json_true());
    return r < 0 ? NULL : TAKE_PTR(json);
}

static int text_add(struct buf *out, const char *name, const char *text)
{
    return text ? buf_printf(out, ",\"%s\":", name) < 0 ? -ENOMEM : buf_add_str(out, text) : 0;
}

int approval_write(const struct approval *approval, struct buf *out)
{
    CLEANUP_JSON json_t *head = head_make(approval);
    int r = head ? json_write(head, out) : -ENOMEM;

    if (r < 0)
        return r;
    out->len--; /* the brace comes again */
    r = text_add(out, "asked", approval->asked);
    if (r == 0)
        r = text_add(out, "card", approval->card);
    return r < 0 ? r : buf_add_char(out, '}');
}

json_t *approval_to_json(const struct approval *approval)
{
    CLEANUP_JSON json_t *json = head_make(approval);
    CLEANUP_JSON json_t *asked = approval_asked(approval);
    CLEANUP_JSON json_t *card = approval_card(approval);
    int r = json ? 0 : -ENOMEM;

    if (r == 0 && approval->asked)
        r = json_object_set(json, "asked", asked);
    if (r == 0 && approval->card)
        r = json_object_set(json, "card", card);
    return r < 0 ? NULL : TAKE_PTR(json);
}

static int texts_read(const json_t *json, char *base, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const json_t *value = json_object_get(json, texts[i].name);
        size_t len = json_string_length(value);

        if (value && (!json_is_string(value) || len >= texts[i].size))
            return err_set(err, EINVAL, "\"%s\" is no text, or too long", texts[i].name);
        if (value)
            memcpy(base + texts[i].at, json_string_value(value), len + 1);
    }
    return 0;
}

static int times_read(const json_t *json, char *base, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        const json_t *value = json_object_get(json, times[i].name);
        int64_t time = json_integer_value(value);

        if (value && (!json_is_integer(value) || time < 0))
            return err_set(err, EINVAL, "\"%s\" is no time", times[i].name);
        memcpy(base + times[i].at, &time, sizeof time);
    }
    return 0;
}

int approval_from_json(const json_t *json, struct approval **ret_approval, struct err *err)
{
    CLEANUP_PTR(approval_free) struct approval *approval = calloc(1, sizeof *approval);
    const char *state = json_get_str(json, "state");
    int r = 0;

    if (!approval)
        return err_set(err, ENOMEM, "out of memory");
    if (!state || !approval_state_parse(state, &approval->state))
        return err_set(err, EINVAL, "\"state\" is none that there is");
    r = texts_read(json, (char *) approval, err);
    if (r == 0)
        r = times_read(json, (char *) approval, err);
    if (r < 0)
        return r;
    if (!ulid_is_valid("apr_", approval->id))
        return err_set(err, EINVAL, "\"id\" is no id of an approval");
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        json_t *value = json_incref(json_object_get(json, values[i].name));

        memcpy((char *) approval + values[i].at, &value, sizeof value);
    }
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        *(bool *) ((char *) approval + flags[i].at) = json_is_true(json_object_get(json, flags[i].name));
    if (approval_set(approval, json_object_get(json, "asked"), json_object_get(json, "card")) < 0)
        return err_set(err, ENOMEM, "out of memory");
    *ret_approval = TAKE_PTR(approval);
    return 0;
}

size_t approval_memory(const struct approval *approval)
{
    size_t bytes =
        sizeof *approval + strlen(approval->asked ? approval->asked : "") + strlen(approval->card ? approval->card : "");

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        json_t *value = NULL;

        memcpy(&value, (const char *) approval + values[i].at, sizeof value);
        bytes += json_memory(value);
    }
    return bytes;
}

void approval_free(struct approval *approval)
{
    if (!approval)
        return;
    free(approval->asked);
    free(approval->card);
    json_decref(approval->result);
    json_decref(approval->difference);
    free(approval);
}
