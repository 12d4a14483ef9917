/*
 * What an action's preview says (SPEC §4): an operation's output walked by dotted paths, for the card and for the arguments
 * that `bind` fills in. Pure. The output is a provider's word: it is carried as it came, never interpreted.
 */
#ifndef BROKER_PREVIEW_H
#define BROKER_PREVIEW_H

#include "action/action.h"
#include "crypt/digest.h"

#define PREVIEW_MISSING "n/a"

/*
 * A segment on an object is a key; on an array the `value` of the first element whose `name` equals it, else an index.
 * Borrowed; NULL when nothing is there or it is null.
 */
const json_t *preview_walk(const json_t *output, const char *path);
/* [[label, text]…] in the file's order; what is missing reads PREVIEW_MISSING. New reference. 0, or -ENOMEM. */
int preview_render(const struct action_preview *preview, const json_t *output, json_t **ret_pairs);
/*
 * The first step's arguments with what `bind` names set, over whatever they said before; `args` stays as it is. New reference.
 * -ENOENT: the output lacks a value, so what would run could not be held to what was shown.
 */
int preview_bind(
    const struct action_preview *preview, const json_t *output, const json_t *args, json_t **ret_args, struct err *err);
/* "sha256:…" of the pairs, for the receipt. 0 or -ENOMEM. */
int preview_hash(const json_t *pairs, char out[SHA256_TAGGED_MAX]);

#endif
