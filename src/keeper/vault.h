/*
 * The vault (SPEC §1): the one reader and writer of secrets.json, and of what is open of it. Entries stay sealed in memory as
 * on disk; what requests use often (grant and token of a binding) is opened once and kept in secret memory until lock.
 * Labels are plain text and decide nothing; a grant does.
 *
 * The file is compared with what was read last (device, inode, size, times) before anything is lent or written and read anew
 * when it is another, so an edit on disk is never overwritten and never believed without its seals.
 *
 * A file that is gone, or is another vault, while this one is open, is refused with -ESTALE; what is open stays open, and
 * locking forgets it.
 */
#ifndef KEEPER_VAULT_H
#define KEEPER_VAULT_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "crypt/kdf.h"
#include "crypt/sign.h"
#include "keeper/client.h"
#include "keeper/grant.h"

#include <jansson.h>

#define VAULT_PATH_MAX    200
#define VAULT_VALUE_MAX   (32 * 1024)
#define VAULT_ENTRIES_MAX 4096
#define VAULT_FILE_MAX    (16 * 1024 * 1024)

/* Paths of ours that never show as entries of the person. */
#define VAULT_GRANTS   "_grants/"
#define VAULT_DEV      "_dev"            /* sealed text VAULT_DEV_MARK: development overrides may become active */
#define VAULT_SIGNING  "_audit/head-key" /* the Ed25519 seed that signs audit heads; made at the first unlock that finds none */
#define VAULT_DEV_MARK "aileron-dev-v1"

struct vault;

/* Results beside 0 and a negative errno; `err` has the words and, where there is one, the command that mends it. */
enum vault_result {
    VAULT_NO_BINDING = 1,       /* none of this name for this connector */
    VAULT_UNUSABLE = 2,         /* locked, stale, revoked, without a valid grant, damaged: err says which */
    VAULT_WRONG_PASSPHRASE = 3, /* the key does not open it */
    VAULT_NOT_OPEN = 4,         /* locked */
    VAULT_NOT_THERE = 5,        /* no file, or an empty legacy one: to be created */
    VAULT_ALREADY_THERE = 6,
    VAULT_NO_ENTRY = 7,
    VAULT_REFUSED = 8, /* a path, value or label that cannot be: err says why */
};

/* `home` is the folder of secrets.json, opened here; nothing is read yet but the file's presence. */
int vault_new(const char *home, struct vault **ret_vault, struct err *err);
void vault_free(struct vault *vault); /* flushes labels, locks, frees */
DEFINE_CLEANUP_PTR(struct vault, vault_free)

enum keeper_vault_state vault_state(const struct vault *vault);
const char *vault_file_path(const struct vault *vault);
/* True when open and made by `vault init --dev`. */
bool vault_is_dev(const struct vault *vault);

/* ---- opening and closing; keys come from derive.h, lent ---- */

/* The salt to derive with. -EACCES, -ELOOP … for a file that is not private to its owner, VAULT_NOT_THERE. */
int vault_salt(struct vault *vault, uint8_t out[KDF_SALT_BYTES], struct err *err);
/*
 * 0 when the key opens it. When it is open already the key is compared with the one in memory, as vault_salt() gives that one's
 * salt: nothing on disk counts then. -EBADMSG: tampered with.
 */
int vault_unlock(struct vault *vault, const struct secret *key, struct err *err);
/* Writes a new, empty, open vault. Replaces an empty legacy one, never another. */
int vault_create(struct vault *vault, const struct secret *key, const uint8_t salt[KDF_SALT_BYTES], bool dev, struct err *err);
/* Every entry sealed anew under the new key, in one write: all or nothing. An entry that does not open is refused by name. */
int vault_rekey(struct vault *vault, const struct secret *key, const uint8_t salt[KDF_SALT_BYTES], struct err *err);
/* Wipes everything that was open; flushes labels first. */
void vault_lock(struct vault *vault);

/* ---- entries; while open, but for the list ---- */

struct vault_labels {
    const char *type, *environment; /* metadata; NULL: "" */
    const json_t *labels;           /* object of texts; NULL: none */
};

/* What vault_put() would refuse, and nothing else: to be asked before a receipt is written. So the others named _check. */
int vault_put_check(
    struct vault *vault, const char *path, const struct secret *value, const struct vault_labels *labels, struct err *err);
int vault_delete_check(struct vault *vault, const char *path, struct err *err);
int vault_binding_put_check(
    struct vault *vault, const char *binding, const struct grant *grant, const struct secret *value, struct err *err);

/* Writes file and folder through before it returns. */
int vault_put(
    struct vault *vault, const char *path, const struct secret *value, const struct vault_labels *labels, struct err *err);
/* The value, a new secret. VAULT_NO_ENTRY, -EBADMSG. */
int vault_get(struct vault *vault, const char *path, struct secret **ret_value, struct err *err);
int vault_delete(struct vault *vault, const char *path, struct err *err);
/* [{"path","kind":"binding|login|token|secret","type","environment","labels":{…}}…] without paths that start with "_"; also while
 * locked. New reference; NULL when out of memory or unreadable. */
json_t *vault_list(struct vault *vault);

/* ---- bindings ---- */

/*
 * Value and sealed grant (with value_sha256 and its own binding name) in one write. It becomes active; service, identity,
 * connector_fqn and created_at are kept here, and the first binding of a connector becomes its default. `labels` are merged
 * over those it had: a JSON null removes, "default" is passed over. VAULT_REFUSED for a value that is no token, or cannot stand in a header.
 */
int vault_binding_put(struct vault *vault, const char *binding, const struct grant *grant, const struct secret *value,
    const json_t *labels, struct err *err);
/* A new grant for the value that is there; -EBADMSG when that does not open. `labels` as above. */
int vault_binding_regrant(
    struct vault *vault, const char *binding, const struct grant *grant, const json_t *labels, struct err *err);
/* Value and grant, in one write. */
int vault_binding_delete(struct vault *vault, const char *binding, struct err *err);
/* Makes it the default of its connector, or (false) just not. */
int vault_binding_set_default(struct vault *vault, const char *binding, bool is_default, struct err *err);
/* status "stale" with its reason, or "active" with NULL. Written at once. */
int vault_binding_mark(struct vault *vault, const char *binding, const char *status, const char *stale_reason, struct err *err);
/* last_used_at, in memory until the next write, vault_flush() or lock. */
void vault_binding_used(struct vault *vault, const char *binding, int64_t now_unix_s);
int vault_flush(struct vault *vault, struct err *err);

/* Lent until the next call of a vault function but vault_binding_used() and vault_state(): whoever needs it longer copies. */
struct vault_loan {
    const struct grant *grant;
    const struct secret *value;         /* what goes into the header: access token or key */
    const struct secret *refresh;       /* NULL: none, or kind api_key */
    const struct secret *client_secret; /* likewise */
    int64_t expires_unix_s;             /* 0: unknown */
    uint64_t generation;                /* another number after each change of the value */
};

/* Lends what `binding` holds, to requests of exactly the connector that its grant names. Checks both seals and value_sha256. */
int vault_lend(struct vault *vault, const char *binding, const char *connector_fqn, struct vault_loan *ret_loan, struct err *err);
/*
 * Copies of both, whatever the binding's status says (a stale one is authorised again or revoked). Seals, binding name and
 * value_sha256 are checked; results as vault_lend().
 */
int vault_binding_get(struct vault *vault, const char *binding, struct grant **ret_grant, struct secret **ret_value,
    uint64_t *ret_generation, struct err *err);
/*
 * The bindings as KEEPER_STATE tells them: [{"binding","kind","service","identity","connector_fqn","status","stale_reason"?,"default":bool,
 * "created_at"?,"last_used_at"?,"last_refreshed_at"? (RFC 3339),"account"?,"scope"?,"refresh_token_present":bool,"granted_scopes":[],
 * "missing_scopes":[]}], and while open also "granted":bool, "origins":[],"header","token_url"?,"revoke_url"?,"expires_at"?. Never a value.
 */
json_t *vault_describe(struct vault *vault);

/* The public half of the signing key; false while locked. */
bool vault_signing_public(const struct vault *vault, uint8_t out[SIGN_PUBLIC_BYTES]);
/* Ed25519 by the sealed key. VAULT_NOT_OPEN while locked. */
int vault_sign(struct vault *vault, const void *message, size_t len, uint8_t out[SIGN_BYTES], struct err *err);

#endif
