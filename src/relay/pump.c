/*
 * One poll loop. The agent's descriptors are shared with whoever started us, so
 * they are not made non-blocking: a write there never exceeds what poll promises
 * (PIPE_BUF for pipes; sockets are asked not to wait).
 */
#include "relay/pump.h"

#include "base/cleanup.h"
#include "relay/lines.h"
#include "relay/link.h"
#include "relay/session.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"

#define RETRY_FIRST_MS   10
#define RETRY_MOST_MS    250   /* at first: it may just be restarted */
#define RETRY_LATER_MS   15000 /* then: who asks something is heard at once all the same */
#define RETRY_REFUSED_MS 2000  /* a session does not come back by itself; a place may */
#define AT_FIRST_MS      10000

struct state {
    const struct pump *pump;
    struct link link;
    struct lines up, down; /* from the agent, from the daemon */
    size_t out_at;         /* of link.to_agent, up to where the agent has it */
    int daemon;            /* -1: away */
    int64_t retry_at_ms, retry_ms;
    bool in_open, agent_gone;
};

static int64_t now(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (int64_t) at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

/* Writes without ever blocking. False: nobody reads there any more. */
static bool put(int fd, const char *data, size_t len, size_t *ret_put)
{
    ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == ENOTSOCK)
        n = write(fd, data, len < PIPE_BUF ? len : PIPE_BUF);
    *ret_put = n > 0 ? (size_t) n : 0;
    return n >= 0 || errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK;
}

/* ---- the daemon's side ---- */

static int64_t retry_most_ms(const struct state *state)
{
    if (state->link.refused)
        return RETRY_REFUSED_MS;
    return now() - state->link.away_since_ms < AT_FIRST_MS ? RETRY_MOST_MS : RETRY_LATER_MS;
}

static void try_again_later(struct state *state)
{
    int64_t most = retry_most_ms(state);

    if (state->link.refused)
        state->retry_ms = most;
    state->retry_at_ms = now() + state->retry_ms;
    state->retry_ms = state->retry_ms * 2 < most ? state->retry_ms * 2 : most;
}

static void connect_daemon(struct state *state)
{
    state->daemon = relay_connect(state->pump->socket_path, SOCK_NONBLOCK, NULL);
    if (state->daemon < 0) {
        state->daemon = -1;
        try_again_later(state);
        return;
    }
    lines_reset(&state->down);
    link_connected(&state->link);
}

static void lose_daemon(struct state *state)
{
    if (state->link.good)
        state->retry_ms = RETRY_FIRST_MS;
    close(state->daemon);
    state->daemon = -1;
    link_lost(&state->link, now());
    try_again_later(state);
}

static void write_daemon(struct state *state)
{
    struct buf *out = &state->link.to_daemon;
    size_t n = 0;

    /* What the daemon still said is read before its end is believed, so a failed write says nothing. */
    if (state->daemon >= 0 && out->len && put(state->daemon, out->data, out->len, &n) && n)
        link_written(&state->link, n);
}

static void read_daemon(struct state *state)
{
    const char *line;
    size_t len;
    int r = lines_fill(&state->down, state->daemon);
    enum lines_next next;

    while ((next = lines_next(&state->down, &line, &len)) == LINES_LINE)
        link_daemon_line(&state->link, line, len, now());
    if (!r || next == LINES_OVERLONG)
        lose_daemon(state);
}

/* ---- the agent's side ---- */

static size_t waiting_for_agent(const struct state *state)
{
    return state->link.to_agent.len - state->out_at;
}

static void write_agent(struct state *state)
{
    struct buf *out = &state->link.to_agent;
    size_t n = 0;

    if (!put(state->pump->out, out->data + state->out_at, waiting_for_agent(state), &n)) {
        state->agent_gone = true;
        return;
    }
    state->out_at += n;
    if (state->out_at < out->len)
        return;
    state->out_at = 0;
    if (out->cap > LINK_BACKLOG_MAX)
        buf_free(out);
    else
        buf_reset(out);
}

static void read_agent(struct state *state)
{
    const char *line;
    size_t len;
    enum lines_next next;

    state->in_open = lines_fill(&state->up, state->pump->in) != 0;
    while ((next = lines_next(&state->up, &line, &len)) != LINES_NONE) {
        if (state->daemon < 0 && !state->link.refused)
            connect_daemon(state);
        if (next == LINES_LINE)
            link_agent_line(&state->link, line, len, now());
        else
            link_agent_overlong(&state->link);
    }
}

/* ---- the loop ---- */

enum { AT_IN, AT_OUT, AT_DAEMON, AT_LEN };

static void prepare(const struct state *state, struct pollfd fds[AT_LEN])
{
    bool backlog = waiting_for_agent(state) > LINK_BACKLOG_MAX;

    fds[AT_IN] = (struct pollfd){
        .fd = state->in_open && !backlog && state->link.to_daemon.len <= LINK_BACKLOG_MAX ? state->pump->in : -1,
        .events = POLLIN,
    };
    /* The agent's reading end is watched all the time: its loss means that nobody waits for answers. */
    fds[AT_OUT] = (struct pollfd){ .fd = state->pump->out, .events = waiting_for_agent(state) ? POLLOUT : 0 };
    fds[AT_DAEMON] = (struct pollfd){ .fd = state->daemon, .events = backlog ? 0 : POLLIN };
    if (state->link.to_daemon.len)
        fds[AT_DAEMON].events |= POLLOUT;
}

/* Until when nothing may happen by itself; -1 for ever. */
static int64_t patience(struct state *state)
{
    int64_t at = now(), wait = link_time(&state->link, at), retry = state->retry_at_ms - at;

    if (state->daemon < 0 && (wait < 0 || retry < wait))
        wait = retry > 0 ? retry : 0;
    if (!state->in_open && (wait < 0 || state->pump->quiet_ms < wait))
        wait = state->pump->quiet_ms;
    return wait;
}

static void step(struct state *state, const struct pollfd fds[AT_LEN])
{
    if (fds[AT_OUT].revents & (POLLERR | POLLNVAL) || (fds[AT_OUT].revents & POLLHUP && !(fds[AT_OUT].revents & POLLOUT)))
        state->agent_gone = true;
    else if (fds[AT_OUT].revents & POLLOUT && waiting_for_agent(state))
        write_agent(state);
    if (fds[AT_DAEMON].revents & (POLLIN | POLLHUP | POLLERR))
        read_daemon(state);
    if (fds[AT_IN].revents)
        read_agent(state);
    write_daemon(state);
}

/* Nothing left to do? */
static bool is_over(const struct state *state, enum pump_end *ret_end)
{
    const struct link *link = &state->link;

    if (link->refused && !link->ever_good)
        *ret_end = PUMP_REFUSED;
    else if (link->broken)
        *ret_end = PUMP_FAILED;
    else if (state->agent_gone || (!state->in_open && !link->flights.first && !link->to_daemon.len && !waiting_for_agent(state)))
        *ret_end = PUMP_AGENT_DONE;
    else
        return false;
    errno = link->broken ? ENOMEM : 0;
    return true;
}

static enum pump_end run(struct state *state)
{
    enum pump_end end = PUMP_AGENT_DONE;
    sigset_t none;

    sigemptyset(&none);
    connect_daemon(state);
    while (!is_over(state, &end)) {
        struct pollfd fds[AT_LEN];
        int64_t wait = patience(state);
        const struct timespec timeout = { wait / 1000, (long) (wait % 1000) * 1000000 };

        prepare(state, fds);
        int n = ppoll(fds, AT_LEN, wait < 0 ? NULL : &timeout, &none);
        if (state->pump->stop && *state->pump->stop)
            return PUMP_SIGNAL;
        if (n < 0 && errno != EINTR)
            return PUMP_FAILED;
        if (n == 0 && !state->in_open && state->daemon >= 0)
            return PUMP_AGENT_DONE; /* it has been quiet for so long */
        if (n > 0)
            step(state, fds);
        if (state->daemon < 0 && now() >= state->retry_at_ms)
            connect_daemon(state);
    }
    return end;
}

enum pump_end pump_run(const struct pump *pump, char ret_why[PUMP_WHY_MAX])
{
    struct state state = { .pump = pump, .daemon = -1, .retry_ms = RETRY_FIRST_MS, .in_open = true };

    link_init(&state.link, pump->token, now());
    lines_init(&state.up, LINK_LINE_MAX);
    lines_init(&state.down, LINK_ANSWER_MAX);
    enum pump_end end = run(&state);
    int code = errno;
    snprintf(ret_why, PUMP_WHY_MAX, "%s", state.link.why);
    if (state.daemon >= 0)
        close(state.daemon);
    lines_free(&state.up);
    lines_free(&state.down);
    link_free(&state.link);
    errno = code;
    return end;
}
