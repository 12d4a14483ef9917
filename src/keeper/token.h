/*
 * The value of an oauth2 binding (SPEC §1, shared): a JSON object with access_token, refresh_token?, expires_at (RFC 3339;
 * a number is read as Unix seconds; absent or zero: unknown), token_type?, client_id, client_secret?, token_url, scopes? (a
 * list; a text with blanks is read too). Unknown keys are ignored. Pure.
 */
#ifndef KEEPER_TOKEN_H
#define KEEPER_TOKEN_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/secret.h"

#define TOKEN_SCOPES_MAX 64

struct token {
    struct secret *access, *refresh, *client_secret; /* the last two may be NULL */
    int64_t expires_unix_s;                          /* 0: unknown */
    char *token_type;                                /* NULL: Bearer */
    char *client_id, *token_url;
    char **scopes;
    size_t scopes_len;
};

/* -EINVAL names the key that is wrong, never its value. */
int token_parse(const struct secret *value, struct token **ret_token, struct err *err);
/* The same JSON in secret memory. 0 or -ENOMEM. */
int token_format(const struct token *token, struct secret **ret_value);
void token_free(struct token *token);
DEFINE_CLEANUP_PTR(struct token, token_free)

#endif
