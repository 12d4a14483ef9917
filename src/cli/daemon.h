/*
 * The daemon from outside: is it there, start it, stop it. Two commands that
 * start it at once are put in order by a lock on the home folder itself, so the
 * CLI writes no file there.
 */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include "base/err.h"
#include "base/home.h"
#include "base/json.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DAEMON_CONNECT_TO_MAX 32

/* Flags of `daemon start`: development overrides, and for the tour its end with the program that started it. */
struct daemon_flags {
    const char *dev_ca; /* absolute path; NULL */
    const char *dev_connect_to[DAEMON_CONNECT_TO_MAX];
    size_t dev_connect_to_len;
    bool die_with_parent;
    void (*slow)(void); /* called once when the start takes over a second; NULL */
};

enum daemon_result {
    DAEMON_FAILED = 1, /* it said why, in `err` */
};

/* Who listens at daemon.sock: 0 with its pid; -ENOENT or -ECONNREFUSED: nobody; another error with words. */
int daemon_find(const struct home *home, pid_t *ret_pid, struct err *err);
/* Its GET /v1/status; waits for one that is ending. New reference; -ENOENT or -ECONNREFUSED: nobody listens. */
int daemon_status(const struct home *home, json_t **ret_status, struct err *err);
/*
 * Starts it unless it runs and returns when it answers. *ret_started tells whether this call did it (also when another command
 * did so meanwhile, it is false). 0, DAEMON_FAILED or a negative errno.
 */
int daemon_start(const struct home *home, const struct daemon_flags *flags, bool *ret_started, struct err *err);
/* Asks it to stop and waits until the process is gone; after 10 s it is killed. 0 also when none runs (*ret_stopped false). */
int daemon_stop(const struct home *home, bool *ret_stopped, struct err *err);
/* 0 when the running daemon has exactly these overrides, as its status states them; 1 when not; negative errno. */
int daemon_same_flags(const struct home *home, const struct daemon_flags *flags, struct err *err);

#endif
