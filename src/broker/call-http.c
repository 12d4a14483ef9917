/*
 * Outbound requests of a running call. The broker decides by manifest and action,
 * the keeper by its grant; the guest learns 0, -1 or -2 and no more. What was
 * refused is remembered, and after a refusal nothing more is sent: the call has
 * failed already.
 */
#include "broker/call.h"

#include "base/clock.h"
#include "base/magic.h"
#include "broker/log.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

enum { GUEST_DONE = 0, GUEST_REFUSED = -1, GUEST_MALFORMED = -2 };

/* The keeper answers a little before the guest's time is up, so that the guest can still say what failed. */
#define KEEPER_MARGIN_MS 100

static void answer_guest(struct call *call, int64_t result, uint32_t status, const void *body, size_t len)
{
    call->state = CALL_RUNNING;
    /* A worker that is gone reports through its own end. */
    lease_http_result(call->lease, result, status, body, len);
}

static void refuse(struct call *call, enum failure_class class, const char *boundary, const char *message)
{
    if (call->refusal.class != FAILURE_NONE)
        return;
    failure_set(&call->refusal, class, "%s", message);
    if (boundary)
        call->refusal.boundary = boundary;
}

/* A vault that was locked meanwhile is said so; anything else the keeper has words for. */
static void refuse_binding(struct call *call, const char *message)
{
    const struct keeper_link *keeper = call->broker->keeper;

    if (call->refusal.class != FAILURE_NONE)
        return;
    if (!keeper_is_there(keeper) || keeper_vault_state(keeper) != KEEPER_VAULT_UNLOCKED)
        call_fail_locked(keeper, &call->refusal);
    else
        failure_set(&call->refusal, FAILURE_BINDING_FAILED, "%s", message);
}

static void note_trouble(struct call *call, enum failure_class class, const char *message)
{
    failure_set(&call->trouble, class, "%s", message);
    if (call->unsafe_unanswered && class == FAILURE_NETWORK_ERROR)
        failure_detail(&call->trouble, "outcome", json_string("unknown"));
}

/* What an answer of the keeper means for the guest and for the call. */
static void take_answer(struct call *call, const struct keeper_answer *answer)
{
    bool left = answer->may_have_left && call->asking_unsafe;

    call->unsafe_may_have_left |= left;
    switch (answer->outcome) {
    case KEEPER_HTTP_DONE:
        call->unsafe_may_have_left |= call->asking_unsafe;
        call->last_status = answer->status;
        call->last_retry_after_ms = answer->retry_after_ms;
        answer_guest(call, GUEST_DONE, answer->status, answer->body, answer->body_len);
        return;
    case KEEPER_HTTP_MALFORMED:
        answer_guest(call, GUEST_MALFORMED, 0, NULL, 0);
        return;
    case KEEPER_HTTP_DENIED:
    case KEEPER_HTTP_REDIRECT_REFUSED:
        refuse(call, FAILURE_CAPABILITY_DENIED, "sandbox", answer->message);
        break;
    case KEEPER_HTTP_BINDING_REQUIRED:
        refuse(call, FAILURE_BINDING_REQUIRED, NULL, answer->message);
        break;
    case KEEPER_HTTP_BINDING_FAILED:
        refuse_binding(call, answer->message);
        break;
    case KEEPER_HTTP_TOO_LARGE:
        note_trouble(call, FAILURE_RESOURCE_LIMIT_EXCEEDED, answer->message);
        break;
    case KEEPER_HTTP_NETWORK:
        call->unsafe_unanswered |= left;
        note_trouble(call, FAILURE_NETWORK_ERROR, answer->message);
        break;
    }
    answer_guest(call, GUEST_REFUSED, 0, NULL, 0);
}

static void on_answer(const struct keeper_answer *answer, void *userdata)
{
    struct call *call = MAGIC_CAST(struct call, userdata, CALL_MAGIC);

    call->http = NULL;
    if (answer->outcome == KEEPER_HTTP_DENIED || answer->outcome == KEEPER_HTTP_REDIRECT_REFUSED) {
        log_info(
            "%s: the keeper refused a request of %s: %s", call->execution_id, call->connector->manifest->name, answer->message);
        call_receipt_denied(call);
    }
    take_answer(call, answer);
}

void call_http_abandon(struct call *call)
{
    if (!call->http)
        return;
    keeper_http_cancel(call->http);
    call->http = NULL;
    if (call->asking_unsafe)
        call->unsafe_may_have_left = call->unsafe_unanswered = true;
}

/* Hands the request to the keeper; what cannot be handed over fails here. */
static void forward(struct call *call, const struct request *request)
{
    const struct action_step *step = call_step(call);
    int64_t left = call->deadline_ms - clock_boot_ms() - KEEPER_MARGIN_MS;
    const struct keeper_request out = {
        .connector = call->connector->manifest->name,
        .binding = request->credential ? call->binding : "",
        .method = request->method,
        .url = request->url_text,
        .headers = buf_str(&request->headers),
        .body = request->body,
        .body_len = request->body_len,
        .hosts = call->connector->hosts,
        .deadline_ms = left > 1 ? (uint32_t) left : 1,
        .read_only = step->read_only,
    };

    call->asking_unsafe = !request_is_safe(request);
    call->state = CALL_ASKING;
    int r = keeper_http(call->broker->keeper, &out, on_answer, call, &call->http);
    if (r == 0)
        return;
    if (r == -ENOTCONN && request->credential) {
        refuse_binding(call, "");
    } else if (r == -ENOBUFS) {
        refuse(call, FAILURE_RESOURCE_LIMIT_EXCEEDED, "runtime", "too many requests are under way at once");
    } else if (r == -EMSGSIZE) {
        answer_guest(call, GUEST_MALFORMED, 0, NULL, 0);
        return;
    } else {
        note_trouble(call, FAILURE_NETWORK_ERROR, "the keeper is not running; it is being restarted");
    }
    answer_guest(call, GUEST_REFUSED, 0, NULL, 0);
}

/* Allowed by manifest and action? If not, it is on record before the guest hears of it. */
static bool is_allowed(struct call *call, const struct request *request)
{
    const struct action_step *step = call_step(call);
    struct err err = ERR_INIT;
    const char *boundary;

    if (request_check(request, call->connector->manifest, step->read_only, &boundary, &err) == REQUEST_ALLOWED)
        return true;
    refuse(call, FAILURE_CAPABILITY_DENIED, boundary, err.message);
    failure_detail(&call->refusal, "host", json_string(call->asked_host));
    call_receipt_denied(call);
    return false;
}

void call_on_http(struct lease *lease, const char *envelope, size_t len, void *userdata)
{
    struct call *call = MAGIC_CAST(struct call, userdata, CALL_MAGIC);
    struct request request;
    struct err err = ERR_INIT;

    if (++call->requests > LIMIT_HTTP_REQUESTS_PER_CALL)
        refuse(call, FAILURE_RESOURCE_LIMIT_EXCEEDED, NULL, "the connector sent more requests than one call may");
    if (call->refusal.class != FAILURE_NONE) {
        answer_guest(call, GUEST_REFUSED, 0, NULL, 0);
        return;
    }
    int r = request_read(envelope, len, &request, &err);
    if (r < 0) {
        log_debug("%s: %s", call->execution_id, err.message);
        answer_guest(call, r == -EINVAL ? GUEST_MALFORMED : GUEST_REFUSED, 0, NULL, 0);
        return;
    }
    snprintf(call->asked_method, sizeof call->asked_method, "%s", request.method);
    snprintf(call->asked_host, sizeof call->asked_host, "%s", request.url.host);
    if (is_allowed(call, &request))
        forward(call, &request);
    else
        answer_guest(call, GUEST_REFUSED, 0, NULL, 0);
    request_free(&request);
}
