/*
 * What every command works with: its arguments, the home, one way to ask the
 * daemon, one way to fail. stdout carries the answer and nothing else.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/err.h"
#include "base/home.h"
#include "base/json.h"
#include "cli/args.h"
#include "cli/command.h"
#include "cli/daemon.h"

#include <stdio.h>

enum exit_code {
    CODE_DONE = 0,
    CODE_FAILED = 1,
    CODE_USAGE = 2,
    CODE_LOCKED = 3,    /* the vault is locked and nobody can be asked */
    CODE_NO_DAEMON = 4, /* the daemon could not be started */
    CODE_PENDING = 75,  /* waits for an approval */
};

struct cli {
    const struct command *command;
    struct args *args;
    struct home *home;                        /* made by cli_home() */
    bool daemon_ready;                        /* cli_daemon() has succeeded */
    bool overrides_told;                      /* once a command; the tour tells it itself */
    FILE *out;                                /* stdout; the tour reads some answers itself */
    const volatile sig_atomic_t *interrupted; /* NULL: signals end the program */
    int timeout_ms;                           /* of an answer of the daemon's that does not begin; 0: none */
    /* Opens a page for the person instead of the default browser: the tour presses the button itself. NULL: the default one */
    int (*browse)(const char *url, void *userdata, struct err *err);
    void *browse_userdata;
};

void cli_clear(struct cli *cli);
/* Finds and runs the command of argv (without the program's name). Prints errors; returns the exit code. */
int cli_run(struct cli *cli, int argc, char *const argv[]);

/* Prints "aileron: MESSAGE" and the hint to stderr; returns `code`. */
int cli_fail(enum exit_code code, const struct err *err);
int cli_failf(enum exit_code code, const char *hint, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* As cli_fail with CODE_USAGE, then the command's usage line. */
int cli_usage(const struct cli *cli, const struct err *err);
/* There is no such command (in `group`, NULL: at all); suggests the nearest. Returns CODE_USAGE. */
int cli_unknown(int argc, char *const argv[], const struct command *group);
/* "starting the daemon …" on a terminal, for daemon_flags.slow. */
void cli_note_start(void);
/* A line to stderr that is neither answer nor error. */
void cli_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Flushes stdout; a write that failed (disk full, closed pipe) becomes CODE_FAILED. */
int cli_finish(struct cli *cli, int code);

/* Where everything is; CODE_DONE or an exit code after printing why. */
int cli_home(struct cli *cli);
/* Makes sure that a daemon of a fitting version answers, starting it if there is none. */
int cli_daemon(struct cli *cli);

struct cli_answer {
    int status;   /* HTTP */
    json_t *json; /* owned */
};
void cli_answer_free(struct cli_answer *answer);

/* As cli_ask of a daemon that cli_daemon() has found, quietly: 0, or a negative errno with words in `err`. */
int cli_try(
    struct cli *cli, const char *method, const char *path, const json_t *body, struct cli_answer *ret_answer, struct err *err);
/*
 * Asks the daemon (starting it when needed). `body` may be NULL and is not taken. CODE_DONE with *ret_answer whatever its HTTP
 * status; another code after printing why there is no answer.
 */
int cli_ask(struct cli *cli, const char *method, const char *path, const json_t *body, struct cli_answer *ret_answer);
/* As cli_ask, but an answer of 400 and above is printed as the error that it is. *ret_json is a new reference. */
int cli_get(struct cli *cli, const char *method, const char *path, const json_t *body, json_t **ret_json);
/* The error that the daemon answered with, in words; returns the exit code that fits. */
int cli_err_answer(const struct cli_answer *answer, struct err *err);
/* Prints the error that the daemon answered with; returns the exit code that fits. */
int cli_fail_answer(const struct cli_answer *answer);

/* "prefix" with `segment` escaped behind it, then `suffix`. malloc'd; NULL when out of memory. */
char *cli_path(const char *prefix, const char *segment, const char *suffix);
/* Adds "?name=value" or "&name=value" to a path being built; NULL value: nothing. */
int cli_query(struct buf *path, const char *name, const char *value);
/* Absolute path of something that exists, for the daemon; links are left as they are. malloc'd. */
int cli_absolute(const char *path, char **ret_path, struct err *err);
/* Object of NAME=VALUE pairs of a repeatable option; CODE_USAGE after printing. */
int cli_pairs(struct cli *cli, const char *option, json_t **ret_object);

#endif
