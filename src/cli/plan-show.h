/*
 * What a person reads about a plan (SPEC §13): whom they would trust, what would be installed and what it could do, what
 * came of it. Everything that comes from a publisher is cleaned. Questions and facts go to stderr, outcomes to stdout.
 */
#ifndef CLI_PLAN_SHOW_H
#define CLI_PLAN_SHOW_H

#include "cli/plan.h"

#include <stdint.h>

#define SHOW_RESULTS_MAGIC 0x73687273u

/* The words about one key that is not trusted yet; `url` NULL: it came from a file. */
void show_trust(const char *authority, const char *fingerprint, const char *url);
/* "Trust publisher AUTHORITY?" answered by --yes or the person. */
int show_trust_ask(struct cli *cli, const char *authority, bool *ret_yes);
/* "✓ Trusted publisher …", once it stands in the keyring. */
void show_trusted(const struct cli *cli, const char *authority, const char *fingerprint);

/* Publisher, signature and hash of everything, the table of actions, what changes, what it can do. */
void show_facts(const struct plan *plan);
/* One action of a plan, for --each. */
void show_action(const json_t *action);
/* "Install 10 actions and 1 connector?" malloc'd; NULL when there is nothing left to do. */
char *show_question(const struct plan *plan);
/* The badge of SPEC §13 for a kind of approval. */
const char *show_badge(const char *kind);

/* What was printed of the results so far. */
struct show_results {
    uint32_t magic; /* SHOW_RESULTS_MAGIC */
    struct cli *cli;
    const json_t *trust; /* what the person trusted in this plan; NULL */
    const json_t *only;  /* NULL: everything */
    bool quiet;          /* --json */
    size_t next;         /* first result without a line */
    size_t actions;      /* lines of actions so far */
    size_t total;        /* of how many; 0: as many as the plan has */
};
/* A plan_seen_fn; userdata is struct show_results. A line for each result that has come to its end, in order. */
void show_seen(const struct plan *plan, void *userdata);
/* The table at the end, and whether anything failed. */
bool show_summary(const struct plan *plan, const struct show_results *results);

#endif
