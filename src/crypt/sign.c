/* Ed25519 by OpenSSL; see the header. */
#include "crypt/sign.h"

#include <errno.h>

#include <openssl/evp.h>

#include "crypt/digest.h"

#include "base/banned.h"

DEFINE_CLEANUP_PTR(EVP_PKEY, EVP_PKEY_free)
DEFINE_CLEANUP_PTR(EVP_MD_CTX, EVP_MD_CTX_free)

int sign_seed_new(struct secret **ret_seed)
{
    int r = secret_new(SIGN_SEED_BYTES, ret_seed);

    if (r == 0)
        random_bytes(secret_data(*ret_seed), SIGN_SEED_BYTES);
    return r;
}

static EVP_PKEY *private_key(const struct secret *seed)
{
    return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret_bytes(seed), SIGN_SEED_BYTES);
}

int sign_public(const struct secret *seed, uint8_t out[SIGN_PUBLIC_BYTES])
{
    CLEANUP_PTR(EVP_PKEY_free) EVP_PKEY *key = NULL;
    size_t len = SIGN_PUBLIC_BYTES;

    if (secret_len(seed) != SIGN_SEED_BYTES)
        return -EINVAL;
    key = private_key(seed);
    if (!key || EVP_PKEY_get_raw_public_key(key, out, &len) != 1 || len != SIGN_PUBLIC_BYTES)
        return -ENOMEM;
    return 0;
}

int sign_message(const struct secret *seed, const void *message, size_t len, uint8_t out[SIGN_BYTES])
{
    CLEANUP_PTR(EVP_PKEY_free) EVP_PKEY *key = NULL;
    CLEANUP_PTR(EVP_MD_CTX_free) EVP_MD_CTX *context = NULL;
    size_t out_len = SIGN_BYTES;

    if (secret_len(seed) != SIGN_SEED_BYTES)
        return -EINVAL;
    key = private_key(seed);
    context = EVP_MD_CTX_new();
    if (!key || !context || EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(context, out, &out_len, message, len) != 1 || out_len != SIGN_BYTES)
        return -ENOMEM;
    return 0;
}

bool sign_verify(
    const uint8_t public_key[SIGN_PUBLIC_BYTES], const void *message, size_t len, const uint8_t signature[SIGN_BYTES])
{
    CLEANUP_PTR(EVP_PKEY_free)
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, SIGN_PUBLIC_BYTES);
    CLEANUP_PTR(EVP_MD_CTX_free) EVP_MD_CTX *context = EVP_MD_CTX_new();

    return key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestVerify(context, signature, SIGN_BYTES, message, len) == 1;
}
