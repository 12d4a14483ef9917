/*
 * The journal of approvals (SPEC §8): approvals.jsonl, one record a line, the last line of an id counts. Appended with
 * write(2) before an effect; compacted when most of its lines are history. A torn last line is what a crash left: it is cut
 * off, for nothing was promised that it would have said.
 */
#ifndef APPROVAL_JOURNAL_H
#define APPROVAL_JOURNAL_H

#include "approval/queue.h"

#define JOURNAL_LINE_MAX ((size_t) 8 * 1024 * 1024)

struct journal;

/*
 * Opens or creates the file (0600, refused when others can read it), fills the queue, recovers what a restart interrupts and
 * writes that down. *ret_recovered: how many records changed by it; may be NULL. -EINVAL: a line in the middle is none.
 */
int journal_open(
    const char *path, struct queue *queue, int64_t now, struct journal **ret_journal, size_t *ret_recovered, struct err *err);
void journal_close(struct journal *journal);
DEFINE_CLEANUP_PTR(struct journal, journal_close)

/* Appends the record as it is now. A failed write is undone and returned (-ENOSPC …): then there must be no effect. */
int journal_write(struct journal *journal, const struct approval *approval, struct err *err);
/* Appends that this id is not there any more. */
int journal_drop(struct journal *journal, const char *id, struct err *err);
/* The file to fdatasync; it changes when the journal is compacted, so dup it for a thread. */
int journal_fd(const struct journal *journal);
/*
 * Writes a new file with one line a record, durably: when most of the lines are history and there are many, or, with `now`, whenever
 * any is. 0 also when there was nothing to do.
 */
int journal_compact(struct journal *journal, const struct queue *queue, bool now, struct err *err);

#endif
