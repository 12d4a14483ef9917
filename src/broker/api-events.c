/*
 * Events for whoever watches (the web app's stream): small words that something changed; what it is now, they ask. Receipts can
 * come by the thousand, so those of one moment are told once. While nobody watches, nothing is made and no timer runs.
 */
#include "broker/broker.h"

#include "base/magic.h"

#include <string.h>

#include "base/banned.h"

#define GATHER_MS 100

/* What a receipt changes, by the beginning of its type. Each is also an "audit". */
static const struct {
    const char *begins, *event;
} BY_TYPE[] = {
    { "session.", "session" },
    { "vault.", "vault" },
    { "binding.", "vault" },
};

void broker_event(struct broker *broker, const char *type, json_t *data)
{
    if (broker->events.fn)
        broker->events.fn(type, data, broker->events.userdata);
    json_decref(data);
}

static void on_gathered(void *userdata)
{
    struct broker *broker = MAGIC_CAST(struct broker, userdata, BROKER_MAGIC);
    unsigned kinds = broker->events.kinds;
    const char *hash;

    broker->events.kinds = 0;
    broker->events.gathering = false;
    for (size_t i = 0; i < ARRAY_LEN(BY_TYPE); i++)
        if (kinds & (1u << i))
            broker_event(broker, BY_TYPE[i].event, json_object());
    broker_event(broker, "audit", json_pack("{s:I}", "seq", (json_int_t) receipts_head(broker->receipts, &hash)));
}

static void on_receipt(const char *type, void *userdata)
{
    struct broker *broker = MAGIC_CAST(struct broker, userdata, BROKER_MAGIC);

    if (!broker->events.fn)
        return;
    for (size_t i = 0; i < ARRAY_LEN(BY_TYPE); i++)
        if (!strncmp(type, BY_TYPE[i].begins, strlen(BY_TYPE[i].begins)))
            broker->events.kinds |= 1u << i;
    if (!broker->events.gathering) {
        broker->events.gathering = true;
        loop_timer_set(broker->events.timer, GATHER_MS);
    }
}

static void on_actions(void *userdata)
{
    broker_event(MAGIC_CAST(struct broker, userdata, BROKER_MAGIC), "actions", json_object());
}

int broker_events_start(struct broker *broker)
{
    int r = loop_timer_new(broker->loop, on_gathered, broker, &broker->events.timer);

    if (!r)
        r = receipts_watch(broker->receipts, on_receipt, broker);
    return r < 0 ? r : broker_on_actions_changed(broker, on_actions, broker);
}

void broker_on_event(struct broker *broker, broker_event_fn *fn, void *userdata)
{
    broker->events.fn = fn;
    broker->events.userdata = userdata;
}
