/*
 * The stand-in's authorization server, in memory: consent page, codes with PKCE (RFC 7636, S256 alone), issuer (RFC 9207),
 * access tokens that end, refresh tokens that are new after each use, revocation (RFC 7009). What was used twice ends every
 * token of its grant. One client, registered here. Knows no HTTP.
 */
#ifndef DEMO_OAUTH_H
#define DEMO_OAUTH_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"

#include <stdint.h>

#define OAUTH_ISSUER        "https://accounts.google.com"
#define OAUTH_CLIENT_ID     "aileron-demo"
#define OAUTH_CLIENT_SECRET "not-a-secret-of-anybody"

struct oauth;

struct oauth_answer {
    int status;
    struct buf page; /* HTML; empty: `json` or nothing */
    json_t *json;
    char *location; /* of a 302 */
};

#define OAUTH_ANSWER_INIT                                                                                                        \
    {                                                                                                                            \
        500, BUF_INIT(64 * 1024), NULL, NULL                                                                                     \
    }

void oauth_answer_free(struct oauth_answer *answer);

/* Access tokens live `token_s` seconds. NULL when out of memory. */
struct oauth *oauth_new(int64_t token_s);
void oauth_free(struct oauth *oauth);
DEFINE_CLEANUP_PTR(struct oauth, oauth_free)

/* The endpoints: `fields` are those of the query or form. They fill `answer`; status 500 is left when out of memory. */
void oauth_authorize(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer);
void oauth_consent(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer);
void oauth_token(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer);
void oauth_revoke(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer);
/* Not an endpoint of Google's: ends every access token, as time would. */
void oauth_expire(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer);

/* True for an access token that was given, has not ended and is not revoked. */
bool oauth_accepts(const struct oauth *oauth, const char *access_token);

#endif
