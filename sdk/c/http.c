/*
 * One HTTP request through the host. The host decides whether it may be made,
 * adds the credential outside the sandbox, and keeps the answer until it is read;
 * when it refuses, its reason outweighs whatever this side reports.
 */
#include "internal.h"

#include <string.h>

static const char *request_text(struct aileron_call *call, const struct aileron_request *request, size_t *ret_len)
{
    struct aileron_writer *writer = aileron_writer_new(call);

    aileron_put_string(writer, "method", request->method ? request->method : "GET");
    aileron_put_string(writer, "url", request->url);
    if (request->headers && request->headers[0]) {
        aileron_put_object(writer, "headers");
        for (const char *const *header = request->headers; header[0]; header += 2)
            aileron_put_string(writer, header[0], header[1]);
        aileron_put_end(writer);
    }
    if (request->body && aileron_utf8_valid(request->body, request->body_len))
        aileron_put_bytes(writer, "body", request->body, request->body_len);
    else if (request->body)
        aileron_put_string(writer, "body_base64", aileron_base64(call, request->body, request->body_len, false, NULL));
    aileron_put_string(writer, "credential", request->credential);
    return aileron_writer_text(writer, ret_len);
}

int aileron_http(struct aileron_call *call, const struct aileron_request *request, struct aileron_response *ret_response)
{
    struct aileron_response response = { 0 };
    size_t len;
    const char *text = request_text(call, request, &len);
    int32_t result, size;

    if (!text)
        return -1;
    result = aileron_host_http_request(text, (uint32_t) len);
    if (result == -1)
        return aileron_fail(call, "network_error", "the request was refused or got no answer");
    if (result != 0)
        return aileron_fail(call, "connector_runtime_error", "the host did not understand the request");
    response.status = (int) aileron_host_http_response_status();
    size = aileron_host_http_response_size();
    if (response.status < 0 || size < 0 || size > AILERON_RESPONSE_MAX)
        return aileron_fail(call, "network_error", "the host gave no answer to the request");
    response.len = (size_t) size;
    response.body = aileron_alloc(call, response.len + 1);
    if (size > 0 && aileron_host_http_response_read(response.body, (uint32_t) size) != size)
        return aileron_fail(call, "network_error", "the answer to the request could not be read");
    *ret_response = response;
    return 0;
}

int aileron_fetch_json(struct aileron_call *call, const struct aileron_request *request, const struct aileron_json **ret_json)
{
    struct aileron_response response = { 0 };
    const struct aileron_json *json;
    const char *why;

    if (aileron_http(call, request, &response) != 0)
        return -1;
    if (response.status < 200 || response.status > 299)
        return aileron_fail_status(call, response.status, -1, "the service answered with status %d", response.status);
    json = aileron_json_parse(call, response.body, response.len, &why);
    if (!json)
        return aileron_fail_status(call, response.status, -1, "the service's answer is not JSON: %s", why);
    *ret_json = json;
    return 0;
}
