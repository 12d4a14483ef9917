/*
 * Starting programs: always fork and exec, from an open descriptor, with exactly
 * the listed descriptors and environment; everything above them is closed.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PROC_FDS_MAX 8

struct proc_spec {
    int program_fd;          /* opened O_PATH|O_CLOEXEC; executed with execveat */
    const char *const *argv; /* NULL-terminated */
    const char *const *envp; /* NULL-terminated: the whole environment */
    int stdin_fd;            /* -1: /dev/null */
    int stdout_fd;           /* -1: /dev/null */
    int stderr_fd;           /* -1: /dev/null */
    int fds[PROC_FDS_MAX];   /* become 3, 4, ... in the child */
    size_t fds_len;
    bool die_with_parent; /* PR_SET_PDEATHSIG SIGKILL, checked against a race */
    bool new_session;     /* setsid() */
};

/* Starts the program; fills pid and a pidfd (close-on-exec), owned by the caller. An exec that fails is reported here. */
int proc_start(const struct proc_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct err *err);
/* Folder of the running executable, malloc'd. */
int proc_self_dir(char **ret_dir, struct err *err);

#endif
