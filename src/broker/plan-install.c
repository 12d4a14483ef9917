/*
 * Installing a plan, item by item, each in the same order: checked once more against the keyring as it is now, receipt on
 * disk, then the effect. What fails spoils itself and what depends on it, nothing else; what was done stays done and is
 * said.
 */
#include "broker/plan.h"

#include "base/json.h"
#include "base/magic.h"
#include "broker/broker.h"
#include "broker/install.h"
#include "broker/log.h"
#include "broker/plan-facts.h"
#include "store/action-record.h"
#include "store/store.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define KEYS_MAX 64 /* for one name */

static void install_next(struct plan *plan);

/* ---- the keyring ---- */

static bool is_answered(const struct plan_trust *trust, const json_t *answers)
{
    char fingerprint[KEYRING_FINGERPRINT_MAX];
    const json_t *answer = NULL;
    size_t i = 0;

    plan_trust_fingerprint(trust, fingerprint);
    json_array_foreach(answers, i, answer)
    {
        const char *authority = json_get_str(answer, "authority"), *said = json_get_str(answer, "fingerprint");

        if (authority && said && !strcmp(authority, trust->authority) && !strcmp(said, fingerprint))
            return true;
    }
    return false;
}

static bool is_signed_by(const struct plan_result *result, const struct acquired *got, const struct plan_trust *trust)
{
    return result->state == ITEM_WAITING && keyring_covers(trust->authority, got->fqn) &&
           !memcmp(got->key.raw, trust->key.raw, sizeof got->key.raw);
}

/* Something that will be installed has its signature from this key. */
static bool is_needed(const struct plan *plan, const struct plan_trust *trust)
{
    bool needed = false;

    for (size_t i = 0; i < plan->connectors_len; i++)
        needed |= is_signed_by(&plan->connectors[i].result, &plan->connectors[i].got, trust);
    for (size_t i = 0; i < plan->actions_len; i++)
        needed |= is_signed_by(&plan->actions[i].result, &plan->actions[i].got, trust);
    return needed;
}

/*
 * What was asked before the publisher was known is no answer after: where a key is trusted now, another one needs the
 * person's own word.
 */
static int trust_is_first(const struct keyring *keyring, const struct plan_trust *trust, struct err *err)
{
    struct keyring_key keys[KEYS_MAX];
    size_t len = keyring_keys_for(keyring, trust->authority, keys, ARRAY_LEN(keys));

    for (size_t i = 0; i < len && i < ARRAY_LEN(keys); i++)
        if (!memcmp(keys[i].raw, trust->key.raw, sizeof trust->key.raw))
            return 0;
    if (trust->offered || len == 0)
        return 0;
    err_set(err, EKEYREJECTED, "%s was trusted meanwhile with another key than the one that signed this", trust->authority);
    err_hint(err, "if the publisher tells you of both: aileron keyring trust %s --key FILE", trust->authority);
    return -EKEYREJECTED;
}

static int trust_check(const struct plan *plan, const json_t *answers, struct err *err)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    char fingerprint[KEYRING_FINGERPRINT_MAX];
    int r = keyring_load(plan->broker->home->path, &keyring, err);

    for (size_t i = 0; r == 0 && i < plan->trust_len; i++) {
        const struct plan_trust *trust = &plan->trust[i];

        if (!is_needed(plan, trust))
            continue;
        r = trust_is_first(keyring, trust, err);
        if (r == 0 && !trust->offered && !is_answered(trust, answers)) {
            r = err_set(err, EPERM, "the publisher %s with the fingerprint %s is not trusted", trust->authority,
                plan_trust_fingerprint(trust, fingerprint));
            err_hint(err, "nothing was installed");
        }
    }
    return r;
}

static int trust_receipts(struct plan *plan, struct err *err)
{
    char fingerprint[KEYRING_FINGERPRINT_MAX];
    int r = 0;

    for (size_t i = 0; r == 0 && i < plan->trust_len; i++)
        r = !is_needed(plan, &plan->trust[i])
                ? 0
                : broker_receipt_owner(plan->broker, "keyring.trusted",
                      json_pack("{s:s, s:s}", "aileron.keyring.authority", plan->trust[i].authority,
                          "aileron.keyring.fingerprint", plan_trust_fingerprint(&plan->trust[i], fingerprint)),
                      NULL, err);
    return r;
}

/* Leaves the file alone when nothing is needed. */
static int trust_save(struct plan *plan, struct err *err)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    int r = keyring_load(plan->broker->home->path, &keyring, err);
    bool changed = false;

    for (size_t i = 0; r >= 0 && i < plan->trust_len; i++) {
        if (!is_needed(plan, &plan->trust[i]))
            continue;
        r = keyring_add(keyring, plan->trust[i].authority, &plan->trust[i].key, err);
        changed = true;
    }
    return r < 0 || !changed ? r : keyring_save(keyring, plan->broker->home->path, err);
}

/* Again, as things are now: a key may have been revoked since, or this version have come with other contents. */
static int release_check(const struct plan *plan, const struct acquired *got, struct err *err)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    const struct keyring_part parts[] = { { got->wasm.data, got->wasm.len }, { got->manifest.data, got->manifest.len },
        { got->action.data, got->action.len } };
    const uint8_t *signature = (const uint8_t *) got->signature.data;
    struct keyring_key keys[KEYS_MAX];
    size_t which = 0, len = 0;
    int r = keyring_load(plan->broker->home->path, &keyring, err);

    if (r < 0)
        return r;
    len = keyring_keys_for(keyring, got->fqn, keys, ARRAY_LEN(keys));
    len = len < ARRAY_LEN(keys) ? len : ARRAY_LEN(keys);
    if (keyring_verify(keys, len, parts, ARRAY_LEN(parts), signature, &which))
        return plan_contents_check(plan, got, err);
    return err_set(err, EKEYREJECTED, "no key that is trusted for %s made its signature", got->fqn);
}

/* ---- ends of items ---- */

static void item_end(struct plan *plan, struct plan_result *result, int r, enum plan_item_state good, const struct err *err)
{
    result->state = r < 0 ? ITEM_FAILED : good;
    if (r < 0)
        result->err = *err;
    install_next(plan);
}

static struct plan_connector *connector_now(struct plan *plan)
{
    return &plan->connectors[plan->next_connector];
}

static struct plan_action *action_now(struct plan *plan)
{
    return &plan->actions[plan->next_action];
}

/* ---- connectors ---- */

static void on_connector_durable(int result, void *userdata)
{
    struct plan *plan = MAGIC_CAST(struct plan, userdata, PLAN_MAGIC);
    struct plan_connector *item = connector_now(plan);
    struct err err = ERR_INIT;
    char hash[72];
    bool existed = false;

    plan->sync = NULL;
    if (result < 0)
        err_errno(&err, -result, "the receipt could not be brought to disk");
    else
        result = plan_contents_check(plan, &item->got, &err);
    if (result == 0)
        result = store_put(plan->broker->home->path, item->fqn, item->version.text, &item->got.wasm, &item->got.manifest,
            &item->got.signature, hash, &existed, &err);
    if (result == 0) {
        connectors_forget(plan->broker->connectors, item->hash);
        log_info("installed the connector %s@%s, %s", item->fqn, item->version.text, item->hash);
    }
    plan->next_connector++;
    item_end(plan, &item->result, result, existed ? ITEM_ALREADY : ITEM_INSTALLED, &err);
}

static int connector_receipt(struct plan *plan, const struct plan_connector *item, const char *decision, struct err *err)
{
    bool accepted = !strcmp(decision, "accepted");

    return broker_receipt_owner(plan->broker, accepted ? "connector.installed" : "consent.cancelled",
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "aileron.connector.fqn", item->fqn, "aileron.connector.version",
            item->version.text, "aileron.connector.hash", item->hash, "aileron.signature.status", "valid",
            "aileron.consent.decision", decision),
        NULL, err);
}

static void connector_commit(struct plan *plan)
{
    struct plan_connector *item = connector_now(plan);
    struct err err = ERR_INIT;
    int r = install_check_module(plan->connector, &err);

    if (r == 0)
        r = connector_receipt(plan, item, "accepted", &err);
    if (r == 0)
        r = receipts_durable(plan->broker->receipts, on_connector_durable, plan, &plan->sync);
    connector_unref(TAKE_PTR(plan->connector));
    if (r < 0) {
        plan->next_connector++;
        item_end(plan, &item->result, r, ITEM_INSTALLED, &err);
    }
}

static void on_compiled(int result, const struct err *err, void *userdata)
{
    struct plan *plan = MAGIC_CAST(struct plan, userdata, PLAN_MAGIC);
    struct plan_connector *item = connector_now(plan);

    plan->compile = NULL;
    if (result == 0) {
        connector_commit(plan);
        return;
    }
    connector_unref(TAKE_PTR(plan->connector));
    plan->next_connector++;
    item_end(plan, &item->result, result, ITEM_INSTALLED, err);
}

static void connector_install(struct plan *plan)
{
    struct plan_connector *item = connector_now(plan);
    struct err err = ERR_INIT;
    int r = 0;

    item->result.state = ITEM_INSTALLING;
    snprintf(plan->what, sizeof plan->what, "%.500s@%.128s", item->fqn, item->version.text);
    r = release_check(plan, &item->got, &err);
    if (r == 0)
        r = connector_from_bytes(&item->got.wasm, &item->got.manifest, &plan->connector, &err);
    if (r == 0)
        r = connector_compile(plan->broker->connectors, plan->connector, on_compiled, plan, &plan->compile, &err);
    if (r == 1) {
        connector_commit(plan);
    } else if (r < 0) {
        connector_unref(TAKE_PTR(plan->connector));
        plan->next_connector++;
        item_end(plan, &item->result, r, ITEM_INSTALLED, &err);
    }
}

/* ---- actions ---- */

static int action_write(struct plan *plan, struct plan_action *item, struct err *err)
{
    struct action_record record = { .text = item->got.action.data, .text_len = item->got.action.len };

    snprintf(record.fqn, sizeof record.fqn, "%s", item->fqn);
    snprintf(record.version, sizeof record.version, "%s", item->version.text);
    memcpy(record.signature, item->got.signature.data, SIGN_BYTES);
    return catalog_put_signed(plan->broker->catalog, item->action->name, &record, err);
}

static void on_action_durable(int result, void *userdata)
{
    struct plan *plan = MAGIC_CAST(struct plan, userdata, PLAN_MAGIC);
    struct plan_action *item = action_now(plan);
    struct err err = ERR_INIT;

    plan->sync = NULL;
    if (result < 0)
        err_errno(&err, -result, "the receipt could not be brought to disk");
    else
        result = plan_contents_check(plan, &item->got, &err);
    if (result == 0)
        result = action_write(plan, item, &err);
    if (result == 0)
        log_info("installed the action %s, %s@%s", item->action->name, item->fqn, item->version.text);
    plan->next_action++;
    item_end(plan, &item->result, result, item->before[0] ? ITEM_UPDATED : ITEM_INSTALLED, &err);
}

static int action_receipt(
    struct plan *plan, const struct plan_action *item, const char *type, const char *decision, struct err *err)
{
    return broker_receipt_owner(plan->broker, type,
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "aileron.action.name", item->action->name, "aileron.action.fqn", item->fqn,
            "aileron.action.version", item->version.text, "aileron.action.hash", item->got.hash, "aileron.signature.status",
            "valid", "aileron.consent.decision", decision),
        NULL, err);
}

/* Everything that the action pins is there, now. */
static int pins_check(struct plan *plan, const struct action *action, struct err *err)
{
    for (size_t i = 0; i < action->requires_len; i++) {
        CLEANUP_PTR(connector_unref) struct connector *connector = NULL;
        int r = connectors_get(plan->broker->connectors, action->requires_[i].hash, &connector, err);

        if (r == 0 && (strcmp(connector->manifest->name, action->requires_[i].name) != 0 ||
                          strcmp(connector->manifest->version, action->requires_[i].version) != 0))
            r = err_set(
                err, EBADMSG, "the hash that it pins is that of %s@%s", connector->manifest->name, connector->manifest->version);
        if (r < 0) {
            err_prefix(err, "%s needs %s@%s", action->name, action->requires_[i].name, action->requires_[i].version);
            return r;
        }
    }
    return 0;
}

static void action_install(struct plan *plan)
{
    struct plan_action *item = action_now(plan);
    struct err err = ERR_INIT;
    int r = 0;

    item->result.state = ITEM_INSTALLING;
    snprintf(plan->what, sizeof plan->what, "%.500s@%.128s", item->fqn, item->version.text);
    r = pins_check(plan, item->action, &err);
    if (r < 0) {
        item->result = (struct plan_result){ ITEM_SKIPPED, err };
        plan->next_action++;
        install_next(plan);
        return;
    }
    r = release_check(plan, &item->got, &err);
    if (r == 0)
        r = action_receipt(plan, item, item->before[0] ? "action.updated" : "action.installed", "accepted", &err);
    if (r == 0)
        r = receipts_durable(plan->broker->receipts, on_action_durable, plan, &plan->sync);
    if (r < 0) {
        plan->next_action++;
        item_end(plan, &item->result, r, ITEM_INSTALLED, &err);
    }
}

/* ---- the order ---- */

/* Passes over what needs nothing. */
static bool connector_is_left(struct plan *plan)
{
    while (plan->next_connector < plan->connectors_len && connector_now(plan)->result.state != ITEM_WAITING)
        plan->next_connector++;
    return plan->next_connector < plan->connectors_len;
}

static bool action_is_left(struct plan *plan)
{
    while (plan->next_action < plan->actions_len && action_now(plan)->result.state != ITEM_WAITING)
        plan->next_action++;
    return plan->next_action < plan->actions_len;
}

static void plan_end(struct plan *plan)
{
    plan->state = PLAN_DONE;
    plan_bytes_free(plan);
}

/* Recursion is bounded: at most one level an item, and there are few. */
static void install_next(struct plan *plan)
{
    if (connector_is_left(plan))
        connector_install(plan);
    else if (action_is_left(plan))
        action_install(plan);
    else
        plan_end(plan);
}

static void on_trust_durable(int result, void *userdata)
{
    struct plan *plan = MAGIC_CAST(struct plan, userdata, PLAN_MAGIC);
    struct err err = ERR_INIT;

    plan->sync = NULL;
    if (result < 0)
        err_errno(&err, -result, "the receipt could not be brought to disk");
    else if (plan->trust_len > 0)
        result = trust_save(plan, &err);
    if (result < 0)
        plan_fail(plan, &err);
    else
        install_next(plan);
}

static bool is_wanted(const json_t *only, const char *name)
{
    const json_t *item = NULL;
    size_t i = 0;

    json_array_foreach(only, i, item)
    {
        if (json_is_string(item) && !strcmp(json_string_value(item), name))
            return true;
    }
    return !json_is_array(only);
}

static bool is_pinned_by_wanted(const struct plan *plan, const char *hash)
{
    bool pinned = plan->kind == PLAN_CONNECTOR;

    for (size_t i = 0; i < plan->actions_len; i++)
        for (size_t k = 0; k < plan->actions[i].action->requires_len; k++)
            pinned |= plan->actions[i].result.state != ITEM_SKIPPED && !strcmp(plan->actions[i].action->requires_[k].hash, hash);
    return pinned;
}

static void items_choose(struct plan *plan, const json_t *only)
{
    for (size_t i = 0; i < plan->actions_len; i++) {
        struct plan_action *item = &plan->actions[i];

        item->result = (struct plan_result){ item->already ? ITEM_ALREADY : ITEM_WAITING, ERR_INIT };
        if (!is_wanted(only, item->action->name)) {
            item->result.state = ITEM_SKIPPED;
            err_set(&item->result.err, ECANCELED, "not wanted");
        }
    }
    for (size_t i = 0; i < plan->connectors_len; i++) {
        struct plan_connector *item = &plan->connectors[i];

        item->result = (struct plan_result){ item->already                           ? ITEM_ALREADY
                                             : is_pinned_by_wanted(plan, item->hash) ? ITEM_WAITING
                                                                                     : ITEM_SKIPPED,
            ERR_INIT };
        if (item->result.state == ITEM_SKIPPED)
            err_set(&item->result.err, ECANCELED, "no action that was wanted needs it");
    }
    plan->next_action = plan->next_connector = 0;
}

int plan_install(struct plan *plan, const json_t *trust, const json_t *only, struct err *err)
{
    int r;

    items_choose(plan, only);
    r = trust_check(plan, trust, err);
    if (r == 0)
        r = trust_receipts(plan, err);
    if (r == 0)
        r = receipts_durable(plan->broker->receipts, on_trust_durable, plan, &plan->sync);
    if (r < 0)
        return r;
    plan->state = PLAN_INSTALLING;
    return 0;
}

int plan_refuse(struct plan *plan, struct err *err)
{
    int r = 0;

    if (plan->state != PLAN_READY)
        return 0;
    for (size_t i = 0; r == 0 && i < plan->connectors_len; i++)
        if (!plan->connectors[i].already)
            r = connector_receipt(plan, &plan->connectors[i], "cancelled", err);
    for (size_t i = 0; r == 0 && i < plan->actions_len; i++)
        if (!plan->actions[i].already)
            r = action_receipt(plan, &plan->actions[i], "consent.cancelled", "cancelled", err);
    return r;
}
