/* Bindings: value and sealed grant together, the labels that describe them, and the loan that requests live on. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "crypt/aead.h"
#include "keeper/vault-grant.h"
#include "keeper/vault-private.h"

#include "base/banned.h"

#define DEFAULT     "default"
#define STATUS      "status"
#define GRANT_BYTES (64 * 1024)
#define TIME_MAX    24

static int out_of_memory(struct err *err)
{
    return err_set(err, ENOMEM, "out of memory");
}

static int no_binding(const char *binding, struct err *err)
{
    err_set(err, ENOENT, "there is no binding %s", binding);
    return VAULT_NO_BINDING;
}

/* ---- lending ---- */

static bool has_label(const struct vault_entry *entry, const char *name, const char *text)
{
    const char *label = vault_entry_label(entry, name);

    return label && !strcmp(label, text);
}

/* Labels cannot make a binding usable, but they can stop its use. */
static int check_status(const struct vault_entry *entry, struct err *err)
{
    const char *reason = vault_entry_label(entry, "stale_reason");

    if (has_label(entry, STATUS, "revoked")) {
        err_set(err, EACCES, "the binding %s was revoked", entry->path);
        err_hint(err, "aileron binding setup sets it up again");
        return VAULT_UNUSABLE;
    }
    if (!has_label(entry, STATUS, "stale"))
        return 0;
    if (reason && !strcmp(reason, "no_grant_record")) {
        err_set(err, EACCES, "the binding %s has no consent of this installation", entry->path);
        err_hint(err, "`aileron binding rebind %s` asks for consent once", entry->path);
    } else {
        err_set(err, EACCES, "the binding %s is stale%s", entry->path,
            reason && !strcmp(reason, "refresh_failed") ? ": the provider no longer accepts its refresh token"
            : reason && !strcmp(reason, "scope_drift")  ? ": the connector asks for more than was granted"
                                                        : "");
        err_hint(err, "aileron binding reauthorize %s", entry->path);
    }
    return VAULT_UNUSABLE;
}

/* The entry of a binding in an open vault. Locked is VAULT_UNUSABLE here: whoever asks wants to know why it cannot be used. */
static int find_binding(struct vault *vault, const char *binding, struct vault_entry **ret_entry, struct err *err)
{
    int r = vault_need_open(vault, err);

    if (r != 0)
        return r < 0 && r != -ESTALE ? r : VAULT_UNUSABLE;
    *ret_entry = vault_path_is_binding(binding) ? vault_tree_find(vault->tree, binding) : NULL;
    return *ret_entry ? 0 : no_binding(binding, err);
}

static void fill_loan(const struct vault_open *open, struct vault_loan *loan)
{
    *loan = (struct vault_loan){ .grant = open->grant, .value = open->key, .generation = open->generation };
    if (!open->token)
        return;
    loan->value = open->token->access;
    loan->refresh = open->token->refresh;
    loan->client_secret = open->token->client_secret;
    loan->expires_unix_s = open->token->expires_unix_s;
}

int vault_lend(struct vault *vault, const char *binding, const char *connector_fqn, struct vault_loan *ret_loan, struct err *err)
{
    struct vault_entry *entry = NULL;
    struct vault_open *open = NULL;
    int r = find_binding(vault, binding, &entry, err);

    if (r == 0)
        r = check_status(entry, err);
    if (r == 0)
        r = vault_open_get(vault, entry, &open, err);
    if (r != 0)
        return r;
    if (!grant_is_for(open->grant, connector_fqn)) {
        err_set(err, ENOENT, "there is no binding %s for this connector: it was granted to another one", binding);
        return VAULT_NO_BINDING;
    }
    fill_loan(open, ret_loan);
    return 0;
}

int vault_binding_get(struct vault *vault, const char *binding, struct grant **ret_grant, struct secret **ret_value,
    uint64_t *ret_generation, struct err *err)
{
    CLEANUP_PTR(vault_open_free) struct vault_open *open = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    struct vault_entry *entry = NULL;
    int r = find_binding(vault, binding, &entry, err);

    if (r == 0)
        r = vault_open_binding(vault, entry, &open, &value, err);
    if (r != 0)
        return r;
    *ret_grant = TAKE_PTR(open->grant);
    *ret_value = TAKE_PTR(value);
    *ret_generation = open->generation;
    return 0;
}

/* ---- changing ---- */

/* A copy of a binding's entry, to be changed in `next`. */
static int take_binding(
    struct vault *vault, const char *binding, struct vault_tree **ret_next, struct vault_entry **ret_copy, struct err *err)
{
    const struct vault_entry *entry = NULL;
    int r = vault_begin(vault, ret_next, err);

    if (r != 0)
        return r;
    entry = vault_path_is_binding(binding) ? vault_tree_find(*ret_next, binding) : NULL;
    if (!entry)
        return no_binding(binding, err);
    if (entry->fault)
        return err_set(err, EBADMSG, "the binding %s is damaged: %s", binding, entry->fault);
    *ret_copy = vault_entry_copy(entry);
    return *ret_copy ? 0 : out_of_memory(err);
}

static int set_in(struct vault_tree *tree, struct vault_entry *entry, struct err *err)
{
    int r = vault_tree_set(tree, entry);

    if (r == -E2BIG) {
        err_set(err, E2BIG, "the vault is full: it has %d entries", VAULT_ENTRIES_MAX);
        return VAULT_REFUSED;
    }
    return r < 0 ? out_of_memory(err) : 0;
}

static int put_grant(struct vault_tree *tree, const struct secret *key, const char *binding, const struct grant *grant,
    const struct secret *value, struct err *err)
{
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *entry = NULL;
    CLEANUP(buf_free) struct buf sealed = BUF_INIT(GRANT_BYTES);
    char path[sizeof VAULT_GRANTS + VAULT_PATH_MAX];
    int r = vault_grant_seal(key, binding, grant, value, &sealed);

    if (r == 0 && sealed.len > VAULT_VALUE_MAX)
        r = -E2BIG;
    if (r == -E2BIG) {
        err_set(err, E2BIG, "the grant is longer than an entry can be");
        return VAULT_REFUSED;
    }
    entry = r < 0 ? NULL : vault_entry_new(vault_grant_path(binding, path), sealed.data, sealed.len);
    return entry ? set_in(tree, entry, err) : out_of_memory(err);
}

static int check_value(const char *binding, const struct grant *grant, const struct secret *value, struct err *err)
{
    CLEANUP_PTR(token_free) struct token *token = NULL;
    const char *kind = grant_kind_name(grant->kind), *refusal = NULL;
    int r = 0;

    if (!grant_binding_name_is_valid(binding) || strncmp(binding, kind, strlen(kind)) != 0 || binding[strlen(kind)] != '/') {
        err_set(err, EINVAL, "%s is not the name of a binding of kind %s", binding, kind);
        return VAULT_REFUSED;
    }
    if (secret_len(value) == 0 || secret_len(value) > VAULT_VALUE_MAX) {
        err_set(err, EINVAL, "the value is empty or longer than 32 KiB");
        return VAULT_REFUSED;
    }
    if (vault_value_is_ours(value)) {
        err_set(err, EINVAL, "the value is one that Aileron itself keeps in the vault");
        return VAULT_REFUSED;
    }
    if (grant->kind == GRANT_OAUTH2) {
        r = token_parse(value, &token, err);
        return r == 0 || r == -ENOMEM ? r : VAULT_REFUSED;
    }
    refusal = grant_value_refusal(secret_bytes(value), secret_len(value));
    if (refusal) {
        err_set(err, EINVAL, "the value %s", refusal);
        return VAULT_REFUSED;
    }
    return 0;
}

/* Whether the connector has another binding, as labels tell. */
static bool has_sibling(const struct vault_tree *tree, const char *binding, const char *connector_fqn)
{
    for (size_t i = 0; i < tree->len; i++)
        if (vault_path_is_binding(tree->entries[i]->path) && strcmp(tree->entries[i]->path, binding) != 0 &&
            has_label(tree->entries[i], "connector_fqn", connector_fqn))
            return true;
    return false;
}

static int set_names(struct vault_entry *entry, const struct grant *grant)
{
    CLEANUP_FREE char *service = strdup(strchr(entry->path, '/') + 1);
    char *slash = service ? strchr(service, '/') : NULL;
    int r = slash ? 0 : -ENOMEM;

    if (r < 0)
        return r;
    *slash = '\0';
    if ((r = vault_entry_set_metadata(entry, grant_kind_name(grant->kind), entry->environment)) < 0 ||
        (r = vault_entry_set_label(entry, "service", service)) < 0 ||
        (r = vault_entry_set_label(entry, "identity", slash + 1)) < 0)
        return r;
    return vault_entry_set_label(entry, "connector_fqn", grant->connector_fqn);
}

/* null removes. Which binding is the default is not for labels to say. */
static int merge_labels(struct vault_entry *entry, const json_t *labels)
{
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *) labels, name, value)
    {
        if (!strcmp(name, DEFAULT) || (!json_is_string(value) && !json_is_null(value)))
            continue;
        if (vault_entry_set_label(entry, name, json_string_value(value)) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* What SPEC §1 has in the labels of every binding. */
static int set_labels(const struct vault_tree *tree, struct vault_entry *entry, const struct grant *grant, const json_t *labels)
{
    char now[TIME_MAX];
    int r = merge_labels(entry, labels);

    if (r == 0)
        r = set_names(entry, grant);
    snprintf(now, sizeof now, "%" PRId64, clock_unix_ms() / 1000);
    if (r == 0)
        r = vault_entry_set_label(entry, STATUS, "active");
    if (r == 0)
        r = vault_entry_set_label(entry, "stale_reason", NULL);
    if (r == 0 && !vault_entry_label(entry, "created_at"))
        r = vault_entry_set_label(entry, "created_at", now);
    if (r == 0 && !vault_tree_find(tree, entry->path) && !has_sibling(tree, entry->path, grant->connector_fqn))
        r = vault_entry_set_label(entry, DEFAULT, "true");
    return r;
}

int vault_binding_put_check(
    struct vault *vault, const char *binding, const struct grant *grant, const struct secret *value, struct err *err)
{
    int r = check_value(binding, grant, value, err);

    return r != 0 ? r : vault_need_open(vault, err);
}

int vault_binding_put(struct vault *vault, const char *binding, const struct grant *grant, const struct secret *value,
    const json_t *labels, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *entry = NULL;
    const struct vault_entry *before = NULL;
    int r = check_value(binding, grant, value, err);

    if (r == 0)
        r = vault_begin(vault, &next, err);
    if (r != 0)
        return r;
    before = vault_tree_find(next, binding);
    entry = before && !before->fault ? vault_entry_copy(before) : vault_entry_new(binding, "", 0);
    if (!entry || set_labels(next, entry, grant, labels) < 0 || vault_entry_seal(vault->key, entry, value) < 0)
        return out_of_memory(err);
    r = set_in(next, entry, err);
    if (r == 0)
        r = put_grant(next, vault->key, binding, grant, value, err);
    return r != 0 ? r : vault_commit(vault, &next, err);
}

int vault_binding_regrant(
    struct vault *vault, const char *binding, const struct grant *grant, const json_t *labels, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *entry = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    int r = take_binding(vault, binding, &next, &entry, err);

    if (r == 0)
        r = vault_entry_open(vault, entry, &value, err);
    if (r == 0)
        r = check_value(binding, grant, value, err);
    if (r != 0)
        return r;
    if (set_labels(next, entry, grant, labels) < 0)
        return out_of_memory(err);
    r = set_in(next, entry, err);
    if (r == 0)
        r = put_grant(next, vault->key, binding, grant, value, err);
    return r != 0 ? r : vault_commit(vault, &next, err);
}

int vault_binding_delete(struct vault *vault, const char *binding, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;
    char path[sizeof VAULT_GRANTS + VAULT_PATH_MAX];
    int r = vault_begin(vault, &next, err);

    if (r != 0)
        return r;
    if (!vault_path_is_binding(binding) || !vault_tree_remove(next, binding))
        return no_binding(binding, err);
    vault_tree_remove(next, vault_grant_path(binding, path));
    return vault_commit(vault, &next, err);
}

/* No other binding of the connector is its default. */
static int clear_default(struct vault_tree *tree, const struct vault_entry *but, struct err *err)
{
    const char *connector = vault_entry_label(but, "connector_fqn");

    for (size_t i = 0; i < tree->len; i++) {
        CLEANUP_PTR(vault_entry_unref) struct vault_entry *copy = NULL;
        const struct vault_entry *entry = tree->entries[i];

        if (!connector || !strcmp(entry->path, but->path) || !vault_path_is_binding(entry->path) ||
            !has_label(entry, "connector_fqn", connector) || !vault_entry_label(entry, DEFAULT))
            continue;
        copy = vault_entry_copy(entry);
        if (!copy || vault_entry_set_label(copy, DEFAULT, NULL) < 0 || vault_tree_set(tree, copy) < 0)
            return out_of_memory(err);
    }
    return 0;
}

int vault_binding_set_default(struct vault *vault, const char *binding, bool is_default, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *entry = NULL;
    int r = take_binding(vault, binding, &next, &entry, err);

    if (r != 0)
        return r;
    if (vault_entry_set_label(entry, DEFAULT, is_default ? "true" : NULL) < 0)
        return out_of_memory(err);
    r = is_default ? clear_default(next, entry, err) : 0;
    if (r == 0)
        r = set_in(next, entry, err);
    return r != 0 ? r : vault_commit(vault, &next, err);
}

int vault_binding_mark(struct vault *vault, const char *binding, const char *status, const char *stale_reason, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *entry = NULL;
    int r = take_binding(vault, binding, &next, &entry, err);

    if (r != 0)
        return r;
    if (vault_entry_set_label(entry, STATUS, status) < 0 || vault_entry_set_label(entry, "stale_reason", stale_reason) < 0)
        return out_of_memory(err);
    r = set_in(next, entry, err);
    return r != 0 ? r : vault_commit(vault, &next, err);
}
