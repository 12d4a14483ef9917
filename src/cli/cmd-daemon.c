/*
 * aileron daemon start|stop|logs and aileron stop. Files named by flags are made
 * absolute here, because the daemon runs in another folder; reading and judging
 * them is the daemon's.
 */
#include "cli/cli.h"
#include "cli/rows.h"
#include "cli/term.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define LOG_LINES_DEFAULT 100
#define LOG_TAIL_MAX      (16ul * 1024 * 1024)

const struct command COMMAND_DAEMON = { .name = "daemon", .operands = "", .about = "The background program" };

/* Fills the flags from the arguments; *ret_ca keeps the absolute path alive. */
static int read_flags(struct cli *cli, struct daemon_flags *flags, char **ret_ca)
{
    const char *ca = args_value(cli->args, "dev-ca"), *row;
    struct err err = ERR_INIT;
    size_t cursor = 0;

    if (ca && cli_absolute(ca, ret_ca, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    while ((row = args_next(cli->args, "dev-connect-to", &cursor))) {
        if (flags->dev_connect_to_len == DAEMON_CONNECT_TO_MAX)
            return cli_failf(CODE_USAGE, NULL, "--dev-connect-to can be given %d times", DAEMON_CONNECT_TO_MAX);
        flags->dev_connect_to[flags->dev_connect_to_len++] = row;
    }
    flags->dev_ca = *ret_ca;
    return CODE_DONE;
}

/* It ran already: fine with the same flags, refused with others. */
static int check_already(struct cli *cli, const struct daemon_flags *flags)
{
    struct err err = ERR_INIT;
    pid_t pid = 0;
    int r = daemon_find(cli->home, &pid, &err);

    if (r >= 0)
        r = daemon_same_flags(cli->home, flags, &err);
    if (r < 0)
        return cli_fail(CODE_FAILED, &err);
    if (r > 0)
        return cli_failf(
            CODE_FAILED, "aileron stop, then start it again", "the daemon already runs, with other development flags");
    cli_note("aileron: the daemon runs already (pid %d)", (int) pid);
    return CODE_DONE;
}

static int run_start(struct cli *cli)
{
    CLEANUP_FREE char *ca = NULL;
    struct daemon_flags flags = { .slow = cli_note_start };
    struct err err = ERR_INIT;
    bool started = false;
    int code = cli_home(cli);

    if (!code)
        code = read_flags(cli, &flags, &ca);
    if (code)
        return code;
    if (daemon_start(cli->home, &flags, &started, &err) != 0)
        return cli_fail(CODE_NO_DAEMON, &err);
    if (!started)
        return check_already(cli, &flags);
    if (flags.dev_ca || flags.dev_connect_to_len)
        cli_note("aileron: the daemon answers. Its development overrides become active when a vault made by `aileron vault init "
                 "--dev` "
                 "is unlocked");
    else
        cli_note("aileron: the daemon answers");
    return CODE_DONE;
}

const struct command COMMAND_DAEMON_START = {
    .name = "daemon start",
    .operands = "",
    .about = "start the daemon and return when it answers",
    .details = "Other commands start the daemon by themselves; this one is for the development flags. The daemon gets a fixed environment: "
               "nothing that is set in this shell changes what it does, AILERON_HOME excepted, which names its home.\n"
               "\n"
               "The flags weaken what protects credentials. They do nothing until a vault made by `aileron vault init --dev` is unlocked, and "
               "every command shows them while they are active. A row of --dev-connect-to has the form HOST:PORT:HOST2:PORT2: connections "
               "for HOST:PORT go to HOST2:PORT2, and TLS still checks the certificate of HOST. --dev-ca trusts one more certificate "
               "authority.\n"
               "\n"
               "When the daemon runs already with the same flags, nothing happens; with other flags the command exits 1. Exits 4, with the "
               "daemon's words, when it could not be started.",
    .options = {
        { "dev-connect-to", 0, "ROW", true, "connect somewhere else: HOST:PORT:HOST2:PORT2" },
        { "dev-ca", 0, "FILE", false, "also trust the authority in this PEM file" },
    },
    .run = run_start,
};

static int run_stop(struct cli *cli)
{
    struct err err = ERR_INIT;
    bool stopped = false;
    int code = cli_home(cli);

    if (code)
        return code;
    if (daemon_stop(cli->home, &stopped, &err) < 0)
        return cli_fail(CODE_FAILED, &err);
    cli_note(stopped ? "aileron: the daemon has stopped" : "aileron: the daemon was not running");
    return CODE_DONE;
}

#define STOP_DETAILS                                                                                                             \
    "Asks the daemon to end, waits until its process is gone and returns. Calls that run are answered with a failure. A daemon " \
    "that "                                                                                                                      \
    "does not react is killed after ten seconds; what it had written is safe. Exits 0 also when no daemon runs."

const struct command COMMAND_STOP = {
    .name = "stop",
    .operands = "",
    .about = "stop the daemon",
    .details = STOP_DETAILS,
    .run = run_stop,
};

const struct command COMMAND_DAEMON_STOP = {
    .name = "daemon stop",
    .operands = "",
    .about = "the same as aileron stop",
    .details = STOP_DETAILS,
    .run = run_stop,
};

/* Copies what is new in the log, cleaned; returns where it ends now. */
static off_t put_new(FILE *out, int fd, off_t from)
{
    char data[32 * 1024];
    ssize_t n;

    while ((n = pread(fd, data, sizeof(data), from)) > 0) {
        CLEANUP(buf_free) struct buf clean = BUF_INIT(sizeof(data) * 4);
        ssize_t whole = n;

        /* A character may be cut at the end of what was read: stop at the last line, unless there is none. */
        while (n == (ssize_t) sizeof(data) && whole > 0 && data[whole - 1] != '\n')
            whole--;
        whole = whole ? whole : n;
        text_clean(data, (size_t) whole, true, &clean);
        fwrite(buf_str(&clean), 1, clean.len, out);
        from += whole;
    }
    fflush(out);
    return from;
}

/* Where the last `lines` lines of the file start. */
static off_t tail_start(int fd, off_t size, unsigned long lines)
{
    char data[4096];
    off_t at = size;

    while (at > 0 && size - at < (off_t) LOG_TAIL_MAX) {
        size_t step = at < (off_t) sizeof(data) ? (size_t) at : sizeof(data);
        ssize_t n = pread(fd, data, step, at - (off_t) step);

        if (n != (ssize_t) step)
            return at;
        for (size_t i = step; i-- > 0;) {
            off_t position = at - (off_t) step + (off_t) i;

            if (data[i] == '\n' && position + 1 < size && lines-- <= 1)
                return position + 1;
        }
        at -= (off_t) step;
    }
    return at;
}

/* Follows until a signal or a closed stdout ends it; a rotated log is opened again. */
static int follow(struct cli *cli, const char *path, int fd, off_t at)
{
    CLEANUP_CLOSE int current = fd;

    for (;;) {
        struct pollfd poll_fd = { .fd = fileno(cli->out), .events = 0 };
        struct stat opened, named;

        at = put_new(cli->out, current, at);
        if (ferror(cli->out) || (poll(&poll_fd, 1, 200) > 0 && poll_fd.revents & (POLLERR | POLLHUP)))
            return CODE_DONE;
        if (fstat(current, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino != named.st_ino) {
            int next = open(path, O_RDONLY | O_CLOEXEC);

            if (next >= 0) {
                put_new(cli->out, current, at);
                close(current);
                current = next;
                at = 0;
            }
        }
    }
}

static int run_logs(struct cli *cli)
{
    const char *lines_text = args_value(cli->args, "lines");
    CLEANUP_FREE char *path = NULL;
    CLEANUP_CLOSE int fd = -1;
    unsigned long lines = LOG_LINES_DEFAULT;
    struct stat stat_now;
    char *end = NULL;
    int code = cli_home(cli);

    if (code)
        return code;
    if (lines_text) {
        lines = strtoul(lines_text, &end, 10);
        if (*lines_text < '0' || *lines_text > '9' || *end || !lines)
            return cli_failf(CODE_USAGE, NULL, "--lines is a number above 0, not \"%s\"", lines_text);
    }
    path = home_file(cli->home, "log/daemon.log");
    if (!path)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return cli_failf(CODE_FAILED, "aileron daemon start", "there is no log yet at %s", path);
    if (fd < 0 || fstat(fd, &stat_now) < 0)
        return cli_failf(CODE_FAILED, NULL, "cannot read %s: %s", path, strerror(errno));
    off_t at = tail_start(fd, stat_now.st_size, lines);

    if (args_has(cli->args, "follow"))
        return follow(cli, path, TAKE_FD(fd), at);
    put_new(cli->out, fd, at);
    return CODE_DONE;
}

const struct command COMMAND_DAEMON_LOGS = {
    .name = "daemon logs",
    .operands = "",
    .about = "print the end of the daemon's log",
    .details = "The log is the file log/daemon.log in the home. It holds neither arguments nor secrets. --follow goes on printing what is "
               "added until Ctrl-C. Does not start the daemon.",
    .options = {
        { "follow", 'f', NULL, false, "go on as the log grows" },
        { "lines", 'n', "N", false, "how many lines (100 when not given)" },
    },
    .run = run_logs,
};
