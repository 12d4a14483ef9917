/*
 * JSON-RPC 2.0 (jsonrpc.org/specification) and the MCP methods
 * (modelcontextprotocol.io, revision 2025-11-25): one message in, at most one
 * answer out, now or later, and progress before it. Knows no socket: agent.sock (mcp.h) and
 * Streamable HTTP (http.h) bring the messages.
 */
#ifndef MCP_RPC_H
#define MCP_RPC_H

#include "base/cleanup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct broker;
struct rpc_peer;

/* JSON-RPC 2.0 §5.1, and two of our own. */
enum {
    RPC_PARSE_ERROR = -32700,
    RPC_INVALID_REQUEST = -32600,
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL_ERROR = -32603,
    RPC_SESSION_ENDED = -32001,
    RPC_TOO_MANY_CALLS = -32002,
};

/* Sends one message to the client. `message` is borrowed. It may free the peer when the message is an answer. */
typedef void rpc_send_fn(void *userdata, const json_t *message);

/* A client of session `session_id` (copied). NULL when out of memory. */
struct rpc_peer *rpc_peer_new(struct broker *broker, const char *session_id, rpc_send_fn *send, void *userdata);
/* Gives up waiting for calls that run; they go on and are receipted. */
void rpc_peer_free(struct rpc_peer *peer);
DEFINE_CLEANUP_PTR(struct rpc_peer, rpc_peer_free)
/* One message as text. 0, or -EACCES when the session has ended (the client was told). */
int rpc_handle(struct rpc_peer *peer, const char *text, size_t len);
/* The same of a message that was parsed with the limits for untrusted text. */
int rpc_handle_json(struct rpc_peer *peer, const json_t *message);
/* Sends notifications/tools/list_changed, once the client is initialised. */
void rpc_notify_tools_changed(struct rpc_peer *peer);

/* For a transport that gets a client's messages by different ways. */

/* True when a client may name `version` as the one that was agreed on. */
bool rpc_version_is_known(const char *version);
/* True when a call with this id is in flight. */
bool rpc_has_call(const struct rpc_peer *peer, const json_t *id);
/* Ends the wait for a call; it is not answered. */
void rpc_cancel_call(struct rpc_peer *peer, const json_t *id);
/* {"jsonrpc","id","error":{"code","message"}}; `id` NULL: it could not be read. New reference; NULL when out of memory. */
json_t *rpc_error(const json_t *id, int code, const char *text);
/* notifications/tools/list_changed. New reference; NULL when out of memory. */
json_t *rpc_tools_changed(void);

#endif
