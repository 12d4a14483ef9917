/*
 * The journal of approvals (SPEC §8): approvals.jsonl, one record a line, the last line of an id counts. Appended with
 * write(2) before an effect; written anew when most of it is history. A torn end is what a crash left: it is cut
 * off, for nothing was promised that it would have said.
 */
#ifndef APPROVAL_JOURNAL_H
#define APPROVAL_JOURNAL_H

#include "approval/queue.h"

#define JOURNAL_LINE_MAX ((size_t) 16 * 1024 * 1024) /* of what is not over yet the half */

struct journal;

/*
 * Opens or creates the file (0600, refused when others can read it), fills the queue, recovers what a restart interrupts and
 * writes that down. *ret_recovered: how many records changed by it; may be NULL. -EINVAL: a line in the middle is none.
 */
int journal_open(
    const char *path, struct queue *queue, int64_t now, struct journal **ret_journal, size_t *ret_recovered, struct err *err);
void journal_close(struct journal *journal);
DEFINE_CLEANUP_PTR(struct journal, journal_close)

/*
 * Appends the record as it is now. A failed write is undone and returned (-ENOSPC …): then there must be no effect. -E2BIG: larger
 * than the next start would read; an end is then kept without what it is about.
 */
int journal_write(struct journal *journal, struct approval *approval, struct err *err);
/* Says that it is not there any more, with the next journal_flush(); until then a restart still finds it. */
int journal_drop(struct journal *journal, const struct approval *approval);
int journal_flush(struct journal *journal, struct err *err);
/* The file to fdatasync; it changes when the journal is written anew, so dup it for a thread. */
int journal_fd(const struct journal *journal);
/*
 * Writes a new file with one line a record, durably: when most of it is history, or, with `now`, in any case. 0 also when there
 * was nothing to do. After a failure the journal goes on as before.
 */
int journal_compact(struct journal *journal, const struct queue *queue, bool now, struct err *err);

#endif
