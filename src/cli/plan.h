/*
 * A plan of the daemon (GET /v1/plans/{id}) as the command line follows it: started, awaited with progress on a terminal,
 * decided by the person, awaited again. Whatever ends a command before the decision drops the plan, so nothing of it
 * stays. From the start of the first one signals only set a flag.
 */
#ifndef CLI_PLAN_H
#define CLI_PLAN_H

#include "cli/cli.h"

struct plan {
    struct cli *cli;
    char *id;          /* NULL: the daemon knows none of ours */
    const char *route; /* "/v1/actions" or "/v1/connectors": where it is decided */
    json_t *facts;     /* the newest answer; owned */
    bool is_decided;   /* the daemon installs, or has */
};

/* Ctrl-C and its like set cli->interrupted from here on; again is harmless. */
void plan_catch_signals(struct cli *cli);
bool plan_is_interrupted(const struct cli *cli);

/* Asks for a preview with `body` and stays until it is ready. A refused form is CODE_USAGE, a failed plan CODE_FAILED, each printed. */
int plan_preview(struct plan *plan, const json_t *body);
/* Called with the newest facts after every look. */
typedef void plan_seen_fn(const struct plan *plan, void *userdata);
/*
 * Accepts, `trust` [{"authority","fingerprint"}…] and `only` (names of actions; NULL: all) with it, and stays until it is
 * done. Failures of single items are in the facts.
 */
int plan_accept(struct plan *plan, const json_t *trust, const json_t *only, plan_seen_fn *seen, void *userdata);
/* The person said no. */
int plan_cancel(struct plan *plan);
/* Drops what is not decided, and frees. */
void plan_clear(struct plan *plan);
/* The exit code of a command that is over: after a signal what a shell would say, with words about what was left. */
int plan_code(const struct cli *cli, bool is_decided, int code);

/* Reads what --key names into a list of texts; CODE_USAGE after printing. */
int plan_keys(struct cli *cli, json_t **ret_keys);
/* --yes, or the person's answer to `question`. */
int plan_ask(struct cli *cli, const char *question, bool *ret_yes);

#endif
