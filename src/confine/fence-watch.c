/*
 * Looking at calls from outside. A call is carried out here, on the caller's own
 * socket, with values that were copied once: what the caller changes in its memory
 * or its descriptors meanwhile changes nothing. Only a call whose worst outcome
 * is harmless is let through as it stands.
 */
#include "confine/fence-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "base/banned.h"

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif

#define PORTS_MAX 32
#define PORT_FILE "daemon.port"

struct call {
    const struct watch *watch;
    uint64_t id;
    pid_t thread;
    int64_t args[6];
};

/* Every port that the daemon had since the fence was put up: a page may still be open at each. */
static unsigned ports[PORTS_MAX];
static size_t ports_len;

static void learn_port(const struct watch *watch)
{
    CLEANUP_CLOSE int fd = openat(watch->home, PORT_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char text[16];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    unsigned port;

    if (n <= 0)
        return;
    text[n] = '\0';
    port = (unsigned) strtoul(text, NULL, 10);
    for (size_t i = 0; i < ports_len; i++)
        if (ports[i] == port)
            return;
    if (!port || port > UINT16_MAX)
        return;
    if (ports_len == PORTS_MAX)
        memmove(ports, ports + 1, --ports_len * sizeof(ports[0]));
    ports[ports_len++] = port;
}

static bool is_ours(const struct watch *watch, unsigned port)
{
    learn_port(watch);
    for (size_t i = 0; i < ports_len; i++)
        if (ports[i] == port)
            return true;
    return false;
}

/* Answers with `value`, or -errno below 0. */
static void answer(const struct call *call, int value)
{
    struct seccomp_notif_resp response = { .id = call->id, .val = value < 0 ? 0 : value, .error = value < 0 ? value : 0 };

    ioctl(call->watch->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void let_through(const struct call *call)
{
    struct seccomp_notif_resp response = { .id = call->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

    ioctl(call->watch->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static bool still_waits(const struct call *call)
{
    return ioctl(call->watch->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &call->id) == 0;
}

/* The process of a thread, or -ESRCH. */
static pid_t process_of(const struct call *call)
{
    char path[32], text[1024];
    CLEANUP_CLOSE int fd = -1;
    const char *found;
    ssize_t n;

    snprintf(path, sizeof(path), "%d/status", (int) call->thread);
    fd = openat(call->watch->proc, path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (n <= 0)
        return -ESRCH;
    text[n] = '\0';
    found = strstr(text, "\nTgid:");
    return found ? (pid_t) strtol(found + 6, NULL, 10) : -ESRCH;
}

/* A descriptor of the caller's file behind its first argument; -errno. */
static int take_file(const struct call *call)
{
    pid_t process = process_of(call);
    CLEANUP_CLOSE int pidfd = process > 0 ? pidfd_open(process, 0) : -1;
    CLEANUP_CLOSE int fd = pidfd < 0 ? -1 : pidfd_getfd(pidfd, (int) call->args[0], 0);

    if (process > 0 && pidfd >= 0 && fd < 0)
        return errno == EBADF ? -EBADF : -EPERM;
    /* Until here the number may have become another process's. */
    return fd >= 0 && still_waits(call) ? TAKE_FD(fd) : -EPERM;
}

static bool is_internet(int fd)
{
    int domain = 0;
    socklen_t len = sizeof(domain);

    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && (domain == AF_INET || domain == AF_INET6);
}

/* The port that the socket has; 0 when none. */
static unsigned port_of(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = { 0 };
    socklen_t len = sizeof(address);

    if (getsockname(fd, &address.any, &len) < 0)
        return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

/* A socket without a port gets one when it begins to listen: here it gets it before, so that it can be seen. */
static int choose_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = { 0 };
    socklen_t len = sizeof(address);

    if (getsockname(fd, &address.any, &len) < 0)
        return -errno;
    return bind(fd, &address.any, len) < 0 && errno != EINVAL ? -errno : 0;
}

static void on_listen(const struct call *call)
{
    CLEANUP_CLOSE int fd = take_file(call);
    int r = fd;

    if (fd >= 0 && is_internet(fd)) {
        r = port_of(fd) ? 0 : choose_port(fd);
        if (r >= 0 && is_ours(call->watch, port_of(fd)))
            r = -EADDRINUSE;
    }
    if (r >= 0)
        r = listen(fd, (int) call->args[1]) < 0 ? -errno : 0;
    answer(call, r);
}

/*
 * For the internet it is done here. Anything else has a name in a file system or a space of its own and is let through; whoever
 * swaps the socket meanwhile gets a port that it still cannot listen on.
 */
static void on_bind(const struct call *call)
{
    CLEANUP_CLOSE int fd = take_file(call);
    union {
        struct sockaddr any;
        struct sockaddr_in v4; /* its port is where that of IPv6 is */
        char data[128];
    } address = { 0 };
    size_t len = (size_t) (uint32_t) call->args[2] < sizeof(address) ? (uint32_t) call->args[2] : sizeof(address);
    struct iovec here = { &address, len }, there = { (void *) (uintptr_t) call->args[1], len };

    if (fd < 0) {
        answer(call, fd);
    } else if (!is_internet(fd)) {
        let_through(call);
    } else if (process_vm_readv(call->thread, &here, 1, &there, 1, 0) != (ssize_t) len || !still_waits(call)) {
        answer(call, -EFAULT);
    } else if (len >= 4 && is_ours(call->watch, ntohs(address.v4.sin_port))) {
        answer(call, -EADDRINUSE);
    } else {
        answer(call, bind(fd, &address.any, (socklen_t) len) < 0 ? -errno : 0);
    }
}

/* Gives `fd` to the caller, as the answer if `last`. The new number, or -errno. */
static int give(const struct call *call, int fd, bool close_on_exec, bool last)
{
    struct seccomp_notif_addfd add = { .id = call->id,
        .flags = last ? SECCOMP_ADDFD_FLAG_SEND : 0,
        .srcfd = (uint32_t) fd,
        .newfd_flags = close_on_exec ? O_CLOEXEC : 0 };
    int number = ioctl(call->watch->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);

    return number < 0 ? -errno : number;
}

/* A unix socket of this process's network, in which no abstract name but those of the inside exists. */
static void on_socket(const struct call *call)
{
    int type = (int) call->args[1], r;
    CLEANUP_CLOSE int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, (int) call->args[2]);

    r = fd < 0 ? -errno : give(call, fd, type & SOCK_CLOEXEC, true);
    if (r < 0)
        answer(call, r);
}

/* Two connected datagram sockets: each could still send to a name. */
static void on_socketpair(const struct call *call)
{
    int type = (int) call->args[1], pair[2] = { -1, -1 }, numbers[2] = { -1, -1 }, r = 0;
    struct iovec here = { numbers, sizeof(numbers) }, there = { (void *) (uintptr_t) call->args[3], sizeof(numbers) };

    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, (int) call->args[2], pair) < 0)
        r = -errno;
    for (size_t i = 0; i < 2 && r >= 0; i++)
        r = numbers[i] = give(call, pair[i], type & SOCK_CLOEXEC, false);
    if (r >= 0 && process_vm_writev(call->thread, &here, 1, &there, 1, 0) != sizeof(numbers))
        r = -EFAULT;
    answer(call, r < 0 ? r : 0);
    for (size_t i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

static const struct {
    int syscall;
    void (*look)(const struct call *call);
} looks[] = { { SYS_listen, on_listen }, { SYS_bind, on_bind }, { SYS_socket, on_socket }, { SYS_socketpair, on_socketpair } };

static void look(const struct watch *watch)
{
    struct seccomp_notif notice = { 0 };
    struct call call = { .watch = watch };

    if (ioctl(watch->listener, SECCOMP_IOCTL_NOTIF_RECV, &notice) < 0)
        return; /* the caller is gone already */
    call.id = notice.id;
    call.thread = (pid_t) notice.pid;
    for (size_t i = 0; i < ARRAY_LEN(call.args); i++)
        call.args[i] = (int64_t) notice.data.args[i];
    for (size_t i = 0; i < ARRAY_LEN(looks); i++) {
        if (looks[i].syscall == notice.data.nr) {
            looks[i].look(&call);
            return;
        }
    }
    answer(&call, -ENOSYS);
}

void watch_run(const struct watch *watch)
{
    learn_port(watch);
    for (;;) {
        struct pollfd fds[] = { { .fd = watch->child, .events = POLLIN }, { .fd = watch->listener, .events = POLLIN },
            { .fd = watch->channel, .events = 0 } };

        if (poll(fds, ARRAY_LEN(fds), -1) < 0 && errno != EINTR)
            return;
        if (fds[1].revents & POLLIN)
            look(watch);
        if (fds[0].revents || fds[2].revents)
            return;
    }
}
