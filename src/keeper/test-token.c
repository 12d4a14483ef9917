/* Values of oauth2 bindings: what is read, what is refused without being quoted, and that writing and reading agree. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "keeper/token.h"

#include "base/banned.h"

#define MINIMUM "\"access_token\":\"ya29.abcdef\",\"client_id\":\"c\",\"token_url\":\"https://t.test/token\""

static int parse(const char *text, struct token **ret_token, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;

    assert_int_equal(secret_from(text, strlen(text), &value), 0);
    return token_parse(value, ret_token, err);
}

static void assert_secret(const struct secret *secret, const char *text)
{
    assert_non_null(secret);
    assert_int_equal(secret_len(secret), strlen(text));
    assert_memory_equal(secret_bytes(secret), text, strlen(text));
}

static void test_all(void **state)
{
    CLEANUP_PTR(token_free) struct token *token = NULL;

    assert_int_equal(
        parse("{" MINIMUM ",\"refresh_token\":\"1//r\",\"expires_at\":\"2026-11-24T13:00:00+01:00\","
              "\"token_type\":\"Bearer\",\"client_secret\":\"s\",\"scopes\":[\"a\",\"https://b/c\"],\"more\":{\"x\":1}}",
            &token, NULL),
        0);
    assert_secret(token->access, "ya29.abcdef");
    assert_secret(token->refresh, "1//r");
    assert_secret(token->client_secret, "s");
    assert_true(token->expires_unix_s == 1795521600);
    assert_string_equal(token->token_type, "Bearer");
    assert_string_equal(token->client_id, "c");
    assert_string_equal(token->token_url, "https://t.test/token");
    assert_int_equal(token->scopes_len, 2);
    assert_string_equal(token->scopes[1], "https://b/c");
}

static void test_least(void **state)
{
    static const char *const texts[] = {
        "{" MINIMUM "}",
        "{" MINIMUM ",\"refresh_token\":null,\"expires_at\":null,\"client_secret\":null,\"scopes\":null,\"token_type\":null}",
        "{" MINIMUM ",\"expires_at\":0}",
        "{" MINIMUM ",\"expires_at\":\"0001-01-01T00:00:00Z\"}",
        "{" MINIMUM ",\"scopes\":[]}",
        "{" MINIMUM ",\"scopes\":\"  \"}",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        CLEANUP_PTR(token_free) struct token *token = NULL;

        assert_int_equal(parse(texts[i], &token, NULL), 0);
        assert_null(token->refresh);
        assert_null(token->client_secret);
        assert_null(token->token_type);
        assert_true(token->expires_unix_s == 0);
        assert_int_equal(token->scopes_len, 0);
    }
}

static void test_expires(void **state)
{
    static const struct {
        const char *text;
        int64_t unix_s;
    } times[] = { { "1795521600", 1795521600 }, { "1795521600.9", 1795521600 }, { "-5", 0 }, { "253402300799", 253402300799 },
        { "\"2026-11-24T12:00:00.5Z\"", 1795521600 }, { "\"1960-01-01T00:00:00Z\"", 0 } };

    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        CLEANUP_PTR(token_free) struct token *token = NULL;
        char text[512];

        snprintf(text, sizeof text, "{" MINIMUM ",\"expires_at\":%s}", times[i].text);
        assert_int_equal(parse(text, &token, NULL), 0);
        assert_true(token->expires_unix_s == times[i].unix_s);
    }
}

static void test_scopes_as_text(void **state)
{
    CLEANUP_PTR(token_free) struct token *token = NULL;

    assert_int_equal(parse("{" MINIMUM ",\"scopes\":\" a  b \"}", &token, NULL), 0);
    assert_int_equal(token->scopes_len, 2);
    assert_string_equal(token->scopes[0], "a");
    assert_string_equal(token->scopes[1], "b");
}

/* The words name the key and never quote what it holds. */
static void test_refused(void **state)
{
    static const struct {
        const char *text, *key;
    } bad[] = {
        { "", "" },
        { "[]", "object" },
        { "{" MINIMUM "} x", "" },
        { "{" MINIMUM ",\"client_id\":\"MARKER\"}", "twice" },
        { "{\"client_id\":\"c\",\"token_url\":\"https://t.test/\"}", "access_token" },
        { "{\"access_token\":7,\"client_id\":\"c\",\"token_url\":\"u\"}", "access_token" },
        { "{\"access_token\":\"short\",\"client_id\":\"c\",\"token_url\":\"u\"}", "access_token" },
        { "{\"access_token\":\"MARKER with blank\",\"client_id\":\"c\",\"token_url\":\"u\"}", "access_token" },
        { "{\"access_token\":\"MARKER\\r\\nX: y\",\"client_id\":\"c\",\"token_url\":\"u\"}", "access_token" },
        { "{\"access_token\":\"MARKER\\u0000\",\"client_id\":\"c\",\"token_url\":\"u\"}", "" },
        { "{\"access_token\":\"MARKER\\u00e9\",\"client_id\":\"c\",\"token_url\":\"u\"}", "access_token" },
        { "{\"access_token\":\"MARKER12\",\"token_url\":\"u\"}", "client_id" },
        { "{\"access_token\":\"MARKER12\",\"client_id\":\"c\"}", "token_url" },
        { "{\"access_token\":\"MARKER12\",\"client_id\":\"\",\"token_url\":\"u\"}", "client_id" },
        { "{" MINIMUM ",\"refresh_token\":\"\"}", "refresh_token" },
        { "{" MINIMUM ",\"refresh_token\":[\"MARKER\"]}", "refresh_token" },
        { "{" MINIMUM ",\"client_secret\":\"MARKER\\n\"}", "client_secret" },
        { "{" MINIMUM ",\"expires_at\":\"MARKER\"}", "expires_at" },
        { "{" MINIMUM ",\"expires_at\":true}", "expires_at" },
        { "{" MINIMUM ",\"expires_at\":1e300}", "expires_at" },
        { "{" MINIMUM ",\"token_type\":1}", "token_type" },
        { "{" MINIMUM ",\"scopes\":{}}", "scopes" },
        { "{" MINIMUM ",\"scopes\":[1]}", "scopes" },
        { "{" MINIMUM ",\"scopes\":[\"MARKER x\"]}", "scopes" },
        { "{" MINIMUM ",\"scopes\":[\"\"]}", "scopes" },
        { "{" MINIMUM ",\"x\":[[[[[[[[[[]]]]]]]]]]}", "" },
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct token *token = NULL;
        struct err err = ERR_INIT;
        int r = parse(bad[i].text, &token, &err);

        assert_true(r == -EINVAL || r == -E2BIG);
        assert_null(token);
        assert_non_null(strstr(err.message, bad[i].key));
        assert_null(strstr(err.message, "MARKER"));
        assert_true(err.message[0] != '\0');
    }
}

static void test_bounds(void **state)
{
    char text[32 * 1024];
    struct token *token = NULL;
    int len = snprintf(text, sizeof text, "{" MINIMUM ",\"scopes\":\"");

    for (size_t i = 0; i <= TOKEN_SCOPES_MAX; i++)
        len += snprintf(text + len, sizeof text - (size_t) len, "s%zu ", i);
    snprintf(text + len, sizeof text - (size_t) len, "\"}");
    assert_int_equal(parse(text, &token, NULL), -EINVAL);
    len = snprintf(text, sizeof text, "{" MINIMUM ",\"refresh_token\":\"");
    memset(text + len, 'r', 16 * 1024 + 1);
    memcpy(text + len + 16 * 1024 + 1, "\"}", 3);
    assert_int_equal(parse(text, &token, NULL), -EINVAL);
}

static void test_round(void **state)
{
    CLEANUP_PTR(token_free) struct token *token = NULL, *again = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;

    assert_int_equal(
        parse("{\"scopes\":[\"a\",\"b\"],\"refresh_token\":\"a \\\"quote\\\" \\\\\",\"expires_at\":1795521600," MINIMUM
              ",\"unknown\":1}",
            &token, NULL),
        0);
    assert_int_equal(token_format(token, &value), 0);
    assert_secret(value, "{\"access_token\":\"ya29.abcdef\",\"refresh_token\":\"a \\\"quote\\\" "
                         "\\\\\",\"expires_at\":\"2026-11-24T12:00:00.000Z\","
                         "\"client_id\":\"c\",\"token_url\":\"https://t.test/token\",\"scopes\":[\"a\",\"b\"]}");
    assert_int_equal(token_parse(value, &again, NULL), 0);
    assert_true(secret_equal(token->refresh, again->refresh));
    assert_true(token->expires_unix_s == again->expires_unix_s);
    assert_int_equal(again->scopes_len, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_least),
        cmocka_unit_test(test_expires),
        cmocka_unit_test(test_scopes_as_text),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
