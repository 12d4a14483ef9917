/*
 * What is asked of the forge (SPEC §3): files of releases and repositories, through the fetcher and without any
 * credential; its API through the keeper, which alone may add the person's token. Retries, what a status means, and
 * answers that are still true (ETag) are known here and nowhere else.
 */
#ifndef BROKER_FORGE_H
#define BROKER_FORGE_H

#include "base/cleanup.h"
#include "base/err.h"
#include "broker/fetch-link.h"

struct forge;
struct forge_get;
struct keeper_link;

struct forge_config {
    struct loop *loop;
    struct fetch_link *fetcher; /* borrowed */
    struct keeper_link *keeper; /* borrowed */
    int64_t retry_ms;           /* the first pause; 0: 1000 */
};

int forge_new(const struct forge_config *config, struct forge **ret_forge, struct err *err);
void forge_free(struct forge *forge);
DEFINE_CLEANUP_PTR(struct forge, forge_free)

struct forge_request {
    const char *url;  /* absolute; or NULL, then */
    const char *api;  /* a path below https://api.github.com */
    const char *what; /* how errors call it: "the release github://o/r@1.0.0" */
    uint64_t bytes_max;
};

/*
 * 0 with the bytes, borrowed. Else err->code: ENOENT there is none (404, 410), EAGAIN a rate limit (the message says when it ends), EACCES
 * refused by the forge or by our own rules, E2BIG, EIO 5xx or network after the last retry.
 */
typedef void forge_fn(int result, const void *data, size_t len, const struct err *err, void *userdata);
/* `total` 0: unknown; `pause_ms` not 0: it waits that long before it asks again. */
typedef void forge_progress_fn(uint64_t done, uint64_t total, int64_t pause_ms, void *userdata);

/* `progress` may be NULL. From the loop, once, unless cancelled. */
int forge_get(struct forge *forge, const struct forge_request *request, forge_fn *fn, forge_progress_fn *progress, void *userdata,
    struct forge_get **ret_get, struct err *err);
/* NULL allowed. */
void forge_cancel(struct forge_get *get);

#endif
