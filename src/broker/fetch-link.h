/*
 * The broker's side of `aileron-keeper --fetch`, which downloads what needs no
 * credential. Started when something is to be fetched, gone again when it was idle; one that dies takes its downloads
 * with it and is started anew by the next.
 */
#ifndef BROKER_FETCH_LINK_H
#define BROKER_FETCH_LINK_H

#include "base/cleanup.h"
#include "base/err.h"
#include "broker/keeper-frames.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fetch;
struct fetch_link;
struct loop;

struct fetch_config {
    struct loop *loop;
    int program_fd;          /* the keeper's, O_PATH; borrowed */
    const char *const *argv; /* NULL-terminated, for a fetcher without overrides; borrowed */
    const char *const *argv_with_overrides;
    const char *allow_private; /* "host:port" lines; copied */
    int stderr_fd;             /* where its last words go; borrowed, -1: nowhere */
};

int fetch_link_new(const struct fetch_config *config, struct fetch_link **ret_link, struct err *err);
void fetch_link_free(struct fetch_link *link);
DEFINE_CLEANUP_PTR(struct fetch_link, fetch_link_free)
/* New settings; whether the development overrides count now. A running fetcher that was started otherwise ends after its downloads. */
void fetch_link_set(struct fetch_link *link, const char *allow_private, bool overrides_active);

struct fetch_request {
    const char *url;
    const char *accept; /* NULL: anything */
    const char *etag;   /* NULL: none; an equal one is answered by status 304 */
    uint64_t bytes_max;
    uint32_t deadline_ms;
};

/* `answer` is borrowed. Once, from the loop. */
typedef void fetch_fn(const struct fetch_answer *answer, void *userdata);
/* `total` 0: unknown. */
typedef void fetch_progress_fn(uint64_t done, uint64_t total, void *userdata);

/* `progress` may be NULL. -ENOBUFS when too much is under way. */
int fetch_start(struct fetch_link *link, const struct fetch_request *request, fetch_fn *fn, fetch_progress_fn *progress,
    void *userdata, struct fetch **ret_fetch, struct err *err);
/* Nobody wants it any more; NULL allowed. */
void fetch_cancel(struct fetch *fetch);

#endif
