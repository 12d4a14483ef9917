/*
 * evhttp leaves EV_READ off while it waits for our answer. Switching it on alone would let the bytes of a client that sends
 * its next request early end the daemon: they reach evhttp's reader in a state that it takes for impossible. So its reader
 * is taken away, and next to nothing is read; what else evhttp set up stays.
 *
 * When a client goes, evhttp lets go of its request, which is then ours to free, and calls on_closed().
 */
#include "web/exchange.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/magic.h"
#include "wire/limits.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/banned.h"

#define EXCHANGE_MAGIC 0x45584348u
#define BACKLOG_MAX    (4 * MIB)

struct exchange {
    uint32_t magic;
    struct evhttp_request *http;
    exchange_gone_fn *gone;
    void *userdata;
    bool watching;
    bool cut; /* its client's end is on the way */
};

static struct bufferevent *bufferevent_of(const struct exchange *exchange)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(exchange->http);

    return connection ? evhttp_connection_get_bufferevent(connection) : NULL;
}

static void exchange_free(struct exchange *exchange)
{
    exchange->magic = 0;
    free(exchange);
}

struct exchange *exchange_new(struct evhttp_request *http)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);

    if (!exchange)
        return NULL;
    exchange->magic = EXCHANGE_MAGIC;
    exchange->http = http;
    return exchange;
}

const char *exchange_method_of(struct evhttp_request *http)
{
    switch (evhttp_request_get_command(http)) {
    case EVHTTP_REQ_GET:
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    case EVHTTP_REQ_PATCH:
        return "PATCH";
    case EVHTTP_REQ_DELETE:
        return "DELETE";
    default:
        return "other";
    }
}

const char *exchange_method(const struct exchange *exchange)
{
    return exchange_method_of(exchange->http);
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(exchange->http), name);
}

const char *exchange_body(const struct exchange *exchange, size_t *ret_len)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(exchange->http);
    const unsigned char *body = evbuffer_pullup(in, -1);

    *ret_len = body ? evbuffer_get_length(in) : 0;
    return body ? (const char *) body : "";
}

/* ---- the client's end ---- */

static void on_closed(struct evhttp_connection *connection, void *userdata)
{
    struct exchange *exchange = MAGIC_CAST(struct exchange, userdata, EXCHANGE_MAGIC);

    if (!evhttp_request_get_connection(exchange->http))
        evhttp_request_free(exchange->http); /* otherwise it goes with its connection */
    exchange->gone(exchange->userdata);
    exchange_free(exchange);
}

void exchange_watch(struct exchange *exchange, exchange_gone_fn *fn, void *userdata)
{
    struct bufferevent *bev = bufferevent_of(exchange);
    const struct timeval idle = { EXCHANGE_IDLE_S, 0 };
    bufferevent_data_cb on_write;
    bufferevent_event_cb on_event;
    void *argument;

    if (!bev)
        return;
    exchange->gone = fn;
    exchange->userdata = userdata;
    exchange->watching = true;
    evhttp_connection_set_closecb(evhttp_request_get_connection(exchange->http), on_closed, exchange);
    bufferevent_getcb(bev, NULL, &on_write, &on_event, &argument);
    bufferevent_setcb(bev, NULL, on_write, on_event, argument);
    bufferevent_setwatermark(bev, EV_READ, 0, 1);
    bufferevent_set_timeouts(bev, NULL, &idle);
    bufferevent_enable(bev, EV_READ);
}

/* Leaves the connection as evhttp had it. */
static void unwatch(struct exchange *exchange)
{
    struct bufferevent *bev = exchange->watching ? bufferevent_of(exchange) : NULL;
    const struct timeval idle = { EXCHANGE_IDLE_S, 0 };

    exchange->watching = false;
    if (!bev)
        return;
    evhttp_connection_set_closecb(evhttp_request_get_connection(exchange->http), NULL, NULL);
    bufferevent_disable(bev, EV_READ);
    bufferevent_setwatermark(bev, EV_READ, 0, 0);
    bufferevent_set_timeouts(bev, &idle, &idle);
}

/* ---- answers ---- */

void exchange_add_header(struct exchange *exchange, const char *name, const char *value)
{
    evhttp_add_header(evhttp_request_get_output_headers(exchange->http), name, value);
}

struct evhttp_request *exchange_take(struct exchange *exchange)
{
    struct evhttp_request *http = exchange->http;

    unwatch(exchange);
    exchange_free(exchange);
    return http;
}

static void add_common_headers(struct exchange *exchange, const char *type)
{
    if (type)
        exchange_add_header(exchange, "Content-Type", type);
    exchange_add_header(exchange, "Cache-Control", "no-store");
    exchange_add_header(exchange, "X-Content-Type-Options", "nosniff");
}

void exchange_answer(struct exchange *exchange, int status, const char *type, const char *body, size_t len)
{
    struct evbuffer *out = type ? evbuffer_new() : NULL;

    if (type && (!out || evbuffer_add(out, body, len) < 0))
        status = 500;
    add_common_headers(exchange, type);
    evhttp_send_reply(exchange_take(exchange), status, NULL, out);
    if (out)
        evbuffer_free(out);
}

void exchange_stream(struct exchange *exchange)
{
    add_common_headers(exchange, "text/event-stream");
    exchange_add_header(exchange, "X-Accel-Buffering", "no"); /* nginx in front of us keeps nothing back */
    exchange_add_header(exchange, "Connection", "close");
    evhttp_send_reply_start(exchange->http, 200, NULL);
}

/* The client is sent no more; reading finds its end, which is then told as any other. */
static void cut(struct exchange *exchange, struct bufferevent *bev)
{
    exchange->cut = true;
    bufferevent_setwatermark(bev, EV_READ, 0, 0);
    shutdown(bufferevent_getfd(bev), SHUT_RDWR);
}

static void send_chunk(struct exchange *exchange, const char *text, size_t len)
{
    struct bufferevent *bev = bufferevent_of(exchange);
    struct evbuffer *out = bev && !exchange->cut ? evbuffer_new() : NULL;

    if (!out)
        return;
    if (evbuffer_get_length(bufferevent_get_output(bev)) < BACKLOG_MAX && evbuffer_add(out, text, len) == 0)
        evhttp_send_reply_chunk(exchange->http, out);
    else
        cut(exchange, bev);
    evbuffer_free(out);
}

void exchange_event(struct exchange *exchange, const char *data, size_t len)
{
    CLEANUP(buf_free) struct buf event = BUF_INIT(SIZE_MAX / 4);

    if (buf_add_str(&event, "event: message\ndata: ") >= 0 && buf_add(&event, data, len) >= 0 && buf_add_str(&event, "\n\n") >= 0)
        send_chunk(exchange, event.data, event.len);
}

void exchange_comment(struct exchange *exchange)
{
    send_chunk(exchange, ":\n\n", 3);
}

void exchange_end(struct exchange *exchange)
{
    evhttp_send_reply_end(exchange_take(exchange));
}

void exchange_drop(struct exchange *exchange)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(exchange->http);

    if (connection)
        evhttp_connection_set_closecb(connection, NULL, NULL);
    exchange_free(exchange);
}
