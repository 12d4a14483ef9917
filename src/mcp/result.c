/*
 * Tool results. A failure says plainly what happened, whether anything was done,
 * its class and the receipt's id, because models see neither isError nor the API's status.
 */
#include "mcp/result.h"

#include "base/json.h"

#include <limits.h>
#include <string.h>

#include "base/banned.h"

/* Classes that are decided before a connector runs. */
static const char *const BEFORE_ANYTHING[] = { "bad_input", "binding_required", "binding_failed", "hash_mismatch",
    "signature_failure", "approval_denied", "approval_timeout" };

static bool nothing_was_done(const char *class, const json_t *details)
{
    if (json_integer_value(json_object_get(details, "steps_done")) > 0)
        return false;
    if (json_is_true(json_object_get(details, "nothing_done")))
        return true;
    if (json_is_true(json_object_get(details, "from_connector")))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(BEFORE_ANYTHING); i++) {
        if (!strcmp(class, BEFORE_ANYTHING[i]))
            return true;
    }
    return false;
}

static json_t *with_text(const char *text, json_t *structured_stolen, bool is_error)
{
    CLEANUP_JSON json_t *structured = structured_stolen;

    return json_pack(
        "{s:[{s:s,s:s}],s:O,s:b}", "content", "type", "text", "text", text, "structuredContent", structured, "isError", is_error);
}

static json_t *failure_result(const char *action, const json_t *body)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);
    const json_t *error = json_object_get(body, "error");
    const json_t *details = json_object_get(error, "details");
    const char *class = json_get_str(error, "class");
    const char *message = json_get_str(error, "message");
    const char *audit_id = json_get_str(error, "audit_id");

    class = class ? class : json_get_str(error, "code");
    class = class ? class : "internal_error";
    buf_printf(&text, "%s failed: %s", action, message ? message : "no reason was given");
    if (json_get_str(details, "outcome"))
        buf_printf(&text, "\nIt is unknown whether this was carried out. Do not repeat it; tell the person to check.");
    else if (nothing_was_done(class, details))
        buf_printf(&text, "\nNothing was done.");
    buf_printf(&text, "\nclass: %s", class);
    if (audit_id && *audit_id)
        buf_printf(&text, " · audit id: %s", audit_id);

    /* The words go into the structured form too, beside the failure's own fields. */
    CLEANUP_JSON json_t *structured = json_deep_copy(body);
    if (!structured || json_object_set_new(structured, "summary", json_string(buf_str(&text))) < 0)
        return NULL;
    return with_text(buf_str(&text), TAKE_PTR(structured), true);
}

static json_t *pending_result(const char *action, const json_t *body)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);
    const char *id = json_get_str(body, "approval_id");
    const char *url = json_get_str(body, "review_url");

    buf_printf(
        &text, "%s waits for a person's approval; nothing was done yet. Approval %s · %s", action, id ? id : "", url ? url : "");
    return with_text(buf_str(&text), json_incref((json_t *) body), false);
}

json_t *result_from_api(const char *action, int status, const json_t *body)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SIZE_MAX / 4);
    const json_t *output = json_object_get(body, "output");

    if (status == 202)
        return pending_result(action, body);
    if (status != 200 || !output)
        return failure_result(action, body);
    if (json_write(output, &text) < 0)
        return NULL;
    return with_text(buf_str(&text), json_incref((json_t *) output), false);
}
