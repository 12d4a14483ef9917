/*
 * From a reference to something installed and usable, as every command does it that installs from a forge: the plan, trust,
 * consent, results, then credentials for connectors that have none.
 */
#ifndef CLI_INSTALL_H
#define CLI_INSTALL_H

#include "cli/plan.h"

struct install {
    const char *route; /* "/v1/actions", "/v1/connectors" */
    json_t *body;      /* of the preview; borrowed */
    bool each;         /* ask for every action */
    bool bind;         /* give credentials to connectors that have none */
};

/* CODE_USAGE, in words, when trust and consent could not be asked for: before anything else. Catches signals. */
int install_begin(struct cli *cli);
/* The whole of it; an exit code. */
int install_run(struct cli *cli, const struct install *install);

/* Whether the person trusts every key of these plans; *ret_trust is what the daemon is to be told, *ret_yes false after a no. */
int install_trust(struct cli *cli, const struct plan *plans, size_t plans_len, json_t **ret_trust, bool *ret_yes);
/*
 * `connectors` [{"fqn","credential","hosts"?}…]: binding setup for each that needs a credential and has none; says when a binding
 * does not cover the hosts that are needed now. The first code that is not CODE_DONE, after trying all.
 */
int install_bind(struct cli *cli, const json_t *connectors);
/* Every connector of the array that wants a credential and has no binding, as a new array. */
int install_unbound(struct cli *cli, const json_t *connectors, json_t **ret_unbound);

#endif
