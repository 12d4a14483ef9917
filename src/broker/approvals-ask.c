/*
 * A gated call on its way into the queue: it is reviewed, its receipt is on disk, then it is a record and whoever asked waits
 * or is told so. Beside it the ungated one that must happen once: it is a record that runs from the beginning.
 */
#include "broker/approvals-private.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/call.h"
#include "broker/log.h"
#include "broker/run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define ASK_MAGIC 0x61736b21u

struct ask {
    uint32_t magic;
    struct approvals *approvals;
    LIST_ENTRY(ask) link;
    struct catalog_entry *entry;
    char session_id[ULID_ID_MAX], same[SHA256_TAGGED_MAX], key[APPROVAL_KEY_MAX];
    char id[ULID_ID_MAX]; /* of the record, once there is one */
    bool confined;
    json_t *asked;
    int64_t wait_ms;
    struct api_reply *reply;
    struct review *review;
    struct sync_wait *sync;
};

static void ask_free(struct ask *ask)
{
    if (!ask)
        return;
    LIST_REMOVE(ask, link);
    review_cancel(ask->review);
    sync_cancel(ask->sync);
    catalog_entry_unref(ask->entry);
    json_decref(ask->asked);
    if (ask->reply) {
        api_reply_on_gone(ask->reply, NULL, NULL);
        api_reply_error(ask->reply, 503, "stopping", "the daemon stops; nothing was done", NULL);
    }
    ask->magic = 0;
    free(ask);
}
DEFINE_CLEANUP_PTR(struct ask, ask_free)

static struct api_reply *take_reply(struct ask *ask)
{
    if (ask->reply)
        api_reply_on_gone(ask->reply, NULL, NULL);
    return TAKE_PTR(ask->reply);
}

/* Takes what the failure holds. */
static void ask_fail(struct ask *ask, struct failure *failure)
{
    const struct run_refusal refusal = { .entry = ask->entry,
        .session_id = ask->session_id,
        .by_agent = !json_is_true(json_object_get(ask->asked, "owner")),
        .actor_id = json_get_str(ask->asked, "agent") };

    run_refuse(ask->approvals->broker, &refusal, failure, take_reply(ask));
    ask_free(ask);
}

static void ask_fail_receipt(struct ask *ask, const struct err *err)
{
    struct failure failure = FAILURE_INIT;

    failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "%s; without a receipt nothing is done", err->message);
    failure.boundary = "runtime";
    ask_fail(ask, &failure);
}

/* ---- the record ---- */

/* Its key was used for another call: RFC-less, but what draft-ietf-httpapi-idempotency-key-header §2.7 says. */
static void refuse_key(struct api_reply *reply)
{
    api_reply_error(reply, 422, "idempotency_key_reused", "this Idempotency-Key belongs to another call; nothing was done",
        "use a new key for a new call");
}

/* Whoever can be told that it waits is told. */
static void wait_for_end(struct approvals *approvals, struct approval *approval, int64_t wait_ms, struct api_reply *reply)
{
    bool waits = wait_ms && approval->state == APPROVAL_PENDING;

    approvals_wait(approvals, approval, wait_ms, true, reply);
    if (waits)
        approvals_tell_pending(approvals, approval);
}

static void join(struct ask *ask, struct approval *approval)
{
    wait_for_end(ask->approvals, approval, ask->wait_ms, take_reply(ask));
    ask_free(ask);
}

static void fail_full(struct ask *ask, int answer)
{
    struct failure failure = FAILURE_INIT;

    failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED,
        answer == QUEUE_SESSION_FULL ? "too many calls of this session wait for approval already; nothing was done"
                                     : "too many calls wait for approval already; nothing was done");
    failure.boundary = "runtime";
    failure_detail(&failure, "reason", json_string("approvals_full"));
    ask_fail(ask, &failure);
}

/* On disk: a person may be asked, and the caller told. */
static void on_durable(int result, void *userdata)
{
    struct ask *ask = MAGIC_CAST(struct ask, userdata, ASK_MAGIC);
    struct approvals *approvals = ask->approvals;
    struct approval *approval = queue_find(approvals->queue, ask->id);
    struct err err = ERR_INIT;

    ask->sync = NULL;
    if (result < 0 || !approval) {
        if (approval)
            approvals_cancel(approvals, approval, "it could not be brought to disk");
        err_errno(&err, result < 0 ? -result : ENOENT, "the request could not be brought to disk");
        ask_fail_receipt(ask, &err);
        return;
    }
    /* Its client went while the request went to disk. */
    if (!ask->reply)
        approval->client_gone = true;
    approvals_tell_people(approvals, approval);
    if (ask->reply)
        wait_for_end(approvals, approval, ask->wait_ms, take_reply(ask));
    ask_free(ask);
}

/* Receipt, journal, disk. */
static int record(struct ask *ask, struct approval *approval, const char *preview_hash, struct err *err)
{
    struct approvals *approvals = ask->approvals;
    struct receipts *receipts = approvals->broker->receipts;
    int r = approvals_receipt(approvals, approval, "approval.requested", preview_hash, NULL, err);

    if (r == 0)
        r = approvals_keep(approvals, approval, err);
    if (r == 0)
        r = receipts_with(receipts, journal_fd(approvals->journal));
    if (r == 0)
        r = receipts_durable(receipts, on_durable, ask, &ask->sync);
    if (r < 0 && !err->message[0])
        err_errno(err, -r, "the request could not be brought to disk");
    return r;
}

static void on_review(const struct review_end *end, void *userdata)
{
    struct ask *ask = MAGIC_CAST(struct ask, userdata, ASK_MAGIC);
    struct approvals *approvals = ask->approvals;
    struct failure failure = FAILURE_INIT;
    struct approval *approval = NULL;
    struct err err = ERR_INIT;

    ask->review = NULL;
    if (end->failure) {
        failure_copy(&failure, end->failure);
        ask_fail(ask, &failure);
        return;
    }
    const struct queue_request request = { .session_id = ask->session_id,
        .key = ask->key,
        .seal = end->seal,
        .same = ask->same,
        .asked = json_incref(ask->asked),
        .card = json_incref(end->card),
        .repeatable = action_is_idempotent(end->entry->action),
        .confined = ask->confined };
    int r = queue_request(approvals->queue, &request, clock_unix_ms(), &approval);
    if (r == QUEUE_SAME) {
        join(ask, approval);
    } else if (r == QUEUE_OTHER) {
        refuse_key(take_reply(ask));
        ask_free(ask);
    } else if (r > 0) {
        fail_full(ask, r);
    } else if (r < 0 || record(ask, approval, end->preview_hash[0] ? end->preview_hash : NULL, &err) < 0) {
        if (r == 0)
            approvals_drop(approvals, approval);
        ask_fail_receipt(ask, &err);
    } else {
        memcpy(ask->id, approval->id, sizeof ask->id);
        approvals_arm_expiry(approvals, approval->expires_unix_ms);
    }
}

/* Who asked goes before there is anything to decide. */
static void on_gone(void *userdata)
{
    struct ask *ask = MAGIC_CAST(struct ask, userdata, ASK_MAGIC);

    api_reply_send(take_reply(ask), 0, NULL);
    if (!ask->id[0])
        ask_free(ask);
}

/* ---- the two ways in ---- */

/* What is there already answers. True when the reply was taken. */
static bool is_there(struct approvals *approvals, const struct approvals_call *call, const char *session_id, const char *same,
    int64_t wait_ms, struct api_reply *reply)
{
    struct approval *approval = NULL;
    bool repeatable = action_is_idempotent(call->entry->action);

    switch (queue_same(approvals->queue, session_id, call->key, same, repeatable, &approval)) {
    case QUEUE_SAME:
        wait_for_end(approvals, approval, wait_ms, reply);
        return true;
    case QUEUE_OTHER:
        refuse_key(reply);
        return true;
    default:
        return false;
    }
}

/* The owner's "as" is part of what is asked for: another account is another call. */
static int same_make(const struct approvals_call *call, const char *session_id, char out[SHA256_TAGGED_MAX])
{
    CLEANUP_JSON json_t *what = json_pack("{s:O, s:s*}", "steps", call->steps, "as", call->as);

    return what ? approval_same_make(session_id, call->entry->action->name, what, out) : -ENOMEM;
}

static void fail_memory(struct api_reply *reply)
{
    api_reply_error(reply, 500, "out_of_memory", "out of memory; nothing was done", NULL);
}

static json_t *asked_make(const struct approvals_call *call)
{
    const struct session *session = call->session;

    return review_asked(call->entry->action->name, call->args, call->as, session ? session->agent : "owner",
        session ? session->folder : NULL, session == NULL);
}

void approvals_ask(struct approvals *approvals, const struct approvals_call *call, struct api_reply *reply)
{
    const char *session_id = call->session ? call->session->id : "";
    struct ask *ask = calloc(1, sizeof *ask);

    if (!ask || same_make(call, session_id, ask->same) < 0 || !(ask->asked = asked_make(call))) {
        free(ask);
        fail_memory(reply);
        return;
    }
    if (is_there(approvals, call, session_id, ask->same, call->wait_ms, reply)) {
        json_decref(ask->asked);
        free(ask);
        return;
    }
    ask->magic = ASK_MAGIC;
    ask->approvals = approvals;
    LIST_INSERT_HEAD(&approvals->asks, ask, link);
    ask->entry = call->entry;
    ask->entry->refs++;
    ask->confined = call->session && call->session->confinement != SESSION_OPEN;
    ask->wait_ms = call->wait_ms;
    ask->reply = reply;
    snprintf(ask->session_id, sizeof ask->session_id, "%s", session_id);
    snprintf(ask->key, sizeof ask->key, "%s", call->key ? call->key : "");
    api_reply_on_gone(reply, on_gone, ask);
    if (review_start(approvals->broker, session_id, ask->asked, on_review, ask, &ask->review) < 0) {
        fail_memory(take_reply(ask));
        ask_free(ask);
    }
}

void approvals_run(struct approvals *approvals, const struct approvals_call *call, struct api_reply *reply)
{
    const struct session *session = call->session;
    const char *session_id = session ? session->id : "";
    char same[SHA256_TAGGED_MAX];
    struct approval *approval = NULL;
    struct err err = ERR_INIT;

    if (same_make(call, session_id, same) < 0) {
        fail_memory(reply);
        return;
    }
    if (is_there(approvals, call, session_id, same, -1, reply))
        return;
    /* What a restart needs to say what was interrupted; the arguments it does not. */
    const struct queue_request request = { .session_id = session_id,
        .key = call->key,
        .seal = "",
        .same = same,
        .asked = json_pack("{s:s}", "action", call->entry->action->name),
        .repeatable = action_is_idempotent(call->entry->action),
        .unattended = true };
    int r = queue_request(approvals->queue, &request, clock_unix_ms(), &approval);
    if (r < 0) {
        fail_memory(reply);
        return;
    }
    /* Its line is on its way to disk before the receipt for which the call waits: that it may have run is not forgotten. */
    r = approvals_keep(approvals, approval, &err);
    if (r == 0)
        r = receipts_with(approvals->broker->receipts, journal_fd(approvals->journal));
    if (r < 0) {
        if (!err.message[0])
            err_errno(&err, -r, "the journal of approvals could not be brought to disk");
        approvals_drop(approvals, approval);
        broker_no_receipt(reply, &err);
        return;
    }
    const struct call_spec spec = { .purpose = CALL_RUN,
        .entry = call->entry,
        .session_id = session_id,
        .actor = session ? AUDIT_AGENT : AUDIT_HUMAN,
        .actor_id = session ? session->agent : "owner",
        .wanted_binding = call->as,
        .steps = call->steps,
        .approval_id = "" };
    approvals_wait(approvals, approval, -1, true, reply);
    approvals_begin(approvals, approval, &spec);
}

void approvals_ask_free_all(struct approvals *approvals)
{
    struct ask *ask;

    while ((ask = LIST_FIRST(&approvals->asks)))
        ask_free(ask);
}
