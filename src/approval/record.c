/* An approval as a line of the journal, and back: what of it is kept under which name is four tables. */
#include "approval/approval.h"

#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

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
    CLEANUP_JSON json_t *json = json_pack("{s:s}", "state", approval_state_name(approval->state));
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
