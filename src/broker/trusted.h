/*
 * Whose signatures are believed now: keyring.json as last seen, read anew whenever it is another file, so that asking
 * costs one stat. A keyring that cannot be read trusts nobody. Whoever keeps a verdict keeps the generation with it.
 */
#ifndef BROKER_TRUSTED_H
#define BROKER_TRUSTED_H

#include "base/cleanup.h"
#include "base/err.h"
#include "store/keyring.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trusted;

int trusted_new(const char *home, struct trusted **ret_trusted, struct err *err);
void trusted_free(struct trusted *trusted);
DEFINE_CLEANUP_PTR(struct trusted, trusted_free)

/* Another number whenever other keys may be trusted than before; never 0. */
uint64_t trusted_generation(struct trusted *trusted);
/* Whether any key is trusted for this FQN, and whether this one is. */
bool trusted_has_any(struct trusted *trusted, const char *fqn);
bool trusted_has(struct trusted *trusted, const char *fqn, const struct keyring_key *key);
/* Whether a key that is trusted for the FQN made the signature. -EKEYREJECTED with the reason; the hint says how to trust again. */
int trusted_verify(struct trusted *trusted, const char *fqn, const struct keyring_part *parts, size_t parts_len,
    const uint8_t signature[SIGN_BYTES], struct keyring_key *ret_key, struct err *err);

/* Names that need no signature: local:// alone. */
bool trusted_is_local(const char *fqn);
/* The repository of an FQN, which may have an @version: "github://owner/repo". Returns `out`. */
const char *trusted_authority(const char *fqn, char out[KEYRING_AUTHORITY_MAX]);

#endif
