/*
 * The vault's key derivation (SPEC §1): Argon2id v1.3 (RFC 9106), t=3, m=65536 KiB, p=4, 32 bytes. Lanes 4, one
 * thread: the bytes do not depend on threads. Takes about 0.1 s and 64 MiB; callers with an event loop run it in a
 * child (keeper/derive.h).
 */
#ifndef CRYPT_KDF_H
#define CRYPT_KDF_H

#include "base/secret.h"

#define KDF_SALT_BYTES 16
#define KDF_KEY_BYTES  32

/* *ret_key: a new secret of KDF_KEY_BYTES. 0, -EINVAL (empty passphrase), -ENOMEM. */
int kdf_derive(const struct secret *passphrase, const uint8_t salt[KDF_SALT_BYTES], struct secret **ret_key);

#endif
