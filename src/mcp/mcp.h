/*
 * The agent's door: MCP (JSON-RPC 2.0) over agent.sock. First line the session
 * token, then one JSON message a line. mcp_handle() is shared with the HTTP form that comes later.
 */
#ifndef MCP_MCP_H
#define MCP_MCP_H

#include "base/cleanup.h"
#include "base/err.h"

struct broker;
struct mcp;

/* `socket_fd`: listening AF_UNIX stream socket, taken. */
int mcp_start(struct broker *broker, int socket_fd, struct mcp **ret_mcp, struct err *err);
void mcp_free(struct mcp *mcp);
DEFINE_CLEANUP_PTR(struct mcp, mcp_free)

#endif
