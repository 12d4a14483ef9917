/* Fuzzes the reader of OAuth values. What it accepts can stand in a header and is a fixed point of writing and reading. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/grant.h"
#include "keeper/token.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void require_same(const char *a, const char *b)
{
    require(!a == !b && (!a || !strcmp(a, b)));
}

static void require_same_secret(const struct secret *a, const struct secret *b)
{
    require(!a == !b && (!a || secret_equal(a, b)));
}

static void check(const struct token *token)
{
    CLEANUP_PTR(token_free) struct token *again = NULL;
    CLEANUP_PTR(secret_free) struct secret *text = NULL;

    require(grant_value_refusal(secret_bytes(token->access), secret_len(token->access)) == NULL);
    require(token->client_id && token->token_url && token->scopes_len <= TOKEN_SCOPES_MAX && token->expires_unix_s >= 0);
    require(token_format(token, &text) == 0);
    require(token_parse(text, &again, NULL) == 0);
    require_same_secret(token->access, again->access);
    require_same_secret(token->refresh, again->refresh);
    require_same_secret(token->client_secret, again->client_secret);
    require_same(token->token_type, again->token_type);
    require_same(token->client_id, again->client_id);
    require_same(token->token_url, again->token_url);
    require(token->expires_unix_s == again->expires_unix_s && token->scopes_len == again->scopes_len);
    for (size_t i = 0; i < token->scopes_len; i++)
        require_same(token->scopes[i], again->scopes[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_PTR(token_free) struct token *token = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    struct err err = ERR_INIT;

    require(secret_from(data, size, &value) == 0);
    if (token_parse(value, &token, &err) == 0)
        check(token);
    else
        require(err.message[0] != '\0');
    return 0;
}
