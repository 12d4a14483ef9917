/*
 * The terminal in its line mode, so that backspace, ^U and pasting work as everywhere; only the echo is switched off. Signals
 * are blocked but while waiting, so none can slip in between the look at the flag and the wait.
 */
#include "cli/ask.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>

#include "base/banned.h"

static const int NUMBERS[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };

struct guard {
    int fd;
    struct termios before;
    bool changed;
    struct sigaction old[ARRAY_LEN(NUMBERS)];
    sigset_t old_mask;
};

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    caught = number;
}

bool ask_is_possible(void)
{
    CLEANUP_CLOSE int fd = ask_terminal(NULL);

    return fd >= 0;
}

int ask_terminal(struct err *err)
{
    CLEANUP_CLOSE int fd = -1;

    if (!isatty(STDIN_FILENO) && !isatty(STDOUT_FILENO) && !isatty(STDERR_FILENO))
        return err_set(err, ENOTTY, "there is no terminal to ask at");
    fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || !isatty(fd))
        return err_set(err, ENOTTY, "there is no terminal to ask at");
    return TAKE_FD(fd);
}

static void put(int fd, const char *text)
{
    size_t len = strlen(text);

    while (len) {
        ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        len -= (size_t) n;
    }
}

static int set_terminal(int fd, int when, const struct termios *termios)
{
    int r;

    do
        r = tcsetattr(fd, when, termios);
    while (r < 0 && errno == EINTR);
    return r;
}

/* Signals first: from the moment the echo is off, none may end the program without putting it back. */
static int guard_begin(struct guard *guard, bool echo, bool keep, struct err *err)
{
    struct sigaction action = { .sa_handler = on_signal };
    struct termios quiet;
    sigset_t mask;

    caught = 0;
    sigemptyset(&mask);
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++)
        sigaddset(&mask, NUMBERS[i]);
    sigprocmask(SIG_BLOCK, &mask, &guard->old_mask);
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++) {
        sigaction(NUMBERS[i], NULL, &guard->old[i]);
        if (guard->old[i].sa_handler != SIG_IGN) /* as under nohup */
            sigaction(NUMBERS[i], &action, NULL);
    }
    if (tcgetattr(guard->fd, &guard->before) < 0)
        return err_errno(err, errno, "cannot look at the terminal");
    quiet = guard->before;
    quiet.c_lflag |= ICANON | ISIG | ECHO;
    if (!echo)
        quiet.c_lflag &= ~(tcflag_t) (ECHO | ECHONL);
    quiet.c_iflag |= ICRNL;
    guard->changed = true;
    if (set_terminal(guard->fd, keep ? TCSADRAIN : TCSAFLUSH, &quiet) < 0)
        return err_errno(err, errno, "cannot switch the terminal's echo off");
    return 0;
}

/* Puts everything back, then lets the signal do what it would have done. */
static void guard_end(struct guard *guard)
{
    int number = caught;

    if (guard->changed)
        set_terminal(guard->fd, TCSADRAIN, &guard->before);
    guard->changed = false;
    for (size_t i = 0; i < ARRAY_LEN(NUMBERS); i++)
        sigaction(NUMBERS[i], &guard->old[i], NULL);
    if (number)
        kill(getpid(), number);
    sigprocmask(SIG_SETMASK, &guard->old_mask, NULL);
}

/* Reads up to the end of the line, never waiting in read(): 0, -EINTR, -ECANCELED, -E2BIG. */
static int read_ready(const struct guard *guard, struct secret *line, size_t *ret_len)
{
    size_t len = 0, room = secret_len(line);

    for (;;) {
        struct pollfd poll_fd = { .fd = guard->fd, .events = POLLIN };
        int ready = ppoll(&poll_fd, 1, NULL, &guard->old_mask);
        ssize_t n;

        if (caught)
            return -EINTR;
        if (ready < 0 && errno == EINTR)
            continue;
        n = ready < 0 ? -1 : read(guard->fd, secret_data(line) + len, room - len);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return -ECANCELED;
        len += (size_t) n;
        if (secret_bytes(line)[len - 1] == '\n') {
            *ret_len = len - 1;
            return 0;
        }
        if (len == room) {
            tcflush(guard->fd, TCIFLUSH);
            return -E2BIG;
        }
    }
}

/* A signal key throws away what was typed before it, also what poll() has seen already: then a read() would wait for ever. */
static int read_line(const struct guard *guard, struct secret *line, size_t *ret_len)
{
    int flags = fcntl(guard->fd, F_GETFL), r;

    if (flags < 0 || fcntl(guard->fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    r = read_ready(guard, line, ret_len);
    fcntl(guard->fd, F_SETFL, flags);
    return r;
}

/* One line into a new secret. -EAGAIN: the program was stopped and goes on, so ask again. */
static int ask_once(const char *prompt, size_t max, bool echo, bool keep, struct secret **ret_line, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *line = NULL;
    CLEANUP_CLOSE int fd = ask_terminal(err);
    struct guard guard = { .fd = fd };
    bool stopped;
    size_t len = 0;
    int r;

    if (fd < 0)
        return fd;
    if (secret_new(max + 1, &line) < 0)
        return -ENOMEM;
    r = guard_begin(&guard, echo, keep, err);
    if (r >= 0) {
        put(fd, prompt);
        r = read_line(&guard, line, &len);
        if (!echo || r < 0)
            put(fd, "\n");
    }
    stopped = caught == SIGTSTP;
    guard_end(&guard);
    if (r == -EINTR && stopped)
        return -EAGAIN;
    if (r == -ECANCELED)
        return err_set(err, ECANCELED, "nothing was entered");
    if (r == -EINTR)
        return err_set(err, EINTR, "interrupted");
    if (r == -E2BIG)
        return err_set(err, E2BIG, "that is longer than %zu bytes", max);
    if (r < 0)
        return r;
    secret_cut(line, len);
    *ret_line = TAKE_PTR(line);
    return 0;
}

static int ask(const char *prompt, size_t max, bool echo, bool keep, struct secret **ret_line, struct err *err)
{
    int r;

    do {
        err_clear(err);
        r = ask_once(prompt, max, echo, keep, ret_line, err);
        keep = false;
    } while (r == -EAGAIN);
    return r;
}

int ask_secret(const char *prompt, size_t max, bool keep, struct secret **ret_secret, struct err *err)
{
    return ask(prompt, max, false, keep, ret_secret, err);
}

int ask_line(const char *prompt, char **ret_line, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *line = NULL;
    int r = ask(prompt, ASK_LINE_MAX, true, false, &line, err);

    if (r < 0)
        return r;
    *ret_line = strndup((const char *) secret_bytes(line), secret_len(line));
    return *ret_line ? 0 : err_set(err, ENOMEM, "out of memory");
}

int ask_yes(const char *question, bool *ret_yes, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *line = NULL;
    char prompt[512], word[8] = "";
    int r;

    snprintf(prompt, sizeof(prompt), "%s [y/N]: ", question);
    r = ask(prompt, ASK_LINE_MAX, true, false, &line, err);
    if (r == -ECANCELED || r == -E2BIG) {
        err_clear(err);
        *ret_yes = false;
        return 0;
    }
    if (r < 0)
        return r;
    if (secret_len(line) < sizeof(word))
        for (size_t i = 0; i < secret_len(line); i++)
            word[i] = (char) tolower(secret_bytes(line)[i]);
    *ret_yes = !strcmp(word, "y") || !strcmp(word, "yes");
    return 0;
}
