/*
 * Looks at one JSON-RPC message without taking it apart: what kind it is, whose answer it is, what it calls. Slices point into
 * the line. Whatever is not well-formed is simply not recognised; the daemon judges it. Pure; libc only.
 */
#ifndef RELAY_SCAN_H
#define RELAY_SCAN_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* `at` NULL: absent. A text's slice lies between its quotes, escapes as they were sent. */
struct scan_slice {
    const char *at;
    size_t len;
};

struct scan {
    struct scan_slice id;         /* as it was sent, quotes included; absent when null */
    struct scan_slice method;     /* text */
    bool answers;                 /* it has "result" or "error" */
    long error_code;              /* error.code; 0 */
    struct scan_slice error_text; /* error.message */
    struct scan_slice requested;  /* params.requestId, as id */
    struct scan_slice tool;       /* params.name, text */
    struct scan_slice version;    /* params.protocolVersion, text */
};

/* One line without its newline. All absent when it is no JSON object. */
void scan_line(const char *line, size_t len, struct scan *ret_scan);
bool scan_is(struct scan_slice slice, const char *text);
/* True for JSON text and for an integer, as JSON-RPC wants it, well-formed to the last byte. */
bool scan_id_is_good(struct scan_slice id);
/* The same id gives the same bytes however its text was escaped. 0, -ENOMEM or -E2BIG. */
int scan_id_plain(struct scan_slice id, struct buf *out);

#endif
