/* Approvals as the API says them. */
#include "broker/approval-view.h"

#include "action/failure.h"
#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

enum { HTTP_OK = 200, HTTP_ACCEPTED = 202, HTTP_GONE = 410 };

static json_t *review_url(const struct approval *approval, const struct view_facts *facts)
{
    return json_sprintf("%s/approvals/%s", facts->base_url, approval->id);
}

static void set_time(json_t *json, const char *key, int64_t unix_ms)
{
    char text[CLOCK_TEXT_MAX];

    if (unix_ms)
        json_object_set_new(json, key, json_string(clock_format(unix_ms, text)));
}

static void set_times(json_t *json, const struct approval *approval)
{
    set_time(json, "requested_at", approval->requested_unix_ms);
    set_time(json, "expires_at", approval->expires_unix_ms);
    set_time(json, "decided_at", approval->decided_unix_ms);
    set_time(json, "finished_at", approval->finished_unix_ms);
    set_time(json, "collected_at", approval->collected_unix_ms);
    set_time(json, "resolved_at", approval->resolved_unix_ms);
}

static void set_end(json_t *json, const struct approval *approval)
{
    json_t *output = json_object_get(approval->result, "output"), *failure = json_object_get(approval->result, "error");

    if (output)
        json_object_set(json, "output", output);
    if (failure)
        json_object_set(json, "failure", failure);
}

static void set_before(json_t *json, const struct approval *approval)
{
    char at[CLOCK_TEXT_MAX];

    if (approval->before[0])
        json_object_set_new(
            json, "before", json_pack("{s:s, s:s}", "id", approval->before, "at", clock_format(approval->before_unix_ms, at)));
}

json_t *view_approval(const struct approval *approval, const struct view_facts *facts)
{
    json_t *json = approval->card ? approval_card(approval) : json_object();
    json_t *own = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:o}", "id", approval->id, "state",
        approval_state_name(approval->state), "session_id", approval->session_id, "seal", approval->seal, "needs_ticket",
        facts->needs_ticket && approval->state == APPROVAL_PENDING, "client_gone", approval->client_gone, "review_url",
        review_url(approval, facts));

    /* What the record knows itself goes over what a card might say. */
    if (!json || !own || json_object_update(json, own) < 0) {
        json_decref(json);
        json_decref(own);
        return NULL;
    }
    json_decref(own);
    set_times(json, approval);
    set_end(json, approval);
    set_before(json, approval);
    if (approval->difference)
        json_object_set(json, "difference", approval->difference);
    if (approval->reason[0])
        json_object_set_new(json, "reason", json_string(approval->reason));
    return json;
}

json_t *view_pending(const struct approval *approval, const struct view_facts *facts)
{
    return json_pack(
        "{s:s, s:s, s:o}", "status", "pending_approval", "approval_id", approval->id, "review_url", review_url(approval, facts));
}

/* An end without a run: the decision itself is the failure. */
static void failure_of_decision(const struct approval *approval, struct failure *failure)
{
    if (approval->state == APPROVAL_EXPIRED)
        failure_set(failure, FAILURE_APPROVAL_TIMEOUT, "nobody decided in time; nothing was done");
    else if (approval->state == APPROVAL_CANCELLED)
        failure_set(failure, FAILURE_APPROVAL_DENIED, "the approval was cancelled; nothing was done");
    else
        failure_set(failure, FAILURE_APPROVAL_DENIED, "a person denied it; nothing was done");
    failure_detail(failure, "approval_id", json_string(approval->id));
    failure_detail(failure, "nothing_done", json_true());
    if (approval->reason[0])
        failure_detail(failure, "reason", json_string(approval->reason));
}

static int answer_decision(const struct approval *approval, json_t **ret_body)
{
    struct failure failure = FAILURE_INIT;

    failure_of_decision(approval, &failure);
    int status = failure_http_status(failure.class);
    *ret_body = failure_to_json(&failure, json_get_str(approval->result, "audit_id"));
    failure_clear(&failure);
    return status;
}

static int answer_run(const struct approval *approval, json_t **ret_body)
{
    const json_t *error = json_object_get(approval->result, "error");
    const char *class = json_get_str(error, "class");

    if (!approval->result) {
        *ret_body = json_pack("{s:{s:s, s:s}}", "error", "code", "forgotten", "message",
            "the result was collected and has been forgotten since; the audit log knows what was done");
        return HTTP_GONE;
    }
    *ret_body = json_incref(approval->result);
    return error ? failure_http_status(class ? failure_class_from_name(class) : FAILURE_CONNECTOR_RUNTIME_ERROR) : HTTP_OK;
}

int view_answer(const struct approval *approval, const struct view_facts *facts, json_t **ret_body)
{
    int status;

    switch (approval->state) {
    case APPROVAL_COMPLETED:
    case APPROVAL_FAILED:
    case APPROVAL_UNKNOWN:
        status = answer_run(approval, ret_body);
        break;
    case APPROVAL_DENIED:
    case APPROVAL_EXPIRED:
    case APPROVAL_CANCELLED:
        status = answer_decision(approval, ret_body);
        break;
    default:
        *ret_body = view_pending(approval, facts);
        status = HTTP_ACCEPTED;
        break;
    }
    return *ret_body ? status : -ENOMEM;
}
