/*
 * SHA-256 through OpenSSL and random bytes from the kernel. The algorithm is
 * fetched once, since a fetch walks OpenSSL's tables. A failure inside
 * SHA-256 means that memory is gone or OpenSSL is broken: nobody can go on without a hash, so the program stops.
 */
#include "crypt/digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "base/encode.h"

#include "base/banned.h"

#define TAG     "sha256:"
#define TAG_LEN 7

struct digest {
    EVP_MD_CTX *context;
};

static const EVP_MD *algorithm(void)
{
    static EVP_MD *fetched;

    if (!fetched)
        fetched = EVP_MD_fetch(NULL, "SHA256", NULL);
    return fetched;
}

int sha256(const void *data, size_t len, uint8_t out[SHA256_BYTES])
{
    const EVP_MD *md = algorithm();

    if (!md || EVP_Digest(len ? data : "", len, out, NULL, md, NULL) != 1)
        return -ENOMEM;
    return 0;
}

struct digest *digest_new(void)
{
    struct digest *digest = calloc(1, sizeof *digest);

    if (!digest)
        return NULL;
    digest->context = EVP_MD_CTX_new();
    if (!digest->context || !algorithm() || EVP_DigestInit_ex2(digest->context, algorithm(), NULL) != 1) {
        EVP_MD_CTX_free(digest->context);
        free(digest);
        return NULL;
    }
    return digest;
}

void digest_add(struct digest *digest, const void *data, size_t len)
{
    if (len && EVP_DigestUpdate(digest->context, data, len) != 1)
        abort();
}

void digest_end(struct digest *digest, uint8_t out[SHA256_BYTES])
{
    if (EVP_DigestFinal_ex(digest->context, out, NULL) != 1)
        abort();
    EVP_MD_CTX_free(digest->context);
    free(digest);
}

char *sha256_tag(const uint8_t hash[SHA256_BYTES], char out[SHA256_TAGGED_MAX])
{
    memcpy(out, TAG, TAG_LEN);
    hex_encode(hash, SHA256_BYTES, out + TAG_LEN);
    return out;
}

int sha256_untag(const char *text, uint8_t out[SHA256_BYTES])
{
    uint8_t hash[SHA256_BYTES];

    if (strncmp(text, TAG, TAG_LEN) || strpbrk(text + TAG_LEN, "ABCDEF") || hex_decode(text + TAG_LEN, hash, sizeof hash) < 0)
        return -EINVAL;
    memcpy(out, hash, sizeof hash);
    return 0;
}

void random_bytes(void *out, size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            abort();
        at += n;
        len -= (size_t) n;
    }
}
