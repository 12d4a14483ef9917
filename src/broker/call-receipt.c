/*
 * The receipts of a call (SPEC §9): the payload that all events of a step share
 * is made once. Nothing of arguments, bodies, query strings or of a connector's
 * words goes in.
 */
#include "broker/call.h"

#include "base/clock.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

int call_payload_make(struct call *call)
{
    const struct action *action = call->entry->action;
    const struct action_step *step = call_step(call);

    json_decref(call->payload);
    call->payload = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "aileron.action.name", action->name,
        "aileron.action.version", action->version, "aileron.action.hash", call->entry->hash, "aileron.connector.fqn",
        step->require->name, "aileron.connector.version", step->require->version, "aileron.connector.hash", step->require->hash,
        "aileron.connector.op", step->op, "aileron.execution.id", call->execution_id, "aileron.execution.step", step->id,
        "aileron.execution.disposition", call->approval_id[0] ? "approved" : "unattended");
    if (call->payload && call->approval_id[0])
        json_object_set_new(call->payload, "aileron.approval.id", json_string(call->approval_id));
    if (call->payload && call->binding[0])
        json_object_set_new(call->payload, "aileron.binding.name", json_string(call->binding));
    return call->payload ? 0 : -ENOMEM;
}

/* A preview leaves none: the receipt of the request names its hash. */
static int append(struct call *call, const char *type, json_t *payload, char ret_id[ULID_ID_MAX], struct err *err)
{
    if (call->purpose == CALL_PREVIEW && strncmp(type, "binding.", 8))
        return 0;
    const struct receipt receipt = {
        .type = type,
        .session_id = call->session_id[0] ? call->session_id : NULL,
        .actor = call->actor,
        .actor_id = call->actor_id,
        .payload = payload,
    };
    return receipts_append(call->broker->receipts, &receipt, ret_id, err);
}

int call_receipt_started(struct call *call, struct err *err)
{
    return append(call, "execution.started", call->payload, NULL, err);
}

static void add_end(struct call *call, json_t *payload)
{
    json_object_set_new(payload, "aileron.execution.duration_ms", json_integer(clock_boot_ms() - call->step_started_ms));
    json_object_set_new(payload, "aileron.execution.retried", json_integer(call->retried));
    if (call->peak_bytes)
        json_object_set_new(payload, "aileron.execution.memory_peak", json_integer((json_int_t) call->peak_bytes));
}

int call_receipt_succeeded(struct call *call, struct err *err)
{
    add_end(call, call->payload);
    return append(call, "execution.succeeded", call->payload, call->audit_id, err);
}

void call_receipt_failed(struct call *call, const struct failure *failure)
{
    if (!call->payload && call_payload_make(call) < 0)
        return;
    add_end(call, call->payload);
    json_object_set_new(call->payload, "aileron.failure.class", json_string(failure_class_name(failure->class)));
    json_object_set_new(call->payload, "aileron.failure.boundary", json_string(failure->boundary));
    json_object_set_new(call->payload, "aileron.failure.retriable", json_boolean(failure->retriable));
    if (call->last_status)
        json_object_set_new(call->payload, "aileron.http.status", json_integer(call->last_status));
    append(call, "execution.failed", call->payload, call->audit_id, NULL);
}

int call_receipt_denied(struct call *call)
{
    json_t *payload = json_copy(call->payload);

    if (!payload)
        return -ENOMEM;
    json_object_set_new(payload, "aileron.http.method", json_string(call->asked_method));
    json_object_set_new(payload, "aileron.http.host", json_string(call->asked_host));
    const struct receipt receipt = {
        .type = "capability.denied",
        .session_id = call->session_id[0] ? call->session_id : NULL,
        .actor = AUDIT_CONNECTOR,
        .actor_id = call->connector->manifest->name,
        .payload = payload,
    };
    int r = receipts_append(call->broker->receipts, &receipt, NULL, NULL);
    json_decref(payload);
    return r;
}

/* Said once for each binding that a connector comes to use, not with every call: execution.started names it each time. */
void call_receipt_binding(struct call *call)
{
    const struct manifest *manifest = call->connector->manifest;

    if (!strcmp(call->connector->last_binding, call->binding))
        return;
    json_t *payload = json_pack("{s:s, s:s, s:s}", "aileron.binding.name", call->binding, "aileron.connector.fqn", manifest->name,
        "aileron.capability.kind", credential_kind_name(manifest->credential));
    if (payload && append(call, "binding.resolved", payload, NULL, NULL) == 0)
        memcpy(call->connector->last_binding, call->binding, sizeof call->binding);
    json_decref(payload);
}
