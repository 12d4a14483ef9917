/*
 * See the header. The keeper may not send signals, so a child looks every TICK_MS whether its socket still has another end
 * and leaves when it has none: cancelled, out of time, or the keeper is gone. Its memory is a copy of the keeper's with the
 * secrets empty; it closes every descriptor but its socket before it reads anything.
 */
#include "keeper/derive.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/magic.h"
#include "keeper/client.h"

#include "base/banned.h"

#define DERIVE_MAGIC 0x64657276u
#define TIMEOUT_MS   60000
#define TICK_MS      50

enum { EXIT_DONE, EXIT_NO_MEMORY, EXIT_FAILED };

struct derive_job {
    uint32_t magic;
    struct derive *derive;
    struct derive_job *next;
    struct secret *passphrase;
    uint8_t salt[KDF_SALT_BYTES];
    int64_t ready_boot_ms;
    derive_fn *fn;
    void *userdata;
};

struct derive {
    uint32_t magic;
    struct loop *loop;
    struct derive_job *waiting; /* in the order in which they came */
    struct loop_timer *next, *timeout;
    struct derive_job *running; /* NULL while there is a child: nobody wants its result any more */
    pid_t pid;                  /* 0: no child */
    int pidfd, socket;
    struct loop_watch *watch;
};

struct header {
    uint8_t salt[KDF_SALT_BYTES];
    uint32_t len;
};

/* ---- the child ---- */

static int child_socket;

static void on_tick(int signal)
{
    static int ticks;
    struct pollfd other_end = { .fd = child_socket };

    if (++ticks > TIMEOUT_MS / TICK_MS || (poll(&other_end, 1, 0) > 0 && other_end.revents))
        _exit(EXIT_FAILED);
}

static void child_watch_other_end(void)
{
    const struct itimerval every = { { 0, TICK_MS * 1000 }, { 0, TICK_MS * 1000 } };
    struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
    sigset_t alarm;

    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    if (sigaction(SIGALRM, &action, NULL) < 0 || sigprocmask(SIG_UNBLOCK, &alarm, NULL) < 0 ||
        setitimer(ITIMER_REAL, &every, NULL) < 0)
        _exit(EXIT_FAILED);
}

/* Locks are not inherited, and a mapping kept from before the fork has lost its own. */
static void lock_again(const struct secret *secret)
{
    mlock(secret_bytes(secret), secret_len(secret));
}

static int child_derive(void)
{
    CLEANUP_PTR(secret_free) struct secret *passphrase = NULL, *key = NULL;
    struct header header;
    int r = file_read_full(child_socket, &header, sizeof header);

    if (r == 0)
        r = secret_new(header.len, &passphrase);
    if (r < 0)
        return r;
    lock_again(passphrase);
    r = file_read_full(child_socket, secret_data(passphrase), header.len);
    if (r == 0)
        r = kdf_derive(passphrase, header.salt, &key);
    return r < 0 ? r : file_write_full(child_socket, secret_bytes(key), secret_len(key));
}

static _Noreturn void child_run(int socket)
{
    int r = 0;

    if ((socket > 0 && close_range(0, (unsigned) socket - 1, 0) < 0) || close_range((unsigned) socket + 1, ~0u, 0) < 0)
        _exit(EXIT_FAILED);
    child_socket = socket;
    child_watch_other_end();
    r = child_derive();
    _exit(r == 0 ? EXIT_DONE : r == -ENOMEM ? EXIT_NO_MEMORY : EXIT_FAILED);
}

/* ---- the keeper ---- */

static void job_free(struct derive_job *job)
{
    if (!job)
        return;
    secret_free(job->passphrase);
    job->magic = 0;
    free(job);
}

/* Ends a job. Its function may free `derive`: nothing of that is touched afterwards. */
static void job_end(struct derive_job *job, int result, const struct secret *key)
{
    derive_fn *fn = job->fn;
    void *userdata = job->userdata;

    job_free(job);
    fn(result, key, userdata);
}

static void close_socket(struct derive *derive)
{
    if (derive->socket >= 0)
        close(derive->socket);
    derive->socket = -1;
}

static int send_passphrase(int socket, const struct derive_job *job)
{
    struct header header = { .len = (uint32_t) secret_len(job->passphrase) };
    struct iovec parts[] = { { &header, sizeof header }, { secret_data(job->passphrase), secret_len(job->passphrase) } };
    const struct msghdr message = { .msg_iov = parts, .msg_iovlen = ARRAY_LEN(parts) };
    ssize_t n = 0;

    memcpy(header.salt, job->salt, sizeof header.salt);
    do
        n = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : (size_t) n == parts[0].iov_len + parts[1].iov_len ? 0 : -EIO;
}

/* 0 and the key, or how it went wrong. */
static int read_key(int socket, int status, struct secret **ret_key)
{
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    ssize_t n = 0;
    int r = 0;

    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_DONE || socket < 0)
        return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_MEMORY ? -ENOMEM : -EIO;
    r = secret_new(KDF_KEY_BYTES, &key);
    if (r < 0)
        return r;
    n = recv(socket, secret_data(key), KDF_KEY_BYTES, MSG_DONTWAIT | MSG_WAITALL);
    if (n != KDF_KEY_BYTES)
        return -EIO;
    *ret_key = TAKE_PTR(key);
    return 0;
}

static void on_exit_of_child(int fd, int events, void *userdata)
{
    struct derive *derive = MAGIC_CAST(struct derive, userdata, DERIVE_MAGIC);
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    struct derive_job *job = derive->running;
    int status = 0, r = 0;

    if (waitpid(derive->pid, &status, WNOHANG) == 0)
        return;
    r = job ? read_key(derive->socket, status, &key) : 0;
    loop_watch_free(TAKE_PTR(derive->watch));
    loop_timer_stop(derive->timeout);
    close_socket(derive);
    close(TAKE_FD(derive->pidfd));
    derive->pid = 0;
    derive->running = NULL;
    loop_timer_set(derive->next, 0);
    if (job)
        job_end(job, r, key);
}

static void on_timeout(void *userdata)
{
    struct derive *derive = MAGIC_CAST(struct derive, userdata, DERIVE_MAGIC);
    struct derive_job *job = TAKE_PTR(derive->running);

    close_socket(derive);
    if (job)
        job_end(job, -EIO, NULL);
}

/* Watches the child `pid`; the job is sent to it. When that fails the socket is closed and the child leaves by itself. */
static int child_follow(struct derive *derive, pid_t pid, struct derive_job *job)
{
    int r = 0;

    derive->pid = pid;
    derive->pidfd = pidfd_open(pid, 0);
    r = derive->pidfd < 0 ? -errno
                          : loop_watch_new(derive->loop, derive->pidfd, LOOP_READ, on_exit_of_child, derive, &derive->watch);
    if (r == 0)
        r = send_passphrase(derive->socket, job);
    if (r < 0)
        close_socket(derive);
    if (!derive->watch) {
        waitpid(pid, NULL, 0);
        derive->pid = 0;
        if (derive->pidfd >= 0)
            close(TAKE_FD(derive->pidfd));
    }
    return r;
}

static int child_start(struct derive *derive, struct derive_job *job)
{
    int pair[2], r = 0;
    pid_t pid = 0;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    pid = fork();
    if (pid == 0)
        child_run(pair[1]);
    r = pid < 0 ? -errno : 0;
    close(pair[1]);
    derive->socket = pair[0];
    if (r < 0) {
        close_socket(derive);
        return r;
    }
    return child_follow(derive, pid, job);
}

static void on_next(void *userdata)
{
    struct derive *derive = MAGIC_CAST(struct derive, userdata, DERIVE_MAGIC);
    struct derive_job *job = derive->waiting;
    int64_t left_ms = job ? job->ready_boot_ms - clock_boot_ms() : 0;
    int r = 0;

    if (!job || derive->pid)
        return;
    if (left_ms > 0) {
        loop_timer_set(derive->next, left_ms);
        return;
    }
    derive->waiting = job->next;
    job->next = NULL;
    r = child_start(derive, job);
    if (r == 0) {
        derive->running = job;
        loop_timer_set(derive->timeout, TIMEOUT_MS);
        return;
    }
    if (!derive->pid)
        loop_timer_set(derive->next, 0);
    job_end(job, r == -ENOMEM ? r : -EIO, NULL);
}

int derive_new(struct loop *loop, struct derive **ret_derive)
{
    CLEANUP_PTR(derive_free) struct derive *derive = calloc(1, sizeof *derive);
    int r = 0;

    if (!derive)
        return -ENOMEM;
    *derive = (struct derive){ .magic = DERIVE_MAGIC, .loop = loop, .pidfd = -1, .socket = -1 };
    r = loop_timer_new(loop, on_next, derive, &derive->next);
    if (r == 0)
        r = loop_timer_new(loop, on_timeout, derive, &derive->timeout);
    if (r < 0)
        return r;
    *ret_derive = TAKE_PTR(derive);
    return 0;
}

void derive_free(struct derive *derive)
{
    if (!derive)
        return;
    while (derive->waiting) {
        struct derive_job *job = derive->waiting;

        derive->waiting = job->next;
        job_free(job);
    }
    job_free(derive->running);
    loop_watch_free(derive->watch);
    loop_timer_free(derive->next);
    loop_timer_free(derive->timeout);
    /* A child that is left sees its socket closed and leaves. */
    close_socket(derive);
    if (derive->pidfd >= 0)
        close(derive->pidfd);
    derive->magic = 0;
    free(derive);
}

static int append(struct derive *derive, struct derive_job *job)
{
    struct derive_job **at = &derive->waiting;
    unsigned len = 0;

    for (; *at; at = &(*at)->next)
        len++;
    if (len >= DERIVE_WAITING_MAX)
        return -EBUSY;
    *at = job;
    return 0;
}

int derive_start(struct derive *derive, const struct secret *passphrase, const uint8_t salt[KDF_SALT_BYTES], int64_t delay_ms,
    derive_fn *fn, void *userdata, struct derive_job **ret_job)
{
    struct derive_job *job = NULL;
    int r = 0;

    if (secret_len(passphrase) == 0 || secret_len(passphrase) > KEEPER_PASSPHRASE_MAX)
        return -EINVAL;
    job = calloc(1, sizeof *job);
    if (!job)
        return -ENOMEM;
    *job = (struct derive_job){
        .magic = DERIVE_MAGIC, .derive = derive, .ready_boot_ms = clock_boot_ms() + delay_ms, .fn = fn, .userdata = userdata
    };
    memcpy(job->salt, salt, sizeof job->salt);
    r = secret_from(secret_bytes(passphrase), secret_len(passphrase), &job->passphrase);
    if (r == 0)
        r = append(derive, job);
    if (r < 0) {
        job_free(job);
        return r;
    }
    loop_timer_set(derive->next, 0);
    *ret_job = job;
    return 0;
}

void derive_cancel(struct derive_job *job)
{
    struct derive *derive = NULL;

    if (!job)
        return;
    derive = MAGIC_CAST(struct derive_job, job, DERIVE_MAGIC)->derive;
    for (struct derive_job **at = &derive->waiting; *at; at = &(*at)->next)
        if (*at == job) {
            *at = job->next;
            job_free(job);
            loop_timer_set(derive->next, 0);
            return;
        }
    derive->running = NULL;
    close_socket(derive);
    job_free(job);
}
