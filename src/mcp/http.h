/*
 * MCP's Streamable HTTP transport (modelcontextprotocol.io, revision 2025-11-25) at /mcp, for sessions whose token came as the
 * bearer: POST carries one message, GET is a stream of what changes. There is no Mcp-Session-Id and no state between two
 * requests, so a restart of the daemon loses nothing but what was waited for.
 */
#ifndef MCP_HTTP_H
#define MCP_HTTP_H

#include "base/cleanup.h"

struct broker;
struct exchange;
struct mcp_http;

/* 0 or -ENOMEM. */
int mcp_http_new(struct broker *broker, struct mcp_http **ret_http);
/* Forgets what is under way: call it before the server goes. */
void mcp_http_free(struct mcp_http *http);
DEFINE_CLEANUP_PTR(struct mcp_http, mcp_http_free)
/* web_mount_fn: one request of this session. `userdata`: the struct mcp_http. */
void mcp_http_serve(void *userdata, struct exchange *exchange, const char *session_id);
/* Tells every open stream. */
void mcp_http_tools_changed(struct mcp_http *http);

#endif
