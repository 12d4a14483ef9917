/*
 * Fuzzes the reading of frames. The input's first byte says how many readers
 * run, the next ones which and with what ceiling, the rest is the frame's body. A
 * sealed memfd and a descriptor that is none come along. Whatever is read lies inside the frame.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "wire/frame.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void require(int truth)
{
    if (!truth)
        abort();
}

/* Touches every byte, so that the sanitizer sees one outside. */
static void touch(const void *data, size_t len)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < len; i++)
        sink ^= bytes[i];
}

static void read_field(struct wire_frame *frame, uint8_t reader)
{
    size_t max = (size_t) 1 << (reader >> 3), len = 0;
    const void *bytes;
    const char *text;
    int fd;

    switch (reader & 7) {
    case 0:
        wire_get_u8(frame);
        break;
    case 1:
        wire_get_u32(frame);
        break;
    case 2:
        wire_get_u64(frame);
        break;
    case 3:
        wire_get_i64(frame);
        break;
    case 4:
        text = wire_get_str(frame, max);
        require(strlen(text) <= max);
        break;
    case 5:
        bytes = wire_get_bytes(frame, max, &len);
        require(len <= max);
        touch(bytes, len);
        break;
    case 6:
        bytes = wire_get_blob(frame, max, &len);
        require(len <= max);
        touch(bytes, len);
        break;
    default:
        fd = wire_get_fd(frame);
        require(fd >= 0 || frame->bad);
        cleanup_close(&fd);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int blob = -1, other = -1;
    CLEANUP(wire_free) struct wire_frame frame;
    size_t readers = size ? data[0] & 31 : 0;

    if (blob < 0) {
        blob = memfd_sealed("fuzz", "sixteen bytes...", 16);
        other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    wire_init(&frame, 1, 1);
    if (size < 1 + readers)
        return 0;
    if (buf_add(&frame.body, data + 1 + readers, size - 1 - readers) < 0)
        return 0;
    /* No spare room, so that a byte too many is one outside of the memory. */
    if (frame.body.len)
        frame.body.data = realloc(frame.body.data, frame.body.len + 1);
    if (data[0] & 32)
        wire_put_fd(&frame, dup(blob));
    if (data[0] & 64)
        wire_put_fd(&frame, dup(other));
    for (size_t i = 0; i < readers; i++)
        read_field(&frame, data[1 + i]);
    if (wire_end(&frame) == 0)
        require(frame.at == frame.body.len && frame.fd_at == frame.fds_len);
    return 0;
}
