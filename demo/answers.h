/* Answers as Google gives them. */
#ifndef DEMO_ANSWERS_H
#define DEMO_ANSWERS_H

#include "base/json.h"

/* {"error":{"code","message","status"}}; returns `status`. */
int answer_error(int status, const char *message, json_t **ret);
/* A whole number of the query, between 1 and `max`; `otherwise` when it is absent or none. */
size_t answer_count(const json_t *query, const char *name, size_t otherwise, size_t max);

#endif
