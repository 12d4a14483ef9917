/* PEM by OpenSSL. A passphrase callback that always says no keeps an encrypted key from asking at the terminal. */
#include "crypt/pem.h"

#include <errno.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/cleanup.h"

#include "base/banned.h"

DEFINE_CLEANUP_PTR(EVP_PKEY, EVP_PKEY_free)
DEFINE_CLEANUP_PTR(BIO, BIO_free_all)

static int no_passphrase(char *buffer, int size, int writing, void *userdata)
{
    return -1;
}

static BIO *bio_over(const void *data, size_t len)
{
    return len > INT_MAX ? NULL : BIO_new_mem_buf(data, (int) len);
}

int pem_read_public(const char *text, size_t len, uint8_t out[SIGN_PUBLIC_BYTES])
{
    CLEANUP_PTR(BIO_free_all) BIO *bio = bio_over(text, len);
    CLEANUP_PTR(EVP_PKEY_free) EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
    uint8_t raw[SIGN_PUBLIC_BYTES];
    size_t raw_len = sizeof raw;

    if (!key || EVP_PKEY_id(key) != EVP_PKEY_ED25519 || EVP_PKEY_get_raw_public_key(key, raw, &raw_len) != 1 ||
        raw_len != sizeof raw)
        return -EINVAL;
    memcpy(out, raw, sizeof raw);
    return 0;
}

int pem_write_public(const uint8_t key[SIGN_PUBLIC_BYTES], struct buf *out)
{
    CLEANUP_PTR(EVP_PKEY_free) EVP_PKEY *handle = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, SIGN_PUBLIC_BYTES);
    CLEANUP_PTR(BIO_free_all) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = 0;

    if (!handle || !bio || PEM_write_bio_PUBKEY(bio, handle) != 1)
        return -ENOMEM;
    len = BIO_get_mem_data(bio, &text);
    return buf_add(out, text, (size_t) len);
}

int pem_read_private(const struct secret *text, struct secret **ret_seed)
{
    CLEANUP_PTR(BIO_free_all) BIO *bio = bio_over(secret_bytes(text), secret_len(text));
    CLEANUP_PTR(EVP_PKEY_free) EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    CLEANUP_PTR(secret_free) struct secret *seed = NULL;
    size_t len = SIGN_SEED_BYTES;
    int r = 0;

    if (!key || EVP_PKEY_id(key) != EVP_PKEY_ED25519)
        return -EINVAL;
    r = secret_new(SIGN_SEED_BYTES, &seed);
    if (r < 0)
        return r;
    if (EVP_PKEY_get_raw_private_key(key, secret_data(seed), &len) != 1 || len != SIGN_SEED_BYTES)
        return -EINVAL;
    *ret_seed = TAKE_PTR(seed);
    return 0;
}

int pem_write_private(const struct secret *seed, struct secret **ret_text)
{
    CLEANUP_PTR(EVP_PKEY_free) EVP_PKEY *key = NULL;
    CLEANUP_PTR(BIO_free_all) BIO *bio = BIO_new(BIO_s_secmem());
    char *text = NULL;
    long len = 0;
    int r = 0;

    if (secret_len(seed) != SIGN_SEED_BYTES)
        return -EINVAL;
    key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret_bytes(seed), SIGN_SEED_BYTES);
    if (!key || !bio || PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        return -ENOMEM;
    len = BIO_get_mem_data(bio, &text);
    r = secret_from(text, (size_t) len, ret_text);
    secret_wipe(text, (size_t) len);
    return r;
}
