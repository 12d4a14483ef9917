/*
 * Two readers over one buffer. Forward: the unread rest is moved to the front and
 * the buffer filled up behind it. Backward: the unread front part of a line is
 * moved to the back and the bytes before it are read in front of it. The buffer holds a chunk
 * and one longest line, so a line of ours is always in it as a whole.
 */
#include "audit/lines.h"

#include "audit/layout.h"

#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define CHUNK      (128 * 1024)
#define BUFFER     (CHUNK + AUDIT_LINE_MAX)
#define GROW_TRIES 64

struct audit_lines {
    int fd;
    uint64_t offset;   /* of data[start] in the file */
    size_t start, end; /* unread bytes */
    bool at_end;       /* forward: read(2) gave nothing; backward: the file's start is in the buffer */
    bool is_overlong;  /* the line being read was too long for the buffer */
    char data[BUFFER];
};

int audit_lines_new(struct audit_lines **ret_lines)
{
    struct audit_lines *lines = malloc(sizeof *lines);

    if (!lines)
        return -ENOMEM;
    lines->fd = -1;
    lines->start = lines->end = 0;
    lines->at_end = true;
    *ret_lines = lines;
    return 0;
}

void audit_lines_free(struct audit_lines *lines)
{
    free(lines);
}

static int regular_size(int fd, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    *ret_size = (uint64_t) st.st_size;
    return 0;
}

int audit_lines_start(struct audit_lines *lines, int fd)
{
    uint64_t size = 0;
    int r = regular_size(fd, &size);

    if (r < 0)
        return r;
    lines->fd = fd;
    lines->offset = 0;
    lines->start = lines->end = 0;
    lines->at_end = lines->is_overlong = false;
    return 0;
}

int audit_lines_start_at_end(struct audit_lines *lines, int fd)
{
    uint64_t size = 0;
    int r = regular_size(fd, &size);

    if (r < 0)
        return r;
    lines->fd = fd;
    lines->offset = size;
    lines->start = lines->end = BUFFER;
    lines->at_end = size == 0;
    lines->is_overlong = false;
    return 0;
}

static ssize_t read_at(int fd, char *data, size_t len, uint64_t offset)
{
    ssize_t n = 0;

    do
        n = pread(fd, data, len, (off_t) offset);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Reads behind what is unread. A line without its end may be one that is being written: a few more looks before it counts as torn. */
static int fill_forward(struct audit_lines *lines)
{
    size_t unread = lines->end - lines->start;
    ssize_t n = 0;

    memmove(lines->data, lines->data + lines->start, unread);
    lines->start = 0;
    lines->end = unread;
    for (int i = 0; i < GROW_TRIES; i++) {
        n = read_at(lines->fd, lines->data + unread, BUFFER - unread, lines->offset + unread);
        if (n != 0 || unread == 0)
            break;
        sched_yield();
    }
    if (n < 0)
        return (int) n;
    lines->end += (size_t) n;
    lines->at_end = n == 0;
    return 0;
}

static void give_forward(struct audit_lines *lines, size_t len, bool is_whole, struct audit_text *ret_line)
{
    *ret_line = (struct audit_text){ lines->data + lines->start, len, lines->offset, is_whole };
    lines->start += len + is_whole;
    lines->offset += len + is_whole;
}

/* Bytes of a line that has no end within a full buffer are passed over. */
static void drop_forward(struct audit_lines *lines)
{
    lines->is_overlong = true;
    lines->offset += lines->end - lines->start;
    lines->start = lines->end = 0;
}

int audit_lines_next(struct audit_lines *lines, struct audit_text *ret_line)
{
    for (;;) {
        const char *from = lines->data + lines->start;
        const char *newline = memchr(from, '\n', lines->end - lines->start);
        int r = 0;

        if (newline) {
            bool was_overlong = lines->is_overlong;

            lines->is_overlong = false;
            give_forward(lines, (size_t) (newline - from), true, ret_line);
            ret_line->is_whole = !was_overlong;
            return 1;
        }
        if (lines->at_end) {
            if (lines->start == lines->end && !lines->is_overlong)
                return 0;
            lines->is_overlong = false;
            give_forward(lines, lines->end - lines->start, false, ret_line);
            return 1;
        }
        if (lines->end - lines->start >= AUDIT_LINE_MAX)
            drop_forward(lines);
        r = fill_forward(lines);
        if (r < 0)
            return r;
    }
}

/* Reads in front of what is unread. */
static int fill_backward(struct audit_lines *lines)
{
    size_t unread = lines->end - lines->start, want = lines->offset < CHUNK ? (size_t) lines->offset : CHUNK;
    size_t got = 0;

    memmove(lines->data + BUFFER - unread, lines->data + lines->start, unread);
    lines->end = BUFFER;
    lines->start = BUFFER - unread - want;
    lines->offset -= want;
    while (got < want) {
        ssize_t n = read_at(lines->fd, lines->data + lines->start + got, want - got, lines->offset + got);

        if (n <= 0)
            return n < 0 ? (int) n : -ESTALE; /* cut while being read */
        got += (size_t) n;
    }
    lines->at_end = lines->offset == 0;
    return 0;
}

/* The line that ends at `end`; its newline, when it has one, stands at `end`. */
static void give_backward(struct audit_lines *lines, size_t start, size_t end, bool is_whole, struct audit_text *ret_line)
{
    *ret_line = (struct audit_text){ lines->data + start, end - start, lines->offset + (start - lines->start), is_whole };
    lines->end = start;
}

int audit_lines_previous(struct audit_lines *lines, struct audit_text *ret_line)
{
    for (;;) {
        size_t len = lines->end - lines->start;
        const char *from = lines->data + lines->start;
        bool has_newline = len > 0 && !lines->is_overlong && from[len - 1] == '\n';
        size_t newline = has_newline ? 1 : 0;
        const char *before = len > newline ? memrchr(from, '\n', len - newline) : NULL;
        int r = 0;

        if (before || (lines->at_end && (len > 0 || lines->is_overlong))) {
            size_t start = before ? (size_t) (before + 1 - lines->data) : lines->start;
            bool is_whole = has_newline && !lines->is_overlong;

            lines->is_overlong = false;
            give_backward(lines, start, lines->end - newline, is_whole, ret_line);
            return 1;
        }
        if (lines->at_end)
            return 0;
        if (len > AUDIT_LINE_MAX) {
            lines->is_overlong = true;
            lines->end = lines->start;
        }
        r = fill_backward(lines);
        if (r < 0)
            return r;
    }
}
