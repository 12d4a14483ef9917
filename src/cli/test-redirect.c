/* Where the page that signs a browser in may lie, and that nothing of it stays. */
#include "cli/redirect.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char base[] = "/tmp/test-redirect-XXXXXX";
static char runtime[64], fallback[64];

static int begin(void **state)
{
    snprintf(base, sizeof base, "/tmp/test-redirect-XXXXXX");
    assert_non_null(mkdtemp(base));
    snprintf(runtime, sizeof runtime, "%s/runtime", base);
    snprintf(fallback, sizeof fallback, "%s/fallback", base);
    return 0;
}

static int end(void **state)
{
    return file_remove_tree(AT_FDCWD, base);
}

static void expect_in(const char *place)
{
    CLEANUP_FREE char *folder = NULL;
    struct err err = ERR_INIT;
    struct stat st;

    assert_int_equal(redirect_folder(runtime, fallback, &folder, &err), 0);
    assert_int_equal(strncmp(folder, place, strlen(place)), 0);
    assert_int_equal(folder[strlen(place)], '/');
    assert_int_equal(stat(folder, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(stat(place, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void expect_refused(void)
{
    CLEANUP_FREE char *folder = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(redirect_folder(runtime, fallback, &folder, &err), -EPERM);
    assert_null(folder);
    assert_non_null(strstr(err.message, "alone"));
}

static void test_runtime_first(void **state)
{
    assert_int_equal(mkdir(runtime, 0700), 0);
    expect_in(runtime);
    assert_int_equal(access(fallback, F_OK), -1);
}

static void test_else_the_fallback(void **state)
{
    expect_in(fallback); /* made */
    expect_in(fallback); /* there */
    assert_int_equal(mkdir(runtime, 0700), 0);
    assert_int_equal(chmod(runtime, 0755), 0);
    expect_in(fallback);
    assert_int_equal(rmdir(runtime), 0);
    assert_int_equal(symlink(fallback, runtime), 0);
    expect_in(fallback);
}

static void test_a_place_of_others_is_not_used(void **state)
{
    int fd;

    assert_int_equal(mkdir(fallback, 0700), 0);
    assert_int_equal(chmod(fallback, 0755), 0);
    expect_refused();
    assert_int_equal(rmdir(fallback), 0);
    assert_int_equal(symlink(base, fallback), 0);
    expect_refused();
    assert_int_equal(unlink(fallback), 0);
    fd = open(fallback, O_CREAT | O_WRONLY, 0700);
    assert_true(fd >= 0);
    close(fd);
    expect_refused();
    if (geteuid() == 0) {
        assert_int_equal(unlink(fallback), 0);
        assert_int_equal(mkdir(fallback, 0700), 0);
        assert_int_equal(chown(fallback, 12345, 12345), 0);
        expect_refused();
    }
}

static void test_the_page(void **state)
{
    struct redirect *redirect = NULL;
    struct err err = ERR_INIT;
    char text[4096] = "", path[256], folder[256];
    struct stat st;
    FILE *file;

    assert_int_equal(redirect_new("http://127.0.0.1:1/approvals#code=abc", &redirect, &err), 0);
    snprintf(path, sizeof path, "%s", redirect_path(redirect));
    snprintf(folder, sizeof folder, "%.*s", (int) (strrchr(path, '/') - path), path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    file = fopen(path, "r");
    assert_non_null(file);
    assert_true(fread(text, 1, sizeof text - 1, file) > 0);
    fclose(file);
    assert_non_null(strstr(text, "content=\"0;url=http://127.0.0.1:1/approvals#code=abc\""));
    redirect_free(redirect);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(folder, F_OK), -1);
}

static void test_no_markup_gets_into_it(void **state)
{
    static const char *const urls[] = { "http://127.0.0.1:1/\"><script>", "http://127.0.0.1:1/'x", "http://127.0.0.1:1/a b",
        "x&y", "x\ny" };

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct redirect *redirect = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(redirect_new(urls[i], &redirect, &err), -EINVAL);
        assert_null(redirect);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_runtime_first, begin, end),
        cmocka_unit_test_setup_teardown(test_else_the_fallback, begin, end),
        cmocka_unit_test_setup_teardown(test_a_place_of_others_is_not_used, begin, end),
        cmocka_unit_test(test_the_page),
        cmocka_unit_test(test_no_markup_gets_into_it),
    };

    umask(077);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
