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

static void send_done(uint32_t id, enum keeper_result result, const char *detail)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_DONE, id);
    wire_put_u8(&frame, (uint8_t) result);
    wire_put_str(&frame, result == KEEPER_OK ? "" : "it cannot be");
    wire_put_str(&frame, "");
    wire_put_str(&frame, detail);
    reply(&frame);
}

static void send_event(uint32_t id, bool wants_written, const char *type, const char *payload)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_EVENT, id);
    wire_put_u8(&frame, wants_written);
    wire_put_str(&frame, type);
    wire_put_str(&frame, payload);
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

#define BINDING                                                                                                                  \
    "\"aileron.binding.name\":\"api_key/x/me\",\"aileron.connector.fqn\":\"local://x\",\"aileron.capability.kind\":\"api_key\""

/* What "event NAME" as URL makes it tell. */
static const struct {
    const char *name, *type, *payload;
} EVENTS[] = {
    { "event secret", "secret.written", "{\"aileron.vault.path\":\"work/token\"}" },
    { "event locked", "vault.locked", "{\"aileron.vault.path\":\"/h/secrets.json\"}" },
    { "event created", "binding.created", "{" BINDING ",\"aileron.binding.origins\":[\"https://a.test:443\"]}" },
    { "event refreshed", "binding.refreshed", "{" BINDING "}" },
    { "event failed", "binding.failed", "{" BINDING "}" },
    { "event foreign", "execution.started", "{}" },
    { "event nothing", "", "{}" },
    { "event lacking", "binding.revoked", "{\"aileron.binding.name\":\"api_key/x/me\"}" },
    { "event stranger", "secret.written", "{\"aileron.vault.path\":\"a\",\"aileron.secret.value\":\"x\"}" },
    { "event nested", "secret.written", "{\"aileron.vault.path\":{\"a\":[1]}}" },
    { "event number", "secret.written", "{\"aileron.vault.path\":1}" },
    { "event list", "secret.written", "[]" },
    { "event text", "secret.written", "aileron" },
};

/* Many at once: all are told before the first answer is read. */
static void tell_many(uint32_t id)
{
    const unsigned many = 300;
    unsigned written = 0;
    struct wire_frame frame;
    char text[32];

    for (unsigned i = 0; i < many; i++)
        send_event(1000 + i, true, EVENTS[0].type, EVENTS[0].payload);
    for (unsigned i = 0; i < many && wire_recv(KEEPER_CHANNEL_FD, &frame) == 1; i++) {
        written += frame.type == KEEPER_EVENT_WRITTEN && frame.id == 1000 + i && wire_get_u8(&frame) == 1;
        wire_free(&frame);
    }
    snprintf(text, sizeof text, "%u", written);
    send_answer(id, KEEPER_HTTP_DONE, text);
}

/* True when the URL was one of an event; whether it is written becomes the answer's body. */
static bool tell_event(uint32_t id, const char *url)
{
    struct wire_frame frame;

    if (!strcmp(url, "event many"))
        tell_many(id);
    for (size_t i = 0; i < sizeof EVENTS / sizeof EVENTS[0]; i++) {
        if (strcmp(url, EVENTS[i].name))
            continue;
        send_event(77, true, EVENTS[i].type, EVENTS[i].payload);
        if (wire_recv(KEEPER_CHANNEL_FD, &frame) != 1 || frame.type != KEEPER_EVENT_WRITTEN || frame.id != 77)
            exit(7);
        send_answer(id, KEEPER_HTTP_DONE, wire_get_u8(&frame) ? "written" : "not written");
        wire_free(&frame);
        return true;
    }
    return !strcmp(url, "event many");
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
    if (tell_event(frame->id, url))
        return;
    if (!strcmp(url, "event and die")) {
        send_event(1, true, EVENTS[0].type, EVENTS[0].payload);
        abort();
    }
    if (!strcmp(url, "event flood"))
        for (uint32_t i = 0; i < 5000; i++)
            send_event(i, false, EVENTS[1].type, EVENTS[1].payload);
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

static void on_sign(struct wire_frame *frame)
{
    struct wire_frame answer;
    size_t len;
    uint64_t seq = wire_get_u64(frame);
    const uint8_t *hash = wire_get_bytes(frame, 32, &len);

    wire_init(&answer, KEEPER_SIGNED, frame->id);
    wire_put_u8(&answer, seq ? KEEPER_OK : KEEPER_REFUSED);
    if (seq) {
        char signature[64];
        memcpy(signature, hash, 32);
        memset(signature + 32, (int) seq, 32);
        wire_put_bytes(&answer, signature, 64);
    } else {
        wire_put_bytes(&answer, "", 0);
    }
    reply(&answer);
}

static void on_list(struct wire_frame *frame)
{
    static const char list[] = "[{\"path\":\"work/token\"}]";
    struct wire_frame answer;

    wire_init(&answer, KEEPER_LISTED, frame->id);
    wire_put_blob(&answer, list, strlen(list));
    reply(&answer);
}

/* A ticket is good once. */
static void on_ticket(struct wire_frame *frame)
{
    static bool spent;
    bool good = !strcmp(wire_get_str(frame, 64), "apr_1");

    good = !strcmp(wire_get_str(frame, 128), "seal") && good;
    good = !strcmp(wire_get_str(frame, 64), "good") && good && !spent;
    if (wire_end(frame) < 0)
        exit(8);
    spent |= good;
    send_done(frame->id, good ? KEEPER_OK : KEEPER_REFUSED, "");
}

static void on_callback(struct wire_frame *frame)
{
    const char *query = wire_get_str(frame, 16 * 1024);

    if (!strcmp(query, "die"))
        abort();
    if (!strcmp(query, "wrong"))
        on_list(frame);
    else if (strcmp(query, "later"))
        send_done(frame->id, KEEPER_DENIED, query);
}

static void on_start(struct wire_frame *frame)
{
    char text[128];
    const char *binding = wire_get_str(frame, 64);

    snprintf(text, sizeof text, "%s at %s", binding, wire_get_str(frame, 64));
    send_done(frame->id, KEEPER_OK, text);
}

static void on_revoke(struct wire_frame *frame)
{
    send_done(frame->id, KEEPER_OK, wire_get_str(frame, 64));
}

static void on_lock(struct wire_frame *frame)
{
    send_event(0, false, EVENTS[1].type, EVENTS[1].payload);
    send_done(frame->id, KEEPER_OK, "");
}

static const struct {
    uint16_t type;
    void (*fn)(struct wire_frame *frame);
} REQUESTS[] = {
    { KEEPER_HTTP, on_http },
    { KEEPER_SIGN_HEAD, on_sign },
    { KEEPER_LIST, on_list },
    { KEEPER_SPEND_TICKET, on_ticket },
    { KEEPER_OAUTH_CALLBACK, on_callback },
    { KEEPER_OAUTH_START, on_start },
    { KEEPER_REVOKE, on_revoke },
    { KEEPER_LOCK, on_lock },
};

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
        else if (frame.type == KEEPER_HTTP_CANCEL)
            send_answer(frame.id, KEEPER_HTTP_NETWORK, "");
        for (size_t i = 0; i < sizeof REQUESTS / sizeof REQUESTS[0]; i++)
            if (REQUESTS[i].type == frame.type)
                REQUESTS[i].fn(&frame);
        wire_free(&frame);
    }
    return 0;
}
