/*
 * A guest that hands bad pointers to every host call and says which call took one.
 * Bad is: the last byte, the end, beyond, the highest address, a length that
 * wraps around. What a good result would be is checked too, with good pointers.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WASI(function) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#function))) extern
#define HOST(function) __attribute__((import_module("aileron_host"), import_name(#function))) extern
#define EBADF          8
#define EFAULT         21
#define EINVAL         28

WASI(args_get) int32_t args_get(uint32_t, uint32_t);
WASI(args_sizes_get) int32_t args_sizes_get(uint32_t, uint32_t);
WASI(environ_get) int32_t environ_get(uint32_t, uint32_t);
WASI(environ_sizes_get) int32_t environ_sizes_get(uint32_t, uint32_t);
WASI(clock_res_get) int32_t clock_res(uint32_t, uint32_t);
WASI(clock_time_get) int32_t clock_time(uint32_t, uint64_t, uint32_t);
WASI(fd_fdstat_get) int32_t fdstat_get(uint32_t, uint32_t);
WASI(fd_filestat_get) int32_t filestat_get(uint32_t, uint32_t);
WASI(fd_prestat_get) int32_t prestat_get(uint32_t, uint32_t);
WASI(fd_prestat_dir_name) int32_t prestat_dir_name(uint32_t, uint32_t, uint32_t);
WASI(fd_read) int32_t read_vector(uint32_t, uint32_t, uint32_t, uint32_t);
WASI(fd_write) int32_t write_vector(uint32_t, uint32_t, uint32_t, uint32_t);
WASI(fd_pread) int32_t pread_vector(uint32_t, uint32_t, uint32_t, uint64_t, uint32_t);
WASI(fd_pwrite) int32_t pwrite_vector(uint32_t, uint32_t, uint32_t, uint64_t, uint32_t);
WASI(fd_seek) int32_t seek(uint32_t, int64_t, uint32_t, uint32_t);
WASI(fd_tell) int32_t tell(uint32_t, uint32_t);
WASI(fd_readdir) int32_t read_dir(uint32_t, uint32_t, uint32_t, uint64_t, uint32_t);
WASI(path_open) int32_t path_open(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint64_t, uint64_t, uint32_t, uint32_t);
WASI(path_filestat_get) int32_t path_filestat(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(path_readlink) int32_t path_readlink(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(path_symlink) int32_t path_symlink(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(poll_oneoff) int32_t poll_oneoff(uint32_t, uint32_t, uint32_t, uint32_t);
WASI(random_get) int32_t random_get(uint32_t, uint32_t);
WASI(sock_recv) int32_t sock_recv(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(sock_send) int32_t sock_send(uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(sock_accept) int32_t sock_accept(uint32_t, uint32_t, uint32_t);
HOST(log) void host_log(uint32_t, uint32_t, uint32_t, uint32_t);
HOST(http_request) int32_t http_request(uint32_t, uint32_t);
HOST(http_response_read) int32_t http_response_read(uint32_t, uint32_t);

static int failures;

static void expect(const char *what, uint32_t pointer, int32_t got, int32_t wanted)
{
    if (got == wanted)
        return;
    fprintf(stderr, "%s(%x): %d, not %d\n", what, (unsigned) pointer, (int) got, (int) wanted);
    failures++;
}

/* A vector in good memory whose only pair is (pointer, len). */
static uint32_t vector(uint32_t pointer, uint32_t len)
{
    static uint32_t pair[2];

    pair[0] = pointer;
    pair[1] = len;
    return (uint32_t) (uintptr_t) pair;
}

#define AT(object)          ((uint32_t) (uintptr_t) (object))
#define BAD(call)           expect(#call, p, call, EFAULT)
#define GIVES(wanted, call) expect(#call, p, call, wanted)

static void wasi_with(uint32_t p)
{
    static uint64_t room[16];
    uint32_t good = AT(room);

    BAD(args_sizes_get(p, good));
    BAD(args_sizes_get(good, p));
    BAD(environ_sizes_get(p, good));
    BAD(environ_sizes_get(good, p));
    BAD(clock_res(0, p));
    BAD(clock_time(0, 1, p));
    BAD(clock_time(1, 1, p));
    BAD(fdstat_get(1, p));
    BAD(read_vector(0, p, 1, good));
    BAD(read_vector(0, vector(good, 8), 1, p));
    BAD(read_vector(0, vector(p, 5000), 1, good));
    BAD(read_vector(0, vector(good, 0xFFFFFFFF), 1, good));
    BAD(write_vector(1, p, 1, good));
    BAD(write_vector(2, p, 1, good));
    BAD(write_vector(1, vector(good, 8), 1, p));
    BAD(write_vector(1, vector(p, 5000), 1, good));
    BAD(write_vector(2, vector(p, 0xFFFFFFFF), 1, good));
    GIVES(EINVAL, write_vector(1, good, 0x20000000, good));
    GIVES(EINVAL, write_vector(1, good, 0xFFFFFFFF, good));
    BAD(poll_oneoff(p, good, 1, good));
    BAD(poll_oneoff(good, p, 1, good));
    BAD(poll_oneoff(good, good, 1, p));
    GIVES(EINVAL, poll_oneoff(good, good, 0xFFFFFFFF, good));
    GIVES(EINVAL, poll_oneoff(good, good, 0, good));
    BAD(random_get(p, 5000));
    BAD(random_get(good, 0xFFFFFFFF));
}

/* These can do nothing at all, whatever they are given: they must say so and touch nothing. */
static void unavailable_with(uint32_t p)
{
    GIVES(EBADF, prestat_get(3, p));
    GIVES(EBADF, prestat_dir_name(3, p, 10));
    GIVES(EBADF, filestat_get(3, p));
    GIVES(EBADF, pread_vector(3, p, 1, 0, p));
    GIVES(EBADF, pwrite_vector(3, p, 1, 0, p));
    GIVES(EBADF, seek(3, 0, 0, p));
    GIVES(70, seek(1, 0, 0, p));
    GIVES(70, tell(1, p));
    GIVES(EBADF, read_dir(3, p, 100, 0, p));
    GIVES(EBADF, path_open(3, 0, p, 10, 0, 0, 0, 0, p));
    GIVES(52, path_open(0, 0, p, 10, 0, 0, 0, 0, p));
    GIVES(EBADF, path_filestat(3, 0, p, 10, p));
    GIVES(EBADF, path_readlink(3, p, 10, p, 10, p));
    GIVES(52, path_symlink(p, 10, 3, p, 10));
    GIVES(EBADF, sock_recv(3, p, 1, 0, p, p));
    GIVES(EBADF, sock_send(3, p, 1, 0, p));
    GIVES(EBADF, sock_accept(3, 0, p));
}

static void host_with(uint32_t p)
{
    static char text[] = "info";

    host_log(p, 5000, AT(text), 4);
    host_log(AT(text), 4, p, 5000);
    host_log(AT(text), 0xFFFFFFFF, AT(text), 4);
    host_log(AT(text), 4, AT(text), 0xFFFFFFFF);
    GIVES(-2, http_request(p, 5000));
    GIVES(-2, http_request(AT(text), 0xFFFFFFFF));
    GIVES(-1, http_response_read(p, 5000));
    GIVES(-1, http_response_read(AT(text), 0xFFFFFFFF));
}

/* At the very end what fits is taken. */
static void edge(uint32_t end)
{
    uint32_t p = end;
    uint64_t time = 0;

    GIVES(0, clock_time(0, 1, end - 8));
    memcpy(&time, (void *) (uintptr_t) (end - 8), 8);
    GIVES(1, time > 1700000000000000000ull);
    GIVES(0, random_get(end - 4, 4));
    GIVES(0, random_get(end, 0));
    GIVES(EFAULT, random_get(end + 1, 0));
    GIVES(0, args_get(end, 0));
    GIVES(EFAULT, args_get(end + 1, 0));
    GIVES(0, environ_get(0, end));
    GIVES(EFAULT, environ_get(0, 0xFFFFFFFF));
    GIVES(0, fdstat_get(1, end - 24));
    GIVES(EFAULT, fdstat_get(1, end - 23));
}

int main(void)
{
    uint32_t end = (uint32_t) __builtin_wasm_memory_size(0) * 65536;
    const uint32_t bad[] = { end - 1, end - 3, end, end + 1, end + 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFC,
        0xFFFFFFFF };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        wasi_with(bad[i]);
        unavailable_with(bad[i]);
        host_with(bad[i]);
    }
    edge(end);
    printf("{\"output\":{\"failures\":%d}}", failures);
    return failures ? 1 : 0;
}
