/*
 * The agent's doors: MCP (JSON-RPC 2.0) over agent.sock, where the first line is the session
 * token and then one JSON message a line; and over HTTP at /mcp (http.h), a path of web's.
 */
#ifndef MCP_MCP_H
#define MCP_MCP_H

#include "base/cleanup.h"
#include "base/err.h"

struct broker;
struct mcp;
struct web;

/* `socket_fd`: listening AF_UNIX stream socket, taken. `web` must outlive it. */
int mcp_start(struct broker *broker, struct web *web, int socket_fd, struct mcp **ret_mcp, struct err *err);
void mcp_free(struct mcp *mcp);
DEFINE_CLEANUP_PTR(struct mcp, mcp_free)

#endif
