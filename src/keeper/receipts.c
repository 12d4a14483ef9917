/*
 * Waiting for receipts. At most ASKED_PER_SECOND are asked for in a second, since the broker believes a keeper mad that asks
 * for many more; the others are sent when it is over. A wait stays in the list until the broker has answered, also when nobody wants the answer any more
 * (cancelled, timed out), so that a late answer is told from one that was never asked for.
 */
#include "keeper/receipts.h"

#include <errno.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/magic.h"
#include "keeper/client.h"
#include "loop/channel.h"

#include "base/banned.h"

#define RECEIPTS_MAGIC 0x72637074u
#define WAIT_MAGIC     0x72637774u
#define WAITING_MAX    256
#define WAIT_MS        10000
/* The broker takes twice as many, with those that are told. */
#define ASKED_PER_SECOND 500
#define PAYLOAD_MAX      (16 * KIB)

struct receipt_wait {
    uint32_t magic;
    struct receipts *receipts;
    struct receipt_wait *next;
    struct loop_timer *timer;
    uint32_t id;
    bool held; /* not sent yet: `frame` is to be */
    struct wire_frame frame;
    receipt_fn *fn; /* NULL: nobody waits any more */
    void *userdata;
};

struct receipts {
    uint32_t magic;
    struct loop *loop;
    struct channel *channel;
    struct receipt_wait *waits;
    size_t waits_len;
    size_t held_len;
    uint32_t last_id;
    struct loop_timer *pace;
    int64_t second;
    unsigned asked; /* in that second */
};

static void wait_unlink(struct receipts *receipts, struct receipt_wait *wait)
{
    struct receipt_wait **at = &receipts->waits;

    while (*at != wait)
        at = &(*at)->next;
    *at = wait->next;
    receipts->waits_len--;
    receipts->held_len -= wait->held;
}

static bool may_ask(struct receipts *receipts)
{
    int64_t second = clock_boot_ms() / 1000;

    if (receipts->second != second)
        receipts->asked = 0;
    receipts->second = second;
    if (receipts->asked == ASKED_PER_SECOND)
        return false;
    receipts->asked++;
    return true;
}

/* The next second: what was held, as far as it goes. */
static void on_pace(void *userdata)
{
    struct receipts *receipts = MAGIC_CAST(struct receipts, userdata, RECEIPTS_MAGIC);

    for (struct receipt_wait *wait = receipts->waits; wait; wait = wait->next) {
        if (!wait->held)
            continue;
        if (!may_ask(receipts)) {
            loop_timer_set(receipts->pace, 1000 - clock_boot_ms() % 1000);
            return;
        }
        wait->held = false;
        receipts->held_len--;
        channel_send(receipts->channel, &wait->frame);
    }
}

static void ask(struct receipts *receipts, struct receipt_wait *wait)
{
    /* In order: nobody passes those that wait. A channel that takes no more has ended, and the keeper with it. */
    wait->held = receipts->held_len > 0 || !may_ask(receipts);
    receipts->held_len += wait->held;
    if (wait->held)
        loop_timer_set(receipts->pace, 1000 - clock_boot_ms() % 1000);
    else
        channel_send(receipts->channel, &wait->frame);
}

int receipts_new(struct loop *loop, struct channel *channel, struct receipts **ret_receipts)
{
    CLEANUP_PTR(receipts_free) struct receipts *receipts = calloc(1, sizeof *receipts);
    int r = 0;

    if (!receipts)
        return -ENOMEM;
    *receipts = (struct receipts){ .magic = RECEIPTS_MAGIC, .loop = loop, .channel = channel };
    r = loop_timer_new(loop, on_pace, receipts, &receipts->pace);
    if (r < 0)
        return r;
    *ret_receipts = TAKE_PTR(receipts);
    return 0;
}

static void wait_free(struct receipt_wait *wait)
{
    if (!wait)
        return;
    loop_timer_free(wait->timer);
    wire_free(&wait->frame);
    wait->magic = 0;
    free(wait);
}
DEFINE_CLEANUP_PTR(struct receipt_wait, wait_free)

void receipts_free(struct receipts *receipts)
{
    if (!receipts)
        return;
    while (receipts->waits) {
        struct receipt_wait *wait = receipts->waits;

        receipts->waits = wait->next;
        wait_free(wait);
    }
    loop_timer_free(receipts->pace);
    receipts->magic = 0;
    free(receipts);
}

static void wait_end(struct receipt_wait *wait, int result)
{
    receipt_fn *fn = wait->fn;

    wait->fn = NULL;
    loop_timer_stop(wait->timer);
    if (fn)
        fn(result, wait->userdata);
}

static void on_late(void *userdata)
{
    struct receipt_wait *wait = MAGIC_CAST(struct receipt_wait, userdata, WAIT_MAGIC);
    bool held = wait->held;

    if (held)
        wait_unlink(wait->receipts, wait);
    wait_end(wait, -ETIMEDOUT);
    if (held)
        wait_free(wait);
}

static int event_make(struct wire_frame *frame, uint32_t id, bool wants_answer, const char *type, const json_t *payload)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(PAYLOAD_MAX);
    int r = payload ? json_write(payload, &text) : -ENOMEM;

    if (r < 0)
        return r;
    wire_init(frame, KEEPER_EVENT, id);
    wire_put_u8(frame, wants_answer);
    wire_put_str(frame, type);
    wire_put_bytes(frame, buf_str(&text), text.len);
    r = frame->bad ? -ENOMEM : 0;
    if (r < 0)
        wire_free(frame);
    return r;
}

int receipts_ask(
    struct receipts *receipts, const char *type, json_t *payload, receipt_fn *fn, void *userdata, struct receipt_wait **ret_wait)
{
    CLEANUP_JSON json_t *own = payload;
    CLEANUP_PTR(wait_free) struct receipt_wait *wait = NULL;
    struct receipt_wait **end = &receipts->waits;
    int r = 0;

    if (receipts->waits_len == WAITING_MAX)
        return -EBUSY;
    wait = calloc(1, sizeof *wait);
    if (!wait)
        return -ENOMEM;
    *wait = (struct receipt_wait){
        .magic = WAIT_MAGIC, .receipts = receipts, .id = ++receipts->last_id, .fn = fn, .userdata = userdata
    };
    wire_init(&wait->frame, 0, 0);
    r = loop_timer_new(receipts->loop, on_late, wait, &wait->timer);
    if (r == 0)
        r = event_make(&wait->frame, wait->id, true, type, own);
    if (r < 0)
        return r;
    ask(receipts, wait);
    loop_timer_set(wait->timer, WAIT_MS);
    while (*end)
        end = &(*end)->next;
    *end = wait;
    receipts->waits_len++;
    *ret_wait = TAKE_PTR(wait);
    return 0;
}

void receipts_cancel(struct receipt_wait *wait)
{
    if (!wait)
        return;
    wait->fn = NULL;
    loop_timer_stop(wait->timer);
    if (!wait->held)
        return;
    wait_unlink(wait->receipts, wait);
    wait_free(wait);
}

void receipts_tell(struct receipts *receipts, const char *type, json_t *payload)
{
    CLEANUP_JSON json_t *own = payload;
    struct wire_frame frame;

    if (event_make(&frame, ++receipts->last_id, false, type, own) == 0)
        channel_send(receipts->channel, &frame);
}

int receipts_written(struct receipts *receipts, uint32_t id, bool written)
{
    CLEANUP_PTR(wait_free) struct receipt_wait *found = NULL;

    for (struct receipt_wait *wait = receipts->waits; wait && !found; wait = wait->next)
        if (wait->id == id && !wait->held)
            found = wait;
    if (!found)
        return -EPROTO;
    wait_unlink(receipts, found);
    wait_end(found, written ? 0 : -EIO);
    return 0;
}
