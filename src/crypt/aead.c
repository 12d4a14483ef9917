/* AES-256-GCM by OpenSSL; see the header. The algorithm is fetched once, since a fetch walks OpenSSL's tables. */
#include "crypt/aead.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <openssl/evp.h>

#include "crypt/digest.h"

#include "base/banned.h"

DEFINE_CLEANUP_PTR(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free)

static const EVP_CIPHER *algorithm(void)
{
    static EVP_CIPHER *fetched;

    if (!fetched)
        fetched = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    return fetched;
}

/* `encrypt` as EVP has it: 1 or 0. NULL when out of memory. */
static EVP_CIPHER_CTX *begin(const struct secret *key, const uint8_t *nonce, int encrypt)
{
    CLEANUP_PTR(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();

    if (!context || !algorithm() || EVP_CipherInit_ex2(context, algorithm(), secret_bytes(key), nonce, encrypt, NULL) != 1)
        return NULL;
    return TAKE_PTR(context);
}

int aead_seal(const struct secret *key, const void *plain, size_t len, struct buf *out)
{
    CLEANUP_PTR(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *context = NULL;
    uint8_t *nonce = NULL, *body = NULL;
    int n = 0, end = 0, r = 0;

    if (secret_len(key) != AEAD_KEY_BYTES)
        return -EINVAL;
    if (len > INT_MAX - AEAD_OVERHEAD_BYTES)
        return -E2BIG;
    r = buf_reserve(out, len + AEAD_OVERHEAD_BYTES);
    if (r < 0)
        return r;
    nonce = (uint8_t *) out->data + out->len;
    body = nonce + AEAD_NONCE_BYTES;
    random_bytes(nonce, AEAD_NONCE_BYTES);
    context = begin(key, nonce, 1);
    if (!context || (len > 0 && EVP_CipherUpdate(context, body, &n, plain, (int) len) != 1) ||
        EVP_CipherFinal_ex(context, body + n, &end) != 1 || (size_t) n + (size_t) end != len ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, body + len) != 1)
        return -ENOMEM;
    out->len += len + AEAD_OVERHEAD_BYTES;
    out->data[out->len] = '\0';
    return 0;
}

int aead_open(const struct secret *key, const void *sealed, size_t len, struct secret **ret_plain)
{
    CLEANUP_PTR(EVP_CIPHER_CTX_free) EVP_CIPHER_CTX *context = NULL;
    CLEANUP_PTR(secret_free) struct secret *plain = NULL;
    const uint8_t *nonce = sealed, *body = nonce + AEAD_NONCE_BYTES;
    uint8_t tag[AEAD_TAG_BYTES];
    size_t body_len = 0;
    int n = 0, end = 0, r = 0;

    if (secret_len(key) != AEAD_KEY_BYTES)
        return -EINVAL;
    if (len < AEAD_OVERHEAD_BYTES || len > INT_MAX)
        return AEAD_FORGED;
    body_len = len - AEAD_OVERHEAD_BYTES;
    memcpy(tag, body + body_len, sizeof tag);
    r = secret_new(body_len, &plain);
    if (r < 0)
        return r;
    context = begin(key, nonce, 0);
    if (!context || EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) != 1 ||
        (body_len > 0 && EVP_CipherUpdate(context, secret_data(plain), &n, body, (int) body_len) != 1))
        return -ENOMEM;
    /* GCM has nothing left to write here: only the tag is compared. */
    if (EVP_CipherFinal_ex(context, tag, &end) != 1)
        return AEAD_FORGED;
    *ret_plain = TAKE_PTR(plain);
    return 0;
}
