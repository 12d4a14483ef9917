/* See the header. */
#include "keeper/vault-tree.h"

#include <errno.h>
#include <string.h>

#include "keeper/vault.h"

#include "base/banned.h"

static uint8_t *bytes_copy(const void *data, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);

    if (copy && len)
        memcpy(copy, data, len);
    return copy;
}

struct vault_entry *vault_entry_new(const char *path, const void *sealed, size_t sealed_len)
{
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *entry = calloc(1, sizeof *entry);

    if (!entry)
        return NULL;
    entry->refs = 1;
    entry->path = strdup(path);
    entry->type = strdup("");
    entry->environment = strdup("");
    if (!entry->path || !entry->type || !entry->environment || vault_entry_seal_in(entry, sealed, sealed_len) < 0)
        return NULL;
    return TAKE_PTR(entry);
}

int vault_entry_seal_in(struct vault_entry *entry, const void *sealed, size_t sealed_len)
{
    uint8_t *copy = bytes_copy(sealed, sealed_len);

    if (!copy)
        return -ENOMEM;
    free(entry->sealed);
    entry->sealed = copy;
    entry->sealed_len = sealed_len;
    return 0;
}

int vault_entry_set_metadata(struct vault_entry *entry, const char *type, const char *environment)
{
    CLEANUP_FREE char *new_type = strdup(type);
    CLEANUP_FREE char *new_environment = strdup(environment);

    if (!new_type || !new_environment)
        return -ENOMEM;
    free(entry->type);
    free(entry->environment);
    entry->type = TAKE_PTR(new_type);
    entry->environment = TAKE_PTR(new_environment);
    return 0;
}

struct vault_entry *vault_entry_copy(const struct vault_entry *entry)
{
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *copy = vault_entry_new(entry->path, entry->sealed, entry->sealed_len);

    if (!copy || vault_entry_set_metadata(copy, entry->type, entry->environment) < 0)
        return NULL;
    copy->labels = entry->labels ? json_copy(entry->labels) : NULL;
    if (entry->labels && !copy->labels)
        return NULL;
    copy->more_keys = json_incref(entry->more_keys);
    copy->more_metadata_keys = json_incref(entry->more_metadata_keys);
    copy->fault = entry->fault;
    copy->raw = json_incref(entry->raw);
    return TAKE_PTR(copy);
}

int vault_entry_set_label(struct vault_entry *entry, const char *name, const char *text)
{
    if (!text) {
        json_object_del(entry->labels, name);
        return 0;
    }
    if (!entry->labels)
        entry->labels = json_object();
    return json_object_set_new(entry->labels, name, json_string(text)) < 0 ? -ENOMEM : 0;
}

const char *vault_entry_label(const struct vault_entry *entry, const char *name)
{
    return json_string_value(json_object_get(entry->labels, name));
}

struct vault_entry *vault_entry_ref(struct vault_entry *entry)
{
    entry->refs++;
    return entry;
}

void vault_entry_unref(struct vault_entry *entry)
{
    if (!entry || --entry->refs > 0)
        return;
    free(entry->path);
    json_decref(entry->raw);
    free(entry->sealed);
    free(entry->type);
    free(entry->environment);
    json_decref(entry->labels);
    json_decref(entry->more_keys);
    json_decref(entry->more_metadata_keys);
    free(entry);
}

struct vault_tree *vault_tree_new(const uint8_t salt[KDF_SALT_BYTES])
{
    struct vault_tree *tree = calloc(1, sizeof *tree);

    if (tree)
        memcpy(tree->salt, salt, sizeof tree->salt);
    return tree;
}

int vault_tree_set_verification(struct vault_tree *tree, const void *sealed, size_t len)
{
    uint8_t *copy = bytes_copy(sealed, len);

    if (!copy)
        return -ENOMEM;
    free(tree->verification);
    tree->verification = copy;
    tree->verification_len = len;
    return 0;
}

struct vault_tree *vault_tree_copy(const struct vault_tree *tree)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *copy = vault_tree_new(tree->salt);

    if (!copy || (tree->verification && vault_tree_set_verification(copy, tree->verification, tree->verification_len) < 0))
        return NULL;
    copy->entries = calloc(tree->len + 1, sizeof *copy->entries);
    if (!copy->entries)
        return NULL;
    copy->cap = tree->len + 1;
    for (; copy->len < tree->len; copy->len++)
        copy->entries[copy->len] = vault_entry_ref(tree->entries[copy->len]);
    copy->more_keys = json_incref(tree->more_keys);
    return TAKE_PTR(copy);
}

/* Where `path` is or would be. */
static size_t place_of(const struct vault_tree *tree, const char *path, bool *ret_there)
{
    size_t low = 0, high = tree->len;

    *ret_there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(tree->entries[middle]->path, path);

        if (order == 0) {
            *ret_there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct vault_entry *vault_tree_find(const struct vault_tree *tree, const char *path)
{
    bool there = false;
    size_t at = place_of(tree, path, &there);

    return there ? tree->entries[at] : NULL;
}

static int make_room(struct vault_tree *tree)
{
    size_t cap = tree->cap ? 2 * tree->cap : 16;
    struct vault_entry **entries = NULL;

    if (tree->len >= VAULT_ENTRIES_MAX)
        return -E2BIG;
    if (tree->len < tree->cap)
        return 0;
    entries = reallocarray(tree->entries, cap, sizeof *entries);
    if (!entries)
        return -ENOMEM;
    tree->entries = entries;
    tree->cap = cap;
    return 0;
}

int vault_tree_set(struct vault_tree *tree, struct vault_entry *entry)
{
    bool there = false;
    size_t at = place_of(tree, entry->path, &there);
    int r = there ? 0 : make_room(tree);

    if (r < 0)
        return r;
    vault_entry_ref(entry);
    if (there) {
        vault_entry_unref(tree->entries[at]);
    } else {
        memmove(tree->entries + at + 1, tree->entries + at, (tree->len - at) * sizeof *tree->entries);
        tree->len++;
    }
    tree->entries[at] = entry;
    return 0;
}

bool vault_tree_remove(struct vault_tree *tree, const char *path)
{
    bool there = false;
    size_t at = place_of(tree, path, &there);

    if (!there)
        return false;
    vault_entry_unref(tree->entries[at]);
    tree->len--;
    memmove(tree->entries + at, tree->entries + at + 1, (tree->len - at) * sizeof *tree->entries);
    return true;
}

void vault_tree_free(struct vault_tree *tree)
{
    if (!tree)
        return;
    for (size_t i = 0; i < tree->len; i++)
        vault_entry_unref(tree->entries[i]);
    free(tree->entries);
    free(tree->verification);
    json_decref(tree->more_keys);
    free(tree);
}
