/*
 * Names to addresses without blocking: c-ares on the loop. Answers are kept for
 * their TTL but at most RESOLVE_KEEP_MS, and requests for a name that is already
 * being asked for share the question. No search domains, no check of the
 * addresses: whoever asks checks what it pins.
 */
#ifndef KEEPER_RESOLVE_H
#define KEEPER_RESOLVE_H

#include "base/cleanup.h"
#include "base/err.h"
#include "keeper/address.h"
#include "loop/loop.h"

#define RESOLVE_KEEP_MS   30000
#define RESOLVE_NAMES_MAX 256

struct resolver;
struct resolve_wait;

/*
 * `list` is NULL when the name has no address or nobody answered; `reason` then says so in our words. The wait is
 * over and freed.
 */
typedef void resolve_fn(const struct address_list *list, const char *reason, void *userdata);

/*
 * Reads the system's resolver settings; must run before lock-down. `servers` NULL uses them; a text
 * "127.0.0.1:5300" replaces the servers (tests).
 */
int resolver_new(struct loop *loop, const char *servers, struct resolver **ret_resolver, struct err *err);
/*
 * 1: *ret_list holds the answer (empty: there is no address) and `fn` will not run. 0: `fn` runs later, once, unless the wait is cancelled.
 * Negative errno: no memory, or too many names at once.
 */
int resolver_ask(struct resolver *resolver, const char *name, resolve_fn *fn, void *userdata, struct address_list *ret_list,
    struct resolve_wait **ret_wait);
void resolve_cancel(struct resolve_wait *wait);
/* Waits that are still open are dropped without a call. */
void resolver_free(struct resolver *resolver);
DEFINE_CLEANUP_PTR(struct resolver, resolver_free)

#endif
