/*
 * What secrets.json says, in memory: salt, verification and entries sorted by path, each sealed as it is on disk. An entry
 * is shared by counting and never changed once it is in a tree: whoever wants another one puts it in its place in a copy of the
 * tree, writes that, and keeps it when the write went well. Pure, and nothing of it is secret.
 */
#ifndef KEEPER_VAULT_TREE_H
#define KEEPER_VAULT_TREE_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "crypt/kdf.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vault_entry {
    unsigned refs;
    char *path;
    const char *fault; /* why it cannot be used; NULL: nothing is wrong that shows without the key */
    json_t *raw;       /* with a fault: what the file has, written again as it was; what follows is empty then */
    uint8_t *sealed;
    size_t sealed_len;
    char *type, *environment;               /* never NULL */
    json_t *labels;                         /* an object of texts; NULL: none */
    json_t *more_keys, *more_metadata_keys; /* those that are not known; NULL: none */
};

struct vault_tree {
    uint8_t salt[KDF_SALT_BYTES];
    uint8_t *verification; /* sealed; NULL in a legacy vault */
    size_t verification_len;
    struct vault_entry **entries;
    size_t len, cap;
    json_t *more_keys;
};

/* A new entry with one reference. `sealed` is copied. NULL when out of memory. */
struct vault_entry *vault_entry_new(const char *path, const void *sealed, size_t sealed_len);
/* The same with texts and labels of its own, to be changed before it goes into a tree. NULL when out of memory. */
struct vault_entry *vault_entry_copy(const struct vault_entry *entry);
int vault_entry_seal_in(struct vault_entry *entry, const void *sealed, size_t sealed_len);
int vault_entry_set_metadata(struct vault_entry *entry, const char *type, const char *environment);
/* `text` NULL removes. 0 or -ENOMEM. */
int vault_entry_set_label(struct vault_entry *entry, const char *name, const char *text);
/* The label, or NULL. */
const char *vault_entry_label(const struct vault_entry *entry, const char *name);
struct vault_entry *vault_entry_ref(struct vault_entry *entry);
void vault_entry_unref(struct vault_entry *entry);
DEFINE_CLEANUP_PTR(struct vault_entry, vault_entry_unref)

struct vault_tree *vault_tree_new(const uint8_t salt[KDF_SALT_BYTES]);
/* The same entries, shared. NULL when out of memory. */
struct vault_tree *vault_tree_copy(const struct vault_tree *tree);
int vault_tree_set_verification(struct vault_tree *tree, const void *sealed, size_t len);
struct vault_entry *vault_tree_find(const struct vault_tree *tree, const char *path);
/* Puts a reference of its own in the place of the entry of that path. 0, -ENOMEM, -E2BIG. */
int vault_tree_set(struct vault_tree *tree, struct vault_entry *entry);
/* False when there was none. */
bool vault_tree_remove(struct vault_tree *tree, const char *path);
void vault_tree_free(struct vault_tree *tree);
DEFINE_CLEANUP_PTR(struct vault_tree, vault_tree_free)

#endif
