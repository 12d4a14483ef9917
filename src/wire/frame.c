/*
 * Frames. The body is one bounded buffer; descriptors and mappings belong to the
 * frame until wire_free() or until taken. Text is made NUL-terminated in
 * place: it is moved over the last byte of its own length, which has been read.
 * The largest inline blob is remembered while writing: when a later field does not fit any more,
 * that blob moves into a memfd, so no writer has to know how much follows. A body that gets a secret is made
 * as large as a body can be before, so that it never moves and one wipe finds every copy.
 */
#include "wire/frame.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/file.h"

#include "base/banned.h"

#define BODY_MAX    (LIMIT_FRAME_BYTES - WIRE_HEADER_BYTES)
#define BLOB_INLINE 0
#define BLOB_MEMFD  1
#define BLOB_HEAD   (1 + sizeof(uint32_t))
#define SPILL_MIN   16

void wire_init(struct wire_frame *frame, uint16_t type, uint32_t id)
{
    *frame = (struct wire_frame){ .type = type, .id = id, .body = BUF_INIT(BODY_MAX) };
    for (size_t i = 0; i < LIMIT_FRAME_FDS; i++)
        frame->fds[i] = -1;
}

void wire_free(struct wire_frame *frame)
{
    for (size_t i = 0; i < frame->fds_len; i++)
        cleanup_close(&frame->fds[i]);
    for (size_t i = 0; i < frame->maps_len; i++)
        munmap(frame->maps[i], frame->map_lens[i]);
    if (frame->holds_secret && frame->body.data)
        secret_wipe(frame->body.data, frame->body.cap);
    buf_free(&frame->body);
    wire_init(frame, 0, 0);
}

/* Puts a descriptor before the ones that belong to later fields. */
static bool insert_fd(struct wire_frame *frame, size_t at, int fd)
{
    if (frame->fds_len == LIMIT_FRAME_FDS)
        return false;
    memmove(&frame->fds[at + 1], &frame->fds[at], (frame->fds_len - at) * sizeof frame->fds[0]);
    frame->fds[at] = fd;
    frame->fds_len++;
    return true;
}

/* Moves the remembered blob out of the body; true when there is more room now. */
static bool spill_blob(struct wire_frame *frame)
{
    size_t head = frame->blob_at, len = frame->blob_len;
    uint64_t len64 = len;
    char *field = frame->body.data + head;
    CLEANUP_CLOSE int fd = -1;

    if (len < SPILL_MIN)
        return false;
    fd = memfd_sealed("wire", field + BLOB_HEAD, len);
    if (fd < 0 || !insert_fd(frame, frame->blob_fd_at, fd))
        return false;
    (void) TAKE_FD(fd);
    field[0] = BLOB_MEMFD;
    memcpy(field + 1, &len64, sizeof len64);
    memmove(field + 1 + sizeof len64, field + BLOB_HEAD + len, frame->body.len - head - BLOB_HEAD - len);
    frame->body.len -= len + BLOB_HEAD - 1 - sizeof len64;
    frame->blob_len = 0;
    return true;
}

static void put(struct wire_frame *frame, const void *data, size_t len)
{
    if (frame->bad)
        return;
    if (len > BODY_MAX - frame->body.len && !spill_blob(frame))
        frame->bad = true;
    else if (buf_add(&frame->body, data, len) < 0)
        frame->bad = true;
}

void wire_put_u8(struct wire_frame *frame, uint8_t value)
{
    put(frame, &value, sizeof value);
}

void wire_put_u32(struct wire_frame *frame, uint32_t value)
{
    put(frame, &value, sizeof value);
}

void wire_put_u64(struct wire_frame *frame, uint64_t value)
{
    put(frame, &value, sizeof value);
}

void wire_put_i64(struct wire_frame *frame, int64_t value)
{
    put(frame, &value, sizeof value);
}

void wire_put_str(struct wire_frame *frame, const char *text)
{
    wire_put_bytes(frame, text ? text : "", text ? strlen(text) : 0);
}

void wire_put_bytes(struct wire_frame *frame, const void *data, size_t len)
{
    if (len > BODY_MAX) {
        frame->bad = true;
        return;
    }
    wire_put_u32(frame, (uint32_t) len);
    put(frame, data, len);
}

void wire_put_secret(struct wire_frame *frame, const void *data, size_t len)
{
    if (buf_reserve(&frame->body, BODY_MAX - frame->body.len) < 0) {
        frame->bad = true;
        return;
    }
    frame->holds_secret = true;
    wire_put_bytes(frame, data, len);
}

static void put_memfd(struct wire_frame *frame, const void *data, size_t len)
{
    int fd = memfd_sealed("wire", data, len);

    if (fd < 0) {
        frame->bad = true;
        return;
    }
    wire_put_u8(frame, BLOB_MEMFD);
    wire_put_u64(frame, len);
    wire_put_fd(frame, fd);
}

void wire_put_blob(struct wire_frame *frame, const void *data, size_t len)
{
    size_t at = frame->body.len, fd_at = frame->fds_len;

    if (frame->bad || len > LIMIT_BLOB_BYTES) {
        frame->bad = true;
        return;
    }
    if (at + BLOB_HEAD + len > BODY_MAX) {
        put_memfd(frame, data, len);
        return;
    }
    wire_put_u8(frame, BLOB_INLINE);
    wire_put_bytes(frame, data, len);
    if (!frame->bad && len > frame->blob_len) {
        frame->blob_at = at;
        frame->blob_len = len;
        frame->blob_fd_at = fd_at;
    }
}

void wire_put_fd(struct wire_frame *frame, int fd)
{
    if (frame->bad || fd < 0 || !insert_fd(frame, frame->fds_len, fd)) {
        frame->bad = true;
        cleanup_close(&fd);
    }
}

/* The next `len` bytes of the body, or NULL and a bad frame. */
static char *get(struct wire_frame *frame, size_t len)
{
    char *data;

#ifdef PLANTED_BUG /* tests/fuzz/run builds the fuzzer once without the check, and wants it found */
    if (frame->bad) {
#else
    if (frame->bad || len > frame->body.len - frame->at) {
#endif
        frame->bad = true;
        return NULL;
    }
    data = frame->body.data + frame->at;
    frame->at += len;
    return data;
}

static void get_value(struct wire_frame *frame, void *value, size_t len)
{
    const char *data = get(frame, len);

    if (data)
        memcpy(value, data, len);
    else
        memset(value, 0, len);
}

uint8_t wire_get_u8(struct wire_frame *frame)
{
    uint8_t value;

    get_value(frame, &value, sizeof value);
    return value;
}

uint32_t wire_get_u32(struct wire_frame *frame)
{
    uint32_t value;

    get_value(frame, &value, sizeof value);
    return value;
}

uint64_t wire_get_u64(struct wire_frame *frame)
{
    uint64_t value;

    get_value(frame, &value, sizeof value);
    return value;
}

int64_t wire_get_i64(struct wire_frame *frame)
{
    int64_t value;

    get_value(frame, &value, sizeof value);
    return value;
}

static char *get_sized(struct wire_frame *frame, size_t max, size_t *ret_len)
{
    uint32_t len = wire_get_u32(frame);

    if (len > max)
        frame->bad = true;
    *ret_len = 0;
    if (frame->bad)
        return NULL;
    *ret_len = len;
    return get(frame, len);
}

const char *wire_get_str(struct wire_frame *frame, size_t max)
{
    size_t len;
    char *data = get_sized(frame, max, &len);

    if (data && memchr(data, '\0', len))
        frame->bad = true;
    if (frame->bad || !data)
        return "";
    data--;
    memmove(data, data + 1, len);
    data[len] = '\0';
    return data;
}

const void *wire_get_bytes(struct wire_frame *frame, size_t max, size_t *ret_len)
{
    const char *data = get_sized(frame, max, ret_len);

    if (data)
        return data;
    *ret_len = 0;
    return "";
}

void wire_get_secret(struct wire_frame *frame, size_t max, struct secret **ret_secret)
{
    size_t len = 0;
    char *data = get_sized(frame, max, &len);
    struct secret *secret = NULL;

    if (data && secret_from(data, len, &secret) < 0)
        frame->bad = true;
    if (data)
        secret_wipe(data, len);
    *ret_secret = secret;
}

void wire_mark_secret(struct wire_frame *frame)
{
    frame->holds_secret = true;
}

/* A mapping of the next descriptor, whose seals promise that it stays as it is. */
static const void *get_memfd(struct wire_frame *frame, size_t max, size_t *ret_len)
{
    uint64_t len = wire_get_u64(frame);
    CLEANUP_CLOSE int fd = wire_get_fd(frame);
    size_t size;
    void *map;

    if (frame->bad || len > max || len > LIMIT_BLOB_BYTES || !memfd_is_sealed(fd, &size) || size != len)
        return NULL;
    if (len == 0)
        return "";
    map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        return NULL;
    frame->maps[frame->maps_len] = map;
    frame->map_lens[frame->maps_len++] = size;
    *ret_len = size;
    return map;
}

const void *wire_get_blob(struct wire_frame *frame, size_t max, size_t *ret_len)
{
    uint8_t kind = wire_get_u8(frame);
    const void *data;

    *ret_len = 0;
    if (kind == BLOB_INLINE)
        return wire_get_bytes(frame, max, ret_len);
    data = kind == BLOB_MEMFD ? get_memfd(frame, max, ret_len) : NULL;
    if (data)
        return data;
    frame->bad = true;
    return "";
}

int wire_get_fd(struct wire_frame *frame)
{
    if (frame->bad || frame->fd_at == frame->fds_len) {
        frame->bad = true;
        return -1;
    }
    return TAKE_FD(frame->fds[frame->fd_at++]);
}

int wire_end(struct wire_frame *frame)
{
    if (frame->at != frame->body.len || frame->fd_at != frame->fds_len)
        frame->bad = true;
    return frame->bad ? -EPROTO : 0;
}
