/*
 * The permission table of a door: which frames a peer may send, and when. A frame
 * that no row allows at this moment ends the peer. A vault that is not open is no
 * offence, for it may have locked itself a moment ago: such a request is read and answered. Pure.
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
    GATE_NEEDS_UNLOCKED = 4, /* answered with KEEPER_LOCKED or KEEPER_MISSING while the vault is not open */
    GATE_FIRST = 8,          /* may come before CONFIGURE; every other row must wait for it */
    GATE_IDLE = 16,          /* only while no request of this peer is under way */
    GATE_IN_FLOW = 32,       /* only while an OAuth flow of this peer is under way */
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
    bool busy;
    bool in_flow;
};

enum gate_verdict {
    GATE_REFUSED, /* out of turn: the peer ends */
    GATE_LOCKED,  /* to be read to its end and answered: not while the vault is not open */
    GATE_PASSED
};

/* What becomes of a frame of this type now; marks the row as used. *ret_fn is set unless refused. */
enum gate_verdict gate_pass(struct gate *gate, uint16_t type, gate_fn **ret_fn);

#endif
