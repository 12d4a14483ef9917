/*
 * Which audit head the keeper may sign: never another hash for the seq that it signed last, nor a seq before it, so that a
 * broker cannot have a second history signed while this keeper lives. Pure.
 */
#ifndef KEEPER_SIGNER_H
#define KEEPER_SIGNER_H

#include "crypt/digest.h"

#include <stdbool.h>

struct signer { /* all zero: nothing was signed yet */
    bool any;
    uint64_t seq;
    uint8_t hash[SHA256_BYTES];
};

bool signer_allows(const struct signer *signer, uint64_t seq, const uint8_t hash[SHA256_BYTES]);
/* This head was signed. */
void signer_note(struct signer *signer, uint64_t seq, const uint8_t hash[SHA256_BYTES]);

#endif
