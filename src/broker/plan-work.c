/*
 * Working out a plan: one reference after the other, actions first, then the connectors that they pin, each once. Every
 * step ends in plan_work(), which begins the next one.
 */
#include "broker/plan.h"

#include "base/file.h"
#include "base/json.h"
#include "base/magic.h"
#include "broker/broker.h"
#include "broker/consent.h"
#include "broker/plan-facts.h"
#include "store/action-record.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define SUITE_BYTES ((uint64_t) TOML_MAX_BYTES)

void plan_fail(struct plan *plan, const struct err *err)
{
    plan->state = PLAN_FAILED;
    plan->err = *err;
    plan_bytes_free(plan);
}

/* ---- trust ---- */

static bool key_is_in_trust(const struct plan *plan, const char *fqn, const struct keyring_key *key)
{
    for (size_t i = 0; i < plan->trust_len; i++)
        if (keyring_covers(plan->trust[i].authority, fqn) && !memcmp(plan->trust[i].key.raw, key->raw, sizeof key->raw))
            return true;
    return false;
}

static bool key_is_offered(const struct plan *plan, const struct keyring_key *key)
{
    for (size_t i = 0; i < plan->offered_len; i++)
        if (!memcmp(plan->offered[i].raw, key->raw, sizeof key->raw))
            return true;
    return false;
}

/* A signature by a key that is not in the keyring: the person will be asked for it, once, unless they brought it along. */
static int trust_note(struct plan *plan, const struct acquired *got, struct err *err)
{
    struct plan_trust *trust = &plan->trust[plan->trust_len];

    if (got->trusted || key_is_in_trust(plan, got->fqn, &got->key))
        return 0;
    if (plan->trust_len == PLAN_TRUST_MAX)
        return err_set(err, E2BIG, "more than %d publishers in one installation", PLAN_TRUST_MAX);
    snprintf(trust->authority, sizeof trust->authority, "%s", got->authority);
    snprintf(trust->url, sizeof trust->url, "%s", got->key_url);
    trust->key = got->key;
    trust->offered = key_is_offered(plan, &got->key);
    plan->trust_len++;
    return 0;
}

static int bytes_note(struct plan *plan, const struct acquired *got, struct err *err)
{
    plan->bytes += got->wasm.len + got->manifest.len + got->action.len;
    if (plans_bytes(plan->broker->plans) <= PLAN_BYTES_MAX)
        return 0;
    err_set(err, E2BIG, "the installations that wait for a decision take more than %llu MiB", PLAN_BYTES_MAX >> 20);
    err_hint(err, "decide about the others first");
    return -E2BIG;
}

/* ---- what is there already ---- */

/* The hash under which this version is installed, "" when it is not. */
static void installed_hash(const struct broker *broker, const char *fqn, const char *version, char out[SHA256_TAGGED_MAX])
{
    CLEANUP_JSON json_t *list = NULL;
    const json_t *item = NULL;
    size_t i = 0;

    out[0] = '\0';
    if (store_list(broker->home->path, &list, NULL) < 0)
        return;
    json_array_foreach(list, i, item)
    {
        const char *name = json_get_str(item, "fqn"), *other = json_get_str(item, "version"), *hash = json_get_str(item, "hash");

        if (name && other && hash && !strcmp(name, fqn) && !strcmp(other, version))
            snprintf(out, SHA256_TAGGED_MAX, "%s", hash);
    }
}

/* -EBADMSG when what an action calls by this name is, by the hash that it pins, something else. */
static int pin_check(const struct plan_connector *connector, struct err *err)
{
    const struct manifest *manifest = connector->manifest;

    if (!connector->already || (!strcmp(manifest->name, connector->fqn) && !strcmp(manifest->version, connector->version.text)))
        return 0;
    return err_set(err, EBADMSG, "%s@%s is pinned by the hash of %s@%s", connector->fqn, connector->version.text, manifest->name,
        manifest->version);
}

static bool connector_is_installed(const struct plan *plan, const char *hash, struct manifest **ret_manifest)
{
    CLEANUP_PTR(connector_unref) struct connector *connector = NULL;
    CLEANUP(buf_free) struct buf text = BUF_INIT(TOML_MAX_BYTES);

    if (!*hash || connectors_get(plan->broker->connectors, hash, &connector, NULL) < 0 ||
        file_read(AT_FDCWD, connector->manifest_path, &text, NULL) < 0)
        return false;
    return manifest_parse(buf_str(&text), text.len, "manifest.toml", ret_manifest, NULL) == 0;
}

/* The same name and version, its file as it was signed. */
static bool action_is_installed(const struct plan *plan, const char *name, const char *fqn, const char *version)
{
    CLEANUP(action_record_free) struct action_record record = { .text = NULL };
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *entry = NULL;

    return action_record_get(plan->broker->home->path, name, &record, NULL) == 0 && !strcmp(record.fqn, fqn) &&
           !strcmp(record.version, version) && catalog_get(plan->broker->catalog, name, &entry, NULL) == 0 &&
           !strcmp(entry->hash, record.hash);
}

/* ---- connectors ---- */

/* Adds what an action pins, unless it is there. A connector has one hash in one plan. */
static int connector_add(struct plan *plan, const struct action_require *require, struct err *err)
{
    struct plan_connector *connector = &plan->connectors[plan->connectors_len];

    for (size_t i = 0; i < plan->connectors_len; i++) {
        const struct plan_connector *other = &plan->connectors[i];

        if (!strcmp(other->fqn, require->name) && !strcmp(other->version.text, require->version))
            return !strcmp(other->hash, require->hash)
                       ? 0
                       : err_set(err, EBADMSG, "two actions pin %s@%s with different hashes", require->name, require->version);
    }
    if (plan->connectors_len == PLAN_CONNECTORS_MAX)
        return err_set(err, E2BIG, "more than %d connectors in one installation", PLAN_CONNECTORS_MAX);
    *connector = (struct plan_connector){ .already = false };
    snprintf(connector->fqn, sizeof connector->fqn, "%s", require->name);
    snprintf(connector->version.text, sizeof connector->version.text, "%s", require->version);
    snprintf(connector->hash, sizeof connector->hash, "%s", require->hash);
    connector->already = connector_is_installed(plan, connector->hash, &connector->manifest);
    plan->connectors_len++;
    return pin_check(connector, err);
}

/* A version is made once: one that was released again with other contents is never taken for it. */
static int hash_check(const struct acquired *got, const char *hash, const char *whose, struct err *err)
{
    if (!hash[0] || !strcmp(hash, got->hash))
        return 0;
    err_set(err, EILSEQ, "%s@%s has the hash %s, but %s %s: it was released again with other contents", got->fqn,
        got->version.text, got->hash, whose, hash);
    err_hint(err, "tell the publisher; nothing was installed");
    return -EILSEQ;
}

static bool connector_is_valid(const struct plan *plan, const char *hash)
{
    CLEANUP_PTR(connector_unref) struct connector *connector = NULL;

    return connectors_get(plan->broker->connectors, hash, &connector, NULL) == 0;
}

/* Also when its file was edited since, or it is fetched by force. */
static int action_contents_check(const struct plan *plan, const struct acquired *got, struct err *err)
{
    CLEANUP(action_record_free) struct action_record record = { .text = NULL };

    if (action_record_get(plan->broker->home->path, strrchr(got->fqn, '/') + 1, &record, NULL) < 0 ||
        strcmp(record.fqn, got->fqn) != 0 || strcmp(record.version, got->version.text) != 0)
        return 0;
    return hash_check(got, record.hash, "the one that is installed has", err);
}

int plan_contents_check(const struct plan *plan, const struct acquired *got, struct err *err)
{
    char installed[SHA256_TAGGED_MAX];

    if (got->kind == ACQUIRE_ACTION)
        return action_contents_check(plan, got, err);
    installed_hash(plan->broker, got->fqn, got->version.text, installed);
    return hash_check(got, installed, "the one that is installed has", err);
}

static int connector_take(struct plan *plan, struct acquired *got, struct err *err)
{
    struct plan_connector *connector = &plan->connectors[plan->next_connector];
    int r = hash_check(got, connector->hash, "what pins it wants", err);

    if (r == 0)
        r = plan_contents_check(plan, got, err);
    if (r < 0)
        return r;
    /* Its version was not known before (@latest), or it is fetched again by force and takes the place of what is there. */
    connector->already = !plan->force && connector_is_valid(plan, got->hash);
    manifest_free(TAKE_PTR(connector->manifest));
    r = manifest_parse(buf_str(&got->manifest), got->manifest.len, "manifest.toml", &connector->manifest, err);
    if (r < 0)
        return r;
    connector->version = got->version;
    snprintf(connector->hash, sizeof connector->hash, "%s", got->hash);
    connector->got = *got;
    *got = (struct acquired){ .kind = got->kind };
    plan->next_connector++;
    return 0;
}

/* ---- actions ---- */

static int action_connectors_add(struct plan *plan, const struct action *action, struct err *err)
{
    for (size_t i = 0; i < action->requires_len; i++) {
        const struct action_require *require = &action->requires_[i];
        struct fqn fqn;
        int r = fqn_parse(require->name, &fqn, err);

        if (r == 0 && fqn.scheme != FQN_GITHUB)
            r = err_set(err, EINVAL, "%s needs %s, which cannot be fetched", action->name, require->name);
        if (r == 0)
            r = connector_add(plan, require, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int action_take(struct plan *plan, struct acquired *got, struct err *err)
{
    struct plan_action *action = &plan->actions[plan->next_action];
    int r = plan_contents_check(plan, got, err);

    if (r == 0)
        r = action_parse(buf_str(&got->action), got->action.len, got->fqn, NULL, &action->action, err);
    if (r == 0)
        r = action_connectors_add(plan, action->action, err);
    if (r < 0)
        return r;
    action->already = !plan->force && action_is_installed(plan, strrchr(got->fqn, '/') + 1, got->fqn,
                                          got->version.text); /* @latest is that one */
    action->version = got->version;
    action->got = *got;
    *got = (struct acquired){ .kind = got->kind };
    plan->next_action++;
    return 0;
}

/* Nothing to fetch: the record has the text, the store the connectors. */
static int action_take_installed(struct plan *plan, struct err *err)
{
    struct plan_action *action = &plan->actions[plan->next_action];
    CLEANUP(action_record_free) struct action_record record = { .text = NULL };
    int r = action_record_get(plan->broker->home->path, strrchr(action->fqn, '/') + 1, &record, err);

    if (r == 0)
        r = action_parse(record.text, record.text_len, action->fqn, NULL, &action->action, err);
    if (r == 0)
        r = action_connectors_add(plan, action->action, err);
    action->already = true;
    plan->next_action++;
    return r;
}

/* ---- acquiring ---- */

static void on_progress(enum acquire_phase phase, uint64_t done, uint64_t total, void *userdata)
{
    struct plan *plan = MAGIC_CAST(struct plan, userdata, PLAN_MAGIC);

    plan->phase = phase;
    plan->done = done;
    plan->total = total;
}

static void on_acquired(int result, struct acquired *acquired, const struct err *err, void *userdata)
{
    struct plan *plan = MAGIC_CAST(struct plan, userdata, PLAN_MAGIC);
    struct err ours = ERR_INIT;

    plan->acquire = NULL;
    if (result < 0) {
        plan_fail(plan, err);
        return;
    }
    result = trust_note(plan, acquired, &ours);
    if (result == 0)
        result = bytes_note(plan, acquired, &ours);
    if (result == 0)
        result = acquired->kind == ACQUIRE_ACTION ? action_take(plan, acquired, &ours) : connector_take(plan, acquired, &ours);
    if (result < 0)
        plan_fail(plan, &ours);
    else
        plan_work(plan);
}

/* Keys that were offered, and those that this plan has met already: their key need not be fetched again. */
static size_t keys_offered(const struct plan *plan, const char *fqn, struct keyring_key *keys, size_t max)
{
    size_t len = 0;

    for (size_t i = 0; i < plan->offered_len && len < max; i++)
        keys[len++] = plan->offered[i];
    for (size_t i = 0; i < plan->trust_len && len < max; i++)
        if (key_is_in_trust(plan, fqn, &plan->trust[i].key))
            keys[len++] = plan->trust[i].key;
    return len;
}

static int acquire_one(
    struct plan *plan, enum acquire_kind kind, const struct release_ref *ref, const struct semver *version, struct err *err)
{
    struct keyring_key keys[PLAN_TRUST_MAX];
    const struct acquire_request request = { .kind = kind,
        .ref = ref,
        .version = version,
        .offered = keys,
        .offered_len = keys_offered(plan, ref->fqn.text, keys, PLAN_TRUST_MAX) };

    snprintf(plan->what, sizeof plan->what, "%.500s%s%.128s", ref->fqn.text, version ? "@" : "", version ? version->text : "");
    return acquire_start(&plan->broker->acquire, &request, on_acquired, on_progress, plan, &plan->acquire, err);
}

/* "github://o/r/x@1.0.0" again as a reference. */
static int ref_of(const char *fqn, const struct semver *version, struct release_ref *ret_ref, struct err *err)
{
    char text[FQN_MAX + SEMVER_MAX + 2];

    snprintf(text, sizeof text, "%s@%s", fqn, version->text);
    return release_parse(text, RELEASE_THING, ret_ref, err);
}

static int action_next(struct plan *plan, struct err *err)
{
    struct plan_action *action = &plan->actions[plan->next_action];
    bool known = action->version.text[0] != '\0';
    struct release_ref ref = plan->ref;
    int r = plan->kind == PLAN_ACTION ? 0 : ref_of(action->fqn, &action->version, &ref, err);

    if (r < 0)
        return r;
    if (known && !plan->force && action_is_installed(plan, strrchr(action->fqn, '/') + 1, action->fqn, action->version.text)) {
        r = action_take_installed(plan, err);
        return r < 0 ? r : 1;
    }
    return acquire_one(plan, ACQUIRE_ACTION, &ref, known ? &action->version : NULL, err);
}

static int connector_next(struct plan *plan, struct err *err)
{
    struct plan_connector *connector = &plan->connectors[plan->next_connector];
    bool known = connector->version.text[0] != '\0';
    struct release_ref ref = plan->ref;
    int r = plan->kind == PLAN_CONNECTOR ? 0 : ref_of(connector->fqn, &connector->version, &ref, err);

    if (r < 0)
        return r;
    if (known && plan->kind == PLAN_CONNECTOR && !plan->force) {
        installed_hash(plan->broker, connector->fqn, connector->version.text, connector->hash);
        connector->already = connector_is_installed(plan, connector->hash, &connector->manifest);
    }
    if (connector->already && !plan->force) {
        plan->next_connector++;
        return 1;
    }
    return acquire_one(plan, ACQUIRE_CONNECTOR, &ref, known ? &connector->version : NULL, err);
}

/* ---- the suite ---- */

static int suite_take(struct plan *plan, const char *text, size_t len, struct err *err)
{
    bool local = plan->path != NULL;
    int r = suite_parse(text, len, local ? plan->path : "suite.toml", local ? NULL : &plan->ref, local ? NULL : &plan->version,
        &plan->suite, err);

    if (r < 0)
        return r;
    plan->actions = calloc(plan->suite->actions_len, sizeof *plan->actions);
    if (!plan->actions)
        return err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; i < plan->suite->actions_len; i++) {
        struct fqn fqn;

        r = fqn_parse_versioned(plan->suite->actions[i], &fqn, &plan->actions[i].version, err);
        if (r < 0)
            return r;
        snprintf(plan->actions[i].fqn, sizeof plan->actions[i].fqn, "%s", fqn.text);
    }
    plan->actions_len = plan->suite->actions_len;
    return 0;
}

static void on_suite(int result, const void *data, size_t len, const struct err *err, void *userdata)
{
    struct plan *plan = MAGIC_CAST(struct plan, userdata, PLAN_MAGIC);
    struct err ours = ERR_INIT;

    plan->get = NULL;
    if (result < 0) {
        plan_fail(plan, err);
        return;
    }
    if (suite_take(plan, data, len, &ours) < 0)
        plan_fail(plan, &ours);
    else
        plan_work(plan);
}

static int suite_ask(struct plan *plan, struct err *err)
{
    char at[SEMVER_MAX + 1], url[RELEASE_URL_MAX], what[RELEASE_URL_MAX];
    const struct forge_request request = { .url = url, .what = what, .bytes_max = SUITE_BYTES };

    snprintf(at, sizeof at, "v%s", plan->version.text);
    if (release_raw_url(&plan->ref, plan->ref.at == RELEASE_COMMIT ? plan->ref.commit : at, plan->ref.subpath, url) < 0)
        return err_set(err, ENAMETOOLONG, "the reference is too long");
    snprintf(what, sizeof what, "the suite %.500s@%s", plan->ref.fqn.text, at);
    snprintf(plan->what, sizeof plan->what, "%.500s", plan->ref.fqn.text);
    plan->phase = ACQUIRE_DOWNLOADING;
    return forge_get(plan->broker->forge, &request, on_suite, NULL, plan, &plan->get, err);
}

static void on_suite_version(int result, const struct semver *version, const struct err *err, void *userdata)
{
    struct plan *plan = MAGIC_CAST(struct plan, userdata, PLAN_MAGIC);
    struct err ours = ERR_INIT;

    plan->search = NULL;
    if (result < 0) {
        plan_fail(plan, err);
        return;
    }
    plan->version = *version;
    if (suite_ask(plan, &ours) < 0)
        plan_fail(plan, &ours);
}

static int suite_next(struct plan *plan, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SUITE_BYTES);
    int r = 0;

    if (plan->path) {
        r = file_read(AT_FDCWD, plan->path, &text, err);
        if (r == 0)
            r = suite_take(plan, buf_str(&text), text.len, err);
        return r < 0 ? r : 1;
    }
    r = version_find(plan->broker->forge, &plan->ref, on_suite_version, plan, &plan->version, &plan->search, err);
    return r == 1 ? suite_ask(plan, err) : r;
}

/* ---- the order ---- */

/* 1: done at once, there may be more; 0: under way; negative: failed. */
static int step(struct plan *plan, bool *ret_ready, struct err *err)
{
    *ret_ready = false;
    if (plan->kind == PLAN_SUITE && !plan->suite)
        return suite_next(plan, err);
    if (plan->next_action < plan->actions_len)
        return action_next(plan, err);
    if (plan->next_connector < plan->connectors_len)
        return connector_next(plan, err);
    *ret_ready = true;
    return 1;
}

void plan_work(struct plan *plan)
{
    struct err err = ERR_INIT;
    bool ready = false;
    int r = 1;

    while (r == 1 && !ready)
        r = step(plan, &ready, &err);
    if (r == 1)
        r = plan_facts_make(plan, &err);
    if (r < 0)
        plan_fail(plan, &err);
    else if (ready)
        plan->state = PLAN_READY;
}
