/*
 * The lock-down in its order: limits, no_new_privs, not dumpable, Landlock, no
 * capabilities (a daemon of root is no more than one of anybody), seccomp. Each step holds for the calling thread and what it starts, so a
 * program calls this while it has one thread.
 */
#include "confine/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "confine/filter.h"
#include "confine/landlock.h"
#include "confine/sanitized.h"

#include "base/banned.h"

#define BOX_FILES      64
#define BOX_FILE_BYTES ((rlim_t) 256 * 1024 * 1024)
#define SKIP           ((rlim_t) -2)

/* The leak checker of a sanitized build attaches to its own process, which the lists forbid. */
#if CONFINE_SANITIZED
static int leak_check_off;

__attribute__((visibility("default"))) int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return leak_check_off;
}
#endif

static const struct {
    rlim_t files;     /* RLIMIT_NOFILE */
    rlim_t file_size; /* RLIMIT_FSIZE; memfds count */
    rlim_t processes; /* RLIMIT_NPROC */
} limits[] = {
    [CONFINE_BROKER] = { SKIP, SKIP, SKIP },
    [CONFINE_KEEPER] = { SKIP, SKIP, SKIP },
    [CONFINE_FETCH] = { SKIP, SKIP, 0 },
    [CONFINE_WORKER] = { BOX_FILES, BOX_FILE_BYTES, 0 },
    [CONFINE_COMPILE] = { BOX_FILES, BOX_FILE_BYTES, SKIP },
};

/* Lowers both the soft and the hard limit; one that is lower already stays. */
static int limit(__rlimit_resource_t resource, rlim_t value, const char *name, struct err *err)
{
    struct rlimit now;

    if (value == SKIP)
        return 0;
    if (getrlimit(resource, &now) < 0)
        return err_errno(err, errno, "cannot read the limit %s", name);
    if (now.rlim_max < value)
        value = now.rlim_max;
    now = (struct rlimit){ value, value };
    if (setrlimit(resource, &now) < 0)
        return err_errno(err, errno, "cannot set the limit %s", name);
    return 0;
}

static int set_limits(enum confine_role role, uint64_t data_limit_bytes, struct err *err)
{
    int r = limit(RLIMIT_CORE, 0, "RLIMIT_CORE", err);

    if (r == 0)
        r = limit(RLIMIT_NOFILE, limits[role].files, "RLIMIT_NOFILE", err);
    if (r == 0)
        r = limit(RLIMIT_FSIZE, limits[role].file_size, "RLIMIT_FSIZE", err);
    if (r == 0)
        r = limit(RLIMIT_NPROC, limits[role].processes, "RLIMIT_NPROC", err);
    if (r == 0 && data_limit_bytes && !CONFINE_SANITIZED)
        r = limit(RLIMIT_DATA, (rlim_t) data_limit_bytes, "RLIMIT_DATA", err);
    return r;
}

/* Empties the permitted, effective and inheritable sets (capabilities(7)); the ambient one follows. */
static int drop_capabilities(struct err *err)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0, 0, 0 }, { 0, 0, 0 } };

    if (syscall(SYS_capset, &header, none) < 0)
        return err_errno(err, errno, "cannot drop the capabilities");
    return 0;
}

int confine_begin(enum confine_role role, const struct confine_paths *paths, uint64_t data_limit_bytes,
    struct confine_report *ret_report, struct err *err)
{
    struct confine_report report = { .landlock_abi = landlock_version() };
    int r = set_limits(role, data_limit_bytes, err);

    if (r < 0)
        return r;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(err, errno, "cannot set no_new_privs");
    report.no_new_privs = true;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return err_errno(err, errno, "cannot forbid core dumps");
    report.undumpable = true;
    if (report.landlock_abi)
        r = landlock_restrict(role, paths, report.landlock_abi, err);
    if (r == 0)
        r = drop_capabilities(err);
    if (r == 0)
        r = filter_begin(role, err);
    if (r < 0)
        return r;
    report.seccomp = true;
#if CONFINE_SANITIZED
    leak_check_off = 1;
#endif
    *ret_report = report;
    return 0;
}

int confine_tighten(enum confine_role role, struct err *err)
{
    return filter_tighten(role, err);
}

char *confine_describe(const struct confine_report *report, char *out, size_t size)
{
    char landlock[64];

    if (report->landlock_abi)
        snprintf(landlock, sizeof landlock, "Landlock ABI %d", report->landlock_abi);
    else
        snprintf(landlock, sizeof landlock, "no Landlock (the kernel lacks it)");
    snprintf(out, size, "%s, %s, %s, %s", report->no_new_privs ? "no_new_privs" : "privileges can be gained",
        report->undumpable ? "undumpable" : "dumpable", report->seccomp ? "seccomp" : "no seccomp", landlock);
    return out;
}
