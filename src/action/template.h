/*
 * Interpolation (SPEC §4): `${args.NAME}` inside the strings of a template, and
 * nothing else that starts with `${`. The parser checks templates with
 * template_next(), rendering uses the same function, so both read alike.
 */
#ifndef ACTION_TEMPLATE_H
#define ACTION_TEMPLATE_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct template_piece {
    bool is_name; /* text is the NAME of an interpolation, else literal text */
    const char *text;
    size_t len;
};

/*
 * The next piece of the template string at *at, which moves behind it: 1; 0 at the end; -EINVAL when `${` starts
 * something other than an interpolation (*at stays there).
 */
int template_next(const char **at, struct template_piece *ret_piece);

/*
 * What one operation may be given: depth, values and bytes of text, counted as often as a value is used.
 * -E2BIG with a sentence.
 */
#define TEMPLATE_MAX_DEPTH 64
#define TEMPLATE_MAX_NODES 100000
#define TEMPLATE_MAX_BYTES (1024 * 1024)
int template_measure(const json_t *value, struct err *err);

#endif
