/*
 * Connections: one curl multi handle per (connector, binding, trust), driven by the loop,
 * so that no connection and no TLS session is ever shared between two of them. A
 * pool without transfers closes its connections after POOL_IDLE_MS and goes away.
 */
#ifndef KEEPER_POOL_H
#define KEEPER_POOL_H

#include "base/cleanup.h"
#include "base/err.h"
#include "loop/loop.h"

#include <curl/curl.h>

#define POOL_IDLE_MS          30000
#define POOL_TRANSFERS_MAX    32
#define POOL_CONNECTIONS_KEPT 16
#define POOLS_IDLE_MAX        32

struct pool;
struct pools;

/* A transfer ended; `easy` has left the pool. Never runs inside a curl callback. `userdata` is the one of pool_add. */
typedef void pool_done_fn(CURL *easy, CURLcode code, void *userdata);

int pools_new(struct loop *loop, pool_done_fn *fn, struct pools **ret_pools);
/* What may not share a connection. `development`: made while the overrides were active, so not to be used when they are not. */
struct pool_key {
    const char *connector_fqn; /* "" for the keeper's own requests */
    const char *binding;
    bool development;
};

/* The pool for this key, made when there is none. NULL when out of memory. Valid while it has transfers. */
struct pool *pools_get(struct pools *pools, const struct pool_key *key);
void pools_free(struct pools *pools);
DEFINE_CLEANUP_PTR(struct pools, pools_free)

/* Places taken. A transfer takes one for its whole life, which keeps the pool alive, and gives it back once. */
size_t pool_transfers(const struct pool *pool);
void pool_reserve(struct pool *pool);
void pool_release(struct pool *pool);
/* Starts an easy handle, which gets the pool's TLS session cache; CURLOPT_PRIVATE becomes `userdata`. */
int pool_add(struct pool *pool, CURL *easy, void *userdata);
/* Takes a handle out before it ended. Not to be called inside a curl callback. */
void pool_remove(struct pool *pool, CURL *easy);

#endif
