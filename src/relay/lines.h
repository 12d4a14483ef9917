/* Lines out of a stream of bytes, each with a ceiling; of one that is longer, nothing is kept. */
#ifndef RELAY_LINES_H
#define RELAY_LINES_H

#include "base/buf.h"

#include <stdbool.h>

struct lines {
    struct buf buf;
    size_t at, seen; /* where the next line begins; up to where there is no newline */
    size_t max;
    bool skipping;
};

enum lines_next { LINES_NONE, LINES_LINE, LINES_OVERLONG };

void lines_init(struct lines *lines, size_t max);
void lines_free(struct lines *lines);
/* Forgets what has come. */
void lines_reset(struct lines *lines);
/* read(2) once. 1 got bytes, 0 end (a broken peer is an end), -1 nothing now. */
int lines_fill(struct lines *lines, int fd);
/* The next whole line, without newline and carriage return, valid until the next fill. LINES_OVERLONG: one was dropped. */
enum lines_next lines_next(struct lines *lines, const char **ret_line, size_t *ret_len);

#endif
