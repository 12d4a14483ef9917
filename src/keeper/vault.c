/* Opening, closing and writing of the vault; see vault.h and vault-private.h. */
#include "keeper/vault.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crypt/aead.h"
#include "keeper/secret-json.h"
#include "keeper/vault-file.h"
#include "keeper/vault-private.h"

#include "base/banned.h"

#define VERIFICATION     "aileron-vault-v1"
#define SEED_BEFORE      "aileron-head-key-v1\n"
#define SEED_BEFORE_LEN  (sizeof SEED_BEFORE - 1)
#define VERIFICATION_LEN (sizeof VERIFICATION - 1)

static int out_of_memory(struct err *err)
{
    return err_set(err, ENOMEM, "out of memory");
}

/* ---- the file ---- */

static int read_tree(struct vault *vault, struct vault_tree **ret_tree, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(VAULT_FILE_MAX);
    int r = vault_disk_read(vault->disk, &text, err);

    if (r < 0)
        return r;
    r = vault_file_parse(buf_str(&text), text.len, ret_tree, err);
    if (r < 0) {
        vault_disk_forget(vault->disk);
        err_prefix(err, "%s", vault_disk_path(vault->disk));
    }
    return r;
}

static bool is_empty_legacy(const struct vault_tree *tree)
{
    return !tree->verification && tree->len == 0;
}

/* Whether any entry of a legacy vault opens. 0, VAULT_WRONG_PASSPHRASE, -ENOMEM. */
static int check_legacy(const struct vault_tree *tree, const struct secret *key)
{
    for (size_t i = 0; i < tree->len; i++) {
        CLEANUP_PTR(secret_free) struct secret *value = NULL;
        int r = tree->entries[i]->fault ? AEAD_FORGED
                                        : aead_open(key, tree->entries[i]->sealed, tree->entries[i]->sealed_len, &value);

        if (r != AEAD_FORGED)
            return r;
    }
    return VAULT_WRONG_PASSPHRASE;
}

static int check_key(const struct vault_tree *tree, const struct secret *key, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *mark = NULL;
    int r = tree->verification ? aead_open(key, tree->verification, tree->verification_len, &mark) : check_legacy(tree, key);

    if (r == AEAD_FORGED || r == VAULT_WRONG_PASSPHRASE) {
        err_set(err, EACCES, "wrong passphrase");
        return VAULT_WRONG_PASSPHRASE;
    }
    if (r < 0)
        return err_errno(err, -r, "cannot open the vault");
    if (mark && (secret_len(mark) != VERIFICATION_LEN || !secret_memequal(secret_bytes(mark), VERIFICATION, VERIFICATION_LEN)))
        return err_set(err, EBADMSG, "the vault was tampered with: its verification opens to something else");
    return 0;
}

/* Everything that was open is gone; what is on disk stays. */
static void forget(struct vault *vault)
{
    secret_free(TAKE_PTR(vault->key));
    secret_free(TAKE_PTR(vault->seed));
    memset(vault->salt, 0, sizeof vault->salt);
    memset(vault->public_key, 0, sizeof vault->public_key);
    vault->is_dev = false;
    vault_open_sweep(vault);
    vault_used_forget(vault);
}

static void take_tree(struct vault *vault, struct vault_tree *tree)
{
    vault_tree_free(vault->tree);
    vault->tree = tree;
    vault_open_sweep(vault);
}

static int not_there(const struct vault *vault, struct err *err)
{
    err_set(err, ENOENT, "there is no vault yet (%s)", vault_disk_path(vault->disk));
    err_hint(err, "aileron vault init");
    return VAULT_NOT_THERE;
}

/* What is open stays what it was, whatever somebody puts in the file's place. */
static int replaced(const struct vault *vault, const char *how, struct err *err)
{
    vault_disk_forget(vault->disk);
    err_set(err, ESTALE, "%s %s while the vault is open", vault_disk_path(vault->disk), how);
    err_hint(err, "put the file back, or lock the vault: aileron vault lock");
    return -ESTALE;
}

int vault_refresh(struct vault *vault, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *tree = NULL;
    int r = 0;

    if (vault->tree && !vault_disk_is_another(vault->disk))
        return is_empty_legacy(vault->tree) ? not_there(vault, err) : 0;
    if (!vault_disk_is_there(vault->disk)) {
        if (vault->key)
            return replaced(vault, "is gone", err);
        take_tree(vault, NULL);
        return not_there(vault, err);
    }
    r = read_tree(vault, &tree, err);
    if (r < 0)
        return r;
    if (vault->key && (memcmp(tree->salt, vault->salt, KDF_SALT_BYTES) != 0 || check_key(tree, vault->key, NULL) != 0))
        return replaced(vault, "was replaced by another vault", err);
    take_tree(vault, TAKE_PTR(tree));
    return is_empty_legacy(vault->tree) ? not_there(vault, err) : 0;
}

int vault_need_open(struct vault *vault, struct err *err)
{
    int r = vault_refresh(vault, err);

    if (r != 0 || vault->key)
        return r;
    err_set(err, EACCES, "the vault is locked");
    err_hint(err, "aileron vault unlock");
    return VAULT_NOT_OPEN;
}

int vault_begin(struct vault *vault, struct vault_tree **ret_next, struct err *err)
{
    int r = vault_need_open(vault, err);

    if (r != 0)
        return r;
    *ret_next = vault_tree_copy(vault->tree);
    return *ret_next ? 0 : out_of_memory(err);
}

/* ---- values ---- */

/* What stands in the file may be made to upset a terminal. */
static const char *shown_path(const struct vault_entry *entry)
{
    return vault_path_refusal(entry->path) ? "(of an unreadable path)" : entry->path;
}

int vault_entry_open(const struct vault *vault, const struct vault_entry *entry, struct secret **ret_value, struct err *err)
{
    int r = entry->fault ? AEAD_FORGED : aead_open(vault->key, entry->sealed, entry->sealed_len, ret_value);

    if (r == AEAD_FORGED)
        return err_set(err, EBADMSG, "the entry %s is damaged: %s", shown_path(entry),
            entry->fault ? entry->fault : "its seal is broken, or it was sealed under another passphrase");
    return r < 0 ? err_errno(err, -r, "cannot open the entry %s", entry->path) : 0;
}

int vault_entry_seal(const struct secret *key, struct vault_entry *entry, const struct secret *value)
{
    CLEANUP(buf_free) struct buf sealed = BUF_INIT(VAULT_VALUE_MAX + AEAD_OVERHEAD_BYTES);
    int r = aead_seal(key, secret_bytes(value), secret_len(value), &sealed);

    return r < 0 ? r : vault_entry_seal_in(entry, sealed.data, sealed.len);
}

int vault_tree_put_own(
    struct vault_tree *tree, const struct secret *key, const char *path, const struct secret *value, struct err *err)
{
    CLEANUP_PTR(vault_entry_unref) struct vault_entry *entry = vault_entry_new(path, "", 0);
    int r = entry ? vault_entry_seal(key, entry, value) : -ENOMEM;

    if (r == 0)
        r = vault_tree_set(tree, entry);
    return r < 0 ? err_errno(err, -r, "cannot write the entry %s", path) : 0;
}

static int put_own_text(struct vault_tree *tree, const struct secret *key, const char *path, const char *text, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;

    if (secret_from(text, strlen(text), &value) < 0)
        return out_of_memory(err);
    return vault_tree_put_own(tree, key, path, value, err);
}

/* Seals bind no path, so each of our own values says what it is, and no value of a person may say the same. */
bool vault_value_is_ours(const struct secret *value)
{
    static const char *const beginnings[] = { VAULT_DEV_MARK, SEED_BEFORE, VERIFICATION };
    CLEANUP_JSON json_t *json = NULL;

    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
        if (secret_len(value) >= strlen(beginnings[i]) && !memcmp(secret_bytes(value), beginnings[i], strlen(beginnings[i])))
            return true;
    return secret_json_parse(value, &json, NULL) == 0 && json_object_get(json, "value_sha256");
}

static int put_seed(struct vault_tree *tree, const struct secret *key, const struct secret *seed, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;

    if (secret_new(SEED_BEFORE_LEN + SIGN_SEED_BYTES, &value) < 0)
        return out_of_memory(err);
    memcpy(secret_data(value), SEED_BEFORE, SEED_BEFORE_LEN);
    memcpy(secret_data(value) + SEED_BEFORE_LEN, secret_bytes(seed), SIGN_SEED_BYTES);
    return vault_tree_put_own(tree, key, VAULT_SIGNING, value, err);
}

static int put_new_seed(struct vault_tree *tree, const struct secret *key, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *seed = NULL;

    return sign_seed_new(&seed) < 0 ? out_of_memory(err) : put_seed(tree, key, seed, err);
}

static int read_seed(const struct secret *value, struct secret **ret_seed)
{
    if (secret_len(value) != SEED_BEFORE_LEN + SIGN_SEED_BYTES || memcmp(secret_bytes(value), SEED_BEFORE, SEED_BEFORE_LEN) != 0)
        return -EINVAL;
    return secret_from(secret_bytes(value) + SEED_BEFORE_LEN, SIGN_SEED_BYTES, ret_seed);
}

static int put_verification(struct vault_tree *tree, const struct secret *key)
{
    CLEANUP(buf_free) struct buf sealed = BUF_INIT(VERIFICATION_LEN + AEAD_OVERHEAD_BYTES);
    int r = aead_seal(key, VERIFICATION, VERIFICATION_LEN, &sealed);

    return r < 0 ? r : vault_tree_set_verification(tree, sealed.data, sealed.len);
}

/* ---- writing ---- */

static int put_used(const struct vault *vault, struct vault_tree *next)
{
    for (const struct vault_used *used = vault->used; used; used = used->next) {
        const struct vault_entry *entry = vault_tree_find(next, used->binding);
        CLEANUP_PTR(vault_entry_unref) struct vault_entry *copy = NULL;
        char text[24];

        if (!entry || entry->fault)
            continue;
        copy = vault_entry_copy(entry);
        snprintf(text, sizeof text, "%" PRId64, used->unix_s);
        if (!copy || vault_entry_set_label(copy, "last_used_at", text) < 0 || vault_tree_set(next, copy) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int write_tree(struct vault *vault, const struct vault_tree *tree, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(VAULT_FILE_MAX);
    int r = vault_file_write(tree, &text);

    if (r == -E2BIG)
        return err_set(err, E2BIG, "the vault would be larger than %d MiB", VAULT_FILE_MAX / 1024 / 1024);
    return r < 0 ? err_errno(err, -r, "cannot write the vault") : vault_disk_write(vault->disk, &text, err);
}

/* Writes under `key`, which is that of the tree. VAULT_DISK_UNCONFIRMED: taken over all the same, since that is what is there. */
static int commit_with(struct vault *vault, const struct secret *key, struct vault_tree **next, struct err *err)
{
    int r = put_used(vault, *next);

    if (r == 0 && !(*next)->verification)
        r = put_verification(*next, key);
    /* The key that heads were signed with today stays, also when somebody took it out of the file. */
    if (r == 0 && vault->seed && !vault_tree_find(*next, VAULT_SIGNING))
        r = put_seed(*next, key, vault->seed, NULL);
    if (r < 0)
        return err_errno(err, -r, "cannot write the vault");
    r = write_tree(vault, *next, err);
    if (r < 0)
        return r;
    vault_used_forget(vault);
    take_tree(vault, TAKE_PTR(*next));
    return r;
}

int vault_commit(struct vault *vault, struct vault_tree **next, struct err *err)
{
    int r = commit_with(vault, vault->key, next, err);

    return r == VAULT_DISK_UNCONFIRMED ? -EIO : r;
}

int vault_flush(struct vault *vault, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;
    int r = 0;

    if (!vault->used || !vault->key)
        return 0;
    r = vault_begin(vault, &next, err);
    return r != 0 ? r : vault_commit(vault, &next, err);
}

/* ---- life ---- */

int vault_new(const char *home, struct vault **ret_vault, struct err *err)
{
    CLEANUP_PTR(vault_free) struct vault *vault = calloc(1, sizeof *vault);
    int r = vault ? vault_disk_open(home, &vault->disk, err) : out_of_memory(err);

    if (r < 0)
        return r;
    /* What is wrong with the file is told when somebody wants it. */
    vault_refresh(vault, NULL);
    *ret_vault = TAKE_PTR(vault);
    return 0;
}

void vault_free(struct vault *vault)
{
    if (!vault)
        return;
    vault_lock(vault);
    vault_tree_free(vault->tree);
    vault_disk_free(vault->disk);
    free(vault);
}

enum keeper_vault_state vault_state(const struct vault *vault)
{
    if (vault->key)
        return KEEPER_VAULT_UNLOCKED;
    if (!vault_disk_is_there(vault->disk))
        return KEEPER_VAULT_MISSING;
    return vault->tree && is_empty_legacy(vault->tree) && !vault_disk_is_another(vault->disk) ? KEEPER_VAULT_MISSING
                                                                                              : KEEPER_VAULT_LOCKED;
}

const char *vault_file_path(const struct vault *vault)
{
    return vault_disk_path(vault->disk);
}

bool vault_is_dev(const struct vault *vault)
{
    return vault->is_dev;
}

int vault_salt(struct vault *vault, uint8_t out[KDF_SALT_BYTES], struct err *err)
{
    int r = vault->key ? 0 : vault_refresh(vault, err);

    if (r == 0)
        memcpy(out, vault->key ? vault->salt : vault->tree->salt, KDF_SALT_BYTES);
    return r;
}

/* What the keeper itself has in the vault. Damage there takes its use away and nothing else. */
static void open_own(struct vault *vault)
{
    const struct vault_entry *dev = vault_tree_find(vault->tree, VAULT_DEV);
    const struct vault_entry *signing = vault_tree_find(vault->tree, VAULT_SIGNING);
    CLEANUP_PTR(secret_free) struct secret *mark = NULL, *value = NULL, *seed = NULL;
    size_t mark_len = strlen(VAULT_DEV_MARK);

    if (dev && vault_entry_open(vault, dev, &mark, NULL) == 0)
        vault->is_dev = secret_len(mark) == mark_len && secret_memequal(secret_bytes(mark), VAULT_DEV_MARK, mark_len);
    if (signing && vault_entry_open(vault, signing, &value, NULL) == 0 && read_seed(value, &seed) == 0 &&
        sign_public(seed, vault->public_key) == 0)
        vault->seed = TAKE_PTR(seed);
}

/* A vault that has no signing key gets one. Without room on the disk it is open all the same, and signs nothing. */
static void ensure_seed(struct vault *vault)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;

    if (vault_tree_find(vault->tree, VAULT_SIGNING))
        return;
    next = vault_tree_copy(vault->tree);
    if (next && put_new_seed(next, vault->key, NULL) == 0)
        vault_commit(vault, &next, NULL);
}

static int copy_key(const struct secret *key, struct secret **ret_copy, struct err *err)
{
    if (secret_len(key) != KDF_KEY_BYTES)
        return err_set(err, EINVAL, "a key of the wrong length");
    return secret_from(secret_bytes(key), secret_len(key), ret_copy) < 0 ? out_of_memory(err) : 0;
}

/* Whoever proves that they know the passphrase proves it against the key in memory, never against what stands on disk by now. */
static int check_open_key(const struct vault *vault, const struct secret *key, struct err *err)
{
    if (secret_equal(key, vault->key))
        return 0;
    err_set(err, EACCES, "wrong passphrase");
    return VAULT_WRONG_PASSPHRASE;
}

int vault_unlock(struct vault *vault, const struct secret *key, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *copy = NULL;
    int r = 0;

    if (vault->key)
        return check_open_key(vault, key, err);
    r = vault_refresh(vault, err);
    if (r == 0)
        r = check_key(vault->tree, key, err);
    if (r == 0)
        r = copy_key(key, &copy, err);
    if (r != 0)
        return r;
    vault->key = TAKE_PTR(copy);
    memcpy(vault->salt, vault->tree->salt, KDF_SALT_BYTES);
    ensure_seed(vault);
    open_own(vault);
    return 0;
}

static int replaceable(struct vault *vault, struct err *err)
{
    int r = vault_refresh(vault, err);

    if (r == VAULT_NOT_THERE)
        return 0;
    if (r == 0) {
        err_set(err, EEXIST, "there is a vault already: %s", vault_disk_path(vault->disk));
        return VAULT_ALREADY_THERE;
    }
    return r;
}

int vault_create(struct vault *vault, const struct secret *key, const uint8_t salt[KDF_SALT_BYTES], bool dev, struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = vault_tree_new(salt);
    CLEANUP_PTR(secret_free) struct secret *copy = NULL;
    int r = next ? replaceable(vault, err) : out_of_memory(err);

    if (r == 0)
        r = copy_key(key, &copy, err);
    if (r == 0)
        r = put_new_seed(next, key, err);
    if (r == 0 && dev)
        r = put_own_text(next, key, VAULT_DEV, VAULT_DEV_MARK, err);
    if (r == 0)
        r = commit_with(vault, key, &next, err);
    if (r != 0 && !(r == VAULT_DISK_UNCONFIRMED && !next))
        return r;
    vault->key = TAKE_PTR(copy);
    memcpy(vault->salt, salt, KDF_SALT_BYTES);
    open_own(vault);
    return r == 0 ? 0 : -EIO;
}

/* How the person gets rid of an entry that does not open. */
static void hint_removal(const char *path, struct err *err)
{
    if (vault_path_refusal(path) || (path[0] == '_' && strncmp(path, VAULT_GRANTS, strlen(VAULT_GRANTS)) != 0))
        return;
    if (path[0] == '_')
        err_hint(err, "aileron binding rebind %s", path + strlen(VAULT_GRANTS));
    else
        err_hint(err, vault_path_is_binding(path) ? "aileron binding revoke %s" : "aileron secret delete %s", path);
}

/* `next` with every entry under the new key. */
static int reseal(const struct vault *vault, struct vault_tree *next, const struct secret *key, struct err *err)
{
    for (size_t i = 0; i < vault->tree->len; i++) {
        CLEANUP_PTR(secret_free) struct secret *value = NULL;
        CLEANUP_PTR(vault_entry_unref) struct vault_entry *copy = NULL;
        int r = vault_entry_open(vault, vault->tree->entries[i], &value, err);

        if (r < 0) {
            err_prefix(err, "nothing is changed");
            hint_removal(vault->tree->entries[i]->path, err);
            return r;
        }
        copy = vault_entry_copy(vault->tree->entries[i]);
        if (!copy || vault_entry_seal(key, copy, value) < 0 || vault_tree_set(next, copy) < 0)
            return out_of_memory(err);
    }
    return 0;
}

int vault_rekey(struct vault *vault, const struct secret *key, const uint8_t salt[KDF_SALT_BYTES], struct err *err)
{
    CLEANUP_PTR(vault_tree_free) struct vault_tree *next = NULL;
    CLEANUP_PTR(secret_free) struct secret *copy = NULL;
    int r = vault_begin(vault, &next, err);

    if (r == 0)
        r = copy_key(key, &copy, err);
    if (r == 0)
        r = reseal(vault, next, key, err);
    if (r != 0)
        return r;
    memcpy(next->salt, salt, KDF_SALT_BYTES);
    if (put_verification(next, key) < 0)
        return out_of_memory(err);
    r = commit_with(vault, key, &next, err);
    if (r < 0)
        return r;
    secret_free(vault->key);
    vault->key = TAKE_PTR(copy);
    memcpy(vault->salt, salt, KDF_SALT_BYTES);
    return r == 0 ? 0 : -EIO;
}

void vault_lock(struct vault *vault)
{
    vault_flush(vault, NULL);
    forget(vault);
}

bool vault_signing_public(const struct vault *vault, uint8_t out[SIGN_PUBLIC_BYTES])
{
    if (!vault->seed)
        return false;
    memcpy(out, vault->public_key, SIGN_PUBLIC_BYTES);
    return true;
}

int vault_sign(struct vault *vault, const void *message, size_t len, uint8_t out[SIGN_BYTES], struct err *err)
{
    int r = 0;

    if (!vault->seed) {
        err_set(err, EACCES, vault->key ? "the vault's signing key is damaged" : "the vault is locked");
        return VAULT_NOT_OPEN;
    }
    r = sign_message(vault->seed, message, len, out);
    return r < 0 ? err_errno(err, -r, "cannot sign") : 0;
}
