/*
 * Failures (SPEC §6): one row a class. What travels to a caller is made here
 * alone, so that no other class or shape can appear.
 */
#include "action/failure.h"

#include "base/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define RETRY_FIRST_MS 1000

static const struct {
    const char *name;
    int http_status;
    bool retriable; /* external_api_error: by its status */
    const char *boundary;
} classes[] = {
    [FAILURE_NONE] = { "none", 200, false, "runtime" },
    [FAILURE_CAPABILITY_DENIED] = { "capability_denied", 403, false, "sandbox" },
    [FAILURE_BINDING_REQUIRED] = { "binding_required", 412, false, "runtime" },
    [FAILURE_BINDING_FAILED] = { "binding_failed", 412, false, "runtime" },
    [FAILURE_RESOURCE_LIMIT_EXCEEDED] = { "resource_limit_exceeded", 507, false, "sandbox" },
    [FAILURE_CONNECTOR_RUNTIME_ERROR] = { "connector_runtime_error", 500, false, "sandbox" },
    [FAILURE_NETWORK_ERROR] = { "network_error", 502, true, "external" },
    [FAILURE_EXTERNAL_API_ERROR] = { "external_api_error", 502, false, "external" },
    [FAILURE_HASH_MISMATCH] = { "hash_mismatch", 422, false, "runtime" },
    [FAILURE_SIGNATURE_FAILURE] = { "signature_failure", 422, false, "runtime" },
    [FAILURE_BAD_INPUT] = { "bad_input", 400, false, "action" },
    [FAILURE_APPROVAL_DENIED] = { "approval_denied", 403, false, "user" },
    [FAILURE_APPROVAL_TIMEOUT] = { "approval_timeout", 408, false, "user" },
};

const char *failure_class_name(enum failure_class class)
{
    return classes[class].name;
}

enum failure_class failure_class_from_name(const char *name)
{
    for (size_t i = FAILURE_NONE + 1; i < ARRAY_LEN(classes); i++)
        if (!strcmp(classes[i].name, name))
            return (enum failure_class) i;
    return FAILURE_NONE;
}

int failure_http_status(enum failure_class class)
{
    return classes[class].http_status;
}

void failure_set(struct failure *failure, enum failure_class class, const char *format, ...)
{
    va_list args;

    failure_clear(failure);
    failure->class = class;
    failure->boundary = classes[class].boundary;
    failure->retriable = classes[class].retriable;
    va_start(args, format);
    vsnprintf(failure->message, sizeof failure->message, format, args);
    va_end(args);
}

/* Whether asking again may help follows from the provider's status. */
static bool status_is_retriable(const json_t *status)
{
    json_int_t number = json_integer_value(status);

    return number == 429 || (number >= 500 && number <= 599);
}

void failure_detail(struct failure *failure, const char *key, json_t *value_stolen)
{
    if (!failure->details)
        failure->details = json_object();
    if (failure->class == FAILURE_EXTERNAL_API_ERROR && !strcmp(key, "status"))
        failure->retriable = status_is_retriable(value_stolen);
    json_object_set_new(failure->details, key, value_stolen);
}

void failure_clear(struct failure *failure)
{
    json_decref(failure->details);
    *failure = (struct failure) FAILURE_INIT;
}

void failure_copy(struct failure *to, const struct failure *from)
{
    json_t *details = json_deep_copy(from->details);

    failure_clear(to);
    *to = *from;
    to->details = details;
}

json_t *failure_to_json(const struct failure *failure, const char *audit_id)
{
    CLEANUP_JSON json_t *details = failure->details ? json_incref(failure->details) : json_object();
    CLEANUP_JSON json_t *message = json_string(failure->message);

    /* A message cut inside a character, or one that quotes foreign bytes, must still be an answer. */
    if (!message)
        message = json_string(failure_class_name(failure->class));
    return json_pack("{s:{s:s, s:O, s:b, s:s, s:s, s:O}}", "error", "class", failure_class_name(failure->class), "message",
        message, "retriable", failure->retriable, "boundary",
        failure->boundary ? failure->boundary : classes[failure->class].boundary, "audit_id", audit_id ? audit_id : "", "details",
        details);
}

long failure_retry_delay_ms(unsigned n, double random, long retry_after_ms)
{
    unsigned shift = n < 1 ? 0 : n > 3 ? 2 : n - 1;
    double delay = (double) (RETRY_FIRST_MS << shift) * (1.0 + 0.2 * random);

    return retry_after_ms > (long) delay ? retry_after_ms : (long) delay;
}
