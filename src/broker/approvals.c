/*
 * The records and what happens to them without anybody's word: they expire, lose what they were about, are forgotten, and come
 * back from the journal. Counts, timers and listeners follow every change through approvals_changed().
 */
#include "broker/approvals-private.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/log.h"
#include "broker/notify.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define LOOK_MS         200
#define TIDY_MS         (3600 * 1000)
#define FORGET_MS       (24 * 3600 * 1000LL)
#define UNTAKEN_MS      (30 * 24 * 3600 * 1000LL) /* an end that nobody took for so long nobody will take */
#define EXPIRY_SLACK_MS 50
#define GATHERED_MAX    128

static const char GONE_ACTION[] = "its action was removed or disabled", GONE_CONNECTOR[] = "its connector was removed",
                  GONE_BINDING[] = "its binding was removed";

/* ---- keeping ---- */

/* What was written stays written when no new file could be made. */
static void compact(struct approvals *approvals, bool now)
{
    struct err err = ERR_INIT;

    if (journal_compact(approvals->journal, approvals->queue, now, &err) == 0)
        return;
    log_warn("%s", err.message);
    snprintf(approvals->trouble, sizeof approvals->trouble, "%s", err.message);
}

int approvals_keep(struct approvals *approvals, struct approval *approval, struct err *err)
{
    struct err ours = ERR_INIT;
    int r = journal_write(approvals->journal, approval, &ours);

    snprintf(approvals->trouble, sizeof approvals->trouble, "%s", r < 0 ? ours.message : "");
    if (r == 0)
        compact(approvals, false);
    else if (err)
        *err = ours;
    return r;
}

void approvals_tell_pages(struct approvals *approvals, const struct approval *approval)
{
    if (!approval->unattended)
        broker_event(approvals->broker, "approval",
            json_pack("{s:s, s:s}", "id", approval->id, "state", approval_state_name(approval->state)));
}

int approvals_changed(struct approvals *approvals, struct approval *approval)
{
    queue_changed(approvals->queue, approval);
    int r = approvals_keep(approvals, approval, NULL);
    if (r < 0)
        log_error("%s: %s", approval->id, approvals->trouble);
    approvals_tell_pages(approvals, approval);
    return r;
}

void approvals_tell_people(struct approvals *approvals, const struct approval *approval)
{
    struct broker *broker = approvals->broker;
    char url[256];

    approvals_tell_pages(approvals, approval);
    snprintf(url, sizeof url, "%s/approvals/%s", discovery_facts(broker->discovery)->url, approval->id);
    notify_send(broker->notify, approval->id, approval->action, url);
}

bool approvals_needs_ticket(const struct approvals *approvals, const struct approval *approval)
{
    switch (approvals->broker->settings.approval_confirm) {
    case CONFIRM_NEVER:
        return false;
    case CONFIRM_ALWAYS:
        return true;
    default:
        return !approval->confined;
    }
}

struct view_facts approvals_facts(const struct approvals *approvals, const struct approval *approval)
{
    return (struct view_facts){ .base_url = discovery_facts(approvals->broker->discovery)->url,
        .needs_ticket = approvals_needs_ticket(approvals, approval) };
}

/* ---- receipts ---- */

static json_t *payload_make(const struct approval *approval, const char *preview_hash)
{
    CLEANUP_JSON json_t *card = approval_card(approval);
    const json_t *connector = json_object_get(card, "connector");
    json_t *payload = json_pack("{s:s, s:s*, s:s, s:s*, s:s*, s:s*, s:s*}", "aileron.approval.id", approval->id,
        "aileron.approval.kind", json_get_str(card, "kind"), "aileron.approval.seal", approval->seal,
        "aileron.approval.preview_hash", preview_hash, "aileron.action.name", json_get_str(card, "action"),
        "aileron.action.version", json_get_str(card, "version"), "aileron.connector.fqn", json_get_str(connector, "fqn"));

    if (payload && approval->state != APPROVAL_PENDING) {
        json_object_set_new(payload, "aileron.approval.wait_ms", json_integer(clock_unix_ms() - approval->requested_unix_ms));
        if (approval->reason[0])
            json_object_set_new(payload, "aileron.approval.reason", json_string(approval->reason));
    }
    return payload;
}

int approvals_receipt(struct approvals *approvals, const struct approval *approval, const char *type, const char *preview_hash,
    char ret_audit_id[ULID_ID_MAX], struct err *err)
{
    CLEANUP_JSON json_t *payload = payload_make(approval, preview_hash);
    CLEANUP_JSON json_t *asked = approval_asked(approval);
    bool requested = !strcmp(type, "approval.requested");
    bool decided = !strcmp(type, "approval.approved") || !strcmp(type, "approval.denied");
    bool by_agent = !json_is_true(json_object_get(asked, "owner"));
    const char *agent = json_get_str(asked, "agent");

    if (!payload)
        return err_set(err, ENOMEM, "out of memory");
    if (decided)
        json_object_set_new(payload, "aileron.approval.decision", json_string(type + strlen("approval.")));
    const struct receipt receipt = { .type = type,
        .session_id = approval->session_id[0] ? approval->session_id : NULL,
        .actor = requested && by_agent  ? AUDIT_AGENT
                 : requested || decided ? AUDIT_HUMAN
                                        : AUDIT_SERVICE,
        .actor_id = requested && agent     ? agent
                    : requested || decided ? "owner"
                                           : "daemon",
        .payload = payload };
    return receipts_append(approvals->broker->receipts, &receipt, ret_audit_id, err);
}

void approvals_note_receipt(struct approval *approval, const char *audit_id)
{
    if (approval->result || !audit_id[0])
        return;
    approval->result = json_pack("{s:s}", "audit_id", audit_id);
}

/* ---- ends ---- */

/* Once it is collected nothing depends on it any more: not even a key could bring it back. */
static bool is_kept_for_one(const struct approval *approval)
{
    return approval->unattended && !approval->key[0];
}

static void on_drops(void *userdata)
{
    struct approvals *approvals = MAGIC_CAST(struct approvals, userdata, APPROVALS_MAGIC);
    struct err err = ERR_INIT;

    approvals->drops = false;
    if (journal_flush(approvals->journal, &err) < 0)
        log_warn("%s", err.message);
    else
        compact(approvals, false);
}

/*
 * The record goes now, its line at the next turn: after the answer, which leaves in this one. Killed in between, a restart finds a
 * call with an unknown outcome, not one that was never made.
 */
void approvals_drop(struct approvals *approvals, struct approval *approval)
{
    journal_drop(approvals->journal, approval);
    queue_withdraw(approvals->queue, approval);
    if (!approvals->drops)
        approvals->drops = loop_defer(approvals->broker->loop, on_drops, approvals) == 0;
}

/* Ends of ungated calls are kept for who comes back, not for ever. */
static void bound_ends(struct approvals *approvals)
{
    struct approval *oldest = NULL;

    while ((oldest = queue_overflow(approvals->queue)))
        approvals_drop(approvals, oldest);
}

void approvals_collected(struct approvals *approvals, struct approval *approval)
{
    approval_collect(approval, clock_unix_ms());
    if (is_kept_for_one(approval))
        approvals_drop(approvals, approval);
    else
        approvals_changed(approvals, approval);
}

/*
 * Its end is written before anybody hears of it. One that is kept for its asker alone is gone when that one took it, and not worth
 * a line: until it is dropped the journal says that it runs.
 */
void approvals_ended(struct approvals *approvals, struct approval *approval)
{
    char id[ULID_ID_MAX];
    bool for_one = is_kept_for_one(approval);

    memcpy(id, approval->id, sizeof id);
    if (!for_one)
        approvals_changed(approvals, approval);
    bool taken = approvals_answer(approvals, approval);
    /* Whoever was answered may have come back at once, and taken it away. */
    approval = queue_find(approvals->queue, id);
    if (!approval)
        return;
    if (for_one && taken) {
        approvals_drop(approvals, approval);
        return;
    }
    if (taken)
        approval_collect(approval, clock_unix_ms());
    if (taken || for_one)
        approvals_changed(approvals, approval);
    bound_ends(approvals);
}

/* ---- ends that nobody decided ---- */

static void end_undecided(struct approvals *approvals, struct approval *approval, const char *type)
{
    char audit_id[ULID_ID_MAX] = "";
    struct err err = ERR_INIT;

    if (approvals_receipt(approvals, approval, type, NULL, audit_id, &err) < 0)
        log_error("%s of %s has no receipt: %s", type, approval->id, err.message);
    approvals_note_receipt(approval, audit_id);
    approvals_ended(approvals, approval);
}

void approvals_cancel(struct approvals *approvals, struct approval *approval, const char *reason)
{
    if (approval_cancel(approval, reason, clock_unix_ms()) == 0)
        end_undecided(approvals, approval, "approval.cancelled");
}

void approvals_arm_expiry(struct approvals *approvals, int64_t expires_unix_ms)
{
    int64_t now = clock_unix_ms(), delay;

    if (!expires_unix_ms || (approvals->expiry_unix_ms && approvals->expiry_unix_ms <= expires_unix_ms))
        return;
    approvals->expiry_unix_ms = expires_unix_ms;
    delay = expires_unix_ms - now;
    loop_timer_set(approvals->expiry, (delay > 0 ? delay : 0) + EXPIRY_SLACK_MS);
}

/* A record's end may change the queue, so those of a walk are gathered first: as many as one turn may end without being missed. */
struct gathered {
    struct approvals *approvals;
    struct approval *items[GATHERED_MAX];
    size_t len;
    int64_t now;
    json_t *known; /* "action\nbinding" → what is gone of them, or null */
};

/* True while there is room for another one. */
static bool gather(struct gathered *all, struct approval *approval)
{
    all->items[all->len++] = approval;
    return all->len < GATHERED_MAX;
}

static bool expire_one(struct approval *approval, void *userdata)
{
    struct gathered *all = userdata;

    return approval_expire(approval, all->now) != 0 || gather(all, approval);
}

static void on_expiry(void *userdata)
{
    struct approvals *approvals = MAGIC_CAST(struct approvals, userdata, APPROVALS_MAGIC);
    struct gathered all = { .approvals = approvals, .now = clock_unix_ms() };

    approvals->expiry_unix_ms = 0;
    queue_visit_oldest(approvals->queue, expire_one, &all);
    for (size_t i = 0; i < all.len; i++)
        end_undecided(approvals, all.items[i], "approval.expired");
    approvals_arm_expiry(approvals, queue_next_expiry(approvals->queue));
}

/* ---- what is gone ---- */

static bool binding_is_gone(const struct broker *broker, const char *name)
{
    const json_t *binding;
    size_t i;

    if (!*name || !keeper_is_there(broker->keeper))
        return false;
    json_array_foreach(keeper_bindings(broker->keeper), i, binding)
    {
        const char *known = json_get_str(binding, "binding"), *status = json_get_str(binding, "status");

        if (known && !strcmp(known, name))
            return status && !strcmp(status, "revoked");
    }
    return true;
}

static bool connector_is_gone(struct broker *broker, const struct action *action)
{
    for (size_t i = 0; i < action->steps_len; i++) {
        struct connector *connector = NULL;
        int r = connectors_get(broker->connectors, action->steps[i].require->hash, &connector, NULL);

        connector_unref(connector);
        if (r == -ENOENT)
            return true;
    }
    return false;
}

/* NULL: everything that it is about is there, in whatever shape. */
static const char *what_is_gone(struct broker *broker, const char *name, const char *binding)
{
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *entry = NULL;
    int r = catalog_get(broker->catalog, name, &entry, NULL);

    if (r == -ENOENT || !catalog_is_enabled(broker->catalog, name))
        return GONE_ACTION;
    if (entry && connector_is_gone(broker, entry->action))
        return GONE_CONNECTOR;
    /* The card names all of several; then the click will tell. */
    return binding_is_gone(broker, binding) ? GONE_BINDING : NULL;
}

/* Thousands may wait for the same action. */
static const char *look_once(struct gathered *all, const struct approval *approval)
{
    char key[APPROVAL_ACTION_MAX + APPROVAL_BINDING_MAX];

    snprintf(key, sizeof key, "%s\n%s", approval->action, approval->binding);
    const json_t *known = json_object_get(all->known, key);
    if (known)
        return json_string_value(known);
    const char *gone = what_is_gone(all->approvals->broker, approval->action, approval->binding);
    json_object_set_new(all->known, key, gone ? json_string(gone) : json_null());
    return gone;
}

static bool cancel_one(struct approval *approval, void *userdata)
{
    struct gathered *all = userdata;
    const char *gone = approval->state == APPROVAL_PENDING ? look_once(all, approval) : NULL;

    return !gone || approval_cancel(approval, gone, all->now) != 0 || gather(all, approval);
}

static void on_look(void *userdata)
{
    struct approvals *approvals = MAGIC_CAST(struct approvals, userdata, APPROVALS_MAGIC);
    struct gathered all = { .approvals = approvals, .now = clock_unix_ms() };

    if (approvals->broker->stopping || !queue_pending(approvals->queue))
        return;
    all.known = json_object();
    queue_visit_oldest(approvals->queue, cancel_one, &all);
    json_decref(all.known);
    for (size_t i = 0; i < all.len; i++)
        end_undecided(approvals, all.items[i], "approval.cancelled");
    if (all.len == GATHERED_MAX)
        loop_timer_set(approvals->look, 0);
}

void approvals_look(struct approvals *approvals)
{
    if (approvals && queue_pending(approvals->queue))
        loop_timer_set(approvals->look, LOOK_MS);
}

/* ---- what is forgotten ---- */

struct forgetting {
    struct queue *queue;
    int64_t now;
    bool forgot;
};

static bool forget_one(struct approval *approval, void *userdata)
{
    struct forgetting *forgetting = userdata;
    bool over = approval_is_over(approval), untaken = over && !approval->collected_unix_ms;

    if (untaken && forgetting->now - approval->finished_unix_ms > UNTAKEN_MS) {
        approval_collect(approval, forgetting->now);
        queue_changed(forgetting->queue, approval);
        forgetting->forgot = true;
    }
    forgetting->forgot |= approval_forget(approval, FORGET_MS, forgetting->now);
    return true;
}

static void on_tidy(void *userdata)
{
    struct approvals *approvals = MAGIC_CAST(struct approvals, userdata, APPROVALS_MAGIC);
    struct forgetting forgetting = { .queue = approvals->queue, .now = clock_unix_ms() };

    queue_visit(approvals->queue, forget_one, &forgetting);
    /* The lines that still say it go with the old file. */
    if (queue_trim(approvals->queue) || forgetting.forgot)
        compact(approvals, true);
    if (queue_len(approvals->queue))
        loop_timer_set(approvals->tidy, TIDY_MS);
}

/* ---- start ---- */

static struct queue_limits limits_of(const struct settings *settings)
{
    struct queue_limits limits = QUEUE_LIMITS_DEFAULT;

    limits.expiry_ms = settings->approval_expiry_s * 1000LL;
    limits.pending_session = settings->approval_max_pending;
    limits.ends = LIMIT_UNCOLLECTED;
    return limits;
}

void approvals_configure(struct approvals *approvals)
{
    const struct queue_limits limits = limits_of(&approvals->broker->settings);

    queue_set_limits(approvals->queue, &limits);
}

static const struct action_require *first_require(const struct catalog_entry *entry)
{
    return entry ? entry->action->steps[0].require : NULL;
}

/* A run that the daemon did not live to see the end of: its receipt, and what its asker will hear. */
static void write_unknown(struct approvals *approvals, struct approval *approval)
{
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *entry = NULL;
    struct failure failure = FAILURE_INIT;
    CLEANUP_JSON json_t *card = approval_card(approval);
    const char *action = approval->action[0] ? approval->action : NULL;
    const json_t *connector = json_object_get(card, "connector");
    char audit_id[ULID_ID_MAX] = "";

    failure_set(&failure, FAILURE_NETWORK_ERROR,
        "the daemon ended while this ran, so nobody saw its outcome: look there before you try again");
    failure.retriable = false;
    failure.boundary = "runtime";
    failure_detail(&failure, "outcome", json_string("unknown"));
    failure_detail(&failure, "approval_id", json_string(approval->id));
    if (action)
        catalog_get(approvals->broker->catalog, action, &entry, NULL);
    const struct action_require *require = first_require(entry);
    const char *hash = json_get_str(card, "action_hash"), *fqn = json_get_str(connector, "fqn");
    CLEANUP_JSON json_t *payload = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:s, s:b}",
        "aileron.approval.id", approval->id, "aileron.action.name", action ? action : "unknown", "aileron.action.version",
        entry ? entry->action->version : "unknown", "aileron.action.hash",
        hash    ? hash
        : entry ? entry->hash
                : "unknown",
        "aileron.connector.fqn",
        fqn       ? fqn
        : require ? require->name
                  : "unknown",
        "aileron.connector.version", require ? require->version : "unknown", "aileron.connector.hash",
        require ? require->hash : "unknown", "aileron.connector.op", entry ? entry->action->steps[0].op : "unknown",
        "aileron.execution.disposition", approval->unattended ? "unattended" : "approved", "aileron.execution.duration_ms", 0,
        "aileron.failure.class", failure_class_name(failure.class), "aileron.failure.boundary", failure.boundary,
        "aileron.failure.retriable", 0);
    const struct receipt receipt = { .type = "execution.failed",
        .session_id = approval->session_id[0] ? approval->session_id : NULL,
        .actor = AUDIT_SERVICE,
        .actor_id = "daemon",
        .payload = payload };
    receipts_append(approvals->broker->receipts, &receipt, audit_id, NULL);
    approval->result = failure_to_json(&failure, audit_id);
    failure_clear(&failure);
    approvals_changed(approvals, approval);
}

static bool recover_one(struct approval *approval, void *userdata)
{
    struct approvals *approvals = userdata;

    if (approval->state == APPROVAL_UNKNOWN && !approval->result && !approval->collected_unix_ms)
        write_unknown(approvals, approval);
    /* Whoever waited has gone with the daemon that it waited for. */
    if (!approval_is_over(approval))
        approval->client_gone = true;
    return true;
}

static int open_journal(struct approvals *approvals, struct err *err)
{
    CLEANUP_FREE char *path = home_file(approvals->broker->home, "approvals.jsonl");
    size_t recovered = 0;
    int r = path ? journal_open(path, approvals->queue, clock_unix_ms(), &approvals->journal, &recovered, err)
                 : err_set(err, ENOMEM, "out of memory");

    if (r < 0) {
        err_hint(err, "repair the line, or move the file away: then everything that waited is forgotten");
        return r;
    }
    if (recovered)
        log_info("%zu approvals were interrupted: what was approved asks again, what ran has an unknown outcome", recovered);
    queue_visit(approvals->queue, recover_one, approvals);
    return 0;
}

int approvals_new(struct broker *broker, struct approvals **ret_approvals, struct err *err)
{
    CLEANUP_PTR(approvals_free) struct approvals *approvals = calloc(1, sizeof *approvals);
    const struct queue_limits limits = limits_of(&broker->settings);

    if (!approvals)
        return err_set(err, ENOMEM, "out of memory");
    approvals->magic = APPROVALS_MAGIC;
    approvals->broker = broker;
    if (queue_new(&limits, &approvals->queue) < 0 || loop_timer_new(broker->loop, on_expiry, approvals, &approvals->expiry) < 0 ||
        loop_timer_new(broker->loop, on_look, approvals, &approvals->look) < 0 ||
        loop_timer_new(broker->loop, on_tidy, approvals, &approvals->tidy) < 0 ||
        loop_timer_new(broker->loop, approvals_turn_waiting, approvals, &approvals->unlocked) < 0)
        return err_set(err, ENOMEM, "out of memory");
    int r = open_journal(approvals, err);
    if (r < 0)
        return r;
    approvals_arm_expiry(approvals, queue_next_expiry(approvals->queue));
    loop_timer_set(approvals->tidy, 0);
    *ret_approvals = TAKE_PTR(approvals);
    return 0;
}

void approvals_free(struct approvals *approvals)
{
    if (!approvals)
        return;
    approvals_decision_free_all(approvals);
    approvals_turn_free_all(approvals);
    approvals_ask_free_all(approvals);
    approvals_wait_free_all(approvals);
    loop_timer_free(approvals->expiry);
    loop_timer_free(approvals->look);
    loop_timer_free(approvals->tidy);
    loop_timer_free(approvals->unlocked);
    journal_close(approvals->journal);
    queue_free(approvals->queue);
    approvals->magic = 0;
    free(approvals);
}

size_t approvals_pending(const struct approvals *approvals)
{
    return queue_pending(approvals->queue);
}

const char *approvals_trouble(const struct approvals *approvals)
{
    return approvals->trouble[0] ? approvals->trouble : NULL;
}
