/*
 * One worker of the pool: its process, the frames it sends, the call it runs, and
 * its end, which is told when the process has been reaped.
 */
#include "connector/pool-private.h"

#include "base/magic.h"
#include "wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/banned.h"

#define WORKER_START_MS 10000

void worker_state_set(struct worker *worker, enum worker_state state)
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

void worker_free(struct worker *worker)
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
void worker_kill(struct worker *worker)
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

void lease_lost(struct lease *lease, enum pool_loss loss, const char *message)
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

/* --- start and run --- */

int worker_start(struct line *line, struct err *err)
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
