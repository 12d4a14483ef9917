/* What the files of oauth share: flows (consent), refreshing, revoking; oauth.c is what is common to them. */
#ifndef KEEPER_OAUTH_PRIVATE_H
#define KEEPER_OAUTH_PRIVATE_H

#include "base/magic.h"
#include "keeper/http.h"
#include "keeper/oauth-answer.h"
#include "keeper/oauth-query.h"
#include "keeper/oauth-url.h"
#include "keeper/oauth.h"
#include "keeper/receipts.h"
#include "keeper/token.h"
#include "keeper/vault.h"
#include "loop/loop.h"

#define OAUTH_MAGIC 0x6b6f6175u

/* Provider and receipts together stay below what a broker waits for an answer. */
#define OAUTH_EXCHANGE_MS 30000
#define OAUTH_REFRESH_MS  20000
#define OAUTH_REVOKE_MS   10000

struct refresh;
struct revocation;

struct oauth {
    uint32_t magic;
    struct oauth_context context;
    struct http_refresher refresher;
    struct oauth_flow *flows;
    size_t flows_len;
    struct refresh *refreshes;
    struct revocation *revocations;
    uint64_t pools; /* counts, so that each flow has connections of its own */
};

/* ---- oauth.c ---- */

int64_t oauth_now_unix_s(void);
void oauth_changed(const struct oauth *oauth);
/* {"aileron.binding.name","aileron.connector.fqn","aileron.capability.kind"}; NULL without memory. */
json_t *oauth_payload(const char *binding, const char *connector_fqn);
/* A new token: access and perhaps refresh of `answer`, the rest of `base`. `answer` loses its secrets. 0 or -ENOMEM. */
int oauth_token_renew(const struct token *base, struct oauth_answer *answer, int64_t asked_unix_s, struct token **ret_token);
/* Those of the requested scopes that were granted, or not granted, as a list of texts. NULL without memory. */
json_t *oauth_scopes(const struct token *token, const struct oauth_answer *answer, bool granted);
/* A list of texts as one text with blanks. NULL without memory. */
json_t *oauth_join(const json_t *list);
/* Number of seconds as text. */
json_t *oauth_time(int64_t unix_s);
/* Grant, token and generation of a binding whatever its status; `ret_generation` may be NULL. As vault_binding_get(), and -EINVAL
 * for a value that is no token. */
int oauth_get(struct oauth *oauth, const char *binding, struct grant **ret_grant, struct token **ret_token,
    uint64_t *ret_generation, struct err *err);

/* ---- oauth-flow.c ---- */

void flows_free(struct oauth *oauth);

/* ---- oauth-refresh.c ---- */

void refreshes_init(struct oauth *oauth);
void refreshes_free(struct oauth *oauth);
/* Joins a refresh of this binding that is under way; false when there is none. */
bool refresh_join(struct oauth *oauth, const char *binding, oauth_fn *fn, void *userdata, struct oauth_wait **ret_wait);
/* A token that waits to be written is for a binding that is going away or has a newer one. */
void refresh_forget(struct oauth *oauth, const char *binding);

/* ---- oauth-revoke.c ---- */

void revocations_free(struct oauth *oauth);

#endif
