/*
 * Fuzzes frames in three ways, chosen by the input's first byte. Reading: that byte
 * says how many readers run, the next ones which and with what ceiling, the rest is
 * the body; a sealed memfd and a descriptor that is none come along. Whatever is
 * read lies inside the frame. Packet: the rest is sent as one packet, header and
 * all. Round trip: each byte puts a field; what is sent arrives the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
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

static void fuzz_reading(const uint8_t *data, size_t size)
{
    static int blob = -1, other = -1;
    CLEANUP(wire_free) struct wire_frame frame;
    size_t readers = data[0] & 31;

    if (blob < 0) {
        blob = memfd_sealed("fuzz", "sixteen bytes...", 16);
        other = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    wire_init(&frame, 1, 1);
    if (size < 1 + readers || buf_add(&frame.body, data + 1 + readers, size - 1 - readers) < 0)
        return;
    /* No spare room, so that a byte too many is one outside of the memory. */
    frame.body.data = realloc(frame.body.data, frame.body.len + 1);
    if (data[0] & 32)
        wire_put_fd(&frame, dup(blob));
    if (data[0] & 64)
        wire_put_fd(&frame, dup(other));
    for (size_t i = 0; i < readers; i++)
        read_field(&frame, data[1 + i]);
    if (wire_end(&frame) == 0)
        require(frame.at == frame.body.len && frame.fd_at == frame.fds_len);
}

/* A pair that is made once; one end sends, the other receives. */
static const int *sockets(void)
{
    static int pair[2] = { -1, -1 };

    if (pair[0] < 0) {
        require(wire_pair(pair) == 0);
        require(fcntl(pair[1], F_SETFL, O_NONBLOCK) == 0);
    }
    return pair;
}

static void fuzz_packet(const uint8_t *data, size_t size)
{
    CLEANUP(wire_free) struct wire_frame frame;
    int r;

    wire_init(&frame, 0, 0);
    if (send(sockets()[0], data, size, 0) < 0)
        return;
    r = wire_recv(sockets()[1], &frame);
    require(r == 1 || r == -EPROTO || (r == 0 && size == 0));
    if (r == 1)
        require(frame.body.len + WIRE_HEADER_BYTES == size && frame.fds_len == 0);
}

static const size_t sizes[] = { 0, 1, 15, 16, 17, 100, 1000, 4000, 20000, 32000, 50000, 60000, 65000, 65515, 65516, 70000 };
static uint8_t pattern[70000];

static void put_field(struct wire_frame *frame, uint8_t op)
{
    size_t len = sizes[op >> 4];

    switch (op & 7) {
    case 0:
        wire_put_u8(frame, op);
        break;
    case 1:
        wire_put_u32(frame, op);
        break;
    case 2:
        wire_put_u64(frame, op);
        break;
    case 3:
        wire_put_i64(frame, -(int64_t) op);
        break;
    case 4:
        wire_put_str(frame, op & 8 ? NULL : "text");
        break;
    case 5:
        wire_put_bytes(frame, pattern, len);
        break;
    case 6:
        wire_put_blob(frame, pattern, len);
        break;
    default:
        wire_put_fd(frame, dup(STDERR_FILENO));
    }
}

static void get_field(struct wire_frame *frame, uint8_t op)
{
    size_t wanted = sizes[op >> 4], len = 0;
    const void *bytes;
    int fd;

    switch (op & 7) {
    case 0:
        require(wire_get_u8(frame) == op);
        break;
    case 1:
        require(wire_get_u32(frame) == op);
        break;
    case 2:
        require(wire_get_u64(frame) == op);
        break;
    case 3:
        require(wire_get_i64(frame) == -(int64_t) op);
        break;
    case 4:
        require(!strcmp(wire_get_str(frame, 4), op & 8 ? "" : "text"));
        break;
    case 5:
    case 6:
        bytes = (op & 7) == 5 ? wire_get_bytes(frame, wanted, &len) : wire_get_blob(frame, wanted, &len);
        require(len == wanted && !memcmp(bytes, pattern, len));
        break;
    default:
        fd = wire_get_fd(frame);
        require(fd >= 0);
        cleanup_close(&fd);
    }
}

static void fuzz_round_trip(const uint8_t *ops, size_t len)
{
    CLEANUP(wire_free) struct wire_frame frame;
    CLEANUP(wire_free) struct wire_frame got;

    for (size_t i = 0; i < sizeof pattern && !pattern[0]; i++)
        pattern[sizeof pattern - 1 - i] = (uint8_t) (i * 7 + 1);
    wire_init(&frame, 3, 4);
    wire_init(&got, 0, 0);
    for (size_t i = 0; i < len; i++)
        put_field(&frame, ops[i]);
    if (wire_send(sockets()[0], &frame) < 0)
        return;
    require(wire_recv(sockets()[1], &got) == 1 && got.type == 3 && got.id == 4);
    for (size_t i = 0; i < len; i++)
        get_field(&got, ops[i]);
    require(wire_end(&got) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] < 128)
        fuzz_reading(data, size);
    else if (data[0] < 192)
        fuzz_packet(data + 1, size - 1);
    else
        fuzz_round_trip(data + 1, size - 1 < 40 ? size - 1 : 40);
    return 0;
}
