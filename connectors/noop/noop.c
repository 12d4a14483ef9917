/*
 * A connector that does next to nothing, on demand: the measure for everything
 * around a call, and the probe with which tests look at the host from inside.
 *
 *   noop   {}                                     → {}
 *   echo   {…}                                    → the arguments
 *   fail   {class, message, status?}              → that failure
 *   fetch  {url, method?, headers?, body?,
 *           body_base64?, credential?}            → {status, size, body}; the body as text, cut at 128 KiB
 */
#include <aileron.h>

#include <string.h>

#define HEADERS_MAX    32
#define BODY_SHOWN_MAX ((size_t) 128 * 1024)

static int noop(struct aileron_call *call)
{
    return 0;
}

static int echo(struct aileron_call *call)
{
    const struct aileron_json *item = aileron_json_each(aileron_args(call));

    for (; item; item = item->next)
        aileron_put_json(aileron_output(call), item->key, item);
    return 0;
}

static int fail(struct aileron_call *call)
{
    const char *error_class = aileron_need_string(call, "class"), *message = aileron_need_string(call, "message");
    int64_t status;

    if (!error_class || !message)
        return -1;
    if (aileron_json_int(aileron_json_get(aileron_args(call), "status"), &status) && status >= 100 && status < 600)
        return aileron_fail_status(call, (int) status, -1, "%s", message);
    return aileron_fail(call, error_class, "%s", message);
}

static int fetch(struct aileron_call *call)
{
    const struct aileron_json *args = aileron_args(call), *header = aileron_json_each(aileron_json_get(args, "headers"));
    const char *headers[2 * HEADERS_MAX + 1] = { NULL }, *base64 = aileron_json_string(args, "body_base64");
    struct aileron_request request = { .method = aileron_json_string(args, "method"),
        .url = aileron_need_string(call, "url"),
        .headers = headers,
        .body = aileron_json_string(args, "body"),
        .credential = aileron_json_string(args, "credential") };
    struct aileron_response response;

    if (!request.url)
        return -1;
    for (size_t i = 0; header && i < HEADERS_MAX; header = header->next, i++) {
        headers[2 * i] = header->key ? header->key : "";
        headers[2 * i + 1] = header->text ? header->text : "";
    }
    request.body_len = request.body ? strlen(request.body) : 0;
    if (base64)
        request.body = aileron_base64_decode(call, base64, strlen(base64), &request.body_len);
    if (aileron_http(call, &request, &response) != 0)
        return -1;
    aileron_put_int(aileron_output(call), "status", response.status);
    aileron_put_int(aileron_output(call), "size", (int64_t) response.len);
    aileron_put_bytes(aileron_output(call), "body", response.body, response.len < BODY_SHOWN_MAX ? response.len : BODY_SHOWN_MAX);
    return 0;
}

AILERON_OPERATIONS({ "noop", noop }, { "echo", echo }, { "fail", fail }, { "fetch", fetch })
