/*
 * Bindings that are open: their seals, grant and value are checked once, then kept in secret memory, at most VAULT_OPEN_MAX of
 * them, until lock or until their entries are others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "crypt/aead.h"
#include "keeper/vault-file.h"
#include "keeper/vault-grant.h"
#include "keeper/vault-private.h"

#include "base/banned.h"

char *vault_grant_path(const char *binding, char out[sizeof VAULT_GRANTS + VAULT_PATH_MAX])
{
    snprintf(out, sizeof VAULT_GRANTS + VAULT_PATH_MAX, VAULT_GRANTS "%s", binding);
    return out;
}

bool vault_path_is_binding(const char *path)
{
    static const char *const kinds[] = { "oauth2/", "api_key/", "basic/" };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (!strncmp(path, kinds[i], strlen(kinds[i])))
            return grant_binding_name_is_valid(path);
    return false;
}

void vault_open_free(struct vault_open *open)
{
    if (!open)
        return;
    vault_entry_unref(open->entry);
    vault_entry_unref(open->grant_entry);
    grant_free(open->grant);
    secret_free(open->key);
    token_free(open->token);
    free(open);
}

static bool is_current(const struct vault *vault, const struct vault_open *open)
{
    return vault->key && vault->tree && vault_tree_find(vault->tree, open->entry->path) == open->entry &&
           vault_tree_find(vault->tree, open->grant_entry->path) == open->grant_entry;
}

void vault_open_sweep(struct vault *vault)
{
    struct vault_open **at = &vault->open;

    while (*at) {
        struct vault_open *open = *at;

        if (is_current(vault, open)) {
            at = &open->next;
            continue;
        }
        *at = open->next;
        vault_open_free(open);
    }
}

static int no_grant(const char *binding, struct err *err)
{
    err_set(err, EACCES, "the binding %s has no grant: it is not known which connector may use it where", binding);
    err_hint(err, "`aileron binding rebind %s` asks for consent once", binding);
    return VAULT_UNUSABLE;
}

static int damaged(const char *binding, const char *why, struct err *err)
{
    char before[ERR_MESSAGE_MAX];

    snprintf(before, sizeof before, "%s", why);
    err_set(err, EBADMSG, "the binding %s is damaged: %s", binding, before);
    err_hint(err, "`aileron binding revoke %s`, then set it up again", binding);
    return VAULT_UNUSABLE;
}

/* Reads the value as its kind has it. */
static int read_value(struct vault_open *open, const struct secret *value, struct err *err)
{
    const char *refusal = NULL;

    if (open->grant->kind == GRANT_OAUTH2)
        return token_parse(value, &open->token, err);
    refusal = grant_value_refusal(secret_bytes(value), secret_len(value));
    if (refusal)
        return err_set(err, EINVAL, "its value %s", refusal);
    return secret_from(secret_bytes(value), secret_len(value), &open->key) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

/* The nonce of the seal is another one at every sealing. */
static uint64_t generation_of(const struct vault_entry *entry)
{
    uint64_t generation = 0;

    memcpy(&generation, entry->sealed, sizeof generation);
    return generation;
}

int vault_open_binding(
    struct vault *vault, struct vault_entry *entry, struct vault_open **ret_open, struct secret **ret_value, struct err *err)
{
    CLEANUP_PTR(vault_open_free) struct vault_open *open = calloc(1, sizeof *open);
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    char grant_path[sizeof VAULT_GRANTS + VAULT_PATH_MAX];
    struct vault_entry *grant_entry = vault_tree_find(vault->tree, vault_grant_path(entry->path, grant_path));
    struct err why = ERR_INIT;
    int r = 0;

    if (!grant_entry)
        return no_grant(entry->path, err);
    if (!open)
        return err_set(err, ENOMEM, "out of memory");
    r = vault_entry_open(vault, entry, &value, &why);
    if (r == 0)
        r = grant_entry->fault ? VAULT_GRANT_BAD
                               : vault_grant_open(vault->key, entry->path, grant_entry->sealed, grant_entry->sealed_len, value,
                                     &open->grant, &why);
    if (r == VAULT_GRANT_BAD && grant_entry->fault)
        err_set(&why, EBADMSG, "the entry of its grant cannot be read");
    if (r == 0)
        r = read_value(open, value, &why);
    if (r == VAULT_GRANT_BAD || r == -EBADMSG || r == -EINVAL || r == -E2BIG)
        return damaged(entry->path, why.message, err);
    if (r < 0)
        return err_errno(err, -r, "cannot open the binding %s", entry->path);
    open->entry = vault_entry_ref(entry);
    open->grant_entry = vault_entry_ref(grant_entry);
    open->generation = generation_of(entry);
    *ret_open = TAKE_PTR(open);
    if (ret_value)
        *ret_value = TAKE_PTR(value);
    return 0;
}

/* The open one, moved to the front; NULL when it is not open. */
static struct vault_open *find_open(struct vault *vault, const struct vault_entry *entry)
{
    for (struct vault_open **at = &vault->open; *at; at = &(*at)->next) {
        struct vault_open *open = *at;

        if (open->entry != entry)
            continue;
        *at = open->next;
        open->next = vault->open;
        vault->open = open;
        return open;
    }
    return NULL;
}

/* Puts one in front; the one that was not used for longest makes room. */
static void keep_open(struct vault *vault, struct vault_open *open)
{
    struct vault_open **at = &vault->open;

    for (size_t kept = 1; *at && kept < VAULT_OPEN_MAX; kept++)
        at = &(*at)->next;
    vault_open_free(TAKE_PTR(*at));
    open->next = vault->open;
    vault->open = open;
}

int vault_open_get(struct vault *vault, struct vault_entry *entry, struct vault_open **ret_open, struct err *err)
{
    struct vault_open *open = find_open(vault, entry);
    int r = 0;

    if (!open) {
        r = vault_open_binding(vault, entry, &open, NULL, err);
        if (r != 0)
            return r;
        keep_open(vault, open);
    }
    *ret_open = open;
    return 0;
}

/* ---- last_used_at ---- */

static struct vault_used *find_used(const struct vault *vault, const char *binding)
{
    for (struct vault_used *used = vault->used; used; used = used->next)
        if (!strcmp(used->binding, binding))
            return used;
    return NULL;
}

int64_t vault_used_at(const struct vault *vault, const char *binding)
{
    const struct vault_used *used = find_used(vault, binding);

    return used ? used->unix_s : 0;
}

void vault_used_forget(struct vault *vault)
{
    while (vault->used) {
        struct vault_used *used = vault->used;

        vault->used = used->next;
        free(used);
    }
}

void vault_binding_used(struct vault *vault, const char *binding, int64_t now_unix_s)
{
    struct vault_used *used = find_used(vault, binding);
    size_t len = strlen(binding) + 1;

    if (!used && vault->key && vault->tree && vault_tree_find(vault->tree, binding)) {
        used = malloc(sizeof *used + len);
        if (!used)
            return;
        memcpy(used->binding, binding, len);
        used->next = vault->used;
        vault->used = used;
    }
    if (used)
        used->unix_s = now_unix_s;
}
