/* Tests of the home: where it is, sockets of a long path, owner and mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/home.h"

#include "base/banned.h"

static void test_paths(void **state)
{
    CLEANUP_PTR(home_free) struct home *home = NULL;
    CLEANUP_FREE char *file = NULL;

    assert_int_equal(home_from_path("/tmp//x/.aileron//", &home, NULL), 0);
    assert_string_equal(home->path, "/tmp/x/.aileron");
    assert_string_equal(home->socket_dir, "/tmp/x/.aileron");
    assert_string_equal(home->daemon_sock, "/tmp/x/.aileron/daemon.sock");
    assert_string_equal(home->keeper_sock, "/tmp/x/.aileron/keeper.sock");
    assert_string_equal(home->agent_dir, "/tmp/x/.aileron/agent");
    assert_string_equal(home->agent_sock, "/tmp/x/.aileron/agent/agent.sock");
    file = home_file(home, "store/tmp");
    assert_string_equal(file, "/tmp/x/.aileron/store/tmp");
}

static void test_long_path(void **state)
{
    CLEANUP_PTR(home_free) struct home *fits = NULL;
    CLEANUP_PTR(home_free) struct home *long_one = NULL;
    CLEANUP_PTR(home_free) struct home *other = NULL;
    char path[4000], start[100];
    struct err err = ERR_INIT;

    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[108 - 18] = '\0';
    assert_int_equal(home_from_path(path, &fits, NULL), 0);
    assert_string_equal(fits->socket_dir, path);
    assert_int_equal(strlen(fits->agent_sock), 107);
    path[108 - 18] = 'a';
    path[108 - 17] = '\0';
    assert_int_equal(home_from_path(path, &long_one, NULL), 0);
    snprintf(start, sizeof start, "/run/user/%u/aileron-", (unsigned) geteuid());
    assert_int_equal(strncmp(long_one->socket_dir, start, strlen(start)), 0);
    assert_int_equal(strlen(long_one->socket_dir), strlen(start) + 16);
    path[5] = 'b';
    assert_int_equal(home_from_path(path, &other, NULL), 0);
    assert_string_not_equal(other->socket_dir, long_one->socket_dir);
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[3500] = '\0';
    assert_int_equal(home_from_path(path, &other, &err), -EINVAL);
    assert_int_equal(home_from_path("relative", &other, &err), -EINVAL);
    assert_int_equal(home_from_path("", &other, &err), -EINVAL);
    assert_int_equal(home_from_path("/a\nb", &other, &err), -EINVAL);
    assert_int_equal(home_from_path("/a\xff", &other, &err), -EINVAL);
}

static void test_environment(void **state)
{
    CLEANUP_PTR(home_free) struct home *set = NULL;
    CLEANUP_PTR(home_free) struct home *by_home = NULL;
    CLEANUP_PTR(home_free) struct home *by_user = NULL;

    setenv("AILERON_HOME", "/tmp/h", 1);
    assert_int_equal(home_from_env(&set, NULL), 0);
    assert_string_equal(set->path, "/tmp/h");
    unsetenv("AILERON_HOME");
    setenv("HOME", "/tmp/u", 1);
    assert_int_equal(home_from_env(&by_home, NULL), 0);
    assert_string_equal(by_home->path, "/tmp/u/.aileron");
    unsetenv("HOME");
    assert_int_equal(home_from_env(&by_user, NULL), 0);
    assert_non_null(strstr(by_user->path, "/.aileron"));
}

static void test_create(void **state)
{
    CLEANUP_PTR(home_free) struct home *home = NULL;
    char folder[] = "/tmp/test-home-XXXXXX", path[100];
    struct err err = ERR_INIT;
    struct stat st;

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a/b", folder);
    assert_int_equal(home_from_path(path, &home, NULL), 0);
    assert_int_equal(home_create(home, &err), 0);
    assert_int_equal(home_create(home, &err), 0);
    assert_int_equal(stat(home->agent_dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(chmod(path, 0750), 0);
    assert_int_equal(home_create(home, &err), -EPERM);
    assert_non_null(strstr(err.hint, "chmod 700 /tmp/test-home-"));
    assert_int_equal(home_create(home, NULL), -EPERM);
    if (geteuid() == 0) {
        assert_int_equal(chmod(path, 0700), 0);
        assert_int_equal(chown(path, 65534, 65534), 0);
        assert_int_equal(home_create(home, &err), -EPERM);
        assert_non_null(strstr(err.message, "another user"));
    }
    assert_int_equal(file_remove_tree(AT_FDCWD, folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_paths), cmocka_unit_test(test_long_path),
        cmocka_unit_test(test_environment), cmocka_unit_test(test_create) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
