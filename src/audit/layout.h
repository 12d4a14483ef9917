/*
 * One line of the log, byte for byte (SPEC §9). Writing and reading sit side by
 * side because verification and queries trust the fixed places of the fields
 * instead of parsing JSON.
 */
#ifndef AUDIT_LAYOUT_H
#define AUDIT_LAYOUT_H

#include "audit/audit.h"
#include "audit/cursor.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AUDIT_LINE_MAX  (64 * 1024) /* bytes of a line, newline included */
#define AUDIT_PREV_LEN  64          /* hexadecimal digits of a hash */
#define AUDIT_ZEROS     "0000000000000000000000000000000000000000000000000000000000000000"
#define AUDIT_TIME_LEN  24 /* 2026-11-23T22:29:00.123Z */
#define AUDIT_ID_PREFIX "aud_"
#define AUDIT_ID_LEN    (4 + ULID_LEN)

struct audit_line {
    uint64_t seq;
    struct audit_span id, timestamp, type, session; /* session.len 0 when there is none */
    const char *prev;                               /* AUDIT_PREV_LEN digits */
};

/* Appends the line without its newline. `prev` is AUDIT_PREV_LEN digits. */
int audit_line_write(
    struct buf *out, uint64_t seq, const char *id, const char *timestamp, const struct audit_event *event, const char *prev);
/* Finds the fields in a line without its newline; false when the layout is not ours. What lies between actor and prev is not looked at. */
bool audit_line_read(const char *text, size_t len, struct audit_line *ret_line);
/* Only what stands before the actor, without a look at the rest: `prev` is NULL. For who looks at many and takes few. */
bool audit_line_read_head(const char *text, size_t len, struct audit_line *ret_line);

#endif
