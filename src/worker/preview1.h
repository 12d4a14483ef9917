/*
 * WASI preview 1 as connectors get it (SPEC §5): standard streams, clocks,
 * randomness, exit. Numbers are those of the witx files of WebAssembly/WASI, snapshot_preview1.
 */
#ifndef WORKER_PREVIEW1_H
#define WORKER_PREVIEW1_H

#include "worker/call.h"
#include "worker/link.h"

enum wasi_errno {
    WASI_SUCCESS = 0,
    WASI_EBADF = 8,
    WASI_EFAULT = 21,
    WASI_EINVAL = 28,
    WASI_EIO = 29,
    WASI_ENOSYS = 52,
    WASI_ENOTSUP = 58,
    WASI_ESPIPE = 70,
};

/* True for a standard stream that the guest has not closed. */
bool wasi_fd_is_open(const struct call *call, uint32_t fd);

/* preview1-clock.c */
host_fn wasi_clock_res_get;
host_fn wasi_clock_time_get;
host_fn wasi_poll_oneoff;

#endif
