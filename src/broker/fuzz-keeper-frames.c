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
    enum keeper_vault_state vault;
    json_t *bindings;

    if (keeper_read_state(frame, &vault, &bindings) < 0)
        return;
    require(json_is_array(bindings) && vault <= KEEPER_VAULT_DEVELOPMENT);
    if (binding_choose(bindings, "local://x", "api_key", NULL, name) == BINDING_CHOSEN)
        require(name[0] && strlen(name) < sizeof name);
    if (binding_choose(bindings, "local://x", "api_key", "api_key/x/me", name) == BINDING_CHOSEN)
        require(!strcmp(name, "api_key/x/me"));
    json_decref(bindings);
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
    switch (data[0] & 3) {
    case 0:
        if (keeper_read_hello(&frame, &hello) == 0) {
            touch(hello.confinement, strlen(hello.confinement));
            touch(hello.degraded, strlen(hello.degraded));
        }
        break;
    case 1:
        read_state(&frame);
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
