/*
 * The lines of a log file, from its start or from its end, through a buffer of
 * fixed size: a file of any length costs the same memory, and one that is
 * cut while being read gives an early end instead of a fault.
 */
#ifndef AUDIT_LINES_H
#define AUDIT_LINES_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct audit_lines;

struct audit_text {
    const char *text; /* without newline; valid until the next call */
    size_t len;
    uint64_t offset; /* of the line in the file */
    bool is_whole;   /* false: no newline at the end of the file, or longer than any line of ours (then text is cut) */
};

/* Does not own `fd`. -ENOMEM. */
int audit_lines_new(struct audit_lines **ret_lines);
void audit_lines_free(struct audit_lines *lines);
DEFINE_CLEANUP_PTR(struct audit_lines, audit_lines_free)
/* Points the reader at a file, at its start or its end. 0 or -errno. One reader serves many files in turn. */
int audit_lines_start(struct audit_lines *lines, int fd);
int audit_lines_start_at_end(struct audit_lines *lines, int fd);
/* 1 with a line, 0 at the end, -errno. */
int audit_lines_next(struct audit_lines *lines, struct audit_text *ret_line);
int audit_lines_previous(struct audit_lines *lines, struct audit_text *ret_line);

#endif
