/*
 * Starting the worker program. The child gets exactly one end of a socket pair as
 * descriptor 3; it dies when the broker dies.
 */
#include "connector/program.h"

#include "base/cleanup.h"
#include "base/proc.h"
#include "wire/frame.h"

#include <errno.h>

#include "base/banned.h"

int worker_process_start(struct loop *loop, const struct worker_program *program, const char *mode, loop_child_fn *on_exit,
    channel_frame_fn *on_frame, channel_close_fn *on_close, void *userdata, struct worker_process *ret_process, struct err *err)
{
    const char *const argv[] = { "aileron-worker", mode, NULL };
    const char *const envp[] = { NULL };
    int pair[2] = { -1, -1 };
    int r = wire_pair(pair);

    if (r < 0)
        return err_errno(err, -r, "cannot make a channel to the worker");
    CLEANUP_CLOSE int ours = pair[0];
    CLEANUP_CLOSE int theirs = pair[1];
    struct proc_spec spec = {
        .program_fd = program->fd,
        .argv = argv,
        .envp = envp,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = program->stderr_fd,
        .fds = { theirs },
        .fds_len = 1,
        .die_with_parent = true,
    };
    struct worker_process process = { NULL, NULL };

    r = loop_child_start(loop, &spec, on_exit, userdata, &process.child, err);
    if (r < 0)
        return r;
    r = channel_new(loop, TAKE_FD(ours), on_frame, on_close, userdata, &process.channel);
    if (r < 0) {
        worker_process_end(&process);
        return err_errno(err, -r, "cannot watch the worker");
    }
    *ret_process = process;
    return 0;
}

void worker_process_end(struct worker_process *process)
{
    channel_free(process->channel);
    loop_child_free(process->child);
    process->channel = NULL;
    process->child = NULL;
}
