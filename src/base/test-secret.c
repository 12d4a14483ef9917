/* Tests of secrets: contents, cutting, comparison, guard pages, wiped in a forked child, kept out of core dumps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/secret.h"

#include "base/banned.h"

/* AddressSanitizer's mlock() does nothing. */
#ifdef __SANITIZE_ADDRESS__
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED __has_feature(address_sanitizer)
#else
#define SANITIZED 0
#endif

static void test_contents(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *a = NULL;
    CLEANUP_PTR(secret_free) struct secret *b = NULL;
    CLEANUP_PTR(secret_free) struct secret *empty = NULL;

    assert_int_equal(secret_from("pass word", 9, &a), 0);
    assert_int_equal(secret_from("pass word", 9, &b), 0);
    assert_int_equal(secret_new(0, &empty), 0);
    assert_int_equal(secret_len(a), 9);
    assert_memory_equal(secret_bytes(a), "pass word", 9);
    assert_true(secret_equal(a, b));
    assert_false(secret_equal(a, empty));
    secret_data(b)[8] ^= 1;
    assert_false(secret_equal(a, b));
    secret_cut(a, 4);
    assert_int_equal(secret_len(a), 4);
    assert_int_equal(secret_bytes(a)[4], 0);
    secret_cut(a, 400);
    assert_int_equal(secret_len(a), 4);
    assert_int_equal(secret_new(SIZE_MAX, &b), -ENOMEM);
}

/* Runs `touch` in a child; the signal that ended it, or 0. */
static int child_signal(struct secret *secret, void (*touch)(struct secret *secret))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        signal(SIGBUS, SIG_DFL);
        touch(secret);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void touch_after(struct secret *secret)
{
    *(volatile uint8_t *) (secret_data(secret) + secret_len(secret)) = 1;
}

static void check_wiped(struct secret *secret)
{
    for (size_t i = 0; i < secret_len(secret); i++)
        if (secret_bytes(secret)[i])
            _exit(1);
}

static void test_guard_and_fork(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;

    assert_int_equal(secret_from("0123456789", 10, &secret), 0);
    assert_int_equal(child_signal(secret, touch_after), SIGSEGV);
    assert_int_equal(child_signal(secret, check_wiped), 0);
    assert_memory_equal(secret_bytes(secret), "0123456789", 10);
}

/* The flags of the mapping that holds `at`: "dd" = not dumped, "wf" = wiped on fork, "lo" = locked. */
static void mapping_flags(const void *at, char *out, size_t size)
{
    CLEANUP_FCLOSE FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false;

    assert_non_null(maps);
    out[0] = '\0';
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (uintptr_t) at >= from && (uintptr_t) at < to;
        else if (inside && !strncmp(line, "VmFlags:", 8))
            snprintf(out, size, "%s", line + 8);
    }
}

static void test_flags(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    char flags[512];

    assert_int_equal(secret_new(100, &secret), 0);
    mapping_flags(secret_bytes(secret), flags, sizeof flags);
    assert_non_null(strstr(flags, " dd"));
    assert_non_null(strstr(flags, " wf"));
    if (!SANITIZED)
        assert_int_equal(strstr(flags, " lo") != NULL, secret_memory_is_locked());
}

static void test_memequal_wipe(void **state)
{
    char text[4] = "abc";

    assert_true(secret_memequal("abc", text, 3));
    assert_false(secret_memequal("abd", text, 3));
    assert_true(secret_memequal("x", "y", 0));
    secret_wipe(text, 3);
    assert_memory_equal(text, "\0\0\0", 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_guard_and_fork),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_memequal_wipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
