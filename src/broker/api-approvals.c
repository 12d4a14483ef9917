/*
 * What one may ask of approvals: looking, deciding, resolving, collecting. A decision is written and on disk before anything
 * comes of it; the first one wins. Where a passphrase is needed, the keeper alone says whether its ticket is good.
 */
#include "broker/approvals-private.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define DECISION_MAGIC 0x64656369u
#define LIST_DEFAULT   100
#define LIST_MAX       1000
#define LIST_BYTES     ((size_t) 8 * 1024 * 1024) /* large cards make shorter pages */

struct decision {
    uint32_t magic;
    struct approvals *approvals;
    LIST_ENTRY(decision) link;
    char id[ULID_ID_MAX], seal[SHA256_TAGGED_MAX];
    char reason[APPROVAL_REASON_MAX + 4]; /* more than is kept: who cuts it sees where a character ends */
    bool approved;
    struct api_reply *reply;
    struct keeper_call *ticket; /* the keeper looks at it */
    struct sync_wait *sync;     /* it goes to disk */
};

static struct api_reply *decision_free(struct decision *decision)
{
    struct api_reply *reply = TAKE_PTR(decision->reply);

    LIST_REMOVE(decision, link);
    keeper_ask_cancel(decision->ticket);
    sync_cancel(decision->sync);
    decision->magic = 0;
    free(decision);
    return reply;
}

bool approvals_has_decision(const struct approvals *approvals, const char *id)
{
    const struct decision *decision;

    LIST_FOREACH(decision, &approvals->decisions, link)
    if (!strcmp(decision->id, id))
        return true;
    return false;
}

void approvals_decision_free_all(struct approvals *approvals)
{
    struct decision *decision;

    while ((decision = LIST_FIRST(&approvals->decisions)))
        api_reply_error(decision_free(decision), 503, "stopping", "the daemon stops", NULL);
}

/* ---- looking ---- */

static void answer_view(struct approvals *approvals, const struct approval *approval, struct api_reply *reply)
{
    const struct view_facts facts = approvals_facts(approvals, approval);

    api_reply_send(reply, 200, view_approval(approval, &facts));
}

static void answer_unknown(struct api_reply *reply)
{
    api_reply_error(reply, 404, "not_found", "there is no such approval, or more than one ends like this",
        "aileron approval list shows them");
}

/* By id or suffix; nobody is asked about the others, so nobody sees them here. */
static struct approval *find(struct approvals *approvals, const char *name)
{
    struct approval *approval = queue_find(approvals->queue, name);

    if (!approval)
        approval = queue_find_suffix(approvals->queue, name);
    return approval && !approval->unattended ? approval : NULL;
}

struct listing {
    const struct approvals *approvals;
    json_t *list;
    bool by_state;
    enum approval_state state;
    const char *before, *after;
    bool oldest_first;
    size_t left, bytes;
    bool more; /* not all that was asked for is here */
};

static bool list_one(struct approval *approval, void *userdata)
{
    struct listing *listing = userdata;

    if (approval->unattended || (listing->by_state && approval->state != listing->state) ||
        (listing->before && strcmp(approval->id, listing->before) >= 0) ||
        (listing->after && strcmp(approval->id, listing->after) <= 0))
        return true;
    size_t bytes = approval_memory(approval);
    if (listing->left == 0 || (listing->bytes && listing->bytes + bytes > LIST_BYTES)) {
        listing->more = true;
        return false;
    }
    const struct view_facts facts = approvals_facts(listing->approvals, approval);
    json_array_append_new(listing->list, view_approval(approval, &facts));
    listing->bytes += bytes;
    listing->left--;
    return true;
}

static bool listing_read(const json_t *query, struct listing *listing)
{
    const char *state = json_get_str(query, "status"), *limit = json_get_str(query, "limit"),
               *order = json_get_str(query, "order");
    long number = LIST_DEFAULT;
    char *end = NULL;

    listing->by_state = state != NULL;
    if (state && !approval_state_parse(state, &listing->state))
        return false;
    if (limit)
        number = strtol(limit, &end, 10);
    if (limit && (!*limit || *end || number < 1 || number > LIST_MAX))
        return false;
    listing->left = (size_t) number;
    listing->before = json_get_str(query, "before");
    listing->after = json_get_str(query, "after");
    listing->oldest_first = order && !strcmp(order, "oldest");
    return !order || listing->oldest_first || !strcmp(order, "newest");
}

void api_approvals_list(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct listing listing = { .approvals = broker->approvals };

    if (!listing_read(request->query, &listing)) {
        api_reply_error(reply, 400, "bad_request",
            "status is pending, approved, running, completed, failed, unknown, denied, expired or cancelled; limit is 1 to 1000; "
            "order is newest or oldest",
            NULL);
        return;
    }
    listing.list = json_array();
    if (listing.oldest_first)
        queue_visit_oldest(broker->approvals->queue, list_one, &listing);
    else
        queue_visit(broker->approvals->queue, list_one, &listing);
    api_reply_send(reply, 200,
        json_pack("{s:o, s:I, s:b}", "approvals", listing.list, "pending", (json_int_t) approvals_pending(broker->approvals),
            "more", listing.more));
}

void api_approval_get(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const struct approval *approval = find(broker->approvals, request->name);

    if (approval)
        answer_view(broker->approvals, approval, reply);
    else
        answer_unknown(reply);
}

void api_approval_result(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct approval *approval = find(broker->approvals, request->name);
    const char *asker = request->session ? request->session->id : "";
    bool own = approval && !strcmp(approval->session_id, asker);

    if (approval && (own || request->role == API_OWNER))
        approvals_wait(broker->approvals, approval, request->wait_ms, own, reply);
    else
        answer_unknown(reply);
}

/* ---- deciding ---- */

static void refuse_decided(struct approvals *approvals, const struct approval *approval, struct api_reply *reply)
{
    const struct view_facts facts = approvals_facts(approvals, approval);

    api_reply_send(reply, 409,
        json_pack("{s:{s:s, s:o}, s:o}", "error", "code", "already_decided", "message",
            json_sprintf("it is %s already; nothing was changed", approval_state_name(approval->state)), "approval",
            view_approval(approval, &facts)));
}

static void refuse_other_seal(struct approvals *approvals, const struct approval *approval, struct api_reply *reply)
{
    const struct view_facts facts = approvals_facts(approvals, approval);

    api_reply_send(reply, 409,
        json_pack("{s:{s:s, s:s, s:s}, s:o}", "error", "code", "changed", "message",
            "it has changed since you looked at it; nothing was decided", "hint", "look at it again, then decide", "approval",
            view_approval(approval, &facts)));
}

/* Nothing has come of it yet: it waits again. */
static void decision_undo(struct approvals *approvals, struct approval *approval)
{
    if (approval_undecide(approval) == 0)
        approvals_changed(approvals, approval);
}

static void on_durable(int result, void *userdata)
{
    struct decision *decision = MAGIC_CAST(struct decision, userdata, DECISION_MAGIC);
    struct approvals *approvals = decision->approvals;
    struct approval *approval = queue_find(approvals->queue, decision->id);
    bool approved = decision->approved;

    decision->sync = NULL;
    struct api_reply *reply = decision_free(decision);
    if (!approval) {
        answer_unknown(reply);
    } else if (approved && result < 0) {
        decision_undo(approvals, approval);
        api_reply_error(reply, 507, "no_receipt", "the decision could not be brought to disk, so nothing runs",
            "without a receipt nothing is done; aileron status says what is wrong");
    } else if (approved) {
        approvals_turn(approvals, approval, reply);
    } else {
        approvals_ended(approvals, approval);
        answer_view(approvals, approval, reply);
    }
}

static int decision_write(struct decision *decision, struct approval *approval, struct err *err)
{
    struct approvals *approvals = decision->approvals;
    struct receipts *receipts = approvals->broker->receipts;
    char audit_id[ULID_ID_MAX] = "";
    int r =
        approvals_receipt(approvals, approval, decision->approved ? "approval.approved" : "approval.denied", NULL, audit_id, err);

    if (r < 0)
        return r;
    if (!decision->approved)
        approvals_note_receipt(approval, audit_id);
    r = approvals_changed(approvals, approval);
    if (r < 0)
        return err_set(err, -r, "%s", approvals_trouble(approvals));
    heads_now(approvals->broker->heads);
    r = receipts_with(receipts, journal_fd(approvals->journal));
    return r < 0 ? r : receipts_durable(receipts, on_durable, decision, &decision->sync);
}

static void decide(struct decision *decision)
{
    struct approvals *approvals = decision->approvals;
    struct approval *approval = queue_find(approvals->queue, decision->id);
    struct err err = ERR_INIT;
    int r = approval ? approval_decide(approval, decision->approved, decision->seal[0] ? decision->seal : NULL, decision->reason,
                           clock_unix_ms())
                     : 0;

    if (!approval) {
        answer_unknown(decision_free(decision));
    } else if (r == APPROVAL_OTHER_SEAL) {
        refuse_other_seal(approvals, approval, decision_free(decision));
    } else if (r) {
        refuse_decided(approvals, approval, decision_free(decision));
    } else {
        r = decision_write(decision, approval, &err);
        if (r == 0)
            return;
        decision_undo(approvals, approval);
        if (!err.message[0])
            err_errno(&err, -r, "the decision could not be brought to disk");
        broker_no_receipt(decision_free(decision), &err);
    }
}

/* ---- the passphrase ---- */

static void refuse_ticket(const char *id, const char *message, struct api_reply *reply)
{
    char hint[128];

    snprintf(hint, sizeof hint, "aileron approval approve %s", id);
    api_reply_error(reply, 428, "ticket_needed", message, hint);
}

static void on_ticket(const struct keeper_reply *answer, void *userdata)
{
    struct decision *decision = MAGIC_CAST(struct decision, userdata, DECISION_MAGIC);
    char id[ULID_ID_MAX];

    decision->ticket = NULL;
    memcpy(id, decision->id, sizeof id);
    if (!answer->lost && answer->result == KEEPER_OK)
        decide(decision);
    else
        refuse_ticket(
            id, "the passphrase was not proved for this approval as it is now; nothing was decided", decision_free(decision));
}

/* A ticket is for one approval with one seal, so the seal is what the passphrase was given for. */
static void spend_ticket(struct decision *decision, const struct approval *approval, const char *ticket)
{
    struct broker *broker = decision->approvals->broker;
    char id[ULID_ID_MAX];

    memcpy(id, decision->id, sizeof id);
    memcpy(decision->seal, approval->seal, sizeof decision->seal);
    if (heads_other_vault(broker->heads))
        refuse_ticket(
            id, "the vault was exchanged, so its passphrase proves nothing; nothing was decided", decision_free(decision));
    else if (keeper_spend_ticket(broker->keeper, id, approval->seal, ticket, on_ticket, decision, &decision->ticket) < 0)
        refuse_ticket(id, "the keeper is not there to look at the passphrase; nothing was decided", decision_free(decision));
}

static struct decision *decision_new(
    struct approvals *approvals, const struct approval *approval, const struct api_request *request, struct api_reply *reply)
{
    struct decision *decision = calloc(1, sizeof *decision);
    const char *seal = json_get_str(request->body, "seal"), *reason = json_get_str(request->body, "reason");

    if (!decision)
        return NULL;
    decision->magic = DECISION_MAGIC;
    decision->approvals = approvals;
    decision->approved = json_is_true(json_object_get(request->body, "approved"));
    decision->reply = reply;
    memcpy(decision->id, approval->id, sizeof decision->id);
    snprintf(decision->seal, sizeof decision->seal, "%s", seal ? seal : "");
    snprintf(decision->reason, sizeof decision->reason, "%s", reason ? reason : "");
    LIST_INSERT_HEAD(&approvals->decisions, decision, link);
    return decision;
}

static bool body_is_good(const json_t *body)
{
    const json_t *reason = json_object_get(body, "reason"), *seal = json_object_get(body, "seal"),
                 *ticket = json_object_get(body, "ticket");

    return json_is_boolean(json_object_get(body, "approved")) && (!reason || json_is_string(reason)) &&
           (!seal || json_is_string(seal)) && (!ticket || json_is_string(ticket));
}

void api_approval_decide(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct approvals *approvals = broker->approvals;
    struct approval *approval = find(approvals, request->name);
    const char *ticket = json_get_str(request->body, "ticket"), *seal = json_get_str(request->body, "seal");
    bool approved = json_is_true(json_object_get(request->body, "approved"));

    if (!approval) {
        answer_unknown(reply);
    } else if (!body_is_good(request->body)) {
        api_reply_error(reply, 400, "bad_request",
            "the body must be {\"approved\":bool,\"reason\"?:TEXT,\"seal\"?:TEXT,\"ticket\"?:TEXT}", NULL);
    } else if (approval->state != APPROVAL_PENDING) {
        refuse_decided(approvals, approval, reply);
    } else if (seal && strcmp(seal, approval->seal) != 0) {
        refuse_other_seal(approvals, approval, reply);
    } else if (approved && !ticket && approvals_needs_ticket(approvals, approval)) {
        refuse_ticket(approval->id,
            "this call came from an agent that is neither fenced nor contained, or from the command line: to approve it needs "
            "the passphrase",
            reply);
    } else {
        struct decision *decision = decision_new(approvals, approval, request, reply);

        if (!decision)
            api_reply_error(reply, 500, "out_of_memory", "out of memory; nothing was decided", NULL);
        else if (approved && approvals_needs_ticket(approvals, approval))
            spend_ticket(decision, approval, ticket);
        else
            decide(decision);
    }
}

void api_approval_resolve(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct approvals *approvals = broker->approvals;
    struct approval *approval = find(approvals, request->name);

    if (!approval) {
        answer_unknown(reply);
    } else if (approval_resolve(approval, clock_unix_ms()) != 0) {
        api_reply_error(reply, 409, "not_unknown",
            approval->resolved_unix_ms ? "it is resolved already" : "its outcome is not unknown, so there is nothing to resolve",
            NULL);
    } else {
        approvals_changed(approvals, approval);
        answer_view(approvals, approval, reply);
    }
}
