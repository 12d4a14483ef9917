/*
 * The tools that one session sees (SPEC §10): the broker's list without what its `only` takes away, in pages, and the tool
 * by which a call that waited too long is collected. Pure.
 */
#ifndef MCP_TOOLS_H
#define MCP_TOOLS_H

#include <jansson.h>
#include <stdbool.h>

struct session;

#define TOOLS_PAGE 100

/*
 * `tools`: broker_tools(). `cursor` NULL: the first page. *ret_page: {"tools":[…],"nextCursor"?}, a new reference.
 * False when the cursor is none of ours; NULL in *ret_page when out of memory.
 */
bool tools_page(const json_t *tools, const struct session *session, const char *cursor, json_t **ret_page);
/* The action of a tool, or NULL when there is none for this session. Borrowed from `tools`. */
const char *tools_action(const json_t *tools, const struct session *session, const char *name);
/* True when the session may see an action that waits for a person. */
bool tools_have_gated(const json_t *tools, const struct session *session);

#endif
