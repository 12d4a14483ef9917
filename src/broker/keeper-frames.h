/*
 * The frames that the keeper sends, read strictly (keeper/client.h). What is
 * returned is borrowed from the frame, but for the bindings. Pure.
 */
#ifndef BROKER_KEEPER_FRAMES_H
#define BROKER_KEEPER_FRAMES_H

#include "keeper/client.h"
#include "wire/frame.h"

#include <jansson.h>

struct keeper_hello {
    enum keeper_vault_state vault;
    const char *confinement, *degraded;
};

struct keeper_answer {
    enum keeper_http_outcome outcome;
    bool may_have_left;
    uint32_t status;
    int64_t retry_after_ms;
    const void *body;
    size_t body_len;
    const char *message;
};

/* Each 0 or -EPROTO. A HELLO of another protocol version is -EPROTO too. */
int keeper_read_hello(struct wire_frame *frame, struct keeper_hello *ret_hello);
/* *ret_bindings: an array, a new reference. */
int keeper_read_state(struct wire_frame *frame, enum keeper_vault_state *ret_vault, json_t **ret_bindings);
int keeper_read_answer(struct wire_frame *frame, struct keeper_answer *ret_answer);

#endif
