/* Breaking happens between words where there are any, else between characters; every broken piece keeps its indentation. */
#include "cli/lines.h"

#include "cli/print.h"
#include "cli/visible.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define TEXT_MAX     ((size_t) 256 * 1024 * 1024)
#define LABEL_WIDTH  13
#define LEAST_COLUMN 4  /* a value gets at least so many columns */
#define NARROW       48 /* below that a value stands under its label */

void lines_free(struct lines *lines)
{
    for (size_t i = 0; i < lines->len; i++) {
        free(lines->items[i].label);
        free(lines->items[i].text);
    }
    free(lines->items);
    *lines = (struct lines){ 0 };
}

/* Takes label and text. */
static void push(struct lines *lines, char *label, char *text, enum style style)
{
    if (lines->len == lines->cap) {
        size_t cap = lines->cap ? lines->cap * 2 : 64;
        struct line *items = reallocarray(lines->items, cap, sizeof *items);

        if (items) {
            lines->items = items;
            lines->cap = cap;
        }
    }
    if (!label || !text || lines->len == lines->cap) {
        lines->error = -ENOMEM;
        free(label);
        free(text);
        return;
    }
    lines->items[lines->len++] = (struct line){ label, text, style };
}

void lines_add(struct lines *lines, enum style style, const char *text)
{
    CLEANUP(buf_free) struct buf fitted = BUF_INIT(TEXT_MAX);

    if (text_fit(text, lines->width ? lines->width : SIZE_MAX, &fitted) < 0)
        lines->error = -ENOMEM;
    push(lines, strdup(""), buf_take(&fitted), style);
}

void lines_addf(struct lines *lines, enum style style, const char *format, ...)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    lines_add(lines, style, buf_str(&text));
}

/* Bytes of `text` that fit into `columns`, at least one character; ends after a blank where one is in reach. */
static size_t piece(const char *text, size_t len, size_t columns)
{
    size_t at = 0, taken = 0, after_blank = 0;
    bool words = false;

    while (at < len) {
        char one[8] = "";
        uint32_t c = 0;
        size_t used = text_decode((const unsigned char *) text + at, len - at, &c), wide;

        used = used ? used : 1;
        memcpy(one, text + at, used);
        wide = text_columns(one);
        if (at && taken + wide > columns)
            return after_blank ? after_blank : at;
        taken += wide;
        at += used;
        words = words || c != ' ';
        if (c == ' ' && words)
            after_blank = at;
    }
    return len;
}

/* One line of visible text, broken; `first` stands before the first piece, `rest` before the others. */
static void push_broken(struct lines *lines, const char *first, const char *rest, const char *text, size_t len, enum style style)
{
    const char *label = first;

    do {
        size_t taken = text_columns(label);
        size_t room = !lines->width ? SIZE_MAX : lines->width > taken + LEAST_COLUMN ? lines->width - taken : LEAST_COLUMN;
        size_t used = piece(text, len, room), shown = used;

        while (used < len && shown && text[shown - 1] == ' ')
            shown--;
        push(lines, strdup(label), strndup(text, shown), style);
        text += used;
        len -= used;
        label = rest;
    } while (len);
}

void lines_say(struct lines *lines, enum style style, const char *text)
{
    push_broken(lines, "", "", text, strlen(text), style);
}

static void say_cut(struct lines *lines, const char *indent, size_t left)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(4096);

    if (buf_printf(&text, "… %zu more line%s not shown here", left, left == 1 ? " is" : "s are") >= 0)
        push(lines, strdup(indent), buf_take(&text), STYLE_WARN);
}

/* Takes away what goes beyond block_max since `start`. */
static void cut(struct lines *lines, size_t start, const char *indent)
{
    size_t left;

    if (!lines->block_max || lines->len - start <= lines->block_max)
        return;
    left = lines->len - start - lines->block_max;
    while (lines->len > start + lines->block_max) {
        lines->len--;
        free(lines->items[lines->len].label);
        free(lines->items[lines->len].text);
    }
    say_cut(lines, indent, left);
}

static void push_block(struct lines *lines, const char *bar, const char *text)
{
    size_t start = lines->len;

    for (;;) {
        size_t len = strcspn(text, "\n");

        push_broken(lines, bar, bar, text, len, STYLE_PLAIN);
        if (!text[len])
            break;
        text += len + 1;
    }
    cut(lines, start, bar);
}

static char *visible(struct lines *lines, const char *text, bool keep_lines)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(TEXT_MAX);

    if (text_visible(text, strlen(text), keep_lines, &out) < 0)
        lines->error = -ENOMEM;
    for (char *c = out.data; c && *c; c++) /* its width would depend on where it stands */
        if (*c == '\t')
            *c = ' ';
    return buf_take(&out);
}

void lines_field(struct lines *lines, const char *label, const char *text, bool block)
{
    CLEANUP_FREE char *shown = text ? visible(lines, text, true) : NULL;
    CLEANUP_FREE char *name = visible(lines, label, false);
    CLEANUP_FREE char *first = NULL;
    char rest[LABEL_WIDTH + 4];
    bool narrow = lines->width && lines->width < NARROW;
    size_t columns = name ? text_columns(name) : 0, start = lines->len;

    if (!text)
        return;
    if (!shown || !name) {
        lines->error = -ENOMEM;
        return;
    }
    if ((block && *shown) || strchr(shown, '\n')) {
        push_broken(lines, "  ", "  ", name, strlen(name), STYLE_DIM);
        push_block(lines, "    │ ", shown);
        return;
    }
    snprintf(rest, sizeof rest, "  %*s ", narrow ? 3 : LABEL_WIDTH, "");
    if (columns > LABEL_WIDTH || narrow) {
        push_broken(lines, "  ", "  ", name, strlen(name), STYLE_DIM);
        push_broken(lines, rest, rest, shown, strlen(shown), STYLE_PLAIN);
    } else if (asprintf(&first, "  %s%*s ", name, (int) (LABEL_WIDTH - columns), "") >= 0) {
        push_broken(lines, first, rest, shown, strlen(shown), STYLE_PLAIN);
    } else {
        lines->error = -ENOMEM;
    }
    cut(lines, start, rest);
}

void lines_json(struct lines *lines, const json_t *json)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(TEXT_MAX);
    CLEANUP_FREE char *shown = NULL;

    if (print_json_text(json, &text) < 0) {
        lines->error = -ENOMEM;
        return;
    }
    shown = visible(lines, buf_str(&text), true);
    if (shown)
        push_block(lines, "    ", shown);
}

int line_add(struct buf *out, FILE *file, const struct line *line)
{
    int r = 0;

    if (line->label[0])
        r = buf_printf(out, "%s%s%s", term_style(file, STYLE_DIM), line->label, term_end(file));
    if (r >= 0 && line->style != STYLE_PLAIN)
        r = buf_printf(out, "%s%s%s", term_style(file, line->style), line->text, term_end(file));
    else if (r >= 0)
        r = buf_add_str(out, line->text);
    return r;
}

void lines_print(FILE *file, const struct lines *lines)
{
    for (size_t i = 0; i < lines->len; i++) {
        CLEANUP(buf_free) struct buf text = BUF_INIT(TEXT_MAX);

        line_add(&text, file, &lines->items[i]);
        fputs(buf_str(&text), file);
        fputc('\n', file);
    }
}
