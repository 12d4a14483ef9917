/*
 * The module cache: requests wait on a job, a job is one source in one compile
 * child. A child is believed in nothing but its bytes: it is confined, has a time
 * limit, and what it returns runs only in workers confined in the same way.
 */
#include "connector/cache.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/magic.h"
#include "connector/frames.h"
#include "wire/limits.h"
#include "worker/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include "base/banned.h"

#define CACHE_MAGIC  0x63616368u
#define JOB_MAGIC    0x636a6f62u
#define JOBS_AT_ONCE 2
#define JOBS_WAITING 64

enum job_state { JOB_WAITING, JOB_STARTING, JOB_COMPILING };

struct cache_request {
    LIST_ENTRY(cache_request) link;
    cache_fn *fn;
    void *userdata;
};

struct job {
    uint32_t magic;
    struct cache *cache;
    TAILQ_ENTRY(job) link;
    enum job_state state;
    uint8_t source[SHA256_BYTES];
    int wasm_fd;
    size_t wasm_bytes;
    struct worker_process process;
    struct loop_timer *timer;
    struct err start_failed; /* code 0: it started */
    LIST_HEAD(, cache_request) requests;
};

struct cache {
    uint32_t magic;
    struct loop *loop;
    struct worker_program program;
    int dirfd;
    uint64_t limit_bytes;
    int64_t compile_ms;
    void (*note)(const char *text);
    bool engine_known;
    uint8_t engine[SHA256_BYTES];
    TAILQ_HEAD(, job) jobs; /* running ones and waiting ones, oldest first */
    size_t running, waiting;
};

static void jobs_start(struct cache *cache);

int cache_new(const struct cache_config *config, struct cache **ret_cache, struct err *err)
{
    int r = file_make_dirs(config->dir, 0700, err);

    if (r < 0)
        return r;
    CLEANUP_PTR(cache_free) struct cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return err_set(err, ENOMEM, "out of memory");
    cache->magic = CACHE_MAGIC;
    TAILQ_INIT(&cache->jobs);
    cache->loop = config->loop;
    cache->program = config->program;
    cache->limit_bytes = config->limit_bytes;
    cache->compile_ms = config->compile_ms ? config->compile_ms : LIMIT_COMPILE_MS;
    cache->note = config->note;
    cache->dirfd = open(config->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (cache->dirfd < 0)
        return err_errno(err, errno, "cannot open %s", config->dir);
    module_trim(cache->dirfd, cache->limit_bytes);
    *ret_cache = TAKE_PTR(cache);
    return 0;
}

static void job_free(struct job *job)
{
    struct cache_request *request;

    TAILQ_REMOVE(&job->cache->jobs, job, link);
    if (job->state == JOB_WAITING)
        job->cache->waiting--;
    else
        job->cache->running--;
    while ((request = LIST_FIRST(&job->requests))) {
        LIST_REMOVE(request, link);
        free(request);
    }
    worker_process_end(&job->process);
    loop_timer_free(job->timer);
    if (job->wasm_fd >= 0)
        close(job->wasm_fd);
    free(job);
}

void cache_free(struct cache *cache)
{
    if (!cache)
        return;
    while (!TAILQ_EMPTY(&cache->jobs))
        job_free(TAILQ_FIRST(&cache->jobs));
    if (cache->dirfd >= 0)
        close(cache->dirfd);
    free(cache);
}

/* Answers all who wait for the job and ends it. `module` is borrowed. */
static void job_finish(struct job *job, struct module *module, const struct err *err)
{
    struct cache *cache = job->cache;
    struct cache_request *request;
    LIST_HEAD(, cache_request) requests = LIST_HEAD_INITIALIZER(requests);

    while ((request = LIST_FIRST(&job->requests))) {
        LIST_REMOVE(request, link);
        LIST_INSERT_HEAD(&requests, request, link);
    }
    job_free(job);
    while ((request = LIST_FIRST(&requests))) {
        LIST_REMOVE(request, link);
        cache_fn *fn = request->fn;
        void *userdata = request->userdata;
        free(request);
        fn(module, err, userdata);
    }
    jobs_start(cache);
}

static int job_fail(struct job *job, int code, const char *message)
{
    struct err err = ERR_INIT;

    err_set(&err, code, "%s", message);
    job_finish(job, NULL, &err);
    return 0;
}

static void on_timeout(void *userdata)
{
    struct job *job = MAGIC_CAST(struct job, userdata, JOB_MAGIC);

    if (job->start_failed.code) {
        struct err err = job->start_failed;

        job_finish(job, NULL, &err);
        return;
    }
    job_fail(job, ETIMEDOUT, "compiling the connector took too long and was stopped");
}

static void on_exit_(struct loop_child *child, int wait_status, void *userdata)
{
    struct job *job = MAGIC_CAST(struct job, userdata, JOB_MAGIC);

    job_fail(job, EIO, "the compiler ended without an answer");
}

static void on_close(struct channel *channel, int reason, void *userdata)
{
    struct job *job = MAGIC_CAST(struct job, userdata, JOB_MAGIC);

    job_fail(
        job, EIO, reason == -EPROTO ? "the compiler sent an answer that makes no sense" : "the compiler ended without an answer");
}

static int load_from_disk(struct cache *cache, const uint8_t source[SHA256_BYTES], struct module **ret_module)
{
    struct module_key key;
    struct err err = ERR_INIT;

    memcpy(key.source, source, sizeof key.source);
    memcpy(key.engine, cache->engine, sizeof key.engine);
    int r = module_load(cache->dirfd, &key, ret_module, &err);
    if (r < 0 && r != -ENOENT && cache->note)
        cache->note(err.message);
    return r;
}

static int send_compile(struct job *job)
{
    struct wire_frame frame;
    int fd = fcntl(job->wasm_fd, F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    /* A blob by descriptor, written by hand so that the bytes are not copied into another memfd. */
    wire_init(&frame, WORKER_COMPILE, 0);
    wire_put_u8(&frame, 1);
    wire_put_u64(&frame, job->wasm_bytes);
    wire_put_fd(&frame, fd);
    int r = channel_send(job->process.channel, &frame);
    wire_free(&frame);
    return r;
}

/* The child says what it is: perhaps the answer is on disk already. */
static int on_ready(struct job *job, struct wire_frame *frame)
{
    CLEANUP_PTR(module_unref) struct module *module = NULL;
    struct cache *cache = job->cache;
    struct frame_ready ready;

    if (job->state != JOB_STARTING || frame_read_ready(frame, &ready) < 0)
        return -EPROTO;
    struct digest *digest = digest_new();
    digest_add(digest, ready.engine, strlen(ready.engine) + 1);
    digest_add(digest, ready.config, strlen(ready.config) + 1);
    digest_end(digest, cache->engine);
    cache->engine_known = true;
    job->state = JOB_COMPILING;
    if (load_from_disk(cache, job->source, &module) == 0) {
        job_finish(job, module, NULL);
        return 0;
    }
    return send_compile(job);
}

static int on_compiled(struct job *job, struct wire_frame *frame)
{
    CLEANUP_PTR(module_unref) struct module *module = NULL;
    struct cache *cache = job->cache;
    struct module_key key;
    struct err err = ERR_INIT;
    struct frame_compiled compiled;

    if (job->state != JOB_COMPILING || frame_read_compiled(frame, &compiled) < 0)
        return -EPROTO;
    if (module_new(compiled.code, compiled.code_bytes, compiled.imports, compiled.has_start, compiled.has_memory, &module, &err) <
        0) {
        job_finish(job, NULL, &err);
        return 0;
    }
    memcpy(key.source, job->source, sizeof key.source);
    memcpy(key.engine, cache->engine, sizeof key.engine);
    /* Only a cache: a module that could not be kept is compiled again another day. */
    if (module_save(cache->dirfd, &key, module, &err) == 0)
        module_trim(cache->dirfd, cache->limit_bytes);
    job_finish(job, module, NULL);
    return 0;
}

static int on_refused(struct job *job, struct wire_frame *frame)
{
    struct err err = ERR_INIT;
    struct frame_refused refused;

    if (job->state != JOB_COMPILING || frame_read_refused(frame, &refused) < 0)
        return -EPROTO;
    err_set(&err, EINVAL, "%s%s%s", refused.reason, *refused.detail ? ": " : "", refused.detail);
    job_finish(job, NULL, &err);
    return 0;
}

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct job *job = MAGIC_CAST(struct job, userdata, JOB_MAGIC);

    switch (frame->type) {
    case WORKER_READY:
        return on_ready(job, frame);
    case WORKER_COMPILED:
        return on_compiled(job, frame);
    case WORKER_REFUSED:
        return on_refused(job, frame);
    default:
        return -EPROTO;
    }
}

static void jobs_start(struct cache *cache)
{
    struct job *job = TAILQ_FIRST(&cache->jobs);

    while (job && cache->running < JOBS_AT_ONCE) {
        struct job *next = TAILQ_NEXT(job, link);

        if (job->state == JOB_WAITING) {
            job->state = JOB_STARTING;
            cache->waiting--;
            cache->running++;
            int r = worker_process_start(
                cache->loop, &cache->program, "--compile", on_exit_, on_frame, on_close, job, &job->process, &job->start_failed);
            /* A failure is told from the loop, never from inside cache_get(). */
            loop_timer_set(job->timer, r < 0 ? 0 : cache->compile_ms);
        }
        job = next;
    }
}

static struct job *job_find(struct cache *cache, const uint8_t source[SHA256_BYTES])
{
    struct job *job;

    TAILQ_FOREACH(job, &cache->jobs, link)
    if (!memcmp(job->source, source, SHA256_BYTES))
        return job;
    return NULL;
}

static int job_new(struct cache *cache, const uint8_t source[SHA256_BYTES], int wasm_fd, size_t wasm_bytes, struct job **ret_job)
{
    struct job *job = cache->waiting < JOBS_WAITING ? calloc(1, sizeof *job) : NULL;

    if (!job)
        return -ENOMEM;
    job->magic = JOB_MAGIC;
    job->cache = cache;
    LIST_INIT(&job->requests);
    memcpy(job->source, source, SHA256_BYTES);
    job->wasm_bytes = wasm_bytes;
    cache->waiting++;
    TAILQ_INSERT_TAIL(&cache->jobs, job, link);
    job->wasm_fd = fcntl(wasm_fd, F_DUPFD_CLOEXEC, 0);
    if (job->wasm_fd < 0 || loop_timer_new(cache->loop, on_timeout, job, &job->timer) < 0) {
        job_free(job);
        return -ENOMEM;
    }
    *ret_job = job;
    return 0;
}

int cache_get(struct cache *cache, const uint8_t source[SHA256_BYTES], int wasm_fd, size_t wasm_bytes, cache_fn *fn,
    void *userdata, struct module **ret_module, struct cache_request **ret_request, struct err *err)
{
    struct job *job = job_find(cache, source);
    struct cache_request *request;

    if (!job && cache->engine_known && load_from_disk(cache, source, ret_module) == 0)
        return 1;
    if (!job && job_new(cache, source, wasm_fd, wasm_bytes, &job) < 0)
        return err_set(err, ENOMEM, "too many connectors are being compiled at once");
    request = calloc(1, sizeof *request);
    if (!request) {
        if (LIST_EMPTY(&job->requests))
            job_free(job);
        return err_set(err, ENOMEM, "out of memory");
    }
    request->fn = fn;
    request->userdata = userdata;
    LIST_INSERT_HEAD(&job->requests, request, link);
    *ret_request = request;
    jobs_start(cache);
    return 0;
}

void cache_cancel(struct cache_request *request)
{
    LIST_REMOVE(request, link);
    free(request);
}
