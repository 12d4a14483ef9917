/*
 * A streaming filter that masks every echo of given secrets in a body. The result depends on the bytes alone, not on how they
 * were cut into pieces, and a body without an echo passes unchanged.
 *
 * An echo is the secret, or its hexadecimal digits (either case), or what base64 makes of it: either alphabet, padded or not,
 * alone or inside a longer encoded text ("Bearer …", "user:…"), then those characters that depend on the secret alone, with or
 * without line breaks in between. Each character of these may stand as itself or be escaped, any subset of them: %XX (either
 * case), \uXXXX with surrogates (either case), the short escapes of JSON; a blank may be a plus as well. What is escaped or
 * encoded twice, compressed, or changed in any other way is not found: a provider that wants to give its secret away can, the
 * filter stands against the one that repeats what it was sent.
 *
 * Overlapping and adjacent echoes are masked as one. The mask is chosen so that it cannot become part of an echo together with
 * its neighbours. Time is linear in the body whatever it holds; a position costs at most a few steps per 64 bytes of encoded
 * secret. What is made of the secrets lies in secret memory; the part of the body that is held back (up to 24 times the longest
 * secret) is wiped with the filter.
 */
#ifndef KEEPER_TAINT_H
#define KEEPER_TAINT_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAINT_SECRETS_MAX 4
/* Shorter ones would mask what nobody echoed; they cannot be bound. */
#define TAINT_SECRET_MIN_BYTES 8u
#define TAINT_SECRET_MAX_BYTES (16u * 1024u)

struct taint;

/* The secrets are not needed afterwards. -EINVAL: none, too many, one of a length out of bounds, or no mask fits; -ENOMEM. */
int taint_new(const struct secret *const *secrets, size_t len, struct taint **ret_taint);
/* Takes the next bytes; appends to `out` what is certain. -E2BIG or -ENOMEM from `out`, then the filter is unusable. */
int taint_add(struct taint *taint, const void *data, size_t len, struct buf *out);
/* The body is complete: appends the rest. */
int taint_end(struct taint *taint, struct buf *out);
/* True when something was masked. */
bool taint_found(const struct taint *taint);
void taint_free(struct taint *taint);
DEFINE_CLEANUP_PTR(struct taint, taint_free)

/* A whole text at once, for messages that quote what a provider sent. Errors of all three above. */
int taint_mask(const struct secret *const *secrets, size_t len, const void *text, size_t text_len, struct buf *out);

#endif
