/*
 * The frames that the keeper sends, read strictly (keeper/client.h). What is
 * returned is borrowed from the frame, but for JSON, which is a new reference. Pure.
 */
#ifndef BROKER_KEEPER_FRAMES_H
#define BROKER_KEEPER_FRAMES_H

#include "keeper/client.h"
#include "wire/frame.h"

#include <jansson.h>

#define KEEPER_HEAD_KEY_BYTES  32
#define KEEPER_SIGNATURE_BYTES 64

struct keeper_hello {
    enum keeper_vault_state vault;
    const char *confinement, *degraded;
};

struct keeper_state {
    enum keeper_vault_state vault;
    bool overrides_active;
    const uint8_t *head_key; /* KEEPER_HEAD_KEY_BYTES, or NULL */
    const char *degraded;
    json_t *bindings; /* array of objects */
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

/* What any other request is answered with. */
struct keeper_reply {
    enum keeper_result result;
    const char *message, *hint, *detail; /* "" = none */
    const uint8_t *signature;            /* KEEPER_SIGNATURE_BYTES, or NULL */
    json_t *list;                        /* array of objects, or NULL */
    bool lost;                           /* made here: the keeper ended meanwhile; nobody knows whether it was done */
};

struct fetch_answer {
    enum keeper_http_outcome outcome; /* KEEPER_HTTP_DONE for every status */
    uint32_t status;
    const char *etag;       /* "" = none */
    int64_t retry_after_ms; /* -1: not said */
    const void *body;
    size_t body_len;
    const char *message; /* our words when there is no answer */
};

/* A receipt that the keeper wants. */
struct keeper_event {
    bool wants_written; /* the keeper waits until it is on disk */
    const char *type;   /* "vault.", "secret." or "binding." and a word */
    json_t *payload;    /* object of texts and lists of texts, all bounded */
};

/* Each 0 or -EPROTO. A HELLO of another protocol version is -EPROTO too. */
int keeper_read_hello(struct wire_frame *frame, struct keeper_hello *ret_hello);
int keeper_read_state(struct wire_frame *frame, struct keeper_state *ret_state);
int keeper_read_answer(struct wire_frame *frame, struct keeper_answer *ret_answer);
/* KEEPER_DONE, KEEPER_SIGNED or KEEPER_LISTED. */
int keeper_read_reply(struct wire_frame *frame, struct keeper_reply *ret_reply);
/* FETCH_RESULT of the fetcher, KEEPER_FORGED of the keeper. */
int fetch_read_answer(struct wire_frame *frame, struct fetch_answer *ret_answer);
int keeper_read_event(struct wire_frame *frame, struct keeper_event *ret_event);

#endif
