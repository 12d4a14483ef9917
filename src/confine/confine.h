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
    CONFINE_BROKER, /* files under home and runtime folder; may exec the descriptors it opened */
    CONFINE_KEEPER, /* home (read and write of its own file), resolver and CA files read; sockets AF_UNIX, AF_INET, AF_INET6; no exec */
    CONFINE_FETCH,   /* as keeper without the home */
    CONFINE_WORKER,  /* no files, no sockets: descriptor 3 and what arrives over it */
    CONFINE_COMPILE, /* as worker, with threads, and PROT_EXEC never */
};

struct confine_paths {
    const char *const *read_only;  /* NULL-terminated folders or files; may be NULL; missing ones are skipped */
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
 * Stage one: rlimits, no_new_privs, PR_SET_DUMPABLE 0, Landlock, first filter.
 * `data_limit_bytes` becomes RLIMIT_DATA when not 0. A kernel without Landlock is reported, not an error;
 * one without seccomp is an error.
 */
int confine_begin(enum confine_role role, const struct confine_paths *paths, uint64_t data_limit_bytes,
    struct confine_report *ret_report, struct err *err);
/* Stage two (worker: no PROT_EXEC, memfd_create, sigaltstack any more; keeper: no open for writing outside its folder, ...). */
int confine_tighten(enum confine_role role, struct err *err);
/* One line: "no_new_privs, seccomp, Landlock ABI 5" or what is missing. Returns `out`. */
char *confine_describe(const struct confine_report *report, char *out, size_t size);

#endif
