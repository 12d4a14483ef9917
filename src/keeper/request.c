/*
 * The checks of the broker's requests are a table in a fixed order: the first
 * rule that says no gives the answer, and no later one runs. A credential is taken
 * last, when the request is about to leave.
 */
#include "keeper/request.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

static bool get_bool(struct wire_frame *frame, bool *ret_value)
{
    uint8_t value = wire_get_u8(frame);

    *ret_value = value != 0;
    return value <= 1;
}

/* Copies text out of the frame; a lack of memory is remembered for the end. */
static char *get_copy(struct wire_frame *frame, size_t max, bool *memory)
{
    char *copy = strdup(wire_get_str(frame, max));

    *memory = *memory && copy != NULL;
    return copy;
}

int request_read(struct wire_frame *frame, struct request **ret_request)
{
    CLEANUP_PTR(request_free) struct request *request = calloc(1, sizeof *request);
    const void *body = NULL;
    bool memory = true, flags = true;

    if (!request)
        return -ENOMEM;
    request->id = frame->id;
    request->connector_fqn = get_copy(frame, GRANT_CONNECTOR_MAX - 1, &memory);
    request->binding = get_copy(frame, GRANT_NAME_MAX - 1, &memory);
    strncpy(request->method, wire_get_str(frame, REQUEST_METHOD_MAX), sizeof request->method - 1);
    request->url_text = get_copy(frame, URL_MAX_BYTES, &memory);
    request->header_text = get_copy(frame, LIMIT_HTTP_HEADER_BYTES, &memory);
    body = wire_get_blob(frame, LIMIT_REQUEST_ENVELOPE_BYTES, &request->body_len);
    flags = get_bool(frame, &request->has_body);
    request->allowed_hosts = get_copy(frame, REQUEST_HOSTS_MAX, &memory);
    request->deadline_ms = wire_get_u32(frame);
    flags = get_bool(frame, &request->read_only) && flags;
    if (wire_end(frame) < 0 || !flags || (!request->has_body && request->body_len > 0))
        return -EPROTO;
    if (request->connector_fqn && request->connector_fqn[0] == '\0')
        return -EPROTO;
    request->body = malloc(request->body_len + 1);
    if (!memory || !request->body)
        return -ENOMEM;
    if (request->body_len > 0)
        memcpy(request->body, body, request->body_len);
    if (request->deadline_ms > REQUEST_DEADLINE_MAX_MS)
        request->deadline_ms = REQUEST_DEADLINE_MAX_MS;
    *ret_request = TAKE_PTR(request);
    return 0;
}

/* Name of the pool, URL and header fields of one of the keeper's own requests. */
static int own_fill(struct request *request, const char *url, const char *pool, const char *fields, struct err *err)
{
    int r = 0;

    request->connector_fqn = strdup("");
    request->binding = strdup(pool);
    request->url_text = strdup(url);
    if (!request->connector_fqn || !request->binding || !request->url_text)
        return -ENOMEM;
    r = url_parse(request->url_text, strlen(request->url_text), &request->url, err);
    if (r < 0)
        return r;
    if (!request->url.tls && !url_is_this_machine(&request->url))
        return err_set(err, EINVAL, "plain http to %s is refused: use https", request->url.host);
    r = headers_parse(fields, NULL, false, &request->headers, err);
    return r > 0 ? -EINVAL : r;
}

static int form_fill(struct request *request, const char *url, const char *pool, const struct secret *form, struct err *err)
{
    static const char fields[] = "Content-Type: application/x-www-form-urlencoded\nAccept: application/json\n";
    int r = own_fill(request, url, pool, fields, err);

    return r == 0 ? secret_from(secret_bytes(form), secret_len(form), &request->form) : r;
}

int request_form(const char *url, const char *pool, const struct secret *form, struct request **ret_request, struct err *err)
{
    CLEANUP_PTR(request_free) struct request *request = calloc(1, sizeof *request);
    int r = request ? form_fill(request, url, pool, form, err) : -ENOMEM;

    if (r == -ENOMEM)
        return err_set(err, ENOMEM, "the keeper has no memory left for this request");
    if (r < 0)
        return r;
    strncpy(request->method, "POST", sizeof request->method - 1);
    request->method_kind = METHOD_OTHER;
    request->has_body = true;
    *ret_request = TAKE_PTR(request);
    return 0;
}

static enum keeper_http_outcome method_check(struct request *request, struct vault *vault, struct err *err)
{
    request->method_kind = method_classify(request->method);
    if (request->method_kind == METHOD_UNKNOWN) {
        err_set(err, EINVAL, "the method is none of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        return KEEPER_HTTP_MALFORMED;
    }
    if (request->has_body && !strcmp(request->method, "HEAD")) {
        err_set(err, EINVAL, "a HEAD request has no body");
        return KEEPER_HTTP_MALFORMED;
    }
    if (request->read_only && request->method_kind != METHOD_SAFE) {
        err_set(err, EACCES, "a read-only step may only send GET and HEAD");
        return KEEPER_HTTP_DENIED;
    }
    return KEEPER_HTTP_DONE;
}

/* Plain http is for this machine alone, with a credential or without. */
static enum keeper_http_outcome url_check(struct request *request, struct vault *vault, struct err *err)
{
    if (url_parse(request->url_text, strlen(request->url_text), &request->url, err) < 0)
        return KEEPER_HTTP_MALFORMED;
    if (!request->url.tls && !url_is_this_machine(&request->url)) {
        err_set(err, EACCES, "plain http to %s is refused: use https", request->url.host);
        return KEEPER_HTTP_DENIED;
    }
    return KEEPER_HTTP_DONE;
}

static enum keeper_http_outcome hosts_check(struct request *request, struct vault *vault, struct err *err)
{
    char hostport[URL_HOSTPORT_MAX];

    if (hostlist_contains(request->allowed_hosts, &request->url))
        return KEEPER_HTTP_DONE;
    err_set(err, EACCES, "%s is not among the hosts of the connector's manifest", url_hostport(&request->url, hostport));
    return KEEPER_HTTP_DENIED;
}

static enum keeper_http_outcome fields_check(struct request *request, const char *credential_header, struct err *err)
{
    int r = headers_parse(request->header_text, credential_header, request->read_only, &request->headers, err);

    if (r < 0)
        return KEEPER_HTTP_NETWORK;
    return r == 0 ? KEEPER_HTTP_DONE : r == HEADERS_DENIED ? KEEPER_HTTP_DENIED : KEEPER_HTTP_MALFORMED;
}

static enum keeper_http_outcome loan_take(struct request *request, struct vault *vault, struct vault_loan *loan, struct err *err)
{
    char origin[URL_ORIGIN_MAX];
    int r = vault_lend(vault, request->binding, request->connector_fqn, loan, err);

    if (r != 0)
        return r == VAULT_NO_BINDING ? KEEPER_HTTP_BINDING_REQUIRED : KEEPER_HTTP_BINDING_FAILED;
    if (!grant_covers(loan->grant, &request->url)) {
        err_set(err, EACCES, "the credential was not granted for %s", url_origin(&request->url, origin));
        return KEEPER_HTTP_DENIED;
    }
    return KEEPER_HTTP_DONE;
}

/* Header rules and the grant belong together: which header is forbidden follows from the grant. */
static enum keeper_http_outcome grant_check(struct request *request, struct vault *vault, struct err *err)
{
    struct vault_loan loan = { NULL, NULL };
    enum keeper_http_outcome outcome = KEEPER_HTTP_DONE;

    if (request->binding[0] == '\0')
        return fields_check(request, NULL, err);
    outcome = loan_take(request, vault, &loan, err);
    return outcome == KEEPER_HTTP_DONE ? fields_check(request, loan.grant->header, err) : outcome;
}

enum keeper_http_outcome request_check(struct request *request, struct vault *vault, struct err *err)
{
    static enum keeper_http_outcome (*const rules[])(struct request *, struct vault *, struct err *) = {
        method_check,
        url_check,
        hosts_check,
        grant_check,
    };

    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        enum keeper_http_outcome outcome = rules[i](request, vault, err);

        if (outcome != KEEPER_HTTP_DONE)
            return outcome;
    }
    return KEEPER_HTTP_DONE;
}

static void credential_reset(struct credential *credential)
{
    secret_free(credential->line);
    for (size_t i = 0; i < credential->tainted_len; i++)
        secret_free(credential->tainted[i]);
    *credential = (struct credential){ .line = NULL };
}

/* A text of a few bytes cannot be told from the rest of an answer; none is added then. */
static int tainted_add(struct credential *credential, const struct secret *secret)
{
    int r = 0;

    if (!secret || secret_len(secret) < GRANT_VALUE_MIN || secret_len(secret) > GRANT_VALUE_MAX)
        return 0;
    r = secret_from(secret_bytes(secret), secret_len(secret), &credential->tainted[credential->tainted_len]);
    if (r == 0)
        credential->tainted_len++;
    return r;
}

static int credential_fill(struct credential *credential, const struct vault_loan *loan)
{
    size_t value_at = 0;
    int r = grant_header_line(loan->grant, loan->value, &credential->line, &value_at);

    if (r == 0)
        r = tainted_add(credential, loan->value);
    if (r == 0)
        r = tainted_add(credential, loan->refresh);
    if (r == 0)
        r = tainted_add(credential, loan->client_secret);
    credential->expires_unix_s = loan->expires_unix_s;
    credential->generation = loan->generation;
    credential->refreshable = loan->refresh != NULL;
    return r;
}

enum keeper_http_outcome request_credential(struct request *request, struct vault *vault, struct err *err)
{
    struct vault_loan loan = { NULL, NULL };
    enum keeper_http_outcome outcome = KEEPER_HTTP_DONE;

    /* What the keeper's own requests carry was given to them when they were made. */
    if (request->form || request->get.is_set)
        return KEEPER_HTTP_DONE;
    credential_reset(&request->credential);
    if (request->binding[0] == '\0')
        return KEEPER_HTTP_DONE;
    outcome = loan_take(request, vault, &loan, err);
    if (outcome != KEEPER_HTTP_DONE)
        return outcome;
    if (headers_have(&request->headers, loan.grant->header)) {
        err_set(err, EACCES, "%s is the header of the credential: a request may not carry its own", loan.grant->header);
        return KEEPER_HTTP_DENIED;
    }
    if (credential_fill(&request->credential, &loan) < 0) {
        credential_reset(&request->credential);
        err_set(err, ENOMEM, "the keeper has no protected memory left for this request");
        return KEEPER_HTTP_NETWORK;
    }
    return KEEPER_HTTP_DONE;
}

enum keeper_http_outcome request_redirect(struct request *request, const char *location, struct err *err)
{
    struct url url;
    char *text = NULL;

    if (request->method_kind != METHOD_SAFE) {
        err_set(err, EACCES, "the answer redirects a %s request, which is never sent again", request->method);
        return KEEPER_HTTP_REDIRECT_REFUSED;
    }
    if (url_parse(location, strlen(location), &url, NULL) < 0 ||
        !(request->get.follows ? url.tls || url_same_origin(&url, &request->url) : url_same_origin(&url, &request->url))) {
        err_set(err, EACCES, "the answer of %s redirects to %s", request->url.host,
            request->get.follows ? "something that is not https" : "another origin");
        return KEEPER_HTTP_REDIRECT_REFUSED;
    }
    text = strdup(location);
    if (!text) {
        err_set(err, ENOMEM, "out of memory");
        return KEEPER_HTTP_NETWORK;
    }
    url.target = text + (url.target - location);
    free(request->url_text);
    request->url_text = text;
    request->url = url;
    return KEEPER_HTTP_DONE;
}

/* "Authorization: Bearer TOKEN" without a grant of the person's: for the one built-in use, the forge's API. */
static int token_take(struct credential *credential, const struct secret *token)
{
    static const char before[] = "Authorization: Bearer ";
    uint8_t *at = NULL;
    int r = secret_new(sizeof before - 1 + secret_len(token) + 1, &credential->line);

    if (r < 0)
        return r;
    at = mempcpy(secret_data(credential->line), before, sizeof before - 1);
    memcpy(at, secret_bytes(token), secret_len(token));
    return tainted_add(credential, token);
}

static int get_fill(struct request *request, const struct request_download *what, struct err *err)
{
    CLEANUP(buf_free) struct buf fields = BUF_INIT(LIMIT_HTTP_HEADER_BYTES);
    int r = 0;

    if (what->accept[0])
        r = buf_printf(&fields, "Accept: %s\n", what->accept);
    if (r == 0 && what->etag[0])
        r = buf_printf(&fields, "If-None-Match: %s\n", what->etag);
    if (r == 0)
        r = own_fill(request, what->url, what->pool, buf_str(&fields), err);
    if (r == 0 && what->token)
        r = token_take(&request->credential, what->token);
    request->get = (struct request_get){ true, what->follows && !what->token, what->answer_max };
    return r;
}

int request_get(const struct request_download *what, struct request **ret_request, struct err *err)
{
    CLEANUP_PTR(request_free) struct request *request = calloc(1, sizeof *request);
    int r = request ? get_fill(request, what, err) : -ENOMEM;

    if (r == -ENOMEM || r == -E2BIG)
        return err_set(err, ENOMEM, "the keeper has no memory left for this request");
    if (r < 0)
        return r;
    strncpy(request->method, "GET", sizeof request->method - 1);
    request->method_kind = METHOD_SAFE;
    *ret_request = TAKE_PTR(request);
    return 0;
}

void request_free(struct request *request)
{
    if (!request)
        return;
    free(request->connector_fqn);
    free(request->binding);
    free(request->url_text);
    free(request->header_text);
    headers_free(&request->headers);
    free(request->allowed_hosts);
    free(request->body);
    secret_free(request->form);
    credential_reset(&request->credential);
    free(request);
}
