#include "relay/lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define CHUNK (64u * 1024)
#define KEEP  (1024u * 1024) /* a buffer that grew larger is given back when it is empty */

void lines_init(struct lines *lines, size_t max)
{
    *lines = (struct lines){ .buf = BUF_INIT(max + 2 * CHUNK), .max = max };
}

void lines_free(struct lines *lines)
{
    buf_free(&lines->buf);
}

void lines_reset(struct lines *lines)
{
    buf_reset(&lines->buf);
    lines->at = lines->seen = 0;
    lines->skipping = false;
}

/* Moves what is left of the last line to the front. */
static void compact(struct lines *lines)
{
    if (lines->at == lines->buf.len && lines->buf.cap > KEEP)
        buf_free(&lines->buf);
    else if (lines->at)
        buf_consume(&lines->buf, lines->at);
    lines->seen -= lines->at;
    lines->at = 0;
}

int lines_fill(struct lines *lines, int fd)
{
    compact(lines);
    if (buf_reserve(&lines->buf, CHUNK) < 0)
        return 0;
    ssize_t n = read(fd, lines->buf.data + lines->buf.len, CHUNK);
    if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK))
        return -1;
    if (n <= 0)
        return 0;
    lines->buf.len += (size_t) n;
    return 1;
}

static enum lines_next no_newline(struct lines *lines)
{
    lines->seen = lines->buf.len;
    if (lines->buf.len - lines->at <= lines->max)
        return LINES_NONE;
    bool first = !lines->skipping;
    lines->skipping = true;
    lines->at = lines->buf.len;
    return first ? LINES_OVERLONG : LINES_NONE;
}

enum lines_next lines_next(struct lines *lines, const char **ret_line, size_t *ret_len)
{
    const char *end =
        lines->buf.len > lines->seen ? memchr(lines->buf.data + lines->seen, '\n', lines->buf.len - lines->seen) : NULL;

    if (!end)
        return no_newline(lines);
    const char *start = lines->buf.data + lines->at;
    lines->at = lines->seen = (size_t) (end - lines->buf.data) + 1;
    if (lines->skipping) {
        lines->skipping = false;
        return lines_next(lines, ret_line, ret_len);
    }
    size_t len = (size_t) (end - start);
    if (len > lines->max)
        return LINES_OVERLONG;
    *ret_line = start;
    *ret_len = len && start[len - 1] == '\r' ? len - 1 : len;
    return LINES_LINE;
}
