/*
 * The worker pool. A `line` is one connector: its workers, idle ones in front in
 * the order of last use, and the leases that wait. Workers belong to the pool and
 * are freed when their process has been reaped; until then they count, so the
 * limits hold for processes, not for intentions.
 */
#include "connector/pool-private.h"

#include "base/clock.h"
#include "base/magic.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static void on_retire(void *userdata);

int pool_new(const struct pool_config *config, struct pool **ret_pool, struct err *err)
{
    struct pool *pool = calloc(1, sizeof *pool);

    if (!pool)
        return err_set(err, ENOMEM, "out of memory");
    pool->magic = POOL_MAGIC;
    pool->loop = config->loop;
    pool->program = config->program;
    pool->workers_all = config->workers_all ? config->workers_all : LIMIT_WORKERS_ALL;
    pool->workers_per_connector = config->workers_per_connector ? config->workers_per_connector : LIMIT_WORKERS_PER_CONNECTOR;
    pool->idle_ms = config->idle_ms ? config->idle_ms : LIMIT_WORKER_IDLE_MS;
    LIST_INIT(&pool->lines);
    if (loop_timer_new(pool->loop, on_retire, pool, &pool->retire_timer) < 0) {
        free(pool);
        return err_set(err, ENOMEM, "out of memory");
    }
    *ret_pool = pool;
    return 0;
}

/* --- lines --- */

static struct line *line_find(struct pool *pool, const char *hash)
{
    struct line *line;

    LIST_FOREACH(line, &pool->lines, link)
    if (!strcmp(line->hash, hash))
        return line;
    return NULL;
}

static struct line *line_new(struct pool *pool, const struct pool_spec *spec)
{
    struct line *line = calloc(1, sizeof *line);

    if (!line)
        return NULL;
    line->imports = strdup(spec->imports);
    if (!line->imports) {
        free(line);
        return NULL;
    }
    line->pool = pool;
    snprintf(line->hash, sizeof line->hash, "%s", spec->hash);
    line->module = module_ref(spec->module);
    line->memory_mib = spec->memory_mib;
    TAILQ_INIT(&line->workers);
    TAILQ_INIT(&line->queue);
    LIST_INSERT_HEAD(&pool->lines, line, link);
    return line;
}

/* Frees a line that nobody needs any more. */
void line_drop(struct line *line)
{
    if (line->workers_len || line->leases)
        return;
    LIST_REMOVE(line, link);
    module_unref(line->module);
    free(line->imports);
    free(line);
}

/* --- idle workers and retirement --- */

static void arm_retirement(struct pool *pool, int64_t delay_ms)
{
    if (pool->retire_armed)
        return;
    pool->retire_armed = true;
    loop_timer_set(pool->retire_timer, delay_ms > 0 ? delay_ms : 0);
}

static void on_retire(void *userdata)
{
    struct pool *pool = MAGIC_CAST(struct pool, userdata, POOL_MAGIC);
    int64_t now = clock_boot_ms(), next = INT64_MAX;
    struct line *line;
    struct worker *worker;

    pool->retire_armed = false;
    LIST_FOREACH(line, &pool->lines, link)
    TAILQ_FOREACH(worker, &line->workers, link)
    {
        if (worker->state != WORKER_IDLE)
            continue;
        int64_t left = worker->idle_since_ms + pool->idle_ms - now;
        if (left <= 0)
            worker_kill(worker);
        else if (left < next)
            next = left;
    }
    if (next != INT64_MAX)
        arm_retirement(pool, next);
}

/* Does an older call of a connector without any worker wait, while no more workers may be started? */
static bool somebody_starves(const struct pool *pool, const struct line *than)
{
    const struct line *line;
    const struct lease *mine = TAILQ_FIRST(&than->queue);

    if (pool->workers < pool->workers_all || pool->dying)
        return false;
    LIST_FOREACH(line, &pool->lines, link)
    {
        const struct lease *head = TAILQ_FIRST(&line->queue);
        if (head && !line->workers_len && (!mine || head->order < mine->order))
            return true;
    }
    return false;
}

void worker_idle(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct line *line = worker->line;
    struct lease *lease = TAILQ_FIRST(&line->queue);

    loop_timer_stop(worker->timer);
    if (worker->retire) {
        worker_kill(worker);
        return;
    }
    if (lease && !somebody_starves(pool, line)) {
        TAILQ_REMOVE(&line->queue, lease, link);
        line->queue_len--;
        lease->waiting = false;
        lease->worker = worker;
        worker->lease = lease;
        worker_state_set(worker, WORKER_LEASED);
        lease->handlers.ready(lease, lease->userdata);
        return;
    }
    worker_state_set(worker, WORKER_IDLE);
    worker->idle_since_ms = clock_boot_ms();
    TAILQ_REMOVE(&line->workers, worker, link);
    TAILQ_INSERT_HEAD(&line->workers, worker, link);
    arm_retirement(pool, pool->idle_ms);
    if (pool->workers >= pool->workers_all)
        pool_schedule(pool);
}

/* --- who gets the next worker --- */

/* The least recently used idle worker of a connector other than `line`, or NULL. */
static struct worker *idle_elsewhere(struct pool *pool, const struct line *line)
{
    struct worker *oldest = NULL, *worker;
    struct line *other;

    LIST_FOREACH(other, &pool->lines, link)
    TAILQ_FOREACH(worker, &other->workers, link)
    if (other != line && worker->state == WORKER_IDLE && (!oldest || worker->idle_since_ms < oldest->idle_since_ms))
        oldest = worker;
    return oldest;
}

/* The line whose call has waited longest among those that may have one more worker. */
static struct line *line_most_in_need(struct pool *pool)
{
    struct line *line, *found = NULL;

    LIST_FOREACH(line, &pool->lines, link)
    {
        struct lease *head = TAILQ_FIRST(&line->queue);

        if (!head || line->coming >= line->queue_len || line->workers_len >= pool->workers_per_connector)
            continue;
        if (!found || head->order < TAILQ_FIRST(&found->queue)->order)
            found = line;
    }
    return found;
}

void pool_schedule(struct pool *pool)
{
    struct line *line;

    while (!pool->ending && (line = line_most_in_need(pool))) {
        struct err err = ERR_INIT;

        if (pool->workers >= pool->workers_all) {
            struct worker *victim = pool->dying ? NULL : idle_elsewhere(pool, line);

            if (victim)
                worker_kill(victim);
            return; /* its end brings us back */
        }
        if (worker_start(line, &err) < 0) {
            struct lease *lease = TAILQ_FIRST(&line->queue);

            TAILQ_REMOVE(&line->queue, lease, link);
            line->queue_len--;
            lease->waiting = false;
            lease_lost(lease, POOL_LOST_START, err.message);
        }
    }
}

/* --- leases --- */

static struct worker *line_idle_worker(struct line *line)
{
    struct worker *worker;

    TAILQ_FOREACH(worker, &line->workers, link)
    if (worker->state == WORKER_IDLE && !worker->retire)
        return worker;
    return NULL;
}

static void on_schedule(void *userdata)
{
    pool_schedule(MAGIC_CAST(struct pool, userdata, POOL_MAGIC));
}

int pool_acquire(struct pool *pool, const struct pool_spec *spec, const struct lease_handlers *handlers, void *userdata,
    struct lease **ret_lease)
{
    struct line *line = line_find(pool, spec->hash);

    if (!line)
        line = line_new(pool, spec);
    if (!line)
        return -ENOMEM;
    struct worker *worker = line_idle_worker(line);
    if (!worker && line->queue_len >= LIMIT_WORKER_QUEUE)
        return -ENOBUFS;
    struct lease *lease = calloc(1, sizeof *lease);
    if (!lease) {
        line_drop(line);
        return -ENOMEM;
    }
    lease->line = line;
    lease->handlers = *handlers;
    lease->userdata = userdata;
    lease->order = ++pool->order;
    line->leases++;
    *ret_lease = lease;
    if (worker) {
        lease->worker = worker;
        worker->lease = lease;
        worker_state_set(worker, WORKER_LEASED);
        return 1;
    }
    lease->waiting = true;
    TAILQ_INSERT_TAIL(&line->queue, lease, link);
    line->queue_len++;
    /* From the loop, so that no handler runs before the caller has the lease. */
    if (loop_defer(pool->loop, on_schedule, pool) < 0) {
        lease_release(lease);
        *ret_lease = NULL;
        return -ENOMEM;
    }
    return 0;
}

void lease_release(struct lease *lease)
{
    if (!lease)
        return;
    struct line *line = lease->line;
    struct worker *worker = lease->worker;

    if (lease->waiting) {
        TAILQ_REMOVE(&line->queue, lease, link);
        line->queue_len--;
    }
    free(lease);
    if (worker) {
        worker->lease = NULL;
        if (worker->state == WORKER_LEASED)
            worker_idle(worker);
        else
            worker_kill(worker);
    }
    line->leases--;
    line_drop(line);
}

void pool_forget(struct pool *pool, const char *hash)
{
    struct line *line = line_find(pool, hash);
    struct worker *worker;

    if (!line)
        return;
    TAILQ_FOREACH(worker, &line->workers, link)
    {
        worker->retire = true;
        if (worker->state == WORKER_IDLE)
            worker_kill(worker);
    }
}

void pool_stats(const struct pool *pool, struct pool_stats *ret_stats)
{
    *ret_stats = (struct pool_stats){ pool->workers, pool->busy, pool->replaced, pool->confinement };
}

void pool_free(struct pool *pool)
{
    struct line *line;

    if (!pool)
        return;
    pool->ending = true;
    while ((line = LIST_FIRST(&pool->lines))) {
        line->leases++; /* keeps it while its workers go */
        while (!TAILQ_EMPTY(&line->workers))
            worker_free(TAILQ_FIRST(&line->workers));
        line->leases = 0;
        line_drop(line);
    }
    loop_timer_free(pool->retire_timer);
    free(pool);
}
