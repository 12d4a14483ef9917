/*
 * What OAuth sends, as text: the URL that a browser opens (RFC 6749 §4.1.1, PKCE of RFC 7636 with S256), the forms for the
 * token endpoint, and the comparisons of URLs that a flow depends on. Pure, but for random bytes.
 */
#ifndef KEEPER_OAUTH_URL_H
#define KEEPER_OAUTH_URL_H

#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>

#define OAUTH_STATE_LEN     43 /* 32 bytes in base64url */
#define OAUTH_CHALLENGE_LEN 43

struct oauth_authorize {
    const char *authorize_url;
    const char *client_id;
    const char *redirect_uri;
    const char *state;
    const char *challenge;
    const char *const *scopes;
    size_t scopes_len;
};

/*
 * The authorize URL with its own query kept and ours behind it; access_type=offline and prompt=consent unless it says otherwise,
 * because some providers give a refresh token only then. malloc'd. -EINVAL for a URL that is neither https nor of this machine,
 * has a fragment or sets, in whatever spelling, a parameter that only we may set; for a client id or scope with characters that none has.
 */
int oauth_authorize_url(const struct oauth_authorize *what, char **ret_url, struct err *err);

/* 64 characters from 32 random bytes, in secret memory. */
int oauth_verifier_new(struct secret **ret_verifier);
/* BASE64URL(SHA256(verifier)), RFC 7636 §4.2. 0 or -ENOMEM. */
int oauth_challenge(const struct secret *verifier, char out[OAUTH_CHALLENGE_LEN + 1]);
int oauth_state_new(char out[OAUTH_STATE_LEN + 1]);

/* http://127.0.0.1:PORT/oauth2/callback and nothing else. */
int oauth_redirect_check(const char *redirect_uri, struct err *err);
/* The query of `url` when it is exactly `redirect_uri`, a '?' and a query without fragment; else -EINVAL with what to do. Borrowed. */
int oauth_redirect_query(const char *redirect_uri, const char *url, const char **ret_query, struct err *err);
/* True when the issuer (RFC 9207) is a URL of the same origin as the authorize URL. */
bool oauth_issuer_matches(const char *authorize_url, const char *issuer);

struct oauth_field {
    const char *name; /* NULL or without data: left out */
    const void *data;
    size_t len;
};
/* application/x-www-form-urlencoded, in secret memory. 0 or -ENOMEM. */
int oauth_form(const struct oauth_field *fields, size_t len, struct secret **ret_form);

#endif
