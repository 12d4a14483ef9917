/*
 * What an agent's model reads after a call (SPEC §10): an API answer as an MCP
 * tool result. The words stand in the text and in structuredContent alike, since
 * clients show the model only one of the two. Pure.
 */
#ifndef MCP_RESULT_H
#define MCP_RESULT_H

#include <jansson.h>

/* `status` and `body` of api_action_run. New reference; NULL when out of memory. */
json_t *result_from_api(const char *action, int status, const json_t *body);

#endif
