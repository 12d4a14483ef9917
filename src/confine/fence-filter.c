/*
 * System calls inside. Nothing is put into a terminal's input. What would go
 * around this filter is refused (io_uring, other machines' calls), and what needs
 * a look waits for the first process: making a listener, because the port of our
 * page must not be taken, and, where Landlock cannot keep abstract sockets apart,
 * making a unix socket, which then comes from a network without any listener.
 *
 * The kernel reads most of these arguments as 32 bits; comparisons look at no more.
 */
#include "confine/fence-parts.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "confine/landlock.h"

#include "base/banned.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000
#endif

/* linux/kd.h: what keys mean on a virtual console. */
#define KDSKBENT     0x4B47
#define KDSKBSENT    0x4B49
#define KDSKBDIACR   0x4B4B
#define KDSETKEYCODE 0x4B4D
#define KDSKBDIACRUC 0x4BFB

#define LOW          0xffffffffu
#define TYPE_MASK    0xfu
#define FILTER_MAX   4096

enum { REFUSE_EPERM = EPERM, REFUSE_ENOSYS = ENOSYS, LOOK = -1 };

/* Applies when `arg` (0: always) masked is `value`; `arg2` likewise besides. Argument numbers start at 1. */
static const struct rule {
    int syscall, answer;
    bool older; /* only where Landlock has no scopes */
    unsigned arg;
    uint64_t mask, value;
    unsigned arg2;
    uint64_t mask2, value2;
} rules[] = {
    { SCMP_SYS(ioctl), REFUSE_EPERM, false, 2, LOW, TIOCSTI, 0, 0, 0 },
    { SCMP_SYS(ioctl), REFUSE_EPERM, false, 2, LOW, TIOCLINUX, 0, 0, 0 },
    { SCMP_SYS(ioctl), REFUSE_EPERM, false, 2, LOW, KDSKBENT, 0, 0, 0 },
    { SCMP_SYS(ioctl), REFUSE_EPERM, false, 2, LOW, KDSKBSENT, 0, 0, 0 },
    { SCMP_SYS(ioctl), REFUSE_EPERM, false, 2, LOW, KDSKBDIACR, 0, 0, 0 },
    { SCMP_SYS(ioctl), REFUSE_EPERM, false, 2, LOW, KDSKBDIACRUC, 0, 0, 0 },
    { SCMP_SYS(ioctl), REFUSE_EPERM, false, 2, LOW, KDSETKEYCODE, 0, 0, 0 },
    { SCMP_SYS(io_uring_setup), REFUSE_ENOSYS, false, 0, 0, 0, 0, 0, 0 },
    { SCMP_SYS(io_uring_enter), REFUSE_ENOSYS, false, 0, 0, 0, 0, 0, 0 },
    { SCMP_SYS(io_uring_register), REFUSE_ENOSYS, false, 0, 0, 0, 0, 0, 0 },
    { SCMP_SYS(open_by_handle_at), REFUSE_EPERM, false, 0, 0, 0, 0, 0, 0 },
    { SCMP_SYS(bpf), REFUSE_EPERM, false, 0, 0, 0, 0, 0, 0 },
    /* With a cgroup namespace of its own a process may mount the cgroups that we are in, and end us with them. */
    { SCMP_SYS(unshare), REFUSE_EPERM, false, 1, CLONE_NEWCGROUP, CLONE_NEWCGROUP, 0, 0, 0 },
    { SCMP_SYS(clone), REFUSE_EPERM, false, 1, CLONE_NEWCGROUP, CLONE_NEWCGROUP, 0, 0, 0 },
    { SCMP_SYS(clone3), REFUSE_ENOSYS, false, 0, 0, 0, 0, 0, 0 }, /* its flags lie in memory; libraries then use clone */
    { SCMP_SYS(listen), LOOK, false, 0, 0, 0, 0, 0, 0 },
    { SCMP_SYS(bind), LOOK, false, 0, 0, 0, 0, 0, 0 },
    { SCMP_SYS(socket), LOOK, true, 1, LOW, AF_UNIX, 0, 0, 0 },
    { SCMP_SYS(socketpair), LOOK, true, 1, LOW, AF_UNIX, 2, TYPE_MASK, SOCK_DGRAM },
};

bool filter_scopes(void)
{
    return landlock_version() >= LANDLOCK_SCOPES;
}

static int add_rule(scmp_filter_ctx filter, const struct rule *rule)
{
    struct scmp_arg_cmp when[] = { { rule->arg - 1, SCMP_CMP_MASKED_EQ, rule->mask, rule->value },
        { rule->arg2 - 1, SCMP_CMP_MASKED_EQ, rule->mask2, rule->value2 } };
    uint32_t action = rule->answer == LOOK ? SCMP_ACT_NOTIFY : SCMP_ACT_ERRNO((uint32_t) rule->answer);

    if (rule->syscall < 0) /* this architecture does not have it */
        return 0;
    return seccomp_rule_add_array(filter, action, rule->syscall, (rule->arg != 0) + (rule->arg2 != 0), when);
}

static int add_rules(scmp_filter_ctx filter)
{
    bool older = !filter_scopes();
    int r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);

    for (size_t i = 0; i < ARRAY_LEN(rules) && r == 0; i++)
        if (older || !rules[i].older)
            r = add_rule(filter, &rules[i]);
    return r;
}

/* libseccomp makes the program; it is loaded here, because the library knows not all flags. */
static int load(const struct sock_fprog *program)
{
    unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
    long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, program);

    if (fd < 0 && errno == EINVAL)
        fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);
    return fd < 0 ? -errno : (int) fd;
}

static int export_and_load(scmp_filter_ctx filter)
{
    static struct sock_filter instructions[FILTER_MAX];
    CLEANUP_CLOSE int fd = memfd_create("filter", MFD_CLOEXEC);
    struct sock_fprog program = { .filter = instructions };
    struct stat st;
    int r = fd < 0 ? -errno : seccomp_export_bpf(filter, fd);

    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0 || st.st_size > (off_t) sizeof(instructions) ||
        pread(fd, instructions, (size_t) st.st_size, 0) != st.st_size)
        return -EIO;
    program.len = (unsigned short) ((size_t) st.st_size / sizeof(instructions[0]));
    return load(&program);
}

int filter_fence(int *ret_listener, struct err *err)
{
    scmp_filter_ctx filter;
    int r = 0;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return err_errno(err, errno, "cannot set no_new_privs");
    if (filter_scopes())
        r = landlock_scope(err);
    if (r < 0)
        return r;
    filter = seccomp_init(SCMP_ACT_ALLOW);
    r = filter ? add_rules(filter) : -ENOMEM;
    if (r == 0)
        r = export_and_load(filter);
    seccomp_release(filter);
    if (r < 0)
        return err_errno(err, -r, "cannot install the seccomp filter");
    *ret_listener = r;
    return 0;
}
