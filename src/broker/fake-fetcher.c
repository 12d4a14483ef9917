/*
 * A fetcher for the tests of its supervisor: says hello as its one argument wants it, then does, right or wrong, what the URL
 * of a download says.
 */
#include "keeper/client.h"
#include "wire/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

static void reply(struct wire_frame *frame)
{
    if (wire_send(KEEPER_CHANNEL_FD, frame) < 0)
        exit(9);
    wire_free(frame);
}

static void send_hello(uint32_t version)
{
    struct wire_frame frame;

    wire_init(&frame, FETCH_HELLO, 0);
    wire_put_u32(&frame, version);
    wire_put_str(&frame, "not at all");
    wire_put_str(&frame, "");
    reply(&frame);
}

static void send_progress(uint32_t id, uint64_t done, uint64_t total)
{
    struct wire_frame frame;

    wire_init(&frame, FETCH_PROGRESS, id);
    wire_put_u64(&frame, done);
    wire_put_u64(&frame, total);
    reply(&frame);
}

static void send_result(uint32_t id, uint8_t outcome, const char *body)
{
    struct wire_frame frame;

    wire_init(&frame, FETCH_RESULT, id);
    wire_put_u8(&frame, outcome);
    wire_put_u32(&frame, outcome == KEEPER_HTTP_DONE ? 200 : 0);
    wire_put_str(&frame, "\"tag\"");
    wire_put_i64(&frame, -1);
    wire_put_blob(&frame, body, strlen(body));
    wire_put_str(&frame, "words");
    reply(&frame);
}

/* What would be a pause of 292 million years. */
static void send_for_ever(uint32_t id)
{
    struct wire_frame frame;

    wire_init(&frame, FETCH_RESULT, id);
    wire_put_u8(&frame, KEEPER_HTTP_DONE);
    wire_put_u32(&frame, 429);
    wire_put_str(&frame, "");
    wire_put_i64(&frame, INT64_MAX);
    wire_put_blob(&frame, "", 0);
    wire_put_str(&frame, "");
    reply(&frame);
}

static void send_short(uint32_t id)
{
    struct wire_frame frame;

    wire_init(&frame, FETCH_RESULT, id);
    wire_put_u8(&frame, KEEPER_HTTP_DONE);
    reply(&frame);
}

static void on_get(struct wire_frame *frame)
{
    const char *url = wire_get_str(frame, 8192);

    if (!strcmp(url, "die"))
        abort();
    if (!strcmp(url, "leave"))
        exit(0);
    if (!strcmp(url, "hang"))
        pause();
    if (!strcmp(url, "hello again"))
        send_hello(KEEPER_PROTOCOL_VERSION);
    if (!strcmp(url, "stranger"))
        send_result(frame->id + 77, KEEPER_HTTP_DONE, "");
    if (!strcmp(url, "stranger's progress"))
        send_progress(frame->id + 77, 1, 2);
    if (!strcmp(url, "short"))
        send_short(frame->id);
    if (!strcmp(url, "for ever"))
        send_for_ever(frame->id);
    if (!strcmp(url, "outcome"))
        send_result(frame->id, 200, "");
    if (!strcmp(url, "too much"))
        send_result(frame->id, KEEPER_HTTP_DONE, "seventeen bytes..");
    if (!strcmp(url, "twice"))
        send_result(frame->id, KEEPER_HTTP_DONE, "first");
    if (!strcmp(url, "progress"))
        for (uint64_t done = 1; done <= 3; done++)
            send_progress(frame->id, done, 3);
    if (strcmp(url, "later"))
        send_result(frame->id, KEEPER_HTTP_DONE, "body");
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "ok";
    struct wire_frame frame;

    if (!strcmp(how, "dead"))
        return 1;
    if (!strcmp(how, "mute"))
        pause();
    send_hello(!strcmp(how, "version") ? KEEPER_PROTOCOL_VERSION + 1 : KEEPER_PROTOCOL_VERSION);
    while (wire_recv(KEEPER_CHANNEL_FD, &frame) == 1) {
        if (frame.type == FETCH_CONFIGURE && !strcmp(how, "one settings only") && strcmp(wire_get_str(&frame, 512), "") != 0)
            abort();
        if (frame.type == FETCH_GET)
            on_get(&frame);
        if (frame.type == FETCH_CANCEL)
            send_result(frame.id, KEEPER_HTTP_NETWORK, "");
        wire_free(&frame);
    }
    return 0;
}
