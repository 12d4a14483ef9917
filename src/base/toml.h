/*
 * TOML 1.0 as a tree of nodes that remember where they stood. Tables keep the
 * order of the source. The parser is toml++ behind toml.cc, the one C++ file;
 * caps: 64 KiB of text, nesting 32, 16 dots in a line, 10,000 nodes.
 */
#ifndef BASE_TOML_H
#define BASE_TOML_H

#include "base/cleanup.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOML_MAX_BYTES (64 * 1024)

enum toml_type { TOML_STRING, TOML_INTEGER, TOML_FLOAT, TOML_BOOL, TOML_DATETIME, TOML_ARRAY, TOML_TABLE };

struct toml_node {
    enum toml_type type;
    char *key;     /* NULL for array elements and the root */
    unsigned line; /* 1-based, of the value; plus first_line - 1 */
    unsigned column;
    char *text; /* strings (NUL-terminated; a string with NUL is refused), datetimes as written */
    int64_t integer;
    double real;
    bool boolean;
    struct toml_node **items; /* arrays and tables, in source order */
    size_t items_len;
};

/*
 * `name` is the file as the user knows it, `first_line` the line number of the
 * text's first line in it. Errors read "NAME:LINE:COLUMN: what". -EINVAL, -E2BIG, -ENOMEM.
 */
int toml_parse(const char *text, size_t len, const char *name, unsigned first_line, struct toml_node **ret_root, struct err *err);
void toml_free(struct toml_node *node);
DEFINE_CLEANUP_PTR(struct toml_node, toml_free)

/* Direct member of a table, or NULL. */
const struct toml_node *toml_get(const struct toml_node *table, const char *key);
/* The node as JSON (datetimes as text). New reference; NULL when out of memory. */
json_t *toml_to_json(const struct toml_node *node);
const char *toml_type_name(enum toml_type type);

/*
 * A table's schema as data. toml_check() reports the first unknown key, wrong
 * type or missing required key, with position and what to do.
 */
struct toml_field {
    const char *key;
    enum toml_type type;
    bool required;
};
int toml_check(const struct toml_node *table, const char *where, const struct toml_field *fields, size_t fields_len,
    const char *name, struct err *err);
/* err_set(EINVAL, "NAME:LINE:COLUMN: ...") for a rule of the caller's own. */
int toml_fail(const struct toml_node *at, const char *name, struct err *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
