/*
 * Fuzzes the HTTP entry: the input is a script, a line each. R and tab-separated method, Accept, Content-Type,
 * MCP-Protocol-Version and body is a request; A answers the call that waits, P parks it, G ends the oldest client, T lets time
 * pass, C changes the tools. Exchange, broker and timers are faked. Every exchange ends once, whatever happens, and says
 * nothing but JSON-RPC.
 */
#include "mcp/http.h"

#include "base/json.h"
#include "broker/api.h"
#include "loop/loop.h"
#include "web/exchange.h"
#include "wire/limits.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/banned.h"

#define FIELDS     6
#define VISITS_MAX (128 + 16 + 1)

/* ---- exchanges ---- */

struct exchange {
    char *field[FIELDS]; /* R, method, Accept, Content-Type, MCP-Protocol-Version, body */
    exchange_gone_fn *gone;
    void *userdata;
    bool streaming;
    TAILQ_ENTRY(exchange) link;
};

static TAILQ_HEAD(exchanges, exchange) open_ones = TAILQ_HEAD_INITIALIZER(open_ones);
static size_t open_len;

static void finish(struct exchange *exchange)
{
    TAILQ_REMOVE(&open_ones, exchange, link);
    open_len--;
    free(exchange->field[0]);
    free(exchange);
}

static void check_message(const char *text, size_t len)
{
    CLEANUP_JSON json_t *message = json_loadb(text, len, 0, NULL);

    if (!message || strcmp(json_get_str(message, "jsonrpc"), "2.0") != 0 || memchr(text, '\n', len))
        abort();
}

const char *exchange_method(const struct exchange *exchange)
{
    return exchange->field[1];
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
    const char *value = !strcmp(name, "Accept")                 ? exchange->field[2]
                        : !strcmp(name, "Content-Type")         ? exchange->field[3]
                        : !strcmp(name, "MCP-Protocol-Version") ? exchange->field[4]
                                                                : NULL;

    return value && strcmp(value, "-") != 0 ? value : NULL;
}

const char *exchange_body(const struct exchange *exchange, size_t *ret_len)
{
    *ret_len = strlen(exchange->field[5]);
    return exchange->field[5];
}

void exchange_watch(struct exchange *exchange, exchange_gone_fn *fn, void *userdata)
{
    if (exchange->gone)
        abort();
    exchange->gone = fn;
    exchange->userdata = userdata;
}

void exchange_answer(struct exchange *exchange, int status, const char *type, const char *body, size_t len)
{
    if (exchange->streaming || (status == 202) != !type || status < 200 || status > 503)
        abort();
    if (type)
        check_message(body, len);
    finish(exchange);
}

void exchange_stream(struct exchange *exchange)
{
    if (exchange->streaming || !exchange->gone)
        abort();
    exchange->streaming = true;
}

void exchange_event(struct exchange *exchange, const char *data, size_t len)
{
    if (!exchange->streaming)
        abort();
    check_message(data, len);
}

void exchange_comment(struct exchange *exchange)
{
    if (!exchange->streaming)
        abort();
}

void exchange_end(struct exchange *exchange)
{
    if (!exchange->streaming)
        abort();
    finish(exchange);
}

void exchange_drop(struct exchange *exchange)
{
    finish(exchange);
}

/* ---- timers ---- */

struct loop_timer {
    loop_timer_fn *fn;
    void *userdata;
    bool set;
    TAILQ_ENTRY(loop_timer) link;
};

static TAILQ_HEAD(, loop_timer) timers = TAILQ_HEAD_INITIALIZER(timers);

int loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *userdata, struct loop_timer **ret_timer)
{
    struct loop_timer *timer = calloc(1, sizeof *timer);

    timer->fn = fn;
    timer->userdata = userdata;
    TAILQ_INSERT_TAIL(&timers, timer, link);
    *ret_timer = timer;
    return 0;
}

void loop_timer_set(struct loop_timer *timer, int64_t delay_ms)
{
    timer->set = true;
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer)
        TAILQ_REMOVE(&timers, timer, link);
    free(timer);
}

/* Each that is set now fires once; one that frees or sets others is no reason to begin again for ever. */
static void time_passes(void)
{
    struct loop_timer *timer;
    size_t turns = 0;

    TAILQ_FOREACH(timer, &timers, link)
    turns += timer->set;
    while (turns--) {
        TAILQ_FOREACH(timer, &timers, link)
        {
            if (timer->set)
                break;
        }
        if (!timer)
            return;
        timer->set = false;
        TAILQ_REMOVE(&timers, timer, link);
        TAILQ_INSERT_TAIL(&timers, timer, link);
        timer->fn(timer->userdata);
    }
}

/* ---- the broker ---- */

struct api_reply {
    api_reply_fn *fn;
    api_pending_fn *on_pending;
    void *userdata;
    TAILQ_ENTRY(api_reply) link;
};

static TAILQ_HEAD(replies, api_reply) replies = TAILQ_HEAD_INITIALIZER(replies);
static json_t *tools;

struct api_reply *api_reply_new(api_reply_fn *fn, void *userdata)
{
    struct api_reply *reply = calloc(1, sizeof *reply);

    reply->fn = fn;
    reply->userdata = userdata;
    TAILQ_INSERT_TAIL(&replies, reply, link);
    return reply;
}

void api_reply_on_pending(struct api_reply *reply, api_pending_fn *fn)
{
    reply->on_pending = fn;
}

void api_reply_abandon(struct api_reply *reply)
{
    TAILQ_REMOVE(&replies, reply, link);
    free(reply);
}

static void answer(struct api_reply *reply)
{
    if (!reply)
        return;
    TAILQ_REMOVE(&replies, reply, link);
    reply->fn(reply->userdata, 200, json_pack("{s:{s:s}}", "output", "subject", "Hi"));
    free(reply);
}

void api_action_run(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    if (!json_object_size(json_object_get(request->body, "args")))
        answer(reply);
}

void api_approval_result(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    answer(reply);
}

const json_t *broker_tools(struct broker *broker)
{
    return tools;
}

struct session *broker_session_by_id(struct broker *broker, const char *id)
{
    return (struct session *) &tools;
}

bool broker_session_allows(const struct session *session, const char *action)
{
    return true;
}

int64_t broker_session_park_ms(const struct session *session)
{
    return 1;
}

struct loop *broker_loop(struct broker *broker)
{
    return NULL;
}

/* ---- the script ---- */

static void request(struct mcp_http *http, char *line)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    char *rest = line;

    for (size_t i = 0; i < FIELDS; i++) {
        char *next = i + 1 < FIELDS ? strchr(rest, '\t') : NULL;

        exchange->field[i] = rest;
        rest = next ? next + 1 : rest + strlen(rest);
        if (next)
            *next = '\0';
    }
    TAILQ_INSERT_TAIL(&open_ones, exchange, link);
    open_len++;
    mcp_http_serve(http, exchange, "ses_1");
    if (open_len > VISITS_MAX)
        abort();
}

static void park(const struct api_reply *reply)
{
    CLEANUP_JSON json_t *pending =
        json_pack("{s:s, s:s, s:s}", "status", "pending_approval", "approval_id", "apr_1", "review_url", "http://127.0.0.1:7/x");

    if (reply)
        reply->on_pending(reply->userdata, "get-email", pending);
}

static void client_goes(struct exchange *exchange)
{
    if (!exchange)
        return;
    exchange->gone(exchange->userdata);
    finish(exchange);
}

static void step(struct mcp_http *http, char *line)
{
    switch (line[0]) {
    case 'R':
        request(http, line);
        return;
    case 'A':
        answer(TAILQ_FIRST(&replies));
        break;
    case 'P':
        park(TAILQ_LAST(&replies, replies));
        break;
    case 'G':
        client_goes(TAILQ_FIRST(&open_ones));
        break;
    case 'T':
        time_passes();
        break;
    case 'C':
        mcp_http_tools_changed(http);
        break;
    default:
        break;
    }
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *) data, *end = at + size;
    struct mcp_http *http = NULL;

    if (!tools)
        tools = json_pack("[{s:s,s:s,s:s,s:{s:s},s:{s:b}}]", "name", "get_email", "action", "get-email", "description", "Reads.",
            "inputSchema", "type", "object", "annotations", "destructiveHint", 1);
    mcp_http_new(NULL, &http);
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t) (end - at));
        size_t len = (size_t) ((stop ? stop : end) - at);

        step(http, strndup(at, len));
        at += len + 1;
    }
    mcp_http_free(http);
    if (open_len || !TAILQ_EMPTY(&replies) || !TAILQ_EMPTY(&timers))
        abort();
    return 0;
}
