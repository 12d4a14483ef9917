/* One connection of the owner's door, as owner.c and the files of its requests share it. */
#ifndef KEEPER_OWNER_PRIVATE_H
#define KEEPER_OWNER_PRIVATE_H

#include "base/secret.h"
#include "crypt/kdf.h"
#include "keeper/attempts.h"
#include "keeper/client.h"
#include "keeper/gate.h"
#include "keeper/oauth.h"
#include "keeper/owner-spec.h"
#include "keeper/receipts.h"

#include <jansson.h>

#define PEER_MAGIC 0x6f776e70u

struct peer;
typedef void peer_step_fn(struct peer *peer);

/* The request under way; what it does not use is zero. */
struct work {
    bool busy;
    uint32_t id;
    struct attempt *attempt;
    struct receipt_wait *receipt;
    struct oauth_flow *flow;
    peer_step_fn *effect; /* what the receipt is for */

    struct secret *passphrase, *new_passphrase, *value, *key;
    uint8_t salt[KDF_SALT_BYTES], proved_salt[KDF_SALT_BYTES];
    bool dev;
    char *path, *type, *environment, *text; /* text: labels or spec as JSON, or a redirect URI */
    char *approval, *seal;
    json_t *labels;
    struct spec *spec;
};

struct peer {
    uint32_t magic;
    struct owner *owner;
    const struct parts *parts;
    struct peer *next;
    struct channel *channel; /* NULL: it is gone, but its receipt is being written, and the effect follows */
    struct gate gate;
    int64_t idle_since_ms;
    bool locked; /* what the gate said of the frame that is being read */
    struct work work;
};

struct finish {
    enum keeper_result result;
    const char *message, *hint, *detail; /* NULL: "" */
};

extern const struct gate_row owner_rows[];
extern const size_t owner_rows_len;

/* The end of every row's function: refuses what is left over, then starts the request. */
int peer_begin(struct peer *peer, struct wire_frame *frame, peer_step_fn *start);
/* Answers with OWNER_DONE and forgets the request; a peer that has gone is freed. */
void peer_finish(struct peer *peer, struct finish finish);
/* The same from a result of the vault or a negative errno, with the words of `err`. */
void peer_finish_err(struct peer *peer, int result, const struct err *err);
/* Writes the receipt, then `effect` runs; when it cannot be written the request ends. Steals `payload`. */
void peer_record(struct peer *peer, const char *event, json_t *payload, peer_step_fn *effect);
/* A text of the frame, copied; NULL without memory, which marks the frame bad. */
char *peer_text(struct wire_frame *frame, size_t max);

/* owner-vault.c */
gate_fn owner_create, owner_unlock, owner_change, owner_ticket, owner_put, owner_delete;
/* owner-bindings.c */
gate_fn owner_bind_key, owner_rebind, owner_default, owner_oauth_begin, owner_oauth_again, owner_oauth_paste;

#endif
