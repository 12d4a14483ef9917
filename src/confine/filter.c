/*
 * Seccomp as tables. Keeper, fetch, worker and compile live under an allow list:
 * what a table names is allowed or answered with an errno, anything else kills. The broker
 * starts other programs and lives under a deny list. Stage two is a second
 * filter on top that takes away what only the start needed.
 *
 * memfd_create stays allowed for workers in both stages: it is how a payload over
 * 64 KiB leaves, and nothing can execute one. What glibc asks the kernel through
 * fstat() needs a path; workers use the fstat system call, which has none.
 */
#include "confine/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "confine/sanitized.h"

#include "base/banned.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif
#ifndef F_ADD_SEALS
#define F_ADD_SEALS 1033
#define F_GET_SEALS 1034
#endif

enum {
    BROKER = 1 << CONFINE_BROKER,
    KEEPER = 1 << CONFINE_KEEPER | 1 << CONFINE_FETCH,
    WORKER = 1 << CONFINE_WORKER,
    COMPILE = 1 << CONFINE_COMPILE,
    BOX = WORKER | COMPILE,
    LISTED = KEEPER | BOX
};

/* A comparison on one argument; OWN_PID is replaced by the process id. */
/* clang-format off */
#define ANY                  { 0, 0, 0, 0 }
#define IS(n, value)         { (n) + 1, SCMP_CMP_EQ, (value), 0 }
#define NOT(n, value)        { (n) + 1, SCMP_CMP_NE, (value), 0 }
#define OVER(n, value)       { (n) + 1, SCMP_CMP_GT, (value), 0 }
#define BITS(n, mask, value) { (n) + 1, SCMP_CMP_MASKED_EQ, (mask), (value) }
/* clang-format on */
#define OWN_PID UINT64_MAX

#define ALLOW   0
#define PRETEND (-1) /* answers 0 and does nothing */

struct rule {
    unsigned roles;
    int syscall;
    int answer; /* ALLOW, PRETEND or an errno */
    struct {
        unsigned arg_plus_1;
        enum scmp_compare op;
        uint64_t a, b;
    } when;
};

/* clang-format off */
#define R(roles, name, answer, ...) { (roles), SCMP_SYS(name), (answer), __VA_ARGS__ }
/* clang-format on */

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
/* A fork may set and clear the thread id, as glibc does, and nothing else. */
#define FORK_MASK (~(uint64_t) (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID))

/* What every listed role needs: its descriptors, memory, time, signals to itself, an end. */
static const int allowed_all[] = { SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(pread64),
    SCMP_SYS(pwrite64), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(lseek),
    SCMP_SYS(ftruncate), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(poll),
    SCMP_SYS(ppoll), SCMP_SYS(memfd_create), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(brk), SCMP_SYS(madvise),
    SCMP_SYS(futex), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(setitimer), SCMP_SYS(getitimer), SCMP_SYS(timer_create),
    SCMP_SYS(timer_settime), SCMP_SYS(timer_gettime), SCMP_SYS(timer_delete), SCMP_SYS(getrandom), SCMP_SYS(getpid),
    SCMP_SYS(gettid), SCMP_SYS(getppid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(getrusage), SCMP_SYS(getcpu), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(rseq),
    SCMP_SYS(set_robust_list), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(seccomp), SCMP_SYS(exit), SCMP_SYS(exit_group) };

/* Keeper: files (which ones is Landlock's matter), sockets, the event loop, one forked child. */
static const int allowed_keeper[] = { SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat),
    SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2),
    SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(fchmod), SCMP_SYS(umask), SCMP_SYS(fsync),
    SCMP_SYS(fdatasync), SCMP_SYS(fallocate), SCMP_SYS(fadvise64), SCMP_SYS(flock), SCMP_SYS(connect), SCMP_SYS(bind),
    SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg), SCMP_SYS(select), SCMP_SYS(pselect6),
    SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime), SCMP_SYS(signalfd4), SCMP_SYS(mlock),
    SCMP_SYS(mlock2), SCMP_SYS(munlock), SCMP_SYS(wait4), SCMP_SYS(waitid), SCMP_SYS(pidfd_open), SCMP_SYS(set_tid_address),
    SCMP_SYS(getrlimit), SCMP_SYS(alarm) };

/* What an escaped guest tries first, and what libraries ask for without need: files and programs. */
static const int refused_files[] = { SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(creat), SCMP_SYS(stat),
    SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(access), SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(unlink),
    SCMP_SYS(unlinkat), SCMP_SYS(rename), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(mkdir), SCMP_SYS(mkdirat),
    SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(symlink), SCMP_SYS(symlinkat), SCMP_SYS(chdir), SCMP_SYS(fchdir) };
static const int refused_calls[] = { SCMP_SYS(socket), SCMP_SYS(socketpair), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen),
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(fork), SCMP_SYS(vfork), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(epoll_create1), SCMP_SYS(eventfd2), SCMP_SYS(getrlimit), SCMP_SYS(wait4),
    SCMP_SYS(pidfd_open), SCMP_SYS(setsockopt), SCMP_SYS(getsockopt), SCMP_SYS(mlock) };
/* No listed role, and no broker, may ever. */
static const int refused_everywhere[] = { SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev),
    SCMP_SYS(process_madvise), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd), SCMP_SYS(mount), SCMP_SYS(umount2), SCMP_SYS(pivot_root),
    SCMP_SYS(chroot), SCMP_SYS(setns), SCMP_SYS(unshare), SCMP_SYS(open_tree), SCMP_SYS(move_mount), SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick), SCMP_SYS(mount_setattr), SCMP_SYS(bpf), SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register), SCMP_SYS(keyctl),
    SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct),
    SCMP_SYS(quotactl), SCMP_SYS(syslog), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(personality),
    SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at), SCMP_SYS(fanotify_init), SCMP_SYS(lookup_dcookie),
    SCMP_SYS(clock_settime), SCMP_SYS(settimeofday), SCMP_SYS(adjtimex), SCMP_SYS(clock_adjtime), SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname), SCMP_SYS(vhangup), SCMP_SYS(nfsservctl), SCMP_SYS(uselib), SCMP_SYS(ustat), SCMP_SYS(sysfs),
    SCMP_SYS(move_pages), SCMP_SYS(migrate_pages), SCMP_SYS(mbind), SCMP_SYS(set_mempolicy) };

static const struct {
    unsigned roles;
    const int *calls;
    size_t len;
    int answer;
} lists[] = {
    { LISTED, allowed_all, ARRAY_LEN(allowed_all), ALLOW },
    { KEEPER, allowed_keeper, ARRAY_LEN(allowed_keeper), ALLOW },
    { BOX, refused_files, ARRAY_LEN(refused_files), EACCES },
    { BOX, refused_calls, ARRAY_LEN(refused_calls), EPERM },
    { BROKER | LISTED, refused_everywhere, ARRAY_LEN(refused_everywhere), EPERM },
};

/* Stage one, where an argument decides. */
static const struct rule begin_rules[] = {
    R(LISTED, execve, EACCES, ANY),
    R(LISTED, execveat, EACCES, ANY),
    R(LISTED, kill, EPERM, ANY),
    R(LISTED, tkill, EPERM, ANY),
    R(LISTED, pidfd_send_signal, EPERM, ANY),
    R(LISTED, rt_sigqueueinfo, EPERM, ANY),
    R(LISTED, tgkill, ALLOW, IS(0, OWN_PID)),
    R(LISTED, tgkill, EPERM, NOT(0, OWN_PID)),

    R(LISTED, mmap, ALLOW, BITS(2, PROT_EXEC, 0)),
    R(LISTED, mmap, EACCES, BITS(2, PROT_EXEC, PROT_EXEC)),
    R(LISTED, mprotect, ALLOW, BITS(2, PROT_EXEC, 0)),
    R(KEEPER, mprotect, EACCES, BITS(2, PROT_EXEC, PROT_EXEC)),
    R(WORKER, mprotect, ALLOW, BITS(2, PROT_EXEC, PROT_EXEC)),
    /* The engine makes code executable before it serialises it; here it only believes so. */
    R(COMPILE, mprotect, PRETEND, BITS(2, PROT_EXEC, PROT_EXEC)),
    R(LISTED, pkey_mprotect, ENOSYS, ANY),
    R(LISTED, pkey_alloc, ENOSYS, ANY),
    R(LISTED, membarrier, ENOSYS, ANY),

    R(LISTED, clone3, ENOSYS, ANY),
    R(WORKER, clone, EPERM, ANY),
    R(COMPILE, clone, ALLOW, BITS(0, THREAD_FLAGS, THREAD_FLAGS)),
    R(KEEPER, clone, ALLOW, BITS(0, FORK_MASK, SIGCHLD)),
    R(KEEPER, vfork, EPERM, ANY),
    R(LISTED, prlimit64, ALLOW, IS(2, 0)),
    R(LISTED, prlimit64, EPERM, NOT(2, 0)),
    R(LISTED, prctl, ALLOW, IS(0, PR_SET_NAME)),
    R(LISTED, prctl, ALLOW, IS(0, PR_GET_DUMPABLE)),
    R(LISTED, prctl, ALLOW, IS(0, PR_SET_VMA)),
    R(KEEPER, prctl, ALLOW, IS(0, PR_SET_PDEATHSIG)),

    R(LISTED, fcntl, ALLOW, IS(1, F_DUPFD_CLOEXEC)),
    R(LISTED, fcntl, ALLOW, IS(1, F_GETFD)),
    R(LISTED, fcntl, ALLOW, IS(1, F_SETFD)),
    R(LISTED, fcntl, ALLOW, IS(1, F_GETFL)),
    R(LISTED, fcntl, ALLOW, IS(1, F_SETFL)),
    R(LISTED, fcntl, ALLOW, IS(1, F_ADD_SEALS)),
    R(LISTED, fcntl, ALLOW, IS(1, F_GET_SEALS)),
    R(KEEPER, fcntl, ALLOW, IS(1, F_SETLK)),
    R(KEEPER, fcntl, ALLOW, IS(1, F_SETLKW)),
    R(KEEPER, fcntl, ALLOW, IS(1, F_GETLK)),
    R(KEEPER, fcntl, ALLOW, IS(1, F_OFD_SETLK)),
    R(BOX, ioctl, ENOTTY, ANY),
    R(KEEPER, ioctl, ALLOW, IS(1, FIONBIO)),
    R(KEEPER, ioctl, ALLOW, IS(1, FIONREAD)),
    R(KEEPER, ioctl, ENOTTY, IS(1, TCGETS)),

    R(KEEPER, socket, ALLOW, IS(0, AF_UNIX)),
    R(KEEPER, socket, ALLOW, IS(0, AF_INET)),
    R(KEEPER, socket, ALLOW, IS(0, AF_INET6)),
    R(KEEPER, socket, EAFNOSUPPORT, OVER(0, AF_INET6)),
    R(KEEPER, socketpair, ALLOW, IS(0, AF_UNIX)),
    R(BROKER, socket, EAFNOSUPPORT, OVER(0, AF_INET6)),
};

/* Stage two, on top of the first. */
static const struct rule tighten_rules[] = {
    R(WORKER, mprotect, EACCES, BITS(2, PROT_EXEC, PROT_EXEC)),
#if !CONFINE_SANITIZED
    /* A sanitizer asks for the signal stack whenever a function does not return, _exit() among them. */
    R(BOX, sigaltstack, EPERM, ANY),
#endif
    R(LISTED, seccomp, EPERM, ANY),
    R(LISTED, timer_create, EPERM, ANY),
};

static uint32_t action_of(int answer)
{
    if (answer == ALLOW)
        return SCMP_ACT_ALLOW;
    return answer == PRETEND ? SCMP_ACT_ERRNO(0) : SCMP_ACT_ERRNO((uint32_t) answer);
}

static int add_rule(scmp_filter_ctx filter, const struct rule *rule)
{
    struct scmp_arg_cmp when = { rule->when.arg_plus_1 - 1, rule->when.op, rule->when.a, rule->when.b };

    /* Numbers below zero are calls that this architecture does not have. */
    if (rule->syscall < 0)
        return 0;
    if (rule->when.arg_plus_1 == 0)
        return seccomp_rule_add(filter, action_of(rule->answer), rule->syscall, 0);
    if (when.datum_a == OWN_PID)
        when.datum_a = (uint64_t) getpid();
    return seccomp_rule_add_array(filter, action_of(rule->answer), rule->syscall, 1, &when);
}

static int add_rules(scmp_filter_ctx filter, unsigned role, const struct rule *rules, size_t len)
{
    int r = 0;

    for (size_t i = 0; i < len && r == 0; i++)
        if (rules[i].roles & role)
            r = add_rule(filter, &rules[i]);
    return r;
}

static int add_lists(scmp_filter_ctx filter, unsigned role)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(lists) && r == 0; i++) {
        if (!(lists[i].roles & role))
            continue;
        for (size_t k = 0; k < lists[i].len && r == 0; k++) {
            struct rule rule = { role, lists[i].calls[k], lists[i].answer, ANY };

            r = add_rule(filter, &rule);
        }
    }
    return r;
}

/* no_new_privs is set already; the tree form keeps the filter fast for long lists. */
static int load(scmp_filter_ctx filter)
{
    int r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);

    if (r == 0)
        r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    return r == 0 ? seccomp_load(filter) : r;
}

int filter_begin(enum confine_role role, struct err *err)
{
    unsigned bit = 1u << role;
    scmp_filter_ctx filter = seccomp_init(bit & BROKER ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS);
    int r = filter ? 0 : -ENOMEM;

    if (r == 0)
        r = add_lists(filter, bit);
    if (r == 0)
        r = add_rules(filter, bit, begin_rules, ARRAY_LEN(begin_rules));
    if (r == 0)
        r = load(filter);
    seccomp_release(filter);
    return r < 0 ? err_errno(err, -r, "cannot install the seccomp filter") : 0;
}

int filter_tighten(enum confine_role role, struct err *err)
{
    unsigned bit = 1u << role;
    scmp_filter_ctx filter;
    int r;

    if (bit & BROKER)
        return 0;
    filter = seccomp_init(SCMP_ACT_ALLOW);
    r = filter ? 0 : -ENOMEM;
    if (r == 0)
        r = add_rules(filter, bit, tighten_rules, ARRAY_LEN(tighten_rules));
    if (r == 0)
        r = load(filter);
    seccomp_release(filter);
    return r < 0 ? err_errno(err, -r, "cannot tighten the seccomp filter") : 0;
}
