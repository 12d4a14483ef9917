/* See the header. Nothing here decides; it compares and describes. */
#include "broker/plan-facts.h"

#include "base/json.h"
#include "broker/broker.h"
#include "broker/consent.h"
#include "broker/install.h"
#include "store/action-record.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

/* ---- comparisons ---- */

/* {"operations":[…],"hosts":[…],"scopes":[…]} of consent.h. */
static json_t *subject_new(void)
{
    return json_pack("{s:[], s:[], s:[]}", "operations", "hosts", "scopes");
}

static int operation_add(json_t *subject, const struct action *action, const char *op, bool read_only)
{
    return json_array_append_new(json_object_get(subject, "operations"),
        json_pack("{s:s, s:s, s:b, s:b}", "action", action->name, "op", op, "gated", action->gated, "read_only", read_only));
}

static int subject_add_action(json_t *subject, const struct action *action)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < action->steps_len; i++)
        r = operation_add(subject, action, action->steps[i].op, action->steps[i].read_only);
    return r;
}

static int texts_add(json_t *list, char *const *texts, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const json_t *item = NULL;
        size_t k = 0;
        bool known = false;

        json_array_foreach(list, k, item) known |= !strcmp(json_string_value(item), texts[i]);
        if (!known && json_array_append_new(list, json_string(texts[i])) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int subject_add_connector(json_t *subject, const struct manifest *manifest)
{
    int r = texts_add(json_object_get(subject, "hosts"), manifest->hosts, manifest->hosts_len);

    if (r == 0 && manifest->credential == CREDENTIAL_OAUTH2)
        r = texts_add(json_object_get(subject, "scopes"), manifest->oauth2.scopes, manifest->oauth2.scopes_len);
    return r;
}

static int subject_add_installed(json_t *subject, struct broker *broker, const struct action *action)
{
    int r = subject_add_action(subject, action);

    for (size_t i = 0; r == 0 && i < action->requires_len; i++) {
        CLEANUP_PTR(connector_unref) struct connector *connector = NULL;

        if (connectors_get(broker->connectors, action->requires_[i].hash, &connector, NULL) == 0)
            r = subject_add_connector(subject, connector->manifest);
    }
    return r;
}

static const struct manifest *manifest_of(const struct plan *plan, const char *hash)
{
    for (size_t i = 0; i < plan->connectors_len; i++)
        if (!strcmp(plan->connectors[i].hash, hash))
            return plan->connectors[i].manifest;
    return NULL;
}

static int subject_add_planned(json_t *subject, const struct plan *plan, const struct action *action)
{
    int r = subject_add_action(subject, action);

    for (size_t i = 0; r == 0 && i < action->requires_len; i++) {
        const struct manifest *manifest = manifest_of(plan, action->requires_[i].hash);

        if (manifest)
            r = subject_add_connector(subject, manifest);
    }
    return r;
}

/* What has the name of an action now. */
struct holder {
    struct catalog_entry *entry; /* NULL: what was signed, below, although it is refused today */
    struct action *signed_;
    const struct action *action; /* one of the two */
    char fqn[FQN_MAX];           /* "" for a local file */
};

static void holder_free(struct holder *holder)
{
    catalog_entry_unref(holder->entry);
    action_free(holder->signed_);
}

static bool holder_find(const struct plan *plan, const char *name, struct holder *holder)
{
    CLEANUP(action_record_free) struct action_record record = { .text = NULL };

    if (catalog_get(plan->broker->catalog, name, &holder->entry, NULL) == 0) {
        holder->action = holder->entry->action;
        snprintf(holder->fqn, sizeof holder->fqn, "%s", holder->entry->fqn);
        return true;
    }
    if (action_record_get(plan->broker->home->path, name, &record, NULL) < 0 ||
        action_parse(record.text, record.text_len, record.fqn, NULL, &holder->signed_, NULL) < 0)
        return false;
    holder->action = holder->signed_;
    snprintf(holder->fqn, sizeof holder->fqn, "%s", record.fqn);
    return true;
}

static int change_first(json_t *changes, const char *level, json_t *text)
{
    return json_array_insert_new(changes, 0, json_pack("{s:o, s:s}", "text", text, "level", level));
}

/* Who has the name, and that it goes back: both come before what the action does. */
static int changes_of_origin(json_t *changes, const struct plan_action *item, const struct holder *holder)
{
    struct semver before;
    int r = 0;

    if (semver_parse(holder->action->version, &before, NULL) == 0 && semver_compare(&item->version, &before) < 0)
        r = change_first(changes, "loud", json_sprintf("goes back from %s to %s", before.text, item->version.text));
    if (r == 0 && strcmp(holder->fqn, item->fqn) != 0)
        r = change_first(changes, "loud",
            json_sprintf("is %s from now on; what you have under this name is %s", item->fqn,
                holder->fqn[0] ? holder->fqn : "a file without a publisher"));
    return r;
}

/* What an installed action of this name did, and what the new one will do. */
static int changes_make(struct plan *plan, struct plan_action *action)
{
    CLEANUP(holder_free) struct holder holder = { .entry = NULL };
    CLEANUP_JSON json_t *before = subject_new();
    CLEANUP_JSON json_t *after = subject_new();

    if (action->already || !holder_find(plan, action->action->name, &holder))
        return 0;
    if (!before || !after || subject_add_installed(before, plan->broker, holder.action) < 0 ||
        subject_add_planned(after, plan, action->action) < 0)
        return -ENOMEM;
    snprintf(action->before, sizeof action->before, "%s", holder.action->version);
    action->changes = consent_changes(before, after);
    return action->changes ? changes_of_origin(action->changes, action, &holder) : -ENOMEM;
}

/* Which of two would have the name must not be left to their order. */
static int names_check(const struct plan *plan, struct err *err)
{
    for (size_t i = 0; i < plan->actions_len; i++)
        for (size_t k = 0; k < i; k++)
            if (!strcmp(plan->actions[i].action->name, plan->actions[k].action->name)) {
                err_set(err, EBADMSG, "two of the actions are called %s: %s and %s", plan->actions[i].action->name,
                    plan->actions[k].fqn, plan->actions[i].fqn);
                err_hint(err, "add one of them alone");
                return -EBADMSG;
            }
    return 0;
}

int plan_facts_make(struct plan *plan, struct err *err)
{
    const struct action *actions[PLAN_ACTIONS_MAX];
    const struct install_actions with = { plan->broker, actions, plan->actions_len };
    int r = names_check(plan, err);

    for (size_t i = 0; i < plan->actions_len; i++)
        actions[i] = plan->actions[i].action;
    for (size_t i = 0; r == 0 && i < plan->actions_len; i++) {
        r = install_check_name(&with, actions[i], err);
        if (r == 0)
            r = install_check_preview(&with, actions[i], plan->actions[i].warning, err);
        if (r == 0 && changes_make(plan, &plan->actions[i]) < 0)
            r = err_set(err, ENOMEM, "out of memory");
    }
    return r;
}

const char *plan_trust_fingerprint(const struct plan_trust *trust, char out[KEYRING_FINGERPRINT_MAX])
{
    return keyring_fingerprint(&trust->key, out);
}

/* ---- JSON ---- */

static const char *const kinds[] = { "connector", "action", "suite" };
static const char *const states[] = { "working", "ready", "failed", "installing", "done" };
static const char *const phases[] = { "resolving", "downloading", "unpacking", "checking" };
static const char *const results[] = { "waiting", "installing", "installed", "updated", "already", "failed", "skipped" };

/* The word of the API for an errno of acquire.h. */
static const char *error_code(int code)
{
    switch (code) {
    case ENOENT:
        return "not_found";
    case EAGAIN:
        return "rate_limited";
    case EIO:
    case ETIMEDOUT:
        return "network";
    case EKEYREJECTED:
        return "signature_failure";
    case EILSEQ:
        return "hash_mismatch";
    case EBADMSG:
    case EINVAL:
        return "invalid_release";
    case ENOTSUP:
        return "not_supported";
    case E2BIG:
        return "too_large";
    case ENOSPC:
        return "disk_full";
    default:
        return "failed";
    }
}

static json_t *error_json(const struct err *err)
{
    return json_pack(
        "{s:s, s:s, s:s*}", "code", error_code(err->code), "message", err->message, "hint", err->hint[0] ? err->hint : NULL);
}

static json_t *texts_json(char *const *texts, size_t len)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < len; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

static bool is_new_key(const struct plan *plan, const struct acquired *got)
{
    for (size_t i = 0; i < plan->trust_len; i++)
        if (!plan->trust[i].offered && !memcmp(plan->trust[i].key.raw, got->key.raw, sizeof got->key.raw))
            return true;
    return false;
}

static json_t *connector_json(const struct plan *plan, const struct plan_connector *connector)
{
    const struct manifest *manifest = connector->manifest;
    char fingerprint[KEYRING_FINGERPRINT_MAX] = "";
    bool new_key = !connector->already && is_new_key(plan, &connector->got);

    if (!manifest)
        return json_pack("{s:s, s:s}", "fqn", connector->fqn, "version", connector->version.text);
    if (!connector->already)
        keyring_fingerprint(&connector->got.key, fingerprint);
    return json_pack("{s:s, s:s, s:s, s:s, s:s*, s:b, s:o, s:o, s:s, s:s*, s:s*, s:i, s:b}", "fqn", connector->fqn, "version",
        connector->version.text, "hash", connector->hash, "signature", new_key ? "new_key" : "valid", "fingerprint",
        fingerprint[0] ? fingerprint : NULL, "already_installed", connector->already, "hosts",
        texts_json(manifest->hosts, manifest->hosts_len), "scopes",
        texts_json(manifest->oauth2.scopes, manifest->credential == CREDENTIAL_OAUTH2 ? manifest->oauth2.scopes_len : 0),
        "credential", credential_kind_name(manifest->credential), "publisher", manifest->publisher, "description",
        manifest->description, "memory_mib", (int) manifest->memory_mib, "wants_spawn", manifest->wants_spawn);
}

static json_t *operations_json(const struct action *action)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < action->steps_len; i++)
        json_array_append_new(list, json_string(action->steps[i].op));
    return list;
}

static json_t *action_json(const struct plan *plan, const struct plan_action *item)
{
    const struct action *action = item->action;
    bool new_key = !item->already && is_new_key(plan, &item->got);

    if (!action)
        return json_pack("{s:s, s:s}", "fqn", item->fqn, "version", item->version.text);
    const struct action_require *require = &action->requires_[0];
    return json_pack("{s:s, s:s, s:s, s:s*, s:s, s:b, s:s*, s:b, s:s, s:s, s:o, s:{s:s, s:s, s:s}, s:s*, s:O*}", "name",
        action->name, "fqn", item->fqn, "version", item->version.text, "hash", item->already ? NULL : item->got.hash, "signature",
        new_key ? "new_key" : "valid", "already_installed", item->already, "updates", item->before[0] ? item->before : NULL,
        "gated", action->gated, "kind", approval_kind_name(action->kind), "intent", action->intent, "operations",
        operations_json(action), "connector", "fqn", require->name, "version", require->version, "hash", require->hash, "warning",
        item->warning[0] ? item->warning : NULL, "changes", item->changes);
}

static json_t *result_json(const char *kind, const char *name, const char *version, const struct plan_result *result)
{
    bool failed = result->state == ITEM_FAILED || result->state == ITEM_SKIPPED;

    return json_pack("{s:s, s:s, s:s, s:s, s:o*}", "kind", kind, "name", name, "version", version, "state",
        results[result->state], "error", failed ? error_json(&result->err) : NULL);
}

static json_t *trust_json(const struct plan *plan)
{
    json_t *list = json_array();
    char fingerprint[KEYRING_FINGERPRINT_MAX];

    for (size_t i = 0; list && i < plan->trust_len; i++) {
        if (plan->trust[i].offered)
            continue;
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "authority", plan->trust[i].authority, "fingerprint",
                                        plan_trust_fingerprint(&plan->trust[i], fingerprint), "url", plan->trust[i].url));
    }
    return list;
}

/* Everything together: what all of it may do, and what changes. */
static json_t *subject_of(const struct plan *plan)
{
    CLEANUP_JSON json_t *subject = subject_new();
    int r = subject ? 0 : -ENOMEM;

    for (size_t i = 0; r == 0 && i < plan->actions_len; i++)
        r = subject_add_action(subject, plan->actions[i].action);
    for (size_t i = 0; r == 0 && i < plan->connectors_len; i++)
        r = subject_add_connector(subject, plan->connectors[i].manifest);
    return r < 0 ? NULL : TAKE_PTR(subject);
}

static int changes_collect(const struct plan *plan, json_t *list)
{
    for (size_t i = 0; i < plan->actions_len; i++) {
        const json_t *change = NULL;
        size_t k = 0;

        json_array_foreach(plan->actions[i].changes, k, change)
        {
            json_t *row = json_pack("{s:s, s:O, s:O}", "action", plan->actions[i].action->name, "text",
                json_object_get(change, "text"), "level", json_object_get(change, "level"));

            if (json_array_append_new(list, row) < 0)
                return -ENOMEM;
        }
    }
    return 0;
}

static int lists_add(const struct plan *plan, json_t *json)
{
    json_t *connectors = json_array(), *actions = json_array(), *outcome = json_array();

    for (size_t i = 0; i < plan->connectors_len; i++) {
        const struct plan_connector *item = &plan->connectors[i];

        json_array_append_new(connectors, connector_json(plan, item));
        json_array_append_new(outcome, result_json("connector", item->fqn, item->version.text, &item->result));
    }
    for (size_t i = 0; i < plan->actions_len; i++) {
        const struct plan_action *item = &plan->actions[i];

        json_array_append_new(actions, action_json(plan, item));
        json_array_append_new(
            outcome, result_json("action", item->action ? item->action->name : item->fqn, item->version.text, &item->result));
    }
    if (json_object_set_new(json, "connectors", connectors) < 0 || json_object_set_new(json, "actions", actions) < 0)
        return -ENOMEM;
    if (plan->state == PLAN_INSTALLING || plan->state == PLAN_DONE)
        return json_object_set_new(json, "results", outcome);
    json_decref(outcome);
    return 0;
}

static int facts_add(const struct plan *plan, json_t *json)
{
    CLEANUP_JSON json_t *subject = subject_of(plan);
    json_t *changes = json_array();

    if (!subject || !changes || changes_collect(plan, changes) < 0) {
        json_decref(changes);
        return -ENOMEM;
    }
    if (json_object_set_new(json, "changes", changes) < 0 ||
        json_object_set_new(json, "sentences", consent_sentences(subject)) < 0 ||
        json_object_set_new(json, "trust_needed", trust_json(plan)) < 0)
        return -ENOMEM;
    return lists_add(plan, json);
}

json_t *plan_json(const struct plan *plan)
{
    CLEANUP_JSON json_t *json = json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:I, s:I, s:i, s:i}}", "plan", plan->id, "kind",
        kinds[plan->kind], "state", states[plan->state], "progress", "what", plan->what, "phase", phases[plan->phase], "done",
        (json_int_t) plan->done, "total", (json_int_t) plan->total, "item", (int) (plan->next_action + plan->next_connector),
        "items", (int) (plan->actions_len + plan->connectors_len));
    int r = json ? 0 : -ENOMEM;

    if (r == 0 && plan->suite)
        r = json_object_set_new(json, "suite",
            json_pack("{s:s, s:s, s:s*}", "name", plan->suite->name, "description", plan->suite->description, "version",
                plan->path ? NULL : plan->version.text));
    if (r == 0 && plan->state == PLAN_FAILED)
        r = json_object_set_new(json, "error", error_json(&plan->err));
    if (r == 0 && plan->state != PLAN_FAILED && plan->state != PLAN_WORKING)
        r = facts_add(plan, json);
    return r < 0 ? NULL : TAKE_PTR(json);
}
