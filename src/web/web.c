/*
 * The HTTP door on libevent's evhttp: two servers, one on the owner's socket and
 * one on 127.0.0.1, with the same routes. A request is checked (framing, Host,
 * Origin, who), turned into an api_request, and answered when the broker replies.
 *
 * Owns the listeners and a list of requests that wait for their answer. evhttp
 * owns the requests themselves: one whose client went away is detached by evhttp
 * and freed by the reply that we still send.
 */
#include "web/web.h"

#include "base/json.h"
#include "base/magic.h"
#include "broker/api.h"
#include "loop/loop.h"
#include "session/session.h"
#include "web/assets.h"
#include "web/events.h"
#include "web/exchange.h"
#include "web/guard.h"
#include "web/page.h"
#include "web/routes.h"
#include "wire/limits.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/banned.h"

#define WEB_MAGIC     0x57454231u
#define DOOR_MAGIC    0x57444f52u
#define REQUEST_MAGIC 0x57524551u

#define RECOUNT_MS    1000
/* Descriptors up to which the owner's own socket accepts: clients of the other doors cannot use them up. */
#define OWNER_CEILING (4 * LIMIT_CLIENTS)
#define WAIT_MAX_MS   3600000

struct web_request {
    uint32_t magic;
    struct web *web;
    struct exchange *exchange;
    struct api_reply *reply;
    bool page; /* answered with a page */
    TAILQ_ENTRY(web_request) link;
};

struct door {
    uint32_t magic;
    struct web *web;
    bool tcp;
    size_t ceiling; /* accepts while fewer descriptors than this are open */
    struct evhttp *server;
    struct evconnlistener *listener;
    unsigned accepts_left; /* until the open descriptors are counted again */
};

struct web {
    uint32_t magic;
    struct broker *broker;
    unsigned port;
    struct door doors[2]; /* 0: owner's socket, 1: TCP */
    struct loop_timer *recount;
    struct events *events;
    web_mount_fn *mount; /* NULL: nothing is served there */
    void *mount_userdata;
    TAILQ_HEAD(, web_request) waiting;
};

/* ---- answers ---- */

static void add_common_headers(struct evhttp_request *http, const char *type)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);

    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
}

static void send_json(struct evhttp_request *http, int status, const json_t *body)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SIZE_MAX / 4);
    struct evbuffer *out = evbuffer_new();

    if (body && (json_write(body, &text) < 0 || buf_add_char(&text, '\n') < 0))
        status = 500;
    if (out)
        evbuffer_add(out, buf_str(&text), text.len);
    add_common_headers(http, "application/json");
    evhttp_send_reply(http, status, NULL, out);
    if (out)
        evbuffer_free(out);
}

/* A page for a browser: it loads nothing, tells nobody where it came from and is not kept. */
static void send_page(struct evhttp_request *http, int status, const json_t *answer)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    CLEANUP(buf_free) struct buf text = BUF_INIT(256 * KIB);
    struct evbuffer *out = evbuffer_new();
    char csp[PAGE_CSP_MAX];

    if (!out || page_render(answer, &text) < 0 || !page_csp(csp)) {
        evhttp_send_reply(http, 500, NULL, NULL);
    } else {
        evbuffer_add(out, buf_str(&text), text.len);
        add_common_headers(http, "text/html; charset=utf-8");
        evhttp_add_header(headers, "Content-Security-Policy", csp);
        evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
        evhttp_add_header(headers, "X-Frame-Options", "DENY");
        evhttp_add_header(headers, "Cross-Origin-Opener-Policy", "same-origin");
        evhttp_send_reply(http, status, NULL, out);
    }
    if (out)
        evbuffer_free(out);
}

static void send_error(struct evhttp_request *http, int status, const char *code, const char *message)
{
    CLEANUP_JSON json_t *body = json_pack("{s:{s:s,s:s}}", "error", "code", code, "message", message);

    send_json(http, status, body);
}

/* A file of the web app. What is in it is nobody's secret; everything of the owner's comes through the API. */
static void send_asset(struct evhttp_request *http, const struct asset *asset)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    const char *known = evhttp_find_header(evhttp_request_get_input_headers(http), "If-None-Match");
    struct evbuffer *out = evbuffer_new();

    evhttp_add_header(headers, "Content-Type", asset->type);
    evhttp_add_header(headers, "Cache-Control", "no-cache");
    evhttp_add_header(headers, "ETag", asset->etag);
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_add_header(headers, "Content-Security-Policy", ASSETS_CSP);
    evhttp_add_header(headers, "Referrer-Policy", "no-referrer");
    evhttp_add_header(headers, "X-Frame-Options", "DENY");
    evhttp_add_header(headers, "Cross-Origin-Opener-Policy", "same-origin");
    evhttp_add_header(headers, "Cross-Origin-Resource-Policy", "same-origin");
    evhttp_add_header(headers, "Cross-Origin-Embedder-Policy", "require-corp");
    bool same = known && !strcmp(known, asset->etag);
    if (!out || (!same && evbuffer_add_reference(out, asset->data, asset->size, NULL, NULL) < 0))
        evhttp_send_reply(http, 500, NULL, NULL);
    else
        evhttp_send_reply(http, same ? 304 : 200, NULL, same ? NULL : out);
    if (out)
        evbuffer_free(out);
}

static void request_free(struct web_request *request)
{
    TAILQ_REMOVE(&request->web->waiting, request, link);
    request->magic = 0;
    free(request);
}

/* The broker's answer to a request that waited. */
static void on_reply(void *userdata, int status, json_t *body)
{
    struct web_request *request = MAGIC_CAST(struct web_request, userdata, REQUEST_MAGIC);
    struct evhttp_request *http = exchange_take(request->exchange);

    if (request->page)
        send_page(http, status, body);
    else
        send_json(http, status, body);
    json_decref(body);
    request_free(request);
}

/* Nobody waits for the answer any more; what runs or waits for a person goes on. */
static void on_client_gone(void *userdata)
{
    struct web_request *request = MAGIC_CAST(struct web_request, userdata, REQUEST_MAGIC);
    struct api_reply *reply = request->reply;

    request_free(request);
    api_reply_abandon(reply);
}

/* ---- reading a request ---- */

static const char *header(struct evhttp_request *http, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(http), name);
}

/* evhttp takes the first of two lengths and a length beside a transfer encoding; two readers could disagree, so neither is accepted. */
static bool framing_is_clear(struct evhttp_request *http)
{
    const struct evkeyvalq *headers = evhttp_request_get_input_headers(http);
    unsigned lengths = 0, encodings = 0, hosts = 0, tokens = 0;

    for (const struct evkeyval *h = headers->tqh_first; h; h = h->next.tqe_next) {
        lengths += !strcasecmp(h->key, "Content-Length");
        encodings += !strcasecmp(h->key, "Transfer-Encoding");
        hosts += !strcasecmp(h->key, "Host");
        tokens += !strcasecmp(h->key, "Authorization");
    }
    return lengths + encodings <= 1 && hosts <= 1 && tokens <= 1;
}

/* Decoded path without query; NULL when it hides a slash or a NUL, or names another host. malloc'd. */
static char *request_path(struct evhttp_request *http)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    const char *raw = uri ? evhttp_uri_get_path(uri) : NULL;
    size_t len = 0;

    if (!raw || evhttp_uri_get_host(uri) || strcasestr(raw, "%2f"))
        return NULL;
    CLEANUP_FREE char *path = evhttp_uridecode(raw, 0, &len);
    return path && strlen(path) == len ? TAKE_PTR(path) : NULL;
}

/* The query as an object of strings; NULL when malformed or a key stands twice. */
static json_t *request_query(struct evhttp_request *http)
{
    const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(http);
    const char *raw = evhttp_uri_get_query(uri);
    struct evkeyvalq pairs = { NULL, NULL };
    CLEANUP_JSON json_t *query = json_object();
    bool good = query != NULL;

    if (!raw || !*raw)
        return TAKE_PTR(query);
    if (evhttp_parse_query_str(raw, &pairs) < 0)
        return NULL;
    for (const struct evkeyval *p = pairs.tqh_first; p && good; p = p->next.tqe_next)
        good = !json_object_get(query, p->key) && !json_object_set_new(query, p->key, json_string(p->value));
    evhttp_clear_headers(&pairs);
    return good ? TAKE_PTR(query) : NULL;
}

static bool content_type_is_json(struct evhttp_request *http)
{
    const char *type = header(http, "Content-Type");

    return type && !strncasecmp(type, "application/json", 16) && (!type[16] || type[16] == ';' || type[16] == ' ');
}

/* 0 with *ret_body (NULL: there was none), or an HTTP status after `err` was filled. */
static int request_body(struct evhttp_request *http, json_t **ret_body, struct err *err)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(http);
    size_t len = evbuffer_get_length(in);
    CLEANUP_JSON json_t *body = NULL;

    if (!len)
        return 0;
    if (!content_type_is_json(http)) {
        err_set(err, EINVAL, "the body must be sent as Content-Type: application/json");
        return 415;
    }
    int r = json_parse((const char *) evbuffer_pullup(in, -1), len, JSON_LIMITS(LIMIT_API_BODY_BYTES), &body, err);
    if (r < 0)
        return r == -E2BIG ? 413 : 400;
    if (!json_is_object(body)) {
        err_set(err, EINVAL, "the body must be a JSON object");
        return 400;
    }
    *ret_body = TAKE_PTR(body);
    return 0;
}

/* RFC 7240 `Prefer: wait=N`, in seconds. */
static int64_t request_wait_ms(struct evhttp_request *http)
{
    const char *prefer = header(http, "Prefer");
    const char *wait = prefer ? strcasestr(prefer, "wait=") : NULL;
    long seconds = wait ? strtol(wait + 5, NULL, 10) : 0;

    if (seconds <= 0)
        return 0;
    return seconds > WAIT_MAX_MS / 1000 ? WAIT_MAX_MS : seconds * 1000;
}

/* ---- who ---- */

static bool peer_is_owner(struct evhttp_request *http)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(http));
    struct ucred peer;
    socklen_t len = sizeof(peer);

    return !getsockopt(bufferevent_getfd(bev), SOL_SOCKET, SO_PEERCRED, &peer, &len) && peer.uid == geteuid();
}

/* Fills role and session; false when nobody known asks. A token on the owner's socket counts for what it is, not more. */
static bool identify(const struct door *door, struct evhttp_request *http, struct api_request *request)
{
    const char *token = guard_bearer(header(http, "Authorization"));

    request->role = API_OWNER;
    if (!token)
        return !door->tcp && !header(http, "Authorization") && peer_is_owner(http);
    if (broker_owner_token(door->web->broker, token) || (door->tcp && broker_web_key(door->web->broker, token)))
        return true;
    request->role = API_AGENT;
    request->session = broker_session(door->web->broker, token);
    return request->session != NULL;
}

/* ---- the request ---- */

static void call_api(
    const struct door *door, struct evhttp_request *http, const struct route *route, const struct api_request *request)
{
    struct web_request *waiting = calloc(1, sizeof(*waiting));
    struct exchange *exchange = waiting ? exchange_new(http) : NULL;
    struct api_reply *reply = exchange ? api_reply_new(on_reply, waiting) : NULL;

    if (!reply) {
        if (exchange)
            exchange_drop(exchange);
        free(waiting);
        send_error(http, 503, "out_of_memory", "the daemon is out of memory");
        return;
    }
    waiting->magic = REQUEST_MAGIC;
    waiting->web = door->web;
    waiting->exchange = exchange;
    waiting->reply = reply;
    waiting->page = route->page;
    TAILQ_INSERT_TAIL(&door->web->waiting, waiting, link);
    if (route->watched)
        exchange_watch(exchange, on_client_gone, waiting);
    route->function(door->web->broker, request, reply);
}

static const char *raw_query(struct evhttp_request *http)
{
    const char *raw = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(http));

    return raw ? raw : "";
}

/* Reads what the route needs and calls it. */
static void serve_route(const struct door *door, struct evhttp_request *http, const struct route *route, const char *name,
    struct api_request *request)
{
    CLEANUP_JSON json_t *query = route->page ? json_object() : request_query(http);
    CLEANUP_JSON json_t *body = NULL;
    struct err err = ERR_INIT;

    if (!query) {
        send_error(http, 400, "bad_query", "the query string is malformed or names a key twice");
        return;
    }
    int status = request_body(http, &body, &err);
    if (status) {
        send_error(http, status, "bad_body", err.message);
        return;
    }
    request->name = *name ? name : NULL;
    request->query = query;
    request->raw_query = raw_query(http);
    request->body = body;
    request->wait_ms = request_wait_ms(http);
    request->idempotency_key = header(http, "Idempotency-Key");
    call_api(door, http, route, request);
}

static bool refuse_foreign(const struct door *door, struct evhttp_request *http)
{
    switch (guard_check(door->tcp, door->web->port, header(http, "Host"), header(http, "Origin"))) {
    case GUARD_FOREIGN_HOST:
        send_error(http, 403, "foreign_host", "this address answers only to its own name");
        return true;
    case GUARD_FOREIGN_ORIGIN:
        send_error(http, 403, "foreign_origin", "a page of another origin may not use this address");
        return true;
    default:
        return false;
    }
}

static void serve_events(const struct door *door, struct evhttp_request *http)
{
    add_common_headers(http, "text/event-stream");
    if (events_open(door->web->events, http) < 0) {
        evhttp_clear_headers(evhttp_request_get_output_headers(http));
        send_error(http, 503, "too_many_streams", "too many watch the events; close a window");
    }
}

/* A session's own: another folder answers. */
static void serve_mount(const struct door *door, struct evhttp_request *http, const struct session *session)
{
    const struct web *web = door->web;
    struct exchange *exchange = web->mount ? exchange_new(http) : NULL;

    if (exchange)
        web->mount(web->mount_userdata, exchange, session->id);
    else
        send_error(http, 503, "not_ready", "this path is not served now");
}

/* True when the path is one of the web app's and was answered. */
static bool serve_asset(const struct door *door, struct evhttp_request *http, const char *path)
{
    const struct asset *asset = door->tcp && evhttp_request_get_command(http) == EVHTTP_REQ_GET ? assets_find(path) : NULL;

    if (asset)
        send_asset(http, asset);
    return asset != NULL;
}

static void on_request(struct evhttp_request *http, void *userdata)
{
    struct door *door = MAGIC_CAST(struct door, userdata, DOOR_MAGIC);
    struct api_request request = { .role = API_OWNER, .owner_socket = !door->tcp };
    const struct route *route = NULL;
    char name[ROUTE_NAME_MAX], allow[64];

    if (!framing_is_clear(http)) {
        send_error(http, 400, "bad_request", "the request's length, host or credential is given twice");
        return;
    }
    if (refuse_foreign(door, http))
        return;
    CLEANUP_FREE char *path = request_path(http);
    if (!path) {
        send_error(http, 400, "bad_path", "the request's path is malformed");
        return;
    }
    if (serve_asset(door, http, path))
        return;
    enum route_match match = route_find(exchange_method_of(http), path, &route, name, allow, sizeof(allow));
    bool known = identify(door, http, &request);
    if (!known && !(match == ROUTE_FOUND && route->who == ROUTE_OPEN)) {
        send_error(http, 401, "unauthorized", "no or an unknown credential");
    } else if (match == ROUTE_NO_PATH) {
        send_error(http, 404, "not_found", "there is no such path");
    } else if (match == ROUTE_NO_METHOD) {
        evhttp_add_header(evhttp_request_get_output_headers(http), "Allow", allow);
        send_error(http, 405, "method_not_allowed", "the path does not take this method");
    } else if (request.role == API_AGENT && route->who == ROUTE_OWNER) {
        send_error(http, 403, "forbidden", "a session's token may list and run actions and collect its own results");
    } else if (request.role == API_OWNER && route->who == ROUTE_SESSION) {
        send_error(
            http, 403, "not_an_agent", "this path is for agents: it takes a session's token, which POST /v1/sessions gives");
    } else if (route->mounted) {
        serve_mount(door, http, request.session);
    } else if (route->stream) {
        serve_events(door, http);
    } else {
        serve_route(door, http, route, name, &request);
    }
}

/* ---- how many clients ---- */

static size_t open_descriptors(void)
{
    CLEANUP_CLOSEDIR DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;

    while (dir && readdir(dir))
        n++;
    return n;
}

static void door_enable(struct door *door, bool enable)
{
    if (!door->listener)
        return;
    if (enable)
        evconnlistener_enable(door->listener);
    else
        evconnlistener_disable(door->listener);
}

/*
 * evhttp 2.1 has no ceiling for connections and does not say when one ends, so
 * the open descriptors are counted, but only after as many accepts as there was room.
 */
static void recount(void *userdata)
{
    struct web *web = MAGIC_CAST(struct web, userdata, WEB_MAGIC);
    size_t open = open_descriptors();
    bool full = false;

    for (size_t i = 0; i < ARRAY_LEN(web->doors); i++) {
        struct door *door = &web->doors[i];

        door->accepts_left = open < door->ceiling ? (unsigned) (door->ceiling - open) : 0;
        door_enable(door, door->accepts_left > 0);
        full = full || !door->accepts_left;
    }
    if (full)
        loop_timer_set(web->recount, RECOUNT_MS);
}

static struct bufferevent *on_accept(struct event_base *base, void *userdata)
{
    struct door *door = MAGIC_CAST(struct door, userdata, DOOR_MAGIC);

    if (door->accepts_left)
        door->accepts_left--;
    if (!door->accepts_left)
        recount(door->web);
    return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
}

/* Out of descriptors: without a pause the listener would spin. */
static void on_accept_error(struct evconnlistener *listener, void *userdata)
{
    struct door *door = MAGIC_CAST(struct door, userdata, DOOR_MAGIC);

    door->accepts_left = 0;
    door_enable(door, false);
    loop_timer_set(door->web->recount, RECOUNT_MS);
}

/* ---- start and stop ---- */

static int tcp_listen(unsigned port, int *ret_fd, unsigned *ret_port, struct err *err)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    socklen_t len = sizeof(address);
    int on = 1;
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return err_errno(err, errno, "cannot make a TCP socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, SOMAXCONN) < 0) {
        int code = errno;
        err_errno(err, code, "cannot listen on 127.0.0.1:%u", port);
        err_hint(err, "another program may have taken the port; choose one with: aileron config set web.port 0");
        return -code;
    }
    if (getsockname(fd, (struct sockaddr *) &address, &len) < 0)
        return err_errno(err, errno, "cannot read the port");
    *ret_port = ntohs(address.sin_port);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Takes fd. */
static int door_open(struct door *door, struct web *web, bool tcp, int fd, struct err *err)
{
    struct event_base *base = loop_base(broker_loop(web->broker));

    door->magic = DOOR_MAGIC;
    door->web = web;
    door->tcp = tcp;
    door->ceiling = tcp ? LIMIT_CLIENTS : OWNER_CEILING;
    evutil_make_socket_nonblocking(fd);
    door->listener = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!door->listener) {
        close(fd);
        return err_set(err, ENOMEM, "cannot listen for requests");
    }
    door->server = evhttp_new(base);
    if (!door->server)
        return err_set(err, ENOMEM, "cannot make an HTTP server");
    evhttp_set_allowed_methods(door->server, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_PATCH | EVHTTP_REQ_DELETE |
                                                 EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT | EVHTTP_REQ_OPTIONS);
    evhttp_set_max_headers_size(door->server, LIMIT_HTTP_HEADER_BYTES);
    evhttp_set_max_body_size(door->server, LIMIT_API_BODY_BYTES);
    evhttp_set_timeout(door->server, EXCHANGE_IDLE_S);
    evhttp_set_gencb(door->server, on_request, door);
    evhttp_set_bevcb(door->server, on_accept, door);
    if (!evhttp_bind_listener(door->server, door->listener))
        return err_set(err, ENOMEM, "cannot listen for requests");
    evconnlistener_set_error_cb(door->listener, on_accept_error);
    return 0;
}

int web_start(struct broker *broker, int socket_fd, unsigned port, struct web **ret_web, unsigned *ret_port, struct err *err)
{
    CLEANUP_CLOSE int owner_fd = socket_fd;
    CLEANUP_CLOSE int tcp_fd = -1;
    CLEANUP_PTR(web_free) struct web *web = calloc(1, sizeof(*web));

    if (!web)
        return err_set(err, ENOMEM, "out of memory");
    web->magic = WEB_MAGIC;
    web->broker = broker;
    TAILQ_INIT(&web->waiting);
    int r = loop_timer_new(broker_loop(broker), recount, web, &web->recount);
    if (r < 0)
        return err_set(err, -r, "cannot make a timer");
    r = events_new(broker, &web->events);
    if (r < 0)
        return err_set(err, -r, "out of memory");
    r = tcp_listen(port, &tcp_fd, &web->port, err);
    if (r < 0)
        return r;
    r = door_open(&web->doors[0], web, false, TAKE_FD(owner_fd), err);
    if (r < 0)
        return r;
    r = door_open(&web->doors[1], web, true, TAKE_FD(tcp_fd), err);
    if (r < 0)
        return r;
    recount(web);
    *ret_port = web->port;
    *ret_web = TAKE_PTR(web);
    return 0;
}

void web_mount(struct web *web, web_mount_fn *fn, void *userdata)
{
    web->mount = fn;
    web->mount_userdata = userdata;
}

void web_stop(struct web *web)
{
    loop_timer_stop(web->recount);
    for (size_t i = 0; i < ARRAY_LEN(web->doors); i++)
        door_enable(&web->doors[i], false);
}

void web_free(struct web *web)
{
    struct web_request *request;

    if (!web)
        return;
    while ((request = TAILQ_FIRST(&web->waiting))) {
        exchange_drop(request->exchange);
        on_client_gone(request);
    }
    events_free(web->events);
    for (size_t i = 0; i < ARRAY_LEN(web->doors); i++) {
        if (web->doors[i].server)
            evhttp_free(web->doors[i].server); /* frees its listener */
        else if (web->doors[i].listener)
            evconnlistener_free(web->doors[i].listener);
    }
    loop_timer_free(web->recount);
    web->magic = 0;
    free(web);
}
