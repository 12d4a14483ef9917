/*
 * What an attempt came to: the connector's own words, its exit or its limits,
 * weighed against what was refused or went wrong outside; and whether trying
 * again is allowed (SPEC §6).
 */
#include "broker/call.h"

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "crypt/digest.h"
#include "wire/limits.h"

#include <string.h>

#include "base/banned.h"

bool call_step_says_idempotent(const struct call *call)
{
    return call_step(call)->has_idempotent && call_step(call)->idempotent;
}

static bool may_retry(const struct call *call, const struct failure *failure)
{
    bool approved = call->approval_id[0] != '\0';
    bool idempotent = call_step(call)->has_idempotent ? call_step(call)->idempotent : call->connector->manifest->idempotent;

    if (!failure->retriable || call->retried >= LIMIT_RETRIES || call->broker->stopping)
        return false;
    return idempotent && ((!approved && !call->unsafe_may_have_left) || call_step_says_idempotent(call));
}

static double random_fraction(void)
{
    uint32_t bits;

    random_bytes(&bits, sizeof bits);
    return bits / 4294967296.0;
}

int64_t call_retry_delay_ms(const struct call *call, const struct failure *failure)
{
    json_int_t after_s = json_integer_value(json_object_get(failure->details, "retry_after"));

    if (!may_retry(call, failure))
        return -1;
    int64_t delay = failure_retry_delay_ms(call->retried + 1, random_fraction(), (long) after_s * 1000);
    return clock_boot_ms() + delay < call->deadline_ms ? delay : -1;
}

/* What the connector could not know: the status it met and what Retry-After said. */
void call_complete_failure(struct call *call, struct failure *failure)
{
    if (failure->class == FAILURE_EXTERNAL_API_ERROR && call->last_status >= 400) {
        if (!json_object_get(failure->details, "status"))
            failure_detail(failure, "status", json_integer(call->last_status));
        if (call->last_retry_after_ms >= 0 && !json_object_get(failure->details, "retry_after") &&
            json_integer_value(json_object_get(failure->details, "status")) == (json_int_t) call->last_status)
            failure_detail(failure, "retry_after", json_integer((call->last_retry_after_ms + 999) / 1000));
    }
    if (call->unsafe_unanswered && failure->class == FAILURE_NETWORK_ERROR) {
        failure_detail(failure, "outcome", json_string("unknown"));
        failure->retriable = call_step_says_idempotent(call);
    }
}

/* stderr as one printable line. */
static void clean_tail(const char *text, size_t len, char out[LIMIT_STDERR_TAIL_BYTES + 1])
{
    size_t n = 0;

    /* The tail may start inside a character. */
    while (len && ((unsigned char) *text & 0xc0) == 0x80)
        text++, len--;
    for (size_t i = 0; i < len && n < LIMIT_STDERR_TAIL_BYTES; i++)
        out[n++] = (unsigned char) text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    while (n && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
    if (!utf8_is_valid(out, n))
        for (size_t i = 0; i < n; i++)
            if ((unsigned char) out[i] > 0x7e)
                out[i] = '?';
}

static void failure_of_exit(struct call *call, const struct frame_done *result, struct failure *failure)
{
    char tail[LIMIT_STDERR_TAIL_BYTES + 1];
    const char *colon;

    clean_tail(result->err_tail, result->err_tail_len, tail);
    colon = tail[0] ? ": " : "";
    if (result->outcome == WORKER_TRAPPED)
        failure_set(failure, FAILURE_CONNECTOR_RUNTIME_ERROR, "the connector crashed (%s)%s%s", result->trap, colon, tail);
    else
        failure_set(failure, FAILURE_CONNECTOR_RUNTIME_ERROR, "the connector ended with exit code %u%s%s", result->exit_code,
            colon, tail);
    failure_detail(failure, "exit_code", json_integer(result->exit_code));
    if (tail[0])
        failure_detail(failure, "stderr", json_string(tail));
}

static void failure_of_limit(struct call *call, const struct frame_done *result, struct failure *failure)
{
    const struct manifest *manifest = call->connector->manifest;

    switch (result->outcome) {
    case WORKER_TIMED_OUT:
        failure_set(failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "the connector was stopped at its wall-time limit of %u s",
            manifest->wall_time_s);
        break;
    case WORKER_OUT_OF_MEMORY:
        failure_set(failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "the connector needed more than its %u MiB of memory",
            manifest->memory_mib);
        break;
    case WORKER_STACK_OVERFLOW:
        failure_set(failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "the connector's stack overflowed");
        break;
    default:
        failure_set(
            failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "the connector wrote more than %u MiB of output", LIMIT_STDOUT_BYTES / MIB);
        break;
    }
}

/* Success gives *ret_output and false; else true with the failure that counts. */
bool call_read_result(struct call *call, const struct frame_done *result, json_t **ret_output, struct failure *failure)
{
    bool exited = result->outcome == WORKER_EXITED || result->outcome == WORKER_TRAPPED;

    if (call->refusal.class != FAILURE_NONE) {
        failure_copy(failure, &call->refusal);
        return true;
    }
    if (!exited) {
        failure_of_limit(call, result, failure);
        return true;
    }
    if (result->outcome == WORKER_EXITED && !result->exit_code) {
        if (failure_read_envelope(result->out, result->out_len, ret_output, failure) == 0)
            return false;
    } else {
        failure_of_exit(call, result, failure);
    }
    /* A request that failed explains a connector that failed in no particular way; a lost one always counts. */
    if (call->trouble.class != FAILURE_NONE && (failure->class == FAILURE_CONNECTOR_RUNTIME_ERROR || call->unsafe_unanswered))
        failure_copy(failure, &call->trouble);
    return true;
}
