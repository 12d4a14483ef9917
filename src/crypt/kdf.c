/*
 * Argon2id by libargon2; see the header. One thread does the work of all four lanes, so nothing is started. The library
 * wipes its memory when it gives it back.
 */
#include "crypt/kdf.h"

#include <argon2.h>
#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define PASSES     3
#define MEMORY_KIB 65536
#define LANES      4

int kdf_derive(const struct secret *passphrase, const uint8_t salt[KDF_SALT_BYTES], struct secret **ret_key)
{
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    uint8_t own_salt[KDF_SALT_BYTES];
    argon2_context context = { 0 };
    int r = 0;

    if (secret_len(passphrase) == 0 || secret_len(passphrase) > UINT32_MAX)
        return -EINVAL;
    r = secret_new(KDF_KEY_BYTES, &key);
    if (r < 0)
        return r;
    memcpy(own_salt, salt, sizeof own_salt);
    context.out = secret_data(key);
    context.outlen = KDF_KEY_BYTES;
    /* Only read: the flag that wipes a passphrase is not set. */
    context.pwd = (uint8_t *) secret_bytes(passphrase);
    context.pwdlen = (uint32_t) secret_len(passphrase);
    context.salt = own_salt;
    context.saltlen = sizeof own_salt;
    context.t_cost = PASSES;
    context.m_cost = MEMORY_KIB;
    context.lanes = LANES;
    context.threads = 1;
    context.version = ARGON2_VERSION_13;
    context.flags = ARGON2_DEFAULT_FLAGS;
    r = argon2_ctx(&context, Argon2_id);
    if (r != ARGON2_OK)
        return r == ARGON2_MEMORY_ALLOCATION_ERROR ? -ENOMEM : -EINVAL;
    *ret_key = TAKE_PTR(key);
    return 0;
}
