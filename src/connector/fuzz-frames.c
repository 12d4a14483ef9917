/*
 * Fuzzes the frames that the broker reads from a worker. The first byte says
 * which frame and what comes along (64: a sealed memfd, 128: one that is not), the rest is its body. Whatever is
 * read must lie inside the frame and within its bounds.
 */
#include "base/file.h"
#include "connector/frames.h"
#include "wire/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint8_t sink;

static void require(int truth)
{
    if (!truth)
        abort();
}

static void touch(const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sink ^= ((const uint8_t *) data)[i];
}

static void touch_text(const char *text, size_t max)
{
    require(strlen(text) <= max);
    touch(text, strlen(text));
}

static void read_done(struct wire_frame *frame)
{
    struct frame_done done;

    if (frame_read_done(frame, &done) < 0)
        return;
    require(done.outcome <= WORKER_STDOUT_TOO_LONG && done.out_len <= LIMIT_STDOUT_BYTES &&
            done.err_tail_len <= LIMIT_STDERR_TAIL_BYTES);
    touch(done.out, done.out_len);
    touch(done.err_tail, done.err_tail_len);
    touch_text(done.trap, 4096);
}

static void read_compiled(struct wire_frame *frame)
{
    struct frame_compiled compiled;

    if (frame_read_compiled(frame, &compiled) < 0)
        return;
    touch(compiled.code, compiled.code_bytes);
    touch_text(compiled.imports, 65536);
}

static void read_texts(struct wire_frame *frame, uint8_t which)
{
    struct frame_ready ready;
    struct frame_refused refused;
    struct frame_log line;
    struct frame_http http;

    if (which == 0 && frame_read_ready(frame, &ready) == 0) {
        touch_text(ready.engine, 4096);
        touch_text(ready.config, 4096);
        touch_text(ready.confinement, 4096);
    } else if (which == 1 && frame_read_refused(frame, &refused) == 0) {
        touch_text(refused.reason, 4096);
        touch_text(refused.detail, 4096);
    } else if (which == 2 && frame_read_log(frame, &line) == 0) {
        require(line.level <= WORKER_LOG_ERROR);
        touch_text(line.message, LIMIT_LOG_LINE_BYTES);
    } else if (which == 3 && frame_read_http(frame, &http) == 0) {
        require(http.len <= LIMIT_REQUEST_ENVELOPE_BYTES);
        touch(http.envelope, http.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int sealed = -1, open_fd = -1;
    CLEANUP(wire_free) struct wire_frame frame;

    if (sealed < 0) {
        sealed = memfd_sealed("fuzz", "sixteen bytes...", 16);
        open_fd = memfd_create("fuzz", MFD_CLOEXEC);
    }
    wire_init(&frame, 1, 1);
    if (!size || buf_add(&frame.body, data + 1, size - 1) < 0)
        return 0;
    if (data[0] & 64)
        wire_put_fd(&frame, fcntl(sealed, F_DUPFD_CLOEXEC, 0));
    if (data[0] & 128)
        wire_put_fd(&frame, fcntl(open_fd, F_DUPFD_CLOEXEC, 0));
    switch (data[0] & 7) {
    case 4:
        frame_read_loaded(&frame);
        break;
    case 5:
        read_done(&frame);
        break;
    case 6:
        read_compiled(&frame);
        break;
    default:
        read_texts(&frame, data[0] & 7);
    }
    return 0;
}
