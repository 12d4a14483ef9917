/*
 * The JSON-RPC entry and the MCP methods as a table. A message is parsed with
 * the limits for untrusted text; what is not one well-formed request gets a
 * JSON-RPC error, what is a notification gets nothing.
 *
 * A peer owns its calls in flight. A call whose wait ends (cancelled, client gone)
 * is abandoned: the broker finishes and receipts it, nobody is answered.
 */
#include "mcp/rpc.h"

#include "base/err.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/api.h"
#include "mcp/result.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/banned.h"

#define PEER_MAGIC 0x4d435031u
#define CALL_MAGIC 0x4d434332u
#define CALLS_MAX  128

/* JSON-RPC 2.0 §5.1 */
enum {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL_ERROR = -32603,
    RPC_SESSION_ENDED = -32001,
    RPC_TOO_MANY_CALLS = -32002,
};

/* Newest first; an older or unknown older one is answered with the last. */
static const char *const VERSIONS[] = { "2025-11-25", "2025-06-18" };

static const char INSTRUCTIONS[] =
    "These tools act on the person's real accounts through Aileron. You never see or need a credential. A tool whose description "
    "says "
    "that a person must approve it waits until they decide. A result that says nothing was done means exactly that.";

struct rpc_call {
    uint32_t magic;
    struct rpc_peer *peer;
    json_t *id;
    char *action;
    struct api_reply *reply;
    TAILQ_ENTRY(rpc_call) link;
};

struct rpc_peer {
    uint32_t magic;
    struct broker *broker;
    char *session_id;
    rpc_send_fn *send;
    void *userdata;
    bool initialized;
    unsigned calls_len;
    TAILQ_HEAD(, rpc_call) calls;
};

/* ---- messages out ---- */

static void send_result(struct rpc_peer *peer, const json_t *id, json_t *result_stolen)
{
    CLEANUP_JSON json_t *message = json_pack("{s:s,s:O,s:o}", "jsonrpc", "2.0", "id", id, "result", result_stolen);

    if (message)
        peer->send(peer->userdata, message);
}

/* `id` NULL: the request's id could not be read. */
static void send_error(struct rpc_peer *peer, const json_t *id, int code, const char *text)
{
    CLEANUP_JSON json_t *message =
        json_pack("{s:s,s:O?,s:{s:i,s:s}}", "jsonrpc", "2.0", "id", id, "error", "code", code, "message", text);

    if (message && !id)
        json_object_set_new(message, "id", json_null());
    if (message)
        peer->send(peer->userdata, message);
}

void rpc_notify_tools_changed(struct rpc_peer *peer)
{
    CLEANUP_JSON json_t *message = json_pack("{s:s,s:s}", "jsonrpc", "2.0", "method", "notifications/tools/list_changed");

    if (message && peer->initialized)
        peer->send(peer->userdata, message);
}

/* ---- methods ---- */

typedef void method_fn(struct rpc_peer *peer, const json_t *id, const json_t *params);

static const char *choose_version(const char *wanted)
{
    for (size_t i = 0; wanted && i < ARRAY_LEN(VERSIONS); i++) {
        if (strcmp(wanted, VERSIONS[i]) >= 0)
            return VERSIONS[i];
    }
    return VERSIONS[ARRAY_LEN(VERSIONS) - 1];
}

static void method_initialize(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    const char *version = choose_version(json_get_str(params, "protocolVersion"));

    send_result(peer, id,
        json_pack("{s:s,s:{s:{s:b}},s:{s:s,s:s,s:s},s:s}", "protocolVersion", version, "capabilities", "tools", "listChanged", 1,
            "serverInfo", "name", "aileron", "title", "Aileron", "version", AILERON_VERSION, "instructions", INSTRUCTIONS));
}

static void method_ping(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    send_result(peer, id, json_object());
}

static void method_tools_list(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    const json_t *tools = broker_tools(peer->broker);
    json_t *listed = json_array();
    size_t i;
    json_t *tool;

    json_array_foreach((json_t *) tools, i, tool)
    {
        json_t *shown = json_copy(tool);

        json_object_del(shown, "action");
        json_array_append_new(listed, shown);
    }
    send_result(peer, id, json_pack("{s:o}", "tools", listed));
}

static const char *tool_action(struct rpc_peer *peer, const char *name)
{
    const json_t *tools = broker_tools(peer->broker);
    size_t i;
    json_t *tool;

    json_array_foreach((json_t *) tools, i, tool)
    {
        if (!strcmp(json_get_str(tool, "name"), name))
            return json_get_str(tool, "action");
    }
    return NULL;
}

static void call_free(struct rpc_call *call)
{
    TAILQ_REMOVE(&call->peer->calls, call, link);
    call->peer->calls_len--;
    json_decref(call->id);
    free(call->action);
    call->magic = 0;
    free(call);
}

static void on_call_done(void *userdata, int status, json_t *body)
{
    struct rpc_call *call = MAGIC_CAST(struct rpc_call, userdata, CALL_MAGIC);
    json_t *result = result_from_api(call->action, status, body);

    if (result)
        send_result(call->peer, call->id, result);
    else
        send_error(call->peer, call->id, RPC_INTERNAL_ERROR, "the result could not be written");
    json_decref(body);
    call_free(call);
}

static struct rpc_call *call_new(struct rpc_peer *peer, const json_t *id, const char *action)
{
    struct rpc_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    call->magic = CALL_MAGIC;
    call->peer = peer;
    call->id = json_incref((json_t *) id);
    call->action = strdup(action);
    TAILQ_INSERT_TAIL(&peer->calls, call, link);
    peer->calls_len++;
    call->reply = call->action ? api_reply_new(on_call_done, call) : NULL;
    if (!call->reply) {
        call_free(call);
        return NULL;
    }
    return call;
}

static void run_tool(struct rpc_peer *peer, const json_t *id, const char *action, const json_t *arguments)
{
    CLEANUP_JSON json_t *query = json_object();
    CLEANUP_JSON json_t *body = json_object();
    struct rpc_call *call = call_new(peer, id, action);

    if (!call || !query || !body ||
        json_object_set_new(body, "args", arguments ? json_incref((json_t *) arguments) : json_object()) < 0) {
        if (call) {
            api_reply_abandon(call->reply);
            call_free(call);
        }
        send_error(peer, id, RPC_INTERNAL_ERROR, "out of memory");
        return;
    }
    struct api_request request = {
        .role = API_AGENT,
        .session = broker_session_by_id(peer->broker, peer->session_id),
        .name = call->action,
        .query = query,
        .body = body,
    };
    api_action_run(peer->broker, &request, call->reply);
}

static void method_tools_call(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    const char *name = json_get_str(params, "name");
    const json_t *arguments = json_object_get(params, "arguments");
    const char *action = name ? tool_action(peer, name) : NULL;

    if (!action)
        send_error(peer, id, RPC_INVALID_PARAMS, name ? "unknown tool" : "params.name must be a tool's name");
    else if (arguments && !json_is_object(arguments))
        send_error(peer, id, RPC_INVALID_PARAMS, "params.arguments must be an object");
    else if (peer->calls_len >= CALLS_MAX)
        send_error(peer, id, RPC_TOO_MANY_CALLS, "too many calls at the same time; wait for some to end");
    else
        run_tool(peer, id, action, arguments);
}

static void notified_initialized(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    peer->initialized = true;
}

/* Ends the wait only; MCP wants no answer to a cancelled request. */
static void notified_cancelled(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    const json_t *wanted = json_object_get(params, "requestId");
    struct rpc_call *call;

    TAILQ_FOREACH(call, &peer->calls, link)
    {
        if (json_equal(call->id, wanted)) {
            api_reply_abandon(call->reply);
            call_free(call);
            return;
        }
    }
}

static const struct {
    const char *name;
    method_fn *function;
    bool notification;
} METHODS[] = {
    { "initialize", method_initialize, false },
    { "ping", method_ping, false },
    { "tools/list", method_tools_list, false },
    { "tools/call", method_tools_call, false },
    { "notifications/initialized", notified_initialized, true },
    { "notifications/cancelled", notified_cancelled, true },
};

/* ---- messages in ---- */

/* A request's id is text or an integer; a notification has none. */
static bool id_is_good(const json_t *id)
{
    return !id || json_is_string(id) || json_is_integer(id);
}

static bool id_in_flight(const struct rpc_peer *peer, const json_t *id)
{
    const struct rpc_call *call;

    TAILQ_FOREACH(call, &peer->calls, link)
    {
        if (json_equal(call->id, id))
            return true;
    }
    return false;
}

static void dispatch(struct rpc_peer *peer, const char *method, const json_t *id, const json_t *params)
{
    for (size_t i = 0; i < ARRAY_LEN(METHODS); i++) {
        if (strcmp(METHODS[i].name, method) || METHODS[i].notification != !id)
            continue;
        METHODS[i].function(peer, id, params);
        return;
    }
    if (id)
        send_error(peer, id, RPC_METHOD_NOT_FOUND, "unknown method");
}

int rpc_handle(struct rpc_peer *peer, const char *text, size_t len)
{
    CLEANUP_JSON json_t *message = NULL;
    struct err err = ERR_INIT;

    if (!broker_session_by_id(peer->broker, peer->session_id)) {
        send_error(peer, NULL, RPC_SESSION_ENDED, "this session has ended");
        return -EACCES;
    }
    if (json_parse(text, len, JSON_LIMITS(LIMIT_MCP_LINE_BYTES), &message, &err) < 0) {
        send_error(peer, NULL, RPC_PARSE_ERROR, err.message);
        return 0;
    }
    const json_t *id = json_object_get(message, "id");
    const json_t *params = json_object_get(message, "params");
    const char *method = json_get_str(message, "method");
    const char *version = json_get_str(message, "jsonrpc");

    if (!method && (json_object_get(message, "result") || json_object_get(message, "error")))
        return 0; /* an answer to something we never asked */
    if (!method || !version || strcmp(version, "2.0") || !id_is_good(id) || (params && !json_is_object(params)))
        send_error(peer, id_is_good(id) ? id : NULL, RPC_INVALID_REQUEST, "not a JSON-RPC 2.0 request");
    else if (id && id_in_flight(peer, id))
        send_error(peer, id, RPC_INVALID_REQUEST, "a request with this id is still running");
    else
        dispatch(peer, method, id, params);
    return 0;
}

struct rpc_peer *rpc_peer_new(struct broker *broker, const char *session_id, rpc_send_fn *send, void *userdata)
{
    struct rpc_peer *peer = calloc(1, sizeof(*peer));

    if (!peer)
        return NULL;
    peer->magic = PEER_MAGIC;
    peer->broker = broker;
    peer->send = send;
    peer->userdata = userdata;
    TAILQ_INIT(&peer->calls);
    peer->session_id = strdup(session_id);
    if (!peer->session_id) {
        free(peer);
        return NULL;
    }
    return peer;
}

void rpc_peer_free(struct rpc_peer *peer)
{
    struct rpc_call *call;

    if (!peer)
        return;
    while ((call = TAILQ_FIRST(&peer->calls))) {
        api_reply_abandon(call->reply);
        call_free(call);
    }
    free(peer->session_id);
    peer->magic = 0;
    free(peer);
}
