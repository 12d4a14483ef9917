/*
 * See the header. The auto-lock timer is not set anew with every request: it looks at the time of the last one when it runs
 * and sets itself for what is left.
 */
#include "keeper/lock.h"

#include <errno.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/magic.h"
#include "keeper/oauth.h"
#include "keeper/receipts.h"
#include "keeper/session.h"
#include "keeper/ticket.h"
#include "keeper/vault.h"
#include "loop/loop.h"

#include "base/banned.h"

#define LOCK_MAGIC 0x6c6f636bu
#define FLUSH_MS   3600000
/* Until the broker hears that a binding was used; by then the request has left. */
#define TELL_USED_MS 1000

struct lock {
    uint32_t magic;
    struct lock_context context;
    struct loop_timer *auto_lock;
    struct loop_timer *flush;
    struct loop_timer *tell; /* bindings that were used */
    bool flush_set;
    bool tell_set;
    bool open;   /* as it was told last */
    bool active; /* the overrides */
    int64_t auto_lock_ms;
    int64_t used_ms;
};

static bool is_open(const struct lock *lock)
{
    return vault_state(lock->context.parts->vault) == KEEPER_VAULT_UNLOCKED;
}

static void auto_lock_set(struct lock *lock)
{
    if (lock->auto_lock_ms > 0 && is_open(lock))
        loop_timer_set(lock->auto_lock, lock->auto_lock_ms);
    else
        loop_timer_stop(lock->auto_lock);
}

static void on_auto_lock(void *userdata)
{
    struct lock *lock = MAGIC_CAST(struct lock, userdata, LOCK_MAGIC);
    int64_t left_ms = lock->used_ms + lock->auto_lock_ms - clock_boot_ms();

    if (left_ms > 0)
        loop_timer_set(lock->auto_lock, left_ms);
    else
        lock_close(lock);
}

/* What could not be written stays in memory for the next write. */
static void on_flush(void *userdata)
{
    struct lock *lock = MAGIC_CAST(struct lock, userdata, LOCK_MAGIC);

    lock->flush_set = false;
    vault_flush(lock->context.parts->vault, NULL);
}

static void on_tell(void *userdata)
{
    struct lock *lock = MAGIC_CAST(struct lock, userdata, LOCK_MAGIC);

    lock->tell_set = false;
    lock_changed(lock);
}

int lock_new(const struct lock_context *context, struct lock **ret_lock)
{
    CLEANUP_PTR(lock_free) struct lock *lock = calloc(1, sizeof *lock);
    int r = 0;

    if (!lock)
        return -ENOMEM;
    lock->magic = LOCK_MAGIC;
    lock->context = *context;
    r = loop_timer_new(context->parts->loop, on_auto_lock, lock, &lock->auto_lock);
    if (r == 0)
        r = loop_timer_new(context->parts->loop, on_flush, lock, &lock->flush);
    if (r == 0)
        r = loop_timer_new(context->parts->loop, on_tell, lock, &lock->tell);
    if (r < 0)
        return r;
    *ret_lock = TAKE_PTR(lock);
    return 0;
}

void lock_free(struct lock *lock)
{
    if (!lock)
        return;
    loop_timer_free(lock->auto_lock);
    loop_timer_free(lock->flush);
    loop_timer_free(lock->tell);
    lock->magic = 0;
    free(lock);
}

void lock_configure(struct lock *lock, uint32_t auto_lock_s)
{
    lock->auto_lock_ms = (int64_t) auto_lock_s * 1000;
    lock->used_ms = clock_boot_ms();
    auto_lock_set(lock);
}

void lock_used(struct lock *lock)
{
    lock->used_ms = clock_boot_ms();
}

void lock_binding_used(struct lock *lock)
{
    lock_used(lock);
    if (!is_open(lock))
        return;
    if (!lock->flush_set)
        loop_timer_set(lock->flush, FLUSH_MS);
    if (!lock->tell_set)
        loop_timer_set(lock->tell, TELL_USED_MS);
    lock->flush_set = true;
    lock->tell_set = true;
}

static void overrides_set(struct lock *lock, bool active)
{
    lock->active = active && lock->context.overrides_given;
    lock->context.overrides_activate(lock->active, lock->context.userdata);
}

json_t *lock_payload(const struct lock *lock)
{
    return json_pack("{s:s}", "aileron.vault.path", vault_file_path(lock->context.parts->vault));
}

void lock_opened(struct lock *lock, const char *event)
{
    lock->open = true;
    lock->used_ms = clock_boot_ms();
    overrides_set(lock, vault_is_dev(lock->context.parts->vault));
    auto_lock_set(lock);
    lock_changed(lock);
    if (event)
        receipts_tell(lock->context.parts->receipts, event, lock_payload(lock));
}

/* It is closed, and everybody has to know. */
static void closed(struct lock *lock)
{
    lock->open = false;
    tickets_void(lock->context.parts->tickets);
    overrides_set(lock, false);
    loop_timer_stop(lock->auto_lock);
    loop_timer_stop(lock->flush);
    lock->flush_set = false;
    lock_changed(lock);
    receipts_tell(lock->context.parts->receipts, "vault.locked", lock_payload(lock));
}

void lock_close(struct lock *lock)
{
    if (!is_open(lock)) {
        lock_check(lock);
        return;
    }
    oauth_lock(lock->context.parts->oauth);
    vault_lock(lock->context.parts->vault);
    closed(lock);
}

void lock_check(struct lock *lock)
{
    if (lock->open && !is_open(lock))
        closed(lock);
}

void lock_changed(struct lock *lock)
{
    session_tell_state(lock->context.parts->session);
}

bool lock_overrides_active(const struct lock *lock)
{
    return lock->active;
}
