/*
 * Where credentials and grants come from, seen from the requests that use them:
 * asked by binding and connector, it lends a grant and a value, or says why not.
 * A source is one row of functions; the development file is one.
 */
#ifndef KEEPER_VAULT_H
#define KEEPER_VAULT_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "keeper/client.h"
#include "keeper/grant.h"

#include <jansson.h>

struct vault;

/* Lent until the loop's next turn: whoever needs it longer copies. */
struct vault_loan {
    const struct grant *grant;
    const struct secret *value;
};

/* Results of vault_lend beside 0 and a negative errno; `err` has the words. */
enum { VAULT_NO_BINDING = 1, VAULT_UNUSABLE = 2 };

struct vault_source {
    enum keeper_vault_state (*state)(const struct vault *vault);
    int (*lend)(
        struct vault *vault, const char *binding, const char *connector_fqn, struct vault_loan *ret_loan, struct err *err);
    /* Appends one object a binding to `list`: labels and grant, never a value. */
    int (*describe)(const struct vault *vault, json_t *list);
    void (*free)(struct vault *vault);
};

/* First member of every source's own struct. */
struct vault {
    const struct vault_source *source;
};

/* The source of a keeper that has no vault: every binding is missing. */
int vault_missing(struct vault **ret_vault, struct err *err);

enum keeper_vault_state vault_state(const struct vault *vault);
/* Lends what `binding` holds, to requests of exactly the connector that its grant names. */
int vault_lend(struct vault *vault, const char *binding, const char *connector_fqn, struct vault_loan *ret_loan, struct err *err);
/* The JSON array of KEEPER_STATE. New reference; NULL when out of memory. */
json_t *vault_describe(const struct vault *vault);
void vault_free(struct vault *vault);
DEFINE_CLEANUP_PTR(struct vault, vault_free)

/* The object for one binding in that array. New reference; NULL when out of memory. */
json_t *vault_describe_binding(const char *binding, const struct grant *grant, const char *status);

#endif
