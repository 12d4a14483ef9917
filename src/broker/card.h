/*
 * The card of an approval: what a person sees, and exactly what would run (SPEC §8). Made once, kept in the record; its seal
 * is taken from the card itself, so that nothing can be sealed that is not shown. Pure but for the local time zone, which the
 * C library reads; call tzset() before files are out of reach.
 */
#ifndef BROKER_CARD_H
#define BROKER_CARD_H

#include "action/action.h"
#include "crypt/digest.h"

struct card_facts {
    const struct action *action;
    const char *action_hash;
    const char *binding;   /* "" = none */
    const char *agent;     /* who asks */
    const char *folder;    /* NULL: not known */
    const json_t *args;    /* the call's */
    json_t *const *steps;  /* each step's final arguments, as many as the action has steps */
    const json_t *preview; /* [[label, text]…]; NULL: there is none, or it is unavailable */
    const char *reason;    /* why it is unavailable, in our words; NULL */
};

/*
 * {"agent","folder"?,"action","version","action_hash","kind","badge","title","connector":{"fqn","version","hash"},"binding",
 *  "preview":{"state":"available|unavailable|none","pairs","multiline","reason"?},"inputs":[[label,text]…],
 *  "arguments":[{"op","args"}…]}. New reference. 0 or -ENOMEM.
 */
int card_make(const struct card_facts *facts, json_t **ret_card);
/* approval_seal_make() of what the card says. 0 or -ENOMEM. */
int card_seal(const json_t *card, char out[SHA256_TAGGED_MAX]);
/* [{"label","before","after"}…], of what is sealed; empty when the seals are equal. New reference; NULL when out of memory. */
json_t *card_difference(const json_t *before, const json_t *after);

#endif
