/*
 * Requests of the owner's door about the vault itself: passphrases, tickets, entries; and the table of them all. A
 * passphrase is proved first, then the receipt is written, then comes the effect.
 */
#include "keeper/owner-private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/magic.h"
#include "keeper/lock.h"
#include "keeper/ticket.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define METADATA_MAX 256

static struct peer *peer_of(void *userdata)
{
    return MAGIC_CAST(struct peer, userdata, PEER_MAGIC);
}

/* ---- passphrases ---- */

/* Ends the request when the passphrase cannot be one. */
static bool is_usable(struct peer *peer, const struct secret *passphrase)
{
    if (secret_len(passphrase) > 0 && secret_len(passphrase) <= KEEPER_PASSPHRASE_MAX)
        return true;
    peer_finish(
        peer, (struct finish){ KEEPER_REFUSED,
                  secret_len(passphrase) ? "the passphrase is longer than 1024 bytes" : "the passphrase must not be empty", NULL,
                  NULL });
    return false;
}

static void try_started(struct peer *peer, int r)
{
    if (r < 0)
        peer_finish(peer, (struct finish){ r == -EBUSY ? KEEPER_BUSY : KEEPER_FAILED,
                              r == -EBUSY ? "too many passphrases are being tried at once" : "out of memory", NULL, NULL });
}

static void finish_wrong(struct peer *peer)
{
    char seconds[24];

    snprintf(seconds, sizeof seconds, "%lld", (long long) (attempts_pause_left(peer->parts->attempts) + 999) / 1000);
    receipts_tell(peer->parts->receipts, "vault.unlock_failed", lock_payload(peer->parts->lock));
    peer_finish(peer, (struct finish){ KEEPER_WRONG_PASSPHRASE, "the passphrase is wrong", NULL, seconds });
}

/* What every proof has in common; false when it failed and the request has ended. */
static bool is_proved(struct peer *peer, const struct attempt_end *end)
{
    peer->work.attempt = NULL;
    if (end->result == VAULT_WRONG_PASSPHRASE)
        finish_wrong(peer);
    else if (end->result == VAULT_NOT_THERE)
        peer_finish(peer, (struct finish){ KEEPER_MISSING, "there is no vault yet", "aileron vault init makes one", NULL });
    else if (end->result != 0)
        peer_finish_err(peer, end->result, end->err);
    if (end->result != 0)
        return false;
    lock_used(peer->parts->lock);
    if (end->opened)
        lock_opened(peer->parts->lock, "vault.unlocked");
    return true;
}

static void prove(struct peer *peer, attempt_fn *fn)
{
    struct work *work = &peer->work;

    if (is_usable(peer, work->passphrase))
        try_started(peer, attempts_prove(peer->parts->attempts, work->passphrase, fn, peer, &work->attempt));
}

/* Derives the key that is to be; false when the request has ended. */
static bool is_made(struct peer *peer, const struct attempt_end *end)
{
    struct work *work = &peer->work;
    struct err err = ERR_INIT;
    int r = end->result;

    work->attempt = NULL;
    if (r == 0)
        r = secret_from(secret_bytes(end->key), secret_len(end->key), &work->key);
    if (r < 0) {
        err_errno(&err, -r, "the key could not be derived");
        peer_finish_err(peer, r, &err);
        return false;
    }
    memcpy(work->salt, end->salt, sizeof work->salt);
    return true;
}

static void make(struct peer *peer, const struct secret *passphrase, attempt_fn *fn)
{
    if (is_usable(peer, passphrase))
        try_started(peer, attempts_make(peer->parts->attempts, passphrase, fn, peer, &peer->work.attempt));
}

static void create_effect(struct peer *peer)
{
    struct err err = ERR_INIT;
    int r = vault_create(peer->parts->vault, peer->work.key, peer->work.salt, peer->work.dev, &err);

    if (r == 0)
        lock_opened(peer->parts->lock, "vault.unlocked"); /* vault.created alone does not prove that it was */
    peer_finish_err(peer, r, &err);
}

static bool is_missing(struct peer *peer)
{
    if (vault_state(peer->parts->vault) == KEEPER_VAULT_MISSING)
        return true;
    peer_finish(peer, (struct finish){ KEEPER_EXISTS, "there is a vault already", "aileron vault unlock opens it", NULL });
    return false;
}

static void on_create_made(const struct attempt_end *end, void *userdata)
{
    struct peer *peer = peer_of(userdata);

    if (is_made(peer, end) && is_missing(peer))
        peer_record(peer, "vault.created", lock_payload(peer->parts->lock), create_effect);
}

static void create_start(struct peer *peer)
{
    if (is_missing(peer))
        make(peer, peer->work.passphrase, on_create_made);
}

int owner_create(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    wire_get_secret(frame, KEEPER_SECRET_MAX, &peer->work.passphrase);
    peer->work.dev = wire_get_u8(frame) != 0;
    return peer_begin(peer, frame, create_start);
}

static void on_unlock_proved(const struct attempt_end *end, void *userdata)
{
    struct peer *peer = peer_of(userdata);

    if (is_proved(peer, end))
        peer_finish(peer, (struct finish){ .result = KEEPER_OK });
}

static void unlock_start(struct peer *peer)
{
    prove(peer, on_unlock_proved);
}

int owner_unlock(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    wire_get_secret(frame, KEEPER_SECRET_MAX, &peer->work.passphrase);
    return peer_begin(peer, frame, unlock_start);
}

/* Another connection may have changed it since: then what was proved is no longer the passphrase. */
static int is_still_proved(struct peer *peer, struct err *err)
{
    uint8_t salt[KDF_SALT_BYTES];
    int r = vault_salt(peer->parts->vault, salt, err);

    if (r != 0)
        return r;
    return memcmp(salt, peer->work.proved_salt, sizeof salt) ? err_set(err, EINVAL, "the passphrase was changed meanwhile") : 0;
}

static void change_effect(struct peer *peer)
{
    struct err err = ERR_INIT;
    int r = is_still_proved(peer, &err);

    if (r == 0)
        r = vault_rekey(peer->parts->vault, peer->work.key, peer->work.salt, &err);
    if (r == 0)
        lock_changed(peer->parts->lock);
    peer_finish_err(peer, r, &err);
}

static void on_change_made(const struct attempt_end *end, void *userdata)
{
    struct peer *peer = peer_of(userdata);
    struct err err = ERR_INIT;
    int r = 0;

    if (!is_made(peer, end))
        return;
    r = is_still_proved(peer, &err);
    if (r != 0)
        peer_finish_err(peer, r, &err);
    else
        peer_record(peer, "vault.passphrase_changed", lock_payload(peer->parts->lock), change_effect);
}

static void on_change_proved(const struct attempt_end *end, void *userdata)
{
    struct peer *peer = peer_of(userdata);

    if (!is_proved(peer, end))
        return;
    memcpy(peer->work.proved_salt, end->salt, sizeof end->salt);
    make(peer, peer->work.new_passphrase, on_change_made);
}

static void change_start(struct peer *peer)
{
    if (is_usable(peer, peer->work.new_passphrase))
        prove(peer, on_change_proved);
}

int owner_change(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    wire_get_secret(frame, KEEPER_SECRET_MAX, &peer->work.passphrase);
    wire_get_secret(frame, KEEPER_SECRET_MAX, &peer->work.new_passphrase);
    return peer_begin(peer, frame, change_start);
}

static void on_ticket_proved(const struct attempt_end *end, void *userdata)
{
    struct peer *peer = peer_of(userdata);
    char ticket[KEEPER_TICKET_MAX] = "";

    if (!is_proved(peer, end))
        return;
    if (tickets_mint(peer->parts->tickets, peer->work.approval, peer->work.seal, clock_boot_ms(), ticket) < 0)
        peer_finish(peer, (struct finish){ KEEPER_FAILED, "out of memory", NULL, NULL });
    else
        peer_finish(peer, (struct finish){ KEEPER_OK, NULL, NULL, ticket });
    secret_wipe(ticket, sizeof ticket);
}

static void ticket_start(struct peer *peer)
{
    if (peer->work.approval[0] == '\0' || peer->work.seal[0] == '\0')
        peer_finish(peer, (struct finish){ KEEPER_REFUSED, "a ticket is for one approval and its seal", NULL, NULL });
    else
        prove(peer, on_ticket_proved);
}

int owner_ticket(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    wire_get_secret(frame, KEEPER_SECRET_MAX, &peer->work.passphrase);
    peer->work.approval = peer_text(frame, TICKET_APPROVAL_MAX);
    peer->work.seal = peer_text(frame, TICKET_SEAL_MAX);
    return peer_begin(peer, frame, ticket_start);
}

/* ---- entries ---- */

static json_t *entry_payload(const struct peer *peer)
{
    return json_pack("{s:s}", "aileron.vault.path", peer->work.path);
}

static bool is_listed_as(struct vault *vault, const char *path, const char *kind)
{
    CLEANUP_JSON json_t *entries = vault_list(vault);
    const json_t *entry = NULL;
    size_t i = 0;

    json_array_foreach(entries, i, entry)
    {
        if (!strcmp(json_get_str(entry, "path") ?: "", path))
            return !strcmp(json_get_str(entry, "kind") ?: "", kind);
    }
    return false;
}

/* Grants, keys, marks and bindings have requests of their own. Ends the request when the path is none for a person's secret. */
static bool is_open_path(struct peer *peer)
{
    const char *path = peer->work.path;

    if (grant_binding_name_is_valid(path) && is_listed_as(peer->parts->vault, path, "binding")) {
        peer_finish(peer, (struct finish){ KEEPER_REFUSED, "this path is a binding's, which holds a consent beside its value",
                              "aileron binding setup, rebind or revoke", NULL });
        return false;
    }
    if (path[0] != '\0' && path[0] != '_')
        return true;
    peer_finish(
        peer, (struct finish){ KEEPER_REFUSED, "a path is 1 to 200 bytes of text that does not begin with \"_\"", NULL, NULL });
    return false;
}

static void put_effect(struct peer *peer)
{
    const struct work *work = &peer->work;
    const struct vault_labels labels = { work->type, work->environment, work->labels };
    struct err err = ERR_INIT;
    int r = vault_put(peer->parts->vault, work->path, work->value, &labels, &err);

    if (r == 0)
        lock_changed(peer->parts->lock);
    peer_finish_err(peer, r, &err);
}

static void put_start(struct peer *peer)
{
    struct work *work = &peer->work;
    struct vault_labels labels = { work->type, work->environment, NULL };
    struct err err = ERR_INIT;
    int r = spec_labels_parse(work->text, strlen(work->text), &work->labels, &err);

    if (r == 0 && !is_open_path(peer))
        return;
    labels.labels = work->labels;
    if (r == 0)
        r = vault_put_check(peer->parts->vault, work->path, work->value, &labels, &err);
    if (r == 0)
        peer_record(peer, "secret.written", entry_payload(peer), put_effect);
    else
        peer_finish_err(peer, r, &err);
}

int owner_put(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    peer->work.path = peer_text(frame, METADATA_MAX);
    wire_get_secret(frame, KEEPER_SECRET_MAX, &peer->work.value);
    peer->work.type = peer_text(frame, METADATA_MAX);
    peer->work.environment = peer_text(frame, METADATA_MAX);
    peer->work.text = peer_text(frame, KEEPER_SPEC_MAX);
    return peer_begin(peer, frame, put_start);
}

static void delete_effect(struct peer *peer)
{
    struct err err = ERR_INIT;
    int r = vault_delete(peer->parts->vault, peer->work.path, &err);

    if (r == 0)
        lock_changed(peer->parts->lock);
    peer_finish_err(peer, r, &err);
}

static void delete_start(struct peer *peer)
{
    struct err err = ERR_INIT;
    int r = 0;

    if (!is_open_path(peer))
        return;
    r = vault_delete_check(peer->parts->vault, peer->work.path, &err);
    if (r == 0)
        peer_record(peer, "secret.deleted", entry_payload(peer), delete_effect);
    else
        peer_finish_err(peer, r, &err);
}

int owner_delete(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    peer->work.path = peer_text(frame, METADATA_MAX);
    return peer_begin(peer, frame, delete_start);
}

const struct gate_row owner_rows[] = {
    { OWNER_CREATE, GATE_IDLE, owner_create },
    { OWNER_UNLOCK, GATE_IDLE, owner_unlock },
    { OWNER_CHANGE, GATE_IDLE, owner_change },
    { OWNER_TICKET, GATE_IDLE | GATE_NEEDS_UNLOCKED, owner_ticket },
    { OWNER_PUT, GATE_IDLE | GATE_NEEDS_UNLOCKED, owner_put },
    { OWNER_DELETE, GATE_IDLE | GATE_NEEDS_UNLOCKED, owner_delete },
    { OWNER_BIND_KEY, GATE_IDLE | GATE_NEEDS_UNLOCKED, owner_bind_key },
    { OWNER_REBIND, GATE_IDLE | GATE_NEEDS_UNLOCKED, owner_rebind },
    { OWNER_DEFAULT, GATE_IDLE | GATE_NEEDS_UNLOCKED, owner_default },
    { OWNER_OAUTH_BEGIN, GATE_IDLE | GATE_NEEDS_UNLOCKED, owner_oauth_begin },
    { OWNER_OAUTH_AGAIN, GATE_IDLE | GATE_NEEDS_UNLOCKED, owner_oauth_again },
    { OWNER_OAUTH_PASTE, GATE_IN_FLOW, owner_oauth_paste },
};
const size_t owner_rows_len = ARRAY_LEN(owner_rows);
