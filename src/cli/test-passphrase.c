/* Secrets from files: private, bounded, one newline less; the variable is taken and gone. */
#include "cli/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"

static char path[] = "/tmp/aileron-test-XXXXXX";

static void write_file(const char *text, size_t len, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, len), (ssize_t) len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

static int read_back(size_t max, struct secret **ret, struct err *err)
{
    *ret = NULL;
    err_clear(err);
    return secret_read_file(path, "the passphrase", max, ret, err);
}

static void assert_reads(const char *text, size_t len, const char *expected, size_t expected_len)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    struct err err = ERR_INIT;

    write_file(text, len, 0600);
    assert_int_equal(read_back(16, &secret, &err), 0);
    assert_int_equal(secret_len(secret), expected_len);
    assert_memory_equal(secret_bytes(secret), expected, expected_len);
}

static void test_one_newline_less(void **state)
{
    assert_reads("open", 4, "open", 4);
    assert_reads("open\n", 5, "open", 4);
    assert_reads("open\n\n", 6, "open\n", 5);
    assert_reads(" o p ", 5, " o p ", 5);
    assert_reads("a\0b\n", 4, "a\0b", 3);
}

static void test_bounds(void **state)
{
    struct secret *secret;
    struct err err = ERR_INIT;

    assert_reads("0123456789abcdef", 16, "0123456789abcdef", 16);
    assert_reads("0123456789abcdef\n", 17, "0123456789abcdef", 16);
    write_file("0123456789abcdefg", 17, 0600);
    assert_int_equal(read_back(16, &secret, &err), -E2BIG);
    write_file("0123456789abcdef\n\n", 18, 0600);
    assert_int_equal(read_back(16, &secret, &err), -E2BIG);
    write_file("", 0, 0600);
    assert_int_equal(read_back(16, &secret, &err), -ENODATA);
    write_file("\n", 1, 0600);
    assert_int_equal(read_back(16, &secret, &err), -ENODATA);
    assert_null(secret);
}

static void test_others_must_not_read_it(void **state)
{
    static const mode_t MODES[] = { 0604, 0640, 0644, 0666, 0660, 0610 };
    struct secret *secret;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(MODES); i++) {
        write_file("open", 4, MODES[i]);
        assert_int_equal(read_back(16, &secret, &err), -EPERM);
        assert_non_null(strstr(err.hint, "chmod 600"));
        assert_null(strstr(err.message, "open"));
    }
    write_file("open", 4, 0400);
    assert_int_equal(read_back(16, &secret, &err), 0);
    secret_free(secret);
}

static void test_pipes_are_read(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    struct err err = ERR_INIT;
    char name[64];
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "through\n", 8), 8);
    close(fds[1]);
    snprintf(name, sizeof(name), "/dev/fd/%d", fds[0]);
    assert_int_equal(secret_read_file(name, "the passphrase", 16, &secret, &err), 0);
    assert_memory_equal(secret_bytes(secret), "through", 7);
    assert_int_equal(secret_len(secret), 7);
    close(fds[0]);
}

static void test_what_is_no_file(void **state)
{
    struct secret *secret = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(secret_read_file("/tmp", "the key", 16, &secret, &err), -EISDIR);
    assert_int_equal(secret_read_file("/nonexistent/file", "the key", 16, &secret, &err), -ENOENT);
    assert_non_null(strstr(err.message, "/nonexistent/file"));
}

/* Taken: the variable is gone, and so are its bytes from where they stood. */
static void test_environment(void **state)
{
    struct cli cli = { .command = command_find("vault unlock") };
    CLEANUP_PTR(args_free) struct args *args = NULL;
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    struct err err = ERR_INIT;
    bool help = false;
    const char *where;

    assert_int_equal(args_parse(cli.command, 0, NULL, &args, &help, &err), 0);
    cli.args = args;
    setenv(PASSPHRASE_VARIABLE, "from the environment", 1);
    where = getenv(PASSPHRASE_VARIABLE);
    passphrase_take_environment();
    assert_null(getenv(PASSPHRASE_VARIABLE));
    for (size_t i = 0; i < strlen("from the environment"); i++)
        assert_int_equal(where[i], 0);
    assert_int_equal(passphrase_source(&cli), PASSPHRASE_ENVIRONMENT);
    assert_int_equal(passphrase_get(&cli, NULL, &secret, &err), 0);
    assert_int_equal(secret_len(secret), 20);
    assert_memory_equal(secret_bytes(secret), "from the environment", 20);
    passphrase_forget();
    assert_int_not_equal(passphrase_source(&cli), PASSPHRASE_ENVIRONMENT);
}

static void test_a_file_goes_first(void **state)
{
    char option[] = "--passphrase-file";
    char *argv[] = { option, path };
    struct cli cli = { .command = command_find("vault unlock") };
    CLEANUP_PTR(args_free) struct args *args = NULL;
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    struct err err = ERR_INIT;
    bool help = false;

    write_file("of the file", 11, 0600);
    assert_int_equal(args_parse(cli.command, 2, argv, &args, &help, &err), 0);
    cli.args = args;
    setenv(PASSPHRASE_VARIABLE, "other", 1);
    passphrase_take_environment();
    assert_int_equal(passphrase_get(&cli, NULL, &secret, &err), 0);
    assert_memory_equal(secret_bytes(secret), "of the file", 11);
    passphrase_forget();
}

static void test_an_empty_variable_is_none(void **state)
{
    struct cli cli = { .command = command_find("vault unlock") };
    CLEANUP_PTR(args_free) struct args *args = NULL;
    struct err err = ERR_INIT;
    bool help = false;

    assert_int_equal(args_parse(cli.command, 0, NULL, &args, &help, &err), 0);
    cli.args = args;
    setenv(PASSPHRASE_VARIABLE, "", 1);
    passphrase_take_environment();
    assert_null(getenv(PASSPHRASE_VARIABLE));
    assert_int_not_equal(passphrase_source(&cli), PASSPHRASE_ENVIRONMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_newline_less),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_others_must_not_read_it),
        cmocka_unit_test(test_pipes_are_read),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_a_file_goes_first),
        cmocka_unit_test(test_an_empty_variable_is_none),
    };
    int fd = mkstemp(path), r;

    close(fd);
    r = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return r;
}
