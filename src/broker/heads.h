/*
 * Signed heads of the audit log: while the vault is open, asks the keeper to sign the newest receipt when it opens, after
 * every 256 receipts, at each decision and at the end. One request is under way at a time; what is asked for meanwhile
 * is asked once more afterwards. Without receipts there is no work and no timer.
 *
 * Order: the receipts are on disk, then the keeper signs, then the head is written. A signature is checked before it is believed.
 */
#ifndef BROKER_HEADS_H
#define BROKER_HEADS_H

#include "base/cleanup.h"
#include "base/err.h"
#include "broker/keeper-link.h"
#include "crypt/digest.h"
#include "crypt/sign.h"

#include <stdbool.h>
#include <stdint.h>

struct heads;
struct loop;
struct receipts;

struct heads_config {
    struct loop *loop;
    struct receipts *receipts;
    const char *dir; /* the audit folder */
    /* Passes a head on to the keeper, as keeper_sign_head(): `fn` once, from the loop; negative: not now, and no `fn`. */
    int (*ask)(void *userdata, uint64_t seq, const uint8_t hash[SHA256_BYTES], keeper_reply_fn *fn, void *fn_userdata);
    void *userdata;
};

/* Takes up heads.jsonl; a torn end of it goes to torn/ and is told by audit.recovered. The receipts must be open. */
int heads_new(const struct heads_config *config, struct heads **ret_heads, struct err *err);
void heads_free(struct heads *heads);
DEFINE_CLEANUP_PTR(struct heads, heads_free)

/* What the keeper says at each change of its state: the public key while the vault is open, else NULL. */
void heads_key(struct heads *heads, const uint8_t *public_key);
/* A decision was made: its receipt must not wait for 256 others. */
void heads_now(struct heads *heads);
/*
 * Stopping: `fn` from the loop when the newest receipt is signed or cannot be, after a second at the latest; at once (before
 * this returns) when there is nothing to wait for.
 */
void heads_finish(struct heads *heads, void (*fn)(void *userdata), void *userdata);

/* The event of the newest head that is in the file as far as we know; 0: none. */
uint64_t heads_last_seq(const struct heads *heads);
/* The vault's public key; NULL while it is locked. Borrowed until the next heads_key(). */
const uint8_t *heads_vault_key(const struct heads *heads);
/* For status: what is wrong with signing heads, or with what was signed before; NULL. */
const char *heads_trouble(const struct heads *heads);
/*
 * 0, or the event that was signed by another key than that of the vault which is open now, although no receipt tells that the vault
 * was made anew: somebody has exchanged the vault's file. For status, and for whoever takes a passphrase for proof of anything.
 */
uint64_t heads_other_vault(const struct heads *heads);

#endif
