/*
 * Tests of the lock-down: each probe runs in a child of its own that confines
 * itself first. What the probe must meet stands in a table: success, an errno, or death
 * by SIGSYS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "confine/confine.h"
#include "confine/landlock.h"
#include "confine/sanitized.h"
#include "wire/frame.h"

#include "base/banned.h"

#define KILLED (-1)

static char home[] = "/tmp/test-confine-XXXXXX";
static char outside[] = "/tmp/test-outside-XXXXXX";
static pid_t other;

/* A probe answers 0 or an errno. */
typedef int probe_fn(void);

static int result(long r)
{
    return r < 0 ? errno : 0;
}

static int open_at(const char *folder, const char *name, int flags)
{
    char path[200];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return result(open(path, flags, 0600));
}

static int probe_open_home(void)
{
    return open_at(home, "file", O_RDONLY);
}

static int probe_write_home(void)
{
    return open_at(home, "new", O_WRONLY | O_CREAT);
}

static int probe_replace_home(void)
{
    char path[200];

    snprintf(path, sizeof path, "%s/vault", home);
    return -file_write_atomic(AT_FDCWD, path, "x", 1, 0600, NULL);
}

static int probe_rename_across(void)
{
    char from[200], to[200];

    snprintf(from, sizeof from, "%s/a/x", home);
    snprintf(to, sizeof to, "%s/b/x", home);
    if (open_at(home, "a/x", O_WRONLY | O_CREAT))
        return errno;
    return result(rename(from, to));
}

static int probe_open_outside(void)
{
    return open_at(outside, "file", O_RDONLY);
}

static int probe_write_outside(void)
{
    return open_at(outside, "new", O_WRONLY | O_CREAT);
}

static int probe_open_passwd(void)
{
    return result(open("/etc/passwd", O_RDONLY));
}

static int probe_open_hosts(void)
{
    return result(open("/etc/hosts", O_RDONLY));
}

static int probe_open_usr(void)
{
    return result(open("/usr/bin/env", O_RDONLY));
}

static int probe_open_self(void)
{
    return result(open("/proc/self/status", O_RDONLY));
}

static int probe_other_memory(void)
{
    char path[50];

    snprintf(path, sizeof path, "/proc/%d/mem", other);
    return result(open(path, O_RDONLY));
}

static int probe_stat(void)
{
    struct stat st;

    return result(stat("/etc/passwd", &st));
}

static int probe_socket_inet(void)
{
    return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int probe_socket_netlink(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

/* Root may, but for its capabilities being dropped. */
static int probe_socket_raw(void)
{
    return result(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int probe_bind_tcp(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return fd < 0 ? errno : result(bind(fd, (struct sockaddr *) &address, sizeof address));
}

/* Port 9 of loopback refuses; a confined process must not even get that far. */
static int probe_connect_tcp(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return fd < 0 ? errno : result(connect(fd, (struct sockaddr *) &address, sizeof address));
}

static int probe_bind_unix(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

    snprintf(address.sun_path, sizeof address.sun_path, "%s/sock", home);
    unlink(address.sun_path);
    return fd < 0 ? errno : result(bind(fd, (struct sockaddr *) &address, sizeof address));
}

static int probe_execve(void)
{
    static char name[] = "true", *argv[] = { name, NULL }, *envp[] = { NULL };

    return result(execve("/bin/true", argv, envp));
}

static int probe_execveat(void)
{
    static char name[] = "true", *argv[] = { name, NULL }, *envp[] = { NULL };

    return result(syscall(SYS_execveat, 0, "", argv, envp, AT_EMPTY_PATH));
}

static int probe_ptrace(void)
{
    return result(ptrace(PTRACE_ATTACH, other, NULL, NULL));
}

static int probe_process_vm(void)
{
    char byte;
    struct iovec mine = { &byte, 1 }, theirs = { &byte, 1 };

    return result(syscall(SYS_process_vm_readv, other, &mine, 1, &theirs, 1, 0));
}

static int probe_kill_other(void)
{
    return result(kill(other, SIGUSR1));
}

static int probe_tgkill_other(void)
{
    return result(syscall(SYS_tgkill, other, other, SIGUSR1));
}

static int probe_tgkill_self(void)
{
    signal(SIGUSR1, SIG_IGN);
    return result(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
}

static int probe_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return pid < 0 ? errno : waitpid(pid, NULL, 0) == pid ? 0 : errno;
}

static void *thread_main(void *userdata)
{
    return userdata;
}

static int probe_thread(void)
{
    pthread_t thread;
    int r = pthread_create(&thread, NULL, thread_main, NULL);

    return r ? r : pthread_join(thread, NULL);
}

static int probe_mmap_exec(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return page == MAP_FAILED ? errno : 0;
}

static void *new_page(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        _exit(99);
    return page;
}

static int probe_mprotect_exec(void)
{
    return result(mprotect(new_page(), 4096, PROT_READ | PROT_EXEC));
}

/* Writes "return" and jumps there: 0 when code of one's own can run. */
static int probe_run_code(void)
{
    uint8_t *page = new_page();

    memset(page, 0xc3, 4096);
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0)
        return errno;
    __asm__ volatile("call *%0" : : "r"(page) : "memory", "rax", "rcx", "rdx");
    return 0;
}

static int probe_memory(void)
{
    void *page = new_page(), *more;

    if (mprotect(page, 4096, PROT_NONE) < 0 || madvise(page, 4096, MADV_DONTNEED) < 0 || munmap(page, 4096) < 0)
        return errno;
    more = malloc(40 * 1024 * 1024);
    if (!more)
        return ENOMEM;
    free(more);
    return 0;
}

/* A frame with a payload over 64 KiB goes out of the box and comes back. */
static int probe_big_frame(void)
{
    CLEANUP(wire_free) struct wire_frame frame, got;
    static char data[200000];
    size_t len = 0;

    wire_init(&frame, 1, 2);
    wire_put_blob(&frame, data, sizeof data);
    if (wire_send(3, &frame) < 0)
        return EIO;
    if (wire_recv(3, &got) != 1)
        return EPROTO;
    wire_get_blob(&got, sizeof data, &len);
    return len == sizeof data && wire_end(&got) == 0 ? 0 : EPROTO;
}

static int probe_sigaltstack(void)
{
    stack_t stack = { .ss_sp = new_page(), .ss_size = 4096 };

    return result(sigaltstack(&stack, NULL));
}

static int probe_seccomp(void)
{
    return result(syscall(SYS_seccomp, 1, 0, NULL));
}

static int probe_raise_limit(void)
{
    struct rlimit limit = { 4096, 4096 };

    return result(setrlimit(RLIMIT_NOFILE, &limit));
}

static int probe_mount(void)
{
    return result(syscall(SYS_mount, "none", home, "tmpfs", 0, NULL));
}

static int probe_io_uring(void)
{
    return result(syscall(SYS_io_uring_setup, 1, NULL));
}

static int probe_unlisted(void)
{
    return result(syscall(SYS_sync));
}

static int probe_dumpable(void)
{
    return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
}

static int probe_secret_memory(void)
{
    void *page = new_page();

    if (mlock(page, 4096) < 0)
        return errno;
    return result(madvise(page, 4096, MADV_WIPEONFORK) + madvise(page, 4096, MADV_DONTDUMP));
}

/* Answers every frame with itself. */
static void echo_frames(int socket)
{
    struct wire_frame frame;

    while (wire_recv(socket, &frame) == 1) {
        wire_send(socket, &frame);
        wire_free(&frame);
    }
    _exit(0);
}

static int confine_child(enum confine_role role, int stage)
{
    static const char *const none[] = { NULL };
    const char *const rw[] = { home, NULL };
    const struct confine_paths paths = { none, rw };
    const bool box = role == CONFINE_WORKER || role == CONFINE_COMPILE;
    struct confine_report report;
    struct err err = ERR_INIT;
    int r = confine_begin(role, box ? NULL : &paths, 256 * 1024 * 1024, &report, &err);

    if (r == 0 && stage == 2)
        r = confine_tighten(role, &err);
    if (r < 0)
        fprintf(stderr, "%s\n", err.message);
    return r;
}

/* What `probe` met: 0, an errno, or KILLED. */
static int run_probe(enum confine_role role, int stage, probe_fn *probe)
{
    int sockets[2], status = 0;
    pid_t pid, echo;

    assert_int_equal(wire_pair(sockets), 0);
    echo = fork();
    if (echo == 0) {
        close(sockets[0]);
        echo_frames(sockets[1]);
    }
    pid = fork();
    if (pid == 0) {
        dup2(sockets[0], 3);
        signal(SIGSYS, SIG_DFL);
        signal(SIGSEGV, SIG_DFL);
        if (confine_child(role, stage) < 0)
            _exit(98);
        _exit(probe());
    }
    close(sockets[0]);
    close(sockets[1]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(waitpid(echo, NULL, 0), echo);
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGSYS ? KILLED : 1000 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

#define W        CONFINE_WORKER
#define C        CONFINE_COMPILE
#define K        CONFINE_KEEPER
#define F        CONFINE_FETCH
#define B        CONFINE_BROKER
#define LANDLOCK 1 /* holds only where the kernel has Landlock */
#define NET      4 /* ... of at least this version */

static const struct expectation {
    enum confine_role role;
    int stage;
    const char *name;
    probe_fn *probe;
    int met;
    int landlock;
} table[] = {
/* clang-format off */
#define E(role, stage, probe, met, landlock) { role, stage, #role #stage " " #probe, probe_##probe, met, landlock }
    /* clang-format on */
    E(W, 1, open_home, EACCES, 0),
    E(W, 1, open_passwd, EACCES, 0),
    E(W, 1, open_self, EACCES, 0),
    E(W, 1, stat, EACCES, 0),
    E(W, 1, socket_inet, EPERM, 0),
    E(W, 1, execve, EACCES, 0),
    E(W, 1, execveat, EACCES, 0),
    E(W, 1, ptrace, EPERM, 0),
    E(W, 1, process_vm, EPERM, 0),
    E(W, 1, kill_other, EPERM, 0),
    E(W, 1, tgkill_other, EPERM, 0),
    E(W, 1, tgkill_self, 0, 0),
    E(W, 1, fork, EPERM, 0),
    E(W, 1, thread, EPERM, 0),
    E(W, 1, mmap_exec, EACCES, 0),
    E(W, 1, run_code, 0, 0),
    E(W, 1, memory, 0, 0),
    E(W, 1, big_frame, 0, 0),
    E(W, 1, sigaltstack, 0, 0),
    E(W, 1, raise_limit, EPERM, 0),
    E(W, 1, mount, EPERM, 0),
    E(W, 1, io_uring, EPERM, 0),
    E(W, 1, unlisted, KILLED, 0),
    E(W, 1, dumpable, 0, 0),

    E(W, 2, open_passwd, EACCES, 0),
    E(W, 2, socket_inet, EPERM, 0),
    E(W, 2, execve, EACCES, 0),
    E(W, 2, execveat, EACCES, 0),
    E(W, 2, ptrace, EPERM, 0),
    E(W, 2, kill_other, EPERM, 0),
    E(W, 2, fork, EPERM, 0),
    E(W, 2, mmap_exec, EACCES, 0),
    E(W, 2, mprotect_exec, EACCES, 0),
    E(W, 2, run_code, EACCES, 0),
    E(W, 2, memory, 0, 0),
    E(W, 2, big_frame, 0, 0),
    E(W, 2, sigaltstack, CONFINE_SANITIZED ? 0 : EPERM, 0),
    E(W, 2, seccomp, EPERM, 0),
    E(W, 2, unlisted, KILLED, 0),

    E(C, 1, open_passwd, EACCES, 0),
    E(C, 1, socket_inet, EPERM, 0),
    E(C, 1, execve, EACCES, 0),
    E(C, 1, ptrace, EPERM, 0),
    E(C, 1, thread, 0, 0),
    E(C, 1, fork, KILLED, 0),
    E(C, 1, mmap_exec, EACCES, 0),
    E(C, 1, mprotect_exec, 0, 0),
    E(C, 1, run_code, 1000 + SIGSEGV, 0),
    E(C, 1, big_frame, 0, 0),
    E(C, 1, memory, 0, 0),
    E(C, 1, unlisted, KILLED, 0),

    E(K, 2, open_home, 0, 0),
    E(K, 2, write_home, 0, 0),
    E(K, 2, replace_home, 0, 0),
    E(K, 2, open_hosts, 0, 0),
    E(K, 2, open_outside, EACCES, LANDLOCK),
    E(K, 2, write_outside, EACCES, LANDLOCK),
    E(K, 2, open_passwd, EACCES, LANDLOCK),
    E(K, 2, open_usr, EACCES, LANDLOCK),
    E(K, 2, other_memory, EACCES, LANDLOCK),
    E(K, 2, socket_inet, 0, 0),
    E(K, 2, socket_netlink, EAFNOSUPPORT, 0),
    E(K, 2, socket_raw, EPERM, 0),
    E(K, 2, bind_tcp, EACCES, NET),
    E(K, 2, connect_tcp, ECONNREFUSED, 0),
    E(K, 2, bind_unix, 0, 0),
    E(K, 2, execve, EACCES, 0),
    E(K, 2, execveat, EACCES, 0),
    E(K, 2, ptrace, EPERM, 0),
    E(K, 2, process_vm, EPERM, 0),
    E(K, 2, kill_other, EPERM, 0),
    E(K, 2, fork, 0, 0),
    E(K, 2, thread, KILLED, 0),
    E(K, 2, mmap_exec, EACCES, 0),
    E(K, 2, mprotect_exec, EACCES, 0),
    E(K, 2, secret_memory, 0, 0),
    E(K, 2, big_frame, 0, 0),
    E(K, 2, seccomp, EPERM, 0),
    E(K, 2, unlisted, KILLED, 0),
    E(K, 2, dumpable, 0, 0),

    E(F, 2, open_hosts, 0, 0),
    E(F, 2, open_passwd, EACCES, LANDLOCK),
    E(F, 2, execve, EACCES, 0),
    E(F, 2, connect_tcp, ECONNREFUSED, 0),

    E(B, 1, open_home, 0, 0),
    E(B, 1, replace_home, 0, 0),
    E(B, 1, rename_across, 0, 0),
    E(B, 1, open_outside, EACCES, LANDLOCK),
    E(B, 1, write_outside, EACCES, LANDLOCK),
    E(B, 1, open_passwd, 0, 0),
    E(B, 1, open_usr, 0, 0),
    E(B, 1, other_memory, EACCES, LANDLOCK),
    E(B, 1, bind_tcp, 0, 0),
    E(B, 1, bind_unix, 0, 0),
    E(B, 1, socket_netlink, EAFNOSUPPORT, 0),
    E(B, 1, socket_raw, EPERM, 0),
    E(B, 1, execve, 0, 0),
    E(B, 1, fork, 0, 0),
    E(B, 1, thread, 0, 0),
    E(B, 1, ptrace, EPERM, 0),
    E(B, 1, process_vm, EPERM, 0),
    E(B, 1, mount, EPERM, 0),
    E(B, 1, io_uring, EPERM, 0),
    E(B, 1, dumpable, 0, 0),
    E(B, 2, unlisted, 0, 0),
};

static void test_probes(void **state)
{
    int version = landlock_version(), wrong = 0;

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        const struct expectation *row = &table[i];
        int met;

        if (row->landlock > version)
            continue;
        met = run_probe(row->role, row->stage, row->probe);
        if (met == row->met)
            continue;
        print_error("%s: met %d, expected %d\n", row->name, met, row->met);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* A keeper inside a broker's restrictions must still reach what it needs. */
static int probe_keeper_in_broker(void)
{
    if (confine_child(CONFINE_KEEPER, 2) < 0)
        return 97;
    if (probe_replace_home() || probe_open_hosts() || probe_connect_tcp() != ECONNREFUSED)
        return 96;
    return probe_execve() == EACCES ? 0 : 95;
}

static int probe_worker_in_broker(void)
{
    if (confine_child(CONFINE_WORKER, 2) < 0)
        return 97;
    return probe_big_frame();
}

static void test_nested(void **state)
{
    assert_int_equal(run_probe(CONFINE_BROKER, 2, probe_keeper_in_broker), 0);
    assert_int_equal(run_probe(CONFINE_BROKER, 2, probe_worker_in_broker), 0);
}

static int probe_data_limit(void)
{
    return malloc(300 * 1024 * 1024) ? 0 : ENOMEM;
}

static void test_data_limit(void **state)
{
    if (!CONFINE_SANITIZED)
        assert_int_equal(run_probe(CONFINE_WORKER, 1, probe_data_limit), ENOMEM);
}

static void test_describe(void **state)
{
    struct confine_report report = { true, true, true, 5 };
    char out[200];

    assert_string_equal(confine_describe(&report, out, sizeof out), "no_new_privs, undumpable, seccomp, Landlock ABI 5");
    report = (struct confine_report){ false, false, false, 0 };
    assert_string_equal(confine_describe(&report, out, sizeof out),
        "privileges can be gained, dumpable, no seccomp, no Landlock (the kernel lacks it)");
}

static int setup(void **state)
{
    char path[200];

    if (!mkdtemp(home) || !mkdtemp(outside))
        return -1;
    snprintf(path, sizeof path, "%s/a", home);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/b", home);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/file", home);
    if (file_write_atomic(AT_FDCWD, path, "x", 1, 0600, NULL) < 0)
        return -1;
    snprintf(path, sizeof path, "%s/file", outside);
    if (file_write_atomic(AT_FDCWD, path, "x", 1, 0600, NULL) < 0)
        return -1;
    other = fork();
    if (other == 0) {
        pause();
        _exit(0);
    }
    return 0;
}

static int teardown(void **state)
{
    int status;

    kill(other, SIGTERM);
    waitpid(other, &status, 0);
    /* No probe may have reached it. */
    return file_remove_tree(AT_FDCWD, home) || file_remove_tree(AT_FDCWD, outside) || WTERMSIG(status) != SIGTERM;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_probes), cmocka_unit_test(test_nested),
        cmocka_unit_test(test_data_limit), cmocka_unit_test(test_describe) };

    return cmocka_run_group_tests(tests, setup, teardown);
}
