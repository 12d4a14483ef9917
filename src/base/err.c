/*
 * Error values. A message that does not fit is cut, and the cut is shown by
 * three dots, so that nobody takes half a sentence for a whole one. It is
 * always UTF-8: what a cut leaves of a character, and bytes of a stranger that are none, become '?', since a
 * message goes into JSON and there it would be lost as a whole.
 */
#include "base/err.h"

#include "base/encode.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static void mark_cut(char *text, size_t size, int would_be)
{
    if (would_be >= 0 && (size_t) would_be >= size)
        memcpy(text + size - 4, "...", 4);
    utf8_mend(text);
}

static void format_into(char *text, size_t size, const char *format, va_list args)
{
    mark_cut(text, size, vsnprintf(text, size, format, args));
}

int err_set(struct err *err, int code, const char *format, ...)
{
    va_list args;

    if (err) {
        err->code = code;
        err->hint[0] = '\0';
        va_start(args, format);
        format_into(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return -code;
}

int err_errno(struct err *err, int code, const char *format, ...)
{
    char text[ERR_MESSAGE_MAX];
    va_list args;

    if (err) {
        va_start(args, format);
        format_into(text, sizeof text, format, args);
        va_end(args);
        err->code = code;
        err->hint[0] = '\0';
        mark_cut(err->message, sizeof err->message, snprintf(err->message, sizeof err->message, "%s: %s", text, strerror(code)));
    }
    return -code;
}

void err_hint(struct err *err, const char *format, ...)
{
    va_list args;

    if (!err)
        return;
    va_start(args, format);
    format_into(err->hint, sizeof err->hint, format, args);
    va_end(args);
}

void err_prefix(struct err *err, const char *format, ...)
{
    char prefix[ERR_MESSAGE_MAX], message[ERR_MESSAGE_MAX];
    va_list args;

    if (!err)
        return;
    va_start(args, format);
    format_into(prefix, sizeof prefix, format, args);
    va_end(args);
    memcpy(message, err->message, sizeof message);
    mark_cut(err->message, sizeof err->message, snprintf(err->message, sizeof err->message, "%s: %s", prefix, message));
}

void err_clear(struct err *err)
{
    if (err)
        *err = (struct err) ERR_INIT;
}
