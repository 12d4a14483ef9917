/*
 * Revoking (RFC 7009): a refresh that is under way is waited for, because it may change the token; then the receipt, then the
 * provider is told as far as that goes, then value and grant are deleted in any case.
 */
#include "keeper/oauth-private.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "keeper/outcome.h"

#include "base/banned.h"

#define REVOCATION_MAGIC 0x6b72766bu

struct revocation {
    uint32_t magic;
    struct oauth *oauth;
    char *binding;
    struct oauth_wait *wait;
    struct receipt_wait *receipt;
    struct http_form *form;
    struct err note; /* why the provider does not know */
    oauth_fn *fn;
    void *userdata;
    struct revocation *next;
};

static void revocation_free(struct revocation *revocation)
{
    oauth_wait_cancel(revocation->wait);
    receipts_cancel(revocation->receipt);
    http_form_cancel(revocation->form);
    free(revocation->binding);
    revocation->magic = 0;
    free(revocation);
}

void revocations_free(struct oauth *oauth)
{
    while (oauth->revocations) {
        struct revocation *revocation = oauth->revocations;

        oauth->revocations = revocation->next;
        revocation_free(revocation);
    }
}

static void revocation_end(struct revocation *revocation, enum keeper_result result, const struct err *err)
{
    const struct oauth_outcome outcome = { result, revocation->binding, err->message, err->hint, NULL };
    struct revocation **at = &revocation->oauth->revocations;

    while (*at != revocation)
        at = &(*at)->next;
    *at = revocation->next;
    revocation->fn(&outcome, revocation->userdata);
    revocation_free(revocation);
}

/* ---- the effect ---- */

static void effect(struct revocation *revocation)
{
    struct oauth *oauth = revocation->oauth;
    struct err err = ERR_INIT;
    int r = 0;

    refresh_forget(oauth, revocation->binding);
    r = vault_binding_delete(oauth->context.vault, revocation->binding, &err);
    oauth_changed(oauth);
    if (r == 0)
        revocation_end(revocation, KEEPER_OK, &revocation->note);
    else
        revocation_end(revocation, outcome_of(r), &err);
}

static void on_answer(const struct http_form_answer *answer, void *userdata)
{
    struct revocation *revocation = MAGIC_CAST(struct revocation, userdata, REVOCATION_MAGIC);

    revocation->form = NULL;
    if (answer->outcome != KEEPER_HTTP_DONE)
        err_set(&revocation->note, EIO, "the provider could not be told, so end the access there too: %s", answer->message);
    else if (answer->status != 200)
        err_set(&revocation->note, EIO, "the provider answered %u when it was told; look there whether the access has ended",
            answer->status);
    effect(revocation);
}

/* -EINVAL without a word when there is nobody to tell. */
static int provider_tell(struct revocation *revocation)
{
    struct oauth *oauth = revocation->oauth;
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(token_free) struct token *token = NULL;
    CLEANUP_PTR(secret_free) struct secret *form = NULL;
    struct http_form_request request = { .pool = revocation->binding, .timeout_ms = OAUTH_REVOKE_MS };
    const struct secret *what = NULL;

    if (oauth_get(oauth, revocation->binding, &grant, &token, NULL, NULL) != 0 || !grant->revoke_url)
        return -EINVAL;
    what = token->refresh ?: token->access;
    const struct oauth_field fields[] = {
        { "token", secret_bytes(what), secret_len(what) },
        { "token_type_hint", token->refresh ? "refresh_token" : "access_token", token->refresh ? 13 : 12 },
        { "client_id", token->client_id, strlen(token->client_id) },
        { "client_secret", token->client_secret ? secret_bytes(token->client_secret) : NULL,
            token->client_secret ? secret_len(token->client_secret) : 0 },
    };
    if (oauth_form(fields, ARRAY_LEN(fields), &form) < 0)
        return err_set(&revocation->note, ENOMEM, "the provider could not be told: the keeper has no memory left");
    request.url = grant->revoke_url;
    request.form = form;
    return http_post_form(oauth->context.http, &request, on_answer, revocation, &revocation->form, &revocation->note);
}

static void on_receipt(int result, void *userdata)
{
    struct revocation *revocation = MAGIC_CAST(struct revocation, userdata, REVOCATION_MAGIC);
    struct err err = ERR_INIT;

    revocation->receipt = NULL;
    if (result < 0) {
        err_set(&err, EIO, "the audit log could not record it, so the binding is still there");
        revocation_end(revocation, KEEPER_FAILED, &err);
    } else if (provider_tell(revocation) < 0) {
        effect(revocation);
    }
}

/* ---- the beginning ---- */

/* The connector that the binding is for, from its labels, which also a binding without a grant has. */
static json_t *payload_make(struct vault *vault, const char *name)
{
    CLEANUP_JSON json_t *bindings = vault_describe(vault);
    const json_t *binding = NULL;
    size_t i = 0;

    json_array_foreach(bindings, i, binding)
    {
        if (!strcmp(json_get_str(binding, "binding") ?: "", name))
            return oauth_payload(name, json_get_str(binding, "connector_fqn"));
    }
    return NULL;
}

static void record(struct revocation *revocation)
{
    struct oauth *oauth = revocation->oauth;
    json_t *payload = payload_make(oauth->context.vault, revocation->binding);
    struct err err = ERR_INIT;

    if (!payload) {
        err_set(&err, ENOENT, "there is no binding %s", revocation->binding);
        err_hint(&err, "aileron binding list");
        revocation_end(revocation, KEEPER_NOT_FOUND, &err);
    } else if (receipts_ask(oauth->context.receipts, "binding.revoked", payload, on_receipt, revocation, &revocation->receipt) <
               0) {
        on_receipt(-EIO, revocation);
    }
}

static void on_refreshed(const struct oauth_outcome *outcome, void *userdata)
{
    struct revocation *revocation = MAGIC_CAST(struct revocation, userdata, REVOCATION_MAGIC);

    revocation->wait = NULL;
    record(revocation);
}

void oauth_revoke(struct oauth *oauth, const char *binding, oauth_fn *fn, void *userdata)
{
    struct revocation *revocation = NULL;
    struct oauth_outcome outcome = { KEEPER_FAILED, binding, "the keeper has no memory left", "", NULL };

    if (vault_state(oauth->context.vault) != KEEPER_VAULT_UNLOCKED) {
        outcome = (struct oauth_outcome){ KEEPER_LOCKED, binding, "the vault is locked", "aileron vault unlock", NULL };
        fn(&outcome, userdata);
        return;
    }
    revocation = calloc(1, sizeof *revocation);
    if (!revocation || !(revocation->binding = strdup(binding))) {
        free(revocation);
        fn(&outcome, userdata);
        return;
    }
    revocation->magic = REVOCATION_MAGIC;
    revocation->oauth = oauth;
    revocation->fn = fn;
    revocation->userdata = userdata;
    revocation->next = oauth->revocations;
    oauth->revocations = revocation;
    if (!refresh_join(oauth, binding, on_refreshed, revocation, &revocation->wait))
        record(revocation);
}
