/*
 * Putting the fence up, process by process.
 *
 *   caller ── first (outer user, mount, pid and IPC namespace): mounts, watches
 *               └─ second (pid namespace of its own, then inner user and mount namespace): number 1 inside
 *                    └─ the program
 *
 * The second process makes /proc while it still has the outer namespaces, then
 * enters the inner ones, which locks every mount, and gives up everything. Each
 * one can be seen and signalled only from the left. Whatever fails is told over
 * the channel, and everything that has begun ends.
 */
#include "confine/fence-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "confine/landlock.h"

#include "base/banned.h"

#define KERNEL_MAJOR 5
#define KERNEL_MINOR 14
#define OUTER        (CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC)

struct build {
    const struct fence_spec *spec;
    int channel, callers; /* ours, and the caller's end */
    fence_main_fn *fn;
    void *userdata;
    uid_t uid;
    gid_t gid;
    struct stat folder; /* as it is outside */
    int home, proc;     /* for the watch */
    int hand;           /* the listener comes over it to the first process */
};

static void tell(int channel, const struct fence_event *event)
{
    while (send(channel, event, sizeof(*event), MSG_NOSIGNAL) < 0 && errno == EINTR)
        ;
}

_Noreturn static void give_up(const struct build *build, const struct err *err)
{
    struct fence_event event = { .kind = FENCE_FAILED, .err = *err };

    tell(build->channel, &event);
    _exit(127);
}

/* As fork(), into new namespaces. */
static pid_t fork_into(int flags)
{
    return (pid_t) syscall(SYS_clone, (unsigned long) flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* --- the second process */

static int hand_over(int socket, int fd)
{
    union {
        char data[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { { 0 } };
    char byte = 'l';
    struct iovec part = { &byte, 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Back to where the caller is, by name, for the folder itself may now be covered. */
static int enter_folder(const struct build *build, struct err *err)
{
    struct stat now;

    if (chdir(build->spec->folder) < 0 || stat(".", &now) < 0)
        return err_errno(err, errno, "inside the fence there is no %s", build->spec->folder);
    if (now.st_dev != build->folder.st_dev || now.st_ino != build->folder.st_ino) {
        err_set(err, EPERM, "the fence hides the folder %s", build->spec->folder);
        err_hint(err, "start the agent in the folder of a project");
        return -EPERM;
    }
    return 0;
}

static int enter_inner(const struct build *build, struct err *err)
{
    int r = mounts_make_proc(err);

    if (r < 0)
        return r;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
        return err_errno(err, errno, "cannot make the inner namespaces");
    r = space_map(build->uid, build->gid, err);
    return r == 0 ? enter_folder(build, err) : r;
}

/* From here on nothing can be got back. */
static int give_everything_up(const struct build *build, struct err *err)
{
    int listener = -1, r = space_drop(-1, err);

    if (r == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        r = err_errno(err, errno, "cannot forbid to look into the fence's processes");
    if (r == 0)
        r = filter_fence(&listener, err);
    if (r == 0 && (r = hand_over(build->hand, listener)) < 0)
        err_errno(err, -r, "cannot hand the watch over");
    if (listener >= 0)
        close(listener);
    close(build->hand);
    return r;
}

/* The program's parent, and everybody's whose own is gone. Its end ends all. */
_Noreturn static void tend(const struct build *build, pid_t program)
{
    for (;;) {
        struct fence_event event = { .kind = FENCE_STATUS };
        pid_t pid = waitpid(-1, &event.status, WUNTRACED);

        if (pid < 0 && errno != EINTR)
            _exit(1);
        if (pid != program)
            continue;
        tell(build->channel, &event);
        if (WIFEXITED(event.status) || WIFSIGNALED(event.status))
            _exit(0);
    }
}

_Noreturn static void be_second(struct build *build)
{
    struct err err = ERR_INIT;
    pid_t program;

    close(build->home);
    close(build->proc);
    setpgid(0, 0);
    if (enter_inner(build, &err) < 0 || give_everything_up(build, &err) < 0)
        give_up(build, &err);
    program = fork();
    if (program == 0) {
        build->fn(build->userdata);
        _exit(127);
    }
    if (program < 0) {
        err_errno(&err, errno, "cannot fork");
        give_up(build, &err);
    }
    close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
    tend(build, program);
}

/* --- the first process */

/* The /proc of this process's own pid namespace, hung in nowhere. */
static int open_own_proc(void)
{
    CLEANUP_CLOSE int context = fsopen("proc", FSOPEN_CLOEXEC);
    int fd;

    if (context < 0 || fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return -errno;
    fd = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
    return fd < 0 ? -errno : fd;
}

static int receive_listener(int socket)
{
    union {
        char data[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char byte;
    struct iovec part = { &byte, 1 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
    struct cmsghdr *header;
    int fd;

    if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) <= 0)
        return -EPIPE;
    header = CMSG_FIRSTHDR(&message);
    if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
        return -EPROTO;
    memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

/*
 * Our end comes with the caller's: by a signal, and because the caller's end of the channel is closed then, which a caller that went
 * before there could be a signal has done already. So no copy of that end stays here; its number means the other one.
 */
static int die_with_caller(const struct build *build, struct err *err)
{
    struct pollfd channel = { .fd = build->channel, .events = 0 };

    if (dup3(build->channel, build->callers, O_CLOEXEC) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return err_errno(err, errno, "cannot end with the caller");
    return poll(&channel, 1, 0) > 0 ? err_set(err, EPIPE, "the caller is gone") : 0;
}

/*
 * Where Landlock keeps no abstract sockets apart, this process makes the inside's unix sockets, in a network without anything in
 * it. Only this process goes there: the second one has been started.
 */
static int leave_network(struct err *err)
{
    if (!filter_scopes() && unshare(CLONE_NEWNET) < 0)
        return err_errno(err, errno, "cannot make an empty network");
    return 0;
}

static int make_outer(struct build *build, struct err *err)
{
    int r = space_map(build->uid, build->gid, err);

    if (r == 0)
        r = die_with_caller(build, err);
    if (r < 0)
        return r;
    build->home = open(build->spec->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (build->home < 0)
        return err_errno(err, errno, "cannot open %s", build->spec->home);
    build->proc = open_own_proc();
    if (build->proc < 0)
        return err_errno(err, -build->proc, "cannot make a /proc");
    return mounts_make(build->spec, err);
}

/* With the namespaces' one capability that the watch needs, and nobody inside able to look at it. */
_Noreturn static void be_watch(struct build *build, pid_t second)
{
    struct watch watch = { .home = build->home, .proc = build->proc, .child = pidfd_open(second, 0), .channel = build->channel };
    struct err err = ERR_INIT;

    if (watch.child < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        err_errno(&err, errno, "cannot watch the fence's second process");
    if (err.code || leave_network(&err) < 0 || space_drop(CAP_SYS_PTRACE, &err) < 0)
        give_up(build, &err);
    watch.listener = receive_listener(build->hand);
    if (watch.listener < 0)
        _exit(127); /* the second process has told why */
    watch_run(&watch);
    _exit(0);
}

_Noreturn static void be_first(struct build *build)
{
    struct err err = ERR_INIT;
    int hands[2];
    pid_t second;

    setpgid(0, 0);
    if (make_outer(build, &err) < 0) {
        space_explain(&err);
        give_up(build, &err);
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, hands) < 0) {
        err_errno(&err, errno, "cannot make a channel");
        give_up(build, &err);
    }
    second = fork_into(CLONE_NEWPID);
    if (second < 0) {
        err_errno(&err, errno, "cannot make the inner pid namespace");
        space_explain(&err);
        give_up(build, &err);
    }
    build->hand = hands[second == 0];
    close(hands[second != 0]);
    if (second == 0)
        be_second(build);
    be_watch(build, second);
}

/* --- the caller */

int fence_start(
    const struct fence_spec *spec, const int channel[2], fence_main_fn *fn, void *userdata, pid_t *ret_pid, struct err *err)
{
    struct build build = { .spec = spec,
        .channel = channel[1],
        .callers = channel[0],
        .fn = fn,
        .userdata = userdata,
        .uid = geteuid(),
        .gid = getegid() };
    pid_t pid;

    if (stat(spec->folder, &build.folder) < 0)
        return err_errno(err, errno, "cannot look at %s", spec->folder);
    pid = fork_into(OUTER);
    if (pid == 0)
        be_first(&build);
    if (pid < 0) {
        err_errno(err, errno, "cannot make namespaces");
        return space_explain(err);
    }
    *ret_pid = pid;
    return 0;
}

/* A trial of what machines forbid: the namespaces, a mount, a /proc, a second pair. Told by the exit code, an errno. */
_Noreturn static void try_out(uid_t uid, gid_t gid)
{
    pid_t second;
    int status = 0;

    if (space_map(uid, gid, NULL) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        _exit(errno);
    second = fork_into(CLONE_NEWPID);
    if (second == 0)
        _exit(mount("proc", "/proc", "proc", 0, NULL) < 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? errno : 0);
    if (second < 0 || waitpid(second, &status, 0) < 0)
        _exit(errno);
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EIO);
}

/* mount_setattr and the whole of seccomp's notifications. */
static int check_kernel(struct err *err)
{
    struct utsname name;
    unsigned major = 0, minor = 0;

    if (uname(&name) < 0 || sscanf(name.release, "%u.%u", &major, &minor) != 2 || major > KERNEL_MAJOR ||
        (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
        return 0;
    err_set(err, ENOSYS, "the fence cannot be put up: Linux %s is too old for it, it needs %d.%d", name.release, KERNEL_MAJOR,
        KERNEL_MINOR);
    err_hint(err, "--no-fence goes without");
    return -ENOSYS;
}

int fence_check(const struct fence_spec *spec, struct err *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    int status = 0;
    pid_t pid;

    if (path_is_below(spec->folder, spec->home) || path_is_below(spec->folder, spec->socket_dir)) {
        err_set(err, EPERM, "an agent cannot be started in Aileron's own home, %s: the fence hides it", spec->home);
        err_hint(err, "start it in the folder of a project");
        return -EPERM;
    }
    if (check_kernel(err) < 0)
        return -ENOSYS;
    pid = fork_into(OUTER);
    if (pid == 0)
        try_out(uid, gid);
    if (pid > 0)
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return 0;
    err_errno(err, pid < 0 ? errno : WIFEXITED(status) ? WEXITSTATUS(status) : EIO, "namespaces or mounts are refused");
    return space_explain(err);
}

char *fence_describe(char *out, size_t size)
{
    int version = landlock_version();

    if (filter_scopes())
        snprintf(out, size, "namespaces, seccomp, Landlock ABI %d", version);
    else
        snprintf(out, size, "namespaces, seccomp; Landlock %s adds nothing", version ? "of this kernel" : "is not there and");
    return out;
}
