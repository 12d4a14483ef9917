/*
 * The request envelope. Known keys only, each once and in its one spelling:
 * where two parsers could read two different things, nothing is sent.
 */
#include "broker/envelope.h"

#include "base/encode.h"
#include "base/json.h"
#include "wire/limits.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/banned.h"

static const char *const KEYS[] = { "method", "url", "headers", "body", "body_base64", "credential" };
static const char *const METHODS[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" };
/* Framing, routing and cookies are the keeper's; SPEC §5. Proxy-* is a prefix. */
static const char *const RESERVED[] = { "Host", "Content-Length", "Transfer-Encoding", "Connection", "Cookie" };

static int malformed(struct err *err, const char *what)
{
    return err_set(err, EINVAL, "the request envelope %s", what);
}

static bool is_one_of(const char *text, const char *const *list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strcmp(text, list[i]))
            return true;
    return false;
}

/* RFC 9110 §5.6.2. */
static bool is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++) {
        char c = *text;
        bool word = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!word && !strchr("!#$%&'*+-.^_`|~", c))
            return false;
    }
    return true;
}

/* RFC 9110 §5.5: no control character but a tab. */
static bool is_field_value(const char *text)
{
    for (; *text; text++)
        if (((unsigned char) *text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static int read_headers(const json_t *headers, struct request *request, struct err *err)
{
    const char *name;
    json_t *value;

    if (!headers)
        return 0;
    if (!json_is_object(headers) || json_object_size(headers) > LIMIT_REQUEST_HEADERS)
        return malformed(err, "has headers that are no object of at most 64 texts");
    if (json_case_folded_twin(headers))
        return malformed(err, "has one header in two spellings");
    json_object_foreach((json_t *) headers, name, value)
    {
        if (!is_token(name))
            return malformed(err, "has a header name that is no token");
        if (!json_is_string(value) || !is_field_value(json_string_value(value)))
            return malformed(err, "has a header value with a control character, or that is no text");
        int r = buf_printf(&request->headers, "%s: %s\n", name, json_string_value(value));
        if (r == -E2BIG)
            return malformed(err, "has too many bytes of headers");
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_body(const json_t *root, struct request *request, struct err *err)
{
    const json_t *body = json_object_get(root, "body");
    const json_t *encoded = json_object_get(root, "body_base64");

    if (body && encoded)
        return malformed(err, "has both body and body_base64");
    if ((body && !json_is_string(body)) || (encoded && !json_is_string(encoded)))
        return malformed(err, "has a body that is no text");
    if (body) {
        request->body = json_string_value(body);
        request->body_len = json_string_length(body);
    }
    if (encoded) {
        int r = base64_decode(json_string_value(encoded), json_string_length(encoded), &request->body_bytes);
        if (r == -ENOMEM)
            return r;
        if (r < 0)
            return malformed(err, "has a body_base64 that is not base64");
        request->body = buf_str(&request->body_bytes);
        request->body_len = request->body_bytes.len;
    }
    return 0;
}

/* An optional text member; *ret is left alone when it is absent. */
static int read_text(const json_t *root, const char *key, const char **ret, struct err *err)
{
    const json_t *value = json_object_get(root, key);

    if (value && !json_is_string(value))
        return err_set(err, EINVAL, "the request envelope has a %s that is no text", key);
    if (value)
        *ret = json_string_value(value);
    return 0;
}

static int read_members(struct request *request, struct err *err)
{
    const json_t *root = request->json;
    const char *key;
    json_t *value;
    int r;

    json_object_foreach((json_t *) root, key, value) if (!is_one_of(key, KEYS, ARRAY_LEN(KEYS))) return malformed(
        err, "has an unknown key");
    request->method = "GET";
    if ((r = read_text(root, "method", &request->method, err)) < 0 || (r = read_text(root, "url", &request->url_text, err)) < 0 ||
        (r = read_text(root, "credential", &request->credential, err)) < 0)
        return r;
    if (!is_one_of(request->method, METHODS, ARRAY_LEN(METHODS)))
        return malformed(err, "has a method that is not one of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    if (!request->url_text)
        return malformed(err, "has no url");
    r = url_parse(request->url_text, json_string_length(json_object_get(root, "url")), &request->url, err);
    if (r < 0)
        return r;
    r = read_headers(json_object_get(root, "headers"), request, err);
    return r < 0 ? r : read_body(root, request, err);
}

int request_read(const char *text, size_t len, struct request *ret_request, struct err *err)
{
    struct request request = {
        .headers = BUF_INIT(LIMIT_HTTP_HEADER_BYTES),
        .body_bytes = BUF_INIT(LIMIT_REQUEST_ENVELOPE_BYTES),
    };
    int r = json_parse(text, len, JSON_LIMITS(LIMIT_REQUEST_ENVELOPE_BYTES), &request.json, NULL);

    if (r == -ENOMEM)
        return r;
    if (r < 0 || !json_is_object(request.json))
        r = malformed(err, "is not one JSON object within the limits");
    else
        r = read_members(&request, err);
    if (r < 0) {
        request_free(&request);
        return r;
    }
    *ret_request = request;
    return 0;
}

void request_free(struct request *request)
{
    json_decref(request->json);
    request->json = NULL;
    buf_free(&request->headers);
    buf_free(&request->body_bytes);
}

bool request_is_safe(const struct request *request)
{
    return !strcmp(request->method, "GET") || !strcmp(request->method, "HEAD");
}

static bool is_reserved(const char *name, const struct manifest *manifest)
{
    for (size_t i = 0; i < ARRAY_LEN(RESERVED); i++)
        if (!strcasecmp(name, RESERVED[i]))
            return true;
    if (!strncasecmp(name, "Proxy-", 6))
        return true;
    return manifest->credential != CREDENTIAL_NONE && manifest->credential_header &&
           !strcasecmp(name, manifest->credential_header);
}

enum request_verdict request_check(
    const struct request *request, const struct manifest *manifest, bool read_only, const char **ret_boundary, struct err *err)
{
    const json_t *headers = json_object_get(request->json, "headers");
    char hostport[URL_HOSTPORT_MAX];
    const char *name;
    json_t *value;

    *ret_boundary = "connector_manifest";
    url_hostport(&request->url, hostport);
    if (!manifest_allows(manifest, hostport)) {
        err_set(err, EACCES, "the connector asked for %s, which its manifest does not name", hostport);
        return REQUEST_DENIED;
    }
    if (!request->url.tls && !url_is_this_machine(&request->url)) {
        err_set(err, EACCES, "the connector asked for %s without TLS", hostport);
        return REQUEST_DENIED;
    }
    if (request->credential &&
        (manifest->credential == CREDENTIAL_NONE || strcmp(request->credential, credential_kind_name(manifest->credential)))) {
        err_set(err, EACCES, "the connector asked for another kind of credential than its manifest names");
        return REQUEST_DENIED;
    }
    json_object_foreach((json_t *) headers, name, value) if (is_reserved(name, manifest))
    {
        err_set(err, EACCES, "the connector may not set the header %s", name);
        return REQUEST_DENIED;
    }
    if (read_only && !request_is_safe(request)) {
        *ret_boundary = "action";
        err_set(err, EACCES, "the action's step is read only, and the connector asked for a %s request", request->method);
        return REQUEST_DENIED;
    }
    return REQUEST_ALLOWED;
}
