/*
 * evhttp over TLS, and without. Routes are a table; `{}` in a path takes one segment, a
 * final `{*}` the rest.
 */
#include "server.h"

#include "answers.h"
#include "base/buf.h"
#include "base/json.h"
#include "calendar.h"
#include "forge.h"
#include "mailbox.h"
#include "oauth.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <string.h>

#include "base/banned.h"

#define BODY_MAX   (4 * 1024 * 1024)
#define HEADER_MAX (32 * 1024)
#define ID_MAX     512

struct door {
    struct server *server;
    struct evhttp *http;
    bool is_browser;
};

struct server {
    struct event_base *base;
    struct door https, browser;
    struct server_config config;
};

typedef int mail_fn(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret);
typedef int calendar_fn(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret);
typedef void oauth_fn(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer);

static const struct route {
    const char *host;
    enum evhttp_cmd_type method;
    const char *path;
    mail_fn *mail; /* one of the two */
    calendar_fn *calendar;
} ROUTES[] = {
    { "gmail.googleapis.com", EVHTTP_REQ_GET, "/gmail/v1/users/me/messages", mailbox_list, NULL },
    { "gmail.googleapis.com", EVHTTP_REQ_POST, "/gmail/v1/users/me/messages/send", mailbox_send, NULL },
    { "gmail.googleapis.com", EVHTTP_REQ_GET, "/gmail/v1/users/me/messages/{}", mailbox_get, NULL },
    { "gmail.googleapis.com", EVHTTP_REQ_GET, "/gmail/v1/users/me/messages/{*}", mailbox_attachment, NULL },
    { "gmail.googleapis.com", EVHTTP_REQ_GET, "/gmail/v1/users/me/drafts", mailbox_list_drafts, NULL },
    { "gmail.googleapis.com", EVHTTP_REQ_POST, "/gmail/v1/users/me/drafts", mailbox_create_draft, NULL },
    { "gmail.googleapis.com", EVHTTP_REQ_POST, "/gmail/v1/users/me/drafts/send", mailbox_send_draft, NULL },
    { "gmail.googleapis.com", EVHTTP_REQ_GET, "/gmail/v1/users/me/drafts/{}", mailbox_get_draft, NULL },
    { "www.googleapis.com", EVHTTP_REQ_GET, "/calendar/v3/users/me/calendarList", NULL, calendar_list },
    { "www.googleapis.com", EVHTTP_REQ_GET, "/calendar/v3/calendars/{}", NULL, calendar_get },
    { "www.googleapis.com", EVHTTP_REQ_GET, "/calendar/v3/calendars/{}/events", NULL, calendar_events },
    { "www.googleapis.com", EVHTTP_REQ_POST, "/calendar/v3/calendars/{}/events", NULL, calendar_insert },
};

static const struct oauth_route {
    const char *host; /* NULL: only at the browser's door, for the tour itself */
    enum evhttp_cmd_type method;
    const char *path;
    oauth_fn *run;
} OAUTH_ROUTES[] = {
    { "accounts.google.com", EVHTTP_REQ_GET, "/o/oauth2/v2/auth", oauth_authorize },
    { "accounts.google.com", EVHTTP_REQ_POST, "/o/oauth2/v2/auth/consent", oauth_consent },
    { "oauth2.googleapis.com", EVHTTP_REQ_POST, "/token", oauth_token },
    { "oauth2.googleapis.com", EVHTTP_REQ_POST, "/revoke", oauth_revoke },
    { NULL, EVHTTP_REQ_POST, "/expire", oauth_expire },
};

static bool path_matches(const char *pattern, const char *path, char id[ID_MAX])
{
    for (;;) {
        size_t want = strcspn(pattern, "/"), have = strcspn(path, "/");
        bool rest = want == 3 && !memcmp(pattern, "{*}", 3), one = want == 2 && !memcmp(pattern, "{}", 2);

        if (rest)
            have = strlen(path);
        if (rest || one) {
            if (!have || have >= ID_MAX)
                return false;
            memcpy(id, path, have);
            id[have] = '\0';
        } else if (want != have || memcmp(pattern, path, want) != 0) {
            return false;
        }
        pattern += want;
        path += have;
        if (*pattern != *path)
            return false;
        if (!*pattern)
            return true;
        pattern++;
        path++;
    }
}

static json_t *read_query(const char *text)
{
    json_t *query = json_object();
    struct evkeyvalq pairs;

    if (!text || evhttp_parse_query_str(text, &pairs) < 0)
        return query;
    for (const struct evkeyval *pair = pairs.tqh_first; pair; pair = pair->next.tqe_next)
        json_object_set_new(query, pair->key, json_string(pair->value));
    evhttp_clear_headers(&pairs);
    return query;
}

static int read_body(struct evhttp_request *request, json_t **ret_body)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    size_t len = evbuffer_get_length(input);
    const char *text = len ? (const char *) evbuffer_pullup(input, -1) : NULL;

    return text ? json_parse(text, len, JSON_LIMITS(BODY_MAX), ret_body, NULL) : 0;
}

static bool is_authorised(const struct server *server, struct evhttp_request *request)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(request), "Authorization");

    return value && !strncmp(value, "Bearer ", 7) && oauth_accepts(server->config.oauth, value + 7);
}

static int run_route(
    const struct server *server, struct evhttp_request *request, const struct route *route, const char *id, json_t **ret)
{
    CLEANUP_JSON json_t *query = read_query(evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request)));
    CLEANUP_JSON json_t *body = NULL;

    if (read_body(request, &body) < 0 || (route->method == EVHTTP_REQ_POST && !json_is_object(body)))
        return answer_error(400, "Parse Error: the body is no JSON object", ret);
    if (route->mail)
        return route->mail(server->config.mailbox, query, body, id, ret);
    return route->calendar(server->config.calendar, query, body, id, ret);
}

static int dispatch(const struct server *server, struct evhttp_request *request, json_t **ret)
{
    const char *host = evhttp_request_get_host(request);
    const char *raw = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    CLEANUP_FREE char *path = raw ? evhttp_uridecode(raw, 0, NULL) : NULL;
    bool known = false;
    char id[ID_MAX] = "";

    if (!is_authorised(server, request))
        return answer_error(401, "Request had invalid authentication credentials. Expected OAuth 2 access token.", ret);
    for (size_t i = 0; host && path && i < ARRAY_LEN(ROUTES); i++) {
        if (strcmp(host, ROUTES[i].host) != 0 || !path_matches(ROUTES[i].path, path, id))
            continue;
        if (ROUTES[i].method == evhttp_request_get_command(request))
            return run_route(server, request, &ROUTES[i], id, ret);
        known = true;
    }
    return answer_error(known ? 405 : 404, known ? "Method not allowed." : "Not Found", ret);
}

/* ---- the authorization server ---- */

static const struct oauth_route *oauth_route_of(const struct door *door, struct evhttp_request *request)
{
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request)), *host = evhttp_request_get_host(request);

    for (size_t i = 0; path && i < ARRAY_LEN(OAUTH_ROUTES); i++) {
        const struct oauth_route *route = &OAUTH_ROUTES[i];
        bool here = door->is_browser ? !route->host || !strcmp(route->host, "accounts.google.com")
                                     : route->host && host && !strcmp(route->host, host);

        if (here && !strcmp(route->path, path) && route->method == evhttp_request_get_command(request))
            return route;
    }
    return NULL;
}

static json_t *read_fields(struct evhttp_request *request, const struct oauth_route *route)
{
    struct evbuffer *input = evhttp_request_get_input_buffer(request);
    CLEANUP_FREE char *form = NULL;

    if (route->method == EVHTTP_REQ_GET)
        return read_query(evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request)));
    form = strndup(evbuffer_get_length(input) ? (const char *) evbuffer_pullup(input, -1) : "", evbuffer_get_length(input));
    return read_query(form);
}

/* Fills `body` and the headers; returns the status. */
static int run_oauth(
    const struct server *server, struct evhttp_request *request, const struct oauth_route *route, struct evbuffer *body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    CLEANUP_JSON json_t *fields = read_fields(request, route);
    CLEANUP(oauth_answer_free) struct oauth_answer answer = OAUTH_ANSWER_INIT;
    CLEANUP(buf_free) struct buf text = BUF_INIT(BODY_MAX);

    if (fields)
        route->run(server->config.oauth, fields, &answer);
    if (answer.json && json_write(answer.json, &text) < 0)
        return 500;
    evhttp_add_header(headers, "Content-Type", answer.json ? "application/json; charset=utf-8" : "text/html; charset=utf-8");
    evhttp_add_header(headers, "Cache-Control", "no-store");
    if (answer.location)
        evhttp_add_header(headers, "Location", answer.location);
    evbuffer_add(body, answer.json ? text.data : buf_str(&answer.page), answer.json ? text.len : answer.page.len);
    return answer.status;
}

static int run_api(const struct server *server, struct evhttp_request *request, struct evbuffer *body)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(8 * BODY_MAX);
    CLEANUP_JSON json_t *answer = NULL;
    int status = dispatch(server, request, &answer);

    if (!answer || json_write(answer, &text) < 0)
        status = 500;
    evbuffer_add(body, buf_str(&text), text.len);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json; charset=UTF-8");
    return status;
}

static bool is_for_forge(const struct door *door, struct evhttp_request *request)
{
    return !door->is_browser && door->server->config.forge_fd >= 0 && forge_has(evhttp_request_get_host(request));
}

static int run_forge(const struct server *server, struct evhttp_request *request, struct evbuffer *body)
{
    const char *raw = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    CLEANUP_FREE char *path = raw ? evhttp_uridecode(raw, 0, NULL) : NULL;
    CLEANUP(buf_free) struct buf file = BUF_INIT(FORGE_FILE_MAX);
    CLEANUP_FREE char *location = NULL;
    int status;

    if (evhttp_request_get_command(request) != EVHTTP_REQ_GET || !path)
        return 405;
    status = forge_get(server->config.forge_fd, evhttp_request_get_host(request), path, &file, &location);
    if (location)
        evhttp_add_header(evhttp_request_get_output_headers(request), "Location", location);
    evbuffer_add(body, buf_str(&file), file.len);
    return status;
}

/* An answer that is held back. */
struct held {
    struct evhttp_request *request;
    struct evbuffer *body;
    int status;
};

static void send_held(evutil_socket_t fd, short what, void *userdata)
{
    struct held *held = userdata;

    evhttp_send_reply(held->request, held->status, NULL, held->body); /* frees a request whose client went away */
    evbuffer_free(held->body);
    free(held);
}

static void on_request(struct evhttp_request *request, void *userdata)
{
    const struct door *door = userdata;
    const struct server *server = door->server;
    const struct oauth_route *route = oauth_route_of(door, request);
    bool is_forge = is_for_forge(door, request);
    int delay_ms = door->is_browser || is_forge ? 0 : server->config.delay_ms;
    struct timeval delay = { delay_ms / 1000, delay_ms % 1000 * 1000 };
    struct held *held = calloc(1, sizeof(*held));

    if (!held || !(held->body = evbuffer_new())) {
        free(held);
        evhttp_send_error(request, 500, NULL);
        return;
    }
    held->request = request;
    held->status = route              ? run_oauth(server, request, route, held->body)
                   : is_forge         ? run_forge(server, request, held->body)
                   : door->is_browser ? 404
                                      : run_api(server, request, held->body);
    evhttp_request_own(request);
    if (event_base_once(server->base, -1, EV_TIMEOUT, send_held, held, &delay) < 0)
        send_held(-1, 0, held);
}

static struct bufferevent *on_connection(struct event_base *base, void *userdata)
{
    const struct server *server = userdata;
    SSL *ssl = SSL_new(server->config.tls);

    return ssl ? bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE) : NULL;
}

/* Listens; `tls` decides what is spoken. */
static int door_open(struct server *server, struct door *door, bool tls, unsigned *ret_port, struct err *err)
{
    struct evhttp_bound_socket *bound;
    struct sockaddr_in address = { 0 };
    socklen_t len = sizeof(address);
    evutil_socket_t listener;

    *door = (struct door){ .server = server, .http = evhttp_new(server->base), .is_browser = !tls };
    if (!door->http)
        return -ENOMEM;
    evhttp_set_max_body_size(door->http, BODY_MAX);
    evhttp_set_max_headers_size(door->http, HEADER_MAX);
    evhttp_set_allowed_methods(door->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
    if (tls)
        evhttp_set_bevcb(door->http, on_connection, server);
    evhttp_set_gencb(door->http, on_request, door);
    bound = evhttp_bind_socket_with_handle(door->http, "127.0.0.1", 0);
    listener = bound ? evhttp_bound_socket_get_fd(bound) : -1;
    if (listener < 0 || getsockname(listener, (struct sockaddr *) &address, &len) < 0)
        return err_errno(err, errno, "cannot listen on 127.0.0.1");
    *ret_port = ntohs(address.sin_port);
    return 0;
}

int server_start(struct event_base *base, const struct server_config *config, struct server **ret_server,
    struct server_ports *ret_ports, struct err *err)
{
    CLEANUP_PTR(server_free) struct server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return -ENOMEM;
    server->base = base;
    server->config = *config;
    r = door_open(server, &server->https, true, &ret_ports->https, err);
    if (r >= 0)
        r = door_open(server, &server->browser, false, &ret_ports->browser, err);
    if (r < 0)
        return r;
    *ret_server = TAKE_PTR(server);
    return 0;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    if (server->https.http)
        evhttp_free(server->https.http);
    if (server->browser.http)
        evhttp_free(server->browser.http);
    free(server);
}
