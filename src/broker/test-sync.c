/* The thread that syncs: everybody is called once, in order, also across a change of file; errors arrive. */
#include "broker/sync.h"

#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define WAITS 200

struct bench {
    struct loop *loop;
    struct sync *sync;
    unsigned calls, expected;
    int order[WAITS], result;
};

struct wait {
    struct bench *bench;
    int number;
};

static void on_synced(int result, void *userdata)
{
    struct wait *wait = userdata;
    struct bench *bench = wait->bench;

    bench->result = result;
    bench->order[bench->calls++] = wait->number;
    if (bench->calls == bench->expected)
        loop_stop(bench->loop);
}

static int temporary(void)
{
    char path[] = "/tmp/test-sync-XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);

    unlink(path);
    return fd;
}

static void open_bench(struct bench *bench)
{
    struct err err = ERR_INIT;

    *bench = (struct bench){ .expected = WAITS };
    assert_int_equal(loop_new(&bench->loop, &err), 0);
    assert_int_equal(sync_new(bench->loop, &bench->sync, &err), 0);
}

static void close_bench(struct bench *bench)
{
    sync_free(bench->sync);
    loop_free(bench->loop);
}

static void test_everybody_once_and_in_order(void **state)
{
    static struct wait waits[WAITS];
    struct bench bench;
    int first = temporary(), second = temporary();

    open_bench(&bench);
    for (int i = 0; i < WAITS; i++) {
        waits[i] = (struct wait){ &bench, i };
        assert_int_equal(sync_request(bench.sync, i < WAITS / 2 ? first : second, on_synced, &waits[i], NULL), 0);
    }
    /* It works on copies of the descriptors. */
    close(first);
    loop_run(bench.loop);
    assert_int_equal(bench.calls, WAITS);
    assert_int_equal(bench.result, 0);
    for (int i = 0; i < WAITS; i++)
        assert_int_equal(bench.order[i], i);
    close(second);
    close_bench(&bench);
}

static void test_who_left_is_not_called(void **state)
{
    struct wait waits[2];
    struct sync_wait *handle;
    struct bench bench;
    int fd = temporary();

    open_bench(&bench);
    bench.expected = 1;
    waits[0] = (struct wait){ &bench, 0 };
    waits[1] = (struct wait){ &bench, 1 };
    assert_int_equal(sync_request(bench.sync, fd, on_synced, &waits[0], &handle), 0);
    sync_cancel(handle);
    assert_int_equal(sync_request(bench.sync, fd, on_synced, &waits[1], NULL), 0);
    assert_int_equal(sync_request(bench.sync, fd, NULL, NULL, NULL), 0);
    loop_run(bench.loop);
    assert_int_equal(bench.calls, 1);
    assert_int_equal(bench.order[0], 1);
    close(fd);
    close_bench(&bench);
}

/* What cannot be synced is an error for good: the disk does not say it twice. */
static void test_an_error_stays(void **state)
{
    struct wait wait;
    struct bench bench;
    int pipes[2], fd = temporary();

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    open_bench(&bench);
    bench.expected = 1;
    wait = (struct wait){ &bench, 0 };
    assert_int_equal(sync_request(bench.sync, pipes[0], on_synced, &wait, NULL), 0);
    loop_run(bench.loop);
    assert_true(bench.result < 0);
    bench.calls = 0;
    assert_int_equal(sync_request(bench.sync, fd, on_synced, &wait, NULL), 0);
    loop_run(bench.loop);
    assert_true(bench.result < 0);
    assert_int_equal(sync_request(bench.sync, -1, on_synced, &wait, NULL), -EBADF);
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
    close_bench(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everybody_once_and_in_order),
        cmocka_unit_test(test_who_left_is_not_called),
        cmocka_unit_test(test_an_error_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
