/*
 * What a connector leaves on stdout (SPEC §5, §6): `{"output":{…}}` or
 * `{"error":{"class","message","details"?}}`. The text comes from a stranger. Its
 * class is mapped onto the closed set, its message is cut and made printable, of
 * its details only status and retry_after are kept.
 */
#include "action/failure.h"

#include "base/json.h"

#include <string.h>

#include "base/banned.h"

#define STDOUT_MAX_BYTES  (1024 * 1024)
#define CLASS_SHOWN_MAX   64
#define RETRY_AFTER_MAX_S 86400

/* What a connector may say of itself; everything else is connector_runtime_error. */
static const struct {
    const char *name;
    enum failure_class class;
} spoken[] = {
    { "capability_denied", FAILURE_CAPABILITY_DENIED },
    { "binding_required", FAILURE_BINDING_REQUIRED },
    { "resource_limit_exceeded", FAILURE_RESOURCE_LIMIT_EXCEEDED },
    { "bad_input", FAILURE_BAD_INPUT },
    { "external_api_error", FAILURE_EXTERNAL_API_ERROR },
    { "external_service_error", FAILURE_EXTERNAL_API_ERROR },
};

/* Copies a stranger's UTF-8 text: control characters become spaces, the cut falls between characters. */
static void text_clean(char *out, size_t out_max, const char *text)
{
    size_t len = strnlen(text, out_max - 1);

    if (text[len] != '\0')
        while (len > 0 && ((unsigned char) text[len] & 0xc0) == 0x80)
            len--;
    for (size_t i = 0; i < len; i++)
        out[i] = (unsigned char) text[i] < 0x20 || text[i] == 0x7f ? ' ' : text[i];
    out[len] = '\0';
}

static int malformed(struct failure *failure, const char *why)
{
    failure_set(failure, FAILURE_CONNECTOR_RUNTIME_ERROR, "the connector's answer is malformed: %s", why);
    return 1;
}

static bool is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!memchr(" \t\r\n", text[i], 4))
            return false;
    return true;
}

/* Seconds as a number, or as the digits of a Retry-After header. NULL when it is neither. */
static json_t *retry_after_read(const json_t *value)
{
    json_int_t seconds = -1;

    if (json_is_integer(value))
        seconds = json_integer_value(value);
    else if (json_is_real(value) && json_real_value(value) >= 0 && json_real_value(value) <= RETRY_AFTER_MAX_S)
        seconds = (json_int_t) (json_real_value(value) + 0.999);
    else if (json_is_string(value)) {
        const char *text = json_string_value(value);
        size_t len = strlen(text);

        if (len > 0 && len <= 9 && strspn(text, "0123456789") == len)
            seconds = strtoll(text, NULL, 10);
    }
    if (seconds < 0)
        return NULL;
    return json_integer(seconds > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : seconds);
}

static void external_details(struct failure *failure, const json_t *details)
{
    const json_t *status = json_object_get(details, "status");
    json_t *retry_after = retry_after_read(json_object_get(details, "retry_after"));

    if (json_is_integer(status) && json_integer_value(status) >= 100 && json_integer_value(status) <= 599)
        failure_detail(failure, "status", json_integer(json_integer_value(status)));
    if (retry_after)
        failure_detail(failure, "retry_after", retry_after);
}

static int error_read(const json_t *error, struct failure *failure)
{
    const char *class_name = json_get_str(error, "class"), *message = json_get_str(error, "message");
    char shown[CLASS_SHOWN_MAX], text[sizeof failure->message];
    enum failure_class class = FAILURE_CONNECTOR_RUNTIME_ERROR;

    if (!class_name)
        return malformed(failure, "'error' has no text 'class'");
    text_clean(shown, sizeof shown, class_name);
    text_clean(text, sizeof text, message ? message : "");
    for (size_t i = 0; i < ARRAY_LEN(spoken); i++)
        if (!strcmp(spoken[i].name, class_name))
            class = spoken[i].class;
    if (text[0])
        failure_set(failure, class, "%s", text);
    else
        failure_set(failure, class, "the connector reported %s without a message", shown);
    if (class == FAILURE_EXTERNAL_API_ERROR)
        external_details(failure, json_object_get(error, "details"));
    if (class == FAILURE_CONNECTOR_RUNTIME_ERROR && strcmp(class_name, "connector_runtime_error") != 0)
        failure_detail(failure, "connector_class", json_string(shown));
    return 1;
}

int failure_read_envelope(const char *text, size_t len, json_t **ret_output, struct failure *ret_failure)
{
    CLEANUP_JSON json_t *envelope = NULL;
    struct err err = ERR_INIT;
    json_t *output = NULL, *error = NULL;
    char why[ERR_MESSAGE_MAX];

    if (is_blank(text, len)) {
        *ret_output = json_object();
        return 0;
    }
    if (json_parse(text, len, JSON_LIMITS(STDOUT_MAX_BYTES), &envelope, &err) < 0) {
        text_clean(why, sizeof why, err.message);
        return malformed(ret_failure, why);
    }
    if (!json_is_object(envelope))
        return malformed(ret_failure, "it is not a JSON object");
    if (json_case_folded_twin(envelope))
        return malformed(ret_failure, "two of its keys differ only in case");
    output = json_object_get(envelope, "output");
    error = json_object_get(envelope, "error");
    if (output && error)
        return malformed(ret_failure, "it has both 'output' and 'error'");
    if (error)
        return json_is_object(error) && !json_case_folded_twin(error) ? error_read(error, ret_failure)
                                                                      : malformed(ret_failure, "'error' is not a plain object");
    if (!json_is_object(output))
        return malformed(ret_failure, output ? "'output' is not an object" : "it has neither 'output' nor 'error'");
    *ret_output = json_incref(output);
    return 0;
}
