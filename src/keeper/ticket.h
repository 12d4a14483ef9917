/*
 * One-use tickets (DESIGN §1): whoever has just proved the passphrase gets one for exactly one approval and its seal, and
 * the broker spends it. Only hashes are kept; when the table is full the oldest makes room. Pure.
 */
#ifndef KEEPER_TICKET_H
#define KEEPER_TICKET_H

#include "base/cleanup.h"
#include "keeper/client.h"

#include <stdbool.h>
#include <stdint.h>

#define TICKETS_MAX         64
#define TICKET_APPROVAL_MAX 128
#define TICKET_SEAL_MAX     128

struct tickets;

int tickets_new(struct tickets **ret_tickets);
void tickets_free(struct tickets *tickets);
DEFINE_CLEANUP_PTR(struct tickets, tickets_free)

/* A new one, good until `now_ms` + KEEPER_TICKET_MS. 0 or -ENOMEM. */
int tickets_mint(struct tickets *tickets, const char *approval, const char *seal, int64_t now_ms, char out[KEEPER_TICKET_MAX]);
/* None is good any more: the vault that they were made under was closed. */
void tickets_void(struct tickets *tickets);
/* True once, in time, for the two that it was made for. Anything else leaves it as it is. */
bool tickets_spend(struct tickets *tickets, const char *approval, const char *seal, const char *ticket, int64_t now_ms);

#endif
