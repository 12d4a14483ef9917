/*
 * The two places that the CLI writes to. Text from the daemon may come from a
 * mail, a provider or a connector, so everything that is shown passes
 * text_clean(): no byte of it can steer the terminal. Colour appears only on a
 * terminal, without NO_COLOR and with a TERM other than "dumb".
 */
#ifndef CLI_TERM_H
#define CLI_TERM_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_DIM, STYLE_GOOD, STYLE_WARN, STYLE_BAD };

/* Sets the locale that widths are counted in; once, at start. */
void term_init(void);
bool term_is_tty(FILE *file);
/* A terminal that can be drawn on: not a TERM that is "dumb" or unknown. */
bool term_can_draw(FILE *file);
/* Columns of the terminal behind `file`; 0 when it is none: then nothing is cut. */
size_t term_width(FILE *file);
/* The escape sequence that starts `style` on `file`, "" where colour is off. term_end() closes it. */
const char *term_style(FILE *file, enum style style);
const char *term_end(FILE *file);
/* Overrides the environment and the terminal, for tests: 1 on, 0 off, -1 ask them. */
void term_force_colour(int on);

/*
 * Appends `text` with everything replaced that could steer a terminal: control characters (tab and, when
 * `keep_lines`, newline excepted), the C1 block, bidirectional overrides and invalid UTF-8.
 */
int text_clean(const char *text, size_t len, bool keep_lines, struct buf *out);
/* One character of at most `len` bytes of UTF-8: its length, or 0 when the first byte starts no valid one. */
size_t text_decode(const unsigned char *text, size_t len, uint32_t *ret);
/* Columns that cleaned text takes. */
size_t text_columns(const char *text);
/* Appends at most `columns` columns of cleaned text, ending in "…" when something was left out. */
int text_fit(const char *text, size_t columns, struct buf *out);
/* Prints cleaned text of one line. */
void term_put(FILE *file, const char *text);
/* Prints paragraphs indented and wrapped at the terminal's width (80 when there is none). */
void term_paragraph(FILE *file, const char *text, size_t indent);

#endif
