/* Values for people and for programs: JSON that no terminal obeys, times in the local zone, names and values in columns. */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include "base/json.h"

#include <stdint.h>
#include <stdio.h>

#define PRINT_TIME_MAX 64

/* Indented JSON and a newline. Characters that could steer a terminal are escaped inside its strings. 0 or -ENOMEM. */
int print_json(FILE *file, const json_t *json);
/* Appends the same text to `out`. */
int print_json_text(const json_t *json, struct buf *out);
/* RFC 3339 as "2026-11-23 22:29:00" of the local zone; the text itself when it is no time. Returns `out`. */
char *print_local_time(const char *rfc3339, char out[PRINT_TIME_MAX]);
/* "3 d 4 h", "12 min", "8 s". Returns `out`. */
char *print_duration(int64_t seconds, char out[PRINT_TIME_MAX]);
/* "name        value" with the name dimmed; nothing when `value` is NULL. */
void print_field(FILE *file, const char *name, const char *value);
void print_fieldf(FILE *file, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The strings of an array, one a line, the name before the first; nothing when there are none. */
void print_items(FILE *file, const char *name, const json_t *array);
/* Member `key` of an object as text: strings as they are, other values as compact JSON, NULL when absent. malloc'd. */
char *print_member(const json_t *object, const char *key);
/* Strings of an array joined by ", ". malloc'd; "" when there are none. */
char *print_list(const json_t *array);
/* The last 8 characters of an id: what people type. */
const char *print_suffix(const char *id);

#endif
