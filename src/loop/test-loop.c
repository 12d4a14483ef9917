/* Tests of the loop: timers in order and without needless wake-ups, deferred calls, descriptors, signals, children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "loop/loop.h"

#include "base/banned.h"

static struct loop *loop;
static char order[1000];

static int setup(void **state)
{
    order[0] = '\0';
    return loop_new(&loop, NULL);
}

static int teardown(void **state)
{
    loop_free(loop);
    loop = NULL;
    return 0;
}

static void stop(void *userdata)
{
    loop_stop(loop);
}

/* Runs the loop for `ms`. */
static void run_for(int64_t ms)
{
    CLEANUP_PTR(loop_timer_free) struct loop_timer *timer = NULL;

    assert_int_equal(loop_timer_new(loop, stop, NULL, &timer), 0);
    loop_timer_set(timer, ms);
    assert_int_equal(loop_run(loop), 0);
}

/* Runs until `order` reads `wanted`, at most five seconds: the machine may be busy. */
static void run_until_order(const char *wanted)
{
    for (int i = 0; i < 5000 && strcmp(order, wanted); i++)
        run_for(1);
    assert_string_equal(order, wanted);
}

static void note(void *userdata)
{
    size_t len = strlen(order);

    snprintf(order + len, sizeof order - len, "%s", (const char *) userdata);
}

static void test_timer_order(void **state)
{
    static const struct {
        const char *name;
        int64_t ms;
    } rows[] = { { "d", 300 }, { "b", 100 }, { "a", 0 }, { "e", 300 }, { "c", 200 }, { "x", 250 }, { "y", 100000 } };
    struct loop_timer *timers[ARRAY_LEN(rows)];

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(loop_timer_new(loop, note, (void *) rows[i].name, &timers[i]), 0);
        loop_timer_set(timers[i], rows[i].ms);
    }
    loop_timer_stop(timers[5]);
    loop_timer_stop(timers[5]);
    run_until_order("abcde");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        loop_timer_free(timers[i]);
}

static void test_timer_replaces(void **state)
{
    CLEANUP_PTR(loop_timer_free) struct loop_timer *timer = NULL;
    int64_t began = clock_boot_ms();

    assert_int_equal(loop_timer_new(loop, stop, NULL, &timer), 0);
    loop_timer_set(timer, 5);
    loop_timer_set(timer, INT64_MAX);
    loop_timer_set(timer, 50);
    assert_int_equal(loop_run(loop), 0);
    assert_in_range(clock_boot_ms() - began, 49, 2000);
    loop_timer_set(timer, -5);
    assert_int_equal(loop_run(loop), 0);
}

/* Many timers, set, stopped and freed at random, fire exactly once each and in order. */
static int64_t last_deadline;
static int fired;

struct random_timer {
    struct loop_timer *timer;
    int64_t ms;
};

static void on_random(void *userdata)
{
    struct random_timer *timer = userdata;

    assert_true(timer->ms >= last_deadline);
    last_deadline = timer->ms;
    fired++;
}

static void test_timer_heap(void **state)
{
    static struct random_timer timers[2000];
    unsigned seed = 7;
    int expected = 0;

    last_deadline = 0;
    fired = 0;
    for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
        assert_int_equal(loop_timer_new(loop, on_random, &timers[i], &timers[i].timer), 0);
        seed = seed * 1103515245 + 12345;
        timers[i].ms = 100 + (seed >> 16) % 50 * 4;
        loop_timer_set(timers[i].timer, timers[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
        seed = seed * 1103515245 + 12345;
        if (seed >> 30 == 0)
            loop_timer_stop(timers[i].timer);
        else if (seed >> 30 == 1)
            loop_timer_free(TAKE_PTR(timers[i].timer));
        else
            expected++;
    }
    run_for(600);
    assert_int_equal(fired, expected);
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        loop_timer_free(timers[i].timer);
}

static struct loop_timer *self_timer;
static int self_count;

static void set_again(void *userdata)
{
    if (++self_count < 100)
        loop_timer_set(self_timer, 0);
}

static void on_readable(int fd, int events, void *userdata)
{
    char byte;

    assert_int_equal(events, LOOP_READ);
    assert_int_equal(read(fd, &byte, 1), 1);
    *(int *) userdata = self_count;
}

/* A timer that sets itself to zero each time must not keep a descriptor waiting. */
static void test_timer_is_fair(void **state)
{
    CLEANUP_PTR(loop_watch_free) struct loop_watch *watch = NULL;
    int fds[2], seen_at = -1;

    self_count = 0;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "x", 1), 1);
    assert_int_equal(loop_watch_new(loop, fds[0], LOOP_READ, on_readable, &seen_at, &watch), 0);
    assert_int_equal(loop_timer_new(loop, set_again, NULL, &self_timer), 0);
    loop_timer_set(self_timer, 0);
    for (int i = 0; i < 500 && self_count < 100; i++)
        run_for(10);
    assert_int_equal(self_count, 100);
    assert_in_range(seen_at, 0, 2);
    loop_timer_free(self_timer);
    close(fds[0]);
    close(fds[1]);
}

static void free_self(void *userdata)
{
    loop_timer_free(self_timer);
    note((void *) "freed");
}

static void test_timer_frees_itself(void **state)
{
    assert_int_equal(loop_timer_new(loop, free_self, NULL, &self_timer), 0);
    loop_timer_set(self_timer, 1);
    run_until_order("freed");
}

static void test_no_wake_ups(void **state)
{
    struct loop_timer *timers[100];
    struct rusage before, after;

    for (size_t i = 0; i < ARRAY_LEN(timers); i++) {
        assert_int_equal(loop_timer_new(loop, note, (void *) "x", &timers[i]), 0);
        loop_timer_set(timers[i], 10 + (int64_t) i);
        loop_timer_stop(timers[i]);
    }
    getrusage(RUSAGE_SELF, &before);
    run_for(300);
    getrusage(RUSAGE_SELF, &after);
    /* One sleep for the stale deadline, one for our own, and a little for the machine. */
    assert_in_range(after.ru_nvcsw - before.ru_nvcsw, 0, 4);
    assert_string_equal(order, "");
    for (size_t i = 0; i < ARRAY_LEN(timers); i++)
        loop_timer_free(timers[i]);
}

static void defer_again(void *userdata)
{
    note((void *) "2");
    assert_int_equal(loop_defer(loop, note, (void *) "3"), 0);
}

static void test_defer(void **state)
{
    assert_int_equal(loop_defer(loop, note, (void *) "1"), 0);
    assert_int_equal(loop_defer(loop, defer_again, NULL), 0);
    assert_string_equal(order, "");
    run_until_order("123");
    assert_int_equal(loop_defer(loop, note, (void *) "never run, but freed"), 0);
}

static void on_writable(int fd, int events, void *userdata)
{
    struct loop_watch **watch = userdata;

    assert_int_equal(events, LOOP_WRITE);
    note((void *) "w");
    loop_watch_free(TAKE_PTR(*watch));
}

static void test_watch(void **state)
{
    struct loop_watch *watch = NULL;
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(loop_watch_new(loop, fds[1], 0, on_writable, &watch, &watch), 0);
    run_for(5);
    assert_string_equal(order, "");
    loop_watch_set(watch, LOOP_WRITE);
    run_until_order("w");
    assert_null(watch);
    close(fds[0]);
    close(fds[1]);
}

static void on_signal(int number, void *userdata)
{
    assert_int_equal(number, SIGUSR1);
    note((void *) "s");
}

static void test_signal(void **state)
{
    assert_int_equal(loop_signal(loop, SIGUSR1, on_signal, NULL), 0);
    assert_int_equal(loop_signal(loop, SIGUSR1, on_signal, NULL), -EBUSY);
    assert_int_equal(loop_signal(loop, 0, on_signal, NULL), -EINVAL);
    assert_int_equal(loop_signal(loop, 1000, on_signal, NULL), -EINVAL);
    kill(getpid(), SIGUSR1);
    run_until_order("s");
}

static int child_status;

static void on_child(struct loop_child *child, int status, void *userdata)
{
    struct loop_child **ours = userdata;

    child_status = status;
    assert_ptr_equal(child, *ours);
    loop_child_kill(child, SIGKILL);
    loop_child_free(TAKE_PTR(*ours));
    loop_stop(loop);
}

static struct loop_child *start_shell(const char *script, struct loop_child **ours)
{
    const char *const argv[] = { "sh", "-c", script, NULL };
    const char *const envp[] = { "PATH=/bin:/usr/bin", NULL };
    CLEANUP_CLOSE int program = open("/bin/sh", O_PATH | O_CLOEXEC);
    struct proc_spec spec = {
        .program_fd = program, .argv = argv, .envp = envp, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1
    };
    struct err err = ERR_INIT;

    if (loop_child_start(loop, &spec, on_child, ours, ours, &err) != 0)
        fail_msg("%s", err.message);
    return *ours;
}

static void test_child(void **state)
{
    struct loop_child *child = NULL;
    pid_t pid;

    start_shell("exit 3", &child);
    assert_int_equal(loop_run(loop), 0);
    assert_null(child);
    assert_int_equal(WEXITSTATUS(child_status), 3);
    start_shell("exec sleep 100", &child);
    loop_child_kill(child, SIGTERM);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(WTERMSIG(child_status), SIGTERM);
    pid = loop_child_pid(start_shell("trap '' TERM; while :; do sleep 1; done", &child));
    loop_child_free(TAKE_PTR(child));
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_child_cannot_start(void **state)
{
    const char *const argv[] = { "passwd", NULL };
    CLEANUP_CLOSE int program = open("/etc/passwd", O_PATH | O_CLOEXEC);
    struct proc_spec spec = {
        .program_fd = program, .argv = argv, .envp = argv + 1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1
    };
    struct loop_child *child = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(loop_child_start(loop, &spec, on_child, NULL, &child, &err), -EACCES);
    assert_null(child);
    assert_non_null(strstr(err.message, "passwd: "));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(test_timer_order), TEST(test_timer_replaces), TEST(test_timer_heap),
        TEST(test_timer_is_fair), TEST(test_timer_frees_itself), TEST(test_no_wake_ups), TEST(test_defer), TEST(test_watch),
        TEST(test_signal), TEST(test_child), TEST(test_child_cannot_start) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
