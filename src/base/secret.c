/*
 * Secrets in memory. Each has a mapping of its own: a guard page, the pages of
 * the data, a guard page; the data stands at the end, so that reading or writing past it
 * faults. A machine that refuses to lock the pages still gets the secret, and
 * secret_memory_is_locked() says so, for the program's status.
 *
 * Mapping and locking cost more than a request may; a few wiped mappings are
 * kept for the next secret of about that size. Only one thread of a program has secrets.
 */
#include "base/secret.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/banned.h"

#define SECRET_MAX ((size_t) 64 * 1024 * 1024)

/* Under AddressSanitizer none is kept: a secret that is used after its end shall fault. */
#if defined(__SANITIZE_ADDRESS__)
#define KEPT_MAX 0u
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define KEPT_MAX 0u
#endif
#endif
#ifndef KEPT_MAX
#define KEPT_MAX 32u /* pages of each size */
#endif
/* Sizes of kept mappings are 1, 2, 4, 8 and 16 pages; larger ones are as large as needed and not kept. */
#define KEPT_SIZES 5u

struct secret {
    uint8_t *data;
    size_t len;
    uint8_t *map;
    size_t map_len;
    size_t page;
    struct secret *next; /* while kept */
};

static bool all_locked = true;
static struct {
    struct secret *first;
    size_t len;
} kept[KEPT_SIZES];

bool secret_memory_is_locked(void)
{
    return all_locked;
}

/* Makes the inner pages usable and keeps them out of swap, core dumps and children. */
static int open_pages(struct secret *secret)
{
    uint8_t *inner = secret->map + secret->page;
    size_t len = secret->map_len - 2 * secret->page;

    if (mprotect(inner, len, PROT_READ | PROT_WRITE) < 0)
        return -ENOMEM;
    if (madvise(inner, len, MADV_DONTDUMP) < 0 || madvise(inner, len, MADV_WIPEONFORK) < 0)
        return -errno;
    if (mlock(inner, len) < 0)
        all_locked = false;
    return 0;
}

/* Which of the kept sizes holds `len` bytes; KEPT_SIZES when none does. */
static size_t size_of(size_t len, size_t page)
{
    size_t size = 0;

    while (size < KEPT_SIZES && len > page << size)
        size++;
    return size;
}

/* A kept mapping, all zero; NULL when there is none of this size. */
static struct secret *reuse(size_t len, size_t size)
{
    struct secret *secret = size < KEPT_SIZES ? kept[size].first : NULL;

    if (!secret)
        return NULL;
    kept[size].first = secret->next;
    kept[size].len--;
    secret->next = NULL;
    secret->data = secret->map + secret->map_len - secret->page - len;
    secret->len = len;
    return secret;
}

/* True when the wiped mapping is now kept for another secret. */
static bool keep(struct secret *secret)
{
    size_t inner = secret->map_len - 2 * secret->page, size = size_of(inner, secret->page);

    if (size == KEPT_SIZES || kept[size].len + 1 > KEPT_MAX >> size)
        return false;
    secret->next = kept[size].first;
    kept[size].first = secret;
    kept[size].len++;
    return true;
}

int secret_new(size_t len, struct secret **ret_secret)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    size_t page = (size_t) sysconf(_SC_PAGESIZE), size = size_of(len, page), inner;
    int r;

    if (len > SECRET_MAX)
        return -ENOMEM;
    secret = reuse(len, size);
    if (secret) {
        *ret_secret = TAKE_PTR(secret);
        return 0;
    }
    secret = calloc(1, sizeof *secret);
    if (!secret)
        return -ENOMEM;
    inner = size < KEPT_SIZES ? page << size : (len + page - 1) / page * page;
    secret->page = page;
    secret->map_len = inner + 2 * page;
    secret->map = mmap(NULL, secret->map_len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret->map == MAP_FAILED) {
        secret->map = NULL;
        return -ENOMEM;
    }
    r = open_pages(secret);
    if (r < 0)
        return r;
    secret->data = secret->map + page + inner - len;
    secret->len = len;
    *ret_secret = TAKE_PTR(secret);
    return 0;
}

int secret_from(const void *data, size_t len, struct secret **ret_secret)
{
    struct secret *secret;
    int r = secret_new(len, &secret);

    if (r < 0)
        return r;
    if (len)
        memcpy(secret->data, data, len);
    *ret_secret = secret;
    return 0;
}

uint8_t *secret_data(struct secret *secret)
{
    return secret->data;
}

const uint8_t *secret_bytes(const struct secret *secret)
{
    return secret->data;
}

size_t secret_len(const struct secret *secret)
{
    return secret->len;
}

void secret_cut(struct secret *secret, size_t len)
{
    if (len >= secret->len)
        return;
    secret_wipe(secret->data + len, secret->len - len);
    secret->len = len;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    return a->len == b->len && secret_memequal(a->data, b->data, a->len);
}

void secret_free(struct secret *secret)
{
    if (!secret)
        return;
    if (secret->data)
        secret_wipe(secret->map + secret->page, secret->map_len - 2 * secret->page);
    if (secret->data && keep(secret))
        return;
    if (secret->map)
        munmap(secret->map, secret->map_len);
    free(secret);
}

void secret_wipe(void *data, size_t len)
{
    if (len)
        explicit_bzero(data, len);
}

bool secret_memequal(const void *a, const void *b, size_t len)
{
    const volatile uint8_t *x = a, *y = b;
    uint8_t different = 0;

    for (size_t i = 0; i < len; i++)
        different |= x[i] ^ y[i];
    return different == 0;
}
