/*
 * Receipts: every event goes through here into the audit log, before its effect.
 * An append that fails must stop that effect; the state is kept for `status`
 * until an append works again. What was appended is on disk within a second, or
 * at once for who waits with receipts_durable().
 */
#ifndef BROKER_RECEIPTS_H
#define BROKER_RECEIPTS_H

#include "audit/audit.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "broker/sync.h"

#include <jansson.h>

struct loop;
struct receipts;

struct receipt {
    const char *type;
    const char *session_id; /* NULL: the owner or the daemon itself */
    enum audit_actor actor;
    const char *actor_id;
    json_t *payload; /* borrowed; NULL: {} */
};

/* Opens or creates <dir>; *ret_torn as audit_open(). */
int receipts_open(struct loop *loop, const char *dir, struct receipts **ret_receipts, bool *ret_torn, struct err *err);
/* Syncs what is not on disk yet. */
void receipts_close(struct receipts *receipts);
DEFINE_CLEANUP_PTR(struct receipts, receipts_close)

/* ret_id may be NULL. On failure there must be no effect; the log and `status` know already. */
int receipts_append(struct receipts *receipts, const struct receipt *receipt, char ret_id[ULID_ID_MAX], struct err *err);
/* `fn` once everything appended so far is on disk. */
int receipts_durable(struct receipts *receipts, sync_fn *fn, void *userdata, struct sync_wait **ret_wait);
/* Makes another file of the log durable, soon; nobody waits. */
int receipts_sync(struct receipts *receipts, int fd);
/* The next receipts_durable() waits for what was written to this file as well. */
int receipts_with(struct receipts *receipts, int fd);
/* `fn` after each receipt, with its type. It must not append. At most RECEIPTS_WATCHERS_MAX: -ENOSPC. */
#define RECEIPTS_WATCHERS_MAX 4
typedef void receipts_watch_fn(const char *type, void *userdata);
int receipts_watch(struct receipts *receipts, receipts_watch_fn *fn, void *userdata);
/* Takes away what was given with this `userdata`. */
void receipts_unwatch(struct receipts *receipts, const void *userdata);
/* The newest receipt: its number, and its hash as 64 hexadecimal digits (borrowed until the next one). */
uint64_t receipts_head(const struct receipts *receipts, const char **ret_hash);
/* What is wrong with writing receipts, or NULL. */
const char *receipts_trouble(const struct receipts *receipts);

#endif
