/*
 * What pool.c and pool-worker.c share: a line is one connector, its workers
 * and the leases that wait; a worker belongs to its line until its process is reaped.
 */
#ifndef CONNECTOR_POOL_PRIVATE_H
#define CONNECTOR_POOL_PRIVATE_H

#include "connector/pool.h"

#include <sys/queue.h>

#define POOL_MAGIC   0x706f6f6cu
#define WORKER_MAGIC 0x776f726bu

enum worker_state { WORKER_STARTING, WORKER_LOADING, WORKER_IDLE, WORKER_LEASED, WORKER_RUNNING, WORKER_DYING };

struct worker {
    uint32_t magic;
    struct pool *pool;
    struct line *line;
    TAILQ_ENTRY(worker) link; /* of the line */
    enum worker_state state;
    struct worker_process process;
    struct loop_timer *timer; /* start, then wall time */
    struct lease *lease;
    int64_t idle_since_ms;
    unsigned log_lines;
    uint32_t run_id, http_id;
    bool http_open, retire;
    enum pool_loss loss;
    char loss_message[256];
};

struct lease {
    struct line *line;
    TAILQ_ENTRY(lease) link; /* while it waits */
    struct worker *worker;   /* NULL while it waits, and after a loss */
    struct lease_handlers handlers;
    void *userdata;
    uint64_t order;
    bool waiting;
};

struct line {
    struct pool *pool;
    LIST_ENTRY(line) link;
    char hash[SHA256_TAGGED_MAX];
    struct module *module;
    unsigned memory_mib;
    char *imports;
    TAILQ_HEAD(, worker) workers;
    TAILQ_HEAD(, lease) queue;
    unsigned workers_len, coming, queue_len; /* coming: starting or loading */
    unsigned leases;                         /* waiting or held: they keep the line */
};

struct pool {
    uint32_t magic;
    struct loop *loop;
    struct worker_program program;
    unsigned workers_all, workers_per_connector;
    int64_t idle_ms;
    LIST_HEAD(, line) lines;
    unsigned workers, busy, dying;
    uint64_t replaced, order;
    struct loop_timer *retire_timer;
    bool retire_armed, ending;
    char confinement[256];
};

/* pool-worker.c */
int worker_start(struct line *line, struct err *err);
void worker_state_set(struct worker *worker, enum worker_state state);
/* Kills; what happened is told to the lease when the process has been reaped. */
void worker_kill(struct worker *worker);
/* Reaps and frees, and with the last one an unused line. */
void worker_free(struct worker *worker);
void lease_lost(struct lease *lease, enum pool_loss loss, const char *message);

/* pool.c */
/* The worker has nothing to do: it serves who waits, or is kept. */
void worker_idle(struct worker *worker);
/* Starts workers for who waits, as far as the limits allow. */
void pool_schedule(struct pool *pool);
/* Frees a line that nobody needs any more. */
void line_drop(struct line *line);

#endif
