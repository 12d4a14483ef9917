/*
 * Key derivation beside the loop, in real children: the right key, order, delay, cancelling, a child that dies, and that a
 * child has neither descriptors nor secrets of its parent.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/magic.h"
#include "keeper/derive.h"

#include "base/banned.h"

#define FIXTURE_MAGIC 0x66697874u
#define DONE_MAX      32
/* As in test-kdf.c. */
#define PASSPHRASE "correct horse battery staple"
#define KEY        "853b272a44db1421c02962669a55eb0994f3cab385ed1c4c79253eee19bab49e"

struct fixture {
    uint32_t magic;
    struct loop *loop;
    struct derive *derive;
    struct loop_timer *timer;
    int results[DONE_MAX];
    size_t done, wanted;
    struct derive_job *job;
    bool is_key_right;
};

static const uint8_t salt[KDF_SALT_BYTES] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    fixture->magic = FIXTURE_MAGIC;
    assert_int_equal(loop_new(&fixture->loop, NULL), 0);
    assert_int_equal(derive_new(fixture->loop, &fixture->derive), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, *state, FIXTURE_MAGIC);

    loop_timer_free(fixture->timer);
    derive_free(fixture->derive);
    loop_free(fixture->loop);
    free(fixture);
    return 0;
}

static void on_key(int result, const struct secret *key, void *userdata)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, userdata, FIXTURE_MAGIC);
    uint8_t wanted[KDF_KEY_BYTES];

    assert_int_equal(hex_decode(KEY, wanted, sizeof wanted), 0);
    assert_true((result == 0) == (key != NULL));
    fixture->is_key_right = key && secret_len(key) == sizeof wanted && !memcmp(secret_bytes(key), wanted, sizeof wanted);
    fixture->results[fixture->done++] = result;
    if (fixture->done == fixture->wanted)
        loop_stop(fixture->loop);
}

static int start(struct fixture *fixture, const char *text, int64_t delay_ms, struct derive_job **ret_job)
{
    CLEANUP_PTR(secret_free) struct secret *passphrase = NULL;

    assert_int_equal(secret_from(text, strlen(text), &passphrase), 0);
    return derive_start(fixture->derive, passphrase, salt, delay_ms, on_key, fixture, ret_job);
}

static void run(struct fixture *fixture, size_t wanted)
{
    fixture->wanted = wanted;
    assert_int_equal(loop_run(fixture->loop), 0);
}

/* Children that the kernel knows of; 0 or 1 here. The child of a test is read from /proc, as nothing names it. */
static pid_t find_child(void)
{
    char path[64], text[128] = "";
    CLEANUP_CLOSE int fd = -1;
    ssize_t n = 0;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    n = read(fd, text, sizeof text - 1);
    return n > 0 ? (pid_t) strtol(text, NULL, 10) : 0;
}

static void test_key(void **state)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, *state, FIXTURE_MAGIC);
    struct derive_job *job = NULL;

    assert_int_equal(start(fixture, PASSPHRASE, 0, &job), 0);
    run(fixture, 1);
    assert_int_equal(fixture->results[0], 0);
    assert_true(fixture->is_key_right);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_refused(void **state)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, *state, FIXTURE_MAGIC);
    struct derive_job *job = NULL;
    char text[2048];

    assert_int_equal(start(fixture, "", 0, &job), -EINVAL);
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_int_equal(start(fixture, text, 0, &job), -EINVAL);
    for (size_t i = 0; i < DERIVE_WAITING_MAX; i++)
        assert_int_equal(start(fixture, "x", 0, &job), 0);
    assert_int_equal(start(fixture, "x", 0, &job), -EBUSY);
}

static void test_order_and_delay(void **state)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, *state, FIXTURE_MAGIC);
    struct derive_job *job = NULL;
    int64_t begin_ms = clock_boot_ms();

    assert_int_equal(start(fixture, "wrong", 300, &job), 0);
    assert_int_equal(start(fixture, PASSPHRASE, 0, &job), 0);
    run(fixture, 1);
    assert_true(clock_boot_ms() - begin_ms >= 300);
    assert_int_equal(fixture->results[0], 0);
    assert_false(fixture->is_key_right);
    run(fixture, 2);
    assert_true(fixture->is_key_right);
}

static void on_kill(void *userdata)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, userdata, FIXTURE_MAGIC);
    pid_t child = find_child();

    assert_true(child > 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    loop_timer_free(TAKE_PTR(fixture->timer));
}

/* As the kernel does when memory runs out. The next one is served all the same. */
static void test_killed(void **state)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, *state, FIXTURE_MAGIC);
    struct derive_job *job = NULL;

    assert_int_equal(start(fixture, PASSPHRASE, 0, &job), 0);
    assert_int_equal(start(fixture, PASSPHRASE, 0, &job), 0);
    assert_int_equal(loop_timer_new(fixture->loop, on_kill, fixture, &fixture->timer), 0);
    loop_timer_set(fixture->timer, 20);
    run(fixture, 2);
    assert_int_equal(fixture->results[0], -EIO);
    assert_int_equal(fixture->results[1], 0);
    assert_true(fixture->is_key_right);
}

static void on_cancel(void *userdata)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, userdata, FIXTURE_MAGIC);

    assert_true(find_child() > 0);
    derive_cancel(fixture->job);
    loop_timer_free(TAKE_PTR(fixture->timer));
}

static void test_cancelled(void **state)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, *state, FIXTURE_MAGIC);
    struct derive_job *waiting = NULL, *job = NULL;

    assert_int_equal(start(fixture, "wrong", 0, &fixture->job), 0);
    assert_int_equal(start(fixture, "wrong too", 0, &waiting), 0);
    assert_int_equal(start(fixture, PASSPHRASE, 0, &job), 0);
    derive_cancel(waiting);
    derive_cancel(NULL);
    assert_int_equal(loop_timer_new(fixture->loop, on_cancel, fixture, &fixture->timer), 0);
    loop_timer_set(fixture->timer, 20);
    run(fixture, 1);
    assert_int_equal(fixture->done, 1);
    assert_true(fixture->is_key_right);
}

/* The child looks at its socket: what was cancelled, or left by a keeper that died, does not go on. */
static void test_child_leaves(void **state)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, *state, FIXTURE_MAGIC);
    int64_t end_ms = clock_boot_ms() + 5000;
    int status = 0;
    pid_t child = 0;

    assert_int_equal(start(fixture, PASSPHRASE, 0, &fixture->job), 0);
    assert_int_equal(loop_timer_new(fixture->loop, on_cancel, fixture, &fixture->timer), 0);
    loop_timer_set(fixture->timer, 20);
    while (fixture->timer)
        event_base_loop(loop_base(fixture->loop), EVLOOP_ONCE);
    child = find_child();
    derive_free(TAKE_PTR(fixture->derive));
    while (child > 0 && waitpid(child, &status, WNOHANG) == 0 && clock_boot_ms() < end_ms)
        usleep(10000);
    assert_int_equal(find_child(), 0);
    if (child > 0)
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) != 0);
}

static size_t count_descriptors(pid_t pid)
{
    char path[64];
    CLEANUP_CLOSEDIR DIR *dir = NULL;
    size_t len = 0;

    snprintf(path, sizeof path, "/proc/%d/fd", pid);
    dir = opendir(path);
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        len += entry->d_name[0] != '.';
    return len;
}

static void on_look(void *userdata)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, userdata, FIXTURE_MAGIC);
    pid_t child = find_child();

    assert_true(child > 0);
    assert_int_equal(count_descriptors(child), 1);
    loop_timer_free(TAKE_PTR(fixture->timer));
}

static void test_descriptors(void **state)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, *state, FIXTURE_MAGIC);
    CLEANUP_CLOSE int low = open("/dev/null", O_RDONLY), high = dup2(low, 200);
    struct derive_job *job = NULL;

    assert_true(high == 200);
    assert_int_equal(start(fixture, PASSPHRASE, 0, &job), 0);
    assert_int_equal(loop_timer_new(fixture->loop, on_look, fixture, &fixture->timer), 0);
    loop_timer_set(fixture->timer, 20);
    run(fixture, 1);
    assert_null(fixture->timer);
    assert_true(fixture->is_key_right);
}

/* Freed while it runs, from its own function. */
static void on_key_free(int result, const struct secret *key, void *userdata)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, userdata, FIXTURE_MAGIC);

    assert_int_equal(result, 0);
    derive_free(TAKE_PTR(fixture->derive));
    assert_int_equal(secret_len(key), KDF_KEY_BYTES);
    loop_stop(fixture->loop);
}

static void test_freed_inside(void **state)
{
    struct fixture *fixture = MAGIC_CAST(struct fixture, *state, FIXTURE_MAGIC);
    CLEANUP_PTR(secret_free) struct secret *passphrase = NULL;
    struct derive_job *job = NULL;

    assert_int_equal(secret_from("x", 1, &passphrase), 0);
    assert_int_equal(derive_start(fixture->derive, passphrase, salt, 0, on_key_free, fixture, &job), 0);
    assert_int_equal(start(fixture, "y", 0, &job), 0);
    assert_int_equal(loop_run(fixture->loop), 0);
    assert_null(fixture->derive);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_order_and_delay, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cancelled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_child_leaves, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_descriptors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_freed_inside, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
