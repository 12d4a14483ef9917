/*
 * Flows: from the authorize URL to a binding. A flow is open until its state comes back, once; then the code is traded for a
 * token, the receipt is written, and only then the binding. Nothing that a browser or a provider says is repeated.
 */
#include "keeper/oauth-private.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "keeper/outcome.h"

#include "base/banned.h"

#define FLOW_MAGIC 0x6b6f666cu
#define POOL_TEXT  32

enum flow_stage { FLOW_OPEN, FLOW_EXCHANGING, FLOW_RECORDING };

struct oauth_flow {
    uint32_t magic;
    struct oauth *oauth;
    enum flow_stage stage;
    char *binding;
    struct grant *grant;
    struct token *token; /* until the answer: client, token URL and scopes alone */
    char *redirect_uri;
    bool make_default;
    bool is_again; /* the same consent, renewed */
    json_t *labels;
    char state[OAUTH_STATE_LEN + 1];
    char pool[POOL_TEXT];
    struct secret *verifier;
    struct loop_timer *timer;
    struct http_form *form;
    struct receipt_wait *receipt;
    int64_t asked_unix_s;
    bool existed;
    struct secret *value; /* the new token as it will be written */
    json_t *granted, *missing;
    oauth_fn *fn;
    void *userdata;
    oauth_fn *callback_fn; /* whoever brought the redirect */
    void *callback_userdata;
    struct oauth_flow *next;
};

/* ---- life ---- */

static void flow_free(struct oauth_flow *flow)
{
    if (!flow)
        return;
    http_form_cancel(flow->form);
    receipts_cancel(flow->receipt);
    loop_timer_free(flow->timer);
    free(flow->binding);
    grant_free(flow->grant);
    token_free(flow->token);
    secret_free(flow->value);
    free(flow->redirect_uri);
    json_decref(flow->labels);
    json_decref(flow->granted);
    json_decref(flow->missing);
    secret_wipe(flow->state, sizeof flow->state);
    secret_free(flow->verifier);
    flow->magic = 0;
    free(flow);
}
DEFINE_CLEANUP_PTR(struct oauth_flow, flow_free)

static void flow_unlink(struct oauth_flow *flow)
{
    struct oauth_flow **at = &flow->oauth->flows;

    while (*at != flow)
        at = &(*at)->next;
    *at = flow->next;
    flow->oauth->flows_len--;
}

void flows_free(struct oauth *oauth)
{
    while (oauth->flows) {
        struct oauth_flow *flow = oauth->flows;

        flow_unlink(flow);
        flow_free(flow);
    }
}

static void flow_end(struct oauth_flow *flow, enum keeper_result result, const struct err *err, const json_t *detail)
{
    const struct oauth_outcome outcome = { result, flow->binding, err->message, err->hint, detail };

    flow_unlink(flow);
    if (flow->callback_fn)
        flow->callback_fn(&outcome, flow->callback_userdata);
    if (flow->fn)
        flow->fn(&outcome, flow->userdata);
    flow_free(flow);
}

/* A consent that came back and led to nothing is on record. */
static void flow_fail(struct oauth_flow *flow, enum keeper_result result, const struct err *err)
{
    json_t *payload = oauth_payload(flow->binding, flow->grant->connector_fqn);

    if (payload && result == KEEPER_DENIED)
        json_object_set_new(payload, "aileron.consent.decision", json_string("denied"));
    if (payload)
        receipts_tell(flow->oauth->context.receipts, "binding.failed", payload);
    flow_end(flow, result, err, NULL);
}

static void on_timeout(void *userdata)
{
    struct oauth_flow *flow = MAGIC_CAST(struct oauth_flow, userdata, FLOW_MAGIC);
    struct err err = ERR_INIT;

    err_set(&err, ETIMEDOUT, "nobody came back from the provider in time; nothing was connected");
    flow_end(flow, KEEPER_TIMED_OUT, &err, NULL);
}

/* ---- the beginning ---- */

static int flow_check(const struct oauth *oauth, const struct oauth_spec *spec, struct err *err)
{
    if (oauth->flows_len >= OAUTH_FLOWS_MAX)
        return err_set(err, EBUSY, "%d sign-ins are open already: finish one, or wait ten minutes", OAUTH_FLOWS_MAX);
    if (!grant_binding_name_is_valid(spec->binding) || strncmp(spec->binding, "oauth2/", 7) != 0)
        return err_set(err, EINVAL, "the binding's name must be oauth2/SERVICE/IDENTITY");
    if (spec->grant->kind != GRANT_OAUTH2 || !spec->grant->token_url)
        return err_set(err, EINVAL, "a sign-in needs a token URL");
    if (spec->scopes_len > TOKEN_SCOPES_MAX)
        return err_set(err, EINVAL, "more than %d scopes", TOKEN_SCOPES_MAX);
    return oauth_redirect_check(spec->redirect_uri, err);
}

static int client_copy(const struct oauth_spec *spec, struct token *token)
{
    token->client_id = strdup(spec->client_id);
    token->token_url = strdup(spec->grant->token_url);
    token->scopes = calloc(spec->scopes_len + 1, sizeof *token->scopes);
    if (!token->client_id || !token->token_url || !token->scopes)
        return -ENOMEM;
    for (size_t i = 0; i < spec->scopes_len; i++) {
        token->scopes[i] = strdup(spec->scopes[i]);
        if (!token->scopes[i])
            return -ENOMEM;
        token->scopes_len++;
    }
    if (!spec->client_secret)
        return 0;
    return secret_from(secret_bytes(spec->client_secret), secret_len(spec->client_secret), &token->client_secret);
}

/* The authorize URL is part of what was consented to, so that a later sign-in goes to the same place. */
static int grant_take(const struct oauth_spec *spec, struct oauth_flow *flow)
{
    char *authorize_url = strdup(spec->authorize_url);
    int r = authorize_url ? grant_copy(spec->grant, &flow->grant) : -ENOMEM;

    if (r < 0) {
        free(authorize_url);
        return r;
    }
    free(flow->grant->authorize_url);
    flow->grant->authorize_url = authorize_url;
    return 0;
}

static int flow_fill(const struct oauth_spec *spec, struct oauth_flow *flow)
{
    struct oauth *oauth = flow->oauth;
    int r = 0;

    flow->binding = strdup(spec->binding);
    flow->redirect_uri = strdup(spec->redirect_uri);
    flow->token = calloc(1, sizeof *flow->token);
    flow->labels = spec->labels ? json_deep_copy(spec->labels) : json_object();
    flow->make_default = spec->make_default;
    snprintf(flow->pool, sizeof flow->pool, "flow %llu", (unsigned long long) ++oauth->pools);
    if (!flow->binding || !flow->redirect_uri || !flow->token || !flow->labels)
        return -ENOMEM;
    r = client_copy(spec, flow->token);
    if (r == 0)
        r = grant_take(spec, flow);
    if (r == 0)
        r = oauth_verifier_new(&flow->verifier);
    if (r == 0)
        r = oauth_state_new(flow->state);
    return r < 0 ? r : loop_timer_new(oauth->context.loop, on_timeout, flow, &flow->timer);
}

static int flow_new(
    struct oauth *oauth, const struct oauth_spec *spec, char **ret_url, struct oauth_flow **ret_flow, struct err *err)
{
    CLEANUP_PTR(flow_free) struct oauth_flow *flow = calloc(1, sizeof *flow);
    char challenge[OAUTH_CHALLENGE_LEN + 1];
    struct oauth_authorize what = { spec->authorize_url, spec->client_id, spec->redirect_uri, NULL, challenge, spec->scopes,
        spec->scopes_len };
    int r = -ENOMEM;

    if (flow) {
        flow->magic = FLOW_MAGIC;
        flow->oauth = oauth;
        r = flow_fill(spec, flow);
    }
    if (r == 0)
        r = oauth_challenge(flow->verifier, challenge);
    if (r < 0)
        return err_set(err, ENOMEM, "the keeper has no memory left for a sign-in");
    what.state = flow->state;
    r = oauth_authorize_url(&what, ret_url, err);
    if (r < 0)
        return r;
    flow->next = oauth->flows;
    oauth->flows = flow;
    oauth->flows_len++;
    loop_timer_set(flow->timer, oauth->context.flow_ms);
    *ret_flow = TAKE_PTR(flow);
    return 0;
}

int oauth_begin(struct oauth *oauth, const struct oauth_spec *spec, oauth_fn *fn, void *userdata, char **ret_url,
    struct oauth_flow **ret_flow, struct err *err)
{
    struct oauth_flow *flow = NULL;
    int r = flow_check(oauth, spec, err);

    if (r == 0)
        r = flow_new(oauth, spec, ret_url, &flow, err);
    if (r < 0)
        return r;
    flow->fn = fn;
    flow->userdata = userdata;
    *ret_flow = flow;
    return 0;
}

int oauth_begin_again(struct oauth *oauth, const char *binding, const char *redirect_uri, oauth_fn *fn, void *userdata,
    char **ret_url, struct oauth_flow **ret_flow, struct err *err)
{
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(token_free) struct token *token = NULL;
    struct oauth_spec spec = { .binding = binding, .redirect_uri = redirect_uri };
    int r = oauth_get(oauth, binding, &grant, &token, NULL, err);

    if (r != 0)
        return r;
    if (!grant->authorize_url) {
        r = err_set(err, EINVAL, "the consent for %s does not say where to sign in", binding);
        err_hint(err, "aileron binding setup %s", grant->connector_fqn);
        return r;
    }
    spec.grant = grant;
    spec.authorize_url = grant->authorize_url;
    spec.client_id = token->client_id;
    spec.client_secret = token->client_secret;
    spec.scopes = (const char *const *) token->scopes;
    spec.scopes_len = token->scopes_len;
    r = oauth_begin(oauth, &spec, fn, userdata, ret_url, ret_flow, err);
    if (r == 0)
        (*ret_flow)->is_again = true;
    return r;
}

void oauth_cancel(struct oauth_flow *flow)
{
    struct err err = ERR_INIT;

    if (!flow)
        return;
    flow->fn = NULL;
    /* What is being recorded comes true, whoever is there to hear of it. */
    if (flow->stage == FLOW_RECORDING)
        return;
    err_set(&err, ECANCELED, "the sign-in was cancelled where it began; nothing was connected");
    flow_end(flow, KEEPER_FAILED, &err, NULL);
}

/* ---- the end: receipt, then binding ---- */

/* Of what the caller said only what describes: the vault itself keeps the names, the status and the default. */
static json_t *labels_make(const struct oauth_flow *flow)
{
    static const char *const taken[] = { "scope", "account" };
    json_t *labels =
        json_pack("{s:n, s:s, s:o, s:o}", "stale_reason", "refresh_token_present", flow->token->refresh ? "true" : "false",
            "granted_scopes", oauth_join(flow->granted), "missing_scopes", oauth_join(flow->missing));

    for (size_t i = 0; labels && i < ARRAY_LEN(taken); i++) {
        json_t *text = json_object_get(flow->labels, taken[i]);

        if (json_is_string(text))
            json_object_set(labels, taken[i], text);
    }
    return labels;
}

static json_t *detail_make(const struct oauth_flow *flow)
{
    json_t *detail = json_pack("{s:s, s:O, s:O, s:b}", "binding", flow->binding, "granted_scopes", flow->granted,
        "missing_scopes", flow->missing, "refresh_token_present", flow->token->refresh != NULL);

    if (detail && flow->token->expires_unix_s)
        json_object_set_new(detail, "expires_at", json_integer(flow->token->expires_unix_s));
    return detail;
}

static int flow_bind(struct oauth_flow *flow, struct err *err)
{
    struct vault *vault = flow->oauth->context.vault;
    CLEANUP_JSON json_t *labels = labels_make(flow);
    int r = 0;

    if (!labels)
        return err_set(err, ENOMEM, "the keeper has no memory left for the token");
    refresh_forget(flow->oauth, flow->binding);
    r = vault_binding_put(vault, flow->binding, flow->grant, flow->value, labels, err);
    if (r == 0 && flow->make_default)
        r = vault_binding_set_default(vault, flow->binding, true, err);
    return r;
}

static void bound(struct oauth_flow *flow)
{
    CLEANUP_JSON json_t *detail = detail_make(flow);
    CLEANUP_JSON json_t *missing = oauth_join(flow->missing);
    struct err err = ERR_INIT;

    if (json_array_size(flow->missing) > 0)
        err_set(&err, 0, "%s is connected, but the provider did not grant: %s", flow->binding, json_string_value(missing) ?: "");
    else
        err_set(&err, 0, "%s is connected", flow->binding);
    flow_end(flow, KEEPER_OK, &err, detail);
}

static void on_receipt(int result, void *userdata)
{
    struct oauth_flow *flow = MAGIC_CAST(struct oauth_flow, userdata, FLOW_MAGIC);
    struct oauth *oauth = flow->oauth;
    struct err err = ERR_INIT;
    int r = 0;

    flow->receipt = NULL;
    if (result < 0) {
        err_set(&err, EIO, "the audit log could not record the binding, so nothing was connected");
        flow_end(flow, KEEPER_FAILED, &err, NULL);
        return;
    }
    r = flow_bind(flow, &err);
    oauth_changed(oauth);
    if (r == 0)
        bound(flow);
    else
        flow_fail(flow, outcome_of(r), &err);
}

static json_t *consent_payload(const struct oauth_flow *flow)
{
    json_t *payload = oauth_payload(flow->binding, flow->grant->connector_fqn), *origins = json_array();

    for (size_t i = 0; origins && i < flow->grant->origins_len; i++)
        json_array_append_new(origins, json_string(flow->grant->origins[i]));
    if (!payload || json_object_set_new(payload, "aileron.consent.decision", json_string("granted")) < 0 ||
        json_object_set_new(payload, "aileron.binding.origins", TAKE_PTR(origins)) < 0) {
        json_decref(payload);
        json_decref(origins);
        return NULL;
    }
    return payload;
}

static void flow_record(struct oauth_flow *flow)
{
    json_t *payload = consent_payload(flow);
    struct err err = ERR_INIT;
    int r = payload ? receipts_ask(flow->oauth->context.receipts, flow->existed ? "binding.rebound" : "binding.created", payload,
                          on_receipt, flow, &flow->receipt)
                    : -ENOMEM;

    flow->stage = FLOW_RECORDING;
    if (r < 0) {
        err_set(&err, -r, "the audit log could not record the binding, so nothing was connected");
        flow_end(flow, KEEPER_FAILED, &err, NULL);
    }
}

/* ---- the token ---- */

/* What is there under this name already; a negative errno or VAULT_* when that cannot be told. */
static int old_look(struct oauth_flow *flow, struct token **ret_old, struct err *err)
{
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    int r = 0;

    if (vault_state(flow->oauth->context.vault) != KEEPER_VAULT_UNLOCKED) {
        err_set(err, EACCES, "the vault was locked meanwhile, so nothing was connected: unlock it and start again");
        err_hint(err, "aileron vault unlock");
        return VAULT_NOT_OPEN;
    }
    r = oauth_get(flow->oauth, flow->binding, &grant, ret_old, NULL, NULL);
    flow->existed = r != VAULT_NO_BINDING;
    return 0;
}

/* A renewed consent for which the provider sent no refresh token keeps the old one, if it is of the same client. */
static int token_take(struct oauth_flow *flow, struct oauth_answer *answer, struct err *err)
{
    CLEANUP_PTR(token_free) struct token *old = NULL;
    struct token *token = NULL;
    int r = old_look(flow, &old, err);

    if (r != 0)
        return r;
    if (flow->is_again && old && !answer->refresh && !strcmp(old->client_id, flow->token->client_id) &&
        !strcmp(old->token_url, flow->token->token_url))
        flow->token->refresh = TAKE_PTR(old->refresh);
    flow->granted = oauth_scopes(flow->token, answer, true);
    flow->missing = oauth_scopes(flow->token, answer, false);
    if (!flow->granted || !flow->missing || oauth_token_renew(flow->token, answer, flow->asked_unix_s, &token) < 0)
        return err_set(err, ENOMEM, "the keeper has no memory left for the token");
    token_free(flow->token);
    flow->token = token;
    if (token_format(token, &flow->value) < 0)
        return err_set(err, ENOMEM, "the keeper has no memory left for the token");
    /* Nothing is recorded that would then be refused. */
    return vault_binding_put_check(flow->oauth->context.vault, flow->binding, flow->grant, flow->value, err);
}

static void on_answer(const struct http_form_answer *http_answer, void *userdata)
{
    struct oauth_flow *flow = MAGIC_CAST(struct oauth_flow, userdata, FLOW_MAGIC);
    CLEANUP_PTR(oauth_answer_free) struct oauth_answer *answer = NULL;
    struct err err = ERR_INIT;
    enum keeper_result result = KEEPER_FAILED;
    int r = -EIO;

    flow->form = NULL;
    if (http_answer->outcome == KEEPER_HTTP_DONE)
        r = oauth_answer_read(http_answer->status, http_answer->body, &answer, NULL, &err);
    else
        err_set(&err, EIO, "%s", http_answer->message);
    if (r != 0) {
        err_prefix(&err, "nothing was connected");
    } else {
        r = token_take(flow, answer, &err);
        result = outcome_of(r);
    }
    if (r == 0)
        flow_record(flow);
    else
        flow_fail(flow, result, &err);
}

static int flow_exchange(struct oauth_flow *flow, const struct secret *code, struct err *err)
{
    const struct token *token = flow->token;
    const struct secret *client_secret = token->client_secret;
    const struct oauth_field fields[] = {
        { "grant_type", "authorization_code", 18 },
        { "code", secret_bytes(code), secret_len(code) },
        { "redirect_uri", flow->redirect_uri, strlen(flow->redirect_uri) },
        { "client_id", token->client_id, strlen(token->client_id) },
        { "client_secret", client_secret ? secret_bytes(client_secret) : NULL, client_secret ? secret_len(client_secret) : 0 },
        { "code_verifier", secret_bytes(flow->verifier), secret_len(flow->verifier) },
    };
    CLEANUP_PTR(secret_free) struct secret *form = NULL;
    struct http_form_request request = { .url = flow->grant->token_url, .pool = flow->pool, .timeout_ms = OAUTH_EXCHANGE_MS };

    if (oauth_form(fields, ARRAY_LEN(fields), &form) < 0)
        return err_set(err, ENOMEM, "the keeper has no memory left for the sign-in");
    request.form = form;
    flow->asked_unix_s = oauth_now_unix_s();
    return http_post_form(flow->oauth->context.http, &request, on_answer, flow, &flow->form, err);
}

/* ---- the callback ---- */

/* Every flow is compared in full, so that the time tells nothing about a state that is almost right. */
static struct oauth_flow *flow_find(const struct oauth *oauth, const char *state)
{
    struct oauth_flow *found = NULL;
    bool long_enough = strlen(state) == OAUTH_STATE_LEN;

    for (struct oauth_flow *flow = oauth->flows; long_enough && flow; flow = flow->next)
        if (flow->stage == FLOW_OPEN && secret_memequal(flow->state, state, OAUTH_STATE_LEN))
            found = flow;
    return found;
}

/* KEEPER_OK when there is a code to use. */
static enum keeper_result query_judge(const struct oauth_flow *flow, const struct oauth_query *query, struct err *err)
{
    if (query->refusal) {
        err_set(err, EINVAL, "the provider's redirect cannot be used: %s; start again", query->refusal);
        return KEEPER_FAILED;
    }
    if (query->has_issuer && !oauth_issuer_matches(flow->grant->authorize_url, query->issuer)) {
        err_set(err, EACCES, "the redirect came from another issuer than the one that was asked; nothing was connected");
        return KEEPER_FAILED;
    }
    if (!query->has_error)
        return KEEPER_OK;
    if (query->error && !strcmp(query->error, "access_denied")) {
        err_set(err, EACCES, "access was not granted at the provider; nothing was connected");
        return KEEPER_DENIED;
    }
    err_set(err, EACCES, "the provider ended the sign-in with %s", query->error ?: "an error that is none of OAuth's");
    return KEEPER_FAILED;
}

static void flow_callback(struct oauth_flow *flow, const struct oauth_query *query)
{
    struct err err = ERR_INIT;
    enum keeper_result result = query_judge(flow, query, &err);

    flow->stage = FLOW_EXCHANGING;
    secret_wipe(flow->state, sizeof flow->state);
    loop_timer_stop(flow->timer);
    if (result == KEEPER_OK && flow_exchange(flow, query->code, &err) < 0)
        result = KEEPER_FAILED;
    if (result != KEEPER_OK)
        flow_fail(flow, result, &err);
}

void oauth_callback(struct oauth *oauth, const char *text, size_t len, oauth_fn *fn, void *userdata)
{
    struct oauth_query query;
    struct oauth_outcome outcome = { KEEPER_NOT_FOUND, "",
        "this sign-in is not known, was used already or took longer than ten minutes", "", NULL };
    struct oauth_flow *flow = NULL;

    if (oauth_query_parse(text, len, &query) < 0) {
        outcome.result = KEEPER_FAILED;
        outcome.message = "the keeper has no memory left for the sign-in";
        fn(&outcome, userdata);
        return;
    }
    flow = flow_find(oauth, query.state);
    if (flow) {
        flow->callback_fn = fn;
        flow->callback_userdata = userdata;
        flow_callback(flow, &query);
    } else {
        fn(&outcome, userdata);
    }
    oauth_query_free(&query);
}

int oauth_paste(struct oauth_flow *flow, const char *url, struct err *err)
{
    struct oauth_query query;
    const char *text = NULL;
    int r = oauth_redirect_query(flow->redirect_uri, url, &text, err);

    if (r < 0)
        return r;
    if (flow->stage != FLOW_OPEN)
        return err_set(err, EINVAL, "the sign-in has come back already");
    if (oauth_query_parse(text, strlen(text), &query) < 0)
        return err_set(err, ENOMEM, "the keeper has no memory left for the sign-in");
    if (flow_find(flow->oauth, query.state) == flow)
        flow_callback(flow, &query);
    else
        r = err_set(err, EINVAL, "the address belongs to another sign-in than this one: paste the newest");
    oauth_query_free(&query);
    return r;
}
