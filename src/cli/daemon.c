/*
 * Finding, starting and stopping the daemon. It is started with a fixed
 * environment, file mode mask and folder, so that nothing of the caller's shell
 * reaches it (DESIGN §5.11). It tells over a pipe when it answers, or why not.
 */
#include "cli/daemon.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/proc.h"
#include "cli/http.h"
#include "cli/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/banned.h"

#define START_MS 20000
#define SLOW_MS  1000
#define STOP_MS  10000
#define END_MS   2000
#define ASK_MS   10000
#define RETRY_US 10000

int daemon_find(const struct home *home, pid_t *ret_pid, struct err *err)
{
    CLEANUP_CLOSE int fd = http_connect(home->daemon_sock, ret_pid, err);

    return fd < 0 ? fd : 0;
}

static int ask(const struct home *home, const char *method, const char *path, json_t **ret_json, struct err *err)
{
    struct http_request request = { .method = method, .path = path, .timeout_ms = ASK_MS };
    CLEANUP(http_response_free) struct http_response response = HTTP_RESPONSE_INIT;
    int r = http_call(home->daemon_sock, &request, &response, err);

    if (r < 0)
        return r;
    if (response.status >= 300)
        return err_set(err, EPROTO, "the daemon answered %s %s with status %d", method, path, response.status);
    return json_parse(buf_str(&response.body), response.body.len, JSON_LIMITS(HTTP_BODY_MAX), ret_json, err);
}

/* A daemon that is ending still takes connections for a moment and then drops them: that is asked again until somebody answers or nobody listens. */
int daemon_status(const struct home *home, json_t **ret_status, struct err *err)
{
    int64_t deadline = clock_boot_ms() + STOP_MS;
    int r;

    do {
        err_clear(err);
        r = ask(home, "GET", "/v1/status", ret_status, err);
    } while (r == -EPIPE && clock_boot_ms() < deadline && usleep(RETRY_US) == 0);
    return r;
}

/* Arguments after the program's name, in a fixed order, so that two starts can be compared. Returns their number. */
static size_t flag_arguments(const struct daemon_flags *flags, const char **arguments)
{
    size_t n = 0;

    for (size_t i = 0; i < flags->dev_connect_to_len; i++) {
        arguments[n++] = "--dev-connect-to";
        arguments[n++] = flags->dev_connect_to[i];
    }
    if (flags->dev_ca) {
        arguments[n++] = "--dev-ca";
        arguments[n++] = flags->dev_ca;
    }
    return n;
}

#define FLAG_ARGUMENTS_MAX (2 + 2 * DAEMON_CONNECT_TO_MAX)

/* The daemon's log exists before it can say anything, so what a crash at start prints is kept there too. */
static int start_program(
    const struct home *home, const struct daemon_flags *flags, int ready_fd, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
    const struct passwd *user = getpwuid(geteuid());
    CLEANUP_FREE char *libexec = NULL;
    CLEANUP_FREE char *program = NULL;
    CLEANUP_FREE char *home_variable = NULL;
    CLEANUP_CLOSE int program_fd = -1;
    const char *argv[8 + FLAG_ARGUMENTS_MAX] = { "aileron-broker", "--home", home->path };
    size_t n = 3;
    int r = programs_libexec(&libexec, err);

    if (r < 0)
        return r;
    if (asprintf(&program, "%s/aileron-broker", libexec) < 0 ||
        asprintf(&home_variable, "HOME=%s", user && user->pw_dir ? user->pw_dir : "/") < 0)
        return -ENOMEM;
    program_fd = open(program, O_PATH | O_CLOEXEC);
    if (program_fd < 0)
        return err_errno(err, errno, "cannot open %s", program);
    argv[n++] = "--libexec";
    argv[n++] = libexec;
    n += flag_arguments(flags, argv + n);
    argv[n++] = "--ready-fd";
    argv[n++] = "3";

    const char *const envp[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8",
        home_variable, NULL };
    struct proc_spec spec = {
        .program_fd = program_fd,
        .argv = argv,
        .envp = envp,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1,
        .fds = { ready_fd },
        .fds_len = 1,
        .die_with_parent = flags->die_with_parent,
        .new_session = true,
    };
    return proc_start(&spec, ret_pid, ret_pidfd, err);
}

/* Runs start_program with the folder and mask that the daemon shall have; both are put back. */
static int start_clean(
    const struct home *home, const struct daemon_flags *flags, int ready_fd, pid_t *ret_pid, int *ret_pidfd, struct err *err)
{
    CLEANUP_CLOSE int folder = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    mode_t mask = umask(077);
    int r = chdir("/") < 0 ? err_errno(err, errno, "cannot go to /") : 0;

    if (r >= 0)
        r = start_program(home, flags, ready_fd, ret_pid, ret_pidfd, err);
    umask(mask);
    if (folder >= 0 && fchdir(folder) < 0 && r >= 0)
        r = err_errno(err, errno, "cannot go back to the current folder");
    return r;
}

/* What came over the ready pipe: "ok", or a line of error and perhaps a hint. */
static int read_verdict(const struct home *home, const struct buf *text, struct err *err)
{
    char *hint = strchr(buf_str(text), '\n');
    size_t len = hint ? (size_t) (hint - buf_str(text)) : text->len;

    if (hint && len == 2 && !memcmp(text->data, "ok", 2))
        return 0;
    if (!len) {
        err_set(err, EIO, "the daemon ended while it was starting");
        err_hint(err, "its log: %s/log/daemon.log", home->path);
        return DAEMON_FAILED;
    }
    err_set(err, EIO, "the daemon could not be started: %.*s", (int) len, text->data);
    hint = hint ? hint + 1 : NULL;
    if (hint && !strncmp(hint, "hint: ", 6))
        err_hint(err, "%.*s", (int) strcspn(hint + 6, "\n"), hint + 6);
    else
        err_hint(err, "its log: %s/log/daemon.log", home->path);
    return DAEMON_FAILED;
}

/* Waits for bytes on the ready pipe: 0, or DAEMON_FAILED when the time is over. */
static int wait_ready(const struct home *home, int fd, void (**slow)(void), int64_t start_ms, struct err *err)
{
    for (;;) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        int64_t left = start_ms + (*slow ? SLOW_MS : START_MS) - clock_boot_ms();
        int n = left > 0 ? poll(&poll_fd, 1, (int) left) : 0;

        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "cannot wait for the daemon");
        if (n == 0 && *slow) {
            (*slow)();
            *slow = NULL;
        } else if (n == 0) {
            err_set(err, ETIMEDOUT, "the daemon did not answer within %d s", START_MS / 1000);
            err_hint(err, "its log: %s/log/daemon.log", home->path);
            return DAEMON_FAILED;
        }
    }
}

/* Reads the ready pipe to its end, or until "ok" is there. */
static int await_ready(const struct home *home, int fd, void (*slow)(void), struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(2048);
    int64_t start_ms = clock_boot_ms();

    for (;;) {
        char data[256];
        int r = wait_ready(home, fd, &slow, start_ms, err);
        ssize_t n = r == 0 ? read(fd, data, sizeof(data)) : 0;

        if (r != 0)
            return r;
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || buf_add(&text, data, (size_t) n) < 0)
            return read_verdict(home, &text, err);
        if (text.len >= 3 && !memcmp(text.data, "ok\n", 3))
            return 0;
    }
}

/* A daemon that gave up is about to close its socket: whoever starts the next one must not find it still there. */
static void await_end(int pidfd)
{
    struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

    while (poll(&poll_fd, 1, END_MS) < 0 && errno == EINTR)
        ;
}

/* One at a time in a home: the lock is on the folder and goes with the descriptor. */
static int lock_home(const struct home *home, struct err *err)
{
    CLEANUP_CLOSE int fd = open(home->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", home->path);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return err_errno(err, errno, "cannot lock %s", home->path);
    return TAKE_FD(fd);
}

static bool is_nobody(int r)
{
    return r == -ENOENT || r == -ECONNREFUSED;
}

/* Nobody listens, but a daemon that is ending may still hold its lock; waits for that. */
static void await_unlock(const struct home *home)
{
    CLEANUP_FREE char *path = home_file(home, "daemon.lock");
    CLEANUP_CLOSE int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
    int64_t deadline = clock_boot_ms() + STOP_MS;

    while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && clock_boot_ms() < deadline)
        usleep(RETRY_US);
}

/* Inside the fence (confine/fence.h) a home is read only and holds the agent's socket and a session, nothing else. */
static int check_outside(const struct home *home, struct err *err)
{
    CLEANUP_FREE char *session = NULL;
    struct statvfs st;

    if (asprintf(&session, "%s/session", home->socket_dir) < 0)
        return -ENOMEM;
    if (access(session, F_OK) < 0 || statvfs(home->path, &st) < 0 || !(st.f_flag & ST_RDONLY))
        return 0;
    err_set(err, EPERM, "this is inside the fence around an agent, where only the agent's own tools reach Aileron");
    err_hint(err, "use a terminal of your own; docs/launch.md");
    return -EPERM;
}

int daemon_start(const struct home *home, const struct daemon_flags *flags, bool *ret_started, struct err *err)
{
    CLEANUP_JSON json_t *status = NULL;
    CLEANUP_CLOSE int lock = -1;
    CLEANUP_CLOSE int pidfd = -1;
    int ready[2], r;
    pid_t pid;

    *ret_started = false;
    r = check_outside(home, err);
    if (r >= 0)
        r = home_create(home, err);
    if (r < 0)
        return r;
    lock = lock_home(home, err);
    if (lock < 0)
        return lock;
    r = daemon_status(home, &status, err);
    if (!is_nobody(r))
        return r;
    err_clear(err);
    await_unlock(home);
    if (pipe2(ready, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    r = start_clean(home, flags, ready[1], &pid, &pidfd, err);
    close(ready[1]);
    if (r >= 0)
        r = await_ready(home, ready[0], flags->slow, err);
    close(ready[0]);
    if (r != 0 && pidfd >= 0)
        await_end(pidfd);
    *ret_started = r == 0;
    return r;
}

int daemon_stop(const struct home *home, bool *ret_stopped, struct err *err)
{
    CLEANUP_JSON json_t *answer = NULL;
    CLEANUP_CLOSE int pidfd = -1;
    pid_t pid = 0, again = 0;
    int r = daemon_find(home, &pid, err);

    *ret_stopped = false;
    if (is_nobody(r)) {
        err_clear(err);
        return 0;
    }
    if (r < 0)
        return r;
    pidfd = pidfd_open(pid, 0);
    if (pidfd < 0)
        return err_errno(err, errno, "cannot watch process %d", (int) pid);
    /* The number may have been given to another process in between; if the same one still listens, it was not. */
    r = daemon_find(home, &again, err);
    if (r < 0 || again != pid)
        return r < 0 && !is_nobody(r) ? r : 0;
    r = ask(home, "POST", "/v1/stop", &answer, err);
    if (r < 0 && pidfd_send_signal(pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
        return r;
    for (int patience = STOP_MS;; patience = 1000) {
        struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

        r = poll(&poll_fd, 1, patience);
        if (r > 0)
            break;
        if (r == 0)
            pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    }
    err_clear(err);
    *ret_stopped = true;
    return 0;
}

int daemon_same_flags(const struct home *home, const struct daemon_flags *flags, struct err *err)
{
    CLEANUP_JSON json_t *status = NULL;
    const char *wanted[FLAG_ARGUMENTS_MAX];
    size_t wanted_len = flag_arguments(flags, wanted);
    const json_t *active;
    int r = daemon_status(home, &status, err);

    if (r < 0)
        return r;
    active = json_object_get(status, "overrides");
    if (json_array_size(active) * 2 != wanted_len)
        return 1;
    for (size_t i = 0; i < wanted_len; i += 2) {
        const char *have = json_string_value(json_array_get(active, i / 2));
        size_t len = strlen(wanted[i]);

        if (!have || strncmp(have, wanted[i], len) != 0 || have[len] != ' ' || strcmp(have + len + 1, wanted[i + 1]) != 0)
            return 1;
    }
    return 0;
}
