/*
 * One poll loop. The agent's descriptors are shared with whoever started us, so
 * they are not made non-blocking: a write there never exceeds what poll promises
 * (PIPE_BUF for pipes; sockets are asked not to wait).
 */
#include "relay/pump.h"

#include "relay/scan.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/banned.h"

#define CHUNK (64 * 1024)

/* Bytes on their way in one direction: data[start..end). */
struct lane {
    char data[CHUNK];
    size_t start, end;
    struct scan scan;
};

struct state {
    struct lane up, down; /* agent to daemon, daemon to agent */
    struct scan_count asked, answered;
    bool in_open, daemon_open;
    const char *first; /* what is left of the first line */
};

static bool lane_empty(const struct lane *lane)
{
    return lane->start == lane->end;
}

static bool is_temporary(int code)
{
    return code == EINTR || code == EAGAIN || code == EWOULDBLOCK;
}

/* Reads into an empty lane. 1 got bytes, 0 end, -1 nothing now. A broken peer is an end. */
static int fill(struct lane *lane, int fd, struct scan_count *count)
{
    ssize_t n = read(fd, lane->data, sizeof(lane->data));

    if (n < 0 && is_temporary(errno))
        return -1;
    if (n <= 0)
        return 0;
    lane->start = 0;
    lane->end = (size_t) n;
    scan_feed(&lane->scan, lane->data, lane->end, count);
    return 1;
}

/* Writes without ever blocking. False: nobody reads there any more. */
static bool put(int fd, const char *data, size_t len, size_t *ret_put)
{
    ssize_t n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (n < 0 && errno == ENOTSOCK)
        n = write(fd, data, len < PIPE_BUF ? len : PIPE_BUF);
    *ret_put = n > 0 ? (size_t) n : 0;
    return n >= 0 || is_temporary(errno);
}

static bool drain(struct lane *lane, int fd)
{
    size_t n = 0;
    bool ok = put(fd, lane->data + lane->start, lane->end - lane->start, &n);

    lane->start += n;
    return ok;
}

static bool drain_first(struct state *state, int fd)
{
    size_t n = 0;
    bool ok = put(fd, state->first, strlen(state->first), &n);

    state->first += n;
    if (!*state->first)
        state->first = NULL;
    return ok;
}

enum { AT_IN, AT_OUT, AT_DAEMON, AT_LEN };

static void prepare(const struct pump *pump, const struct state *state, struct pollfd fds[AT_LEN])
{
    bool to_daemon = state->first || !lane_empty(&state->up);

    fds[AT_IN] = (struct pollfd){ .fd = state->in_open && !to_daemon ? pump->in : -1, .events = POLLIN };
    /* The agent's reading end is watched all the time: its loss means that nobody waits for answers. */
    fds[AT_OUT] = (struct pollfd){ .fd = pump->out, .events = lane_empty(&state->down) ? 0 : POLLOUT };
    fds[AT_DAEMON] = (struct pollfd){ .fd = state->daemon_open ? pump->daemon : -1 };
    if (lane_empty(&state->down))
        fds[AT_DAEMON].events |= POLLIN;
    if (to_daemon)
        fds[AT_DAEMON].events |= POLLOUT;
}

/* Moves what can be moved. True when that was the end. */
static bool step(const struct pump *pump, struct state *state, const struct pollfd fds[AT_LEN], enum pump_end *ret_end)
{
    if (fds[AT_OUT].revents & (POLLERR | POLLNVAL) || (fds[AT_OUT].revents & POLLHUP && !(fds[AT_OUT].revents & POLLOUT))) {
        *ret_end = PUMP_AGENT_DONE;
        return true;
    }
    if (fds[AT_OUT].revents & POLLOUT && !lane_empty(&state->down) && !drain(&state->down, pump->out)) {
        *ret_end = PUMP_AGENT_DONE;
        return true;
    }
    /* What the daemon still said is read before its end is believed, so a failed write only stops the writing. */
    if (fds[AT_DAEMON].revents & POLLOUT &&
        !(state->first ? drain_first(state, pump->daemon) : drain(&state->up, pump->daemon))) {
        state->first = NULL;
        state->up.start = state->up.end = 0;
        state->in_open = false;
    }
    if (fds[AT_DAEMON].revents & (POLLIN | POLLHUP | POLLERR) && lane_empty(&state->down))
        state->daemon_open = fill(&state->down, pump->daemon, &state->answered) != 0;
    if (fds[AT_IN].revents && lane_empty(&state->up))
        state->in_open = fill(&state->up, pump->in, &state->asked) != 0;
    return false;
}

/* Nothing left to do? */
static bool is_over(const struct state *state, enum pump_end *ret_end)
{
    if (!state->daemon_open && lane_empty(&state->down)) {
        *ret_end = PUMP_DAEMON_GONE;
        return true;
    }
    if (!state->in_open && !state->first && lane_empty(&state->up) && lane_empty(&state->down) &&
        state->answered.answers >= state->asked.requests) {
        *ret_end = PUMP_AGENT_DONE;
        return true;
    }
    return false;
}

enum pump_end pump_run(const struct pump *pump)
{
    static struct state state;
    enum pump_end end = PUMP_AGENT_DONE;
    sigset_t none;

    state = (struct state){ .in_open = true, .daemon_open = true, .first = pump->first_line };
    sigemptyset(&none);
    while (!is_over(&state, &end)) {
        struct pollfd fds[AT_LEN];
        struct timespec quiet = { pump->quiet_ms / 1000, (long) (pump->quiet_ms % 1000) * 1000000 };
        int n;

        prepare(pump, &state, fds);
        n = ppoll(fds, AT_LEN, state.in_open || !state.daemon_open ? NULL : &quiet, &none);
        if (pump->stop && *pump->stop)
            return PUMP_SIGNAL;
        if (n < 0 && errno != EINTR)
            return PUMP_FAILED;
        if (n == 0)
            return PUMP_AGENT_DONE;
        if (n > 0 && step(pump, &state, fds, &end))
            return end;
    }
    return end;
}
