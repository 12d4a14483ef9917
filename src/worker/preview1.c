/*
 * The table of preview 1 and the functions on streams. Every function of the
 * interface has a row with its exact signature, because toolchains import what
 * they never call. Without a folder or a socket the rest can only say so: EBADF
 * for a descriptor that is not open, else ENOSYS.
 *
 * Descriptors 0 to 2 say "unknown" as their type, as pipes do: "character device"
 * would make C libraries flush at every line.
 */
#include "worker/preview1.h"

#include "base/cleanup.h"
#include "worker/deadline.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

#define IOVS_MAX       1024 /* as IOV_MAX */
#define FDSTAT_BYTES   24
#define RIGHT_FD_READ  (1ull << 1)
#define RIGHT_FD_WRITE (1ull << 6)
#define RIGHT_POLL_FD  (1ull << 27)
#define RANDOM_CHUNK   4096u

bool wasi_fd_is_open(const struct call *call, uint32_t fd)
{
    return fd <= 2 && !call->fd_closed[fd];
}

static int32_t no_such_function(struct call *call, const wasmtime_val_raw_t *args)
{
    return WASI_ENOSYS;
}

/* For functions whose first parameter is a descriptor. */
static int32_t not_on_this_fd(struct call *call, const wasmtime_val_raw_t *args)
{
    return wasi_fd_is_open(call, (uint32_t) args[0].i32) ? WASI_ENOSYS : WASI_EBADF;
}

static int32_t not_seekable(struct call *call, const wasmtime_val_raw_t *args)
{
    return wasi_fd_is_open(call, (uint32_t) args[0].i32) ? WASI_ESPIPE : WASI_EBADF;
}

/* No folder is preopened: the first descriptor asked about ends the search. */
static int32_t not_preopened(struct call *call, const wasmtime_val_raw_t *args)
{
    return WASI_EBADF;
}

static int32_t empty_sizes(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t count = (uint32_t) args[0].i32, size = (uint32_t) args[1].i32;

    if (!call_range(call, count, 4) || !call_range(call, size, 4))
        return WASI_EFAULT;
    call_put_u32(call, count, 0);
    call_put_u32(call, size, 0);
    return WASI_SUCCESS;
}

/* Nothing is written, yet a bad pointer is a bad pointer. */
static int32_t empty_list(struct call *call, const wasmtime_val_raw_t *args)
{
    return call_range(call, (uint32_t) args[0].i32, 0) && call_range(call, (uint32_t) args[1].i32, 0) ? WASI_SUCCESS
                                                                                                      : WASI_EFAULT;
}

/* One (pointer, length) pair of a vector. NULL when the pair or its bytes are out of range. */
static uint8_t *iov_at(const struct call *call, uint32_t iovs, uint32_t at, uint32_t *ret_len)
{
    const uint64_t pair = (uint64_t) iovs + 8ull * at;
    uint32_t ptr = 0;

    if (pair > UINT32_MAX || !call_get_u32(call, (uint32_t) pair, &ptr) || !call_get_u32(call, (uint32_t) pair + 4, ret_len))
        return NULL;
    return call_range(call, ptr, *ret_len);
}

/* Checks the whole vector first, so that a bad one has no effect at all. */
static int32_t iovs_check(const struct call *call, uint32_t iovs, uint32_t iovs_len)
{
    uint32_t len = 0;

    if (iovs_len > IOVS_MAX)
        return WASI_EINVAL;
    for (uint32_t i = 0; i < iovs_len; i++)
        if (!iov_at(call, iovs, i, &len))
            return WASI_EFAULT;
    return WASI_SUCCESS;
}

static int32_t fd_read(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t fd = (uint32_t) args[0].i32, iovs = (uint32_t) args[1].i32, iovs_len = (uint32_t) args[2].i32;
    uint32_t done = (uint32_t) args[3].i32;
    size_t start = call->in_at;
    int32_t r = 0;

    if (!wasi_fd_is_open(call, fd) || fd != 0)
        return WASI_EBADF;
    r = iovs_check(call, iovs, iovs_len);
    if (r == 0 && !call_range(call, done, 4))
        r = WASI_EFAULT;
    if (r != 0)
        return r;
    for (uint32_t i = 0; i < iovs_len && call->in_at < call->in_len; i++) {
        uint32_t len = 0;
        /* The bytes read may have been written over the vector itself: look again. */
        uint8_t *to = iov_at(call, iovs, i, &len);
        size_t left = call->in_len - call->in_at;

        if (!to)
            return WASI_EFAULT;
        if (left > len)
            left = len;
        memcpy(to, call->in + call->in_at, left);
        call->in_at += left;
    }
    call_put_u32(call, done, (uint32_t) (call->in_at - start));
    return WASI_SUCCESS;
}

static void err_tail_add(struct call *call, const uint8_t *data, size_t len)
{
    size_t size = sizeof(call->err_tail);
    size_t skip = len > size ? len - size : 0;

    call->err_len += skip;
    for (size_t i = skip; i < len; i++)
        call->err_tail[call->err_len++ % size] = (char) data[i];
}

static int32_t fd_write(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t fd = (uint32_t) args[0].i32, iovs = (uint32_t) args[1].i32, iovs_len = (uint32_t) args[2].i32;
    uint32_t done = (uint32_t) args[3].i32;
    uint64_t total = 0;
    int32_t r = 0;

    if (!wasi_fd_is_open(call, fd) || fd == 0)
        return WASI_EBADF;
    r = iovs_check(call, iovs, iovs_len);
    if (r == 0 && !call_range(call, done, 4))
        r = WASI_EFAULT;
    for (uint32_t i = 0; r == 0 && i < iovs_len; i++) {
        uint32_t len = 0;
        const uint8_t *from = iov_at(call, iovs, i, &len);

        if (fd == 1 && buf_add(&call->out, from, len) < 0)
            call->end = CALL_TALKS_TOO_MUCH;
        if (call->end != CALL_GOES_ON)
            return WASI_EIO;
        if (fd == 2)
            err_tail_add(call, from, len);
        total += len;
    }
    /* A vector may name the same bytes again and again, past 4 GiB on standard error: say what fits. */
    if (r == 0)
        call_put_u32(call, done, total > UINT32_MAX ? UINT32_MAX : (uint32_t) total);
    return r;
}

static int32_t fd_close(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t fd = (uint32_t) args[0].i32;

    if (!wasi_fd_is_open(call, fd))
        return WASI_EBADF;
    call->fd_closed[fd] = true;
    return WASI_SUCCESS;
}

static int32_t fd_fdstat_get(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t fd = (uint32_t) args[0].i32, ptr = (uint32_t) args[1].i32;
    uint8_t *stat = call_range(call, ptr, FDSTAT_BYTES);

    if (!wasi_fd_is_open(call, fd))
        return WASI_EBADF;
    if (!stat)
        return WASI_EFAULT;
    memset(stat, 0, FDSTAT_BYTES);
    call_put_u64(call, ptr + 8, (fd == 0 ? RIGHT_FD_READ : RIGHT_FD_WRITE) | RIGHT_POLL_FD);
    return WASI_SUCCESS;
}

/* Go switches its streams to non-blocking and back: they never block anyway. */
static int32_t fd_fdstat_set_flags(struct call *call, const wasmtime_val_raw_t *args)
{
    return wasi_fd_is_open(call, (uint32_t) args[0].i32) ? WASI_SUCCESS : WASI_EBADF;
}

static int32_t random_get(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t ptr = (uint32_t) args[0].i32, len = (uint32_t) args[1].i32;
    uint8_t *to = call_range(call, ptr, len);

    if (!to)
        return WASI_EFAULT;
    while (len > 0) {
        ssize_t got = getrandom(to, len < RANDOM_CHUNK ? len : RANDOM_CHUNK, 0);

        if (got < 0 && errno != EINTR)
            return WASI_EIO;
        if (got > 0) {
            to += got;
            len -= (uint32_t) got;
        }
        if (len > 0 && deadline_passed()) {
            call->end = CALL_TIMES_OUT;
            return WASI_EIO;
        }
    }
    return WASI_SUCCESS;
}

static int32_t proc_exit(struct call *call, const wasmtime_val_raw_t *args)
{
    call->exit_code = (uint32_t) args[0].i32;
    call->end = CALL_EXITS;
    return 0;
}

static int32_t sched_yield_now(struct call *call, const wasmtime_val_raw_t *args)
{
    return WASI_SUCCESS;
}

static const struct host_function functions[] = {
    { "args_get", "ii", "i", empty_list },
    { "args_sizes_get", "ii", "i", empty_sizes },
    { "clock_res_get", "ii", "i", wasi_clock_res_get },
    { "clock_time_get", "iIi", "i", wasi_clock_time_get },
    { "environ_get", "ii", "i", empty_list },
    { "environ_sizes_get", "ii", "i", empty_sizes },
    { "fd_advise", "iIIi", "i", not_on_this_fd },
    { "fd_allocate", "iII", "i", not_on_this_fd },
    { "fd_close", "i", "i", fd_close },
    { "fd_datasync", "i", "i", not_on_this_fd },
    { "fd_fdstat_get", "ii", "i", fd_fdstat_get },
    { "fd_fdstat_set_flags", "ii", "i", fd_fdstat_set_flags },
    { "fd_fdstat_set_rights", "iII", "i", not_on_this_fd },
    { "fd_filestat_get", "ii", "i", not_on_this_fd },
    { "fd_filestat_set_size", "iI", "i", not_on_this_fd },
    { "fd_filestat_set_times", "iIIi", "i", not_on_this_fd },
    { "fd_pread", "iiiIi", "i", not_seekable },
    { "fd_prestat_dir_name", "iii", "i", not_preopened },
    { "fd_prestat_get", "ii", "i", not_preopened },
    { "fd_pwrite", "iiiIi", "i", not_seekable },
    { "fd_read", "iiii", "i", fd_read },
    { "fd_readdir", "iiiIi", "i", not_on_this_fd },
    { "fd_renumber", "ii", "i", not_on_this_fd },
    { "fd_seek", "iIii", "i", not_seekable },
    { "fd_sync", "i", "i", not_on_this_fd },
    { "fd_tell", "ii", "i", not_seekable },
    { "fd_write", "iiii", "i", fd_write },
    { "path_create_directory", "iii", "i", not_on_this_fd },
    { "path_filestat_get", "iiiii", "i", not_on_this_fd },
    { "path_filestat_set_times", "iiiiIIi", "i", not_on_this_fd },
    { "path_link", "iiiiiii", "i", not_on_this_fd },
    { "path_open", "iiiiiIIii", "i", not_on_this_fd },
    { "path_readlink", "iiiiii", "i", not_on_this_fd },
    { "path_remove_directory", "iii", "i", not_on_this_fd },
    { "path_rename", "iiiiii", "i", not_on_this_fd },
    { "path_symlink", "iiiii", "i", no_such_function },
    { "path_unlink_file", "iii", "i", not_on_this_fd },
    { "poll_oneoff", "iiii", "i", wasi_poll_oneoff },
    { "proc_exit", "i", "", proc_exit },
    { "proc_raise", "i", "i", no_such_function },
    { "random_get", "ii", "i", random_get },
    { "sched_yield", "", "i", sched_yield_now },
    { "sock_accept", "iii", "i", not_on_this_fd },
    { "sock_recv", "iiiiii", "i", not_on_this_fd },
    { "sock_send", "iiiii", "i", not_on_this_fd },
    { "sock_shutdown", "ii", "i", not_on_this_fd },
};

const struct host_table wasi_table = { "wasi_snapshot_preview1", functions, ARRAY_LEN(functions), false };
