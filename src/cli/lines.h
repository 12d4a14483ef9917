/*
 * What is shown, line by line, before it is known where: printed one after the other, or through a window that scrolls. Foreign
 * text is made visible (cli/visible.h) and broken at the width as it comes in, so a line is never longer than that, and no text
 * can look like a line of ours: what continues stands under its value, a block has a bar before each line.
 */
#ifndef CLI_LINES_H
#define CLI_LINES_H

#include "base/cleanup.h"
#include "cli/term.h"

#include <jansson.h>

struct line {
    char *label; /* dimmed, before the text; may be "" */
    char *text;
    enum style style;
};

struct lines {
    struct line *items;
    size_t len, cap;
    size_t width;     /* columns; 0: nothing is broken */
    size_t block_max; /* lines that one text may take, 0: all; what is left out is said */
    int error;        /* -ENOMEM once something is missing */
};

void lines_free(struct lines *lines);
/* One line of ours, cut at the width; `text` may be "" for an empty one. */
void lines_add(struct lines *lines, enum style style, const char *text);
void lines_addf(struct lines *lines, enum style style, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Words of ours, broken at the width. */
void lines_say(struct lines *lines, enum style style, const char *text);
/* A labelled foreign value on one or more lines; one with line ends, or with `block`, as a block below its label. NULL: nothing. */
void lines_field(struct lines *lines, const char *label, const char *text, bool block);
/* JSON, indented. */
void lines_json(struct lines *lines, const json_t *json);
/* Appends one line as it is shown on `file`, without its end. 0 or -ENOMEM. */
int line_add(struct buf *out, FILE *file, const struct line *line);
void lines_print(FILE *file, const struct lines *lines);

#endif
