/*
 * Locking a process down: no new privileges, not dumpable, resource limits,
 * Landlock for files, seccomp in two stages. Expected probes get an errno,
 * anything else kills the process. What the kernel lacks is reported, never silent.
 *
 * Stages are cumulative; a program calls confine_begin() before it reads its
 * first byte and confine_tighten() once everything it needs is loaded.
 */
#ifndef CONFINE_CONFINE_H
#define CONFINE_CONFINE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum confine_role {
    CONFINE_BROKER,  /* its paths, and the system's programs and libraries to read and execute; a deny list of calls */
    CONFINE_KEEPER,  /* its paths, resolver and CA files; sockets AF_UNIX, AF_INET, AF_INET6; may fork; never executes */
    CONFINE_FETCH,   /* as keeper; cannot fork when the user is not root */
    CONFINE_WORKER,  /* no files, no sockets: descriptor 3 and what arrives over it */
    CONFINE_COMPILE, /* as worker, with threads; making memory executable answers success and does nothing */
};

/*
 * Files beside the role's own: the broker may read and execute what is under `read_only`, a keeper only read.
 * Missing ones are skipped. A child is held by its parent's paths too, so the broker's include its children's.
 */
struct confine_paths {
    const char *const *read_only;  /* NULL-terminated folders or files; may be NULL */
    const char *const *read_write; /* NULL-terminated; may be NULL */
};

/* What is in force; `confine_describe` makes the text for `aileron status`. */
struct confine_report {
    bool no_new_privs;
    bool undumpable;
    bool seccomp;
    int landlock_abi; /* 0: the kernel has none */
};

/*
 * Stage one: rlimits, no_new_privs, PR_SET_DUMPABLE 0, Landlock, no capabilities, first filter. Called while the process has one
 * thread. `paths` may be NULL. `data_limit_bytes` becomes RLIMIT_DATA when not 0 (not in a sanitized build). A kernel
 * without Landlock is reported, not an error; one without seccomp is an error. Undone only by the end of the process.
 */
int confine_begin(enum confine_role role, const struct confine_paths *paths, uint64_t data_limit_bytes,
    struct confine_report *ret_report, struct err *err);
/*
 * Stage two. Worker: nothing becomes executable any more, no signal stack, no timer, no further filter; memfds stay,
 * since payloads leave in them. Keeper and fetch: no timer_create, no further filter. Broker: nothing, its children need it all.
 */
int confine_tighten(enum confine_role role, struct err *err);
/* One line: "no_new_privs, undumpable, seccomp, Landlock ABI 5" or what is missing. Returns `out`. */
char *confine_describe(const struct confine_report *report, char *out, size_t size);

#endif
