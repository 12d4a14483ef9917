/*
 * One form of a secret (as it is, its base64 at one of three alignments, its hexadecimal digits) and the search for it: an
 * automaton whose states, one bit each, are the lengths of the beginnings that end at a place of the text. A reading of what
 * stands there leads to the states some bytes later. One step costs a few operations per 64 characters, however many states
 * hold, so a text can not make the search slow.
 */
#ifndef KEEPER_NEEDLE_H
#define KEEPER_NEEDLE_H

#include "keeper/reading.h"

/* Places whose states are remembered: more than a reading is long. */
#define NEEDLE_SLOTS    32u
#define NEEDLE_SLOT(at) ((at) % NEEDLE_SLOTS)

enum needle_form { NEEDLE_RAW, NEEDLE_HEX, NEEDLE_BASE64 };

/* The text that a needle is made of and where its tables lie. */
struct needle_plan {
    enum needle_form form;
    unsigned alignment; /* of base64: bytes before the secret in its group of three */
    const uint8_t *secret;
    size_t secret_len;
};

struct needle {
    enum needle_form form;
    size_t len;        /* characters */
    size_t words;      /* of 64 states */
    uint8_t first[2];  /* bytes that may stand at place 0; often the same twice */
    uint8_t second[2]; /* and at place 1 */
    size_t span;       /* bytes of text that an occurrence has at most */
    uint8_t *rows;     /* by byte: which row of masks; 0: in no place of the needle */
    uint64_t *masks;   /* rows of `words`: bit i of a row is set when its byte may stand at place i */
    uint64_t *states;  /* NEEDLE_SLOTS sets forwards, as many backwards, two of scratch */
    uint64_t last_end; /* where the last occurrence ended in the whole text */
};

/* What a needle of this plan needs: secret memory for its tables, and ordinary memory (states tell nothing without them). */
size_t needle_table_bytes(const struct needle_plan *plan);
size_t needle_state_bytes(const struct needle_plan *plan);
/* Both zero and aligned for uint64_t; borrowed. -EINVAL when the secret has every byte value there is. */
int needle_make(const struct needle_plan *plan, void *table, void *states, struct needle *ret_needle);
/* Places are offsets in the whole text. */

/* Goes on from `at` by one reading of what stands there; true when that leads anywhere. */
bool needle_step(struct needle *needle, uint64_t at, const struct reading *reading);
/* True when an occurrence ends there. */
bool needle_ends_at(const struct needle *needle, uint64_t at);
/* Nothing more is to come from there. */
void needle_leave(struct needle *needle, uint64_t at);
/* The earliest start in `text` of an occurrence that ends at offset `end` of it. */
size_t needle_start(struct needle *needle, const uint8_t *text, size_t end);

#endif
