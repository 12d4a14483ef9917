/*
 * Comparing the log with its signed heads, both read once from their starts. A head stands for every event up to its own,
 * so the newest one that fits is the anchor; each older one still says between which two events a change lies.
 *
 * What can be proved: an edit, cut or new order of events up to the newest head in the file, by whoever lacks the key; and
 * that heads are missing which the log's own words call for. What cannot: that events and heads were cut together back to an earlier
 * head, and without the vault (locked) whether a file of heads throughout of another key is the vault's.
 */
#ifndef AUDIT_ANCHOR_H
#define AUDIT_ANCHOR_H

#include "audit/audit.h"
#include "audit/days.h"
#include "audit/layout.h"

#include "base/cleanup.h"

#include <stdint.h>

struct audit_place {
    char file[AUDIT_FILE_MAX];
    uint64_t number; /* 1-based line */
};

struct audit_anchoring;

/* `dirfd` is the log's folder, -1 for a log that is not there; borrowed. Heads that are appended later are not looked at. */
int audit_anchoring_new(int dirfd, struct audit_anchoring **ret_anchoring, struct err *err);
void audit_anchoring_free(struct audit_anchoring *anchoring);
DEFINE_CLEANUP_PTR(struct audit_anchoring, audit_anchoring_free)
/* The next event of the log, in its place of the chain. 0, 1 when a fault was noted in `verdict`, negative. */
int audit_anchoring_see(struct audit_anchoring *anchoring, const struct audit_line *line, const char *hash,
    const struct audit_place *place, struct audit_verdict *verdict);
/* The log ends with event `seq`. */
int audit_anchoring_end(struct audit_anchoring *anchoring, uint64_t seq, struct audit_verdict *verdict);
/* Whatever the verdict: an anchor whose own signature was never looked at, and is wrong, is none. */
void audit_anchoring_confirm(struct audit_anchoring *anchoring, struct audit_verdict *verdict);

#endif
