/*
 * Starts the worker program: from the descriptor opened when the daemon started,
 * with an empty environment, the channel on descriptor 3 and nothing else. Used by
 * the pool (--run) and by the module cache (--compile).
 */
#ifndef CONNECTOR_PROGRAM_H
#define CONNECTOR_PROGRAM_H

#include "base/err.h"
#include "loop/channel.h"
#include "loop/loop.h"

struct worker_program {
    int fd;        /* O_PATH, borrowed */
    int stderr_fd; /* where a child's last words go; borrowed, -1: nowhere */
};

struct worker_process {
    struct loop_child *child; /* owned by the caller, as the channel */
    struct channel *channel;
};

/* `mode` is "--run" or "--compile". On failure nothing is left running. */
int worker_process_start(struct loop *loop, const struct worker_program *program, const char *mode, loop_child_fn *on_exit,
    channel_frame_fn *on_frame, channel_close_fn *on_close, void *userdata, struct worker_process *ret_process, struct err *err);
/* Kills and reaps; safe on a half-started or empty one. */
void worker_process_end(struct worker_process *process);

#endif
