/*
 * Signals are blocked but while waiting, so none can slip in between the look at a flag and the wait. ISIG stays on: Ctrl-C and
 * Ctrl-Z are signals here as everywhere.
 */
#include "cli/screen.h"

#include "base/cleanup.h"
#include "cli/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/banned.h"

#define ENTER "\033[?1049h\033[?25l\033[2J"
#define LEAVE "\033[?25h\033[?1049l"

static const int ENDS[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
static const int OTHERS[] = { SIGTSTP, SIGCONT, SIGWINCH };

static volatile sig_atomic_t ended, stopped, resized;

struct screen {
    int fd;
    struct termios before;
    bool taken;
    char keys[256]; /* read and not taken yet */
    size_t keys_len;
    bool crowded; /* they came at once */
    struct sigaction old_ends[ARRAY_LEN(ENDS)], old_others[ARRAY_LEN(OTHERS)];
    sigset_t old_mask;
};

static void on_end(int number)
{
    ended = number;
}

static void on_other(int number)
{
    if (number == SIGTSTP)
        stopped = 1;
    else
        resized = 1;
}

const volatile sig_atomic_t *screen_ending(void)
{
    return &ended;
}

static void put(const struct screen *screen, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(screen->fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        len -= (size_t) n;
    }
}

static void set_terminal(const struct screen *screen, const struct termios *termios)
{
    while (tcsetattr(screen->fd, TCSADRAIN, termios) < 0 && errno == EINTR)
        continue;
}

static void take(struct screen *screen)
{
    struct termios raw = screen->before;

    raw.c_lflag &= ~(tcflag_t) (ICANON | ECHO);
    raw.c_lflag |= ISIG;
    raw.c_iflag &= ~(tcflag_t) (IXON | INLCR | IGNCR);
    raw.c_cc[VMIN] = 0; /* a signal key throws away what poll() has seen already */
    raw.c_cc[VTIME] = 0;
    set_terminal(screen, &raw);
    put(screen, ENTER, strlen(ENTER));
    screen->taken = true;
    resized = 1;
}

static void give_back(struct screen *screen)
{
    if (!screen->taken)
        return;
    put(screen, LEAVE, strlen(LEAVE));
    set_terminal(screen, &screen->before);
    screen->taken = false;
}

/* Only what nobody has switched off (as nohup does). */
static void handle(int number, void (*handler)(int), struct sigaction *old)
{
    struct sigaction action = { .sa_handler = handler };

    sigaction(number, NULL, old);
    if (old->sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

static void handle_signals(struct screen *screen)
{
    sigset_t mask;

    sigemptyset(&mask);
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++)
        sigaddset(&mask, ENDS[i]);
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++)
        sigaddset(&mask, OTHERS[i]);
    sigprocmask(SIG_BLOCK, &mask, &screen->old_mask);
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++)
        handle(ENDS[i], on_end, &screen->old_ends[i]);
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++)
        handle(OTHERS[i], on_other, &screen->old_others[i]);
}

static void leave_signals(struct screen *screen)
{
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++)
        sigaction(ENDS[i], &screen->old_ends[i], NULL);
    for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++)
        sigaction(OTHERS[i], &screen->old_others[i], NULL);
    sigprocmask(SIG_SETMASK, &screen->old_mask, NULL);
}

int screen_open(struct screen **ret_screen, struct err *err)
{
    CLEANUP_FREE struct screen *screen = calloc(1, sizeof *screen);

    if (!screen)
        return err_set(err, ENOMEM, "out of memory");
    screen->fd = ask_terminal(err);
    if (screen->fd < 0)
        return screen->fd;
    if (tcgetattr(screen->fd, &screen->before) < 0) {
        int r = err_errno(err, errno, "cannot look at the terminal");

        close(screen->fd);
        return r;
    }
    ended = stopped = 0;
    handle_signals(screen);
    take(screen);
    *ret_screen = TAKE_PTR(screen);
    return 0;
}

void screen_close(struct screen *screen)
{
    int number = ended;

    if (!screen)
        return;
    give_back(screen);
    if (number) /* pending until leave_signals() lets it through */
        kill(getpid(), number);
    leave_signals(screen);
    close(screen->fd);
    free(screen);
}

void screen_pause(struct screen *screen)
{
    give_back(screen);
    leave_signals(screen);
}

void screen_resume(struct screen *screen)
{
    handle_signals(screen);
    take(screen);
}

/* Ctrl-Z: the terminal goes back to the shell, and is taken again when it is our turn. */
static void stop(struct screen *screen)
{
    stopped = 0;
    screen_pause(screen);
    raise(SIGTSTP);
    screen_resume(screen);
}

void screen_allow(struct screen *screen, bool allow)
{
    sigset_t mask = screen->old_mask;

    if (!allow) {
        for (size_t i = 0; i < ARRAY_LEN(ENDS); i++)
            sigaddset(&mask, ENDS[i]);
        for (size_t i = 0; i < ARRAY_LEN(OTHERS); i++)
            sigaddset(&mask, OTHERS[i]);
    }
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

void screen_size(const struct screen *screen, size_t *ret_columns, size_t *ret_rows)
{
    struct winsize size;
    bool known = ioctl(screen->fd, TIOCGWINSZ, &size) == 0 && size.ws_col && size.ws_row;

    *ret_columns = known ? size.ws_col : 80;
    *ret_rows = known ? size.ws_row : 24;
}

void screen_draw(const struct screen *screen, const char *frame)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(16 * 1024 * 1024);
    size_t columns, rows;

    screen_size(screen, &columns, &rows);
    buf_add_str(&out, "\033[H");
    while (*frame && rows) {
        size_t len = strcspn(frame, "\n");

        buf_add(&out, frame, len);
        buf_add_str(&out, "\033[K");
        frame += len;
        if (*frame == '\n')
            frame++;
        if (*frame && --rows)
            buf_add_str(&out, "\r\n");
    }
    buf_add_str(&out, "\033[J");
    put(screen, buf_str(&out), out.len);
}

/* Bytes of the escape sequence that `text` begins with. */
static size_t sequence_len(const char *text, size_t len)
{
    size_t at = 2;

    if (len < 2 || (text[1] != '[' && text[1] != 'O'))
        return 1;
    while (at < len && (text[at] < 0x40 || text[at] > 0x7e))
        at++;
    return at < len ? at + 1 : len;
}

/* Takes the next key of what was read. */
static int take_key(struct screen *screen)
{
    static const struct {
        const char *sequence;
        int key;
    } KEYS[] = { { "\033[A", SCREEN_UP }, { "\033OA", SCREEN_UP }, { "\033[B", SCREEN_DOWN }, { "\033OB", SCREEN_DOWN },
        { "\033[5~", SCREEN_PAGE_UP }, { "\033[6~", SCREEN_PAGE_DOWN }, { "\033[H", SCREEN_HOME }, { "\033[F", SCREEN_END },
        { "\033[1~", SCREEN_HOME }, { "\033[4~", SCREEN_END } };
    size_t used = screen->keys[0] == '\033' ? sequence_len(screen->keys, screen->keys_len) : 1;
    int key = used > 1 ? SCREEN_NONE : screen->keys[0] == '\033' ? SCREEN_ESCAPE : (unsigned char) screen->keys[0];

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        if (used == strlen(KEYS[i].sequence) && !memcmp(screen->keys, KEYS[i].sequence, used))
            key = KEYS[i].key;
    if (used < screen->keys_len)
        screen->crowded = true; /* from here to the end of what came at once */
    screen->keys_len -= used;
    memmove(screen->keys, screen->keys + used, screen->keys_len);
    key |= screen->crowded ? SCREEN_CROWDED : 0;
    if (!screen->keys_len)
        screen->crowded = false;
    return key;
}

/* False when the terminal has gone. */
static bool read_keys(struct screen *screen, bool hung_up)
{
    ssize_t n = read(screen->fd, screen->keys, sizeof screen->keys);

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (n <= 0)
        return n == 0 && !hung_up;
    screen->keys_len = (size_t) n;
    return true;
}

int screen_wait(struct screen *screen, int other_fd, int timeout_ms, int *ret_key)
{
    struct pollfd fds[] = { { .fd = screen->fd, .events = POLLIN }, { .fd = other_fd, .events = POLLIN } };
    const struct timespec timeout = { .tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L };
    int n, came = 0;

    *ret_key = SCREEN_NONE;
    n = screen->keys_len ? 0 : ppoll(fds, 2, timeout_ms < 0 ? NULL : &timeout, &screen->old_mask);
    if (stopped)
        stop(screen);
    if (resized)
        came |= SCREEN_RESIZED;
    resized = 0;
    if (ended)
        return came | SCREEN_END_SIGNAL;
    if (n > 0 && fds[1].revents)
        came |= SCREEN_OTHER;
    if (n > 0 && fds[0].revents && !read_keys(screen, fds[0].revents & (POLLHUP | POLLERR)))
        return came | SCREEN_END_SIGNAL;
    if (screen->keys_len) {
        *ret_key = take_key(screen);
        return came | SCREEN_KEY;
    }
    return n == 0 ? came | SCREEN_TIME : came;
}
