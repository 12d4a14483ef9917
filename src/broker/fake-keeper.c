/*
 * A keeper for the tests of its supervisor: speaks the protocol and does, right or
 * wrong, what its one argument and the URL of a request say.
 */
#include "keeper/client.h"
#include "wire/frame.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

    wire_init(&frame, KEEPER_HELLO, 0);
    wire_put_u32(&frame, version);
    wire_put_u8(&frame, KEEPER_VAULT_LOCKED);
    wire_put_str(&frame, "not at all");
    wire_put_u8(&frame, 0);
    wire_put_str(&frame, "");
    reply(&frame);
}

static void send_state(const char *bindings)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_STATE, 0);
    wire_put_u8(&frame, KEEPER_VAULT_UNLOCKED);
    wire_put_u8(&frame, 1);
    wire_put_bytes(&frame, "0123456789abcdef0123456789ABCDEF", 32);
    wire_put_str(&frame, "");
    wire_put_blob(&frame, bindings, strlen(bindings));
    reply(&frame);
}

static void send_answer(uint32_t id, enum keeper_http_outcome outcome, const char *body)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_HTTP_RESULT, id);
    wire_put_u8(&frame, (uint8_t) outcome);
    wire_put_u8(&frame, 1);
    wire_put_u32(&frame, 200);
    wire_put_i64(&frame, -1);
    wire_put_blob(&frame, body, strlen(body));
    wire_put_str(&frame, "words");
    reply(&frame);
}

static void on_http(struct wire_frame *frame)
{
    size_t len;

    wire_get_str(frame, 512);
    wire_get_str(frame, 512);
    wire_get_str(frame, 16);
    const char *url = wire_get_str(frame, 512);
    wire_get_str(frame, 512);
    wire_get_blob(frame, 1024, &len);
    wire_get_u8(frame);
    wire_get_str(frame, 512);
    wire_get_u32(frame);
    wire_get_u8(frame);
    if (wire_end(frame) < 0)
        exit(8);
    if (!strcmp(url, "die"))
        abort();
    if (!strcmp(url, "hang"))
        pause();
    if (!strcmp(url, "garbage"))
        send_hello(KEEPER_PROTOCOL_VERSION);
    else if (!strcmp(url, "stranger"))
        send_answer(frame->id + 77, KEEPER_HTTP_DONE, "");
    else if (!strcmp(url, "twice"))
        send_answer(frame->id, KEEPER_HTTP_DONE, "first");
    else if (!strcmp(url, "badstate"))
        send_state("{}");
    else if (!strcmp(url, "flood"))
        for (int i = 0; i < 1000; i++)
            send_state("[]");
    if (strcmp(url, "later"))
        send_answer(frame->id, KEEPER_HTTP_DONE, "body");
}

/* The channel, the listener and nothing else. */
static bool descriptors_are_right(void)
{
    int type = 0, listens = 0;
    socklen_t len = sizeof type;

    return getsockopt(KEEPER_OWNER_FD, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET &&
           getsockopt(KEEPER_OWNER_FD, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 && listens &&
           fcntl(KEEPER_OWNER_FD + 1, F_GETFD) < 0;
}

int main(int argc, char **argv)
{
    struct wire_frame frame;

    if (argc != 2 || !descriptors_are_right())
        return 2;
    if (!strcmp(argv[1], "refuse")) {
        fprintf(stderr, "aileron-keeper: the moon is wrong\naileron-keeper: wait a week\n");
        return 1;
    }
    if (!strcmp(argv[1], "silent"))
        return 1;
    send_hello(!strcmp(argv[1], "version") ? 99 : KEEPER_PROTOCOL_VERSION);
    while (wire_recv(KEEPER_CHANNEL_FD, &frame) == 1) {
        if (frame.type == KEEPER_GET_STATE)
            send_state(
                "[{\"binding\":\"api_key/x/me\",\"connector_fqn\":\"local://x\",\"kind\":\"api_key\",\"status\":\"active\"}]");
        else if (frame.type == KEEPER_HTTP)
            on_http(&frame);
        else if (frame.type == KEEPER_HTTP_CANCEL)
            send_answer(frame.id, KEEPER_HTTP_NETWORK, "");
        wire_free(&frame);
    }
    return 0;
}
