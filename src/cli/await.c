/*
 * First the stream, then the question what it is now: nothing can happen between the two unseen. Ctrl-C is caught, since
 * whoever gives up waiting wants to hear how to go on.
 */
#include "cli/await.h"

#include "base/clock.h"
#include "cli/card-show.h"
#include "cli/events.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define AWAY_MS  60000 /* so long a daemon may be away */
#define TELL_MS  1000
#define AGAIN_MS 300
#define LOOK_MS  500

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

struct waiting {
    struct cli *cli;
    const char *path;
    int64_t away_since_ms; /* 0: it answers */
    bool away_told;
    bool also_pending;
    json_t *approval;
};

static void pause_ms(int ms)
{
    const struct timespec time = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

    nanosleep(&time, NULL);
}

/* True when it is so far, or when there is nothing more to wait for; *ret_code is an exit code then. */
static bool look(struct waiting *waiting, int *ret_code, struct err *err)
{
    CLEANUP(cli_answer_free) struct cli_answer answer = { 0 };
    int r = cli_try(waiting->cli, "GET", waiting->path, NULL, &answer, err);

    if (r < 0)
        return false;
    if (answer.status != 200) {
        *ret_code = cli_fail_answer(&answer);
        return true;
    }
    json_decref(waiting->approval);
    waiting->approval = TAKE_PTR(answer.json);
    *ret_code = CODE_DONE;
    return card_is_over(waiting->approval) || (!waiting->also_pending && card_is(waiting->approval, "pending"));
}

/* Until an approval changes, or the person gives up. False: the stream has ended. */
static bool follow(struct events *events)
{
    struct pollfd poll_fd = { .fd = events_fd(events), .events = POLLIN };
    int64_t end_ms = clock_boot_ms() + EVENTS_QUIET_MS;
    bool ours = false;
    int r = 0;

    while (r >= 0 && !ours && !caught && clock_boot_ms() < end_ms) {
        struct event event = { 0 };

        if (poll(&poll_fd, 1, LOOK_MS) <= 0) /* Ctrl-C may come just before it */
            continue;
        end_ms = clock_boot_ms() + EVENTS_QUIET_MS;
        while ((r = events_next(events, &event)) > 0) {
            ours = ours || !strcmp(event.type, "approval");
            json_decref(event.data);
        }
    }
    return r >= 0 && (ours || caught);
}

/* As look(); keeps account of a daemon that is away and comes back. */
static bool look_noting(struct waiting *waiting, int *ret_code)
{
    struct err err = ERR_INIT;

    if (look(waiting, ret_code, &err))
        return true;
    if (err.code)
        return false;
    if (waiting->away_since_ms && waiting->away_told)
        cli_note("aileron: the daemon is back");
    waiting->away_since_ms = 0;
    waiting->away_told = false;
    return false;
}

/* One connection's worth. True when there is an end. */
static bool turn(struct waiting *waiting, int *ret_code)
{
    CLEANUP_PTR(events_close) struct events *events = NULL;
    struct err err = ERR_INIT;

    /* Without a stream (there are only so many) it is asked for again and again. */
    if (events_open(waiting->cli->home->daemon_sock, &caught, &events, &err) < 0)
        return look_noting(waiting, ret_code);
    do {
        if (look_noting(waiting, ret_code))
            return true;
    } while (!caught && !waiting->away_since_ms && follow(events));
    return false;
}

static int run(struct waiting *waiting)
{
    int code = CODE_DONE;

    while (!caught && !turn(waiting, &code)) {
        int64_t now = clock_boot_ms();

        if (caught)
            break;
        if (!waiting->away_since_ms) /* until it answers again */
            waiting->away_since_ms = now;
        if (!waiting->away_told && now - waiting->away_since_ms > TELL_MS) {
            cli_note("aileron: the daemon does not answer; trying again");
            waiting->away_told = true;
        }
        if (now - waiting->away_since_ms > AWAY_MS)
            return cli_failf(CODE_FAILED, "aileron daemon start, then aileron approval list",
                "the daemon does not answer any more; what waits there is kept");
        pause_ms(AGAIN_MS);
    }
    return code;
}

int await_approval(
    struct cli *cli, const char *id, const char *words, bool also_pending, enum await_end *ret_end, json_t **ret_approval)
{
    CLEANUP_FREE char *path = cli_path("/v1/approvals/", id, "");
    struct waiting waiting = { .cli = cli, .path = path, .also_pending = also_pending };
    const volatile sig_atomic_t *outer = cli->interrupted;
    struct sigaction action = { .sa_handler = on_signal }, before;
    int code;

    if (!path)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    caught = 0;
    sigaction(SIGINT, &action, &before);
    if (!outer)
        cli->interrupted = &caught;
    if (words)
        cli_note("%s", words);
    code = run(&waiting);
    cli->interrupted = outer;
    sigaction(SIGINT, &before, NULL);
    if (code) {
        json_decref(waiting.approval);
        return code;
    }
    *ret_end = waiting.approval && card_is_over(waiting.approval) ? AWAIT_OVER : caught ? AWAIT_INTERRUPTED : AWAIT_PENDING;
    *ret_approval = waiting.approval;
    return CODE_DONE;
}
