/*
 * The query of the redirect that ends an authorisation (RFC 6749 §4.1.2, RFC 9207), from a browser and so from anybody:
 * strict, bounded, and read so that a state that names a flow is found even when the rest is wrong, because it is used up then. Pure.
 */
#ifndef KEEPER_OAUTH_QUERY_H
#define KEEPER_OAUTH_QUERY_H

#include "base/secret.h"

#include <stdbool.h>
#include <stddef.h>

#define OAUTH_QUERY_STATE_MAX 64
#define OAUTH_QUERY_ISS_MAX   1024
#define OAUTH_CODE_MAX        4096

struct oauth_query {
    char state[OAUTH_QUERY_STATE_MAX]; /* "" when there is not exactly one that can be ours */
    struct secret *code;               /* NULL when the provider refused */
    bool has_error;
    const char *error; /* a code of the RFCs; NULL for any other. A constant, never the text that came */
    bool has_issuer;
    char issuer[OAUTH_QUERY_ISS_MAX];
    const char *refusal; /* why nothing but the state may be used; NULL when all is well. Our words */
};

/* Fills in any case; 0 or -ENOMEM. Free with oauth_query_free. */
int oauth_query_parse(const char *query, size_t len, struct oauth_query *ret_query);
void oauth_query_free(struct oauth_query *query);

/* The error code of RFC 6749 §4.1.2.1 and §5.2 that this text is, as a constant; NULL for any other. */
const char *oauth_error_name(const char *text, size_t len);

#endif
