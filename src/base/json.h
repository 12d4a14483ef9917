/*
 * Access to jansson with the limits that untrusted text needs: the bytes,
 * nesting and number of values are counted before jansson sees them, duplicate
 * keys and NUL are refused, and what is written is compact.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

struct json_limits {
    size_t bytes;
    unsigned depth;
    unsigned nodes;
};

/* SPEC §12: depth 64, nodes 100,000; bytes by the caller. */
#define JSON_LIMITS(max_bytes) ((struct json_limits){ (max_bytes), 64, 100000 })

/* Parses one object or array and nothing after it. -EINVAL bad text, -E2BIG over a limit; `err` says where. */
int json_parse(const char *text, size_t len, struct json_limits limits, json_t **ret_json, struct err *err);
/* Compact; object keys in insertion order. */
int json_write(const json_t *json, struct buf *out);
/* Compact with sorted keys: equal values give equal bytes. */
int json_write_canonical(const json_t *json, struct buf *out);
/* Member text, or NULL when absent or not a string. Borrowed. */
const char *json_get_str(const json_t *object, const char *key);
/* Appends `text` as a quoted JSON string; invalid UTF-8 is replaced by U+FFFD. */
int json_quote(const char *text, size_t len, struct buf *out);
/* The same count of bytes, nesting and values that json_parse() begins with: would it take this text? */
int json_check_limits(const char *text, size_t len, struct json_limits limits, struct err *err);
/* About how many bytes of memory it takes; what is in it twice counts twice. NULL: none. */
size_t json_memory(const json_t *json);
/* Two different keys of one object that are equal but for ASCII case, or NULL. Looks at this object only. */
const char *json_case_folded_twin(const json_t *object);
/* Must run once before seccomp: seeds jansson's hash table. */
void json_init(void);

DEFINE_CLEANUP_PTR(json_t, json_decref)
#define CLEANUP_JSON CLEANUP_PTR(json_decref)

#endif
