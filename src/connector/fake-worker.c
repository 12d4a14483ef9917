/*
 * A worker for the tests of pool and cache: speaks the protocol and does what the
 * test asks for, right or wrong. In --run mode the list of allowed imports says
 * how it behaves, in --compile mode the "module" does.
 */
#include "wire/frame.h"
#include "worker/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

static void reply(struct wire_frame *frame)
{
    if (wire_send(WORKER_CHANNEL_FD, frame) < 0)
        exit(9);
    wire_free(frame);
}

static void send_ready(void)
{
    struct wire_frame frame;

    wire_init(&frame, WORKER_READY, 0);
    wire_put_u32(&frame, WORKER_PROTOCOL_VERSION);
    wire_put_str(&frame, "fake");
    wire_put_str(&frame, "fake config");
    wire_put_str(&frame, "not at all");
    reply(&frame);
}

static void send_done(uint32_t id, enum worker_outcome outcome, const char *out)
{
    struct wire_frame frame;

    wire_init(&frame, WORKER_DONE, id);
    wire_put_u8(&frame, (uint8_t) outcome);
    wire_put_u32(&frame, 0);
    wire_put_blob(&frame, out, strlen(out));
    wire_put_bytes(&frame, "tail", 4);
    wire_put_u64(&frame, 65536);
    wire_put_u64(&frame, 7);
    wire_put_str(&frame, "");
    reply(&frame);
}

static void send_text(uint16_t type, uint32_t id, const char *first, const char *second)
{
    struct wire_frame frame;

    wire_init(&frame, type, id);
    if (type == WORKER_LOG)
        wire_put_u8(&frame, WORKER_LOG_INFO);
    else
        wire_put_str(&frame, first);
    wire_put_str(&frame, second);
    reply(&frame);
}

static void send_http(uint32_t id)
{
    struct wire_frame frame;

    wire_init(&frame, WORKER_HTTP, id);
    wire_put_blob(&frame, "{}", 2);
    reply(&frame);
}

/* One request, whose answer's body becomes the output. */
static void ask(uint32_t id)
{
    struct wire_frame frame;
    char text[64] = "";
    size_t len;

    send_http(id);
    if (wire_recv(WORKER_CHANNEL_FD, &frame) != 1 || frame.type != WORKER_HTTP_RESULT || frame.id != id)
        exit(8);
    long result = (long) wire_get_i64(&frame);
    unsigned status = wire_get_u32(&frame);
    const char *body = wire_get_blob(&frame, 32, &len);
    snprintf(text, sizeof text, "%ld %u %.*s", result, status, (int) len, body);
    wire_free(&frame);
    send_done(id, WORKER_EXITED, text);
}

static void run(uint32_t id, const char *how)
{
    char pid[32];

    snprintf(pid, sizeof pid, "%d", (int) getpid());
    if (!strcmp(how, "die"))
        abort();
    if (!strcmp(how, "hang"))
        pause();
    if (!strcmp(how, "garbage"))
        send_text(WORKER_REFUSED, id, "out", "of turn");
    for (int i = 0; !strcmp(how, "flood") && i < 1000; i++)
        send_text(WORKER_LOG, id, "", "line");
    if (!strcmp(how, "twice")) {
        send_http(id);
        send_http(id);
    }
    if (!strcmp(how, "late")) {
        send_http(id);
        send_done(id, WORKER_TIMED_OUT, "");
        return;
    }
    if (!strcmp(how, "early")) {
        send_http(id);
        send_done(id, WORKER_EXITED, "");
        return;
    }
    if (!strcmp(how, "ask"))
        ask(id);
    else
        send_done(id, !strcmp(how, "trap") ? WORKER_TRAPPED : WORKER_EXITED, pid);
}

static int serve(void)
{
    char how[64] = "";
    struct wire_frame frame;

    for (;;) {
        if (wire_recv(WORKER_CHANNEL_FD, &frame) != 1)
            return 0;
        if (frame.type == WORKER_LOAD) {
            size_t len;
            wire_get_blob(&frame, 1 << 20, &len);
            wire_get_u32(&frame);
            snprintf(how, sizeof how, "%s", wire_get_str(&frame, 60));
            if (!strcmp(how, "die at load"))
                return 3;
            if (!strcmp(how, "refuse"))
                send_text(WORKER_REFUSED, frame.id, "no", "it has horns");
            else {
                struct wire_frame loaded;
                wire_init(&loaded, WORKER_LOADED, frame.id);
                wire_put_u64(&loaded, 1);
                reply(&loaded);
            }
        } else if (frame.type == WORKER_RUN) {
            run(frame.id, how);
        }
        wire_free(&frame);
    }
}

static int compile(void)
{
    struct wire_frame frame, answer;
    size_t len;

    if (wire_recv(WORKER_CHANNEL_FD, &frame) != 1 || frame.type != WORKER_COMPILE)
        return 0;
    const char *text = wire_get_blob(&frame, 1 << 20, &len);
    if (len >= 3 && !memcmp(text, "die", 3))
        return 3;
    if (len >= 4 && !memcmp(text, "hang", 4))
        pause();
    if (len >= 6 && !memcmp(text, "refuse", 6)) {
        send_text(WORKER_REFUSED, frame.id, "no", "bad magic");
        return 0;
    }
    wire_init(&answer, WORKER_COMPILED, frame.id);
    wire_put_blob(&answer, text, len);
    wire_put_str(&answer, "wasi_snapshot_preview1.fd_write\n");
    wire_put_u8(&answer, 1);
    wire_put_u8(&answer, 1);
    reply(&answer);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    send_ready();
    return !strcmp(argv[1], "--compile") ? compile() : serve();
}
