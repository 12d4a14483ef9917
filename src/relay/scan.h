/*
 * Looks at JSON-RPC messages as they pass, byte by byte and without keeping
 * them: does this line ask something, or answer something? The relay needs no
 * more of them than how many answers are still to come. Pure; libc only.
 */
#ifndef RELAY_SCAN_H
#define RELAY_SCAN_H

#include <stdbool.h>
#include <stddef.h>

struct scan {
    unsigned depth;
    bool in_string, escaped;
    bool key_next;   /* the next string of depth 1 is a key */
    bool value_next; /* the next byte that is no space starts the value of `key` */
    char key[8];
    size_t key_len;
    bool has_id, has_method;
};

struct scan_count {
    unsigned requests; /* lines with "id" and "method" */
    unsigned answers;  /* lines with "id" alone */
};

/* Takes the next bytes and adds what complete lines were to `count`. A line that is no JSON object counts as nothing. */
void scan_feed(struct scan *scan, const char *data, size_t len, struct scan_count *count);

#endif
