/*
 * Calls that are records (SPEC §8): those that wait for a person, and those that must happen once. Connects the queue and its
 * journal (src/approval) with reviews, calls, receipts and whoever waits for an answer. Owned by the broker.
 *
 * Order of everything here: the receipt, then the journal, then the effect, then who waits hears of it. What cannot be written
 * does not happen.
 */
#ifndef BROKER_APPROVALS_H
#define BROKER_APPROVALS_H

#include "approval/queue.h"
#include "broker/api.h"
#include "broker/catalog.h"

struct broker;
struct approvals;

/* Opens approvals.jsonl of the home; what a restart interrupted is pending again, or has an unknown end, and has its receipts. */
int approvals_new(struct broker *broker, struct approvals **ret_approvals, struct err *err);
/* Whoever still waits is forgotten: close the doors first. */
void approvals_free(struct approvals *approvals);
DEFINE_CLEANUP_PTR(struct approvals, approvals_free)

/* A call as it came. Borrowed, but for what `reply` is. */
struct approvals_call {
    struct catalog_entry *entry;
    const struct session *session; /* NULL: the owner */
    const json_t *args;
    const json_t *steps; /* each step's arguments */
    const char *as;      /* NULL */
    const char *key;     /* idempotency key; NULL */
    int64_t wait_ms;
};
/* A gated call: parks, and answers `reply` as api_action_run() does. */
void approvals_ask(struct approvals *approvals, const struct approvals_call *call, struct api_reply *reply);
/* One that nobody is asked about, but that must not happen twice: runs, or joins the same one that is under way. */
void approvals_run(struct approvals *approvals, const struct approvals_call *call, struct api_reply *reply);

/* Settings have changed. */
void approvals_configure(struct approvals *approvals);
/* Actions, connectors or bindings have changed: what waits for something that is gone is cancelled, soon. */
void approvals_look(struct approvals *approvals);
/* The vault is open: what was approved and waits for it goes on. */
void approvals_unlocked(struct approvals *approvals);
size_t approvals_pending(const struct approvals *approvals);
/* What is wrong with the journal, or NULL. */
const char *approvals_trouble(const struct approvals *approvals);

#endif
