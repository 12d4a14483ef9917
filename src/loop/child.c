/*
 * Children: started by proc_start(), watched through their pidfd, reaped here and
 * nowhere else, so a pid in our hands is never somebody else's.
 */
#include "loop/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/magic.h"

#include "base/banned.h"

#define CHILD_MAGIC 0x63686c64u

struct loop_child {
    uint32_t magic;
    pid_t pid;
    int pidfd;
    bool reaped;
    struct loop_watch *watch;
    loop_child_fn *fn;
    void *userdata;
};

static pid_t reap(pid_t pid, int *status, int flags)
{
    pid_t r;

    do
        r = waitpid(pid, status, flags);
    while (r < 0 && errno == EINTR);
    return r;
}

static void on_pidfd(int fd, int events, void *userdata)
{
    struct loop_child *child = MAGIC_CAST(struct loop_child, userdata, CHILD_MAGIC);
    int status = 0;

    if (reap(child->pid, &status, WNOHANG) == 0)
        return;
    child->reaped = true;
    loop_watch_free(TAKE_PTR(child->watch));
    child->fn(child, status, child->userdata);
}

int loop_child_start(struct loop *loop, const struct proc_spec *spec, loop_child_fn *fn, void *userdata,
    struct loop_child **ret_child, struct err *err)
{
    struct loop_child *child = calloc(1, sizeof *child);
    int r;

    if (!child)
        return err_set(err, ENOMEM, "out of memory");
    *child = (struct loop_child){ .magic = CHILD_MAGIC, .pidfd = -1, .reaped = true, .fn = fn, .userdata = userdata };
    r = proc_start(spec, &child->pid, &child->pidfd, err);
    if (r == 0) {
        child->reaped = false;
        r = loop_watch_new(loop, child->pidfd, LOOP_READ, on_pidfd, child, &child->watch);
        if (r < 0)
            err_errno(err, -r, "cannot watch a program");
    }
    if (r < 0) {
        loop_child_free(child);
        return r;
    }
    *ret_child = child;
    return 0;
}

pid_t loop_child_pid(const struct loop_child *child)
{
    return child->pid;
}

void loop_child_kill(struct loop_child *child, int signal)
{
    if (!child->reaped)
        pidfd_send_signal(child->pidfd, signal, NULL, 0);
}

void loop_child_free(struct loop_child *child)
{
    if (!child)
        return;
    if (child->magic != CHILD_MAGIC)
        abort();
    loop_watch_free(child->watch);
    if (!child->reaped) {
        pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
        reap(child->pid, NULL, 0);
    }
    if (child->pidfd >= 0)
        close(child->pidfd);
    child->magic = 0;
    free(child);
}
