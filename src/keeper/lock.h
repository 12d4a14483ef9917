/*
 * The vault's opening and closing as the rest of the keeper sees it: the auto-lock clock, the hourly flush of labels, the
 * development overrides that are active only while a vault of `vault init --dev` is open, and who has to be told. Timers
 * exist only while there is something to wait for.
 */
#ifndef KEEPER_LOCK_H
#define KEEPER_LOCK_H

#include "base/cleanup.h"
#include "keeper/parts.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct lock;

struct lock_context { /* all borrowed and longer-lived */
    const struct parts *parts;
    bool overrides_given;
    void (*overrides_activate)(bool active, void *userdata);
    void *userdata;
};

int lock_new(const struct lock_context *context, struct lock **ret_lock);
void lock_free(struct lock *lock);
DEFINE_CLEANUP_PTR(struct lock, lock_free)

/* 0: never locks by itself. */
void lock_configure(struct lock *lock, uint32_t auto_lock_s);
/* The owner has proved the passphrase or asked for what needs an open vault: the clock starts again. */
void lock_used(struct lock *lock);
/* A request with a credential: as lock_used(), and last_used_at will be told and written. */
void lock_binding_used(struct lock *lock);
/* The vault was opened (not merely proved) or made: overrides, clock, STATE; `event` is told when not NULL. */
void lock_opened(struct lock *lock, const char *event);
/* Closes it if it is open: overrides off, the clock stops, STATE, vault.locked. */
void lock_close(struct lock *lock);
/* To be called now and then: the vault closes itself when its file became another one that its key does not open. */
void lock_check(struct lock *lock);
/* Bindings or labels are other than before: STATE. */
void lock_changed(struct lock *lock);
bool lock_overrides_active(const struct lock *lock);
/* Payload of vault.*: {"aileron.vault.path"}. New reference, NULL without memory. */
json_t *lock_payload(const struct lock *lock);

#endif
