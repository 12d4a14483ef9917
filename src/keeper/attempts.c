/*
 * The queue of attempts. Only its head has a derivation; the others hold their passphrase in secret memory. The salt is
 * read when an attempt's turn has come, for the one before may have changed the passphrase.
 */
#include "keeper/attempts.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/magic.h"
#include "crypt/digest.h"
#include "keeper/derive.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define ATTEMPTS_MAGIC 0x61747473u
#define ATTEMPT_MAGIC  0x61747074u
#define PAUSE_MAX_MS   30000

struct attempt {
    uint32_t magic;
    struct attempts *attempts;
    struct attempt *next;
    struct secret *passphrase;
    struct derive_job *job; /* the head's alone */
    bool makes;             /* a new passphrase */
    uint8_t salt[KDF_SALT_BYTES];
    attempt_fn *fn;
    void *userdata;
};

struct attempts {
    uint32_t magic;
    const struct parts *parts;
    struct loop_timer *turn;
    struct attempt *head;
    size_t len;
    unsigned wrong; /* in a row */
    int64_t not_before_ms;
};

int64_t attempts_pause_ms(unsigned wrong)
{
    if (wrong == 0)
        return 0;
    return wrong > 5 ? PAUSE_MAX_MS : (int64_t) 1000 << (wrong - 1);
}

int64_t attempts_pause_left(const struct attempts *attempts)
{
    int64_t left_ms = attempts->not_before_ms - clock_boot_ms();

    return left_ms > 0 ? left_ms : 0;
}

static void attempt_free(struct attempt *attempt)
{
    if (!attempt)
        return;
    derive_cancel(attempt->job);
    secret_free(attempt->passphrase);
    attempt->magic = 0;
    free(attempt);
}
DEFINE_CLEANUP_PTR(struct attempt, attempt_free)

static void unlink_attempt(struct attempt *attempt)
{
    struct attempts *attempts = attempt->attempts;
    struct attempt **at = &attempts->head;

    while (*at && *at != attempt)
        at = &(*at)->next;
    if (!*at)
        abort();
    *at = attempt->next;
    attempts->len--;
}

/* Takes the attempt out, lets the next one have its turn, and tells. */
static void finish(struct attempt *attempt, struct attempt_end *end)
{
    CLEANUP_PTR(attempt_free) struct attempt *own = attempt;

    unlink_attempt(own);
    if (own->attempts->head)
        loop_timer_set(own->attempts->turn, 0);
    own->fn(end, own->userdata);
}

static void judge(struct attempts *attempts, int result)
{
    if (result == 0) {
        attempts->wrong = 0;
        attempts->not_before_ms = 0;
    } else if (result == VAULT_WRONG_PASSPHRASE) {
        attempts->wrong++;
        attempts->not_before_ms = clock_boot_ms() + attempts_pause_ms(attempts->wrong);
    }
}

static void on_derived(int result, const struct secret *key, void *userdata)
{
    struct attempt *attempt = MAGIC_CAST(struct attempt, userdata, ATTEMPT_MAGIC);
    struct vault *vault = attempt->attempts->parts->vault;
    bool was_open = vault_state(vault) == KEEPER_VAULT_UNLOCKED;
    struct err err = ERR_INIT;
    struct attempt_end end = { .result = result, .err = &err };

    attempt->job = NULL;
    if (result < 0)
        err_errno(&err, -result, "the key could not be derived");
    else if (!attempt->makes)
        end.result = vault_unlock(vault, key, &err);
    if (!attempt->makes)
        judge(attempt->attempts, end.result);
    if (end.result == 0) {
        end.key = key;
        end.opened = !attempt->makes && !was_open;
        memcpy(end.salt, attempt->salt, sizeof end.salt);
    }
    finish(attempt, &end);
}

/* The head's turn. */
static void on_turn(void *userdata)
{
    struct attempts *attempts = MAGIC_CAST(struct attempts, userdata, ATTEMPTS_MAGIC);
    struct attempt *attempt = attempts->head;
    struct err err = ERR_INIT;
    struct attempt_end end = { .err = &err };

    if (!attempt || attempt->job)
        return;
    if (attempt->makes)
        random_bytes(attempt->salt, sizeof attempt->salt);
    else
        end.result = vault_salt(attempts->parts->vault, attempt->salt, &err);
    if (end.result == 0) {
        end.result = derive_start(attempts->parts->derive, attempt->passphrase, attempt->salt,
            attempt->makes ? 0 : attempts_pause_left(attempts), on_derived, attempt, &attempt->job);
        if (end.result < 0)
            err_errno(&err, -end.result, "the key could not be derived");
    }
    if (end.result != 0)
        finish(attempt, &end);
}

int attempts_new(const struct parts *parts, struct attempts **ret_attempts)
{
    CLEANUP_PTR(attempts_free) struct attempts *attempts = calloc(1, sizeof *attempts);
    int r = 0;

    if (!attempts)
        return -ENOMEM;
    attempts->magic = ATTEMPTS_MAGIC;
    attempts->parts = parts;
    r = loop_timer_new(parts->loop, on_turn, attempts, &attempts->turn);
    if (r < 0)
        return r;
    *ret_attempts = TAKE_PTR(attempts);
    return 0;
}

void attempts_free(struct attempts *attempts)
{
    if (!attempts)
        return;
    while (attempts->head) {
        struct attempt *attempt = attempts->head;

        attempts->head = attempt->next;
        attempt_free(attempt);
    }
    loop_timer_free(attempts->turn);
    attempts->magic = 0;
    free(attempts);
}

static int attempt_add(struct attempts *attempts, const struct secret *passphrase, bool makes, attempt_fn *fn, void *userdata,
    struct attempt **ret_attempt)
{
    CLEANUP_PTR(attempt_free) struct attempt *attempt = NULL;
    struct attempt **end = &attempts->head;
    int r = 0;

    if (attempts->len == ATTEMPTS_MAX)
        return -EBUSY;
    attempt = calloc(1, sizeof *attempt);
    if (!attempt)
        return -ENOMEM;
    *attempt = (struct attempt){ .magic = ATTEMPT_MAGIC, .attempts = attempts, .makes = makes, .fn = fn, .userdata = userdata };
    r = secret_from(secret_bytes(passphrase), secret_len(passphrase), &attempt->passphrase);
    if (r < 0)
        return r;
    while (*end)
        end = &(*end)->next;
    *end = attempt;
    attempts->len++;
    loop_timer_set(attempts->turn, 0);
    *ret_attempt = TAKE_PTR(attempt);
    return 0;
}

int attempts_prove(
    struct attempts *attempts, const struct secret *passphrase, attempt_fn *fn, void *userdata, struct attempt **ret_attempt)
{
    return attempt_add(attempts, passphrase, false, fn, userdata, ret_attempt);
}

int attempts_make(
    struct attempts *attempts, const struct secret *passphrase, attempt_fn *fn, void *userdata, struct attempt **ret_attempt)
{
    return attempt_add(attempts, passphrase, true, fn, userdata, ret_attempt);
}

void attempts_cancel(struct attempt *attempt)
{
    if (!attempt)
        return;
    unlink_attempt(attempt);
    if (attempt->attempts->head)
        loop_timer_set(attempt->attempts->turn, 0);
    attempt_free(attempt);
}
