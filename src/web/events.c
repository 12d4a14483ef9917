/*
 * Streams of events. evhttp owns the connections and tells when one closes; by then it has let go of the request, which we
 * free. A reader that lets too much pile up is dropped: it connects again and asks for everything anew.
 */
#include "web/events.h"

#include "base/json.h"
#include "base/magic.h"
#include "broker/api.h"
#include "loop/loop.h"
#include "wire/limits.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "base/banned.h"

#define EVENTS_MAGIC 0x45564e54u
#define STREAM_MAGIC 0x53545245u
#define HEARTBEAT_MS 15000
#define BACKLOG_MAX  (256 * KIB)

struct stream {
    uint32_t magic;
    struct events *events;
    struct evhttp_request *http;
    LIST_ENTRY(stream) link;
};

struct events {
    uint32_t magic;
    struct broker *broker;
    struct loop_timer *heartbeat; /* set while there are streams */
    LIST_HEAD(, stream) streams;
    unsigned len;
};

/* The broker makes events only while somebody reads them. */
static void listen_no_more(struct events *events)
{
    loop_timer_stop(events->heartbeat);
    broker_on_event(events->broker, NULL, NULL);
}

static void stream_free(struct stream *stream)
{
    LIST_REMOVE(stream, link);
    if (--stream->events->len == 0)
        listen_no_more(stream->events);
    stream->magic = 0;
    free(stream);
}

static void on_closed(struct evhttp_connection *connection, void *userdata)
{
    struct stream *stream = MAGIC_CAST(struct stream, userdata, STREAM_MAGIC);

    evhttp_send_reply_end(stream->http); /* without a connection it only frees the request */
    stream_free(stream);
}

static void stream_drop(struct stream *stream)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(stream->http);

    evhttp_connection_set_closecb(connection, NULL, NULL);
    stream_free(stream);
    evhttp_connection_free(connection); /* and its request */
}

static void stream_send(struct stream *stream, const char *text, size_t len)
{
    struct bufferevent *bev = evhttp_connection_get_bufferevent(evhttp_request_get_connection(stream->http));
    struct evbuffer *out = evbuffer_new();
    bool sent = out && evbuffer_get_length(bufferevent_get_output(bev)) < BACKLOG_MAX && evbuffer_add(out, text, len) == 0;

    if (sent)
        evhttp_send_reply_chunk(stream->http, out);
    else
        stream_drop(stream);
    if (out)
        evbuffer_free(out);
}

static void send_all(struct events *events, const char *text, size_t len)
{
    struct stream *stream, *next;

    for (stream = LIST_FIRST(&events->streams); stream; stream = next) {
        next = LIST_NEXT(stream, link);
        stream_send(stream, text, len);
    }
}

/* A comment: it finds out who has gone without a word. */
static void on_heartbeat(void *userdata)
{
    struct events *events = MAGIC_CAST(struct events, userdata, EVENTS_MAGIC);

    send_all(events, ":\n\n", 3);
    if (events->len)
        loop_timer_set(events->heartbeat, HEARTBEAT_MS);
}

static void on_event(const char *type, const json_t *data, void *userdata)
{
    struct events *events = MAGIC_CAST(struct events, userdata, EVENTS_MAGIC);
    CLEANUP(buf_free) struct buf text = BUF_INIT(BACKLOG_MAX);

    if (!events->len)
        return;
    int r = buf_printf(&text, "event: %s\ndata: ", type);
    if (!r)
        r = data ? json_write(data, &text) : buf_add_str(&text, "{}");
    if (!r)
        r = buf_add_str(&text, "\n\n");
    if (!r)
        send_all(events, buf_str(&text), text.len);
}

int events_new(struct broker *broker, struct events **ret_events)
{
    CLEANUP_PTR(events_free) struct events *events = calloc(1, sizeof *events);

    if (!events)
        return -ENOMEM;
    events->magic = EVENTS_MAGIC;
    events->broker = broker;
    LIST_INIT(&events->streams);
    int r = loop_timer_new(broker_loop(broker), on_heartbeat, events, &events->heartbeat);
    if (r < 0)
        return r;
    *ret_events = TAKE_PTR(events);
    return 0;
}

void events_free(struct events *events)
{
    struct stream *stream;

    if (!events)
        return;
    while ((stream = LIST_FIRST(&events->streams))) {
        evhttp_connection_set_closecb(evhttp_request_get_connection(stream->http), NULL, NULL);
        stream_free(stream);
    }
    loop_timer_free(events->heartbeat);
    events->magic = 0;
    free(events);
}

int events_open(struct events *events, struct evhttp_request *http)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(http);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    struct stream *stream = events->len < EVENTS_STREAMS_MAX ? calloc(1, sizeof *stream) : NULL;

    if (!stream)
        return -ENOSPC;
    stream->magic = STREAM_MAGIC;
    stream->events = events;
    stream->http = http;
    LIST_INSERT_HEAD(&events->streams, stream, link);
    if (events->len++ == 0) {
        loop_timer_set(events->heartbeat, HEARTBEAT_MS);
        broker_on_event(events->broker, on_event, events);
    }
    evhttp_add_header(headers, "Connection", "close");
    evhttp_connection_set_closecb(connection, on_closed, stream);
    evhttp_send_reply_start(http, 200, NULL);
    /* Only writing may take too long; there is nothing to read. */
    bufferevent_set_timeouts(evhttp_connection_get_bufferevent(connection), NULL, NULL);
    stream_send(stream, ": aileron\n\n", 11);
    return 0;
}
