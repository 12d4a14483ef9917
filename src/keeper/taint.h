/*
 * A streaming filter that removes every occurrence of given byte strings from a
 * body, however the body is cut into pieces. What overlaps is removed as one. The
 * result depends on the bytes alone, not on where they were cut.
 *
 * The replacement is chosen so that it cannot form an occurrence together with its
 * neighbours. Patterns and the bytes still held back are wiped when it is freed.
 */
#ifndef KEEPER_TAINT_H
#define KEEPER_TAINT_H

#include "base/buf.h"
#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAINT_PATTERNS_MAX 32

struct taint_pattern {
    const void *data;
    size_t len;
};

struct taint;

/* Copies the patterns, each at least one byte. -EINVAL when there is none or no replacement fits, -ENOMEM. */
int taint_new(const struct taint_pattern *patterns, size_t len, struct taint **ret_taint);
/* Takes the next bytes; appends to `out` what is certain. -E2BIG or -ENOMEM from `out`, then the filter is unusable. */
int taint_add(struct taint *taint, const void *data, size_t len, struct buf *out);
/* The body is complete: appends the rest. */
int taint_end(struct taint *taint, struct buf *out);
/* True when something was removed. */
bool taint_found(const struct taint *taint);
void taint_free(struct taint *taint);
DEFINE_CLEANUP_PTR(struct taint, taint_free)

#endif
