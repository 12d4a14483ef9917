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
