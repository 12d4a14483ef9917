/*
 * Copies of values out of a TOML tree, for the readers of action files,
 * manifests and settings. Text that people will see on a terminal is held to
 * what can be printed: no control character but tab and newline. All errors
 * carry the position and say what to do.
 */
#ifndef BASE_TOML_READ_H
#define BASE_TOML_READ_H

#include "base/err.h"
#include "base/toml.h"

#include <stdbool.h>
#include <stddef.h>

#define TOML_LIST_MAX 256 /* elements of one list of texts or tables */

/* "NAME:LINE:COLUMN: 'KEY' ..." when the member's text is empty, blank or not printable. An absent member leaves *ret_text NULL. */
int toml_read_text(const struct toml_node *table, const char *key, const char *name, char **ret_text, struct err *err);
/* Absent: *ret_value stays. */
void toml_read_bool(const struct toml_node *table, const char *key, bool *ret_value);

/* A list of different, printable texts. Absent or empty: nothing. Owner frees with toml_texts_free. */
int toml_read_texts(
    const struct toml_node *table, const char *key, const char *name, char ***ret_texts, size_t *ret_len, struct err *err);
void toml_texts_free(char **texts, size_t len);
bool toml_texts_have(char *const *texts, size_t len, const char *text);

/* The member as a list of tables: checks that every element is one. Absent: *ret_list is NULL. */
int toml_read_tables(
    const struct toml_node *table, const char *key, const char *name, const struct toml_node **ret_list, struct err *err);

#endif
