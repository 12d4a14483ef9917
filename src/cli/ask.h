/*
 * Asking the person at the terminal: /dev/tty itself, whatever stdin and stdout are. What is typed without echo goes from
 * the terminal into a struct secret and nowhere else. The terminal is put back on every way out: an answer, an error,
 * SIGINT, SIGTERM, SIGHUP, SIGQUIT (which then end the program as they would have) and SIGTSTP (after which it asks again).
 */
#ifndef CLI_ASK_H
#define CLI_ASK_H

#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>

/* The longest that one line of a terminal holds for sure (N_TTY cuts at 4095). */
#define ASK_LINE_MAX 4000

/* True when there is a terminal, and one of our own three streams is at it: nobody looks at another one. */
bool ask_is_possible(void);
/*
 * One line without echo, its newline not included. `keep` takes what was typed ahead, as between a passphrase and its
 * confirmation, else that is thrown away. -ENOTTY nobody to ask, -ECANCELED end of input, -EINTR, -E2BIG over `max`.
 */
int ask_secret(const char *prompt, size_t max, bool keep, struct secret **ret_secret, struct err *err);
/* One line with echo, at most ASK_LINE_MAX bytes. malloc'd. -ENOTTY, -ECANCELED end of input, -EINTR, -E2BIG. */
int ask_line(const char *prompt, char **ret_line, struct err *err);
/* "question [y/N]: "; everything but y and yes is no. -ENOTTY, -EINTR. */
int ask_yes(const char *question, bool *ret_yes, struct err *err);
/* A descriptor of the terminal for reading lines beside other things, close-on-exec; -ENOTTY. */
int ask_terminal(struct err *err);

#endif
