/*
 * The whole terminal: the other screen of it, keys one by one, what is drawn is drawn at once. It is put back on every way out:
 * the end, an error, SIGINT, SIGTERM, SIGHUP, SIGQUIT (which then end the program as they would have) and SIGTSTP (after which
 * it is taken again). Plain ANSI; nothing is asked of terminfo.
 */
#ifndef CLI_SCREEN_H
#define CLI_SCREEN_H

#include "base/buf.h"
#include "base/err.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

enum screen_key {
    SCREEN_NONE = 0, /* other keys: the character */
    SCREEN_UP = 0x1000,
    SCREEN_DOWN,
    SCREEN_PAGE_UP,
    SCREEN_PAGE_DOWN,
    SCREEN_HOME,
    SCREEN_END,
    SCREEN_ESCAPE,
    SCREEN_CROWDED = 0x10000, /* a bit: it came together with others, as a paste does */
};

/* What ended a wait, as bits. */
enum { SCREEN_KEY = 1, SCREEN_OTHER = 2, SCREEN_RESIZED = 4, SCREEN_TIME = 8, SCREEN_END_SIGNAL = 16 };

struct screen;

/* Takes the terminal. -ENOTTY when there is none. One at a time. */
int screen_open(struct screen **ret_screen, struct err *err);
/* Puts it back; a signal that asked for the end does it now. */
void screen_close(struct screen *screen);
/* The terminal as it was, for a question or another command's words; then screen_resume(). Signals are as in any command meanwhile. */
void screen_pause(struct screen *screen);
void screen_resume(struct screen *screen);
/* Lets signals through while something else is waited for, so that screen_ending() can be seen; and not any more. */
void screen_allow(struct screen *screen, bool allow);
void screen_size(const struct screen *screen, size_t *ret_columns, size_t *ret_rows);
/* Shows `frame`: lines separated by "\n", at most as many as there are rows; the rest is empty. */
void screen_draw(const struct screen *screen, const char *frame);
/* Waits for keys, for `other_fd` (-1: none), a new size, an end, or `timeout_ms` (-1: no limit). Bits of what came; the key in *ret_key. */
int screen_wait(struct screen *screen, int other_fd, int timeout_ms, int *ret_key);
/* Set once the person wants the end: for requests to the daemon. */
const volatile sig_atomic_t *screen_ending(void);

#endif
