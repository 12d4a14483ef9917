/*
 * Echoes of a secret, searched for in the plainest way: every way to write it, from every place. The opposite of how the filter
 * does it, so that one can be held against the other.
 */
#ifndef KEEPER_TEST_ECHO_H
#define KEEPER_TEST_ECHO_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Sets marks[i] for every byte of `body` that belongs to an echo. True when there is one. */
bool echo_mark(const void *secret, size_t secret_len, const void *body, size_t len, uint8_t *marks);
/* True when `out` is `body` with one and the same mask for each run of marked bytes. */
bool echo_masked_exactly(const uint8_t *body, size_t len, const uint8_t *marks, const void *out, size_t out_len);

#endif
