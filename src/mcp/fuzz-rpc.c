/*
 * Fuzzes the JSON-RPC entry: the input is what an agent sends, one message a
 * line. The broker is faked; a call is answered at once, later or never, as its
 * arguments' size says. Every answer must itself be JSON-RPC 2.0.
 */
#include "mcp/rpc.h"

#include "base/json.h"
#include "broker/api.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

struct api_reply {
    api_reply_fn *fn;
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

void api_reply_abandon(struct api_reply *reply)
{
    reply->abandoned = true;
}

const json_t *broker_tools(struct broker *broker)
{
    return tools;
}

struct session *broker_session_by_id(struct broker *broker, const char *id)
{
    return (struct session *) &waiting;
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
        tools = json_pack("[{s:s,s:s,s:s,s:{s:s}}]", "name", "get_email", "action", "get-email", "description", "Reads.",
            "inputSchema", "type", "object");
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t) (end - at));
        size_t len = (size_t) ((stop ? stop : end) - at);

        rpc_handle(peer, at, len);
        at += len + 1;
    }
    rpc_notify_tools_changed(peer);
    rpc_peer_free(TAKE_PTR(peer));
    answer(waiting);
    waiting = NULL;
    return 0;
}
