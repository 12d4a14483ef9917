/*
 * The JSON-RPC entry and the MCP methods as a table. A message is parsed with
 * the limits for untrusted text; what is not one well-formed request gets a
 * JSON-RPC error, what is a notification gets nothing. A peer owns its calls in flight (calls.c).
 */
#include "mcp/rpc-private.h"

#include "base/err.h"
#include "base/json.h"
#include "broker/api.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

/* Newest first; an older or unknown older one is answered with the last. */
static const char *const VERSIONS[] = { "2025-11-25", "2025-06-18" };

static const char INSTRUCTIONS[] =
    "These tools act on the person's real accounts through Aileron. You never see or need a credential. A tool whose description "
    "says that a person must approve it waits until they decide. If it answers with status pending_approval, tell the person "
    "where "
    "to approve it and ask for the result later with check_action_status; do not make the call again. A result that says nothing "
    "was done means exactly that.";

/* ---- messages out ---- */

void rpc_send_result(struct rpc_peer *peer, const json_t *id, json_t *result_stolen)
{
    CLEANUP_JSON json_t *message = json_pack("{s:s,s:O,s:o}", "jsonrpc", "2.0", "id", id, "result", result_stolen);

    if (message)
        peer->send(peer->userdata, message);
}

json_t *rpc_error(const json_t *id, int code, const char *text)
{
    json_t *message = json_pack("{s:s,s:O?,s:{s:i,s:s}}", "jsonrpc", "2.0", "id", id, "error", "code", code, "message", text);

    if (message && !id)
        json_object_set_new(message, "id", json_null());
    return message;
}

void rpc_send_error(struct rpc_peer *peer, const json_t *id, int code, const char *text)
{
    CLEANUP_JSON json_t *message = rpc_error(id, code, text);

    if (message)
        peer->send(peer->userdata, message);
}

json_t *rpc_tools_changed(void)
{
    return json_pack("{s:s,s:s}", "jsonrpc", "2.0", "method", "notifications/tools/list_changed");
}

void rpc_notify_tools_changed(struct rpc_peer *peer)
{
    CLEANUP_JSON json_t *message = peer->initialized ? rpc_tools_changed() : NULL;

    if (message)
        peer->send(peer->userdata, message);
}

/* ---- methods ---- */

/* What a client means that names no version over HTTP. */
static const char UNNAMED[] = "2025-03-26";

bool rpc_version_is_known(const char *version)
{
    if (!strcmp(version, UNNAMED))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(VERSIONS); i++) {
        if (!strcmp(version, VERSIONS[i]))
            return true;
    }
    return false;
}

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

    rpc_send_result(peer, id,
        json_pack("{s:s,s:{s:{s:b}},s:{s:s,s:s,s:s},s:s}", "protocolVersion", version, "capabilities", "tools", "listChanged", 1,
            "serverInfo", "name", "aileron", "title", "Aileron", "version", AILERON_VERSION, "instructions", INSTRUCTIONS));
}

static void method_ping(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    rpc_send_result(peer, id, json_object());
}

static void notified_initialized(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    peer->initialized = true;
}

/* Ends the wait only; MCP wants no answer to a cancelled request. */
static void notified_cancelled(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    rpc_cancel_call(peer, json_object_get(params, "requestId"));
}

static const struct {
    const char *name;
    rpc_method_fn *function;
    bool notification;
} METHODS[] = {
    { "initialize", method_initialize, false },
    { "ping", method_ping, false },
    { "tools/list", rpc_tools_list, false },
    { "tools/call", rpc_tools_call, false },
    { "notifications/initialized", notified_initialized, true },
    { "notifications/cancelled", notified_cancelled, true },
};

/* ---- messages in ---- */

/* A request's id is text or an integer; a notification has none. */
static bool id_is_good(const json_t *id)
{
    return !id || json_is_string(id) || json_is_integer(id);
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
        rpc_send_error(peer, id, RPC_METHOD_NOT_FOUND, "unknown method");
}

int rpc_handle_json(struct rpc_peer *peer, const json_t *message)
{
    const json_t *id = json_object_get(message, "id");
    const json_t *params = json_object_get(message, "params");
    const char *method = json_get_str(message, "method");
    const char *version = json_get_str(message, "jsonrpc");

    if (!broker_session_by_id(peer->broker, peer->session_id)) {
        rpc_send_error(peer, id_is_good(id) ? id : NULL, RPC_SESSION_ENDED, "this session has ended");
        return -EACCES;
    }
    if (!method && (json_object_get(message, "result") || json_object_get(message, "error")))
        return 0; /* an answer to something we never asked */
    if (!method || !version || strcmp(version, "2.0") || !id_is_good(id) || (params && !json_is_object(params)))
        rpc_send_error(peer, id_is_good(id) ? id : NULL, RPC_INVALID_REQUEST, "not a JSON-RPC 2.0 request");
    else if (id && rpc_has_call(peer, id))
        rpc_send_error(peer, id, RPC_INVALID_REQUEST, "a request with this id is still running");
    else
        dispatch(peer, method, id, params);
    return 0;
}

int rpc_handle(struct rpc_peer *peer, const char *text, size_t len)
{
    CLEANUP_JSON json_t *message = NULL;
    struct err err = ERR_INIT;

    if (json_parse(text, len, JSON_LIMITS(LIMIT_MCP_LINE_BYTES), &message, &err) < 0) {
        rpc_send_error(peer, NULL, RPC_PARSE_ERROR, err.message);
        return 0;
    }
    return rpc_handle_json(peer, message);
}

struct rpc_peer *rpc_peer_new(struct broker *broker, const char *session_id, rpc_send_fn *send, void *userdata)
{
    struct rpc_peer *peer = calloc(1, sizeof(*peer));

    if (!peer)
        return NULL;
    peer->magic = RPC_PEER_MAGIC;
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
    if (!peer)
        return;
    rpc_calls_free(peer);
    free(peer->session_id);
    peer->magic = 0;
    free(peer);
}
