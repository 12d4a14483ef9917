/* See the header. A keeper that dies meanwhile takes its waits with it; the receipts stay. */
#include "broker/keeper-events.h"

#include "audit/events.h"
#include "base/magic.h"
#include "broker/keeper-link.h"
#include "broker/log.h"
#include "broker/receipts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/banned.h"

#define EVENTS_MAGIC 0x6b657673u
#define WAIT_MAGIC   0x6b657677u
#define WAITS_MAX    1024

struct wait {
    uint32_t magic;
    struct keeper_events *events;
    LIST_ENTRY(wait) entry;
    struct sync_wait *sync;
    unsigned generation;
    uint32_t id;
};

struct keeper_events {
    uint32_t magic;
    struct receipts *receipts;
    struct keeper_link *link;
    LIST_HEAD(, wait) waits;
    unsigned waits_len;
};

int keeper_events_new(struct receipts *receipts, struct keeper_link *link, struct keeper_events **ret_events, struct err *err)
{
    struct keeper_events *events = calloc(1, sizeof *events);

    if (!events)
        return err_set(err, ENOMEM, "out of memory");
    events->magic = EVENTS_MAGIC;
    events->receipts = receipts;
    events->link = link;
    LIST_INIT(&events->waits);
    *ret_events = events;
    return 0;
}

static void wait_free(struct wait *wait)
{
    LIST_REMOVE(wait, entry);
    wait->events->waits_len--;
    wait->magic = 0;
    free(wait);
}

void keeper_events_free(struct keeper_events *events)
{
    struct wait *wait;

    if (!events)
        return;
    while ((wait = LIST_FIRST(&events->waits))) {
        sync_cancel(wait->sync);
        wait_free(wait);
    }
    events->magic = 0;
    free(events);
}

static void on_durable(int result, void *userdata)
{
    struct wait *wait = MAGIC_CAST(struct wait, userdata, WAIT_MAGIC);

    keeper_event_written(wait->events->link, wait->generation, wait->id, result == 0);
    wait_free(wait);
}

static int wait_for_disk(struct keeper_events *events, uint32_t id)
{
    struct wait *wait = calloc(1, sizeof *wait);

    if (!wait)
        return -ENOMEM;
    wait->magic = WAIT_MAGIC;
    wait->events = events;
    wait->generation = keeper_generation(events->link);
    wait->id = id;
    LIST_INSERT_HEAD(&events->waits, wait, entry);
    events->waits_len++;
    int r = receipts_durable(events->receipts, on_durable, wait, &wait->sync);
    if (r < 0)
        wait_free(wait);
    return r;
}

/* What comes of somebody at the owner's door; the rest the keeper does by itself. */
static bool is_of_person(const char *type, bool by_person)
{
    static const char *const by_itself[] = { "vault.locked", "binding.refreshed", "binding.failed" };

    for (size_t i = 0; i < ARRAY_LEN(by_itself); i++)
        if (!strcmp(type, by_itself[i]))
            return i == 0 && by_person;
    return true;
}

int keeper_events_take(struct keeper_events *events, uint32_t id, const struct keeper_event *event, bool by_person)
{
    bool person = is_of_person(event->type, by_person);
    const struct receipt receipt = {
        .type = event->type,
        .actor = person ? AUDIT_HUMAN : AUDIT_SERVICE,
        .actor_id = person ? "owner" : "keeper",
        .payload = event->payload,
    };
    const struct audit_event checked = { .type = receipt.type, .payload = receipt.payload };
    struct err err = ERR_INIT;

    if (events->waits_len >= WAITS_MAX || audit_event_check(&checked, &err) < 0) {
        log_error("keeper: an event of the type %s is refused: %s", event->type,
            err.message[0] ? err.message : "too many wait for the disk");
        return -EPROTO;
    }
    int r = receipts_append(events->receipts, &receipt, NULL, NULL);
    if (!r && event->wants_written)
        r = wait_for_disk(events, id);
    if (r < 0 && event->wants_written)
        keeper_event_written(events->link, keeper_generation(events->link), id, false);
    return 0;
}
