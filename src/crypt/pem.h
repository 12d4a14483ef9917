/* Ed25519 keys as PEM: SubjectPublicKeyInfo (RFC 8410 §4) and PKCS #8 (§7), unencrypted. What other tools read and write. */
#ifndef CRYPT_PEM_H
#define CRYPT_PEM_H

#include "base/buf.h"
#include "base/secret.h"
#include "crypt/sign.h"

/* -EINVAL when the text holds no public key in PEM, or one of another kind. */
int pem_read_public(const char *text, size_t len, uint8_t out[SIGN_PUBLIC_BYTES]);
int pem_write_public(const uint8_t key[SIGN_PUBLIC_BYTES], struct buf *out);
/* *ret_seed: a new secret of SIGN_SEED_BYTES. -EINVAL for anything but an unencrypted Ed25519 key. */
int pem_read_private(const struct secret *text, struct secret **ret_seed);
/* The PEM text, in secret memory. */
int pem_write_private(const struct secret *seed, struct secret **ret_text);

#endif
