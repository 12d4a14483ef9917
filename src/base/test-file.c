/* Tests of files: ceilings, symlinks, FIFOs, atomic replacement, private files, trees, sealed memfds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"

#include "base/banned.h"

static char folder[] = "/tmp/test-file-XXXXXX";
static int dirfd_ = -1;

static int setup(void **state)
{
    if (!mkdtemp(folder))
        return -1;
    dirfd_ = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dirfd_ < 0;
}

static int teardown(void **state)
{
    close(dirfd_);
    return file_remove_tree(AT_FDCWD, folder);
}

static void test_write_read(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(5);
    struct err err = ERR_INIT;
    struct stat st;

    assert_int_equal(file_write_atomic(dirfd_, "a", "12345", 5, 0600, &err), 0);
    assert_int_equal(file_read(dirfd_, "a", &buf, &err), 0);
    assert_string_equal(buf_str(&buf), "12345");
    assert_int_equal(file_write_atomic(dirfd_, "a", "123456", 6, 0640, &err), 0);
    assert_int_equal(fstatat(dirfd_, "a", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    buf_reset(&buf);
    assert_int_equal(file_read(dirfd_, "a", &buf, &err), -E2BIG);
    assert_non_null(strstr(err.message, "a: larger than the 5 bytes"));
    assert_int_equal(buf.len, 0);
    assert_int_equal(file_read(dirfd_, "none", &buf, &err), -ENOENT);
    assert_int_equal(file_write_atomic(dirfd_, "none/a", "", 0, 0600, &err), -ENOENT);
    assert_int_equal(file_write_atomic(dirfd_, "none/", "", 0, 0600, &err), -EISDIR);
    assert_int_equal(file_write_atomic(dirfd_, "a", "", 0, 0600, &err), 0);
    assert_int_equal(file_read(dirfd_, "a", &buf, &err), 0);
    assert_int_equal(buf.len, 0);
}

static void test_replaces_link_not_target(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(100);

    assert_int_equal(file_write_atomic(dirfd_, "target", "old", 3, 0600, NULL), 0);
    assert_int_equal(symlinkat("target", dirfd_, "link"), 0);
    assert_int_equal(file_read(dirfd_, "link", &buf, NULL), -ELOOP);
    assert_int_equal(file_write_atomic(dirfd_, "link", "new", 3, 0600, NULL), 0);
    assert_int_equal(file_read(dirfd_, "target", &buf, NULL), 0);
    assert_string_equal(buf_str(&buf), "old");
}

static void test_no_other_kinds(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(100);
    struct err err = ERR_INIT;

    assert_int_equal(mkfifoat(dirfd_, "fifo", 0600), 0);
    assert_int_equal(file_read(dirfd_, "fifo", &buf, &err), -EINVAL);
    assert_int_equal(file_read(dirfd_, ".", &buf, &err), -EINVAL);
    assert_int_equal(file_read(AT_FDCWD, "/dev/zero", &buf, &err), -EINVAL);
}

static void test_leaves_nothing_behind(void **state)
{
    CLEANUP_CLOSEDIR DIR *dir = NULL;
    struct dirent *entry;

    assert_int_equal(mkdirat(dirfd_, "busy", 0700), 0);
    assert_int_equal(mkdirat(dirfd_, "busy/x", 0700), 0);
    assert_int_not_equal(file_write_atomic(dirfd_, "busy", "x", 1, 0600, NULL), 0);
    dir = fdopendir(dup(dirfd_));
    assert_non_null(dir);
    rewinddir(dir);
    while ((entry = readdir(dir)))
        assert_null(strstr(entry->d_name, ".tmp"));
}

static void test_private(void **state)
{
    struct err err = ERR_INIT;
    CLEANUP_CLOSE int fd = -1;

    assert_int_equal(file_write_atomic(dirfd_, "p", "x", 1, 0600, NULL), 0);
    fd = openat(dirfd_, "p", O_RDONLY | O_CLOEXEC);
    assert_int_equal(file_check_private(fd, "p", &err), 0);
    assert_int_equal(fchmod(fd, 0640), 0);
    assert_int_equal(file_check_private(fd, "p", &err), -EPERM);
    assert_string_equal(err.hint, "chmod 600 p");
    assert_int_equal(file_check_private(dirfd_, "d", &err), -EPERM);
}

static void test_dirs_and_trees(void **state)
{
    char path[100], inside[120];
    struct stat st;

    snprintf(path, sizeof path, "%s/x//y/z/", folder);
    assert_int_equal(file_make_dirs(path, 0700, NULL), 0);
    assert_int_equal(file_make_dirs(path, 0700, NULL), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    snprintf(inside, sizeof inside, "%s/f", path);
    assert_int_equal(file_write_atomic(AT_FDCWD, inside, "x", 1, 0600, NULL), 0);
    assert_int_equal(file_make_dirs(inside, 0700, NULL), -ENOTDIR);
    assert_int_equal(file_write_atomic(dirfd_, "outside", "x", 1, 0600, NULL), 0);
    assert_int_equal(symlinkat("../outside", dirfd_, "x/link"), 0);
    assert_int_equal(symlinkat("..", dirfd_, "x/up"), 0);
    assert_int_equal(file_remove_tree(dirfd_, "x"), 0);
    assert_int_equal(fstatat(dirfd_, "x", &st, 0), -1);
    assert_int_equal(fstatat(dirfd_, "outside", &st, 0), 0);
    assert_int_equal(file_remove_tree(dirfd_, "x"), -ENOENT);
}

static void test_full(void **state)
{
    char data[8];
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_int_equal(file_write_full(fds[1], "abcdef", 6), 0);
    close(fds[1]);
    assert_int_equal(file_read_full(fds[0], data, 4), 0);
    assert_memory_equal(data, "abcd", 4);
    assert_int_equal(file_read_full(fds[0], data, 4), -EPIPE);
    close(fds[0]);
    assert_int_equal(file_read_full(fds[0], data, 4), -EBADF);
}

static void test_memfd(void **state)
{
    CLEANUP_CLOSE int fd = memfd_sealed("x", "hello", 5);
    CLEANUP_CLOSE int open_one = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    CLEANUP_CLOSE int huge = memfd_create("x", MFD_ALLOW_SEALING | MFD_CLOEXEC | MFD_HUGETLB);
    size_t size = 0;
    char data[5];

    assert_true(fd >= 0);
    assert_true(memfd_is_sealed(fd, &size));
    assert_int_equal(size, 5);
    assert_int_equal(pread(fd, data, 5, 0), 5);
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    assert_false(memfd_is_sealed(open_one, &size));
    assert_int_equal(fcntl(open_one, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
    assert_false(memfd_is_sealed(open_one, &size));
    if (huge >= 0) {
        assert_int_equal(fcntl(huge, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL), 0);
        assert_false(memfd_is_sealed(huge, &size));
    }
    assert_false(memfd_is_sealed(dirfd_, &size));
    assert_false(memfd_is_sealed(-1, &size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_read),
        cmocka_unit_test(test_replaces_link_not_target),
        cmocka_unit_test(test_no_other_kinds),
        cmocka_unit_test(test_leaves_nothing_behind),
        cmocka_unit_test(test_private),
        cmocka_unit_test(test_dirs_and_trees),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_memfd),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
