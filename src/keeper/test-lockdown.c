/*
 * Probes inside a locked-down keeper: what must work still does, and programs and
 * foreign files are out of reach. Each probe runs in a child of its own, for
 * some end it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "keeper/lockdown.h"

#include "base/banned.h"

static char home[] = "/tmp/aileron-lockdown-XXXXXX";
static int listener = -1;
static char outside[] = "/tmp/aileron-outside-XXXXXX";

enum { PROBE_WORKED = 0, PROBE_REFUSED = 1, PROBE_KILLED = 2, PROBE_BROKEN = 3 };

typedef int probe_fn(void); /* 0 or more: it worked */

static int probe_run(probe_fn *probe)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        struct confine_report report;
        struct err err = ERR_INIT;

        if (lockdown(home, &report, &err) < 0) {
            fprintf(stderr, "%s\n", err.message);
            _exit(PROBE_BROKEN);
        }
        _exit(probe() >= 0 ? PROBE_WORKED : PROBE_REFUSED);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS ? PROBE_KILLED
           : WIFEXITED(status)                               ? WEXITSTATUS(status)
                                                             : PROBE_BROKEN;
}

static int do_execve(void)
{
    char name[] = "true", *const argv[] = { name, NULL };

    return execve("/bin/true", argv, NULL);
}

static int do_execveat(void)
{
    char name[] = "true", *const argv[] = { name, NULL };

    return (int) syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, NULL, 0);
}

static int do_ptrace(void)
{
    return (int) ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static int do_map_exec(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

static int do_make_exec(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? 0 : mprotect(page, 4096, PROT_READ | PROT_EXEC);
}

static int do_kill_parent(void)
{
    return kill(getppid(), 0);
}

static int do_read_passwd(void)
{
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static int do_read_shadow(void)
{
    return open("/etc/shadow", O_RDONLY | O_CLOEXEC);
}

static int do_list_etc(void)
{
    return open("/etc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int do_read_outside(void)
{
    return open(outside, O_RDONLY | O_CLOEXEC);
}

static int do_write_outside(void)
{
    return open("/tmp/aileron-written", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

static int do_read_memory(void)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%d/mem", (int) getppid());
    return open(path, O_RDONLY | O_CLOEXEC);
}

static int do_write_resolver(void)
{
    return open("/etc/resolv.conf", O_WRONLY | O_CLOEXEC);
}

static int do_packet_socket(void)
{
    return socket(AF_PACKET, SOCK_DGRAM, 0);
}

static int do_read_resolver(void)
{
    return access("/etc/resolv.conf", F_OK) < 0 ? 0 : open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC);
}

static int do_replace_home_file(void)
{
    char from[64], to[64];
    int fd = -1;

    snprintf(from, sizeof from, "%s/secrets.json.tmp", home);
    snprintf(to, sizeof to, "%s/secrets.json", home);
    fd = open(from, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fsync(fd) < 0 || rename(from, to) < 0)
        return -1;
    return unlink(to);
}

static int do_tcp_socket(void)
{
    return socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* The owner's door: made before, passed on, accepted from inside. */
static int do_accept(void)
{
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) < 0 && errno == EAGAIN ? 0 : -1;
}

/* A derivation: a child that answers over a pipe and is reaped. */
static int do_fork(void)
{
    int ends[2], status = 0;
    char byte = 0;
    pid_t pid = -1;

    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    pid = fork();
    if (pid == 0)
        _exit(write(ends[1], "k", 1) == 1 ? 0 : 1);
    if (pid < 0 || read(ends[0], &byte, 1) != 1 || waitpid(pid, &status, 0) != pid)
        return -1;
    return byte == 'k' && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

struct probe {
    const char *what;
    probe_fn *fn;
};

static void test_impossible(void **state)
{
    static const struct probe probes[] = {
        { "execve", do_execve },
        { "execveat", do_execveat },
        { "ptrace", do_ptrace },
        { "mmap PROT_EXEC", do_map_exec },
        { "mprotect PROT_EXEC", do_make_exec },
        { "kill", do_kill_parent },
        { "packet socket", do_packet_socket },
    };

    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        int outcome = probe_run(probes[i].fn);

        if (outcome != PROBE_REFUSED && outcome != PROBE_KILLED)
            fail_msg("%s: %d", probes[i].what, outcome);
    }
}

static void test_foreign_files(void **state)
{
    static const struct probe probes[] = {
        { "/etc/passwd", do_read_passwd },
        { "/etc/shadow", do_read_shadow },
        { "/etc", do_list_etc },
        { "a file outside", do_read_outside },
        { "a new file outside", do_write_outside },
        { "another's memory", do_read_memory },
        { "writing resolv.conf", do_write_resolver },
    };
    struct confine_report report = { .landlock_abi = 0 };
    struct err err = ERR_INIT;
    int status = 0;
    pid_t pid = fork();

    if (pid == 0)
        _exit(lockdown(home, &report, &err) == 0 && report.landlock_abi > 0 ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0) {
        print_message("SKIPPED: this kernel has no Landlock, files are not fenced\n");
        skip();
    }
    for (size_t i = 0; i < ARRAY_LEN(probes); i++)
        if (probe_run(probes[i].fn) == PROBE_WORKED)
            fail_msg("%s can be opened", probes[i].what);
}

static void test_possible(void **state)
{
    static const struct probe probes[] = {
        { "reading resolv.conf", do_read_resolver },
        { "replacing a file of the home", do_replace_home_file },
        { "a TCP socket", do_tcp_socket },
        { "letting a client in", do_accept },
        { "a forked child", do_fork },
    };

    for (size_t i = 0; i < ARRAY_LEN(probes); i++)
        if (probe_run(probes[i].fn) != PROBE_WORKED)
            fail_msg("%s is impossible", probes[i].what);
}

static int setup(void **state)
{
    const sa_family_t anonymous = AF_UNIX; /* a name of the kernel's choice */
    int fd = mkstemp(outside);

    listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (bind(listener, (const struct sockaddr *) &anonymous, sizeof anonymous) < 0 || listen(listener, 1) < 0)
        return -1;
    return fd >= 0 && close(fd) == 0 && mkdtemp(home) ? 0 : -1;
}

static int teardown(void **state)
{
    return unlink(outside) == 0 && rmdir(home) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_impossible),
        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_possible),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
