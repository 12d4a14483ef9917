/*
 * The permission table of a door: which frames a peer may send, and when. A frame
 * that no row allows at this moment ends the peer. Pure.
 */
#ifndef KEEPER_GATE_H
#define KEEPER_GATE_H

#include "wire/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    GATE_OFF = 1,            /* known, but not to be used through this door */
    GATE_ONCE = 2,           /* a second one is out of turn */
    GATE_NEEDS_UNLOCKED = 4, /* only while the vault is open (development credentials count as open) */
    GATE_FIRST = 8,          /* may come before CONFIGURE; every other row must wait for it */
};

#define GATE_ROWS_MAX 64

/* Reads the whole frame (wire_end) and acts. 0, or a negative errno that ends the peer. */
typedef int gate_fn(void *session, struct wire_frame *frame);

struct gate_row {
    uint16_t type;
    unsigned flags;
    gate_fn *fn;
};

struct gate {
    const struct gate_row *rows;
    size_t rows_len;
    uint64_t used; /* one bit a row */
    bool configured;
    bool unlocked;
};

/* The function for this frame type and marks the row as used; NULL when the frame is out of turn. */
gate_fn *gate_pass(struct gate *gate, uint16_t type);

#endif
