/*
 * An approved one's turn: the world is looked at again, and what was approved runs, once, if it is still what was shown. Every
 * difference asks again. With a locked vault it stays approved until the vault is open; with a stopping daemon until the next
 * start, which asks again.
 */
#include "broker/approvals-private.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/call.h"
#include "broker/card.h"
#include "broker/log.h"
#include "broker/run.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define TURN_MAGIC        0x7475726eu
#define RUN_MAGIC         0x72756e21u

#define UNLOCKED_AT_ONCE  64
#define UNLOCKED_AGAIN_MS 200

struct turn {
    uint32_t magic;
    struct approvals *approvals;
    LIST_ENTRY(turn) link;
    char id[ULID_ID_MAX];
    struct api_reply *reply; /* of the decision; NULL */
    struct review *review;
};

static struct api_reply *turn_free(struct turn *turn)
{
    struct api_reply *reply = TAKE_PTR(turn->reply);

    LIST_REMOVE(turn, link);
    review_cancel(turn->review);
    turn->magic = 0;
    free(turn);
    return reply;
}

static void answer_decision(struct approvals *approvals, const struct approval *approval, struct api_reply *reply)
{
    const struct view_facts facts = approvals_facts(approvals, approval);

    api_reply_send(reply, 200, view_approval(approval, &facts));
}

/* ---- the run ---- */

struct run {
    uint32_t magic;
    struct approvals *approvals;
    char id[ULID_ID_MAX];
};

static enum approval_state end_state(const struct call_end *end)
{
    const char *outcome = end->failure ? json_get_str(end->failure->details, "outcome") : NULL;

    /* "done": only its receipt could not be written. */
    if (!end->failure || (outcome && !strcmp(outcome, "done")))
        return APPROVAL_COMPLETED;
    return outcome && !strcmp(outcome, "unknown") ? APPROVAL_UNKNOWN : APPROVAL_FAILED;
}

static void on_end(const struct call_end *end, void *userdata)
{
    struct run *run = MAGIC_CAST(struct run, userdata, RUN_MAGIC);
    struct approvals *approvals = run->approvals;
    struct approval *approval = queue_find(approvals->queue, run->id);

    run->magic = 0;
    free(run);
    if (approvals->more_unlocked)
        loop_timer_set(approvals->unlocked, 0);
    if (!approval || approval_finish(approval, end_state(end), json_incref(end->body), clock_unix_ms()) != 0)
        return;
    if (approval->state == APPROVAL_UNKNOWN)
        log_warn("%s: the outcome of %s is unknown", approval->id, approval->action);
    approvals_ended(approvals, approval);
}

bool approvals_begin(struct approvals *approvals, struct approval *approval, const struct call_spec *spec)
{
    struct run *run = calloc(1, sizeof *run);
    struct failure failure = FAILURE_INIT;

    if (run) {
        run->magic = RUN_MAGIC;
        run->approvals = approvals;
        memcpy(run->id, approval->id, sizeof run->id);
        if (call_begin(approvals->broker, spec, on_end, run, NULL) == 0)
            return true;
        free(run);
    }
    failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "out of memory; nothing was done");
    failure.boundary = "runtime";
    approval_finish(approval, APPROVAL_FAILED, failure_to_json(&failure, NULL), clock_unix_ms());
    failure_clear(&failure);
    approvals_ended(approvals, approval);
    return false;
}

/* The journal says that it runs, and is on its way to disk before the receipt for which the call waits. */
static int run_write(struct approvals *approvals, struct approval *approval, struct err *err)
{
    int r = approvals_keep(approvals, approval, err);

    if (r == 0)
        r = receipts_with(approvals->broker->receipts, journal_fd(approvals->journal));
    if (r < 0 && !err->message[0])
        err_errno(err, -r, "the journal of approvals could not be brought to disk");
    return r;
}

/* It ends without having run. Takes what the failure holds. */
static void fail(struct approvals *approvals, struct approval *approval, struct catalog_entry *entry, struct failure *failure)
{
    CLEANUP_JSON json_t *asked = approval_asked(approval);
    const struct run_refusal refusal = { .entry = entry,
        .action = approval->action,
        .session_id = approval->session_id,
        .approval_id = approval->id,
        .by_agent = !json_is_true(json_object_get(asked, "owner")),
        .actor_id = json_get_str(asked, "agent") };
    int status;
    json_t *body = run_refusal_write(approvals->broker, &refusal, failure, &status);

    if (approval->state == APPROVAL_APPROVED)
        approval_start(approval, clock_unix_ms());
    approval_finish(approval, APPROVAL_FAILED, body, clock_unix_ms());
    approvals_ended(approvals, approval);
}

static void run_approved(struct approvals *approvals, struct approval *approval, const struct review_end *end)
{
    CLEANUP_JSON json_t *asked = approval_asked(approval);
    struct failure failure = FAILURE_INIT;
    struct err err = ERR_INIT;
    const struct call_spec spec = { .purpose = CALL_RUN,
        .entry = end->entry,
        .session_id = approval->session_id,
        .actor = json_is_true(json_object_get(asked, "owner")) ? AUDIT_HUMAN : AUDIT_AGENT,
        .actor_id = json_get_str(asked, "agent"),
        .wanted_binding = json_get_str(asked, "as"),
        .steps = end->steps,
        .bindings = end->bindings,
        .approval_id = approval->id };

    approval_start(approval, clock_unix_ms());
    queue_changed(approvals->queue, approval);
    if (run_write(approvals, approval, &err) < 0) {
        failure_set(&failure, FAILURE_RESOURCE_LIMIT_EXCEEDED, "%s; without that nothing is done", err.message);
        failure.boundary = "runtime";
        fail(approvals, approval, end->entry, &failure);
        return;
    }
    broker_event(approvals->broker, "approval", json_pack("{s:s, s:s}", "id", approval->id, "state", "running"));
    approvals_begin(approvals, approval, &spec);
}

/* ---- looking again ---- */

static void answer_changed(struct approvals *approvals, const struct approval *approval, struct api_reply *reply)
{
    const struct view_facts facts = approvals_facts(approvals, approval);

    api_reply_send(reply, 409,
        json_pack("{s:{s:s, s:s, s:s}, s:o}", "error", "code", "changed", "message",
            "what would run is not what was shown any more; nothing was done, and it asks again", "hint",
            "look at what is other, then decide again", "approval", view_approval(approval, &facts)));
}

static void ask_again(
    struct approvals *approvals, struct approval *approval, const struct review_end *end, struct api_reply *reply)
{
    CLEANUP_JSON json_t *before = approval_card(approval);
    int64_t now = clock_unix_ms();
    struct err err = ERR_INIT;
    int r = approval_ask_again(approval, end->seal, json_incref(end->card), card_difference(before, end->card),
        now + approvals->broker->settings.approval_expiry_s * 1000LL, now);

    if (r == 0 && approvals_receipt(
                      approvals, approval, "approval.requested", end->preview_hash[0] ? end->preview_hash : NULL, NULL, &err) < 0)
        log_error("%s asks again without a receipt: %s", approval->id, err.message);
    if (approvals_changed(approvals, approval) == -E2BIG) {
        approvals_cancel(approvals, approval, "what would run now is too large to be kept");
        answer_decision(approvals, approval, reply);
        return;
    }
    approvals_arm_expiry(approvals, approval->expires_unix_ms);
    approvals_tell_people(approvals, approval);
    approvals_tell_pending(approvals, approval);
    answer_changed(approvals, approval, reply);
}

static bool is_locked(const struct failure *failure)
{
    const char *reason = failure ? json_get_str(failure->details, "reason") : NULL;

    return reason && failure->class == FAILURE_BINDING_FAILED && !strcmp(reason, "vault_locked");
}

static void on_review(const struct review_end *end, void *userdata)
{
    struct turn *turn = MAGIC_CAST(struct turn, userdata, TURN_MAGIC);
    struct approvals *approvals = turn->approvals;
    struct approval *approval = queue_find(approvals->queue, turn->id);

    turn->review = NULL;
    struct api_reply *reply = turn_free(turn);
    if (!approval || approval->state != APPROVAL_APPROVED) {
        api_reply_error(reply, 409, "already_decided", "it is not waiting to be run any more", NULL);
        return;
    }
    if (approvals->broker->stopping || is_locked(end->failure)) {
        answer_decision(approvals, approval, reply);
    } else if (approvals->broker->calls_len >= LIMIT_WORKER_QUEUE) {
        /* A yes does not fail because too many were said at once: it waits for room. */
        approvals->more_unlocked = true;
        loop_timer_set(approvals->unlocked, UNLOCKED_AGAIN_MS);
        answer_decision(approvals, approval, reply);
    } else if (end->failure) {
        struct failure failure = FAILURE_INIT;

        failure_copy(&failure, end->failure);
        fail(approvals, approval, NULL, &failure);
        answer_decision(approvals, approval, reply);
    } else if (strcmp(end->seal, approval->seal) != 0) {
        ask_again(approvals, approval, end, reply);
    } else {
        char id[ULID_ID_MAX];

        memcpy(id, approval->id, sizeof id);
        run_approved(approvals, approval, end);
        approval = queue_find(approvals->queue, id);
        if (approval)
            answer_decision(approvals, approval, reply);
        else
            api_reply_error(reply, 410, "gone", "it has ended and was collected", NULL);
    }
}

void approvals_turn(struct approvals *approvals, struct approval *approval, struct api_reply *reply)
{
    CLEANUP_JSON json_t *asked = approval_asked(approval);
    struct turn *turn = asked ? calloc(1, sizeof *turn) : NULL;

    if (!turn) {
        api_reply_error(reply, 500, "out_of_memory", "out of memory; it stays approved and is tried again", NULL);
        return;
    }
    turn->magic = TURN_MAGIC;
    turn->approvals = approvals;
    turn->reply = reply;
    memcpy(turn->id, approval->id, sizeof turn->id);
    LIST_INSERT_HEAD(&approvals->turns, turn, link);
    if (review_start(approvals->broker, approval->session_id, asked, on_review, turn, &turn->review) < 0)
        api_reply_error(turn_free(turn), 500, "out_of_memory", "out of memory; it stays approved and is tried again", NULL);
}

bool approvals_has_turn(const struct approvals *approvals, const char *id)
{
    const struct turn *turn;

    LIST_FOREACH(turn, &approvals->turns, link)
    if (!strcmp(turn->id, id))
        return true;
    return false;
}

/* ---- what waited for the vault ---- */

struct waiting {
    const struct approvals *approvals;
    char ids[UNLOCKED_AT_ONCE][ULID_ID_MAX];
    size_t len, room;
};

static bool find_waiting(struct approval *approval, void *userdata)
{
    struct waiting *waiting = userdata;

    /* One whose decision is still on its way to disk goes on by itself. */
    if (approval->state != APPROVAL_APPROVED || approvals_has_turn(waiting->approvals, approval->id) ||
        approvals_has_decision(waiting->approvals, approval->id))
        return true;
    if (waiting->len == waiting->room)
        return false;
    memcpy(waiting->ids[waiting->len++], approval->id, sizeof approval->id);
    return true;
}

/* Who was approved first goes first, and no more at once than the workers can take: the rest when these have ended. */
void approvals_turn_waiting(void *userdata)
{
    struct approvals *approvals = MAGIC_CAST(struct approvals, userdata, APPROVALS_MAGIC);
    unsigned calls = approvals->broker->calls_len;
    struct waiting waiting = { .approvals = approvals, .room = calls < UNLOCKED_AT_ONCE ? UNLOCKED_AT_ONCE - calls : 0 };

    if (approvals->broker->stopping)
        return;
    queue_visit_oldest(approvals->queue, find_waiting, &waiting);
    bool more = waiting.len == waiting.room;
    for (size_t i = 0; i < waiting.len; i++) {
        struct approval *approval = queue_find(approvals->queue, waiting.ids[i]);

        if (approval && approval->state == APPROVAL_APPROVED)
            approvals_turn(approvals, approval, NULL);
        /* It waits still, so the vault is locked again: its next opening goes on with all of them. */
        approval = queue_find(approvals->queue, waiting.ids[i]);
        if (approval && approval->state == APPROVAL_APPROVED && !approvals_has_turn(approvals, approval->id))
            more = false;
    }
    approvals->more_unlocked = more;
    /* What is under way may be none of ours, and its end not be heard here. */
    if (more)
        loop_timer_set(approvals->unlocked, UNLOCKED_AGAIN_MS);
}

void approvals_unlocked(struct approvals *approvals)
{
    approvals_turn_waiting(approvals);
}

void approvals_turn_free_all(struct approvals *approvals)
{
    struct turn *turn;

    while ((turn = LIST_FIRST(&approvals->turns)))
        api_reply_error(turn_free(turn), 503, "stopping", "the daemon stops; it asks again after the next start", NULL);
}
