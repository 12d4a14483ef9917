/*
 * What an agent's model reads after a call (SPEC §10): an API answer as an MCP
 * tool result. The words stand in the text and in structuredContent alike, since
 * clients show the model only one of the two. Pure.
 */
#ifndef MCP_RESULT_H
#define MCP_RESULT_H

#include <jansson.h>

/*
 * `status` and `body` of api_action_run or api_approval_result; `name` is what the words call it: the action, or the
 * approval's id. New reference; NULL when out of memory.
 */
json_t *result_from_api(const char *name, int status, const json_t *body);
/* check_action_status was called with something else than an approval's id. */
json_t *result_of_bad_status_input(void);
/* What a person is to read while a call waits for them. `pending`: the body of a 202. malloc'd; NULL when out of memory. */
char *result_waiting_text(const char *action, const json_t *pending);

#endif
