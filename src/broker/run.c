/* The door, and the receipts of calls that did not get through it. */
#include "broker/run.h"

#include "base/json.h"
#include "base/magic.h"
#include "broker/approvals.h"
#include "broker/call.h"
#include "broker/log.h"
#include "broker/review.h"
#include "wire/limits.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define UNKNOWN "unknown" /* of an action that is not believed */

/* ---- refusals ---- */

static json_t *payload_make(const struct run_refusal *refusal, const struct failure *failure)
{
    const struct action *action = refusal->entry ? refusal->entry->action : NULL;
    const struct action_step *step = action ? &action->steps[0] : NULL;
    const char *version = action ? action->version : refusal->version && *refusal->version ? refusal->version : UNKNOWN;
    json_t *payload = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:b}", "aileron.action.name",
        action ? action->name : refusal->action, "aileron.action.version", version, "aileron.action.hash",
        action ? refusal->entry->hash : UNKNOWN, "aileron.connector.fqn", step ? step->require->name : UNKNOWN,
        "aileron.connector.version", step ? step->require->version : UNKNOWN, "aileron.connector.hash",
        step ? step->require->hash : UNKNOWN, "aileron.connector.op", step ? step->op : UNKNOWN, "aileron.execution.disposition",
        refusal->approval_id ? "approved" : "unattended", "aileron.execution.duration_ms", 0, "aileron.failure.class",
        failure_class_name(failure->class), "aileron.failure.boundary", failure->boundary, "aileron.failure.retriable",
        failure->retriable);

    if (payload && refusal->approval_id)
        json_object_set_new(payload, "aileron.approval.id", json_string(refusal->approval_id));
    return payload;
}

json_t *run_refusal_write(struct broker *broker, const struct run_refusal *refusal, struct failure *failure, int *ret_status)
{
    char audit_id[ULID_ID_MAX] = "";

    if (!failure->boundary)
        failure->boundary = "runtime";
    CLEANUP_JSON json_t *payload = payload_make(refusal, failure);
    const struct receipt receipt = { .type = "execution.failed",
        .session_id = refusal->session_id[0] ? refusal->session_id : NULL,
        .actor = refusal->by_agent ? AUDIT_AGENT : AUDIT_HUMAN,
        .actor_id = refusal->actor_id,
        .payload = payload };
    receipts_append(broker->receipts, &receipt, audit_id, NULL);
    failure_detail(failure, "nothing_done", json_true());
    failure_detail(failure, "log", json_string(log_path()));
    log_info("action %s refused: %s (%s), receipt %s", refusal->entry ? refusal->entry->action->name : refusal->action,
        failure_class_name(failure->class), failure->boundary, audit_id[0] ? audit_id : "none");
    json_t *body = failure_to_json(failure, audit_id);
    *ret_status = failure_http_status(failure->class);
    failure_clear(failure);
    return body;
}

void run_refuse(struct broker *broker, const struct run_refusal *refusal, struct failure *failure, struct api_reply *reply)
{
    int status;
    json_t *body = run_refusal_write(broker, refusal, failure, &status);

    api_reply_send(reply, status, body);
}

/* ---- a call that nobody needs to be asked about ---- */

static void on_end(const struct call_end *end, void *userdata)
{
    api_reply_send(userdata, end->status, json_incref(end->body));
}

static void run_at_once(struct broker *broker, const struct approvals_call *call, struct api_reply *reply)
{
    const struct session *session = call->session;
    const struct call_spec spec = { .purpose = CALL_RUN,
        .entry = call->entry,
        .session_id = session ? session->id : "",
        .actor = session ? AUDIT_AGENT : AUDIT_HUMAN,
        .actor_id = session ? session->agent : "owner",
        .wanted_binding = call->as,
        .steps = call->steps,
        .approval_id = "" };

    if (call_begin(broker, &spec, on_end, reply, NULL) < 0)
        api_reply_error(reply, 500, "out_of_memory", "out of memory; nothing was done", NULL);
}

/* ---- the door ---- */

static bool is_over_quota(struct broker *broker, const struct api_request *request)
{
    const struct call *call;
    unsigned same = 0;

    if (broker->calls_len >= LIMIT_CALLS)
        return true;
    if (!request->session)
        return false;
    LIST_FOREACH(call, &broker->calls, link)
    same += !strcmp(call->session_id, request->session->id);
    return same >= LIMIT_CALLS_PER_SESSION;
}

static struct run_refusal refusal_of(const struct api_request *request, const struct catalog_entry *entry)
{
    return (struct run_refusal){ .entry = entry,
        .action = request->name,
        .session_id = request->session ? request->session->id : "",
        .by_agent = request->session != NULL,
        .actor_id = request->session ? request->session->agent : "owner" };
}

/* An action whose file or signature is not what it must be: no call comes of it, but a receipt does. */
static void refuse_entry(struct broker *broker, const struct api_request *request, const struct err *err, struct api_reply *reply)
{
    struct run_refusal refusal = refusal_of(request, NULL);
    struct failure failure = FAILURE_INIT;

    catalog_refusal(broker->catalog, request->name, err, &failure, &refusal.version);
    run_refuse(broker, &refusal, &failure, reply);
}

/* False after an answer. */
static bool find_action(
    struct broker *broker, const struct api_request *request, struct catalog_entry **ret_entry, struct api_reply *reply)
{
    struct err err = ERR_INIT;
    bool allowed = broker_session_allows(request->session, request->name);
    int r = allowed ? catalog_get(broker->catalog, request->name, ret_entry, &err)
                    : err_set(&err, ENOENT, "there is no action %s for this session", request->name);

    if (r == 0)
        return true;
    if (r == -ENOENT)
        api_reply_error(reply, 404, "not_found", err.message, "aileron action list shows the installed ones");
    else if (r == -EBADMSG || r == -EKEYREJECTED)
        refuse_entry(broker, request, &err, reply);
    else
        api_reply_error(reply, 422, "invalid_action", err.message, "repair the file, or install the action again");
    return false;
}

/* Key of at most 255 printable ASCII characters. */
static bool key_is_good(const char *key)
{
    size_t len = key ? strlen(key) : 1;

    for (size_t i = 0; key && i < len; i++)
        if (key[i] < 0x21 || key[i] > 0x7e)
            return false;
    return len > 0 && len < APPROVAL_KEY_MAX;
}

static bool is_admitted(struct broker *broker, const struct api_request *request, const struct action *action, const json_t *args,
    json_t **ret_steps, struct failure *failure)
{
    if (is_over_quota(broker, request)) {
        failure_set(failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "too many calls are under way at once; nothing was done");
        failure->boundary = "runtime";
        return false;
    }
    if (broker->stopping) {
        failure_set(failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "the daemon is stopping; nothing was done");
        failure->boundary = "runtime";
        return false;
    }
    if (!catalog_is_enabled(broker->catalog, action->name)) {
        call_fail_disabled(action->name, failure);
        return false;
    }
    return review_render(action, args, ret_steps, failure);
}

void run_start(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *entry = NULL;
    CLEANUP_JSON json_t *none = json_object();
    CLEANUP_JSON json_t *steps = NULL;
    struct failure failure = FAILURE_INIT;
    const json_t *args = json_object_get(request->body, "args");

    if (!key_is_good(request->idempotency_key)) {
        api_reply_error(
            reply, 400, "bad_request", "an Idempotency-Key has 1 to 255 printable characters; nothing was done", NULL);
        return;
    }
    if (!find_action(broker, request, &entry, reply))
        return;
    if (request->session) {
        request->session->calls++;
        broker_sessions_touched(broker);
    }
    if (!is_admitted(broker, request, entry->action, args ? args : none, &steps, &failure)) {
        const struct run_refusal refusal = refusal_of(request, entry);

        run_refuse(broker, &refusal, &failure, reply);
        return;
    }
    const struct approvals_call call = { .entry = entry,
        .session = request->session,
        .args = args ? args : none,
        .steps = steps,
        .as = json_get_str(request->body, "as"),
        .key = request->idempotency_key,
        .wait_ms = request->wait_ms };
    bool harmless = action_is_idempotent(entry->action) || action_is_read_only(entry->action);
    if (entry->action->gated)
        approvals_ask(broker->approvals, &call, reply);
    else if (harmless && !call.key)
        run_at_once(broker, &call, reply);
    else
        approvals_run(broker->approvals, &call, reply);
}
