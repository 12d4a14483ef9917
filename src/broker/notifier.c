/*
 * The helper that runs notify.command: one thread, one poll. It believes nothing that it is sent: the command is checked as the
 * owner's setting is (notify_check), and id, action and URL have to look like what they are, so that they are inert whatever
 * program gets them. At most four run at once, each for at most 30 seconds, in a session of its own, without a descriptor but
 * /dev/null and with an environment made here. The broker's end closes the socket, and that ends everything.
 */
#include "broker/notify.h"

#include "base/clock.h"
#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/banned.h"

#define RUNNING_MAX   4
#define WAITING_MAX   1000
#define RUN_MS        30000
#define URL_HEAD      "http://127.0.0.1:"
#define CROCKFORD     "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
#define ACTION_LETTER "abcdefghijklmnopqrstuvwxyz0123456789._-"
#define ENV_MAX       16

struct run {
    char command[PATH_MAX];
    char id[64], action[80], url[160];
};

struct running {
    pid_t pid;
    int pidfd; /* -1: free */
    int64_t end_ms;
};

struct notifier {
    const char *home, *socket_dir;
    struct running running[RUNNING_MAX];
    struct run *waiting[WAITING_MAX]; /* the oldest first */
    size_t waiting_len;
    char *env[ENV_MAX]; /* the same for every run */
    size_t env_len;
};

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
    CLEANUP(wire_free) struct wire_frame frame = { 0 };
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    wire_init(&frame, NOTIFY_FAILED, 0);
    wire_put_str(&frame, text);
    wire_send(NOTIFY_FD, &frame);
}

/* --- what may be run --- */

static bool is_inside(const char *path, const char *folder)
{
    char resolved[PATH_MAX];
    size_t len;

    if (!folder || !realpath(folder, resolved))
        return false;
    len = strlen(resolved);
    return !strncmp(path, resolved, len) && (path[len] == '/' || !path[len]);
}

int notify_check(const char *command, const char *home, const char *socket_dir, char resolved[PATH_MAX], struct err *err)
{
    struct stat st;

    if (command[0] != '/')
        return err_set(err, EINVAL, "notify.command must be the absolute path of a program, without arguments");
    if (!realpath(command, resolved) || stat(resolved, &st) < 0)
        return err_errno(err, errno, "notify.command: %s", command);
    if (!S_ISREG(st.st_mode) || access(resolved, X_OK) < 0)
        return err_set(err, EACCES, "notify.command: %s is no program that can be executed", command);
    if ((st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH)))
        return err_set(err, EPERM, "notify.command: %s can be changed by another user", command);
    if (is_inside(resolved, home) || is_inside(resolved, socket_dir))
        return err_set(err, EPERM, "notify.command: %s lies where the daemon itself may write; keep it elsewhere", command);
    return 0;
}

static bool consists_of(const char *text, const char *letters, size_t least, size_t most)
{
    size_t len = strlen(text);

    return len >= least && len <= most && strspn(text, letters) == len;
}

/* "http://127.0.0.1:PORT/approvals/ID" of this id. */
static bool is_url(const char *url, const char *id)
{
    const char *at = url + strlen(URL_HEAD);
    size_t digits;
    char tail[96];

    if (strncmp(url, URL_HEAD, strlen(URL_HEAD)) != 0)
        return false;
    digits = strspn(at, "0123456789");
    snprintf(tail, sizeof tail, "/approvals/%s", id);
    return digits >= 1 && digits <= 5 && !strcmp(at + digits, tail);
}

static bool is_inert(const struct run *run)
{
    return !strncmp(run->id, "apr_", 4) && consists_of(run->id + 4, CROCKFORD, 26, 26) && run->action[0] != '-' &&
           run->action[0] != '.' && consists_of(run->action, ACTION_LETTER, 1, 64) && is_url(run->url, run->id);
}

/* --- running --- */

static void env_add(struct notifier *notifier, const char *name, const char *value)
{
    if (notifier->env_len + 1 < ENV_MAX && asprintf(&notifier->env[notifier->env_len], "%s=%s", name, value) >= 0)
        notifier->env_len++;
}

/* The user's own, as a log-in would make it: nothing is taken from whoever started the daemon. */
static void make_environment(struct notifier *notifier)
{
    const struct passwd *user = getpwuid(geteuid());
    char runtime[64], bus[128];
    struct stat st;

    env_add(notifier, "PATH", "/usr/local/bin:/usr/bin:/bin");
    env_add(notifier, "LANG", "C.UTF-8");
    if (user) {
        env_add(notifier, "HOME", user->pw_dir);
        env_add(notifier, "USER", user->pw_name);
        env_add(notifier, "LOGNAME", user->pw_name);
    }
    snprintf(runtime, sizeof runtime, "/run/user/%u", (unsigned) geteuid());
    if (lstat(runtime, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return;
    env_add(notifier, "XDG_RUNTIME_DIR", runtime);
    snprintf(bus, sizeof bus, "unix:path=%s/bus", runtime);
    env_add(notifier, "DBUS_SESSION_BUS_ADDRESS", bus);
}

/* `value` points into the run; freed with free_environment(). */
static int run_environment(const struct notifier *notifier, const struct run *run, char *ret_env[ENV_MAX + 4])
{
    const struct {
        const char *name, *value;
    } own[] = { { "AILERON_APPROVAL_ID", run->id }, { "AILERON_ACTION", run->action }, { "AILERON_REVIEW_URL", run->url } };
    size_t n = 0;

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (asprintf(&ret_env[n++], "%s=%s", own[i].name, own[i].value) < 0)
            return -ENOMEM;
    for (size_t i = 0; i < notifier->env_len; i++)
        ret_env[n++] = notifier->env[i];
    ret_env[n] = NULL;
    return 0;
}

static int spawn(char *const argv[], char *const env[], pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int r;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, NOTIFY_FD);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    r = posix_spawn(ret_pid, argv[0], &actions, &attributes, argv, env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

static void start(struct notifier *notifier, struct running *slot, struct run *run)
{
    char resolved[PATH_MAX], *env[ENV_MAX + 4] = { NULL };
    char *argv[] = { resolved, run->id, run->action, run->url, NULL };
    struct err err = ERR_INIT;
    int r = notify_check(run->command, notifier->home, notifier->socket_dir, resolved, &err);

    if (r >= 0)
        r = run_environment(notifier, run, env);
    if (r >= 0) {
        r = spawn(argv, env, &slot->pid);
        if (r < 0)
            err_errno(&err, -r, "notify.command: %s could not be started", run->command);
    }
    for (size_t i = 0; i < 3; i++)
        free(env[i]);
    if (r < 0) {
        tell("%s", err.message);
        return;
    }
    slot->pidfd = pidfd_open(slot->pid, 0);
    slot->end_ms = clock_boot_ms() + RUN_MS;
    if (slot->pidfd < 0) {
        kill(-slot->pid, SIGKILL);
        waitpid(slot->pid, NULL, 0);
    }
}

static struct running *free_slot(struct notifier *notifier)
{
    for (size_t i = 0; i < RUNNING_MAX; i++)
        if (notifier->running[i].pidfd < 0)
            return &notifier->running[i];
    return NULL;
}

static void start_waiting(struct notifier *notifier)
{
    struct running *slot;

    while (notifier->waiting_len && (slot = free_slot(notifier))) {
        struct run *run = notifier->waiting[0];

        memmove(notifier->waiting, notifier->waiting + 1, --notifier->waiting_len * sizeof *notifier->waiting);
        start(notifier, slot, run);
        free(run);
    }
}

/* It has ended, or its time is over: the whole session goes with it. */
static void end_running(struct running *slot, bool timed_out)
{
    int status = 0;

    kill(-slot->pid, SIGKILL);
    waitpid(slot->pid, &status, 0);
    close(slot->pidfd);
    slot->pidfd = -1;
    if (timed_out)
        tell("notify.command was ended after %d s", RUN_MS / 1000);
    else if (WIFSIGNALED(status))
        tell("notify.command was ended by signal %d", WTERMSIG(status));
    else if (WEXITSTATUS(status))
        tell("notify.command ended with status %d", WEXITSTATUS(status));
}

/* --- the socket --- */

static int take(struct notifier *notifier, struct wire_frame *frame)
{
    CLEANUP_FREE struct run *run = calloc(1, sizeof *run);

    if (!run)
        return 0;
    if (frame->type != NOTIFY_RUN)
        return -EPROTO;
    snprintf(run->command, sizeof run->command, "%s", wire_get_str(frame, PATH_MAX - 1));
    snprintf(run->id, sizeof run->id, "%s", wire_get_str(frame, sizeof run->id - 1));
    snprintf(run->action, sizeof run->action, "%s", wire_get_str(frame, sizeof run->action - 1));
    snprintf(run->url, sizeof run->url, "%s", wire_get_str(frame, sizeof run->url - 1));
    if (wire_end(frame) < 0)
        return -EPROTO;
    if (!is_inert(run))
        tell("notify.command was not run: that is no approval");
    else if (notifier->waiting_len == WAITING_MAX)
        tell("notify.command is too slow: %s was not told", run->id);
    else
        notifier->waiting[notifier->waiting_len++] = TAKE_PTR(run);
    return 0;
}

/* False when the broker has gone, or says what no broker of ours says. */
static bool read_socket(struct notifier *notifier)
{
    CLEANUP(wire_free) struct wire_frame frame = { 0 };
    int r = wire_recv(NOTIFY_FD, &frame);

    return r == -EAGAIN || r == -EINTR || (r > 0 && take(notifier, &frame) >= 0);
}

static int next_wait_ms(const struct notifier *notifier)
{
    int64_t now = clock_boot_ms(), next = -1;

    for (size_t i = 0; i < RUNNING_MAX; i++) {
        int64_t left = notifier->running[i].end_ms > now ? notifier->running[i].end_ms - now : 0;

        if (notifier->running[i].pidfd >= 0 && (next < 0 || left < next))
            next = left;
    }
    return (int) next;
}

/* One turn. False: the end. */
static bool turn(struct notifier *notifier)
{
    struct pollfd fds[RUNNING_MAX + 1];
    int64_t now;

    for (size_t i = 0; i < RUNNING_MAX; i++)
        fds[i] = (struct pollfd){ .fd = notifier->running[i].pidfd, .events = POLLIN };
    fds[RUNNING_MAX] = (struct pollfd){ .fd = NOTIFY_FD, .events = POLLIN };
    if (poll(fds, RUNNING_MAX + 1, next_wait_ms(notifier)) < 0 && errno != EINTR)
        return false;
    now = clock_boot_ms();
    for (size_t i = 0; i < RUNNING_MAX; i++) {
        struct running *slot = &notifier->running[i];

        if (slot->pidfd >= 0 && (fds[i].revents || now >= slot->end_ms))
            end_running(slot, !fds[i].revents);
    }
    if (fds[RUNNING_MAX].revents && !read_socket(notifier))
        return false;
    start_waiting(notifier);
    return true;
}

int notifier_main(const char *home, const char *socket_dir)
{
    struct notifier notifier = { .home = home, .socket_dir = socket_dir };
    const struct rlimit no_core = { 0, 0 };

    /* It knows no secret; that none of the daemon's programs leaves a core is easier to believe than that one may. */
    setrlimit(RLIMIT_CORE, &no_core);
    signal(SIGINT, SIG_IGN);
    for (size_t i = 0; i < RUNNING_MAX; i++)
        notifier.running[i].pidfd = -1;
    if (fcntl(NOTIFY_FD, F_SETFD, FD_CLOEXEC) < 0 || chdir("/") < 0)
        return 1;
    make_environment(&notifier);
    while (turn(&notifier))
        continue;
    for (size_t i = 0; i < RUNNING_MAX; i++)
        if (notifier.running[i].pidfd >= 0)
            kill(-notifier.running[i].pid, SIGKILL);
    return 0;
}
