/*
 * Key derivation beside the loop: a child is forked (not executed), gets passphrase and salt over a pipe, since secret
 * memory is empty in it, returns 32 bytes and exits. Requests of others keep being answered. One derivation runs at a
 * time; the others wait in order, at most DERIVE_WAITING_MAX.
 */
#ifndef KEEPER_DERIVE_H
#define KEEPER_DERIVE_H

#include "base/cleanup.h"
#include "base/secret.h"
#include "crypt/kdf.h"
#include "loop/loop.h"

#define DERIVE_WAITING_MAX 16

struct derive;
struct derive_job;

/* `key` is lent for the call; NULL with result -ENOMEM, -EIO. Runs from the loop, once, unless cancelled. */
typedef void derive_fn(int result, const struct secret *key, void *userdata);

int derive_new(struct loop *loop, struct derive **ret_derive);
void derive_free(struct derive *derive);
DEFINE_CLEANUP_PTR(struct derive, derive_free)
/* Copies the passphrase. Starts after `delay_ms` (the growing pause after wrong passphrases). -EBUSY when too many wait. */
int derive_start(struct derive *derive, const struct secret *passphrase, const uint8_t salt[KDF_SALT_BYTES], int64_t delay_ms,
    derive_fn *fn, void *userdata, struct derive_job **ret_job);
/* Nobody wants the result; NULL allowed. */
void derive_cancel(struct derive_job *job);

#endif
