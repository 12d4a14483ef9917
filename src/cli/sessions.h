/* Agent sessions as a table. */
#ifndef CLI_SESSIONS_H
#define CLI_SESSIONS_H

#include "cli/table.h"

#include <jansson.h>

/* The rows of GET /v1/sessions in the daemon's order. The caller's; NULL when out of memory. */
struct table *sessions_table(const json_t *answer);

#endif
