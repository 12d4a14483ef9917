/* Deciding an approval, with the passphrase where it is asked for. What is sent is always the seal of the card that was shown. */
#ifndef CLI_DECIDE_H
#define CLI_DECIDE_H

#include "cli/cli.h"

enum decided {
    DECIDED,         /* it is as the person said; *ret_approval is what it is now */
    DECIDED_CHANGED, /* nothing was done: it asks again, with a difference. *ret_approval is the new card */
    DECIDED_ALREADY, /* somebody else decided, or its time was over. *ret_approval is what it is now */
    DECIDED_TICKET,  /* nothing was done: the passphrase is needed. Of approval_try() alone, without *ret_approval */
};

struct decision {
    bool approved;
    const char *reason, *ticket; /* NULL: none */
};

/* GET /v1/approvals/{id}, by id or the end of one. CODE_DONE, or an exit code after printing. */
int approval_get(struct cli *cli, const char *id, json_t **ret_approval);
/*
 * Decides the card `approval`; `reason` may be NULL. CODE_DONE with *ret_decided; another code after printing, then nothing was
 * decided.
 */
int approval_decide(
    struct cli *cli, const json_t *approval, bool approved, const char *reason, enum decided *ret_decided, json_t **ret_approval);
/* One try, quietly: 0 with *ret_decided, or a negative errno with words; then nothing was decided. */
int approval_try(struct cli *cli, const json_t *approval, const struct decision *decision, enum decided *ret_decided,
    json_t **ret_approval, struct err *err);
/* True when the approval acts with a credential and the vault is locked, so that it waits although it was approved. */
bool approval_is_held(struct cli *cli, const json_t *approval);
/* POST …/resolve: a person has looked after an unknown outcome. *ret_approval may be NULL. */
int approval_resolve(struct cli *cli, const char *id, json_t **ret_approval);

#endif
