/* Reading the keeper's frames. It holds the secrets; the broker stays whole even if it goes mad. */
#include "broker/keeper-frames.h"

#include "base/json.h"
#include "wire/limits.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define TEXT_MAX 4096

int keeper_read_hello(struct wire_frame *frame, struct keeper_hello *ret_hello)
{
    uint32_t version = wire_get_u32(frame);
    uint8_t vault = wire_get_u8(frame);

    ret_hello->confinement = wire_get_str(frame, TEXT_MAX);
    wire_get_u8(frame); /* overrides active: the broker passed them itself */
    ret_hello->degraded = wire_get_str(frame, TEXT_MAX);
    if (wire_end(frame) < 0 || version != KEEPER_PROTOCOL_VERSION || vault > KEEPER_VAULT_DEVELOPMENT)
        return -EPROTO;
    ret_hello->vault = vault;
    return 0;
}

int keeper_read_state(struct wire_frame *frame, enum keeper_vault_state *ret_vault, json_t **ret_bindings)
{
    CLEANUP_JSON json_t *bindings = NULL;
    uint8_t vault = wire_get_u8(frame);
    const char *text = NULL;
    size_t len = 0;

    wire_get_u8(frame);
    wire_get_bytes(frame, 32, &len);
    wire_get_str(frame, TEXT_MAX);
    text = wire_get_blob(frame, 4 * MIB, &len);

    if (wire_end(frame) < 0 || vault > KEEPER_VAULT_DEVELOPMENT)
        return -EPROTO;
    if (json_parse(text, len, JSON_LIMITS(4 * MIB), &bindings, NULL) < 0 || !json_is_array(bindings))
        return -EPROTO;
    *ret_vault = vault;
    *ret_bindings = TAKE_PTR(bindings);
    return 0;
}

int keeper_read_answer(struct wire_frame *frame, struct keeper_answer *ret_answer)
{
    uint8_t outcome = wire_get_u8(frame);

    ret_answer->may_have_left = wire_get_u8(frame);
    ret_answer->status = wire_get_u32(frame);
    ret_answer->retry_after_ms = wire_get_i64(frame);
    ret_answer->body = wire_get_blob(frame, LIMIT_RESPONSE_BYTES, &ret_answer->body_len);
    ret_answer->message = wire_get_str(frame, TEXT_MAX);
    if (wire_end(frame) < 0 || outcome > KEEPER_HTTP_REDIRECT_REFUSED)
        return -EPROTO;
    ret_answer->outcome = outcome;
    return 0;
}
