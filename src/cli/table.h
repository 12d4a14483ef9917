/*
 * Tables for people: a heading, aligned columns, fitted to the terminal by
 * shortening the columns that may be shortened. Cells are cleaned as they come in.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/cleanup.h"
#include "cli/term.h"

#define TABLE_COLUMNS_MAX 12

struct table_column {
    const char *title;
    bool right;   /* numbers */
    size_t least; /* columns it may be cut down to; 0: never cut */
};

struct table;

/* `columns` is borrowed and must outlive the table. NULL when out of memory. */
struct table *table_new(const struct table_column *columns, size_t columns_len);
void table_free(struct table *table);
DEFINE_CLEANUP_PTR(struct table, table_free)

/* Starts a row, then one call a cell; NULL is an empty one. Errors are kept and come from table_print. */
void table_row(struct table *table);
void table_cell(struct table *table, const char *text);
void table_cell_style(struct table *table, const char *text, enum style style);
void table_cellf(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t table_rows(const struct table *table);
/* Prints heading and rows in at most `width` columns (0: as wide as it takes). 0 or -ENOMEM. */
int table_print(const struct table *table, FILE *file, size_t width);

#endif
