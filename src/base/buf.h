/*
 * A growing byte buffer whose ceiling is given when it is born. Bytes beyond it
 * are refused with -E2BIG; the buffer stays as it was. data is always followed
 * by a NUL that is not counted, so text can be used as a C string.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NULL while nothing was added */
    size_t len;
    size_t cap;
    size_t max; /* bytes that may ever be held */
};

#define BUF_INIT(max_bytes)                                                                                                      \
    {                                                                                                                            \
        NULL, 0, 0, (max_bytes)                                                                                                  \
    }

/* All return 0, -ENOMEM or -E2BIG. */
int buf_add(struct buf *buf, const void *data, size_t len);
int buf_add_str(struct buf *buf, const char *text);
int buf_add_char(struct buf *buf, char c);
int buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
int buf_vprintf(struct buf *buf, const char *format, va_list args);
/* Room for `len` more bytes at data + len; the caller raises buf->len itself. */
int buf_reserve(struct buf *buf, size_t len);

/* Removes `len` bytes from the front. */
void buf_consume(struct buf *buf, size_t len);
/* Empties; keeps the memory. */
void buf_reset(struct buf *buf);
/* Hands over the bytes (malloc'd, NUL after them; "" allocated when empty; NULL when out of memory). */
char *buf_take(struct buf *buf);
/* The text, "" when empty. Valid until the next change. */
const char *buf_str(const struct buf *buf);
void buf_free(struct buf *buf);

#endif
