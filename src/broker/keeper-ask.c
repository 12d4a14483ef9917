/*
 * Requests to the keeper and their answers. A request is in the link's list until
 * it is answered, also when nobody waits for it any more: an answer that no
 * request is there for ends the keeper.
 */
#include "broker/keeper-link-private.h"

#include "base/clock.h"
#include "base/json.h"
#include "loop/channel.h"
#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define ANSWER_GRACE_MS 3000
#define CALLS_MAX       2048
/* The keeper's own time limits end earlier; these tell a keeper that hangs. */
#define QUICK_MS    10000 /* what needs no network, though perhaps a receipt on disk */
#define PROVIDER_MS 75000 /* ... and what does, twice: a refresh may come first */

/* --- answers and their absence --- */

static struct keeper_call *call_find(struct keeper_link *link, uint32_t id)
{
    struct keeper_call *call;

    TAILQ_FOREACH(call, &link->calls, entry)
    if (call->id == id)
        return call;
    return NULL;
}

/* The one of these that the call waits for; the others are not looked at. */
struct answers {
    const struct keeper_answer *answer;
    const struct fetch_answer *fetched;
    const struct keeper_reply *reply;
};

static void call_end(struct keeper_call *call, const struct answers *answers)
{
    const struct keeper_call ended = *call;

    TAILQ_REMOVE(&call->link->calls, call, entry);
    call->link->calls_len--;
    free(call);
    if (ended.on_answer)
        ended.on_answer(answers->answer, ended.userdata);
    else if (ended.on_fetch)
        ended.on_fetch(answers->fetched, ended.userdata);
    else if (ended.on_reply)
        ended.on_reply(answers->reply, ended.userdata);
}

/* A list or a signature answers only who asked for one; KEEPER_DONE may refuse a list. */
static bool answers(const struct keeper_call *call, const struct wire_frame *frame)
{
    switch (call->type) {
    case KEEPER_HTTP:
        return frame->type == KEEPER_HTTP_RESULT;
    case KEEPER_SIGN_HEAD:
        return frame->type == KEEPER_SIGNED;
    case KEEPER_FORGE:
        return frame->type == KEEPER_FORGED;
    case KEEPER_LIST:
        return frame->type == KEEPER_LISTED || frame->type == KEEPER_DONE;
    default:
        return frame->type == KEEPER_DONE;
    }
}

int link_on_answer(struct keeper_link *link, struct wire_frame *frame)
{
    struct keeper_call *call = call_find(link, frame->id);
    struct keeper_answer answer = { .message = "" };
    struct fetch_answer fetched = { .message = "" };
    struct keeper_reply reply = { .message = "" };

    if (!call || !answers(call, frame))
        return -EPROTO;
    int r = call->type == KEEPER_HTTP    ? keeper_read_answer(frame, &answer)
            : call->type == KEEPER_FORGE ? fetch_read_answer(frame, &fetched)
                                         : keeper_read_reply(frame, &reply);
    if (!r && call->type == KEEPER_LIST && !reply.list && reply.result == KEEPER_OK)
        r = -EPROTO;
    if (!r)
        call_end(call, &(struct answers){ &answer, &fetched, &reply });
    json_decref(reply.list);
    return r;
}

void link_calls_fail(struct keeper_link *link, const char *message)
{
    const struct keeper_answer answer = {
        .outcome = KEEPER_HTTP_NETWORK,
        .may_have_left = true,
        .retry_after_ms = -1,
        .message = message,
    };
    const struct fetch_answer fetched = { .outcome = KEEPER_HTTP_NETWORK, .etag = "", .retry_after_ms = -1, .message = message };
    const struct keeper_reply reply = { .result = KEEPER_FAILED, .message = message, .hint = "", .detail = "", .lost = true };
    uint32_t last = link->next_id; /* only those of now: an answer may lead to a new request */
    struct keeper_call *call;

    while ((call = TAILQ_FIRST(&link->calls)) && (int32_t) (call->id - last) <= 0)
        call_end(call, &(struct answers){ &answer, &fetched, &reply });
}

void link_calls_free(struct keeper_link *link)
{
    struct keeper_call *call;

    while ((call = TAILQ_FIRST(&link->calls))) {
        TAILQ_REMOVE(&link->calls, call, entry);
        free(call);
    }
}

void link_arm_watchdog(struct keeper_link *link, int64_t due_ms)
{
    int64_t left = due_ms - clock_boot_ms();

    if (link->watchdog_due_ms && link->watchdog_due_ms <= due_ms)
        return;
    link->watchdog_due_ms = due_ms;
    loop_timer_set(link->watchdog, left > 0 ? left : 0);
}

int64_t link_earliest_due(const struct keeper_link *link)
{
    const struct keeper_call *call;
    int64_t due = INT64_MAX;

    TAILQ_FOREACH(call, &link->calls, entry)
    if (call->due_ms < due)
        due = call->due_ms;
    return due;
}

/* --- sending --- */

/* Sends the frame, whose id is given here, and remembers `call` until its answer comes. Uses both up. */
static int call_begin(struct keeper_link *link, struct wire_frame *frame, struct keeper_call call, struct keeper_call **ret_call)
{
    struct keeper_call *kept = NULL;
    int r = link->state == LINK_UP ? 0 : -ENOTCONN;

    if (!r && (link->calls_len >= CALLS_MAX || !(kept = malloc(sizeof *kept))))
        r = -ENOBUFS;
    if (!r) {
        call.link = link;
        call.type = frame->type;
        call.id = frame->id = ++link->next_id;
        r = channel_send(link->channel, frame);
    }
    wire_free(frame);
    if (r < 0) {
        free(kept);
        return r;
    }
    *kept = call;
    TAILQ_INSERT_TAIL(&link->calls, kept, entry);
    link->calls_len++;
    link_arm_watchdog(link, kept->due_ms);
    if (ret_call)
        *ret_call = kept;
    return 0;
}

int keeper_http(struct keeper_link *link, const struct keeper_request *request, keeper_answer_fn *fn, void *userdata,
    struct keeper_call **ret_call)
{
    const struct keeper_call call = {
        .on_answer = fn, .userdata = userdata, .due_ms = clock_boot_ms() + request->deadline_ms + ANSWER_GRACE_MS
    };
    struct wire_frame frame;

    wire_init(&frame, KEEPER_HTTP, 0);
    wire_put_str(&frame, request->connector);
    wire_put_str(&frame, request->binding);
    wire_put_str(&frame, request->method);
    wire_put_str(&frame, request->url);
    wire_put_str(&frame, request->headers);
    wire_put_blob(&frame, request->body ? request->body : "", request->body ? request->body_len : 0);
    wire_put_u8(&frame, request->body != NULL);
    wire_put_str(&frame, request->hosts);
    wire_put_u32(&frame, request->deadline_ms);
    wire_put_u8(&frame, request->read_only);
    return call_begin(link, &frame, call, ret_call);
}

void keeper_http_cancel(struct keeper_call *call)
{
    struct wire_frame frame;

    if (!call)
        return;
    call->on_answer = NULL;
    int64_t soon = clock_boot_ms() + ANSWER_GRACE_MS;
    if (call->due_ms > soon)
        call->due_ms = soon;
    if (call->link->state != LINK_UP)
        return;
    link_arm_watchdog(call->link, call->due_ms);
    wire_init(&frame, KEEPER_HTTP_CANCEL, call->id);
    channel_send(call->link->channel, &frame);
    wire_free(&frame);
}

int keeper_ask(struct keeper_link *link, struct wire_frame *frame, int64_t due_ms, keeper_reply_fn *fn, void *userdata,
    struct keeper_call **ret_call)
{
    const struct keeper_call call = { .on_reply = fn, .userdata = userdata, .due_ms = clock_boot_ms() + due_ms };

    return call_begin(link, frame, call, ret_call);
}

void keeper_ask_cancel(struct keeper_call *call)
{
    if (!call)
        return;
    call->on_reply = NULL;
    call->on_fetch = NULL;
}

/* --- the requests --- */

int keeper_sign_head(struct keeper_link *link, uint64_t seq, const uint8_t hash[32], keeper_reply_fn *fn, void *userdata,
    struct keeper_call **ret_call)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_SIGN_HEAD, 0);
    wire_put_u64(&frame, seq);
    wire_put_bytes(&frame, hash, 32);
    return keeper_ask(link, &frame, QUICK_MS, fn, userdata, ret_call);
}

/* Requests whose fields are texts only. */
static int ask_texts(struct keeper_link *link, uint16_t type, const char *const *texts, int64_t due_ms, keeper_reply_fn *fn,
    void *userdata, struct keeper_call **ret_call)
{
    struct wire_frame frame;

    wire_init(&frame, type, 0);
    for (; *texts; texts++)
        wire_put_str(&frame, *texts);
    return keeper_ask(link, &frame, due_ms, fn, userdata, ret_call);
}

int keeper_lock(struct keeper_link *link, keeper_reply_fn *fn, void *userdata, struct keeper_call **ret_call)
{
    return ask_texts(link, KEEPER_LOCK, (const char *const[]){ NULL }, QUICK_MS, fn, userdata, ret_call);
}

int keeper_revoke(
    struct keeper_link *link, const char *binding, keeper_reply_fn *fn, void *userdata, struct keeper_call **ret_call)
{
    return ask_texts(link, KEEPER_REVOKE, (const char *const[]){ binding, NULL }, PROVIDER_MS, fn, userdata, ret_call);
}

int keeper_oauth_start(struct keeper_link *link, const char *binding, const char *redirect_uri, keeper_reply_fn *fn,
    void *userdata, struct keeper_call **ret_call)
{
    return ask_texts(
        link, KEEPER_OAUTH_START, (const char *const[]){ binding, redirect_uri, NULL }, QUICK_MS, fn, userdata, ret_call);
}

int keeper_oauth_callback(
    struct keeper_link *link, const char *query, keeper_reply_fn *fn, void *userdata, struct keeper_call **ret_call)
{
    return ask_texts(link, KEEPER_OAUTH_CALLBACK, (const char *const[]){ query, NULL }, PROVIDER_MS, fn, userdata, ret_call);
}

int keeper_spend_ticket(struct keeper_link *link, const char *approval_id, const char *seal, const char *ticket,
    keeper_reply_fn *fn, void *userdata, struct keeper_call **ret_call)
{
    return ask_texts(
        link, KEEPER_SPEND_TICKET, (const char *const[]){ approval_id, seal, ticket, NULL }, QUICK_MS, fn, userdata, ret_call);
}

int keeper_forge(
    struct keeper_link *link, const char *path, const char *etag, fetch_fn *fn, void *userdata, struct keeper_call **ret_call)
{
    const struct keeper_call call = { .on_fetch = fn, .userdata = userdata, .due_ms = clock_boot_ms() + PROVIDER_MS };
    struct wire_frame frame;

    wire_init(&frame, KEEPER_FORGE, 0);
    wire_put_str(&frame, path);
    wire_put_str(&frame, etag);
    return call_begin(link, &frame, call, ret_call);
}

int keeper_list(struct keeper_link *link, keeper_reply_fn *fn, void *userdata, struct keeper_call **ret_call)
{
    return ask_texts(link, KEEPER_LIST, (const char *const[]){ NULL }, QUICK_MS, fn, userdata, ret_call);
}
