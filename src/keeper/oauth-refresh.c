/*
 * Refreshing (RFC 6749 §6). One `refresh` per binding that has something to remember: a request under way, callers that wait for
 * its end, a new token that could not be written, or an end so recent that it is not tried again. Callers hear of an end at
 * a turn of the loop of its own, never from inside the request that they wait for.
 *
 * A new token is on disk before anybody uses it, and a rotated one is never lost while the keeper runs: what could not be
 * written is tried again before anything else is done with that binding.
 */
#include "keeper/oauth-private.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#include "base/banned.h"

#define REFRESH_MAGIC 0x6b726672u
#define WAIT_MAGIC    0x6b6f7774u
#define BACK_OFF_MS   1000
#define FRESH_MS      10000

enum refresh_state { REFRESH_IDLE, REFRESH_ASKING, REFRESH_ENDED };

struct oauth_wait {
    uint32_t magic;
    struct refresh *refresh;
    uint64_t round;
    oauth_fn *fn;
    http_refreshed_fn *http_fn; /* instead of fn */
    void *userdata;
    struct oauth_wait *prev, *next;
};

struct refresh {
    uint32_t magic;
    struct oauth *oauth;
    char *binding;
    enum refresh_state state;
    uint64_t round; /* of the waits that the next end is for */
    struct loop_timer *timer;
    struct http_form *form;
    /* of the request under way */
    struct token *token;
    uint64_t generation;
    int64_t asked_unix_s;
    /* a token that could not be written, and what it replaces */
    struct secret *unsaved;
    json_t *unsaved_labels;
    uint64_t unsaved_generation;
    /* how the last one ended */
    enum keeper_result result;
    bool is_network;
    struct err err;
    int64_t again_ms; /* CLOCK_BOOTTIME; not before, after a failure */
    int64_t fresh_ms; /* CLOCK_BOOTTIME; until then a refusal of the token is no reason for another one */
    bool telling;
    struct oauth_wait *first, *last;
    struct refresh *next;
};

/* ---- records ---- */

static void unsaved_drop(struct refresh *refresh)
{
    secret_free(TAKE_PTR(refresh->unsaved));
    json_decref(TAKE_PTR(refresh->unsaved_labels));
}

static void wait_unlink(struct oauth_wait *wait)
{
    struct refresh *refresh = wait->refresh;

    *(wait->prev ? &wait->prev->next : &refresh->first) = wait->next;
    *(wait->next ? &wait->next->prev : &refresh->last) = wait->prev;
}

static void wait_free(struct oauth_wait *wait)
{
    wait_unlink(wait);
    wait->magic = 0;
    free(wait);
}

static void refresh_free(struct refresh *refresh)
{
    while (refresh->first)
        wait_free(refresh->first);
    http_form_cancel(refresh->form);
    loop_timer_free(refresh->timer);
    token_free(refresh->token);
    unsaved_drop(refresh);
    free(refresh->binding);
    refresh->magic = 0;
    free(refresh);
}

static struct refresh *refresh_find(const struct oauth *oauth, const char *binding)
{
    struct refresh *refresh = oauth->refreshes;

    while (refresh && strcmp(refresh->binding, binding) != 0)
        refresh = refresh->next;
    return refresh;
}

static void refresh_remove(struct refresh *refresh)
{
    struct refresh **at = &refresh->oauth->refreshes;

    while (*at != refresh)
        at = &(*at)->next;
    *at = refresh->next;
    refresh_free(refresh);
}

/* Away with it when there is nothing left to remember; else the timer looks again when the pause is over. */
static void refresh_settle(struct refresh *refresh)
{
    int64_t until_ms = refresh->again_ms > refresh->fresh_ms ? refresh->again_ms : refresh->fresh_ms;
    int64_t left_ms = until_ms - clock_boot_ms();

    if (refresh->state != REFRESH_IDLE || refresh->telling || refresh->unsaved)
        return;
    if (left_ms > 0)
        loop_timer_set(refresh->timer, left_ms);
    else
        refresh_remove(refresh);
}

/* ---- the end ---- */

static void wait_tell(struct oauth_wait *wait)
{
    struct refresh *refresh = wait->refresh;
    const struct oauth_outcome outcome = { refresh->result, refresh->binding, refresh->err.message, refresh->err.hint, NULL };
    enum keeper_http_outcome http_outcome = refresh->result == KEEPER_OK ? KEEPER_HTTP_DONE
                                            : refresh->is_network        ? KEEPER_HTTP_NETWORK
                                                                         : KEEPER_HTTP_BINDING_FAILED;
    oauth_fn *fn = wait->fn;
    http_refreshed_fn *http_fn = wait->http_fn;
    void *userdata = wait->userdata;

    wait_free(wait);
    if (http_fn)
        http_fn(http_outcome, outcome.message, userdata);
    else
        fn(&outcome, userdata);
}

static void on_timer(void *userdata)
{
    struct refresh *refresh = MAGIC_CAST(struct refresh, userdata, REFRESH_MAGIC);
    uint64_t round = refresh->round;

    if (refresh->state == REFRESH_ENDED) {
        /* Whoever is told may ask again, which is for the next round. */
        refresh->state = REFRESH_IDLE;
        refresh->round++;
        refresh->telling = true;
        while (refresh->first && refresh->first->round == round)
            wait_tell(refresh->first);
        refresh->telling = false;
    }
    refresh_settle(refresh);
}

static void refresh_end(struct refresh *refresh, enum keeper_result result, const struct err *err)
{
    refresh->state = REFRESH_ENDED;
    refresh->result = result;
    refresh->err = *err;
    refresh->again_ms = result == KEEPER_OK ? 0 : clock_boot_ms() + BACK_OFF_MS;
    token_free(TAKE_PTR(refresh->token));
    loop_timer_set(refresh->timer, 0);
}

static void refresh_ok(struct refresh *refresh)
{
    const struct err none = ERR_INIT;

    refresh_end(refresh, KEEPER_OK, &none);
}

/* ---- writing ---- */

/*
 * Writes the new token under the grant as it is now. 0 also when it is not needed any more, because the binding was
 * removed or authorised anew meanwhile.
 */
static int unsaved_write(struct refresh *refresh, struct err *err)
{
    struct vault *vault = refresh->oauth->context.vault;
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    uint64_t generation = 0;
    int r = vault_binding_get(vault, refresh->binding, &grant, &value, &generation, err);

    if (r == 0 && generation == refresh->unsaved_generation)
        r = vault_binding_put(vault, refresh->binding, grant, refresh->unsaved, refresh->unsaved_labels, err);
    else if (r == VAULT_NO_BINDING)
        r = 0;
    if (r == 0)
        unsaved_drop(refresh);
    return r;
}

static void save(struct refresh *refresh)
{
    struct oauth *oauth = refresh->oauth;
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(token_free) struct token *token = NULL;
    struct err err = ERR_INIT;

    if (unsaved_write(refresh, &err) != 0) {
        err_prefix(&err, "the new token of %s could not be written, and it is not used before", refresh->binding);
        refresh->is_network = false;
        refresh_end(refresh, KEEPER_FAILED, &err);
        return;
    }
    if (oauth_get(oauth, refresh->binding, &grant, &token, NULL, NULL) == 0)
        receipts_tell(oauth->context.receipts, "binding.refreshed", oauth_payload(refresh->binding, grant->connector_fqn));
    oauth_changed(oauth);
    refresh->fresh_ms = clock_boot_ms() + FRESH_MS;
    refresh_ok(refresh);
}

/* ---- the answer ---- */

static json_t *labels_make(const struct token *token, const struct oauth_answer *answer)
{
    CLEANUP_JSON json_t *granted = oauth_scopes(token, answer, true), *missing = oauth_scopes(token, answer, false);
    json_t *labels =
        json_pack("{s:o, s:s}", "last_refreshed_at", oauth_time(oauth_now_unix_s()), "refresh_token_present", "true");

    if (!labels || !granted || !missing ||
        (answer->has_scope && (json_object_set_new(labels, "granted_scopes", oauth_join(granted)) < 0 ||
                                  json_object_set_new(labels, "missing_scopes", oauth_join(missing)) < 0))) {
        json_decref(labels);
        return NULL;
    }
    return labels;
}

static void refresh_use(struct refresh *refresh, struct oauth_answer *answer)
{
    CLEANUP_PTR(token_free) struct token *token = NULL;
    struct err err = ERR_INIT;
    int r = oauth_token_renew(refresh->token, answer, refresh->asked_unix_s, &token);

    unsaved_drop(refresh);
    if (r == 0)
        r = token_format(token, &refresh->unsaved);
    refresh->unsaved_labels = labels_make(refresh->token, answer);
    refresh->unsaved_generation = refresh->generation;
    if (r < 0 || !refresh->unsaved_labels) {
        unsaved_drop(refresh);
        err_set(&err, ENOMEM, "the keeper has no memory left for the new token of %s", refresh->binding);
        refresh_end(refresh, KEEPER_FAILED, &err);
        return;
    }
    save(refresh);
}

/* invalid_grant: this refresh token is of no more use, unless the binding has another one by now. */
static void refresh_is_void(struct refresh *refresh)
{
    struct oauth *oauth = refresh->oauth;
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(token_free) struct token *token = NULL;
    struct err err = ERR_INIT;
    uint64_t generation = 0;

    if (oauth_get(oauth, refresh->binding, &grant, &token, &generation, &err) == 0 && generation != refresh->generation) {
        refresh_ok(refresh);
        return;
    }
    if (grant) {
        receipts_tell(oauth->context.receipts, "binding.failed", oauth_payload(refresh->binding, grant->connector_fqn));
        vault_binding_mark(oauth->context.vault, refresh->binding, "stale", "refresh_failed", NULL);
        oauth_changed(oauth);
    }
    err_set(&err, EACCES, "the provider no longer accepts the access of %s (invalid_grant): run `aileron binding reauthorize %s`",
        refresh->binding, refresh->binding);
    err_hint(&err, "aileron binding reauthorize %s", refresh->binding);
    refresh_end(refresh, KEEPER_FAILED, &err);
}

static void on_answer(const struct http_form_answer *http_answer, void *userdata)
{
    struct refresh *refresh = MAGIC_CAST(struct refresh, userdata, REFRESH_MAGIC);
    CLEANUP_PTR(oauth_answer_free) struct oauth_answer *answer = NULL;
    bool grant_invalid = false;
    struct err err = ERR_INIT;
    int r = OAUTH_ANSWER_UNAVAILABLE;

    refresh->form = NULL;
    if (http_answer->outcome == KEEPER_HTTP_DONE)
        r = oauth_answer_read(http_answer->status, http_answer->body, &answer, &grant_invalid, &err);
    else
        err_set(&err, EIO, "%s", http_answer->message);
    refresh->is_network = r == OAUTH_ANSWER_UNAVAILABLE;
    if (r == 0) {
        refresh_use(refresh, answer);
    } else if (grant_invalid) {
        refresh_is_void(refresh);
    } else {
        err_prefix(&err, "the access of %s could not be renewed", refresh->binding);
        refresh_end(refresh, KEEPER_FAILED, &err);
    }
}

/* ---- the request ---- */

static int ask(struct refresh *refresh, const struct grant *grant, struct err *err)
{
    const struct token *token = refresh->token;
    const struct secret *client_secret = token->client_secret;
    const struct oauth_field fields[] = {
        { "grant_type", "refresh_token", 13 },
        { "refresh_token", secret_bytes(token->refresh), secret_len(token->refresh) },
        { "client_id", token->client_id, strlen(token->client_id) },
        { "client_secret", client_secret ? secret_bytes(client_secret) : NULL, client_secret ? secret_len(client_secret) : 0 },
    };
    CLEANUP_PTR(secret_free) struct secret *form = NULL;
    struct http_form_request request = { .url = grant->token_url, .pool = refresh->binding, .timeout_ms = OAUTH_REFRESH_MS };

    if (oauth_form(fields, ARRAY_LEN(fields), &form) < 0)
        return err_set(err, ENOMEM, "out of memory");
    request.form = form;
    return http_post_form(refresh->oauth->context.http, &request, on_answer, refresh, &refresh->form, err);
}

static void refresh_ask(struct refresh *refresh)
{
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    struct err err = ERR_INIT;
    int r = oauth_get(refresh->oauth, refresh->binding, &grant, &refresh->token, &refresh->generation, &err);

    refresh->is_network = false;
    if (r == 0 && (!refresh->token->refresh || !grant->token_url)) {
        r = err_set(&err, ENOKEY, "the provider gave nothing to renew the access of %s with", refresh->binding);
        err_hint(&err, "aileron binding reauthorize %s", refresh->binding);
    }
    refresh->asked_unix_s = oauth_now_unix_s();
    if (r == 0)
        r = ask(refresh, grant, &err);
    if (r == 0)
        refresh->state = REFRESH_ASKING;
    else
        refresh_end(refresh, KEEPER_FAILED, &err);
}

static void refresh_start(struct refresh *refresh)
{
    if (refresh->unsaved) {
        save(refresh);
    } else if (refresh->again_ms > clock_boot_ms()) {
        refresh->state = REFRESH_ENDED; /* as it ended a moment ago */
        loop_timer_set(refresh->timer, 0);
    } else {
        refresh_ask(refresh);
    }
}

/* ---- who asks ---- */

static struct refresh *refresh_new(struct oauth *oauth, const char *binding)
{
    struct refresh *refresh = calloc(1, sizeof *refresh);

    if (!refresh)
        return NULL;
    refresh->magic = REFRESH_MAGIC;
    refresh->oauth = oauth;
    refresh->binding = strdup(binding);
    if (!refresh->binding || loop_timer_new(oauth->context.loop, on_timer, refresh, &refresh->timer) < 0) {
        refresh_free(refresh);
        return NULL;
    }
    refresh->next = oauth->refreshes;
    oauth->refreshes = refresh;
    return refresh;
}

static struct oauth_wait *wait_new(struct refresh *refresh, void *userdata)
{
    struct oauth_wait *wait = calloc(1, sizeof *wait);

    if (!wait)
        return NULL;
    wait->magic = WAIT_MAGIC;
    wait->refresh = refresh;
    wait->round = refresh->round;
    wait->userdata = userdata;
    wait->prev = refresh->last;
    *(refresh->last ? &refresh->last->next : &refresh->first) = wait;
    refresh->last = wait;
    return wait;
}

static int wait_start(struct oauth *oauth, const char *binding, void *userdata, struct oauth_wait **ret_wait)
{
    struct refresh *refresh = refresh_find(oauth, binding);
    struct oauth_wait *wait = NULL;

    if (!refresh)
        refresh = refresh_new(oauth, binding);
    wait = refresh ? wait_new(refresh, userdata) : NULL;
    if (!wait && refresh)
        refresh_settle(refresh);
    if (!wait)
        return -ENOMEM;
    if (refresh->state == REFRESH_IDLE)
        refresh_start(refresh);
    *ret_wait = wait;
    return 0;
}

int oauth_refresh(struct oauth *oauth, const char *binding, oauth_fn *fn, void *userdata, struct oauth_wait **ret_wait)
{
    int r = wait_start(oauth, binding, userdata, ret_wait);

    if (r == 0)
        (*ret_wait)->fn = fn;
    return r;
}

bool refresh_join(struct oauth *oauth, const char *binding, oauth_fn *fn, void *userdata, struct oauth_wait **ret_wait)
{
    const struct refresh *refresh = refresh_find(oauth, binding);

    return refresh && refresh->state != REFRESH_IDLE && oauth_refresh(oauth, binding, fn, userdata, ret_wait) == 0;
}

void refresh_forget(struct oauth *oauth, const char *binding)
{
    struct refresh *refresh = refresh_find(oauth, binding);

    if (!refresh)
        return;
    unsaved_drop(refresh);
    refresh->again_ms = refresh->fresh_ms = 0;
    refresh_settle(refresh);
}

void oauth_wait_cancel(struct oauth_wait *wait)
{
    if (wait)
        wait_free(wait);
}

/*
 * What cannot be written even now stays in secret memory until the vault is open again: the provider takes the old token no
 * more, so to wipe the new one would be to lose the binding. The same goes for an answer that comes after this.
 */
void oauth_lock(struct oauth *oauth)
{
    struct refresh *next = NULL;

    for (struct refresh *refresh = oauth->refreshes; refresh; refresh = next) {
        next = refresh->next;
        if (refresh->unsaved)
            unsaved_write(refresh, NULL);
        refresh_settle(refresh);
    }
}

/* ---- http's side ---- */

static bool http_is_due(void *userdata, const char *binding)
{
    const struct oauth *oauth = MAGIC_CAST(struct oauth, userdata, OAUTH_MAGIC);
    const struct refresh *refresh = refresh_find(oauth, binding);

    return refresh && refresh->unsaved;
}

static bool http_is_fresh(void *userdata, const char *binding)
{
    const struct oauth *oauth = MAGIC_CAST(struct oauth, userdata, OAUTH_MAGIC);
    const struct refresh *refresh = refresh_find(oauth, binding);

    return refresh && refresh->fresh_ms > clock_boot_ms();
}

static int http_refresh(void *userdata, const char *binding, http_refreshed_fn *fn, void *fn_userdata, void **ret_wait)
{
    struct oauth *oauth = MAGIC_CAST(struct oauth, userdata, OAUTH_MAGIC);
    struct oauth_wait *wait = NULL;
    int r = wait_start(oauth, binding, fn_userdata, &wait);

    if (r < 0)
        return r;
    wait->http_fn = fn;
    *ret_wait = wait;
    return 0;
}

static void http_cancel_wait(void *wait)
{
    oauth_wait_cancel(MAGIC_CAST(struct oauth_wait, wait, WAIT_MAGIC));
}

void refreshes_init(struct oauth *oauth)
{
    oauth->refresher = (struct http_refresher){ http_is_due, http_is_fresh, http_refresh, http_cancel_wait, oauth };
}

void refreshes_free(struct oauth *oauth)
{
    while (oauth->refreshes) {
        struct refresh *refresh = oauth->refreshes;

        oauth->refreshes = refresh->next;
        if (refresh->unsaved)
            unsaved_write(refresh, NULL);
        refresh_free(refresh);
    }
}
