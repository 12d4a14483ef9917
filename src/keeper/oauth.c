/* What flows, refreshes and revocations have in common; see oauth-private.h. */
#include "keeper/oauth-private.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

#include "base/banned.h"

int64_t oauth_now_unix_s(void)
{
    return clock_unix_ms() / 1000;
}

void oauth_changed(const struct oauth *oauth)
{
    if (oauth->context.changed)
        oauth->context.changed(oauth->context.userdata);
}

json_t *oauth_payload(const char *binding, const char *connector_fqn)
{
    int kind_len = (int) strcspn(binding, "/");

    /* A binding of another implementation may not say; a receipt without a name would not be written. */
    if (!connector_fqn || !connector_fqn[0])
        connector_fqn = "unknown";

    return json_pack("{s:s, s:s, s:s#}", "aileron.binding.name", binding, "aileron.connector.fqn", connector_fqn,
        "aileron.capability.kind", binding, kind_len);
}

/* ---- tokens ---- */

static int secret_copy(const struct secret *secret, struct secret **ret_copy)
{
    return secret ? secret_from(secret_bytes(secret), secret_len(secret), ret_copy) : 0;
}

static int scopes_copy(const struct token *base, struct token *token)
{
    token->scopes = calloc(base->scopes_len + 1, sizeof *token->scopes);
    for (size_t i = 0; token->scopes && i < base->scopes_len; i++) {
        token->scopes[i] = strdup(base->scopes[i]);
        if (!token->scopes[i])
            return -ENOMEM;
        token->scopes_len++;
    }
    return token->scopes ? 0 : -ENOMEM;
}

int oauth_token_renew(const struct token *base, struct oauth_answer *answer, int64_t asked_unix_s, struct token **ret_token)
{
    CLEANUP_PTR(token_free) struct token *token = calloc(1, sizeof *token);
    int r = 0;

    if (!token)
        return -ENOMEM;
    token->access = TAKE_PTR(answer->access);
    token->refresh = TAKE_PTR(answer->refresh);
    token->expires_unix_s = answer->expires_in_s ? asked_unix_s + answer->expires_in_s : 0;
    token->client_id = strdup(base->client_id);
    token->token_url = strdup(base->token_url);
    if (!token->client_id || !token->token_url)
        return -ENOMEM;
    if (!token->refresh)
        r = secret_copy(base->refresh, &token->refresh);
    if (r == 0)
        r = secret_copy(base->client_secret, &token->client_secret);
    if (r == 0)
        r = scopes_copy(base, token);
    if (r == 0)
        *ret_token = TAKE_PTR(token);
    return r;
}

json_t *oauth_scopes(const struct token *token, const struct oauth_answer *answer, bool granted)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < token->scopes_len; i++)
        if (oauth_answer_grants(answer, token->scopes[i]) == granted &&
            json_array_append_new(list, json_string(token->scopes[i])) < 0) {
            json_decref(list);
            return NULL;
        }
    return list;
}

json_t *oauth_join(const json_t *list)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(TOKEN_SCOPES_MAX * 1024);
    const json_t *item = NULL;
    size_t i = 0;

    json_array_foreach(list, i, item)
    {
        if (buf_printf(&text, "%s%s", i ? " " : "", json_string_value(item)) < 0)
            return NULL;
    }
    return json_string(buf_str(&text));
}

json_t *oauth_time(int64_t unix_s)
{
    return json_sprintf("%lld", (long long) unix_s);
}

int oauth_get(struct oauth *oauth, const char *binding, struct grant **ret_grant, struct token **ret_token,
    uint64_t *ret_generation, struct err *err)
{
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    struct token *token = NULL;
    uint64_t generation = 0;
    int r = vault_binding_get(oauth->context.vault, binding, &grant, &value, &generation, err);

    if (r != 0)
        return r;
    if (grant->kind != GRANT_OAUTH2)
        return err_set(err, EINVAL, "%s is no oauth2 binding", binding);
    r = token_parse(value, &token, err);
    if (r < 0) {
        err_prefix(err, "%s", binding);
        return r;
    }
    *ret_grant = TAKE_PTR(grant);
    *ret_token = token;
    if (ret_generation)
        *ret_generation = generation;
    return 0;
}

/* ---- the whole ---- */

int oauth_new(const struct oauth_context *context, struct oauth **ret_oauth)
{
    struct oauth *oauth = calloc(1, sizeof *oauth);

    if (!oauth)
        return -ENOMEM;
    oauth->magic = OAUTH_MAGIC;
    oauth->context = *context;
    if (oauth->context.flow_ms == 0)
        oauth->context.flow_ms = OAUTH_FLOW_MS;
    refreshes_init(oauth);
    http_set_refresher(context->http, &oauth->refresher);
    *ret_oauth = oauth;
    return 0;
}

void oauth_free(struct oauth *oauth)
{
    if (!oauth)
        return;
    http_set_refresher(oauth->context.http, NULL);
    flows_free(oauth);
    revocations_free(oauth);
    refreshes_free(oauth);
    oauth->magic = 0;
    free(oauth);
}
