/* The attempts of probe.h: plain system calls, as code of an attacker would make them. */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#define PAGE 4096

static int outcome(long result)
{
    return result < 0 ? errno : 0;
}

static int open_file(void)
{
    return outcome(open("/etc/passwd", O_RDONLY));
}

static int open_folder(void)
{
    return outcome(open("/", O_PATH));
}

static int open_own_memory(void)
{
    return outcome(open("/proc/self/mem", O_RDWR));
}

static int create_file(void)
{
    int fd = open("/tmp", O_TMPFILE | O_WRONLY, 0600);

    return outcome(fd);
}

static int stat_file(void)
{
    struct stat st;

    return outcome(stat("/etc/passwd", &st));
}

static int unlink_file(void)
{
    int r = outcome(unlink("/nonexistent-for-this-probe"));

    return r == ENOENT ? 0 : r;
}

static int socket_inet(void)
{
    return outcome(socket(AF_INET, SOCK_STREAM, 0));
}

static int socket_unix(void)
{
    return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int socket_pair(void)
{
    int pair[2];

    return outcome(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
}

static int connect_somewhere(void)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(INADDR_LOOPBACK) } };
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    return outcome(connect(fd < 0 ? 3 : fd, (struct sockaddr *) &to, sizeof(to)));
}

static int execute(void)
{
    char *const argv[] = { (char *) "true", NULL };

    return outcome(execve("/bin/true", argv, argv + 1));
}

static int execute_descriptor(void)
{
    char *const argv[] = { (char *) "x", NULL };
    int fd = memfd_create("x", 0), program = 0;
    char bytes[65536];
    ssize_t n = 0;

    if (fd < 0)
        return errno;
    program = open("/bin/true", O_RDONLY);
    while (program >= 0 && (n = read(program, bytes, sizeof(bytes))) > 0)
        if (write(fd, bytes, (size_t) n) != n)
            return EIO;
    return outcome(syscall(SYS_execveat, fd, "", argv, argv + 1, AT_EMPTY_PATH));
}

static int fork_child(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        _exit(0);
    return outcome(pid);
}

static int trace_me(void)
{
    return outcome(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int trace_parent(void)
{
    return outcome(ptrace(PTRACE_SEIZE, getppid(), NULL, NULL));
}

static int read_parent(void)
{
    char byte = 0;
    struct iovec to = { &byte, 1 }, from = { (void *) &outcome, 1 };

    return outcome(process_vm_readv(getppid(), &to, 1, &from, 1, 0));
}

static int signal_parent(void)
{
    return outcome(kill(getppid(), 0));
}

static int map_code(void)
{
    return outcome((long) (intptr_t) mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int map_writable_code(void)
{
    return outcome((long) (intptr_t) mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static int map_descriptor_code(void)
{
    int fd = memfd_create("x", 0);

    if (fd < 0)
        return errno;
    if (ftruncate(fd, PAGE) < 0)
        return errno;
    return outcome((long) (intptr_t) mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
}

static int turn_data_into_code(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return errno;
    return outcome(mprotect(page, PAGE, PROT_READ | PROT_EXEC));
}

static int turn_data_into_code_with_key(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (page == MAP_FAILED)
        return errno;
    return outcome(syscall(SYS_pkey_mprotect, page, PAGE, PROT_READ | PROT_EXEC, -1));
}

static int become_dumpable(void)
{
    return outcome(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int raise_limit(void)
{
    struct rlimit limit = { 1 << 20, 1 << 20 };

    return outcome(setrlimit(RLIMIT_CORE, &limit));
}

static int new_namespace(void)
{
    return outcome(unshare(CLONE_NEWUSER));
}

static int load_bpf(void)
{
    union bpf_attr attr;

    memset(&attr, 0, sizeof(attr));
    return outcome(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int io_ring(void)
{
    char params[120] = { 0 };

    return outcome(syscall(SYS_io_uring_setup, 1, params));
}

static int fault_handler(void)
{
    return outcome(syscall(SYS_userfaultfd, 0));
}

static int pipes(void)
{
    int ends[2];

    return outcome(pipe2(ends, 0));
}

static int change_folder(void)
{
    return outcome(chdir("/"));
}

const struct probe probes[] = {
    { "open", open_file, false },
    { "open a folder", open_folder, false },
    { "open /proc/self/mem", open_own_memory, false },
    { "create a file", create_file, false },
    { "stat", stat_file, false },
    { "unlink", unlink_file, false },
    { "socket AF_INET", socket_inet, false },
    { "socket AF_UNIX", socket_unix, false },
    { "socketpair", socket_pair, false },
    { "connect", connect_somewhere, false },
    { "execve", execute, false },
    { "execveat of a memfd", execute_descriptor, false },
    { "fork", fork_child, false },
    { "ptrace itself", trace_me, false },
    { "ptrace the parent", trace_parent, true },
    { "read the parent's memory", read_parent, true },
    { "signal the parent", signal_parent, false },
    { "mmap(PROT_EXEC)", map_code, false },
    { "mmap(PROT_WRITE|PROT_EXEC)", map_writable_code, false },
    { "mmap(PROT_EXEC) of a memfd", map_descriptor_code, false },
    { "mprotect(PROT_EXEC)", turn_data_into_code, false },
    { "pkey_mprotect(PROT_EXEC)", turn_data_into_code_with_key, false },
    { "become dumpable", become_dumpable, false },
    { "setrlimit", raise_limit, true },
    { "unshare", new_namespace, true },
    { "bpf", load_bpf, true },
    { "io_uring", io_ring, true },
    { "userfaultfd", fault_handler, true },
    { "pipe", pipes, false },
    { "chdir", change_folder, false },
};

const size_t probes_len = sizeof(probes) / sizeof(probes[0]);
