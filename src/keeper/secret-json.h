/*
 * JSON from and to secret memory. What jansson holds in between lies in its own memory, which the keeper wipes when it
 * is given back (memory.h).
 */
#ifndef KEEPER_SECRET_JSON_H
#define KEEPER_SECRET_JSON_H

#include "base/json.h"
#include "base/secret.h"

#define SECRET_JSON_DEPTH 8
#define SECRET_JSON_NODES 1024

/* One object, no key twice. -EINVAL, -E2BIG; the words quote nothing of it. */
int secret_json_parse(const struct secret *text, json_t **ret_object, struct err *err);
/* Compact, keys in insertion order. 0 or -ENOMEM. */
int secret_json_write(const json_t *json, struct secret **ret_text);

#endif
