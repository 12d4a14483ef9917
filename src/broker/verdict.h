/*
 * What verification of the files found, against what only the running daemon knows: the receipts and heads that it wrote
 * itself, and the vault's key. Pure.
 */
#ifndef BROKER_VERDICT_H
#define BROKER_VERDICT_H

#include <jansson.h>
#include <stdint.h>

struct verdict_facts {
    uint64_t seq;          /* the newest receipt when verification began */
    const char *head;      /* "sha256:…" of it */
    uint64_t signed_seq;   /* event of the newest head in the file then; 0: none */
    const char *vault_key; /* base64; NULL while the vault is locked */
};

/*
 * Takes the member "heads" out of the verdict, sets anchor.confirmed (when not, anchor.unconfirmed is "vault_locked",
 * "vault_made_anew" or "other_key"), and turns a verdict that the files alone allow into a fault when the facts contradict it.
 */
void verdict_compare(json_t *verdict, const struct verdict_facts *facts);

#endif
