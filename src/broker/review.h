/*
 * What a person would be asked about a call, worked out: the action as it is now, its arguments rendered, the connectors and
 * bindings that would serve it, the preview fetched; made into a card and its seal. Done when a gated call comes and again at
 * the click, with the same words: any difference between the two shows in the seal.
 */
#ifndef BROKER_REVIEW_H
#define BROKER_REVIEW_H

#include "action/failure.h"
#include "broker/catalog.h"
#include "crypt/digest.h"

#include <jansson.h>

struct broker;
struct review;

/*
 * The call as it came: {"action","args":{},"as"?,"agent","folder"?,"owner"?:true}. It is kept with the approval, so that the same can be
 * worked out again. New reference; NULL when out of memory.
 */
json_t *review_asked(const char *action, const json_t *args, const char *as, const char *agent, const char *folder, bool owner);

/* Each step's final arguments, new reference in *ret_steps. False with the failure (bad_input). */
bool review_render(const struct action *action, const json_t *args, json_t **ret_steps, struct failure *failure);

/* How it ended; borrowed during the callback. */
struct review_end {
    const struct failure *failure; /* NULL: everything below is there */
    struct catalog_entry *entry;
    json_t *card;
    const json_t *steps, *bindings; /* of each step: its final arguments, its binding ("" = none) */
    char seal[SHA256_TAGGED_MAX];
    char preview_hash[SHA256_TAGGED_MAX]; /* "" without a preview */
};
typedef void review_fn(const struct review_end *end, void *userdata);

/* `fn` once, perhaps before this returns; *ret_review is set before and lives until then. `asked`: borrowed. -ENOMEM: nothing began. */
int review_start(struct broker *broker, const char *session_id, const json_t *asked, review_fn *fn, void *userdata,
    struct review **ret_review);
/* Nobody wants it any more; no `fn`. NULL allowed. */
void review_cancel(struct review *review);

#endif
