/*
 * fdatasync away from the loop: one helper thread, group commit. Whoever waits
 * while a sync runs is served by the next one, together with all others.
 */
#ifndef BROKER_SYNC_H
#define BROKER_SYNC_H

#include "base/cleanup.h"
#include "base/err.h"

struct loop;
struct sync;
struct sync_wait;

/* Starts the thread; after the process was confined, so that the thread is too. */
int sync_new(struct loop *loop, struct sync **ret_sync, struct err *err);
/* Finishes what was asked for, ends the thread; nobody is called any more. */
void sync_free(struct sync *sync);
DEFINE_CLEANUP_PTR(struct sync, sync_free)

/* `result` is 0, or the negative errno of the first fdatasync that ever failed. */
typedef void sync_fn(int result, void *userdata);
/*
 * Calls `fn` from the loop once everything written to `fd` before this call is on disk. The descriptor is
 * duplicated. `fn` NULL: only start it. ret_wait NULL allowed.
 */
int sync_request(struct sync *sync, int fd, sync_fn *fn, void *userdata, struct sync_wait **ret_wait);
/* What was written to `fd` before this call goes to disk with the next request, and whoever made that waits for both. */
int sync_add(struct sync *sync, int fd);
/* `fn` is not called any more; NULL allowed. */
void sync_cancel(struct sync_wait *wait);

#endif
