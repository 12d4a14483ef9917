/*
 * Functions of preview 1 called as the engine calls them, on memory of the test.
 * The real worker runs them too (tests/wat); here is what a guest cannot show: overlapping
 * vectors, exact bytes, ends of calls.
 */
#include "worker/link.h"
#include "worker/preview1.h"

#include "base/clock.h"
#include "worker/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY_BYTES 65536

static _Alignas(8) uint8_t memory[MEMORY_BYTES];
static struct call call;

static int setup(void **state)
{
    memset(memory, 0xAA, sizeof(memory));
    call_init(&call, -1, 1, "hello, guest", 12);
    call.memory = memory;
    call.memory_size = sizeof(memory);
    deadline_start(60000);
    return 0;
}

static int teardown(void **state)
{
    deadline_stop();
    call_free(&call);
    return 0;
}

/* Calls `name` with as many numbers as it has parameters. */
static int32_t wasi(const char *name, ...)
{
    wasmtime_val_raw_t args[10];
    va_list list;

    memset(args, 0, sizeof(args));
    for (size_t i = 0; i < wasi_table.functions_len; i++) {
        const struct host_function *function = &wasi_table.functions[i];

        if (strcmp(function->name, name) != 0)
            continue;
        va_start(list, name);
        for (size_t j = 0; function->params[j]; j++) {
            if (function->params[j] == 'I')
                args[j].i64 = va_arg(list, int64_t);
            else
                args[j].i32 = va_arg(list, int32_t);
        }
        va_end(list);
        return function->fn(&call, args);
    }
    fail_msg("no function %s", name);
    return -1;
}

static void put32(uint32_t at, uint32_t value)
{
    assert_true(call_put_u32(&call, at, value));
}

static uint32_t get32(uint32_t at)
{
    uint32_t value = 0;

    assert_true(call_get_u32(&call, at, &value));
    return value;
}

static void put_iov(uint32_t at, uint32_t ptr, uint32_t len)
{
    put32(at, ptr);
    put32(at + 4, len);
}

static void test_ranges(void **state)
{
    uint64_t value = 0;

    assert_ptr_equal(call_range(&call, 0, MEMORY_BYTES), memory);
    assert_ptr_equal(call_range(&call, MEMORY_BYTES, 0), memory + MEMORY_BYTES);
    assert_null(call_range(&call, MEMORY_BYTES + 1, 0));
    assert_null(call_range(&call, 1, MEMORY_BYTES));
    assert_null(call_range(&call, UINT32_MAX, 1));
    assert_null(call_range(&call, UINT32_MAX, UINT64_MAX));
    assert_null(call_range(&call, 8, UINT64_MAX - 4));
    assert_false(call_get_u64(&call, MEMORY_BYTES - 7, &value));
    assert_true(call_put_u64(&call, MEMORY_BYTES - 8, 0x0102030405060708u));
    assert_int_equal(memory[MEMORY_BYTES - 8], 8);
    assert_true(call_get_u64(&call, MEMORY_BYTES - 8, &value));
    assert_int_equal(value, 0x0102030405060708u);
}

static void test_read_scatters(void **state)
{
    put_iov(0, 100, 5);
    put_iov(8, 200, 0);
    put_iov(16, 300, 100);
    assert_int_equal(wasi("fd_read", 0, 0, 3, 64), WASI_SUCCESS);
    assert_int_equal(get32(64), 12);
    assert_memory_equal(memory + 100, "hello\xAA", 6);
    assert_memory_equal(memory + 300, ", guest\xAA", 8);
    assert_int_equal(wasi("fd_read", 0, 0, 3, 64), WASI_SUCCESS);
    assert_int_equal(get32(64), 0);
    assert_int_equal(wasi("fd_read", 1, 0, 1, 64), WASI_EBADF);
    assert_int_equal(wasi("fd_read", -1, 0, 1, 64), WASI_EBADF);
}

/* The first read overwrites the second pair with a pointer that is out of range. */
static void test_read_over_its_own_vector(void **state)
{
    call_free(&call);
    call_init(&call, -1, 1, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFxyz", 11);
    call.memory = memory;
    call.memory_size = sizeof(memory);
    put_iov(0, 8, 8);
    put_iov(8, 100, 3);
    assert_int_equal(wasi("fd_read", 0, 0, 2, 64), WASI_EFAULT);
    assert_int_equal(memory[100], 0xAA);
}

static void test_bad_vector_has_no_effect(void **state)
{
    put_iov(0, 100, 5);
    put_iov(8, MEMORY_BYTES, 1);
    assert_int_equal(wasi("fd_write", 1, 0, 2, 64), WASI_EFAULT);
    assert_int_equal(call.out.len, 0);
    assert_int_equal(wasi("fd_read", 0, 0, 2, 64), WASI_EFAULT);
    assert_int_equal(call.in_at, 0);
    assert_int_equal(memory[100], 0xAA);
    assert_int_equal(wasi("fd_write", 1, 0, 1025, 64), WASI_EINVAL);
}

static void test_stdout_has_a_ceiling(void **state)
{
    put_iov(0, 0, MEMORY_BYTES);
    for (unsigned i = 0; i < LIMIT_STDOUT_BYTES / MEMORY_BYTES; i++) {
        assert_int_equal(wasi("fd_write", 1, 0, 1, 64), WASI_SUCCESS);
        put_iov(0, 0, MEMORY_BYTES);
    }
    assert_int_equal(call.out.len, LIMIT_STDOUT_BYTES);
    assert_int_equal(call.end, CALL_GOES_ON);
    put_iov(0, 0, 1);
    wasi("fd_write", 1, 0, 1, 64);
    assert_int_equal(call.end, CALL_TALKS_TOO_MUCH);
}

static void test_stderr_keeps_its_end(void **state)
{
    char tail[LIMIT_STDERR_TAIL_BYTES];

    memcpy(memory + 100, "0123456789", 10);
    put_iov(0, 100, 10);
    assert_int_equal(wasi("fd_write", 2, 0, 1, 64), WASI_SUCCESS);
    assert_int_equal(call_err_tail(&call, tail), 10);
    assert_memory_equal(tail, "0123456789", 10);
    put_iov(0, 2000, 1000);
    memset(memory + 2000, '.', 999);
    memory[2999] = '!';
    assert_int_equal(wasi("fd_write", 2, 0, 1, 64), WASI_SUCCESS);
    put_iov(0, 100, 10);
    assert_int_equal(wasi("fd_write", 2, 0, 1, 64), WASI_SUCCESS);
    assert_int_equal(call_err_tail(&call, tail), LIMIT_STDERR_TAIL_BYTES);
    assert_memory_equal(tail + LIMIT_STDERR_TAIL_BYTES - 12, ".!0123456789", 12);
    assert_int_equal(call.err_len, 1020);
}

static void test_closed_streams(void **state)
{
    put_iov(0, 100, 1);
    assert_int_equal(wasi("fd_close", 1), WASI_SUCCESS);
    assert_int_equal(wasi("fd_close", 1), WASI_EBADF);
    assert_int_equal(wasi("fd_write", 1, 0, 1, 64), WASI_EBADF);
    assert_int_equal(wasi("fd_fdstat_get", 1, 200), WASI_EBADF);
    assert_int_equal(wasi("fd_seek", 1, (int64_t) 0, 0, 200), WASI_EBADF);
    assert_int_equal(wasi("fd_seek", 2, (int64_t) 0, 0, 200), WASI_ESPIPE);
    assert_int_equal(wasi("fd_close", 3), WASI_EBADF);
    assert_int_equal(wasi("fd_sync", 2), WASI_ENOSYS);
    assert_int_equal(wasi("fd_sync", 9), WASI_EBADF);
}

static void test_fdstat_is_a_pipe(void **state)
{
    static const uint8_t in[24] = { [8] = 2, [11] = 8 };

    assert_int_equal(wasi("fd_fdstat_get", 0, 200), WASI_SUCCESS);
    assert_memory_equal(memory + 200, in, 24);
    assert_int_equal(memory[224], 0xAA);
}

static void test_processor_time_starts_with_the_call(void **state)
{
    uint64_t ns = 0;

    assert_int_equal(wasi("clock_time_get", 2, (int64_t) 1, 200), WASI_SUCCESS);
    assert_true(call_get_u64(&call, 200, &ns));
    assert_true(ns < 1000000000);
    assert_int_equal(wasi("clock_time_get", 4, (int64_t) 1, 200), WASI_EINVAL);
    assert_int_equal(wasi("clock_res_get", -1, 200), WASI_EINVAL);
}

static void put_clock(uint32_t at, uint64_t userdata, uint32_t id, uint64_t ns, bool absolute)
{
    memset(memory + at, 0, 48);
    call_put_u64(&call, at, userdata);
    put32(at + 16, id);
    call_put_u64(&call, at + 24, ns);
    memory[at + 40] = absolute;
}

static void test_poll_takes_the_earliest_clock(void **state)
{
    int64_t began = clock_boot_us();
    uint64_t userdata = 0;

    put_clock(1000, 11, 1, 3600000000000u, false);
    put_clock(1048, 22, 1, 20000000, false);
    assert_int_equal(wasi("poll_oneoff", 1000, 2000, 2, 3000), WASI_SUCCESS);
    assert_in_range(clock_boot_us() - began, 20000, 2000000);
    assert_int_equal(get32(3000), 1);
    assert_true(call_get_u64(&call, 2000, &userdata));
    assert_int_equal(userdata, 22);
    assert_int_equal(memory[2032], 0xAA);
}

static void test_poll_absolute_and_strange_clocks(void **state)
{
    put_clock(1000, 1, 0, 1, true);
    put_clock(1048, 2, 2, 5, false);
    put_clock(1096, 3, 1, UINT64_MAX, true);
    assert_int_equal(wasi("poll_oneoff", 1000, 2000, 3, 3000), WASI_SUCCESS);
    assert_int_equal(get32(3000), 2);
    assert_int_equal(memory[2008], WASI_SUCCESS);
    assert_int_equal(memory[2032 + 8], WASI_ENOTSUP);
}

/* A stream is ready at once, however long the clock beside it. Events go over the subscriptions they answer. */
static void test_poll_streams_in_place(void **state)
{
    uint64_t bytes = 0;

    put_clock(1000, 7, 1, 3600000000000u, false);
    memset(memory + 1048, 0, 96);
    memory[1048 + 8] = 1;
    memory[1096 + 8] = 2;
    put32(1096 + 16, 5);
    assert_int_equal(wasi("poll_oneoff", 1000, 1000, 3, 3000), WASI_SUCCESS);
    assert_int_equal(get32(3000), 2);
    assert_int_equal(memory[1008], WASI_SUCCESS);
    assert_true(call_get_u64(&call, 1016, &bytes));
    assert_int_equal(bytes, 12);
    assert_int_equal(memory[1040], WASI_EBADF);
    memory[1048 + 8] = 3;
    assert_int_equal(wasi("poll_oneoff", 1048, 2000, 1, 3000), WASI_EINVAL);
}

static void test_waits_end_with_the_call(void **state)
{
    int64_t began = clock_boot_us();

    deadline_start(50);
    put_clock(1000, 1, 1, 3600000000000u, false);
    wasi("poll_oneoff", 1000, 2000, 1, 3000);
    assert_int_equal(call.end, CALL_TIMES_OUT);
    assert_in_range(clock_boot_us() - began, 50000, 2000000);
}

static void test_exit(void **state)
{
    wasi("proc_exit", -1);
    assert_int_equal(call.end, CALL_EXITS);
    assert_int_equal(call.exit_code, UINT32_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ranges),
        TEST(test_read_scatters),
        TEST(test_read_over_its_own_vector),
        TEST(test_bad_vector_has_no_effect),
        TEST(test_stdout_has_a_ceiling),
        TEST(test_stderr_keeps_its_end),
        TEST(test_closed_streams),
        TEST(test_fdstat_is_a_pipe),
        TEST(test_processor_time_starts_with_the_call),
        TEST(test_poll_takes_the_earliest_clock),
        TEST(test_poll_absolute_and_strange_clocks),
        TEST(test_poll_streams_in_place),
        TEST(test_waits_end_with_the_call),
        TEST(test_exit),
    };
    wasm_engine_t *engine = engine_new();
    struct err err = ERR_INIT;
    int failed = 0;

    if (!engine || deadline_init(engine, &err) < 0)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    wasm_engine_delete(engine);
    return failed;
}
