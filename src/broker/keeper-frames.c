/* Reading the keeper's frames. It holds the secrets; the broker stays whole even if it goes mad. */
#include "broker/keeper-frames.h"

#include "base/json.h"
#include "wire/limits.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define ETAG_MAX           256
#define TEXT_MAX           4096
#define DETAIL_MAX         (16 * KIB)
#define EVENT_TYPE_MAX     64
#define EVENT_PAYLOAD_MAX  (32 * KIB)
#define EVENT_KEYS_MAX     16
#define EVENT_LIST_MAX     32
#define EVENT_TEXT_MAX     4096

#define RETRY_AFTER_MAX_MS (24 * 3600 * 1000ll) /* the keeper says no more (retry.h) */

/* A full vault has 4,096 entries of some twenty values each. */
#define LIST_LIMITS ((struct json_limits){ 4 * MIB, 8, 400000 })

int keeper_read_hello(struct wire_frame *frame, struct keeper_hello *ret_hello)
{
    uint32_t version = wire_get_u32(frame);
    uint8_t vault = wire_get_u8(frame);

    ret_hello->confinement = wire_get_str(frame, TEXT_MAX);
    wire_get_u8(frame); /* overrides given: the broker passed them itself */
    ret_hello->degraded = wire_get_str(frame, TEXT_MAX);
    if (wire_end(frame) < 0 || version != KEEPER_PROTOCOL_VERSION || vault > KEEPER_VAULT_UNLOCKED)
        return -EPROTO;
    ret_hello->vault = vault;
    return 0;
}

/* An array of objects, as a new reference; NULL when it is anything else. */
static json_t *parse_list(const char *text, size_t len)
{
    CLEANUP_JSON json_t *list = NULL;
    const json_t *item;
    size_t index;

    if (json_parse(text, len, LIST_LIMITS, &list, NULL) < 0 || !json_is_array(list))
        return NULL;
    json_array_foreach(list, index, item)
    {
        if (!json_is_object(item))
            return NULL;
    }
    return TAKE_PTR(list);
}

int keeper_read_state(struct wire_frame *frame, struct keeper_state *ret_state)
{
    uint8_t vault = wire_get_u8(frame);
    uint8_t overrides = wire_get_u8(frame);
    size_t key_len = 0, len = 0;
    const uint8_t *key = wire_get_bytes(frame, KEEPER_HEAD_KEY_BYTES, &key_len);
    const char *degraded = wire_get_str(frame, TEXT_MAX);
    const char *text = wire_get_blob(frame, LIST_LIMITS.bytes, &len);

    if (wire_end(frame) < 0 || vault > KEEPER_VAULT_UNLOCKED || overrides > 1 || (key_len && key_len != KEEPER_HEAD_KEY_BYTES))
        return -EPROTO;
    json_t *bindings = parse_list(text, len);
    if (!bindings)
        return -EPROTO;
    *ret_state = (struct keeper_state){ vault, overrides, key_len ? key : NULL, degraded, bindings };
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

static int read_done(struct wire_frame *frame, struct keeper_reply *reply)
{
    uint8_t result = wire_get_u8(frame);

    reply->message = wire_get_str(frame, TEXT_MAX);
    reply->hint = wire_get_str(frame, TEXT_MAX);
    reply->detail = wire_get_str(frame, DETAIL_MAX);
    reply->result = result;
    return wire_end(frame) < 0 || result >= KEEPER_RESULT_COUNT ? -EPROTO : 0;
}

static int read_signed(struct wire_frame *frame, struct keeper_reply *reply)
{
    uint8_t result = wire_get_u8(frame);
    size_t len = 0;
    const uint8_t *signature = wire_get_bytes(frame, KEEPER_SIGNATURE_BYTES, &len);

    if (wire_end(frame) < 0 || result >= KEEPER_RESULT_COUNT || len != (result == KEEPER_OK ? KEEPER_SIGNATURE_BYTES : 0))
        return -EPROTO;
    reply->result = result;
    reply->signature = len ? signature : NULL;
    return 0;
}

static int read_listed(struct wire_frame *frame, struct keeper_reply *reply)
{
    size_t len = 0;
    const char *text = wire_get_blob(frame, LIST_LIMITS.bytes, &len);

    if (wire_end(frame) < 0)
        return -EPROTO;
    reply->list = parse_list(text, len);
    return reply->list ? 0 : -EPROTO;
}

int keeper_read_reply(struct wire_frame *frame, struct keeper_reply *ret_reply)
{
    *ret_reply = (struct keeper_reply){ .result = KEEPER_OK, .message = "", .hint = "", .detail = "" };
    switch (frame->type) {
    case KEEPER_DONE:
        return read_done(frame, ret_reply);
    case KEEPER_SIGNED:
        return read_signed(frame, ret_reply);
    case KEEPER_LISTED:
        return read_listed(frame, ret_reply);
    default:
        return -EPROTO;
    }
}

static bool event_type_is_known(const char *type)
{
    static const char *const known[] = { "vault.created", "vault.unlocked", "vault.unlock_failed", "vault.locked",
        "vault.passphrase_changed", "secret.written", "secret.deleted", "binding.created", "binding.refreshed", "binding.rebound",
        "binding.revoked", "binding.failed" };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (!strcmp(type, known[i]))
            return true;
    return false;
}

/* The keys that the keeper's events may have; what must be there the audit log knows. */
static bool event_key_is_known(const char *key)
{
    static const char *const known[] = { "aileron.vault.path", "aileron.binding.name", "aileron.binding.origins",
        "aileron.connector.fqn", "aileron.capability.kind", "aileron.consent.decision" };

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (!strcmp(key, known[i]))
            return true;
    return false;
}

static bool event_value_is_bounded(const json_t *value)
{
    const json_t *item;
    size_t index;

    if (json_is_string(value))
        return json_string_length(value) <= EVENT_TEXT_MAX;
    if (!json_is_array(value) || json_array_size(value) > EVENT_LIST_MAX)
        return false;
    json_array_foreach(value, index, item)
    {
        if (!json_is_string(item) || json_string_length(item) > EVENT_TEXT_MAX)
            return false;
    }
    return true;
}

static bool event_payload_is_good(const json_t *payload)
{
    const char *key;
    json_t *value;

    if (!json_is_object(payload) || json_object_size(payload) > EVENT_KEYS_MAX)
        return false;
    json_object_foreach((json_t *) payload, key, value)
    {
        if (!event_key_is_known(key) || !event_value_is_bounded(value))
            return false;
    }
    return true;
}

int keeper_read_event(struct wire_frame *frame, struct keeper_event *ret_event)
{
    CLEANUP_JSON json_t *payload = NULL;
    uint8_t wants = wire_get_u8(frame);
    const char *type = wire_get_str(frame, EVENT_TYPE_MAX);
    const char *text = wire_get_str(frame, EVENT_PAYLOAD_MAX);

    if (wire_end(frame) < 0 || wants > 1 || !event_type_is_known(type))
        return -EPROTO;
    if (json_parse(text, strlen(text), JSON_LIMITS(EVENT_PAYLOAD_MAX), &payload, NULL) < 0 || !event_payload_is_good(payload))
        return -EPROTO;
    *ret_event = (struct keeper_event){ wants, type, TAKE_PTR(payload) };
    return 0;
}

int fetch_read_answer(struct wire_frame *frame, struct fetch_answer *ret_answer)
{
    uint8_t outcome = wire_get_u8(frame);

    ret_answer->status = wire_get_u32(frame);
    ret_answer->etag = wire_get_str(frame, ETAG_MAX);
    ret_answer->retry_after_ms = wire_get_i64(frame);
    ret_answer->body = wire_get_blob(frame, LIMIT_BLOB_BYTES, &ret_answer->body_len);
    ret_answer->message = wire_get_str(frame, TEXT_MAX);
    if (wire_end(frame) < 0 || outcome > KEEPER_HTTP_REDIRECT_REFUSED || ret_answer->retry_after_ms < -1 ||
        ret_answer->retry_after_ms > RETRY_AFTER_MAX_MS)
        return -EPROTO;
    ret_answer->outcome = outcome;
    return 0;
}
