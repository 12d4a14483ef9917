/*
 * Sets up curl for one exchange and takes its callbacks. Owned here: the easy
 * handle, the lists that curl borrows, the body so far. The header list is made by hand
 * so that the line with the credential stays in secret memory.
 */
#include "keeper/exchange.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/magic.h"
#include "keeper/retry.h"
#include "keeper/taint.h"

#include "base/banned.h"

#define EXCHANGE_MAGIC 0x6b657863u
/* What the keeper adds to the connector's lines: credential, Accept-Encoding, User-Agent, Expect, Content-Type. */
#define OWN_LINES  5
#define USER_AGENT "User-Agent: aileron/" AILERON_VERSION

/* Why a callback stopped the transfer; curl's own code then says no more than "stopped". */
enum stop { STOP_NONE, STOP_ADDRESS, STOP_TOO_LARGE, STOP_HEADERS, STOP_ENCODED, STOP_AGAIN, STOP_MEMORY };

struct exchange {
    uint32_t magic;
    struct pool *pool;
    const struct request *request;
    X509_STORE *store;
    bool any_address;
    CURL *easy;
    bool added;
    bool ended;
    char *url;
    struct header_lines {
        char *text; /* the connector's lines, NUL-terminated one after the other */
        struct curl_slist *nodes;
        size_t len;
    } lines;
    struct curl_slist *resolve;
    struct curl_slist *connect_to;
    struct taint *taint;
    struct buf body;
    struct secret *answer; /* of one of the keeper's own requests, instead of body; its room is there from the start */
    uint64_t body_bytes;
    char etag[EXCHANGE_ETAG_MAX]; /* of a download; "" = none */
    bool rate_is_spent;           /* X-RateLimit-Remaining: 0 */
    int64_t rate_reset_ms;        /* until X-RateLimit-Reset; -1: not said */
    size_t header_bytes;
    int64_t retry_after_ms;
    bool asked; /* the connection stood and the request was about to be written */
    enum stop stop;
    const char *refusal;
};

/* ---- callbacks ---- */

static bool address_permitted(struct exchange *exchange, const struct address *address)
{
    const char *refusal = exchange->any_address ? NULL : address_refusal(address);

    if (refusal) {
        exchange->stop = STOP_ADDRESS;
        exchange->refusal = refusal;
    }
    return refusal == NULL;
}

static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct exchange *exchange = MAGIC_CAST(struct exchange, userdata, EXCHANGE_MAGIC);
    struct address address;

    if (purpose != CURLSOCKTYPE_IPCXN || !address_from_sockaddr(&to->addr, to->addrlen, &address) ||
        !address_permitted(exchange, &address))
        return CURL_SOCKET_BAD;
    return socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
}

/*
 * Runs when a connection, new or reused, is about to carry the request. Its peer is checked once more; a second time means that
 * curl would send the request again by itself, which is the broker's decision alone.
 */
static int on_prereq(void *userdata, char *peer, char *local, int peer_port, int local_port)
{
    struct exchange *exchange = MAGIC_CAST(struct exchange, userdata, EXCHANGE_MAGIC);
    struct address address;

    if (exchange->asked) {
        exchange->stop = STOP_AGAIN;
        return CURL_PREREQFUNC_ABORT;
    }
    if (!peer || !address_parse(peer, &address)) {
        exchange->stop = STOP_ADDRESS;
        exchange->refusal = "an unknown address";
        return CURL_PREREQFUNC_ABORT;
    }
    if (!address_permitted(exchange, &address))
        return CURL_PREREQFUNC_ABORT;
    exchange->asked = true;
    return CURL_PREREQFUNC_OK;
}

static CURLcode on_ssl_ctx(CURL *easy, void *ssl_ctx, void *userdata)
{
    struct exchange *exchange = MAGIC_CAST(struct exchange, userdata, EXCHANGE_MAGIC);

    SSL_CTX_set1_cert_store(ssl_ctx, exchange->store);
    SSL_CTX_set_options(ssl_ctx, SSL_OP_CLEANSE_PLAINTEXT);
    return CURLE_OK;
}

static size_t body_max(const struct exchange *exchange)
{
    return exchange->answer                ? EXCHANGE_ANSWER_MAX
           : exchange->request->get.is_set ? exchange->request->get.answer_max
                                           : LIMIT_RESPONSE_BYTES;
}

static size_t on_body(char *data, size_t size, size_t count, void *userdata)
{
    struct exchange *exchange = MAGIC_CAST(struct exchange, userdata, EXCHANGE_MAGIC);
    size_t len = size * count;
    int r = 0;

    exchange->body_bytes += len;
    if (exchange->body_bytes > body_max(exchange))
        r = -E2BIG;
    else if (exchange->answer)
        memcpy(secret_data(exchange->answer) + exchange->body_bytes - len, data, len);
    else if (exchange->taint)
        r = taint_add(exchange->taint, data, len, &exchange->body);
    else
        r = buf_add(&exchange->body, data, len);
    if (r < 0)
        exchange->stop = r == -E2BIG ? STOP_TOO_LARGE : STOP_MEMORY;
    return r < 0 ? 0 : len;
}

/* The value when `line` is this header field, else NULL. */
static const char *field_value(const char *line, size_t len, const char *name, size_t *ret_len)
{
    size_t name_len = strlen(name);

    if (len <= name_len || strncasecmp(line, name, name_len) != 0 || line[name_len] != ':')
        return NULL;
    *ret_len = len - name_len - 1;
    return line + name_len + 1;
}

static bool is_compressed(const char *value, size_t len)
{
    static const char *const codings[] = { "gzip", "deflate", "br", "zstd", "compress", "x-gzip", "x-compress" };

    for (size_t i = 0; i < ARRAY_LEN(codings); i++)
        for (size_t at = 0; at + strlen(codings[i]) <= len; at++)
            if (!strncasecmp(value + at, codings[i], strlen(codings[i])))
                return true;
    return false;
}

/* What a download also wants to know: the version of what it got, and when a spent rate limit ends (the forge's own headers). */
static void on_download_header(struct exchange *exchange, const char *data, size_t len)
{
    const char *value = NULL;
    size_t value_len = 0;

    if ((value = field_value(data, len, "ETag", &value_len))) {
        while (value_len > 0 && *value == ' ')
            value++, value_len--;
        while (value_len > 0 && strchr(" \r\n", value[value_len - 1]))
            value_len--;
        if (value_len < sizeof exchange->etag && header_value_is_valid(value, value_len)) {
            memcpy(exchange->etag, value, value_len);
            exchange->etag[value_len] = '\0';
        }
    } else if ((value = field_value(data, len, "X-RateLimit-Remaining", &value_len))) {
        exchange->rate_is_spent = strtoll(value, NULL, 10) == 0;
    } else if ((value = field_value(data, len, "X-RateLimit-Reset", &value_len))) {
        exchange->rate_reset_ms = rate_reset_parse(value, value_len, clock_unix_ms());
    }
}

/*
 * Header lines, those of interim answers and trailers too. Only Retry-After is used (and what a download wants); the rest never
 * leaves the keeper.
 */
static size_t on_header(char *data, size_t size, size_t count, void *userdata)
{
    struct exchange *exchange = MAGIC_CAST(struct exchange, userdata, EXCHANGE_MAGIC);
    size_t len = size * count, value_len = 0;
    const char *value = NULL;

    exchange->header_bytes += len;
    if (exchange->header_bytes > LIMIT_HTTP_HEADER_BYTES) {
        exchange->stop = STOP_HEADERS;
        return 0;
    }
    if (len >= 5 && !memcmp(data, "HTTP/", 5))
        exchange->retry_after_ms = -1;
    if (exchange->request->get.is_set)
        on_download_header(exchange, data, len);
    if ((value = field_value(data, len, "Retry-After", &value_len)))
        exchange->retry_after_ms = retry_after_parse(value, value_len, clock_unix_ms());
    /* In a compressed answer, sent though none was asked for, an echo of the credential could not be seen. */
    if ((exchange->taint || exchange->answer) && (value = field_value(data, len, "Content-Encoding", &value_len)) &&
        is_compressed(value, value_len)) {
        exchange->stop = STOP_ENCODED;
        return 0;
    }
    return len;
}

/* ---- set-up ---- */

static void line_append(struct header_lines *lines, const char *line)
{
    struct curl_slist *node = &lines->nodes[lines->len];

    /* curl reads the list and does not change it. */
    *node = (struct curl_slist){ (char *) line, NULL };
    if (lines->len > 0)
        lines->nodes[lines->len - 1].next = node;
    lines->len++;
}

/* curl's notation: "Name: value", and "Name;" for an empty value. */
static int lines_make(struct exchange *exchange)
{
    const struct request *request = exchange->request;
    const struct header_list *headers = &request->headers;
    struct header_lines *lines = &exchange->lines;
    size_t total = 1;
    char *at = NULL;

    for (size_t i = 0; i < headers->len; i++)
        total += strlen(headers->items[i].name) + strlen(headers->items[i].value) + 3;
    lines->text = at = malloc(total);
    lines->nodes = calloc(headers->len + OWN_LINES, sizeof *lines->nodes);
    if (!lines->text || !lines->nodes)
        return -ENOMEM;
    for (size_t i = 0; i < headers->len; i++) {
        const struct header *header = &headers->items[i];
        int n = snprintf(at, total, header->value[0] ? "%s: %s" : "%s;", header->name, header->value);

        line_append(lines, at);
        at += n + 1;
        total -= (size_t) n + 1;
    }
    if (request->credential.line)
        line_append(lines, (const char *) secret_bytes(request->credential.line));
    line_append(lines, "Accept-Encoding: identity");
    line_append(lines, "Expect:");
    if (!headers_have(headers, "User-Agent"))
        line_append(lines, USER_AGENT);
    if (!headers_have(headers, "Content-Type"))
        line_append(lines, "Content-Type:");
    return 0;
}

static int url_make(struct exchange *exchange)
{
    const struct url *url = &exchange->request->url;
    char origin[URL_ORIGIN_MAX];

    if (asprintf(&exchange->url, "%s%s%.*s", url_origin(url, origin), url->target_len && url->target[0] == '/' ? "" : "/",
            (int) url->target_len, url->target) < 0) {
        exchange->url = NULL;
        return -ENOMEM;
    }
    return 0;
}

/* curl must read scheme, host and port exactly as we did. */
static bool curl_agrees(const struct exchange *exchange)
{
    const struct url *url = &exchange->request->url;
    CURLU *view = curl_url();
    char *scheme = NULL, *host = NULL, *port = NULL, *user = NULL;
    char hostport[URL_HOSTPORT_MAX], seen[2 * URL_HOSTPORT_MAX];
    bool agrees = false;

    if (view && curl_url_set(view, CURLUPART_URL, exchange->url, CURLU_PATH_AS_IS | CURLU_DISALLOW_USER) == CURLUE_OK &&
        curl_url_get(view, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
        curl_url_get(view, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        curl_url_get(view, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK &&
        curl_url_get(view, CURLUPART_USER, &user, 0) == CURLUE_NO_USER) {
        snprintf(seen, sizeof seen, "%s:%s", host, port);
        agrees = !strcmp(scheme, url->tls ? "https" : "http") && !strcmp(seen, url_hostport(url, hostport));
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(user);
    curl_url_cleanup(view);
    return agrees;
}

static int slist_add(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);

    if (!longer)
        return -ENOMEM;
    *list = longer;
    return 0;
}

/* Pins the checked addresses for the name that curl will look for; an address in the URL needs none. */
static int pins_make(struct exchange *exchange, const struct route *route)
{
    const struct url *to = route->connect_to ? &route->connect_to->to : &exchange->request->url;
    CLEANUP(buf_free) struct buf text = BUF_INIT(4096);
    char hostport[URL_HOSTPORT_MAX], address[ADDRESS_TEXT_MAX];
    int r = 0;

    if (route->connect_to) {
        char from[URL_HOSTPORT_MAX];

        r = buf_printf(&text, "%s:%s", url_hostport(&route->connect_to->from, from), url_hostport(to, hostport));
        if (r == 0)
            r = slist_add(&exchange->connect_to, buf_str(&text));
        buf_reset(&text);
    }
    if (r < 0 || to->host_kind != URL_HOST_NAME)
        return r;
    r = buf_add_str(&text, url_hostport(to, hostport));
    for (size_t i = 0; r == 0 && i < route->addresses.len; i++)
        r = buf_printf(&text, "%c%s", i == 0 ? ':' : ',', address_format(&route->addresses.items[i], address));
    return r < 0 ? r : slist_add(&exchange->resolve, buf_str(&text));
}

static bool set_fixed(CURL *easy)
{
    static const struct {
        CURLoption option;
        long value;
    } fixed[] = {
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_FOLLOWLOCATION, 0 },
        { CURLOPT_DISALLOW_USERNAME_IN_URL, 1 },
        { CURLOPT_PATH_AS_IS, 1 },
        { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
        { CURLOPT_HTTP09_ALLOWED, 0 },
        { CURLOPT_HTTP_CONTENT_DECODING, 0 },
        { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
        { CURLOPT_SSL_VERIFYPEER, 1 },
        { CURLOPT_SSL_VERIFYHOST, 2 },
        { CURLOPT_NETRC, CURL_NETRC_IGNORED },
        { CURLOPT_MAXAGE_CONN, POOL_IDLE_MS / 1000 },
        { CURLOPT_BUFFERSIZE, 64 * 1024 },
    };
    static const struct {
        CURLoption option;
        const char *value;
    } texts[] = {
        { CURLOPT_PROXY, "" },
        { CURLOPT_NOPROXY, "*" },
        { CURLOPT_REDIR_PROTOCOLS_STR, "https" },
        { CURLOPT_CAINFO, NULL },
        { CURLOPT_CAPATH, NULL },
        { CURLOPT_ACCEPT_ENCODING, NULL },
    };
    bool good = true;

    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        good = good && curl_easy_setopt(easy, fixed[i].option, fixed[i].value) == CURLE_OK;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        good = good && curl_easy_setopt(easy, texts[i].option, texts[i].value) == CURLE_OK;
    return good;
}

static bool set_callbacks(struct exchange *exchange)
{
    CURL *easy = exchange->easy;

    return curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, exchange) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_prereq) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQDATA, exchange) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_ssl_ctx) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, exchange) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, exchange) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, exchange) == CURLE_OK;
}

/* POST, PUT and PATCH always say how long their body is, if only 0. */
static bool set_method(struct exchange *exchange)
{
    const struct request *request = exchange->request;
    CURL *easy = exchange->easy;
    bool with_length = request->has_body || request->method[0] == 'P';
    const void *body = request->form ? secret_bytes(request->form) : request->body;
    size_t len = request->form ? secret_len(request->form) : request->body_len;
    bool good = true;

    if (with_length) /* curl reads the body where it is */
        good = curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) len) == CURLE_OK &&
               curl_easy_setopt(easy, CURLOPT_POSTFIELDS, (const char *) body) == CURLE_OK;
    else if (!strcmp(request->method, "HEAD"))
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1l) == CURLE_OK;
    else
        good = curl_easy_setopt(easy, CURLOPT_HTTPGET, 1l) == CURLE_OK;
    if (good && request->method_kind != METHOD_SAFE)
        /* A kept connection may be closing: a request that must not be sent twice gets a fresh one. */
        good = curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1l) == CURLE_OK;
    return good && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
}

static bool set_lists(struct exchange *exchange, int64_t timeout_ms)
{
    CURL *easy = exchange->easy;

    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, exchange->request->url.tls ? "https" : "http") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_URL, exchange->url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->lines.nodes) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_RESOLVE, exchange->resolve) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECT_TO, exchange->connect_to) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long) timeout_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long) timeout_ms) == CURLE_OK;
}

/* An answer is made safe to pass on, or, when it is itself a secret, kept as one. */
static int taint_make(struct exchange *exchange)
{
    const struct credential *credential = &exchange->request->credential;

    if (exchange->request->form)
        return secret_new(EXCHANGE_ANSWER_MAX, &exchange->answer);
    if (!credential->line)
        return 0;
    return taint_new((const struct secret *const *) credential->tainted, credential->tainted_len, &exchange->taint);
}

enum keeper_http_outcome exchange_start(struct pool *pool, const struct request *request, const struct route *route,
    X509_STORE *store, int64_t timeout_ms, void *userdata, struct exchange **ret_exchange, struct err *err)
{
    CLEANUP_PTR(exchange_free) struct exchange *exchange = calloc(1, sizeof *exchange);

    if (!exchange) {
        err_set(err, ENOMEM, "out of memory");
        return KEEPER_HTTP_NETWORK;
    }
    exchange->magic = EXCHANGE_MAGIC;
    exchange->pool = pool;
    exchange->request = request;
    exchange->store = store;
    exchange->any_address = route->any_address;
    exchange->retry_after_ms = exchange->rate_reset_ms = -1;
    exchange->body = (struct buf) BUF_INIT(body_max(exchange));
    exchange->easy = curl_easy_init();
    if (!exchange->easy || url_make(exchange) < 0 || lines_make(exchange) < 0 || pins_make(exchange, route) < 0 ||
        taint_make(exchange) < 0) {
        err_set(err, ENOMEM, "the keeper could not prepare the request");
        return KEEPER_HTTP_NETWORK;
    }
    if (!curl_agrees(exchange)) {
        err_set(err, EINVAL, "the URL can be read in two ways");
        return KEEPER_HTTP_MALFORMED;
    }
    if (!set_fixed(exchange->easy) || !set_callbacks(exchange) || !set_lists(exchange, timeout_ms) || !set_method(exchange) ||
        pool_add(pool, exchange->easy, userdata) < 0) {
        err_set(err, EIO, "the keeper could not prepare the request");
        return KEEPER_HTTP_NETWORK;
    }
    exchange->added = true;
    *ret_exchange = TAKE_PTR(exchange);
    return KEEPER_HTTP_DONE;
}

/* ---- the end ---- */

static const char *code_words(CURLcode code)
{
    static const struct {
        CURLcode code;
        const char *words;
    } table[] = {
        { CURLE_COULDNT_CONNECT, "could not connect to" },
        { CURLE_OPERATION_TIMEDOUT, "no complete answer in time from" },
        { CURLE_SSL_CONNECT_ERROR, "TLS failed with" },
        { CURLE_PEER_FAILED_VERIFICATION, "the certificate is not trusted or for another name:" },
        { CURLE_GOT_NOTHING, "the connection closed without an answer:" },
        { CURLE_RECV_ERROR, "the connection broke while receiving from" },
        { CURLE_SEND_ERROR, "the connection broke while sending to" },
        { CURLE_PARTIAL_FILE, "the answer ended early:" },
        { CURLE_WEIRD_SERVER_REPLY, "the answer is not HTTP:" },
        { CURLE_UNSUPPORTED_PROTOCOL, "the answer is not HTTP:" },
        { CURLE_BAD_CONTENT_ENCODING, "the answer is not well-formed HTTP:" },
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].code == code)
            return table[i].words;
    return NULL;
}

static enum keeper_http_outcome stop_outcome(const struct exchange *exchange, const char *hostport, struct err *err)
{
    switch (exchange->stop) {
    case STOP_ADDRESS:
        err_set(err, EACCES, "%s is at %s, which requests may not reach", hostport, exchange->refusal);
        return KEEPER_HTTP_DENIED;
    case STOP_TOO_LARGE:
        err_set(err, E2BIG, "the answer of %s is longer than %zu bytes", hostport, body_max(exchange));
        return KEEPER_HTTP_TOO_LARGE;
    case STOP_HEADERS:
        err_set(err, E2BIG, "the answer of %s has more than %u bytes of headers", hostport, LIMIT_HTTP_HEADER_BYTES);
        return KEEPER_HTTP_TOO_LARGE;
    case STOP_ENCODED:
        err_set(err, EPROTO, "%s sent a compressed answer that was not asked for", hostport);
        return KEEPER_HTTP_NETWORK;
    case STOP_MEMORY:
        err_set(err, ENOMEM, "the keeper has no memory left for the answer of %s", hostport);
        return KEEPER_HTTP_NETWORK;
    case STOP_AGAIN:
    case STOP_NONE:
    default:
        err_set(err, EPIPE, "the connection closed without an answer: %s", hostport);
        return KEEPER_HTTP_NETWORK;
    }
}

static enum keeper_http_outcome code_outcome(const struct exchange *exchange, CURLcode code, struct err *err)
{
    char hostport[URL_HOSTPORT_MAX];
    const char *words = code_words(code);

    url_hostport(&exchange->request->url, hostport);
    if (exchange->stop != STOP_NONE)
        return stop_outcome(exchange, hostport, err);
    if (words)
        err_set(err, EIO, "%s %s", words, hostport);
    else
        err_set(err, EIO, "the exchange with %s failed (curl %d)", hostport, (int) code);
    return KEEPER_HTTP_NETWORK;
}

void exchange_finish(struct exchange *exchange, CURLcode code, struct exchange_result *ret_result)
{
    struct exchange_result result = { .retry_after_ms = exchange->retry_after_ms, .may_have_left = exchange->asked };
    char *location = NULL;
    long status = 0;

    exchange->ended = true;
    if (exchange->answer)
        secret_cut(exchange->answer, code == CURLE_OK ? exchange->body_bytes : 0);
    if (code == CURLE_OK && exchange->taint && taint_end(exchange->taint, &exchange->body) < 0) {
        exchange->stop = STOP_TOO_LARGE;
        code = CURLE_WRITE_ERROR;
    }
    curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK) {
        curl_easy_getinfo(exchange->easy, CURLINFO_REDIRECT_URL, &location);
        result.outcome = KEEPER_HTTP_DONE;
        result.status = (uint32_t) status;
        result.location = location;
        if (result.retry_after_ms < 0 && exchange->rate_is_spent)
            result.retry_after_ms = exchange->rate_reset_ms;
    } else {
        result.outcome = code_outcome(exchange, code, &result.err);
        buf_reset(&exchange->body);
    }
    *ret_result = result;
}

const struct buf *exchange_body(const struct exchange *exchange)
{
    return &exchange->body;
}

const char *exchange_etag(const struct exchange *exchange)
{
    return exchange->etag;
}

uint64_t exchange_received(const struct exchange *exchange, uint64_t *ret_total)
{
    curl_off_t total = -1;

    curl_easy_getinfo(exchange->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &total);
    *ret_total = total > 0 ? (uint64_t) total : 0;
    return exchange->body_bytes;
}

const struct secret *exchange_answer(const struct exchange *exchange)
{
    return exchange->answer;
}

bool exchange_may_have_left(const struct exchange *exchange)
{
    return exchange->asked;
}

void exchange_free(struct exchange *exchange)
{
    if (!exchange)
        return;
    if (exchange->added && !exchange->ended)
        pool_remove(exchange->pool, exchange->easy);
    if (exchange->easy)
        curl_easy_cleanup(exchange->easy);
    curl_slist_free_all(exchange->resolve);
    curl_slist_free_all(exchange->connect_to);
    free(exchange->lines.text);
    free(exchange->lines.nodes);
    free(exchange->url);
    taint_free(exchange->taint);
    buf_free(&exchange->body);
    secret_free(exchange->answer);
    free(exchange);
}
