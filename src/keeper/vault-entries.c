/* Plain entries of the vault: put, get, delete, list. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "keeper/vault-file.h"
#include "keeper/vault-private.h"

#include "base/banned.h"

#define TEXT_MAX   256  /* type, environment, a label's name */
#define LABEL_MAX  1024 /* a label */
#define LABELS_MAX 64

static int refused(struct err *err, const char *what, const char *why)
{
    err_set(err, EINVAL, "%s %s", what, why);
    return VAULT_REFUSED;
}

static int check_path(const char *path, struct err *err)
{
    const char *refusal = vault_path_refusal(path);

    if (refusal)
        return refused(err, "the path", refusal);
    return path[0] == '_' ? refused(err, "the path", "begins with _: those belong to Aileron itself") : 0;
}

/* The kinds whose values go into requests: they come with consent only. */
static int check_not_binding(const char *path, const char *verb, struct err *err)
{
    if (!vault_path_is_binding(path) || !strncmp(path, "basic/", strlen("basic/")))
        return 0;
    err_set(err, EINVAL, "%s is the name of a binding", path);
    err_hint(err, "aileron binding %s", verb);
    return VAULT_REFUSED;
}

static bool is_shown_text(const char *text, size_t max)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++)
        if ((uint8_t) text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return len <= max && utf8_is_valid(text, len);
}

static int check_labels(const json_t *labels, struct err *err)
{
    const char *name = NULL;
    json_t *value = NULL;

    if (!labels)
        return 0;
    if (!json_is_object(labels) || json_object_size(labels) > LABELS_MAX)
        return refused(err, "labels", "must be an object of at most 64 texts");
    json_object_foreach((json_t *) labels, name, value)
    {
        if (!is_shown_text(name, TEXT_MAX) || !json_is_string(value) || !is_shown_text(json_string_value(value), LABEL_MAX))
            return refused(err, "labels", "must be texts of at most 1024 bytes without control characters");
    }
    return 0;
}

static int check_metadata(const struct vault_labels *labels, struct err *err)
{
    if (!labels)
        return 0;
    if ((labels->type && !is_shown_text(labels->type, TEXT_MAX)) ||
        (labels->environment && !is_shown_text(labels->environment, TEXT_MAX)))
        return refused(err, "type and environment", "must be texts of at most 256 bytes without control characters");
    return check_labels(labels->labels, err);
}

static int check_value(const struct secret *value, struct err *err)
{
    if (secret_len(value) == 0)
        return refused(err, "the value", "is empty");
    if (vault_value_is_ours(value))
        return refused(err, "the value", "is one that Aileron itself keeps in the vault");
    return secret_len(value) > VAULT_VALUE_MAX ? refused(err, "the value", "is longer than 32 KiB") : 0;
}

/* What an entry of this path keeps of the one it replaces: keys that this program does not know. */
static struct vault_entry *entry_over(const struct vault_tree *tree, const char *path)
{
    const struct vault_entry *before = vault_tree_find(tree, path);

    return before && !before->fault ? vault_entry_copy(before) : vault_entry_new(path, "", 0);
}

static int set_metadata(struct vault_entry *entry, const struct vault_labels *labels)
{
    json_decref(entry->labels);
    entry->labels = NULL;
    if (labels && json_object_size(labels->labels) > 0) {
        entry->labels = json_deep_copy(labels->labels);
        if (!entry->labels)
            return -ENOMEM;
    }
    return vault_entry_set_metadata(
        entry, labels && labels->type ? labels->type : "", labels && labels->environment ? labels->environment : "");
}

static int set_in(struct vault_tree *tree, struct vault_entry *entry, struct err *err)
{
    int r = vault_tree_set(tree, entry);

    if (r == -E2BIG) {
        err_set(err, E2BIG, "the vault is full: it has %d entries", VAULT_ENTRIES_MAX);
        return VAULT_REFUSED;
    }
    return r < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

int vault_put_check(
    struct vault *vault, const char *path, const struct secret *value, const struct vault_labels *labels, struct err *err)
{
    int r = check_path(path, err);

    if (r == 0)
        r = check_not_binding(path, "setup", err);
    if (r == 0)
        r = check_metadata(labels, err);
    if (r == 0)
        r = check_value(value, err);
    return r != 0 ? r : vault_need_open(vault, err);
}

int vault_put(
    struct vault *vault, const char *path, const struct secret *value, const struct vault_labels *labels, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *entry = NULL;
    int r = vault_put_check(vault, path, value, labels, err);

    if (r == 0)
        r = vault_begin(vault, &next, err);
    if (r != 0)
        return r;
    entry = entry_over(next, path);
    if (!entry || set_metadata(entry, labels) < 0 || vault_entry_seal(vault->key, entry, value) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = set_in(next, entry, err);
    return r != 0 ? r : vault_commit(vault, &next, err);
}

static int no_entry(const char *path, struct err *err)
{
    err_set(err, ENOENT, "there is no secret %s", path);
    return VAULT_NO_ENTRY;
}

int vault_get(struct vault *vault, const char *path, struct secret **ret_value, struct err *err)
{
    const struct vault_entry *entry = NULL;
    int r = check_path(path, err);

    if (r == 0)
        r = vault_need_open(vault, err);
    if (r != 0)
        return r;
    entry = vault_tree_find(vault->tree, path);
    return entry ? vault_entry_open(vault, entry, ret_value, err) : no_entry(path, err);
}

int vault_delete_check(struct vault *vault, const char *path, struct err *err)
{
    int r = check_path(path, err);

    if (r == 0)
        r = check_not_binding(path, "revoke", err);
    if (r == 0)
        r = vault_need_open(vault, err);
    return r != 0 || vault_tree_find(vault->tree, path) ? r : no_entry(path, err);
}

int vault_delete(struct vault *vault, const char *path, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;
    int r = vault_delete_check(vault, path, err);

    if (r == 0)
        r = vault_begin(vault, &next, err);
    if (r != 0)
        return r;
    return vault_tree_remove(next, path) ? vault_commit(vault, &next, err) : no_entry(path, err);
}

/* ---- list ---- */

static const char *kind_of(const char *path)
{
    static const char agents[] = "agents/", user[] = "user/";

    if (!strncmp(path, agents, sizeof agents - 1))
        return "login";
    if (!strncmp(path, user, sizeof user - 1))
        return "token";
    return vault_path_is_binding(path) ? "binding" : "secret";
}

/* Labels are whatever stands in the file: what would upset a terminal or a limit is left out. */
static json_t *shown_labels(const struct vault_entry *entry)
{
    CLEANUP_JSON json_t *shown = json_object();
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach(entry->labels, name, value)
    {
        if (is_shown_text(name, TEXT_MAX) && is_shown_text(json_string_value(value), LABEL_MAX) &&
            json_object_set(shown, name, value) < 0)
            return NULL;
    }
    return TAKE_PTR(shown);
}

static const char *shown_text(const char *text)
{
    return is_shown_text(text, TEXT_MAX) ? text : "";
}

static json_t *list_row(const struct vault_entry *entry)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "path", entry->path, "kind", kind_of(entry->path), "type",
        shown_text(entry->type), "environment", shown_text(entry->environment), "labels", shown_labels(entry));
}

json_t *vault_list(struct vault *vault)
{
    CLEANUP_JSON json_t *rows = json_array();
    size_t room = VAULT_LISTED_MAX;
    int r = vault_refresh(vault, NULL);

    if (r < 0 || !rows)
        return NULL;
    for (size_t i = 0; vault->tree && i < vault->tree->len; i++) {
        const struct vault_entry *entry = vault->tree->entries[i];

        if (entry->path[0] == '_' || vault_path_refusal(entry->path))
            continue;
        r = vault_row_add(rows, list_row(entry), &room);
        if (r < 0)
            return NULL;
    }
    return TAKE_PTR(rows);
}
