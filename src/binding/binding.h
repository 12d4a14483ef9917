/*
 * Bindings: names, metadata and the choice of one (SPEC §1). No secret bytes: the
 * broker learns of bindings from the keeper's state. Pure.
 */
#ifndef BINDING_BINDING_H
#define BINDING_BINDING_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

#define BINDING_NAME_MAX 200

/* `<kind>/<service>/<identity>` per SPEC §1. */
bool binding_name_is_valid(const char *name);

/* The last part of such a name. */
bool binding_identity_is_valid(const char *identity);

enum binding_choice { BINDING_CHOSEN, BINDING_NONE, BINDING_AMBIGUOUS, BINDING_STALE, BINDING_NO_GRANT, BINDING_REVOKED };

/*
 * Chooses among `bindings` (the keeper's JSON array) for a connector and kind: the one that `wanted` names (the whole name or
 * its identity; NULL: any), the default one, the only one; never a guess between two. A stale one still counts: else its
 * neighbour would act in its place. ret_name holds the chosen or offending name.
 */
enum binding_choice binding_choose(
    const json_t *bindings, const char *connector_fqn, const char *kind, const char *wanted, char ret_name[BINDING_NAME_MAX]);

#define BINDING_CANDIDATES_MAX 640

/* "a, b and 3 more": those among which binding_choose() would have to guess. Returns their number. */
size_t binding_candidates(const json_t *bindings, const char *connector_fqn, const char *kind, const char *wanted,
    char ret_text[BINDING_CANDIDATES_MAX]);

#endif
