/*
 * Receipts of what happens in the keeper (KEEPER_EVENT). The keeper says what,
 * never who: the actor follows from the event's type. Where the keeper waits,
 * it hears that the receipt is on disk, or that it is not.
 */
#ifndef BROKER_KEEPER_EVENTS_H
#define BROKER_KEEPER_EVENTS_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct keeper_event;
struct keeper_events;
struct keeper_link;
struct receipts;

/* Both borrowed and longer-lived. */
int keeper_events_new(struct receipts *receipts, struct keeper_link *link, struct keeper_events **ret_events, struct err *err);
/* Whoever waits hears nothing any more. */
void keeper_events_free(struct keeper_events *events);
DEFINE_CLEANUP_PTR(struct keeper_events, keeper_events_free)

/* `by_person`: a lock that is told now was asked for. -EPROTO: no such event can be, or far too many wait. */
int keeper_events_take(struct keeper_events *events, uint32_t id, const struct keeper_event *event, bool by_person);

#endif
