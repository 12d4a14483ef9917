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

enum binding_choice { BINDING_CHOSEN, BINDING_NONE, BINDING_AMBIGUOUS, BINDING_UNUSABLE };

/*
 * Chooses among `bindings` (the keeper's JSON array) for a connector and kind: the one named `wanted` if not NULL, the only
 * one, the one labelled default; never a guess between two. BINDING_UNUSABLE: revoked or stale. ret_name holds the chosen or
 * offending name.
 */
enum binding_choice binding_choose(
    const json_t *bindings, const char *connector_fqn, const char *kind, const char *wanted, char ret_name[BINDING_NAME_MAX]);

#endif
