/*
 * Fuzzes the frames that the broker reads from the keeper. The first byte says
 * which frame and whether a sealed memfd comes along (64), the rest is its body. The
 * bindings that come through are chosen from, as a call does.
 */
#include "base/file.h"
#include "binding/binding.h"
#include "broker/keeper-frames.h"
#include "wire/limits.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

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

static void read_state(struct wire_frame *frame)
{
    char name[BINDING_NAME_MAX] = "";
    struct keeper_state state;

    if (keeper_read_state(frame, &state) < 0)
        return;
    json_t *bindings = state.bindings;
    require(json_is_array(bindings) && state.vault <= KEEPER_VAULT_UNLOCKED);
    if (state.head_key)
        touch(state.head_key, KEEPER_HEAD_KEY_BYTES);
    touch(state.degraded, strlen(state.degraded));
    if (binding_choose(bindings, "local://x", "api_key", NULL, name) == BINDING_CHOSEN)
        require(name[0] && strlen(name) < sizeof name);
    if (binding_choose(bindings, "local://x", "api_key", "api_key/x/me", name) == BINDING_CHOSEN)
        require(!strcmp(name, "api_key/x/me"));
    json_decref(bindings);
}

static void read_reply(struct wire_frame *frame, uint16_t type)
{
    struct keeper_reply reply;

    frame->type = type;
    if (keeper_read_reply(frame, &reply) < 0)
        return;
    require(reply.result < KEEPER_RESULT_COUNT && (type == KEEPER_LISTED) == (reply.list != NULL));
    require(type != KEEPER_SIGNED || (reply.result == KEEPER_OK) == (reply.signature != NULL));
    if (reply.signature)
        touch(reply.signature, KEEPER_SIGNATURE_BYTES);
    touch(reply.message, strlen(reply.message));
    touch(reply.hint, strlen(reply.hint));
    touch(reply.detail, strlen(reply.detail));
    json_decref(reply.list);
}

/* What becomes a receipt must be small and flat: the audit log's lines have a limit. */
static void read_event(struct wire_frame *frame)
{
    struct keeper_event event;

    if (keeper_read_event(frame, &event) < 0)
        return;
    require(!strncmp(event.type, "vault.", 6) || !strncmp(event.type, "secret.", 7) || !strncmp(event.type, "binding.", 8));
    char *text = json_dumps(event.payload, JSON_COMPACT);
    require(text && strlen(text) < 48 * KIB);
    free(text);
    json_decref(event.payload);
}

static void read_fetched(struct wire_frame *frame)
{
    struct fetch_answer answer;

    if (fetch_read_answer(frame, &answer) < 0)
        return;
    require(answer.outcome <= KEEPER_HTTP_REDIRECT_REFUSED && answer.body_len <= LIMIT_BLOB_BYTES &&
            answer.retry_after_ms >= -1 && answer.retry_after_ms <= 24 * 3600 * 1000);
    touch(answer.body, answer.body_len);
    touch(answer.etag, strlen(answer.etag));
    touch(answer.message, strlen(answer.message));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int sealed = -1;
    CLEANUP(wire_free) struct wire_frame frame;
    struct keeper_answer answer;
    struct keeper_hello hello;

    if (sealed < 0)
        sealed = memfd_sealed("fuzz", "sixteen bytes...", 16);
    wire_init(&frame, 1, 1);
    if (!size || buf_add(&frame.body, data + 1, size - 1) < 0)
        return 0;
    if (data[0] & 64)
        wire_put_fd(&frame, fcntl(sealed, F_DUPFD_CLOEXEC, 0));
    switch (data[0] & 7) {
    case 0:
        if (keeper_read_hello(&frame, &hello) == 0) {
            touch(hello.confinement, strlen(hello.confinement));
            touch(hello.degraded, strlen(hello.degraded));
        }
        break;
    case 1:
        read_state(&frame);
        break;
    case 3:
        read_fetched(&frame);
        break;
    case 4:
        read_reply(&frame, KEEPER_DONE);
        break;
    case 5:
        read_reply(&frame, KEEPER_SIGNED);
        break;
    case 6:
        read_reply(&frame, KEEPER_LISTED);
        break;
    case 7:
        read_event(&frame);
        break;
    default:
        if (keeper_read_answer(&frame, &answer) == 0) {
            require(answer.outcome <= KEEPER_HTTP_REDIRECT_REFUSED && answer.body_len <= LIMIT_RESPONSE_BYTES);
            touch(answer.body, answer.body_len);
            touch(answer.message, strlen(answer.message));
        }
    }
    return 0;
}
