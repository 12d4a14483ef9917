/*
 * curl's multi-socket interface on the loop. curl says which descriptors and which
 * one timer it wants; events go to curl_multi_socket_action(), after which finished
 * transfers are collected. Handles are never removed inside curl's own callbacks.
 */
#include "keeper/pool.h"

#include <errno.h>
#include <string.h>

#include "base/magic.h"

#include "base/banned.h"

#define POOL_MAGIC 0x6b706f6fu

struct pool {
    uint32_t magic;
    struct pools *pools;
    char *connector_fqn;
    char *binding;
    bool development;
    CURLM *multi;
    CURLSH *share; /* TLS sessions */
    struct loop_timer *timer;
    struct loop_timer *idle_timer;
    size_t transfers;
    bool busy; /* collecting: must not be freed */
    struct pool *next;
};

struct pools {
    struct loop *loop;
    pool_done_fn *fn;
    struct pool *first;
};

static void pool_free(struct pool *pool)
{
    struct pool **at = &pool->pools->first;

    while (*at && *at != pool)
        at = &(*at)->next;
    if (*at)
        *at = pool->next;
    if (pool->multi)
        curl_multi_cleanup(pool->multi);
    if (pool->share)
        curl_share_cleanup(pool->share);
    loop_timer_free(pool->timer);
    loop_timer_free(pool->idle_timer);
    free(pool->connector_fqn);
    free(pool->binding);
    free(pool);
}

static void idle_check(struct pool *pool)
{
    if (pool->transfers == 0)
        loop_timer_set(pool->idle_timer, POOL_IDLE_MS);
}

static void on_idle(void *userdata)
{
    struct pool *pool = MAGIC_CAST(struct pool, userdata, POOL_MAGIC);

    if (pool->transfers == 0 && !pool->busy)
        pool_free(pool);
}

static void collect(struct pool *pool)
{
    CURLMsg *message = NULL;
    int left = 0;

    pool->busy = true;
    while ((message = curl_multi_info_read(pool->multi, &left))) {
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result;
        void *userdata = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &userdata);
        pool_remove(pool, easy);
        pool->pools->fn(easy, code, userdata);
    }
    pool->busy = false;
}

static void on_timer(void *userdata)
{
    struct pool *pool = MAGIC_CAST(struct pool, userdata, POOL_MAGIC);
    int running = 0;

    curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(pool);
}

static void on_watch(int fd, int events, void *userdata)
{
    struct pool *pool = MAGIC_CAST(struct pool, userdata, POOL_MAGIC);
    int flags = (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
    int running = 0;

    curl_multi_socket_action(pool->multi, fd, flags, &running);
    collect(pool);
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *assigned)
{
    struct pool *pool = MAGIC_CAST(struct pool, userdata, POOL_MAGIC);
    struct loop_watch *watch = assigned;
    int events = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);

    if (what == CURL_POLL_REMOVE) {
        loop_watch_free(watch);
        curl_multi_assign(pool->multi, fd, NULL);
    } else if (watch) {
        loop_watch_set(watch, events);
    } else if (loop_watch_new(pool->pools->loop, fd, events, on_watch, pool, &watch) < 0) {
        return -1;
    } else {
        curl_multi_assign(pool->multi, fd, watch);
    }
    return 0;
}

/* Only arms the timer: curl forbids being called from here. */
static int on_curl_timer(CURLM *multi, long timeout_ms, void *userdata)
{
    struct pool *pool = MAGIC_CAST(struct pool, userdata, POOL_MAGIC);

    if (timeout_ms < 0)
        loop_timer_stop(pool->timer);
    else
        loop_timer_set(pool->timer, timeout_ms);
    return 0;
}

static bool multi_setup(struct pool *pool)
{
    return curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool) == CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool) == CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING) == CURLM_OK &&
           curl_multi_setopt(pool->multi, CURLMOPT_MAXCONNECTS, (long) POOL_CONNECTIONS_KEPT) == CURLM_OK &&
           curl_share_setopt(pool->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) == CURLSHE_OK;
}

static struct pool *pool_new(struct pools *pools, const struct pool_key *key)
{
    struct pool *pool = calloc(1, sizeof *pool);

    if (!pool)
        return NULL;
    pool->magic = POOL_MAGIC;
    pool->pools = pools;
    pool->connector_fqn = strdup(key->connector_fqn);
    pool->binding = strdup(key->binding);
    pool->development = key->development;
    pool->multi = curl_multi_init();
    pool->share = curl_share_init();
    if (!pool->connector_fqn || !pool->binding || !pool->multi || !pool->share ||
        loop_timer_new(pools->loop, on_timer, pool, &pool->timer) < 0 ||
        loop_timer_new(pools->loop, on_idle, pool, &pool->idle_timer) < 0 || !multi_setup(pool)) {
        pool_free(pool);
        return NULL;
    }
    pool->next = pools->first;
    pools->first = pool;
    return pool;
}

/* Keeps the number of idle pools bounded; the list is newest first, so the last idle one goes. */
static void evict(struct pools *pools)
{
    struct pool *victim = NULL;
    size_t idle = 0;

    for (struct pool *pool = pools->first; pool; pool = pool->next)
        if (pool->transfers == 0 && !pool->busy) {
            victim = pool;
            idle++;
        }
    if (idle >= POOLS_IDLE_MAX)
        pool_free(victim);
}

int pools_new(struct loop *loop, pool_done_fn *fn, struct pools **ret_pools)
{
    struct pools *pools = calloc(1, sizeof *pools);

    if (!pools)
        return -ENOMEM;
    *pools = (struct pools){ loop, fn, NULL };
    *ret_pools = pools;
    return 0;
}

struct pool *pools_get(struct pools *pools, const struct pool_key *key)
{
    struct pool *pool = NULL;

    for (pool = pools->first; pool; pool = pool->next)
        if (!strcmp(pool->connector_fqn, key->connector_fqn) && !strcmp(pool->binding, key->binding) &&
            pool->development == key->development)
            return pool;
    evict(pools);
    pool = pool_new(pools, key);
    if (pool)
        idle_check(pool);
    return pool;
}

void pools_free(struct pools *pools)
{
    if (!pools)
        return;
    while (pools->first)
        pool_free(pools->first);
    free(pools);
}

size_t pool_transfers(const struct pool *pool)
{
    return pool->transfers;
}

void pool_reserve(struct pool *pool)
{
    pool->transfers++;
    loop_timer_stop(pool->idle_timer);
}

void pool_release(struct pool *pool)
{
    pool->transfers--;
    idle_check(pool);
}

int pool_add(struct pool *pool, CURL *easy, void *userdata)
{
    if (curl_easy_setopt(easy, CURLOPT_PRIVATE, userdata) != CURLE_OK ||
        curl_easy_setopt(easy, CURLOPT_SHARE, pool->share) != CURLE_OK)
        return -ENOMEM;
    if (curl_multi_add_handle(pool->multi, easy) != CURLM_OK)
        return -ENOMEM;
    return 0;
}

void pool_remove(struct pool *pool, CURL *easy)
{
    curl_multi_remove_handle(pool->multi, easy);
}
