/*
 * A POST with a request is a `visit`: a peer of its own with one call at most. What answers soon is answered as JSON. What
 * does not gets a stream of server-sent events, its head sent early and something every few seconds, because clients give up on
 * a silent line. A GET is a visit without a peer, which stays.
 *
 * Two agents may share a session's token, so ids are a visit's own; a cancellation that could mean two calls ends none.
 */
#include "mcp/http.h"

#include "base/json.h"
#include "base/magic.h"
#include "base/ulid.h"
#include "broker/api.h"
#include "loop/loop.h"
#include "mcp/rpc.h"
#include "web/exchange.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "base/banned.h"

#define HTTP_MAGIC  0x4d435048u
#define VISIT_MAGIC 0x4d435056u

#define PATIENCE_MS 200   /* until a call that has not answered gets a stream */
#define COMMENT_MS  15000 /* clients drop a line that is silent for longer */
#define VISITS_MAX  128   /* of one session, requests and streams each */
#define STREAMS_MAX 16
#define ANSWER_MAX  (32 * MIB)
#define TYPE_JSON   "application/json"
#define TYPE_EVENTS "text/event-stream"

struct visit {
    uint32_t magic;
    struct mcp_http *http;
    struct exchange *exchange; /* NULL once it was answered */
    struct rpc_peer *peer;     /* NULL: a stream of changes */
    struct loop_timer *timer;
    char session_id[ULID_ID_MAX];
    bool takes_json, takes_events; /* what the client accepts */
    bool streaming;
    bool entered; /* inside mcp_http_serve(): freed there */
    TAILQ_ENTRY(visit) link;
};

struct mcp_http {
    uint32_t magic;
    struct broker *broker;
    TAILQ_HEAD(, visit) visits;
};

/* ---- visits ---- */

static void visit_free(struct visit *visit)
{
    TAILQ_REMOVE(&visit->http->visits, visit, link);
    rpc_peer_free(visit->peer);
    loop_timer_free(visit->timer);
    visit->magic = 0;
    free(visit);
}

static void on_gone(void *userdata)
{
    visit_free(MAGIC_CAST(struct visit, userdata, VISIT_MAGIC));
}

static void start_stream(struct visit *visit)
{
    visit->streaming = true;
    exchange_stream(visit->exchange);
    loop_timer_set(visit->timer, COMMENT_MS);
}

static void on_timer(void *userdata)
{
    struct visit *visit = MAGIC_CAST(struct visit, userdata, VISIT_MAGIC);

    if (!visit->exchange) {
        visit_free(visit);
    } else if (!visit->peer && !broker_session_by_id(visit->http->broker, visit->session_id)) {
        exchange_end(visit->exchange);
        visit_free(visit);
    } else if (!visit->streaming) {
        start_stream(visit);
    } else {
        exchange_comment(visit->exchange);
        loop_timer_set(visit->timer, COMMENT_MS);
    }
}

/* The visit is over. Whoever answers stands in calls of the peer, so it goes later. */
static void visit_over(struct visit *visit)
{
    visit->exchange = NULL;
    if (!visit->entered)
        loop_timer_set(visit->timer, 0);
}

/* JSON-RPC's complaints about what is no request are HTTP's, too. */
static int status_of(const json_t *message)
{
    json_int_t code = json_integer_value(json_object_get(json_object_get(message, "error"), "code"));

    return code == RPC_PARSE_ERROR || code == RPC_INVALID_REQUEST ? 400 : 200;
}

static void send_answer(struct visit *visit, const json_t *message, const struct buf *text)
{
    if (!visit->streaming && !visit->takes_json)
        start_stream(visit);
    if (visit->streaming) {
        exchange_event(visit->exchange, text->data, text->len);
        exchange_end(visit->exchange);
    } else {
        exchange_answer(visit->exchange, status_of(message), TYPE_JSON, text->data, text->len);
    }
    visit_over(visit);
}

static void send_message(void *userdata, const json_t *message)
{
    struct visit *visit = MAGIC_CAST(struct visit, userdata, VISIT_MAGIC);
    CLEANUP(buf_free) struct buf text = BUF_INIT(ANSWER_MAX);

    if (!visit->exchange)
        return;
    if (json_write(message, &text) < 0) {
        CLEANUP_JSON json_t *error = rpc_error(json_object_get(message, "id"), RPC_INTERNAL_ERROR, "the answer is too large");

        buf_reset(&text);
        if (error && json_write(error, &text) >= 0)
            send_answer(visit, error, &text);
    } else if (json_object_get(message, "id")) {
        send_answer(visit, message, &text);
    } else if (visit->takes_events) {
        if (!visit->streaming)
            start_stream(visit);
        exchange_event(visit->exchange, text.data, text.len);
    }
}

static struct visit *visit_new(struct mcp_http *http, struct exchange *exchange, const char *session_id)
{
    struct visit *visit = calloc(1, sizeof(*visit));

    if (!visit)
        return NULL;
    visit->magic = VISIT_MAGIC;
    visit->http = http;
    visit->exchange = exchange;
    snprintf(visit->session_id, sizeof(visit->session_id), "%s", session_id);
    TAILQ_INSERT_TAIL(&http->visits, visit, link);
    if (loop_timer_new(broker_loop(http->broker), on_timer, visit, &visit->timer) < 0) {
        visit_free(visit);
        return NULL;
    }
    return visit;
}

/* ---- what a request may look like ---- */

/* One range of an Accept header; weights do not matter to us but for a weight of nothing. */
static bool range_covers(const char *range, size_t len, const char *type)
{
    size_t name = strcspn(range, ";, \t"), group = strcspn(type, "/");

    name = name < len ? name : len;
    for (size_t i = name; i + 3 <= len; i++) {
        if (!strncasecmp(range + i, "q=0", 3) && strspn(range + i + 3, ".0 \t") == len - i - 3)
            return false;
    }
    if (name == 3 && !memcmp(range, "*/*", 3))
        return true;
    if (name == group + 2 && !strncasecmp(range, type, group + 1) && range[group + 1] == '*')
        return true;
    return name == strlen(type) && !strncasecmp(range, type, name);
}

static bool accepts(const char *accept, const char *type)
{
    if (!accept)
        return true;
    while (*accept) {
        accept += strspn(accept, " \t,");
        size_t len = strcspn(accept, ",");
        if (len && range_covers(accept, len, type))
            return true;
        accept += len;
    }
    return false;
}

static bool is_json(const char *content_type)
{
    const size_t len = strlen(TYPE_JSON);

    return content_type && !strncasecmp(content_type, TYPE_JSON, len) && strspn(content_type + len, "; \t") + !content_type[len];
}

static void answer_error(struct exchange *exchange, int status, const json_t *id, int code, const char *message)
{
    CLEANUP_JSON json_t *error = rpc_error(id, code, message);
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * KIB);

    if (error)
        json_write(error, &text);
    exchange_answer(exchange, status, TYPE_JSON, buf_str(&text), text.len);
}

/* The version that was agreed on, once there was an agreement; before that, and of old clients, none. */
static bool version_is_good(const struct exchange *exchange, const json_t *message)
{
    const char *version = exchange_header(exchange, "MCP-Protocol-Version"), *method = json_get_str(message, "method");

    return !version || rpc_version_is_known(version) || (method && !strcmp(method, "initialize"));
}

/* Messages of this session under way, and the streams that it has open. */
static void count(const struct mcp_http *http, const char *session_id, unsigned *ret_calls, unsigned *ret_streams)
{
    const struct visit *visit;

    *ret_calls = *ret_streams = 0;
    TAILQ_FOREACH(visit, &http->visits, link)
    {
        if (!strcmp(visit->session_id, session_id))
            ++*(visit->peer ? ret_calls : ret_streams);
    }
}

/* ---- POST ---- */

/* Ends the wait of a call that came by another POST. */
static void cancel(struct mcp_http *http, const char *session_id, const json_t *message)
{
    const json_t *id = json_object_get(json_object_get(message, "params"), "requestId");
    struct visit *visit, *meant = NULL;
    unsigned found = 0;

    TAILQ_FOREACH(visit, &http->visits, link)
    {
        if (!visit->peer || !visit->exchange || strcmp(visit->session_id, session_id) || !rpc_has_call(visit->peer, id))
            continue;
        meant = visit;
        found++;
    }
    if (found != 1)
        return;
    rpc_cancel_call(meant->peer, id);
    if (meant->takes_events && !meant->streaming)
        start_stream(meant);
    if (meant->streaming)
        exchange_end(meant->exchange); /* MCP wants no answer to what was cancelled */
    else
        answer_error(meant->exchange, 200, id, RPC_INTERNAL_ERROR, "cancelled");
    visit_over(meant);
}

static void take_notification(struct mcp_http *http, struct exchange *exchange, const char *session_id, const json_t *message)
{
    const char *method = json_get_str(message, "method");

    if (method && !strcmp(method, "notifications/cancelled"))
        cancel(http, session_id, message);
    exchange_answer(exchange, 202, NULL, NULL, 0);
}

static void take_request(struct mcp_http *http, struct exchange *exchange, const char *session_id, const json_t *message)
{
    struct visit *visit = visit_new(http, exchange, session_id);

    if (visit)
        visit->peer = rpc_peer_new(http->broker, session_id, send_message, visit);
    if (!visit || !visit->peer) {
        if (visit)
            visit_free(visit);
        answer_error(exchange, 503, json_object_get(message, "id"), RPC_INTERNAL_ERROR, "out of memory");
        return;
    }
    visit->takes_json = accepts(exchange_header(exchange, "Accept"), TYPE_JSON);
    visit->takes_events = accepts(exchange_header(exchange, "Accept"), TYPE_EVENTS);
    exchange_watch(exchange, on_gone, visit);
    visit->entered = true;
    rpc_handle_json(visit->peer, message);
    visit->entered = false;
    if (!visit->exchange)
        visit_free(visit);
    else if (visit->takes_events && !visit->streaming)
        loop_timer_set(visit->timer, visit->takes_json ? PATIENCE_MS : 0);
}

static void take_message(struct mcp_http *http, struct exchange *exchange, const char *session_id, const json_t *message)
{
    const json_t *id = json_object_get(message, "id");
    unsigned calls, streams;

    count(http, session_id, &calls, &streams);
    if (json_is_array(message))
        answer_error(exchange, 400, NULL, RPC_INVALID_REQUEST, "one message a request; batches are not taken");
    else if (!version_is_good(exchange, message))
        answer_error(exchange, 400, json_is_string(id) || json_is_integer(id) ? id : NULL, RPC_INVALID_REQUEST,
            "MCP-Protocol-Version is none that is spoken here: 2025-11-25, 2025-06-18");
    else if (!id && json_object_get(message, "method"))
        take_notification(http, exchange, session_id, message);
    else if (!json_object_get(message, "method") && (json_object_get(message, "result") || json_object_get(message, "error")))
        exchange_answer(exchange, 202, NULL, NULL, 0); /* to something we never asked */
    else if (calls >= VISITS_MAX)
        answer_error(exchange, 429, id, RPC_TOO_MANY_CALLS, "too many calls at the same time; wait for some to end");
    else
        take_request(http, exchange, session_id, message);
}

static void serve_post(struct mcp_http *http, struct exchange *exchange, const char *session_id)
{
    const char *accept = exchange_header(exchange, "Accept");
    CLEANUP_JSON json_t *message = NULL;
    struct err err = ERR_INIT;
    size_t len;
    const char *body = exchange_body(exchange, &len);

    if (!is_json(exchange_header(exchange, "Content-Type")))
        answer_error(exchange, 415, NULL, RPC_INVALID_REQUEST, "the body must be sent as Content-Type: application/json");
    else if (!accepts(accept, TYPE_JSON) && !accepts(accept, TYPE_EVENTS))
        answer_error(exchange, 406, NULL, RPC_INVALID_REQUEST, "Accept must have application/json, text/event-stream or both");
    else if (json_parse(body, len, JSON_LIMITS(LIMIT_MCP_LINE_BYTES), &message, &err) < 0)
        answer_error(exchange, 400, NULL, RPC_PARSE_ERROR, err.message);
    else
        take_message(http, exchange, session_id, message);
}

/* ---- GET ---- */

static void serve_get(struct mcp_http *http, struct exchange *exchange, const char *session_id)
{
    const char *accept = exchange_header(exchange, "Accept");
    unsigned calls, streams;

    count(http, session_id, &calls, &streams);
    if (!accept || !accepts(accept, TYPE_EVENTS)) {
        answer_error(exchange, 406, NULL, RPC_INVALID_REQUEST, "Accept must have text/event-stream");
        return;
    }
    if (!version_is_good(exchange, NULL)) {
        answer_error(
            exchange, 400, NULL, RPC_INVALID_REQUEST, "MCP-Protocol-Version is none that is spoken here: 2025-11-25, 2025-06-18");
        return;
    }
    struct visit *visit = streams < STREAMS_MAX ? visit_new(http, exchange, session_id) : NULL;
    if (!visit) {
        answer_error(exchange, 429, NULL, RPC_TOO_MANY_CALLS, "this session has too many streams open");
        return;
    }
    exchange_watch(exchange, on_gone, visit);
    start_stream(visit);
    exchange_comment(exchange);
}

void mcp_http_serve(void *userdata, struct exchange *exchange, const char *session_id)
{
    struct mcp_http *http = MAGIC_CAST(struct mcp_http, userdata, HTTP_MAGIC);

    if (!strcmp(exchange_method(exchange), "POST"))
        serve_post(http, exchange, session_id);
    else
        serve_get(http, exchange, session_id);
}

void mcp_http_tools_changed(struct mcp_http *http)
{
    CLEANUP_JSON json_t *message = rpc_tools_changed();
    CLEANUP(buf_free) struct buf text = BUF_INIT(KIB);
    struct visit *visit;

    if (!message || json_write(message, &text) < 0)
        return;
    TAILQ_FOREACH(visit, &http->visits, link)
    {
        if (!visit->peer && visit->exchange)
            exchange_event(visit->exchange, text.data, text.len);
    }
}

int mcp_http_new(struct broker *broker, struct mcp_http **ret_http)
{
    struct mcp_http *http = calloc(1, sizeof(*http));

    if (!http)
        return -ENOMEM;
    http->magic = HTTP_MAGIC;
    http->broker = broker;
    TAILQ_INIT(&http->visits);
    *ret_http = http;
    return 0;
}

void mcp_http_free(struct mcp_http *http)
{
    struct visit *visit;

    if (!http)
        return;
    while ((visit = TAILQ_FIRST(&http->visits))) {
        if (visit->exchange)
            exchange_drop(visit->exchange);
        visit_free(visit);
    }
    http->magic = 0;
    free(http);
}
