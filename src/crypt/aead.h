/*
 * AES-256-GCM as the vault uses it (SPEC §1): nonce (12 random bytes) ‖ ciphertext ‖ tag (16), no additional data.
 * NIST SP 800-38D. Keys and plaintexts are secrets and stay in secret memory.
 */
#ifndef CRYPT_AEAD_H
#define CRYPT_AEAD_H

#include "base/buf.h"
#include "base/secret.h"

#define AEAD_KEY_BYTES      32
#define AEAD_NONCE_BYTES    12
#define AEAD_TAG_BYTES      16
#define AEAD_OVERHEAD_BYTES (AEAD_NONCE_BYTES + AEAD_TAG_BYTES)

/* Result of aead_open() beside 0 and a negative errno. */
enum { AEAD_FORGED = 1 }; /* another key, or not one bit of it is as it was sealed */

/* Appends the sealed form of `len` bytes to `out`. 0, -ENOMEM, -E2BIG. */
int aead_seal(const struct secret *key, const void *plain, size_t len, struct buf *out);
/* *ret_plain is a new secret, of length 0 when nothing was sealed. */
int aead_open(const struct secret *key, const void *sealed, size_t len, struct secret **ret_plain);

#endif
