/*
 * OAuth 2.0 for native apps (RFC 8252) with PKCE S256 (RFC 7636) and issuer identification (RFC 9207): the flows that are
 * under way, refreshing (RFC 6749 §6), revoking (RFC 7009). The only place where codes, verifiers and tokens meet; what
 * leaves it are URLs, names and our own words.
 */
#ifndef KEEPER_OAUTH_H
#define KEEPER_OAUTH_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"
#include "keeper/client.h"
#include "keeper/grant.h"

#include <jansson.h>

#define OAUTH_FLOW_MS   600000 /* from the authorize URL to the callback; then the state is void */
#define OAUTH_FLOWS_MAX 32
#define OAUTH_STATE_MAX 64
#define OAUTH_URL_MAX   (8 * 1024)
#define OAUTH_QUERY_MAX (16 * 1024)
#define OAUTH_EARLY_S   60 /* refreshed when less is left */

struct http;
struct loop;
struct oauth;
struct oauth_flow;
struct oauth_wait;
struct receipts;
struct vault;

struct oauth_context { /* all borrowed and longer-lived */
    struct loop *loop;
    struct vault *vault;
    struct http *http;
    struct receipts *receipts;
    void (*changed)(void *userdata); /* labels or bindings are other than before */
    void *userdata;
    int64_t flow_ms; /* 0: OAUTH_FLOW_MS */
};

/* How a flow, a refresh or a revocation ended. Texts are borrowed during the callback. */
struct oauth_outcome {
    enum keeper_result result;
    const char *binding;
    const char *message, *hint; /* "" = none */
    const json_t *detail; /* {"granted_scopes","missing_scopes","expires_at"?,"refresh_token_present"}; NULL when it failed */
};
typedef void oauth_fn(const struct oauth_outcome *outcome, void *userdata);

/* What the person consented to; everything is copied. */
struct oauth_spec {
    const char *binding;
    const struct grant *grant; /* with token_url; becomes the sealed grant of the binding */
    const char *authorize_url; /* https, or http to this machine; its own query stays */
    const char *client_id;
    const struct secret *client_secret; /* NULL: none */
    const char *const *scopes;
    size_t scopes_len;
    const char *redirect_uri; /* http://127.0.0.1:PORT/oauth2/callback */
    bool make_default;
    const json_t *labels; /* "scope" and "account" are taken; NULL: none */
};

/* Becomes the refresher of its http until it is freed, which must be before the http is. */
int oauth_new(const struct oauth_context *context, struct oauth **ret_oauth);
/* Everything under way ends without a word. */
void oauth_free(struct oauth *oauth);
DEFINE_CLEANUP_PTR(struct oauth, oauth_free)

/*
 * To be called before vault_lock(): refreshed tokens that could not be written are tried once more, and else kept until the
 * vault is open again. Flows go on; one that ends while the vault is locked fails.
 */
void oauth_lock(struct oauth *oauth);

/*
 * Starts a flow. *ret_url is the address to open (malloc'd). `fn` tells its end: bound, denied, failed, timed out; not when
 * cancelled. -EINVAL with words for a spec that cannot be, -EBUSY when too many flows are open.
 */
int oauth_begin(struct oauth *oauth, const struct oauth_spec *spec, oauth_fn *fn, void *userdata, char **ret_url,
    struct oauth_flow **ret_flow, struct err *err);
/* A new authorisation of a binding that exists, with its sealed grant and client. VAULT_* results as vault_lend(). */
int oauth_begin_again(struct oauth *oauth, const char *binding, const char *redirect_uri, oauth_fn *fn, void *userdata,
    char **ret_url, struct oauth_flow **ret_flow, struct err *err);
void oauth_cancel(struct oauth_flow *flow);
/*
 * The query of the redirect, as it came. Its state names the flow, which is used up whatever comes of it. Both the flow's own
 * function and `fn` hear the end. An unknown, expired or used state is KEEPER_NOT_FOUND and touches no flow.
 */
void oauth_callback(struct oauth *oauth, const char *query, size_t len, oauth_fn *fn, void *userdata);
/* The same from the whole URL that a person pasted; -EINVAL unless it is exactly the flow's redirect_uri and a query with its state. */
int oauth_paste(struct oauth_flow *flow, const char *url, struct err *err);

/* Refreshes; whoever asks while one is under way gets its end too. KEEPER_OK: vault_lend() has the new token, and it is on disk. */
int oauth_refresh(struct oauth *oauth, const char *binding, oauth_fn *fn, void *userdata, struct oauth_wait **ret_wait);
void oauth_wait_cancel(struct oauth_wait *wait);

/*
 * Tells the provider where the grant has a revocation endpoint and the vault is open, then deletes value and grant in any
 * case, after the receipt. message: what the provider said when it could not be told.
 */
void oauth_revoke(struct oauth *oauth, const char *binding, oauth_fn *fn, void *userdata);

#endif
