/*
 * The worker pool. A `line` is one connector: its workers, idle ones in front in
 * the order of last use, and the leases that wait. Workers belong to the pool and
 * are freed when their process has been reaped; until then they count, so the
 * limits hold for processes, not for intentions.
 */
#include "connector/pool.h"

#include "base/clock.h"
#include "base/magic.h"
#include "connector/frames.h"
#include "wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "base/banned.h"

#define POOL_MAGIC      0x706f6f6cu
#define WORKER_MAGIC    0x776f726bu
#define WORKER_START_MS 10000

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

static void pool_schedule(struct pool *pool);
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
static void line_drop(struct line *line)
{
    if (line->workers_len || line->leases)
        return;
    LIST_REMOVE(line, link);
    module_unref(line->module);
    free(line->imports);
    free(line);
}

/* --- workers --- */

static void worker_state_set(struct worker *worker, enum worker_state state)
{
    bool was_coming = worker->state == WORKER_STARTING || worker->state == WORKER_LOADING;
    bool was_busy = worker->state == WORKER_LEASED || worker->state == WORKER_RUNNING;
    bool is_coming = state == WORKER_STARTING || state == WORKER_LOADING;
    bool is_busy = state == WORKER_LEASED || state == WORKER_RUNNING;

    worker->line->coming = worker->line->coming + is_coming - was_coming;
    worker->pool->busy = worker->pool->busy + is_busy - was_busy;
    worker->pool->dying = worker->pool->dying + (state == WORKER_DYING) - (worker->state == WORKER_DYING);
    worker->state = state;
}

static void worker_free(struct worker *worker)
{
    struct line *line = worker->line;

    worker_state_set(worker, WORKER_IDLE); /* out of every other count */
    worker_process_end(&worker->process);
    loop_timer_free(worker->timer);
    TAILQ_REMOVE(&line->workers, worker, link);
    line->workers_len--;
    worker->pool->workers--;
    free(worker);
    line_drop(line);
}

/* Kills; what happened is told to the lease when the process has been reaped. */
static void worker_kill(struct worker *worker)
{
    if (worker->state == WORKER_DYING)
        return;
    worker_state_set(worker, WORKER_DYING);
    loop_timer_stop(worker->timer);
    channel_free(worker->process.channel);
    worker->process.channel = NULL;
    loop_child_kill(worker->process.child, SIGKILL);
}

static void worker_fail(struct worker *worker, enum pool_loss loss, const char *message)
{
    if (worker->state == WORKER_DYING)
        return;
    worker->loss = loss;
    snprintf(worker->loss_message, sizeof worker->loss_message, "%s", message);
    worker->pool->replaced++;
    /* Who never got as far as being ready costs the call that has waited longest. */
    if (!worker->lease && (worker->state == WORKER_STARTING || worker->state == WORKER_LOADING)) {
        struct lease *lease = TAILQ_FIRST(&worker->line->queue);

        if (lease) {
            TAILQ_REMOVE(&worker->line->queue, lease, link);
            worker->line->queue_len--;
            lease->waiting = false;
            lease->worker = worker;
            worker->lease = lease;
        }
    }
    worker_kill(worker);
}

static void lease_lost(struct lease *lease, enum pool_loss loss, const char *message)
{
    lease->worker = NULL;
    lease->handlers.lost(lease, loss, message, lease->userdata);
}

/* "killed by signal 31" says more than "died" to whoever reads the log. */
static const char *describe_end(const struct worker *worker, int status, char out[256])
{
    if (worker->loss_message[0])
        snprintf(out, 256, "%s", worker->loss_message);
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
        snprintf(out, 256, "the sandbox process was stopped by the system call filter");
    else if (WIFSIGNALED(status))
        snprintf(out, 256, "the sandbox process was killed by signal %d", WTERMSIG(status));
    else
        snprintf(out, 256, "the sandbox process ended with status %d", WEXITSTATUS(status));
    return out;
}

static void on_worker_exit(struct loop_child *child, int wait_status, void *userdata)
{
    struct worker *worker = MAGIC_CAST(struct worker, userdata, WORKER_MAGIC);
    struct pool *pool = worker->pool;
    char message[256];

    if (worker->state != WORKER_DYING)
        worker_fail(
            worker, worker->state == WORKER_RUNNING || worker->state == WORKER_LEASED ? POOL_LOST_DIED : POOL_LOST_START, "");
    struct lease *lease = worker->lease;
    enum pool_loss loss = worker->loss;
    describe_end(worker, wait_status, message);
    worker->lease = NULL;
    worker_free(worker);
    if (lease)
        lease_lost(lease, loss, message);
    pool_schedule(pool);
}

static void on_worker_close(struct channel *channel, int reason, void *userdata)
{
    struct worker *worker = MAGIC_CAST(struct worker, userdata, WORKER_MAGIC);
    bool working = worker->state == WORKER_RUNNING || worker->state == WORKER_LEASED;

    if (reason == -EPROTO || reason == -ENOBUFS)
        worker_fail(worker, POOL_LOST_GARBAGE, "the sandbox process broke the protocol");
    else
        worker_fail(worker, working ? POOL_LOST_DIED : POOL_LOST_START, "");
}

static void on_worker_timeout(void *userdata)
{
    struct worker *worker = MAGIC_CAST(struct worker, userdata, WORKER_MAGIC);

    if (worker->state == WORKER_RUNNING)
        worker_fail(worker, POOL_LOST_OVERTIME, "the connector did not stop at its wall-time limit and was killed");
    else
        worker_fail(worker, POOL_LOST_START, "the sandbox process did not start in time");
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

static void worker_idle(struct worker *worker)
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

/* --- frames from a worker --- */

static int on_ready(struct worker *worker, struct wire_frame *frame)
{
    struct frame_ready ready;
    struct wire_frame load;

    if (worker->state != WORKER_STARTING || frame_read_ready(frame, &ready) < 0)
        return -EPROTO;
    snprintf(worker->pool->confinement, sizeof worker->pool->confinement, "%s", ready.confinement);
    int fd = fcntl(worker->line->module->code_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* A blob by descriptor: all workers of a connector map the same sealed memfd. */
    wire_init(&load, WORKER_LOAD, 0);
    wire_put_u8(&load, 1);
    wire_put_u64(&load, worker->line->module->code_bytes);
    wire_put_fd(&load, fd);
    wire_put_u32(&load, worker->line->memory_mib);
    wire_put_str(&load, worker->line->imports);
    int r = channel_send(worker->process.channel, &load);
    wire_free(&load);
    worker_state_set(worker, WORKER_LOADING);
    return r;
}

static int on_loaded(struct worker *worker, struct wire_frame *frame)
{
    if (worker->state != WORKER_LOADING || frame_read_loaded(frame) < 0)
        return -EPROTO;
    worker_idle(worker);
    return 0;
}

static int on_refused(struct worker *worker, struct wire_frame *frame)
{
    struct frame_refused refused;
    char message[256];

    if (worker->state != WORKER_LOADING || frame_read_refused(frame, &refused) < 0)
        return -EPROTO;
    snprintf(message, sizeof message, "%s%s%s", refused.reason, *refused.detail ? ": " : "", refused.detail);
    worker_fail(worker, POOL_LOST_REFUSED, message);
    return 0;
}

static int on_log(struct worker *worker, struct wire_frame *frame)
{
    struct frame_log line;

    if (worker->state != WORKER_RUNNING || frame_read_log(frame, &line) < 0 || ++worker->log_lines > LIMIT_LOG_LINES_PER_CALL + 1)
        return -EPROTO;
    worker->lease->handlers.log(worker->lease, line.level, line.message, worker->lease->userdata);
    return 0;
}

static int on_http(struct worker *worker, struct wire_frame *frame)
{
    struct frame_http http;

    if (worker->state != WORKER_RUNNING || worker->http_open || frame_read_http(frame, &http) < 0)
        return -EPROTO;
    worker->http_open = true;
    worker->http_id = frame->id;
    worker->lease->handlers.http(worker->lease, http.envelope, http.len, worker->lease->userdata);
    return 0;
}

static int on_done(struct worker *worker, struct wire_frame *frame)
{
    struct frame_done done;

    if (worker->state != WORKER_RUNNING || frame_read_done(frame, &done) < 0 ||
        (worker->http_open && done.outcome != WORKER_TIMED_OUT))
        return -EPROTO;
    worker->http_open = false;
    loop_timer_stop(worker->timer);
    worker_state_set(worker, WORKER_LEASED);
    worker->lease->handlers.done(worker->lease, &done, worker->lease->userdata);
    return 0;
}

static const struct {
    uint16_t type;
    int (*fn)(struct worker *worker, struct wire_frame *frame);
} FRAMES[] = {
    { WORKER_READY, on_ready },
    { WORKER_LOADED, on_loaded },
    { WORKER_REFUSED, on_refused },
    { WORKER_LOG, on_log },
    { WORKER_HTTP, on_http },
    { WORKER_DONE, on_done },
};

static int on_worker_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct worker *worker = MAGIC_CAST(struct worker, userdata, WORKER_MAGIC);

    for (size_t i = 0; i < ARRAY_LEN(FRAMES); i++)
        if (FRAMES[i].type == frame->type)
            return FRAMES[i].fn(worker, frame);
    return -EPROTO;
}

/* --- starting workers --- */

static int worker_start(struct line *line, struct err *err)
{
    struct pool *pool = line->pool;
    struct worker *worker = calloc(1, sizeof *worker);

    if (!worker)
        return err_set(err, ENOMEM, "out of memory");
    worker->magic = WORKER_MAGIC;
    worker->pool = pool;
    worker->line = line;
    worker->state = WORKER_IDLE;
    TAILQ_INSERT_TAIL(&line->workers, worker, link);
    line->workers_len++;
    pool->workers++;
    int r = loop_timer_new(pool->loop, on_worker_timeout, worker, &worker->timer);
    if (!r)
        r = worker_process_start(
            pool->loop, &pool->program, "--run", on_worker_exit, on_worker_frame, on_worker_close, worker, &worker->process, err);
    if (r < 0) {
        worker_free(worker);
        return r;
    }
    worker_state_set(worker, WORKER_STARTING);
    loop_timer_set(worker->timer, WORKER_START_MS);
    return 0;
}

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

static void pool_schedule(struct pool *pool)
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

int lease_run(struct lease *lease, const char *input, size_t len, unsigned memory_mib, uint32_t wall_ms)
{
    struct worker *worker = lease->worker;
    struct wire_frame frame;

    if (!worker || worker->state != WORKER_LEASED)
        return -EINVAL;
    wire_init(&frame, WORKER_RUN, ++worker->run_id);
    wire_put_blob(&frame, input, len);
    wire_put_u32(&frame, memory_mib);
    wire_put_u32(&frame, wall_ms);
    int r = channel_send(worker->process.channel, &frame);
    wire_free(&frame);
    if (r < 0)
        return r;
    worker->log_lines = 0;
    worker->http_open = false;
    worker_state_set(worker, WORKER_RUNNING);
    loop_timer_set(worker->timer, (int64_t) wall_ms + LIMIT_KILL_GRACE_MS);
    return 0;
}

int lease_http_result(struct lease *lease, int64_t result, uint32_t status, const void *body, size_t len)
{
    struct worker *worker = lease->worker;
    struct wire_frame frame;

    if (!worker || worker->state != WORKER_RUNNING || !worker->http_open)
        return -EINVAL;
    wire_init(&frame, WORKER_HTTP_RESULT, worker->http_id);
    wire_put_i64(&frame, result);
    wire_put_u32(&frame, status);
    wire_put_blob(&frame, body, len);
    int r = channel_send(worker->process.channel, &frame);
    wire_free(&frame);
    worker->http_open = false;
    return r;
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
