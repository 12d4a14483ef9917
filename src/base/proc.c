/*
 * Starting a program. Between fork and exec the child uses nothing but system
 * calls; a step that fails is told to the parent through a pipe which a
 * successful exec closes. Descriptors are first moved above all targets, so that no
 * order of the list can overwrite one that is still needed.
 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/close_range.h>

#include "base/cleanup.h"
#include "base/file.h"

#include "base/banned.h"

#define FIRST_FD 3

struct failure {
    int code;
    int step;
};

enum { STEP_DESCRIPTORS, STEP_PARENT, STEP_SESSION, STEP_EXEC };

static const char *const step_names[] = { "cannot set up its descriptors", "its parent is gone", "cannot start a session",
    "cannot execute it" };

/* Moves `fds[0..len)` to `first + i` by way of numbers above them all. */
static int place_descriptors(int *fds, size_t len, int first)
{
    int above = first + (int) len;

    for (size_t i = 0; i < len; i++) {
        fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, above);
        if (fds[i] < 0)
            return -errno;
    }
    for (size_t i = 0; i < len; i++)
        if (dup2(fds[i], first + (int) i) < 0)
            return -errno;
    return 0;
}

static void reset_signals(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        sigaction(i, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Stdio, the list, then program and pipe, which close themselves at exec. */
static int child_descriptors(const struct proc_spec *spec, int null_fd, int *program_fd, int *pipe_fd)
{
    int fds[FIRST_FD + PROC_FDS_MAX + 2];
    size_t len = 0;
    int r;

    fds[len++] = spec->stdin_fd < 0 ? null_fd : spec->stdin_fd;
    fds[len++] = spec->stdout_fd < 0 ? null_fd : spec->stdout_fd;
    fds[len++] = spec->stderr_fd < 0 ? null_fd : spec->stderr_fd;
    for (size_t i = 0; i < spec->fds_len; i++)
        fds[len++] = spec->fds[i];
    fds[len++] = *program_fd;
    fds[len++] = *pipe_fd;
    /* Only making the copies can fail, and until then the pipe is where it was: a failure is always told. */
    r = place_descriptors(fds, len, 0);
    if (r < 0)
        return r;
    *program_fd = (int) len - 2;
    *pipe_fd = (int) len - 1;
    if (fcntl(*program_fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(*pipe_fd, F_SETFD, FD_CLOEXEC) < 0)
        return -errno;
    if (syscall(SYS_close_range, (unsigned) len, ~0U, 0) < 0)
        return -errno;
    return 0;
}

static void child_report(int pipe_fd, int step, int code)
{
    struct failure failure = { code, step };

    (void) !write(pipe_fd, &failure, sizeof failure);
    _exit(127);
}

static void child_run(const struct proc_spec *spec, int null_fd, int pipe_fd, pid_t parent)
{
    int program_fd = spec->program_fd, r;

    reset_signals();
    if (spec->new_session && setsid() < 0)
        child_report(pipe_fd, STEP_SESSION, errno);
    if (spec->die_with_parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
            child_report(pipe_fd, STEP_PARENT, errno);
        if (getppid() != parent)
            child_report(pipe_fd, STEP_PARENT, ESRCH);
    }
    r = child_descriptors(spec, null_fd, &program_fd, &pipe_fd);
    if (r < 0)
        child_report(pipe_fd, STEP_DESCRIPTORS, -r);
    syscall(SYS_execveat, program_fd, "", spec->argv, spec->envp, AT_EMPTY_PATH);
    child_report(pipe_fd, STEP_EXEC, errno);
}

static void reap(pid_t pid)
{
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

/* Forks with all signals blocked, so that none of the parent's handlers runs in the child. */
static pid_t fork_child(const struct proc_spec *spec, int null_fd, int pipe_fd)
{
    sigset_t all, before;
    pid_t parent = getpid(), pid;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        child_run(spec, null_fd, pipe_fd, parent);
    if (pid < 0)
        pid = -errno;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

int proc_start(const struct proc_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
    CLEANUP_CLOSE int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    CLEANUP_CLOSE int read_fd = -1;
    CLEANUP_CLOSE int pidfd = -1;
    struct failure failure = { 0, 0 };
    int pipe_fds[2];
    pid_t pid;

    if (null_fd < 0)
        return err_errno(err, errno, "cannot open /dev/null");
    if (spec->fds_len > PROC_FDS_MAX)
        return err_set(err, EINVAL, "too many descriptors for a program");
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    read_fd = pipe_fds[0];
    pid = fork_child(spec, null_fd, pipe_fds[1]);
    close(pipe_fds[1]);
    if (pid < 0)
        return err_errno(err, -pid, "cannot fork");
    if (file_read_full(read_fd, &failure, sizeof failure) == 0) {
        reap(pid);
        return err_errno(err, failure.code ? failure.code : EIO, "%s: %s", spec->argv[0], step_names[failure.step]);
    }
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0) {
        int code = errno;

        kill(pid, SIGKILL);
        reap(pid);
        return err_errno(err, code, "%s: cannot watch it", spec->argv[0]);
    }
    *ret_pid = pid;
    *ret_pidfd = TAKE_FD(pidfd);
    return 0;
}

int proc_self_dir(char **ret_dir, struct err *err)
{
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
    char *slash;

    if (len < 0)
        return err_errno(err, errno, "cannot read /proc/self/exe");
    path[len] = '\0';
    slash = strrchr(path, '/');
    if (path[0] != '/' || !slash)
        return err_set(err, ENOENT, "cannot tell where this program is");
    slash[slash == path ? 1 : 0] = '\0';
    *ret_dir = strdup(path);
    return *ret_dir ? 0 : err_set(err, ENOMEM, "out of memory");
}
