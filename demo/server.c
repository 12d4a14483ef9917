/*
 * evhttp over TLS. Routes are a table; `{}` in a path takes one segment, a
 * final `{*}` the rest.
 */
#include "server.h"

#include "answers.h"
#include "base/buf.h"
#include "base/json.h"
#include "calendar.h"
#include "mailbox.h"

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

struct server {
    struct event_base *base;
    struct evhttp *http;
    struct server_config config;
};

typedef int mail_fn(struct mailbox *mailbox, const json_t *query, const json_t *body, const char *id, json_t **ret);
typedef int calendar_fn(struct calendar *calendar, const json_t *query, const json_t *body, const char *id, json_t **ret);

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

    return value && !strncmp(value, "Bearer ", 7) && !strcmp(value + 7, server->config.token);
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
    const struct server *server = userdata;
    struct timeval delay = { server->config.delay_ms / 1000, server->config.delay_ms % 1000 * 1000 };
    struct held *held = calloc(1, sizeof(*held));
    CLEANUP(buf_free) struct buf text = BUF_INIT(8 * BODY_MAX);
    CLEANUP_JSON json_t *answer = NULL;

    if (!held || !(held->body = evbuffer_new())) {
        free(held);
        evhttp_send_error(request, 500, NULL);
        return;
    }
    held->request = request;
    held->status = dispatch(server, request, &answer);
    if (!answer || json_write(answer, &text) < 0)
        held->status = 500;
    evbuffer_add(held->body, buf_str(&text), text.len);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", "application/json; charset=UTF-8");
    evhttp_request_own(request);
    if (event_base_once(server->base, -1, EV_TIMEOUT, send_held, held, &delay) < 0)
        send_held(-1, 0, held);
}

static struct bufferevent *on_connection(struct event_base *base, void *userdata)
{
    struct server *server = userdata;
    SSL *ssl = SSL_new(server->config.tls);

    return ssl ? bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE) : NULL;
}

int server_start(
    struct event_base *base, const struct server_config *config, struct server **ret_server, unsigned *ret_port, struct err *err)
{
    CLEANUP_PTR(server_free) struct server *server = calloc(1, sizeof(*server));
    struct evhttp_bound_socket *bound;
    struct sockaddr_in address = { 0 };
    socklen_t len = sizeof(address);
    evutil_socket_t listener;

    if (!server)
        return -ENOMEM;
    server->base = base;
    server->config = *config;
    server->http = evhttp_new(base);
    if (!server->http)
        return -ENOMEM;
    evhttp_set_max_body_size(server->http, BODY_MAX);
    evhttp_set_max_headers_size(server->http, HEADER_MAX);
    evhttp_set_allowed_methods(server->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
    evhttp_set_bevcb(server->http, on_connection, server);
    evhttp_set_gencb(server->http, on_request, server);
    bound = evhttp_bind_socket_with_handle(server->http, "127.0.0.1", 0);
    listener = bound ? evhttp_bound_socket_get_fd(bound) : -1;
    if (listener < 0 || getsockname(listener, (struct sockaddr *) &address, &len) < 0)
        return err_errno(err, errno, "cannot listen on 127.0.0.1");
    *ret_port = ntohs(address.sin_port);
    *ret_server = TAKE_PTR(server);
    return 0;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    if (server->http)
        evhttp_free(server->http);
    free(server);
}
