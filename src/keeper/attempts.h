/*
 * Passphrases being tried: one after the other, in order of arrival, with a pause behind wrong ones that grows for the whole
 * keeper and not for one client. The derivation itself runs beside the loop (derive.h). Here alone is a passphrase compared.
 */
#ifndef KEEPER_ATTEMPTS_H
#define KEEPER_ATTEMPTS_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "crypt/kdf.h"
#include "keeper/parts.h"

#include <stdbool.h>

#define ATTEMPTS_MAX 16

struct attempts;
struct attempt;

struct attempt_end { /* lent for the call */
    int result;      /* 0, a vault_result or a negative errno */
    const struct err *err;
    const struct secret *key; /* the derived key; NULL unless result is 0 */
    uint8_t salt[KDF_SALT_BYTES];
    bool opened; /* the vault was locked and is open now */
};
/* From the loop, once, unless cancelled. */
typedef void attempt_fn(const struct attempt_end *end, void *userdata);

int attempts_new(const struct parts *parts, struct attempts **ret_attempts);
void attempts_free(struct attempts *attempts);
DEFINE_CLEANUP_PTR(struct attempts, attempts_free)

/* Proves the passphrase against the vault, which it opens when it was locked. Copies it. -EBUSY when too many wait. */
int attempts_prove(
    struct attempts *attempts, const struct secret *passphrase, attempt_fn *fn, void *userdata, struct attempt **ret_attempt);
/* Derives a key for a new passphrase with a fresh salt. */
int attempts_make(
    struct attempts *attempts, const struct secret *passphrase, attempt_fn *fn, void *userdata, struct attempt **ret_attempt);
void attempts_cancel(struct attempt *attempt);
/* Milliseconds until the next passphrase is looked at. */
int64_t attempts_pause_left(const struct attempts *attempts);

/* The pause behind the `wrong`-th wrong passphrase in a row, in ms: 1, 2, 4 … 30 s. Pure. */
int64_t attempts_pause_ms(unsigned wrong);

#endif
