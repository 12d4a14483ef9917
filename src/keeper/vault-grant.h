/*
 * Grants as they lie in the vault: sealed JSON with the SHA-256 of the value they are for and the name of the binding they
 * belong to, so that neither can be put in another's place. Pure.
 */
#ifndef KEEPER_VAULT_GRANT_H
#define KEEPER_VAULT_GRANT_H

#include "base/buf.h"
#include "base/secret.h"
#include "keeper/grant.h"

/* Result beside 0 and a negative errno: not what was sealed for this binding and this value; `err` has the words. */
enum { VAULT_GRANT_BAD = 1 };

/* Appends the sealed grant. 0, -ENOMEM, -E2BIG. */
int vault_grant_seal(
    const struct secret *key, const char *binding, const struct grant *grant, const struct secret *value, struct buf *out);
int vault_grant_open(const struct secret *key, const char *binding, const void *sealed, size_t len, const struct secret *value,
    struct grant **ret_grant, struct err *err);

#endif
