/*
 * What a token endpoint answers (RFC 6749 §5.1 and §5.2), from a party that is not trusted: bounded, strict JSON, no word of it
 * repeated but the error codes of the RFC and the scopes that were asked for. Secrets go straight into secret memory; what jansson held
 * is wiped when it is released (memory.h). Pure.
 */
#ifndef KEEPER_OAUTH_ANSWER_H
#define KEEPER_OAUTH_ANSWER_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OAUTH_EXPIRES_MAX_S ((int64_t) 10 * 365 * 86400)
#define OAUTH_SCOPES_MAX    256

/* Results beside 0 and -ENOMEM; `err` has our words. */
enum oauth_answer_result {
    OAUTH_ANSWER_REFUSED = 1,     /* an error of RFC 6749 §5.2 */
    OAUTH_ANSWER_UNAVAILABLE = 2, /* 408, 429, 5xx: worth another try */
    OAUTH_ANSWER_UNUSABLE = 3,    /* anything else */
};

struct oauth_answer {
    struct secret *access, *refresh; /* refresh: NULL when there is none */
    int64_t expires_in_s;            /* 0: not said */
    bool has_scope;
    char *scope; /* blank-separated as it came, checked; only to be compared with what was asked for */
};

/*
 * `ret_grant_invalid` (may be NULL) becomes true when the answer is the error invalid_grant: the refresh token or code is of no
 * more use.
 */
int oauth_answer_read(
    uint32_t status, const struct secret *body, struct oauth_answer **ret_answer, bool *ret_grant_invalid, struct err *err);
/* True when the scope was granted: named in the answer, or nothing was said about scopes (§5.1). */
bool oauth_answer_grants(const struct oauth_answer *answer, const char *scope);
void oauth_answer_free(struct oauth_answer *answer);
DEFINE_CLEANUP_PTR(struct oauth_answer, oauth_answer_free)

#endif
