/*
 * The keeper's supervisor. One process at a time; its stderr is read through a
 * pipe, line by line, into the log, and the last line is what a failed first
 * start is explained with. Frames are checked field by field: the keeper holds
 * the secrets, but the broker does not depend on its good behaviour.
 */
#include "broker/keeper-link-private.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/log.h"
#include "loop/channel.h"
#include "loop/loop.h"
#include "wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>

#include "base/banned.h"

#define HELLO_MS          10000
#define BACKOFF_FIRST_MS  50
#define BACKOFF_MAX_MS    5000
#define HEALTHY_MS        30000
#define STATES_PER_SECOND 100
#define EVENTS_PER_SECOND 1000

static void link_start(struct keeper_link *link);

/* --- its stderr --- */

static void note_words(struct keeper_link *link, const char *line)
{
    const char *name = "aileron-keeper: ";

    if (!strncmp(line, name, strlen(name)))
        line += strlen(name);
    log_warn("keeper: %s", line);
    if (!link->words.message[0])
        err_set(&link->words, EIO, "%s", line);
    else if (!link->words.hint[0])
        err_hint(&link->words, "%s", line);
}

static void log_words(struct keeper_link *link, char *text)
{
    for (char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        bool more = line[len];

        line[len] = '\0';
        if (len) {
            note_words(link, line);
        }
        line += len + more;
    }
}

static void drain_stderr(struct keeper_link *link)
{
    char text[1024];
    ssize_t n;

    /* Bounded: a flood is read on, a piece a turn, but never fills the disk faster than the log rotates. */
    if (link->stderr_fd >= 0 && (n = read(link->stderr_fd, text, sizeof text - 1)) > 0) {
        text[n] = '\0';
        log_words(link, text);
    }
}

static void on_stderr(int fd, int events, void *userdata)
{
    struct keeper_link *link = MAGIC_CAST(struct keeper_link, userdata, LINK_MAGIC);
    char text[1024];
    ssize_t n = read(fd, text, sizeof text - 1);

    if (n > 0) {
        text[n] = '\0';
        log_words(link, text);
    } else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        loop_watch_free(link->stderr_watch);
        link->stderr_watch = NULL;
    }
}

static void close_stderr(struct keeper_link *link)
{
    loop_watch_free(link->stderr_watch);
    link->stderr_watch = NULL;
    if (link->stderr_fd >= 0)
        close(link->stderr_fd);
    link->stderr_fd = -1;
}

/* --- the process --- */

static int64_t next_pause(struct keeper_link *link)
{
    int64_t now = clock_boot_ms();

    if (link->up_since_ms && now - link->up_since_ms > HEALTHY_MS)
        link->backoff_ms = 0;
    int64_t pause = link->backoff_ms;
    link->backoff_ms = pause ? (pause * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : pause * 2) : BACKOFF_FIRST_MS;
    return pause;
}

static void first_start_failed(struct keeper_link *link, const char *why)
{
    struct err err = link->words;

    if (!err.message[0])
        err_set(&err, EIO, "the keeper cannot be started: %s", why);
    link->config.started(-EIO, &err, link->config.userdata);
}

static void forget_state(struct keeper_link *link)
{
    if (link->vault != KEEPER_VAULT_MISSING)
        link->vault = KEEPER_VAULT_LOCKED;
    link->overrides_active = link->has_head_key = false;
    json_array_clear(link->bindings);
}

/* The process is gone or will be: forget what it said, fail what it held, plan the next one. */
static void link_lost(struct keeper_link *link, const char *why)
{
    bool was_open = link->state == LINK_UP && link->vault == KEEPER_VAULT_UNLOCKED;

    if (link->state == LINK_DOWN)
        return;
    drain_stderr(link);
    log_error("the keeper is lost: %s", why);
    link->state = LINK_DOWN;
    link->restarts++;
    channel_free(link->channel);
    link->channel = NULL;
    loop_child_free(link->child);
    link->child = NULL;
    close_stderr(link);
    forget_state(link);
    loop_timer_stop(link->watchdog);
    link->watchdog_due_ms = 0;
    loop_timer_set(link->timer, next_pause(link));
    link_calls_fail(link, "the keeper ended while the request was under way");
    if (!link->ever_up)
        first_start_failed(link, why);
    else
        link->config.lost(was_open, link->config.userdata);
}

static void on_exit_(struct loop_child *child, int status, void *userdata)
{
    struct keeper_link *link = MAGIC_CAST(struct keeper_link, userdata, LINK_MAGIC);
    char why[128];

    if (WIFSIGNALED(status))
        snprintf(why, sizeof why, "killed by signal %d", WTERMSIG(status));
    else
        snprintf(why, sizeof why, "ended with status %d", WEXITSTATUS(status));
    link_lost(link, why);
}

static void on_close(struct channel *channel, int reason, void *userdata)
{
    struct keeper_link *link = MAGIC_CAST(struct keeper_link, userdata, LINK_MAGIC);

    /* What it printed last comes through the other pipe; its exit is the better explanation. */
    if (reason == -EPROTO || reason == -ENOBUFS)
        link_lost(link, "it broke the protocol");
    else
        loop_child_kill(link->child, SIGKILL);
}

static void on_timer(void *userdata)
{
    struct keeper_link *link = MAGIC_CAST(struct keeper_link, userdata, LINK_MAGIC);

    if (link->state == LINK_DOWN)
        link_start(link);
    else if (link->state == LINK_STARTING)
        link_lost(link, "it did not say hello in time");
}

static void on_watchdog(void *userdata)
{
    struct keeper_link *link = MAGIC_CAST(struct keeper_link, userdata, LINK_MAGIC);
    int64_t due = link_earliest_due(link);

    link->watchdog_due_ms = 0;
    if (due <= clock_boot_ms())
        link_lost(link, "it did not answer a request in time");
    else if (due != INT64_MAX)
        link_arm_watchdog(link, due);
}

/* --- frames --- */

static int send_configure(struct keeper_link *link)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_CONFIGURE, 0);
    wire_put_str(&frame, link->allow_private);
    wire_put_u32(&frame, link->auto_lock_s);
    int r = channel_send(link->channel, &frame);
    wire_free(&frame);
    return r;
}

static int send_get_state(struct keeper_link *link)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_GET_STATE, 0);
    int r = channel_send(link->channel, &frame);
    wire_free(&frame);
    return r;
}

static int on_hello(struct keeper_link *link, struct wire_frame *frame)
{
    struct keeper_hello hello;

    if (link->state != LINK_STARTING || link->greeted || keeper_read_hello(frame, &hello) < 0)
        return -EPROTO;
    link->vault = hello.vault;
    snprintf(link->confinement, sizeof link->confinement, "%s", hello.confinement);
    link->greeted = true;
    return 0;
}

/* The first STATE is the end of the start: from now on bindings are known. */
static void link_is_up(struct keeper_link *link)
{
    bool first = !link->ever_up;

    link->state = LINK_UP;
    link->ever_up = true;
    link->up_since_ms = clock_boot_ms();
    loop_timer_stop(link->timer);
    if (first)
        link->config.started(0, NULL, link->config.userdata);
    else
        log_info("the keeper is back");
}

/* A keeper that floods is mad, and writing what it says would fill the disk. */
static bool rate_is_over(struct rate *rate, unsigned per_second)
{
    int64_t second = clock_boot_ms() / 1000;

    if (second != rate->second)
        rate->count = 0;
    rate->second = second;
    return ++rate->count > per_second;
}

static int on_state(struct keeper_link *link, struct wire_frame *frame)
{
    struct keeper_state state;

    if (!link->greeted || rate_is_over(&link->states, STATES_PER_SECOND) || keeper_read_state(frame, &state) < 0)
        return -EPROTO;
    json_decref(link->bindings);
    link->bindings = state.bindings;
    link->vault = state.vault;
    link->overrides_active = state.overrides_active;
    link->has_head_key = state.head_key != NULL;
    if (state.head_key)
        memcpy(link->head_key, state.head_key, sizeof link->head_key);
    snprintf(link->degraded, sizeof link->degraded, "%s", state.degraded);
    if (link->state == LINK_STARTING)
        link_is_up(link);
    link->config.changed(link->config.userdata);
    return 0;
}

static int on_event(struct keeper_link *link, struct wire_frame *frame)
{
    struct keeper_event event;

    if (!link->greeted || rate_is_over(&link->events, EVENTS_PER_SECOND) || keeper_read_event(frame, &event) < 0)
        return -EPROTO;
    int r = link->config.event(frame->id, &event, link->config.userdata);
    json_decref(event.payload);
    return r;
}

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct keeper_link *link = MAGIC_CAST(struct keeper_link, userdata, LINK_MAGIC);

    switch (frame->type) {
    case KEEPER_HELLO:
        return on_hello(link, frame);
    case KEEPER_STATE:
        return on_state(link, frame);
    case KEEPER_EVENT:
        return on_event(link, frame);
    case KEEPER_HTTP_RESULT:
    case KEEPER_DONE:
    case KEEPER_SIGNED:
    case KEEPER_LISTED:
    case KEEPER_FORGED:
        return link_on_answer(link, frame);
    default:
        return -EPROTO;
    }
}

/* --- life --- */

static int spawn(struct keeper_link *link, int channel_fd, int stderr_fd, struct err *err)
{
    const char *const envp[] = { "PATH=/usr/bin:/bin", NULL };
    struct proc_spec spec = {
        .program_fd = link->config.program_fd,
        .argv = link->config.argv,
        .envp = envp,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = stderr_fd,
        .fds = { channel_fd, link->config.owner_fd }, /* KEEPER_CHANNEL_FD, KEEPER_OWNER_FD */
        .fds_len = 2,
        .die_with_parent = true,
    };
    return loop_child_start(link->config.loop, &spec, on_exit_, link, &link->child, err);
}

static int try_start(struct keeper_link *link, struct err *err)
{
    int pair[2], words[2];
    int r = wire_pair(pair);

    if (r < 0)
        return err_errno(err, -r, "cannot make a channel to the keeper");
    CLEANUP_CLOSE int ours = pair[0];
    CLEANUP_CLOSE int theirs = pair[1];
    if (pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    link->stderr_fd = words[0];
    CLEANUP_CLOSE int their_stderr = words[1];
    r = loop_watch_new(link->config.loop, words[0], LOOP_READ, on_stderr, link, &link->stderr_watch);
    if (!r)
        r = spawn(link, theirs, their_stderr, err);
    if (!r)
        r = channel_new(link->config.loop, TAKE_FD(ours), on_frame, on_close, link, &link->channel);
    /* Both wait in the socket, so that the keeper can answer with its hello. */
    if (!r)
        r = send_configure(link);
    if (!r)
        r = send_get_state(link);
    return r;
}

static void link_start(struct keeper_link *link)
{
    struct err err = ERR_INIT;

    link->state = LINK_STARTING;
    link->greeted = false;
    link->states = link->events = (struct rate){ 0 };
    link->generation++;
    err_clear(&link->words);
    if (try_start(link, &err) < 0) {
        link->words = err;
        link_lost(link, err.message[0] ? err.message : "it could not be started");
        return;
    }
    loop_timer_set(link->timer, HELLO_MS);
}

int keeper_link_new(const struct keeper_config *config, struct keeper_link **ret_link, struct err *err)
{
    CLEANUP_PTR(keeper_link_free) struct keeper_link *link = calloc(1, sizeof *link);

    if (!link)
        return err_set(err, ENOMEM, "out of memory");
    link->magic = LINK_MAGIC;
    link->config = *config;
    link->stderr_fd = -1;
    link->vault = KEEPER_VAULT_LOCKED;
    link->bindings = json_array();
    link->allow_private = strdup(config->allow_private);
    link->auto_lock_s = config->auto_lock_s;
    TAILQ_INIT(&link->calls);
    if (!link->bindings || !link->allow_private || loop_timer_new(config->loop, on_timer, link, &link->timer) < 0 ||
        loop_timer_new(config->loop, on_watchdog, link, &link->watchdog) < 0)
        return err_set(err, ENOMEM, "out of memory");
    loop_timer_set(link->timer, 0);
    *ret_link = TAKE_PTR(link);
    return 0;
}

void keeper_link_free(struct keeper_link *link)
{
    if (!link)
        return;
    /* Whoever still asks has something to free. */
    link->state = LINK_DOWN;
    link_calls_fail(link, "the daemon ends");
    link_calls_free(link);
    channel_free(link->channel);
    loop_child_free(link->child);
    close_stderr(link);
    loop_timer_free(link->timer);
    loop_timer_free(link->watchdog);
    json_decref(link->bindings);
    free(link->allow_private);
    free(link);
}

/* --- what it has said --- */

bool keeper_is_there(const struct keeper_link *link)
{
    return link->state == LINK_UP;
}

enum keeper_vault_state keeper_vault_state(const struct keeper_link *link)
{
    return link->vault;
}

bool keeper_overrides_active(const struct keeper_link *link)
{
    return link->overrides_active;
}

bool keeper_head_key(const struct keeper_link *link, uint8_t out[KEEPER_HEAD_KEY_BYTES])
{
    if (link->has_head_key)
        memcpy(out, link->head_key, KEEPER_HEAD_KEY_BYTES);
    return link->has_head_key;
}

const json_t *keeper_bindings(const struct keeper_link *link)
{
    return link->bindings;
}

const char *keeper_confinement(const struct keeper_link *link)
{
    return link->confinement;
}

const char *keeper_degraded(const struct keeper_link *link)
{
    if (link->state != LINK_UP)
        return "the keeper is not running; it is being restarted";
    return link->degraded;
}

unsigned keeper_restarts(const struct keeper_link *link)
{
    return link->restarts;
}

unsigned keeper_generation(const struct keeper_link *link)
{
    return link->generation;
}

void keeper_event_written(struct keeper_link *link, unsigned generation, uint32_t id, bool written)
{
    struct wire_frame frame;

    if (!link->channel || generation != link->generation)
        return;
    wire_init(&frame, KEEPER_EVENT_WRITTEN, id);
    wire_put_u8(&frame, written);
    channel_send(link->channel, &frame);
    wire_free(&frame);
}

void keeper_configure(struct keeper_link *link, const char *allow_private, uint32_t auto_lock_s)
{
    char *copy = strdup(allow_private);

    if (!copy)
        return;
    free(link->allow_private);
    link->allow_private = copy;
    link->auto_lock_s = auto_lock_s;
    if (link->state != LINK_DOWN)
        send_configure(link);
}
