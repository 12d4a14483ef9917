/*
 * The worker pool (SPEC §12): processes that each hold one connector and run one
 * call at a time. At most 32 in all and 16 a connector, started when needed, retired after 60 s
 * without work; when all are taken, the least recently used idle one of another
 * connector makes room. Calls wait in a queue per connector.
 *
 * A lease is one call's claim on a worker: waiting, then ready, then running. Its owner
 * always ends it with lease_release(). A worker that breaks the protocol, dies
 * or outlives its wall time by a second is killed and replaced; that costs the
 * one call it held.
 */
#ifndef CONNECTOR_POOL_H
#define CONNECTOR_POOL_H

#include "connector/frames.h"
#include "connector/module.h"
#include "connector/program.h"
#include "worker/protocol.h"

struct pool;
struct lease;

struct pool_config {
    struct loop *loop;
    struct worker_program program;
    unsigned workers_all, workers_per_connector; /* 0: the limits of SPEC §12 */
    int64_t idle_ms;                             /* 0: LIMIT_WORKER_IDLE_MS */
};

int pool_new(const struct pool_config *config, struct pool **ret_pool, struct err *err);
/* Kills every worker; no lease may be left. */
void pool_free(struct pool *pool);
DEFINE_CLEANUP_PTR(struct pool, pool_free)

/* What a worker must hold for this call. */
struct pool_spec {
    const char *hash;      /* the connector's content hash: who shares workers */
    struct module *module; /* borrowed */
    unsigned memory_mib;   /* ceiling the worker is loaded with */
    const char *imports;   /* allowed host functions, comma-separated; "" = the default ones */
};

enum pool_loss {
    POOL_LOST_START,    /* no worker could be started, or it did not get as far as being ready */
    POOL_LOST_REFUSED,  /* the worker refused the module */
    POOL_LOST_DIED,     /* ended while the call ran */
    POOL_LOST_GARBAGE,  /* broke the protocol */
    POOL_LOST_OVERTIME, /* did not stop at its wall time */
};

/* Each runs from the loop. After `done` or `lost` nothing more comes; release the lease (also from inside them). */
struct lease_handlers {
    void (*ready)(struct lease *lease, void *userdata);
    void (*http)(struct lease *lease, const char *envelope, size_t len, void *userdata);
    void (*log)(struct lease *lease, enum worker_log_level level, const char *message, void *userdata);
    void (*done)(struct lease *lease, const struct frame_done *result, void *userdata);
    void (*lost)(struct lease *lease, enum pool_loss loss, const char *message, void *userdata);
};

/* 1: *ret_lease is ready now; 0: it waits, `ready` or `lost` will come; -ENOBUFS: the connector's queue is full; -ENOMEM. */
int pool_acquire(struct pool *pool, const struct pool_spec *spec, const struct lease_handlers *handlers, void *userdata,
    struct lease **ret_lease);
/* On a ready lease: runs the module once. */
int lease_run(struct lease *lease, const char *input, size_t len, unsigned memory_mib, uint32_t wall_ms);
/* Answers the one open `http`. */
int lease_http_result(struct lease *lease, int64_t result, uint32_t status, const void *body, size_t len);
/* Ends the claim in any state; a worker in the middle of a call is killed. NULL allowed. */
void lease_release(struct lease *lease);
DEFINE_CLEANUP_PTR(struct lease, lease_release)

/* Ends the idle workers of a connector that was removed; busy ones go after their call. */
void pool_forget(struct pool *pool, const char *hash);

struct pool_stats {
    unsigned workers, busy;
    uint64_t replaced;       /* workers that were lost since the start */
    const char *confinement; /* as the newest worker said; "" before the first */
};
void pool_stats(const struct pool *pool, struct pool_stats *ret_stats);

#endif
