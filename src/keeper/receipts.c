/*
 * Waiting for receipts. A wait stays in the list until the broker has answered, also when nobody wants the answer any more
 * (cancelled, timed out), so that a late answer is told from one that was never asked for.
 */
#include "keeper/receipts.h"

#include <errno.h>

#include "base/json.h"
#include "base/magic.h"
#include "keeper/client.h"
#include "loop/channel.h"

#include "base/banned.h"

#define RECEIPTS_MAGIC 0x72637074u
#define WAIT_MAGIC     0x72637774u
#define WAITING_MAX    256
#define WAIT_MS        10000
#define PAYLOAD_MAX    (16 * KIB)

struct receipt_wait {
    uint32_t magic;
    struct receipt_wait *next;
    struct loop_timer *timer;
    uint32_t id;
    receipt_fn *fn; /* NULL: nobody waits any more */
    void *userdata;
};

struct receipts {
    uint32_t magic;
    struct loop *loop;
    struct channel *channel;
    struct receipt_wait *waits;
    size_t waits_len;
    uint32_t last_id;
};

int receipts_new(struct loop *loop, struct channel *channel, struct receipts **ret_receipts)
{
    struct receipts *receipts = calloc(1, sizeof *receipts);

    if (!receipts)
        return -ENOMEM;
    *receipts = (struct receipts){ .magic = RECEIPTS_MAGIC, .loop = loop, .channel = channel };
    *ret_receipts = receipts;
    return 0;
}

static void wait_free(struct receipt_wait *wait)
{
    if (!wait)
        return;
    loop_timer_free(wait->timer);
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
    wait_end(MAGIC_CAST(struct receipt_wait, userdata, WAIT_MAGIC), -ETIMEDOUT);
}

static int event_send(struct receipts *receipts, uint32_t id, bool wants_answer, const char *type, const json_t *payload)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(PAYLOAD_MAX);
    struct wire_frame frame;
    int r = payload ? json_write(payload, &text) : -ENOMEM;

    if (r < 0)
        return r;
    wire_init(&frame, KEEPER_EVENT, id);
    wire_put_u8(&frame, wants_answer);
    wire_put_str(&frame, type);
    wire_put_bytes(&frame, buf_str(&text), text.len);
    return channel_send(receipts->channel, &frame);
}

int receipts_ask(
    struct receipts *receipts, const char *type, json_t *payload, receipt_fn *fn, void *userdata, struct receipt_wait **ret_wait)
{
    CLEANUP_JSON json_t *own = payload;
    CLEANUP_PTR(wait_free) struct receipt_wait *wait = NULL;
    int r = 0;

    if (receipts->waits_len == WAITING_MAX)
        return -EBUSY;
    wait = calloc(1, sizeof *wait);
    if (!wait)
        return -ENOMEM;
    *wait = (struct receipt_wait){ .magic = WAIT_MAGIC, .id = ++receipts->last_id, .fn = fn, .userdata = userdata };
    r = loop_timer_new(receipts->loop, on_late, wait, &wait->timer);
    if (r == 0)
        r = event_send(receipts, wait->id, true, type, own);
    if (r < 0)
        return r;
    loop_timer_set(wait->timer, WAIT_MS);
    wait->next = receipts->waits;
    receipts->waits = wait;
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
}

void receipts_tell(struct receipts *receipts, const char *type, json_t *payload)
{
    CLEANUP_JSON json_t *own = payload;

    /* A channel that takes no more has ended, and the keeper with it. */
    event_send(receipts, ++receipts->last_id, false, type, own);
}

int receipts_written(struct receipts *receipts, uint32_t id, bool written)
{
    struct receipt_wait **at = &receipts->waits;

    while (*at && (*at)->id != id)
        at = &(*at)->next;
    if (!*at)
        return -EPROTO;
    CLEANUP_PTR(wait_free) struct receipt_wait *wait = *at;
    *at = wait->next;
    receipts->waits_len--;
    wait_end(wait, written ? 0 : -EIO);
    return 0;
}
