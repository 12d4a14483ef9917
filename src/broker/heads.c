/* See the header. */
#include "broker/heads.h"

#include "audit/heads.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/magic.h"
#include "broker/log.h"
#include "broker/receipts.h"
#include "loop/loop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define HEADS_MAGIC  0x68656164u
#define HEADS_EVENTS 256
#define FINISH_MS    1000

struct heads {
    uint32_t magic;
    struct heads_config config;
    struct audit_heads *file;
    bool is_open;       /* the vault, with this key */
    uint64_t other_seq; /* another key signed this event, and no receipt tells of a new vault; 0 */
    uint8_t key[SIGN_PUBLIC_BYTES];
    uint64_t generation; /* of the key: an answer to a question of before is worth nothing */

    /* The request under way. */
    bool is_asking, ask_again;
    uint64_t asking_generation;
    struct audit_head head;
    struct sync_wait *wait;

    uint64_t created_seq; /* the newest vault.created of this life */
    uint64_t asked_seq;   /* the newest event that was asked for, whatever became of it */
    struct loop_timer *finish_timer;
    void (*finished)(void *userdata);
    void *finished_userdata;
    char trouble[ERR_MESSAGE_MAX];
    char gone[128]; /* what was missing at the start, and stays so */
};

static void note_trouble(struct heads *heads, const char *what)
{
    if (strcmp(heads->trouble, what) != 0)
        log_warn("the audit log's head is not signed: %s", what);
    snprintf(heads->trouble, sizeof heads->trouble, "%s", what);
}

static uint64_t newest_seq(const struct heads *heads)
{
    const char *hash;

    return receipts_head(heads->config.receipts, &hash);
}

static void finish(struct heads *heads)
{
    void (*fn)(void *userdata) = heads->finished;

    heads->finished = NULL;
    loop_timer_stop(heads->finish_timer);
    if (fn)
        fn(heads->finished_userdata);
}

static void ask(struct heads *heads);

static void asked(struct heads *heads)
{
    bool again = heads->ask_again;

    heads->is_asking = heads->ask_again = false;
    if (again)
        ask(heads);
    if (!heads->is_asking && heads->finished)
        finish(heads);
}

static void write_head(struct heads *heads)
{
    char timestamp[CLOCK_TEXT_MAX];
    struct err err = ERR_INIT;

    snprintf(heads->head.timestamp, sizeof heads->head.timestamp, "%s", clock_format(clock_unix_ms(), timestamp));
    if (audit_heads_append(heads->file, &heads->head, &err) < 0) {
        note_trouble(heads, err.message);
        return;
    }
    heads->trouble[0] = '\0';
    if (receipts_sync(heads->config.receipts, audit_heads_fd(heads->file)) < 0)
        note_trouble(heads, "it could not be made durable");
}

static void on_signed(const struct keeper_reply *reply, void *userdata)
{
    struct heads *heads = MAGIC_CAST(struct heads, userdata, HEADS_MAGIC);
    const uint8_t *signature = reply->signature;

    if (signature && heads->is_open && heads->generation == heads->asking_generation) {
        memcpy(heads->head.key, heads->key, sizeof heads->head.key);
        memcpy(heads->head.signature, signature, sizeof heads->head.signature);
        if (audit_head_is_signed(&heads->head))
            write_head(heads);
        else
            note_trouble(heads, "the keeper's signature is wrong");
    } else if (!signature && heads->is_open) {
        note_trouble(heads, "the keeper did not sign it");
    }
    asked(heads);
}

/* The receipts are on disk. */
static void on_durable(int result, void *userdata)
{
    struct heads *heads = MAGIC_CAST(struct heads, userdata, HEADS_MAGIC);
    uint8_t hash[SHA256_BYTES];

    heads->wait = NULL;
    if (result == 0 && heads->is_open)
        result = hex_decode(heads->head.hash, hash, sizeof hash);
    else if (result == 0)
        result = -ECANCELED;
    if (result == 0)
        result = heads->config.ask(heads->config.userdata, heads->head.seq, hash, on_signed, heads);
    if (result == 0)
        return;
    if (heads->is_open)
        note_trouble(heads, strerror(-result));
    asked(heads);
}

/* Nothing to ask while locked, or when the newest receipt is signed; behind a log that lost events, not until it has passed them. */
static void ask(struct heads *heads)
{
    const char *hash;
    uint64_t seq = receipts_head(heads->config.receipts, &hash);

    if (!heads->is_open || seq <= audit_heads_last(heads->file)->seq)
        return;
    if (heads->is_asking) {
        heads->ask_again = true;
        return;
    }
    heads->head = (struct audit_head){ .seq = seq };
    snprintf(heads->head.hash, sizeof heads->head.hash, "%s", hash);
    heads->asked_seq = seq;
    heads->asking_generation = heads->generation;
    heads->is_asking = true;
    int r = receipts_durable(heads->config.receipts, on_durable, heads, &heads->wait);
    if (r < 0) {
        heads->is_asking = false;
        note_trouble(heads, strerror(-r));
    }
}

void heads_now(struct heads *heads)
{
    ask(heads);
}

/* After each receipt. The one that says that the vault is open, or anew, is covered at once. */
static void on_receipt(const char *type, void *userdata)
{
    struct heads *heads = MAGIC_CAST(struct heads, userdata, HEADS_MAGIC);

    if (!strcmp(type, "vault.created"))
        heads->created_seq = newest_seq(heads);
    if (newest_seq(heads) - heads->asked_seq >= HEADS_EVENTS || !strcmp(type, "vault.unlocked"))
        ask(heads);
}

/* Somebody has put another vault in the place of the one that signed. It may be its owner. */
static void check_key(struct heads *heads)
{
    const struct audit_head *last = audit_heads_last(heads->file);

    heads->other_seq = 0;
    if (last->seq == 0 || heads->created_seq > last->seq || !memcmp(last->key, heads->key, sizeof last->key))
        return;
    heads->other_seq = last->seq;
    log_warn("the vault is not the one whose key signed event %" PRIu64 " of the audit log", last->seq);
}

void heads_key(struct heads *heads, const uint8_t *public_key)
{
    if (!public_key) {
        heads->generation += heads->is_open;
        heads->is_open = false;
        heads->other_seq = 0;
        heads->trouble[0] = '\0';
        return;
    }
    if (heads->is_open && !memcmp(heads->key, public_key, sizeof heads->key))
        return;
    heads->generation++;
    heads->is_open = true;
    memcpy(heads->key, public_key, sizeof heads->key);
    check_key(heads);
    ask(heads);
}

static void on_finish_timer(void *userdata)
{
    finish(MAGIC_CAST(struct heads, userdata, HEADS_MAGIC));
}

void heads_finish(struct heads *heads, void (*fn)(void *userdata), void *userdata)
{
    heads->finished = fn;
    heads->finished_userdata = userdata;
    ask(heads);
    if (heads->is_asking)
        loop_timer_set(heads->finish_timer, FINISH_MS);
    else
        finish(heads);
}

/* Events that were signed are not there any more: verify says which; the status says it too. */
static void check_end(struct heads *heads)
{
    const struct audit_head *last = audit_heads_last(heads->file);

    if (last->seq == 0 || newest_seq(heads) > last->seq)
        return;
    snprintf(heads->gone, sizeof heads->gone, "event %" PRIu64 " was signed but is gone; aileron audit verify", last->seq);
    log_error("the audit log was cut: %s", heads->gone);
}

static int take_up(struct heads *heads, struct err *err)
{
    const struct receipt recovered = { .type = "audit.recovered", .actor = AUDIT_SERVICE, .actor_id = "daemon" };
    bool torn = false;
    int r = audit_heads_open(heads->config.dir, &heads->file, &torn, err);

    if (r < 0)
        err_hint(err, "move it away: aileron audit verify then says which heads are missing");
    if (r == 0 && torn) {
        log_warn("the end of audit/heads.jsonl was no signed head; it was moved to audit/torn");
        r = receipts_append(heads->config.receipts, &recovered, NULL, err);
    }
    if (r == 0)
        check_end(heads);
    return r;
}

int heads_new(const struct heads_config *config, struct heads **ret_heads, struct err *err)
{
    CLEANUP_PTR(heads_free) struct heads *heads = calloc(1, sizeof *heads);

    if (!heads)
        return err_set(err, ENOMEM, "out of memory");
    heads->magic = HEADS_MAGIC;
    heads->config = *config;
    int r = take_up(heads, err);
    if (r == 0 && loop_timer_new(config->loop, on_finish_timer, heads, &heads->finish_timer) < 0)
        r = err_set(err, ENOMEM, "out of memory");
    if (r < 0)
        return r;
    heads->config.dir = NULL;
    heads->asked_seq = newest_seq(heads);
    r = receipts_watch(config->receipts, on_receipt, heads);
    if (r < 0)
        return err_set(err, -r, "too many watch the receipts");
    *ret_heads = TAKE_PTR(heads);
    return 0;
}

void heads_free(struct heads *heads)
{
    if (!heads)
        return;
    receipts_unwatch(heads->config.receipts, heads);
    sync_cancel(heads->wait);
    loop_timer_free(heads->finish_timer);
    audit_heads_free(heads->file);
    free(heads);
}

uint64_t heads_last_seq(const struct heads *heads)
{
    return audit_heads_last(heads->file)->seq;
}

const uint8_t *heads_vault_key(const struct heads *heads)
{
    return heads->is_open ? heads->key : NULL;
}

const char *heads_trouble(const struct heads *heads)
{
    if (heads->gone[0])
        return heads->gone;
    return heads->trouble[0] ? heads->trouble : NULL;
}

uint64_t heads_other_vault(const struct heads *heads)
{
    return heads->other_seq;
}
