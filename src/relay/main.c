/*
 * aileron-mcp: what an agent starts to speak MCP with Aileron over stdin and
 * stdout. It carries lines to agent.sock and back, and answers itself only what the daemon cannot. Static
 * and libc only, so that it starts at once and runs in any container that has the socket mounted.
 *
 * A launcher gives it a session by AILERON_AGENT_SOCKET and the token, which
 * AILERON_SESSION_TOKEN holds, or the file that AILERON_SESSION_FILE names: then
 * it stands in nobody's environment. Started by hand it opens one of its own,
 * starting the daemon if need be, and ends it when the agent goes. A daemon that goes
 * later is not started again: who stopped it may have meant it.
 */
#include "base/err.h"
#include "base/home.h"
#include "relay/pump.h"
#include "relay/session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/banned.h"

#define QUIET_MS 60000

static const char USAGE[] = "usage: aileron-mcp [--agent NAME]\n"
                            "\n"
                            "Speaks MCP on standard input and output; an agent starts it. With AILERON_SESSION_TOKEN and\n"
                            "AILERON_AGENT_SOCKET it uses that session, otherwise it opens one, under NAME.\n";

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void) number;
    stopped = 1;
}

static int fail(const struct err *err)
{
    fprintf(stderr, "aileron-mcp: %s\n", err->message);
    if (err->hint[0])
        fprintf(stderr, "   hint: %s\n", err->hint);
    return 1;
}

/* The three polite signals end the loop; they are let through only while it waits. */
static void catch_signals(void)
{
    static const int NUMBERS[] = { SIGTERM, SIGINT, SIGHUP };
    struct sigaction action = { .sa_handler = on_signal };
    sigset_t blocked;

    sigemptyset(&blocked);
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
        sigaddset(&blocked, NUMBERS[i]);
        sigaction(NUMBERS[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Carries messages until it is over; the exit code. */
static int carry(const char *socket_path, const char *token)
{
    char why[PUMP_WHY_MAX];
    struct err err = ERR_INIT;
    const struct pump pump = {
        .in = STDIN_FILENO,
        .out = STDOUT_FILENO,
        .socket_path = socket_path,
        .token = token,
        .stop = &stopped,
        .quiet_ms = QUIET_MS,
    };

    catch_signals();
    switch (pump_run(&pump, why)) {
    case PUMP_AGENT_DONE:
    case PUMP_SIGNAL:
        return 0;
    case PUMP_REFUSED:
        err_set(&err, EACCES, "%s", why);
        return fail(&err);
    default:
        err_errno(&err, errno, "cannot wait for the agent or the daemon");
        return fail(&err);
    }
}

/* Who started us, as the kernel calls it: "claude", "codex", "node". */
static void parent_name(char *out, size_t size)
{
    char path[64];
    ssize_t n = -1;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/comm", (int) getppid());
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, out, size - 1);
        close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (!out[0])
        snprintf(out, size, "agent");
}

/* Opens a session of our own, starting the daemon when there is none. */
static int open_session(const struct home *home, const char *agent, struct relay_session *session, struct err *err)
{
    char folder[PATH_MAX], parent[64];
    const char *cwd = getcwd(folder, sizeof(folder));
    int r;

    parent_name(parent, sizeof(parent));
    agent = agent ? agent : parent;
    r = relay_session_open(home, agent, cwd, session, err);
    if (r != -ENOENT && r != -ECONNREFUSED && r != -ENOTDIR)
        return r;
    err_clear(err);
    r = relay_start_daemon(err);
    return r < 0 ? r : relay_session_open(home, agent, cwd, session, err);
}

static int run_own(const char *agent)
{
    CLEANUP_PTR(home_free) struct home *home = NULL;
    struct relay_session session;
    struct err err = ERR_INIT;
    int code;

    if (home_from_env(&home, &err) < 0 || open_session(home, agent, &session, &err) < 0)
        return fail(&err);
    code = carry(home->agent_sock, session.token);
    relay_session_end(home, &session);
    return code;
}

/* The launcher's session. */
static int run_given(const char *token, const char *socket_path)
{
    struct err err = ERR_INIT;

    if (!socket_path || !*socket_path) {
        err_set(&err, EINVAL, "there is a session's token, but AILERON_AGENT_SOCKET is not set");
        return fail(&err);
    }
    if (token[strcspn(token, "\r\n")]) {
        err_set(&err, EINVAL, "the session's token is no token");
        return fail(&err);
    }
    return carry(socket_path, token);
}

/* The launcher's token; "" when there is none. */
static int given_token(char out[RELAY_TOKEN_MAX], struct err *err)
{
    const char *token = getenv("AILERON_SESSION_TOKEN"), *path = getenv("AILERON_SESSION_FILE");
    CLEANUP_CLOSE int fd = -1;
    ssize_t n;

    out[0] = '\0';
    if (token && *token) {
        if (snprintf(out, RELAY_TOKEN_MAX, "%s", token) >= RELAY_TOKEN_MAX)
            return err_set(err, EINVAL, "AILERON_SESSION_TOKEN is no token");
        return 0;
    }
    if (!path || !*path)
        return 0;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = fd < 0 ? -1 : read(fd, out, RELAY_TOKEN_MAX - 1);
    if (n < 0)
        return err_errno(err, errno, "cannot read the session's token from %s", path);
    out[n] = '\0';
    out[strcspn(out, "\n")] = '\0';
    return out[0] ? 0 : err_set(err, EINVAL, "there is no token in %s", path);
}

int main(int argc, char *argv[])
{
    char token[RELAY_TOKEN_MAX];
    const char *agent = NULL;
    struct err err = ERR_INIT;

    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* the token is in our memory */
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        printf("aileron-mcp %s\n", AILERON_VERSION);
        return 0;
    }
    if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(USAGE, stdout);
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "--agent")) {
        agent = argv[2];
    } else if (argc != 1) {
        fputs(USAGE, stderr);
        return 2;
    }
    if (given_token(token, &err) < 0)
        return fail(&err);
    if (token[0])
        return run_given(token, getenv("AILERON_AGENT_SOCKET"));
    return run_own(agent);
}
