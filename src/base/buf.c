/*
 * The bounded byte buffer. Memory grows by doubling up to the ceiling plus one
 * byte for the NUL; every failed call leaves the content as it was.
 */
#include "base/buf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define FIRST_CAP 64

int buf_reserve(struct buf *buf, size_t len)
{
    size_t need, cap;
    char *data;

    if (len > buf->max || buf->len > buf->max - len)
        return -E2BIG;
    need = buf->len + len + 1;
    if (need <= buf->len)
        return -E2BIG;
    if (buf->data && need <= buf->cap)
        return 0;
    cap = buf->cap > SIZE_MAX / 2 ? need : buf->cap * 2;
    if (cap > buf->max)
        cap = buf->max + 1;
    if (cap < FIRST_CAP && FIRST_CAP <= buf->max)
        cap = FIRST_CAP;
    if (cap < need)
        cap = need;
    data = realloc(buf->data, cap);
    if (!data)
        return -ENOMEM;
    buf->data = data;
    buf->cap = cap;
    buf->data[buf->len] = '\0';
    return 0;
}

int buf_add(struct buf *buf, const void *data, size_t len)
{
    int r = buf_reserve(buf, len);

    if (r < 0)
        return r;
    if (len)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    buf->data[buf->len] = '\0';
    return 0;
}

int buf_add_str(struct buf *buf, const char *text)
{
    return buf_add(buf, text, strlen(text));
}

int buf_add_char(struct buf *buf, char c)
{
    return buf_add(buf, &c, 1);
}

int buf_vprintf(struct buf *buf, const char *format, va_list args)
{
    va_list again;
    int len, r;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    r = len < 0 ? -EINVAL : buf_reserve(buf, (size_t) len);
    if (r == 0) {
        vsnprintf(buf->data + buf->len, (size_t) len + 1, format, again);
        buf->len += (size_t) len;
    }
    va_end(again);
    return r;
}

int buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int r;

    va_start(args, format);
    r = buf_vprintf(buf, format, args);
    va_end(args);
    return r;
}

void buf_consume(struct buf *buf, size_t len)
{
    if (len > buf->len)
        len = buf->len;
    if (len == 0)
        return;
    buf->len -= len;
    memmove(buf->data, buf->data + len, buf->len);
    buf->data[buf->len] = '\0';
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    if (buf->data)
        buf->data[0] = '\0';
}

char *buf_take(struct buf *buf)
{
    char *data = buf->data ? buf->data : calloc(1, 1);

    buf->data = NULL;
    buf->len = 0;
    buf->cap = 0;
    return data;
}

const char *buf_str(const struct buf *buf)
{
    return buf->data ? buf->data : "";
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->len = 0;
    buf->cap = 0;
}
