/*
 * Who waits for an end: a call that parked, a second call of the same, somebody who collects. A waiter owns its reply. Its
 * client may go at any moment, also while another one is being answered.
 */
#include "broker/approvals-private.h"

#include "base/json.h"
#include "base/magic.h"

#include <string.h>

#include "base/banned.h"

#define WAITER_MAGIC 0x77616974u

struct waiter {
    uint32_t magic;
    struct approvals *approvals;
    LIST_ENTRY(waiter) link;
    char id[ULID_ID_MAX];
    struct api_reply *reply;
    struct loop_timer *timer;
    bool collects;
};

/* The end of an id is random. */
static size_t bucket_of(const char *id)
{
    size_t len = strlen(id);

    return len < 2 ? 0 : ((size_t) id[len - 1] * 7 + (size_t) id[len - 2]) % APPROVALS_WAITERS;
}

static struct api_reply *waiter_free(struct waiter *waiter)
{
    struct api_reply *reply = TAKE_PTR(waiter->reply);

    LIST_REMOVE(waiter, link);
    loop_timer_free(waiter->timer);
    api_reply_on_gone(reply, NULL, NULL);
    waiter->magic = 0;
    free(waiter);
    return reply;
}

static bool somebody_waits(const struct approvals *approvals, const char *id)
{
    const struct waiter *waiter;

    LIST_FOREACH(waiter, &approvals->waiters[bucket_of(id)], link)
    if (waiter->collects && !strcmp(waiter->id, id))
        return true;
    return false;
}

/* True when the reply was taken. */
static bool answer(struct approvals *approvals, const struct approval *approval, struct api_reply *reply)
{
    const struct view_facts facts = approvals_facts(approvals, approval);
    json_t *body = NULL;
    int status = view_answer(approval, &facts, &body);

    return api_reply_send(reply, status < 0 ? 500 : status, body);
}

static void on_timeout(void *userdata)
{
    struct waiter *waiter = MAGIC_CAST(struct waiter, userdata, WAITER_MAGIC);
    struct approvals *approvals = waiter->approvals;
    const struct approval *approval = queue_find(approvals->queue, waiter->id);
    struct api_reply *reply = waiter_free(waiter);

    if (approval)
        answer(approvals, approval, reply);
    else
        api_reply_error(reply, 410, "gone", "there is no such approval any more", NULL);
}

/* The call goes on without its client; a person is told. */
static void on_gone(void *userdata)
{
    struct waiter *waiter = MAGIC_CAST(struct waiter, userdata, WAITER_MAGIC);
    struct approvals *approvals = waiter->approvals;
    struct approval *approval = queue_find(approvals->queue, waiter->id);

    api_reply_send(waiter_free(waiter), 0, NULL);
    if (!approval || approval_is_over(approval) || somebody_waits(approvals, approval->id))
        return;
    approval->client_gone = true;
    approvals_tell_pages(approvals, approval);
}

/* Its end is there already. */
static void answer_at_once(struct approvals *approvals, struct approval *approval, bool collects, struct api_reply *reply)
{
    if (answer(approvals, approval, reply) && collects && approval_is_over(approval) && !approval->collected_unix_ms)
        approvals_collected(approvals, approval);
}

void approvals_wait(
    struct approvals *approvals, struct approval *approval, int64_t wait_ms, bool collects, struct api_reply *reply)
{
    struct waiter *waiter = NULL;

    if (approval_is_over(approval) || wait_ms == 0) {
        answer_at_once(approvals, approval, collects, reply);
        return;
    }
    waiter = calloc(1, sizeof *waiter);
    if (!waiter || loop_timer_new(approvals->broker->loop, on_timeout, waiter, &waiter->timer) < 0) {
        free(waiter);
        answer(approvals, approval, reply);
        return;
    }
    waiter->magic = WAITER_MAGIC;
    waiter->approvals = approvals;
    waiter->reply = reply;
    waiter->collects = collects;
    memcpy(waiter->id, approval->id, sizeof waiter->id);
    LIST_INSERT_HEAD(&approvals->waiters[bucket_of(waiter->id)], waiter, link);
    if (wait_ms > 0)
        loop_timer_set(waiter->timer, wait_ms);
    api_reply_on_gone(reply, on_gone, waiter);
    if (collects && approval->client_gone) {
        approval->client_gone = false;
        approvals_tell_pages(approvals, approval);
    }
}

void approvals_tell_pending(struct approvals *approvals, const struct approval *approval)
{
    const struct view_facts facts = approvals_facts(approvals, approval);
    CLEANUP_JSON json_t *pending = view_pending(approval, &facts);
    struct waiter *waiter, *next;

    for (waiter = LIST_FIRST(&approvals->waiters[bucket_of(approval->id)]); waiter && pending; waiter = next) {
        next = LIST_NEXT(waiter, link);
        if (!strcmp(waiter->id, approval->id))
            api_reply_pending(waiter->reply, approval->action, pending);
    }
}

static struct waiter *waiter_of(const struct approvals *approvals, const char *id)
{
    struct waiter *waiter;

    LIST_FOREACH(waiter, &approvals->waiters[bucket_of(id)], link)
    if (!strcmp(waiter->id, id))
        return waiter;
    return NULL;
}

bool approvals_answer(struct approvals *approvals, const struct approval *approval)
{
    struct waiter *waiter;
    char id[ULID_ID_MAX];
    bool taken = false;

    memcpy(id, approval->id, sizeof id);
    /* One at a time: to answer one may take others away, and the record with them. */
    while ((waiter = waiter_of(approvals, id)) && (approval = queue_find(approvals->queue, id))) {
        bool collects = waiter->collects;
        bool took = answer(approvals, approval, waiter_free(waiter));

        taken |= took && collects;
    }
    return taken;
}

void approvals_wait_free_all(struct approvals *approvals)
{
    struct waiter *waiter;

    for (size_t i = 0; i < APPROVALS_WAITERS; i++)
        while ((waiter = LIST_FIRST(&approvals->waiters[i])))
            api_reply_error(waiter_free(waiter), 503, "stopping", "the daemon stops", NULL);
}
