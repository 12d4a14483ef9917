/*
 * Inside the vault: its state and the steps that all of its operations are made of. An operation that changes anything makes a
 * copy of the tree (vault_begin), changes that, and writes it (vault_commit), which takes it over only when it is on disk.
 */
#ifndef KEEPER_VAULT_PRIVATE_H
#define KEEPER_VAULT_PRIVATE_H

#include "keeper/token.h"
#include "keeper/vault-disk.h"
#include "keeper/vault-tree.h"
#include "keeper/vault.h"

#define VAULT_LISTED_MAX (3 * 1024 * 1024) /* bytes and values of what is told of all entries: the broker reads at most 4 MiB */
#define VAULT_OPEN_MAX   64                /* bindings whose grant and value stay open between requests */

/* A binding whose seals were checked. `entry` and `grant_entry` are those that it was opened from. */
struct vault_open {
    struct vault_open *next;
    struct vault_entry *entry, *grant_entry;
    struct grant *grant;
    struct secret *key;  /* kind api_key */
    struct token *token; /* kind oauth2 */
    uint64_t generation;
};

struct vault_used {
    struct vault_used *next;
    int64_t unix_s;
    char binding[];
};

struct vault {
    struct vault_disk *disk;
    struct vault_tree *tree;      /* NULL: there is no file, or it could not be read yet */
    struct secret *key;           /* NULL while locked */
    uint8_t salt[KDF_SALT_BYTES]; /* that the key was derived with */
    struct secret *seed;          /* of the signing key; NULL while locked or when its entry is damaged */
    uint8_t public_key[SIGN_PUBLIC_BYTES];
    bool is_dev;
    struct vault_open *open; /* the one used last is first */
    struct vault_used *used; /* last_used_at that is not written yet */
};

/*
 * Reads the file anew if it is another one. While the vault is open, a file that is gone, or is of another key or salt, is refused
 * (-ESTALE) and nothing that is open changes. 0, VAULT_NOT_THERE, negative.
 */
int vault_refresh(struct vault *vault, struct err *err);
/* The same for what needs an open vault: also VAULT_NOT_OPEN. */
int vault_need_open(struct vault *vault, struct err *err);
/* need_open, and a copy of the tree to change. */
int vault_begin(struct vault *vault, struct vault_tree **ret_next, struct err *err);
/* Adds what is due anyway, writes, and makes *next the tree: it is NULL afterwards. When it fails nothing has changed. */
int vault_commit(struct vault *vault, struct vault_tree **next, struct err *err);

/* Opens an entry. -EBADMSG names it. */
int vault_entry_open(const struct vault *vault, const struct vault_entry *entry, struct secret **ret_value, struct err *err);
/* Seals `value` into an entry that may be changed. */
int vault_entry_seal(const struct secret *key, struct vault_entry *entry, const struct secret *value);
/* True for a text that the keeper itself would believe if it stood at one of its own paths: no value of a person may be one. */
bool vault_value_is_ours(const struct secret *value);
/* Puts a value of ours (a path that begins with "_") into a tree. */
int vault_tree_put_own(
    struct vault_tree *tree, const struct secret *key, const char *path, const struct secret *value, struct err *err);

/* "_grants/BINDING" in `out`. */
char *vault_grant_path(const char *binding, char out[sizeof VAULT_GRANTS + VAULT_PATH_MAX]);
/* True for the name of a binding of a kind that SPEC §1 knows; its entries and grants are kept by vault_binding_*(). */
bool vault_path_is_binding(const char *path);
/* Checks seals, grant and value of a binding. 0, VAULT_UNUSABLE, negative. */
int vault_open_binding(
    struct vault *vault, struct vault_entry *entry, struct vault_open **ret_open, struct secret **ret_value, struct err *err);
/* The open one of that name, opened if it is not: 0, VAULT_UNUSABLE, negative. */
int vault_open_get(struct vault *vault, struct vault_entry *entry, struct vault_open **ret_open, struct err *err);
/* Wipes those that were opened from entries which the tree does not have any more; all when there is no key. */
void vault_open_sweep(struct vault *vault);
/* Free when it was never put into the list. */
void vault_open_free(struct vault_open *open);
DEFINE_CLEANUP_PTR(struct vault_open, vault_open_free)

/* Appends a row (taken over) if *room has place for it, else leaves it out. 0 or -ENOMEM. */
int vault_row_add(json_t *rows, json_t *row, size_t *room);

/* What waits to be written for a binding; 0: nothing. */
int64_t vault_used_at(const struct vault *vault, const char *binding);
void vault_used_forget(struct vault *vault);

#endif
