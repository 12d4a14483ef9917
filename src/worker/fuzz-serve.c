/*
 * Fuzzes what a run worker reads from its channel. The input is a row of packets:
 * type, id, a byte of flags, two bytes of length, body. They wait in a socket while the worker's loop runs
 * to its end on a stand-in for the engine, so answers to HTTP frames, late ones too, are
 * among them. Flag 1 sends a sealed memfd along, flag 2 one that is not sealed, flag 4 spoils the header.
 */
#include "worker/fake-module.h"
#include "worker/serve.h"

#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/banned.h"

#define HEAD_BYTES  5
#define FLAG_SEALED 1
#define FLAG_OPEN   2
#define FLAG_SPOIL  4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void attach(struct wire_frame *frame, const uint8_t *body, size_t len, uint8_t flags)
{
    int fd = -1;

    if (flags & FLAG_SEALED)
        fd = memfd_sealed("fuzz", body, len);
    else if (flags & FLAG_OPEN)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd >= 0)
        wire_put_fd(frame, fd);
}

/* Sends one packet; returns the bytes of input used, 0 at its end or when the socket is full. */
static size_t send_one(int channel, const uint8_t *data, size_t size)
{
    CLEANUP(wire_free) struct wire_frame frame;
    size_t len = 0;

    wire_init(&frame, 0, 0);
    if (size < HEAD_BYTES)
        return 0;
    len = (size_t) data[3] | (size_t) data[4] << 8;
    if (len > size - HEAD_BYTES)
        len = size - HEAD_BYTES;
    frame.type = data[0];
    frame.id = data[1];
    attach(&frame, data + HEAD_BYTES, len, data[2]);
    if (buf_add(&frame.body, data + HEAD_BYTES, len) < 0)
        return 0;
    if (data[2] & FLAG_SPOIL)
        return send(channel, data, HEAD_BYTES + len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? 0 : HEAD_BYTES + len;
    return wire_send(channel, &frame) < 0 ? 0 : HEAD_BYTES + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct serve serve = { .most_mib = 64 };
    int pair[2];

    if (size > 65536 || wire_pair(pair) < 0)
        return 0;
    memset(&fake, 0, sizeof(fake));
    /* Every fourth length lets all waits time out. */
    fake.left_us = size % 4 ? 1000000 : 0;
    for (int i = 0; i < 2; i++)
        if (fcntl(pair[i], F_SETFL, O_NONBLOCK) < 0)
            abort();
    for (size_t at = 0, used = 1; used > 0; at += used)
        used = send_one(pair[1], data + at, size - at);
    shutdown(pair[1], SHUT_WR);
    serve.channel = pair[0];
    if (serve_ready(pair[0], "fuzz") < 0)
        abort();
    serve_run(&serve);
    /* Nothing runs before something was loaded. */
    if (fake.runs > 0 && fake.loads == 0)
        abort();
    serve_free(&serve);
    close(pair[0]);
    close(pair[1]);
    return 0;
}
