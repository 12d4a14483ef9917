/*
 * From words to the arguments of an action: `name=value` by the type that the
 * action declares. Pure.
 */
#ifndef CLI_CONVERT_H
#define CLI_CONVERT_H

#include "base/err.h"
#include "base/json.h"

#include <stddef.h>

/*
 * Adds `pair` ("name=value") to the object `args`. `inputs` is the action's list of {"name","type","items_type"?,…}. An array
 * input takes one element a pair; other inputs are given once. -EINVAL with a sentence, and a hint when a name is nearly right.
 */
int convert_pair(const json_t *inputs, const char *pair, json_t *args, struct err *err);
/* One value by type: string, integer, number, boolean, object, or array (as JSON text). New reference; -EINVAL. */
int convert_value(const char *type, const char *name, const char *text, json_t **ret_value, struct err *err);
/* Name of the first required input that `args` lacks, or NULL. */
const char *convert_missing(const json_t *inputs, const json_t *args);

#endif
