/*
 * Errors as values, with the words made where the facts are.
 *
 * A function that can fail returns 0, or a negative errno that its caller passes
 * on untouched, or a positive result named in its own header. It takes a
 * `struct err *err` (NULL allowed) in which it leaves one sentence about what
 * happened and where, and perhaps a hint about what to do now. Nothing is
 * allocated; overlong text is cut. Libraries never print.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdarg.h>

#define ERR_MESSAGE_MAX 512
#define ERR_HINT_MAX    256

struct err {
    int code; /* positive errno; 0 = none */
    char message[ERR_MESSAGE_MAX];
    char hint[ERR_HINT_MAX];
};

#define ERR_INIT                                                                                                                 \
    {                                                                                                                            \
        0, "", ""                                                                                                                \
    }

/* Fills `err` and returns -code. `code` is a positive errno. */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* As err_set, with ": " and strerror(code) added. */
int err_errno(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Sets the hint; keeps the message. */
void err_hint(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Puts "text: " before the message, for context that only the caller knows. */
void err_prefix(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Removes message and hint. */
void err_clear(struct err *err);

#endif
