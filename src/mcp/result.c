/*
 * Tool results. A failure says plainly what happened, whether anything was done,
 * its class and the receipt's id, because models see neither isError nor the API's status.
 */
#include "mcp/result.h"

#include "base/json.h"

#include <limits.h>
#include <string.h>

#include "base/banned.h"

static json_t *with_text(const char *text, json_t *structured_stolen, bool is_error)
{
    CLEANUP_JSON json_t *structured = structured_stolen;

    return json_pack(
        "{s:[{s:s,s:s}],s:O,s:b}", "content", "type", "text", "text", text, "structuredContent", structured, "isError", is_error);
}

/* The text, after what is special about an end by a person, by nobody, or by nobody knows what. */
static void add_advice(struct buf *text, const char *class, const char *message, const json_t *details)
{
    const char *reason = json_get_str(details, "reason");

    if (json_get_str(details, "outcome"))
        buf_add_str(text, "\nIt is unknown whether this was carried out. Do not repeat it; tell the person to check.");
    else if (json_is_true(json_object_get(details, "nothing_done")) && !strstr(message, "nothing was done"))
        buf_add_str(text, "\nNothing was done.");
    if (!strcmp(class, "approval_denied")) {
        if (reason)
            buf_printf(text, "\nThe reason that was given: %s", reason);
        buf_add_str(text, "\nDo not try it again unless the person asks for it.");
    } else if (!strcmp(class, "stopping")) {
        buf_add_str(text, "\nIf it was waiting for a person's approval, that approval stands: the same call with the same "
                          "arguments finds it again.");
    } else if (!strcmp(class, "forgotten")) {
        buf_add_str(text, "\nIt is not done again. Do not repeat the call to see the result; the person can look it up.");
    }
}

static json_t *failure_result(const char *name, const json_t *body)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);
    const json_t *error = json_object_get(body, "error");
    const json_t *details = json_object_get(error, "details");
    const char *class = json_get_str(error, "class");
    const char *message = json_get_str(error, "message");
    const char *audit_id = json_get_str(error, "audit_id");

    class = class ? class : json_get_str(error, "code");
    class = class ? class : "internal_error";
    message = message ? message : "no reason was given";
    buf_printf(&text, "%s %s: %s", name, !strcmp(class, "approval_denied") ? "was denied" : "failed", message);
    add_advice(&text, class, message, details);
    buf_printf(&text, "\nclass: %s", class);
    if (audit_id && *audit_id)
        buf_printf(&text, " · audit id: %s", audit_id);

    /* The words go into the structured form too, beside the failure's own fields. */
    CLEANUP_JSON json_t *structured = json_deep_copy(body);
    if (!structured || json_object_set_new(structured, "summary", json_string(buf_str(&text))) < 0)
        return NULL;
    return with_text(buf_str(&text), TAKE_PTR(structured), true);
}

json_t *result_of_bad_status_input(void)
{
    CLEANUP_JSON json_t *body = json_pack("{s:{s:s,s:s,s:b,s:s,s:s,s:{}}}", "error", "class", "bad_input", "message",
        "approval_id must be the id that a pending answer gave, and nothing else is taken", "retriable", 0, "boundary", "action",
        "audit_id", "", "details");

    return body ? failure_result("check_action_status", body) : NULL;
}

/* "" for what is missing. */
static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_get_str(object, key);

    return text ? text : "";
}

char *result_waiting_text(const char *action, const json_t *pending)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(16 * 1024);

    buf_printf(&text, "Waiting for your approval: %s · %s · aileron approval approve %s", action, text_of(pending, "review_url"),
        text_of(pending, "approval_id"));
    return buf_take(&text);
}

static json_t *pending_result(const char *name, const json_t *body)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);
    const char *id = text_of(body, "approval_id");

    buf_printf(&text,
        "%s waits for a person's approval. Do not make the call again: approval %s stands, and once it is given the action is "
        "done "
        "without you.\nThe person approves at %s or with: aileron approval approve %s\nCollect the result later with the tool "
        "check_action_status and {\"approval_id\":\"%s\"}.",
        name, id, text_of(body, "review_url"), id, id);
    return with_text(buf_str(&text), json_incref((json_t *) body), false);
}

json_t *result_from_api(const char *name, int status, const json_t *body)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SIZE_MAX / 4);
    const json_t *output = json_object_get(body, "output");

    if (status == 202)
        return pending_result(name, body);
    if (status != 200 || !output)
        return failure_result(name, body);
    if (json_write(output, &text) < 0)
        return NULL;
    return with_text(buf_str(&text), json_incref((json_t *) output), false);
}
