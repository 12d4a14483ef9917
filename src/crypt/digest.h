/* SHA-256 (FIPS 180-4) and random bytes, from OpenSSL and getrandom(2). */
#ifndef CRYPT_DIGEST_H
#define CRYPT_DIGEST_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES      32
#define SHA256_HEX_MAX    65
#define SHA256_TAGGED_MAX (7 + SHA256_HEX_MAX) /* "sha256:<64 hex>" */

struct digest;

/* 0, or -ENOMEM. */
int sha256(const void *data, size_t len, uint8_t out[SHA256_BYTES]);
/* Several parts in a row. NULL when out of memory. */
struct digest *digest_new(void);
void digest_add(struct digest *digest, const void *data, size_t len);
/* Finishes and frees. */
void digest_end(struct digest *digest, uint8_t out[SHA256_BYTES]);
/* "sha256:<64 lower-case hex>". Returns `out`. */
char *sha256_tag(const uint8_t hash[SHA256_BYTES], char out[SHA256_TAGGED_MAX]);
/* 0 or -EINVAL. */
int sha256_untag(const char *text, uint8_t out[SHA256_BYTES]);
/* Fills with random bytes; never fails (aborts when the kernel has none). */
void random_bytes(void *out, size_t len);

#endif
