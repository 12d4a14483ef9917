/*
 * Fuzzes the JSON-RPC entry: the input is what an agent sends, one message a
 * line. The broker is faked; a call is answered at once, later or never, as its
 * arguments' size says. Every answer must itself be JSON-RPC 2.0.
 */
#include "mcp/rpc.h"

#include "base/json.h"
#include "broker/api.h"
#include "loop/loop.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

struct api_reply {
    api_reply_fn *fn;
    api_pending_fn *on_pending;
    void *userdata;
    bool abandoned;
};

static struct api_reply *waiting;
static json_t *tools;

struct api_reply *api_reply_new(api_reply_fn *fn, void *userdata)
{
    struct api_reply *reply = calloc(1, sizeof(*reply));

    reply->fn = fn;
    reply->userdata = userdata;
    return reply;
}

void api_reply_on_pending(struct api_reply *reply, api_pending_fn *fn)
{
    reply->on_pending = fn;
}

void api_reply_abandon(struct api_reply *reply)
{
    reply->abandoned = true;
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

/* One peer has one timer. */
static struct {
    loop_timer_fn *fn;
    void *userdata;
    bool set;
} timer;

int loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *userdata, struct loop_timer **ret_timer)
{
    timer.fn = fn;
    timer.userdata = userdata;
    *ret_timer = (struct loop_timer *) &timer;
    return 0;
}

void loop_timer_set(struct loop_timer *unused, int64_t delay_ms)
{
    timer.set = true;
}

void loop_timer_free(struct loop_timer *unused)
{
    timer.set = false;
}

const json_t *broker_tools(struct broker *broker)
{
    return tools;
}

struct session *broker_session_by_id(struct broker *broker, const char *id)
{
    return (struct session *) &waiting;
}

static const char PENDING[] =
    "{\"status\":\"pending_approval\",\"approval_id\":\"apr_1\",\"review_url\":\"http://127.0.0.1:7/x\"}";

static void park(const struct api_reply *reply, const char *action)
{
    CLEANUP_JSON json_t *pending = json_loads(PENDING, 0, NULL);

    if (!reply->abandoned)
        reply->on_pending(reply->userdata, action, pending);
}

static void answer(struct api_reply *reply)
{
    if (reply && !reply->abandoned)
        reply->fn(reply->userdata, 200, json_pack("{s:{s:s}}", "output", "subject", "Hi"));
    free(reply);
}

void api_action_run(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct api_reply *before = waiting;

    if (!json_is_object(json_object_get(request->body, "args")))
        abort();
    waiting = json_object_size(json_object_get(request->body, "args")) ? reply : NULL;
    answer(before);
    if (!waiting)
        answer(reply);
    else if (json_object_size(json_object_get(request->body, "args")) > 1)
        park(reply, request->name);
}

void api_approval_result(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    if (strspn(request->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != strlen(request->name))
        abort();
    if (!reply->abandoned)
        reply->fn(reply->userdata, 202, json_loads(PENDING, 0, NULL));
    free(reply);
}

static void on_send(void *userdata, const json_t *message)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SIZE_MAX / 4);

    if (json_write(message, &text) < 0 || memchr(text.data, '\n', text.len) || strcmp(json_get_str(message, "jsonrpc"), "2.0"))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(rpc_peer_free) struct rpc_peer *peer = rpc_peer_new(NULL, "ses_1", on_send, NULL);
    const char *at = (const char *) data, *end = at + size;

    if (!tools)
        tools = json_pack("[{s:s,s:s,s:s,s:{s:s},s:{s:b}}]", "name", "get_email", "action", "get-email", "description", "Reads.",
            "inputSchema", "type", "object", "annotations", "destructiveHint", 1);
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t) (end - at));
        size_t len = (size_t) ((stop ? stop : end) - at);

        rpc_handle(peer, at, len);
        if (timer.set && len % 2) {
            timer.set = false;
            timer.fn(timer.userdata);
        }
        at += len + 1;
    }
    rpc_notify_tools_changed(peer);
    rpc_peer_free(TAKE_PTR(peer));
    answer(waiting);
    waiting = NULL;
    return 0;
}
