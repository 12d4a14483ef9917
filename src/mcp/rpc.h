/*
 * JSON-RPC 2.0 (jsonrpc.org/specification) and the MCP methods
 * (modelcontextprotocol.io, revision 2025-11-25): one message in, at most one
 * answer out, now or later. Knows no socket; agent.sock uses it, and the HTTP form will.
 */
#ifndef MCP_RPC_H
#define MCP_RPC_H

#include "base/cleanup.h"

#include <jansson.h>
#include <stddef.h>

struct broker;
struct rpc_peer;

/* Sends one message to the client. `message` is borrowed. */
typedef void rpc_send_fn(void *userdata, const json_t *message);

/* A client of session `session_id` (copied). NULL when out of memory. */
struct rpc_peer *rpc_peer_new(struct broker *broker, const char *session_id, rpc_send_fn *send, void *userdata);
/* Gives up waiting for calls that run; they go on and are receipted. */
void rpc_peer_free(struct rpc_peer *peer);
DEFINE_CLEANUP_PTR(struct rpc_peer, rpc_peer_free)
/* One message as text. 0, or -EACCES when the session has ended (the client was told). */
int rpc_handle(struct rpc_peer *peer, const char *text, size_t len);
/* Sends notifications/tools/list_changed, once the client is initialised. */
void rpc_notify_tools_changed(struct rpc_peer *peer);

#endif
