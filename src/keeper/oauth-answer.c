/* See the header. */
#include "keeper/oauth-answer.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "keeper/grant.h"
#include "keeper/oauth-query.h"

#include "base/banned.h"

#define ANSWER_MAX   ((size_t) 64 * 1024)
#define ANSWER_DEPTH 16
#define ANSWER_NODES 2000
#define SCOPE_TEXT   8192
#define DIGITS_MAX   18

static int unusable(struct err *err, const char *why)
{
    err_set(err, EPROTO, "the token endpoint's answer %s", why);
    return OAUTH_ANSWER_UNUSABLE;
}

/* ---- errors ---- */

static int error_read(const json_t *object, bool *ret_grant_invalid, struct err *err)
{
    const char *text = json_get_str(object, "error");
    const char *name = text ? oauth_error_name(text, strlen(text)) : NULL;

    if (!text)
        return unusable(err, "is an error without a name");
    *ret_grant_invalid = name && !strcmp(name, "invalid_grant");
    if (name)
        err_set(err, EACCES, "the provider refused: %s", name);
    else
        err_set(err, EACCES, "the provider refused with an error that is none of OAuth's");
    return OAUTH_ANSWER_REFUSED;
}

/* ---- members of a success ---- */

/* 0, OAUTH_ANSWER_UNUSABLE or -ENOMEM. */
static int token_take(const json_t *object, const char *key, struct secret **ret_secret, struct err *err)
{
    const json_t *member = json_object_get(object, key);
    const char *text = json_string_value(member);
    size_t len = json_string_length(member);

    if (!member || json_is_null(member))
        return 0;
    if (!text || grant_value_refusal((const uint8_t *) text, len)) {
        err_set(
            err, EPROTO, "the token endpoint's %s cannot be used: it must be 8 to %d visible characters", key, GRANT_VALUE_MAX);
        return OAUTH_ANSWER_UNUSABLE;
    }
    return secret_from(text, len, ret_secret);
}

static bool digits_read(const char *text, int64_t *ret_value)
{
    size_t len = strspn(text, "0123456789");

    *ret_value = 0;
    if (len == 0 || len > DIGITS_MAX || text[len] != '\0')
        return false;
    for (size_t i = 0; i < len; i++)
        *ret_value = *ret_value * 10 + (text[i] - '0');
    return true;
}

/* A number, or its digits as text as some providers write it. Longer than ten years is ten years; 0 is as if it were not said. */
static int expires_take(const json_t *object, int64_t *ret_s, struct err *err)
{
    const json_t *member = json_object_get(object, "expires_in");
    int64_t value = 0;

    if (!member || json_is_null(member))
        return 0;
    if (json_is_integer(member))
        value = json_integer_value(member);
    else if (json_is_real(member) && json_real_value(member) >= 0)
        value = json_real_value(member) < (double) OAUTH_EXPIRES_MAX_S ? (int64_t) json_real_value(member) : OAUTH_EXPIRES_MAX_S;
    else if (!json_is_string(member) || !digits_read(json_string_value(member), &value))
        return unusable(err, "has an expires_in that is no number of seconds");
    if (value < 0)
        return unusable(err, "has an expires_in that is no number of seconds");
    *ret_s = value < OAUTH_EXPIRES_MAX_S ? value : OAUTH_EXPIRES_MAX_S;
    return 0;
}

static int scope_take(const json_t *object, struct oauth_answer *answer, struct err *err)
{
    const json_t *member = json_object_get(object, "scope");
    const char *text = json_string_value(member);
    size_t count = 0;

    if (!member || json_is_null(member))
        return 0;
    if (!text || strlen(text) > SCOPE_TEXT)
        return unusable(err, "has a scope that is no text or too long");
    for (size_t i = 0; text[i]; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e || text[i] == '"' || text[i] == '\\')
            return unusable(err, "has a scope with characters that none has");
        count += text[i] == ' ';
    }
    if (count >= OAUTH_SCOPES_MAX)
        return unusable(err, "has too many scopes");
    answer->scope = strdup(text);
    answer->has_scope = true;
    return answer->scope ? 0 : -ENOMEM;
}

static int success_read(const json_t *object, struct oauth_answer **ret_answer, struct err *err)
{
    CLEANUP_PTR(oauth_answer_free) struct oauth_answer *answer = calloc(1, sizeof *answer);
    const char *type = json_get_str(object, "token_type");
    int r = answer ? token_take(object, "access_token", &answer->access, err) : -ENOMEM;

    if (r != 0)
        return r;
    if (!answer->access)
        return unusable(err, "has no access_token");
    if (!type || strcasecmp(type, "Bearer") != 0)
        return unusable(err, "is not a token of type Bearer");
    r = token_take(object, "refresh_token", &answer->refresh, err);
    if (r == 0)
        r = expires_take(object, &answer->expires_in_s, err);
    if (r == 0)
        r = scope_take(object, answer, err);
    if (r == 0)
        *ret_answer = TAKE_PTR(answer);
    return r;
}

/* ---- the whole ---- */

/* Answers that are not to be read at all; 0 for those that are. */
static int status_check(uint32_t status, struct err *err)
{
    if (status >= 500 || status == 429 || status == 408) {
        err_set(err, EAGAIN, "the token endpoint answered %u", status);
        return OAUTH_ANSWER_UNAVAILABLE;
    }
    if (status >= 300 && status < 400) {
        err_set(err, EPROTO, "the token endpoint answered with a redirect, which is not followed with a secret");
        return OAUTH_ANSWER_UNUSABLE;
    }
    if (status != 200 && (status < 400 || status >= 500)) {
        err_set(err, EPROTO, "the token endpoint answered %u", status);
        return OAUTH_ANSWER_UNUSABLE;
    }
    return 0;
}

int oauth_answer_read(
    uint32_t status, const struct secret *body, struct oauth_answer **ret_answer, bool *ret_grant_invalid, struct err *err)
{
    const struct json_limits limits = { ANSWER_MAX, ANSWER_DEPTH, ANSWER_NODES };
    CLEANUP_JSON json_t *json = NULL;
    bool grant_invalid = false;
    int r = status_check(status, err);

    if (ret_grant_invalid)
        *ret_grant_invalid = false;
    if (r != 0)
        return r;
    r = json_parse((const char *) secret_bytes(body), secret_len(body), limits, &json, NULL);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || !json_is_object(json)) {
        err_set(err, EPROTO, "the token endpoint answered %u with something that is no JSON object", status);
        return OAUTH_ANSWER_UNUSABLE;
    }
    /* Some providers send an error with 200. */
    if (status == 200 && !json_object_get(json, "error"))
        return success_read(json, ret_answer, err);
    r = error_read(json, &grant_invalid, err);
    if (ret_grant_invalid)
        *ret_grant_invalid = grant_invalid;
    return r;
}

bool oauth_answer_grants(const struct oauth_answer *answer, const char *scope)
{
    size_t len = strlen(scope);

    if (!answer->has_scope)
        return true;
    for (const char *at = answer->scope; *at; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");

        if (word == len && !memcmp(at, scope, len))
            return true;
        at += word;
    }
    return false;
}

void oauth_answer_free(struct oauth_answer *answer)
{
    if (!answer)
        return;
    secret_free(answer->access);
    secret_free(answer->refresh);
    if (answer->scope)
        secret_wipe(answer->scope, strlen(answer->scope));
    free(answer->scope);
    free(answer);
}
