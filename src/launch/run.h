/*
 * Running a program at the terminal as a shell runs a job: it gets the terminal
 * to itself, stops and goes on with us, and its end is ours. Inside a fence or
 * not makes no difference here.
 */
#ifndef LAUNCH_RUN_H
#define LAUNCH_RUN_H

#include "base/err.h"

#include <signal.h>

struct fence_spec;

struct run {
    const char *program; /* absolute path */
    char *const *argv, *const *envp;
    const struct fence_spec *fence; /* NULL: none */
};

/* A stream that is closed becomes /dev/null, so that no descriptor of ours takes its number and reaches the program. First of all. */
int run_fill_streams(struct err *err);
/* Blocks the signals that run_job() hands on, so that none is lost before; `ret_before` is for run_release(). */
void run_hold(sigset_t *ret_before);
void run_release(const sigset_t *before);
/*
 * Runs it to its end; signals are held (run_hold) before. *ret_code: its exit code, or 128 + the signal that ended it.
 * Negative errno when it could not be started; nothing of it is left then.
 */
int run_job(const struct run *run, int *ret_code, struct err *err);

#endif
