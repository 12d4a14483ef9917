/* One table of the four parameters that matter; every other one is passed over unread. Decoding happens in secret memory. */
#include "keeper/oauth-query.h"

#include <errno.h>
#include <string.h>

#include "keeper/oauth.h"

#include "base/banned.h"

#define NAME_MAX_LEN  5 /* of those below */
#define ERROR_LEN_MAX 64

const char *oauth_error_name(const char *text, size_t len)
{
    static const char *const names[] = { "access_denied", "invalid_client", "invalid_grant", "invalid_request", "invalid_scope",
        "server_error", "temporarily_unavailable", "unauthorized_client", "unsupported_grant_type", "unsupported_response_type" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strlen(names[i]) == len && !memcmp(names[i], text, len))
            return names[i];
    return NULL;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent and plus; false when it is not well-formed or yields anything but printable ASCII. `out` has room for `len`. */
static bool decode(const char *text, size_t len, char *out, size_t *ret_len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int c = text[i] == '+' ? ' ' : (uint8_t) text[i];

        if (text[i] == '%') {
            int high = i + 2 < len ? hex_value(text[i + 1]) : -1, low = i + 2 < len ? hex_value(text[i + 2]) : -1;

            if (high < 0 || low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c < 0x20 || c > 0x7e)
            return false;
        out[n++] = (char) c;
    }
    *ret_len = n;
    return true;
}

/* ---- the four ---- */

static int take_state(struct oauth_query *query, const char *value, size_t len)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    if (len == 0 || len >= sizeof query->state) {
        query->refusal = "its state cannot be one of ours";
        return 0;
    }
    memcpy(query->state, value, len);
    query->state[len] = '\0';
    if (strspn(query->state, alphabet) != len) {
        query->state[0] = '\0';
        query->refusal = "its state cannot be one of ours";
    }
    return 0;
}

static int take_code(struct oauth_query *query, const char *value, size_t len)
{
    if (len == 0 || len > OAUTH_CODE_MAX) {
        query->refusal = "its code is empty or too long";
        return 0;
    }
    return secret_from(value, len, &query->code);
}

static int take_error(struct oauth_query *query, const char *value, size_t len)
{
    query->has_error = true;
    query->error = len <= ERROR_LEN_MAX ? oauth_error_name(value, len) : NULL;
    return 0;
}

static int take_issuer(struct oauth_query *query, const char *value, size_t len)
{
    if (len == 0 || len >= sizeof query->issuer) {
        query->refusal = "its issuer is empty or too long";
        return 0;
    }
    query->has_issuer = true;
    memcpy(query->issuer, value, len);
    query->issuer[len] = '\0';
    return 0;
}

static const struct parameter {
    const char *name;
    int (*take)(struct oauth_query *query, const char *value, size_t len);
} parameters[] = {
    { "state", take_state },
    { "code", take_code },
    { "error", take_error },
    { "iss", take_issuer },
};

/* ---- the whole ---- */

/* The row of a name, decoded as anybody else would; -1 for one that is none of ours. */
static int parameter_find(const char *name, size_t len)
{
    char text[3 * NAME_MAX_LEN];
    size_t decoded = 0;

    if (len > sizeof text || !decode(name, len, text, &decoded))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        if (strlen(parameters[i].name) == decoded && !memcmp(parameters[i].name, text, decoded))
            return (int) i;
    return -1;
}

static int parameter_take(struct oauth_query *query, bool *seen, const char *pair, size_t len, char *room)
{
    const char *equals = memchr(pair, '=', len);
    size_t name_len = equals ? (size_t) (equals - pair) : len, value_len = 0;
    int row = parameter_find(pair, name_len);

    if (row < 0)
        return 0;
    if (seen[row]) {
        query->refusal = "it says something twice";
        if (!strcmp(parameters[row].name, "state"))
            query->state[0] = '\0';
        return 0;
    }
    seen[row] = true;
    if (!decode(equals ? equals + 1 : "", equals ? len - name_len - 1 : 0, room, &value_len)) {
        query->refusal = "it has characters that no answer of a provider has";
        return 0;
    }
    return parameters[row].take(query, room, value_len);
}

static void whole_check(struct oauth_query *query)
{
    if (query->refusal)
        return;
    if (!query->state[0])
        query->refusal = "it has no state";
    else if (query->code && query->has_error)
        query->refusal = "it has both a code and an error";
    else if (!query->code && !query->has_error)
        query->refusal = "it has neither a code nor an error";
}

int oauth_query_parse(const char *text, size_t len, struct oauth_query *ret_query)
{
    CLEANUP_PTR(secret_free) struct secret *room = NULL;
    bool seen[ARRAY_LEN(parameters)] = { false };
    size_t at = 0;
    int r = 0;

    *ret_query = (struct oauth_query){ .refusal = NULL };
    if (len > OAUTH_QUERY_MAX) {
        ret_query->refusal = "it is too long";
        return 0;
    }
    r = secret_new(len, &room);
    while (r == 0 && at < len) {
        const char *end = memchr(text + at, '&', len - at);
        size_t pair = end ? (size_t) (end - text) - at : len - at;

        r = parameter_take(ret_query, seen, text + at, pair, (char *) secret_data(room));
        at += pair + 1;
    }
    if (r < 0) {
        oauth_query_free(ret_query);
        return r;
    }
    whole_check(ret_query);
    return 0;
}

void oauth_query_free(struct oauth_query *query)
{
    secret_free(query->code);
    query->code = NULL;
}
