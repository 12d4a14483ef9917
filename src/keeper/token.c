/* See the header. A null member counts as absent, since other writers leave them so. */
#include "keeper/token.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/url.h"
#include "keeper/grant.h"
#include "keeper/secret-json.h"

#include "base/banned.h"

#define SCOPE_MAX  512
#define CLIENT_MAX 512
#define TYPE_MAX   64
/* 9999-12-31T23:59:59Z, the last second that RFC 3339 can write. */
#define EXPIRES_MAX 253402300799

/* Printable ASCII, perhaps with blanks. */
static bool is_plain(const char *text, size_t len, size_t max)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    return len > 0 && len <= max;
}

static const json_t *member(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);

    return json_is_null(value) ? NULL : value;
}

static int read_text(const json_t *json, const char *key, size_t max, char **ret_text, struct err *err)
{
    const json_t *value = member(json, key);

    if (!value)
        return 0;
    if (!json_is_string(value) || !is_plain(json_string_value(value), json_string_length(value), max))
        return err_set(err, EINVAL, "\"%s\" must be a text of 1 to %zu printable characters", key, max);
    *ret_text = strdup(json_string_value(value));
    return *ret_text ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int read_secret(const json_t *json, const char *key, struct secret **ret_secret, struct err *err)
{
    const json_t *value = member(json, key);

    if (!value)
        return 0;
    if (!json_is_string(value) || !is_plain(json_string_value(value), json_string_length(value), GRANT_VALUE_MAX))
        return err_set(err, EINVAL, "\"%s\" must be a text of 1 to %d printable characters", key, GRANT_VALUE_MAX);
    if (secret_from(json_string_value(value), json_string_length(value), ret_secret) < 0)
        return err_set(err, ENOMEM, "out of memory");
    return 0;
}

static int read_access(const json_t *json, struct secret **ret_secret, struct err *err)
{
    const char *refusal = NULL;
    int r = read_secret(json, "access_token", ret_secret, err);

    if (r < 0)
        return r;
    if (!*ret_secret)
        return err_set(err, EINVAL, "\"access_token\" is missing");
    refusal = grant_value_refusal(secret_bytes(*ret_secret), secret_len(*ret_secret));
    return refusal ? err_set(err, EINVAL, "\"access_token\" %s", refusal) : 0;
}

/* Anything up to the epoch, as a clock's zero value is, means that nobody knows. */
static int read_expires(const json_t *json, int64_t *ret_unix_s, struct err *err)
{
    const json_t *value = member(json, "expires_at");
    int64_t unix_ms = 0;
    double number = 0;

    if (json_is_number(value)) {
        number = json_number_value(value);
        if (isfinite(number) && number <= EXPIRES_MAX) {
            *ret_unix_s = number > 0 ? (int64_t) number : 0;
            return 0;
        }
    } else if (!value || (json_is_string(value) && clock_parse(json_string_value(value), &unix_ms) == 0)) {
        *ret_unix_s = unix_ms > 0 ? unix_ms / 1000 : 0;
        return 0;
    }
    return err_set(err, EINVAL, "\"expires_at\" must be a time as 2026-11-24T12:00:00Z, or Unix seconds");
}

static int add_scope(struct token *token, const char *scope, size_t len, struct err *err)
{
    if (token->scopes_len == TOKEN_SCOPES_MAX || !is_plain(scope, len, SCOPE_MAX) || memchr(scope, ' ', len))
        return err_set(err, EINVAL, "\"scopes\" must be at most %d texts without blanks", TOKEN_SCOPES_MAX);
    token->scopes[token->scopes_len] = strndup(scope, len);
    if (!token->scopes[token->scopes_len])
        return err_set(err, ENOMEM, "out of memory");
    token->scopes_len++;
    return 0;
}

static int split_scopes(struct token *token, const char *text, struct err *err)
{
    int r = 0;

    for (text += strspn(text, " "); *text && r == 0; text += strspn(text, " ")) {
        size_t len = strcspn(text, " ");

        r = add_scope(token, text, len, err);
        text += len;
    }
    return r;
}

static int read_scopes(struct token *token, const json_t *json, struct err *err)
{
    const json_t *value = member(json, "scopes");
    int r = 0;

    if (!value)
        return 0;
    token->scopes = calloc(TOKEN_SCOPES_MAX, sizeof *token->scopes);
    if (!token->scopes)
        return err_set(err, ENOMEM, "out of memory");
    if (json_is_string(value))
        return split_scopes(token, json_string_value(value), err);
    if (!json_is_array(value))
        return err_set(err, EINVAL, "\"scopes\" must be a list of texts");
    for (size_t i = 0; i < json_array_size(value) && r == 0; i++) {
        const json_t *scope = json_array_get(value, i);

        if (!json_is_string(scope))
            return err_set(err, EINVAL, "\"scopes\" must be a list of texts");
        r = add_scope(token, json_string_value(scope), json_string_length(scope), err);
    }
    return r;
}

int token_parse(const struct secret *value, struct token **ret_token, struct err *err)
{
    CLEANUP_PTR(token_free) struct token *token = calloc(1, sizeof *token);
    CLEANUP_JSON json_t *json = NULL;
    int r = token ? secret_json_parse(value, &json, err) : err_set(err, ENOMEM, "out of memory");

    if (r < 0)
        return r;
    if ((r = read_access(json, &token->access, err)) < 0 || (r = read_secret(json, "refresh_token", &token->refresh, err)) < 0 ||
        (r = read_secret(json, "client_secret", &token->client_secret, err)) < 0 ||
        (r = read_expires(json, &token->expires_unix_s, err)) < 0 ||
        (r = read_text(json, "token_type", TYPE_MAX, &token->token_type, err)) < 0 ||
        (r = read_text(json, "client_id", CLIENT_MAX, &token->client_id, err)) < 0 ||
        (r = read_text(json, "token_url", URL_MAX_BYTES, &token->token_url, err)) < 0 || (r = read_scopes(token, json, err)) < 0)
        return r;
    if (!token->client_id || !token->token_url)
        return err_set(err, EINVAL, "\"%s\" is missing", token->client_id ? "token_url" : "client_id");
    *ret_token = TAKE_PTR(token);
    return 0;
}

static int put_text(json_t *json, const char *key, const char *text)
{
    return text ? json_object_set_new(json, key, json_string(text)) : 0;
}

static int put_secret(json_t *json, const char *key, const struct secret *secret)
{
    return secret ? json_object_set_new(json, key, json_stringn((const char *) secret_bytes(secret), secret_len(secret))) : 0;
}

static int put_scopes(json_t *json, const struct token *token)
{
    json_t *list = token->scopes_len ? json_array() : NULL;

    if (!list)
        return token->scopes_len ? -1 : 0;
    for (size_t i = 0; i < token->scopes_len; i++)
        if (json_array_append_new(list, json_string(token->scopes[i])) < 0) {
            json_decref(list);
            return -1;
        }
    return json_object_set_new(json, "scopes", list);
}

int token_format(const struct token *token, struct secret **ret_value)
{
    CLEANUP_JSON json_t *json = json_object();
    char expires[CLOCK_TEXT_MAX];

    if (!json || put_secret(json, "access_token", token->access) < 0 || put_secret(json, "refresh_token", token->refresh) < 0 ||
        (token->expires_unix_s && put_text(json, "expires_at", clock_format(token->expires_unix_s * 1000, expires)) < 0) ||
        put_text(json, "token_type", token->token_type) < 0 || put_text(json, "client_id", token->client_id) < 0 ||
        put_secret(json, "client_secret", token->client_secret) < 0 || put_text(json, "token_url", token->token_url) < 0 ||
        put_scopes(json, token) < 0)
        return -ENOMEM;
    return secret_json_write(json, ret_value);
}

void token_free(struct token *token)
{
    if (!token)
        return;
    secret_free(token->access);
    secret_free(token->refresh);
    secret_free(token->client_secret);
    free(token->token_type);
    free(token->client_id);
    free(token->token_url);
    for (size_t i = 0; i < token->scopes_len; i++)
        free(token->scopes[i]);
    free(token->scopes);
    free(token);
}
