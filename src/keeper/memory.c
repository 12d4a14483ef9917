/* malloc's own size of a block says how much there is to wipe; growing is always a move, so that no old copy stays. */
#include "keeper/memory.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <string.h>

#include "base/cleanup.h"

#include "base/banned.h"

static void wiping_free(void *block)
{
    if (!block)
        return;
    explicit_bzero(block, malloc_usable_size(block));
    free(block);
}

static void *wiping_realloc(void *block, size_t size)
{
    size_t old = block ? malloc_usable_size(block) : 0;
    void *moved = NULL;

    if (block && size > 0 && size <= old && size >= old / 2)
        return block;
    moved = malloc(size ? size : 1);
    if (!moved)
        return NULL;
    if (block)
        memcpy(moved, block, old < size ? old : size);
    wiping_free(block);
    return moved;
}

static void *openssl_malloc(size_t size, const char *file, int line)
{
    return size ? malloc(size) : NULL;
}

static void *openssl_realloc(void *block, size_t size, const char *file, int line)
{
    if (size > 0)
        return wiping_realloc(block, size);
    wiping_free(block);
    return NULL;
}

static void openssl_free(void *block, const char *file, int line)
{
    wiping_free(block);
}

int memory_wipe_on_release(struct err *err)
{
    json_set_alloc_funcs(malloc, wiping_free);
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
        return err_set(err, EINVAL, "OpenSSL was used before its memory functions were set");
    if (curl_global_init_mem(CURL_GLOBAL_ALL, malloc, wiping_free, wiping_realloc, strdup, calloc) != CURLE_OK)
        return err_set(err, EIO, "the HTTP library does not start");
    return 0;
}
