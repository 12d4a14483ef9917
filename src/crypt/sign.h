/* Ed25519 (RFC 8032, no prehash): raw keys and signatures. */
#ifndef CRYPT_SIGN_H
#define CRYPT_SIGN_H

#include "base/secret.h"

#define SIGN_SEED_BYTES   32
#define SIGN_PUBLIC_BYTES 32
#define SIGN_BYTES        64

/* A fresh seed, which is the private key. 0 or -ENOMEM. */
int sign_seed_new(struct secret **ret_seed);
/* 0, or -EINVAL for a seed of another length. */
int sign_public(const struct secret *seed, uint8_t out[SIGN_PUBLIC_BYTES]);
int sign_message(const struct secret *seed, const void *message, size_t len, uint8_t out[SIGN_BYTES]);
/* False for a wrong signature, also when the key is no point. */
bool sign_verify(
    const uint8_t public_key[SIGN_PUBLIC_BYTES], const void *message, size_t len, const uint8_t signature[SIGN_BYTES]);

#endif
