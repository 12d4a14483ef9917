/* Tests of starting programs: exact descriptors and environment, failures told, signals reset, death with the parent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/proc.h"

#include "base/banned.h"

static struct proc_spec shell_spec(const char *const *argv, const char *const *envp)
{
    struct proc_spec spec = { .program_fd = open("/bin/sh", O_PATH | O_CLOEXEC),
        .argv = argv,
        .envp = envp,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1 };

    assert_true(spec.program_fd >= 0);
    return spec;
}

/* Runs a shell script with `spec` and gives what it wrote to its output. */
static char *run_script(struct proc_spec *spec, int *ret_status)
{
    struct buf out = BUF_INIT(100000);
    struct err err = ERR_INIT;
    char data[4096];
    int fds[2], pidfd;
    ssize_t n;
    pid_t pid;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    spec->stdout_fd = fds[1];
    if (proc_start(spec, &pid, &pidfd, &err) != 0)
        fail_msg("%s", err.message);
    close(fds[1]);
    while ((n = read(fds[0], data, sizeof data)) > 0)
        assert_int_equal(buf_add(&out, data, (size_t) n), 0);
    close(fds[0]);
    assert_int_equal(waitpid(pid, ret_status, 0), pid);
    close(pidfd);
    close(spec->program_fd);
    return buf_take(&out);
}

static void test_descriptors_and_environment(void **state)
{
    const char *const argv[] = { "sh", "-c",
        "ls -l /proc/self/fd | sed -n 's/.* \\([0-9]* -> .*\\)/\\1/p'; cat <&3 ; cat <&4; echo $A$PATH$HOME", NULL };
    const char *const envp[] = { "A=b", "PATH=/bin:/usr/bin", NULL };
    CLEANUP_CLOSE int three = memfd_sealed("three", "third\n", 6);
    CLEANUP_CLOSE int four = memfd_sealed("four", "fourth\n", 7);
    struct proc_spec spec = shell_spec(argv, envp);
    CLEANUP_FREE char *out = NULL;
    int status, leak = open("/dev/zero", O_RDONLY);

    assert_int_equal(lseek(three, 0, SEEK_SET) + lseek(four, 0, SEEK_SET), 0);
    spec.fds[0] = three;
    spec.fds[1] = four;
    spec.fds_len = 2;
    out = run_script(&spec, &status);
    assert_int_equal(status, 0);
    assert_non_null(strstr(out, "0 -> /dev/null"));
    assert_non_null(strstr(out, "third\nfourth\nb/bin:/usr/bin\n"));
    assert_null(strstr(out, "/dev/zero"));
    /* 0 to 4, and the one with which ls reads the folder. */
    assert_null(strstr(out, "6 -> "));
    close(leak);
}

/* Descriptors whose numbers are one another's targets. */
static void test_crossing_descriptors(void **state)
{
    const char *const argv[] = { "sh", "-c", "cat <&3; cat <&4; cat <&0", NULL };
    const char *const envp[] = { "PATH=/bin:/usr/bin", NULL };
    struct proc_spec spec = shell_spec(argv, envp);
    CLEANUP_FREE char *out = NULL;
    int status, a = memfd_sealed("a", "a", 1), b = memfd_sealed("b", "b", 1), c = memfd_sealed("c", "c", 1);
    int high = fcntl(spec.program_fd, F_DUPFD_CLOEXEC, 20);

    close(spec.program_fd);
    spec.program_fd = high;
    assert_int_equal(lseek(a, 0, SEEK_SET) + lseek(b, 0, SEEK_SET) + lseek(c, 0, SEEK_SET), 0);
    assert_int_equal(dup2(a, 10), 10);
    assert_int_equal(dup2(b, 4), 4);
    assert_int_equal(dup2(c, 3), 3);
    spec.fds[0] = 4;
    spec.fds[1] = 3;
    spec.fds_len = 2;
    spec.stdin_fd = 10;
    out = run_script(&spec, &status);
    assert_string_equal(out, "bca");
    close(10);
    close(4);
    close(3);
}

static void test_failure_is_told(void **state)
{
    const char *const argv[] = { "nothing", NULL };
    const char *const envp[] = { NULL };
    struct proc_spec spec = shell_spec(argv, envp);
    struct err err = ERR_INIT;
    pid_t pid = 7;
    int pidfd = 7;

    close(spec.program_fd);
    spec.program_fd = open("/etc/passwd", O_PATH | O_CLOEXEC);
    assert_int_equal(proc_start(&spec, &pid, &pidfd, &err), -EACCES);
    assert_string_equal(err.message, "nothing: cannot execute it: Permission denied");
    close(spec.program_fd);
    spec.program_fd = -1;
    assert_int_equal(proc_start(&spec, &pid, &pidfd, &err), -EBADF);
    assert_int_equal(pid, 7);
    assert_int_equal(pidfd, 7);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_signals_and_session(void **state)
{
    const char *const argv[] = { "sh", "-c",
        "grep -E 'Sig(Blk|Ign)' /proc/self/status; [ \"$(cut -d' ' -f6 /proc/$$/stat)\" = $$ ] && echo own", NULL };
    const char *const envp[] = { "PATH=/bin:/usr/bin", NULL };
    struct proc_spec spec = shell_spec(argv, envp);
    CLEANUP_FREE char *out = NULL;
    const char *ignored;
    sigset_t set;
    int status;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    spec.new_session = true;
    out = run_script(&spec, &status);
    assert_non_null(strstr(out, "SigBlk:\t0000000000000000"));
    /* 32 to 34 may be the C library's own: its posix_spawn hands them on ignored (make does so), and sigaction refuses to know them. */
    ignored = strstr(out, "SigIgn:\t");
    assert_non_null(ignored);
    assert_true((strtoull(ignored + strlen("SigIgn:\t"), NULL, 16) & ~UINT64_C(0x380000000)) == 0);
    assert_non_null(strstr(out, "own"));
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static void test_dies_with_parent(void **state)
{
    const char *const argv[] = { "sh", "-c", "exec sleep 60", NULL };
    const char *const envp[] = { "PATH=/bin:/usr/bin", NULL };
    struct proc_spec spec = shell_spec(argv, envp);
    struct pollfd poll_fd = { .events = POLLIN };
    int fds[2], pidfd;
    pid_t middle, pid;

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    middle = fork();
    if (middle == 0) {
        /* The grandchild holds the pipe's end: end of file means that it is dead. */
        spec.stdout_fd = fds[1];
        spec.die_with_parent = true;
        _exit(proc_start(&spec, &pid, &pidfd, NULL) == 0 ? 0 : 1);
    }
    close(fds[1]);
    waitpid(middle, NULL, 0);
    poll_fd.fd = fds[0];
    assert_int_equal(poll(&poll_fd, 1, 5000), 1);
    assert_true(poll_fd.revents & POLLHUP);
    close(fds[0]);
    close(spec.program_fd);
}

static void test_self_dir(void **state)
{
    CLEANUP_FREE char *dir = NULL;

    assert_int_equal(proc_self_dir(&dir, NULL), 0);
    assert_int_equal(dir[0], '/');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_descriptors_and_environment),
        cmocka_unit_test(test_crossing_descriptors),
        cmocka_unit_test(test_failure_is_told),
        cmocka_unit_test(test_signals_and_session),
        cmocka_unit_test(test_dies_with_parent),
        cmocka_unit_test(test_self_dir),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
