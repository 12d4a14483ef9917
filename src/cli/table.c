/*
 * A table is collected whole, measured, fitted and printed. When it is too wide,
 * the widest column that may be cut loses one column at a time, so that several
 * long ones share the loss.
 */
#include "cli/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define GAP      2
#define CELL_MAX 4096
#define ROWS_MAX 100000

struct cell {
    char *text;
    enum style style;
};

struct row {
    struct cell cells[TABLE_COLUMNS_MAX];
};

struct table {
    const struct table_column *columns;
    size_t columns_len;
    struct row *rows;
    size_t rows_len, rows_cap;
    size_t at; /* next cell of the last row */
    int error;
};

struct table *table_new(const struct table_column *columns, size_t columns_len)
{
    struct table *table = columns_len <= TABLE_COLUMNS_MAX ? calloc(1, sizeof(*table)) : NULL;

    if (!table)
        return NULL;
    table->columns = columns;
    table->columns_len = columns_len;
    return table;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->rows_len; i++)
        for (size_t c = 0; c < table->columns_len; c++)
            free(table->rows[i].cells[c].text);
    free(table->rows);
    free(table);
}

void table_row(struct table *table)
{
    if (table->rows_len == table->rows_cap && !table->error) {
        size_t cap = table->rows_cap ? table->rows_cap * 2 : 32;
        struct row *rows = cap <= ROWS_MAX ? reallocarray(table->rows, cap, sizeof(*rows)) : NULL;

        if (!rows) {
            table->error = -ENOMEM;
            return;
        }
        table->rows = rows;
        table->rows_cap = cap;
    }
    if (table->error)
        return;
    table->rows[table->rows_len++] = (struct row){ 0 };
    table->at = 0;
}

void table_cell_style(struct table *table, const char *text, enum style style)
{
    CLEANUP(buf_free) struct buf clean = BUF_INIT(CELL_MAX);
    size_t len = text ? strlen(text) : 0;
    struct cell *cell;

    if (table->error || !table->rows_len || table->at >= table->columns_len)
        return;
    cell = &table->rows[table->rows_len - 1].cells[table->at++];
    text_clean(text ? text : "", len < CELL_MAX / 4 ? len : CELL_MAX / 4, false, &clean);
    cell->text = buf_take(&clean);
    cell->style = style;
    if (!cell->text)
        table->error = -ENOMEM;
}

void table_cell(struct table *table, const char *text)
{
    table_cell_style(table, text, STYLE_PLAIN);
}

void table_cellf(struct table *table, const char *format, ...)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(CELL_MAX);
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    table_cell(table, buf_str(&text));
}

size_t table_rows(const struct table *table)
{
    return table->rows_len;
}

static const char *cell_text(const struct row *row, size_t column)
{
    return row->cells[column].text ? row->cells[column].text : "";
}

static void measure(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
    for (size_t c = 0; c < table->columns_len; c++) {
        widths[c] = text_columns(table->columns[c].title);
        for (size_t i = 0; i < table->rows_len; i++) {
            size_t columns = text_columns(cell_text(&table->rows[i], c));

            widths[c] = columns > widths[c] ? columns : widths[c];
        }
    }
}

static size_t total(const struct table *table, const size_t *widths)
{
    size_t sum = table->columns_len ? (table->columns_len - 1) * GAP : 0;

    for (size_t c = 0; c < table->columns_len; c++)
        sum += widths[c];
    return sum;
}

static void fit(const struct table *table, size_t widths[TABLE_COLUMNS_MAX], size_t width)
{
    size_t sum = total(table, widths);

    while (width && sum > width) {
        size_t widest = TABLE_COLUMNS_MAX;

        for (size_t c = 0; c < table->columns_len; c++) {
            size_t least = table->columns[c].least;

            if (least && widths[c] > least && (widest == TABLE_COLUMNS_MAX || widths[c] > widths[widest]))
                widest = c;
        }
        if (widest == TABLE_COLUMNS_MAX)
            return;
        widths[widest]--;
        sum--;
    }
}

static int put_cell(FILE *file, const char *text, enum style style, const struct table_column *column, size_t width, bool last)
{
    CLEANUP(buf_free) struct buf fitted = BUF_INIT(CELL_MAX * 2);
    int r = text_fit(text, width, &fitted);
    size_t columns = text_columns(buf_str(&fitted));
    int pad = columns < width ? (int) (width - columns) : 0;

    if (r < 0)
        return r;
    if (column->right)
        fprintf(file, "%*s", pad, "");
    fprintf(file, "%s%s%s", term_style(file, style), buf_str(&fitted), style == STYLE_PLAIN ? "" : term_end(file));
    if (!last)
        fprintf(file, "%*s", (column->right ? 0 : pad) + GAP, "");
    return 0;
}

int table_print(const struct table *table, FILE *file, size_t width)
{
    size_t widths[TABLE_COLUMNS_MAX] = { 0 };
    int r = table->error;

    if (r < 0)
        return r;
    measure(table, widths);
    fit(table, widths, width);
    for (size_t c = 0; c < table->columns_len && r >= 0; c++)
        r = put_cell(file, table->columns[c].title, STYLE_DIM, &table->columns[c], widths[c], c + 1 == table->columns_len);
    fputc('\n', file);
    for (size_t i = 0; i < table->rows_len && r >= 0; i++) {
        for (size_t c = 0; c < table->columns_len && r >= 0; c++) {
            enum style style = table->rows[i].cells[c].style;

            r = put_cell(file, cell_text(&table->rows[i], c), style, &table->columns[c], widths[c], c + 1 == table->columns_len);
        }
        fputc('\n', file);
    }
    return r;
}
