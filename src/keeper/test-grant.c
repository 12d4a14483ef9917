/* Tests of grants: reading, what they cover, the header line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "keeper/grant.h"

#include "base/banned.h"

static int read_grant(const char *text, enum grant_kind kind, struct grant **ret_grant, struct err *err)
{
    CLEANUP_JSON json_t *object = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(object);
    return grant_read(object, kind, ret_grant, err);
}

static bool covers(const struct grant *grant, const char *text)
{
    struct url url;

    assert_int_equal(url_parse(text, strlen(text), &url, NULL), 0);
    return grant_covers(grant, &url);
}

static void test_covers(void **state)
{
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;

    assert_int_equal(read_grant("{\"connector_fqn\":\"local://google\",\"origins\":[\"https://Gmail.googleapis.com\","
                                "\"https://www.googleapis.com:443\",\"http://127.0.0.1:8080\"]}",
                         GRANT_OAUTH2, &grant, NULL),
        0);
    assert_string_equal(grant->origins[0], "https://gmail.googleapis.com:443");
    assert_true(covers(grant, "https://gmail.googleapis.com/a"));
    assert_true(covers(grant, "http://127.0.0.1:8080/"));
    assert_false(covers(grant, "https://127.0.0.1:8080/"));
    assert_false(covers(grant, "http://gmail.googleapis.com:443/"));
    assert_false(covers(grant, "https://gmail.googleapis.com:8443/"));
    assert_false(covers(grant, "https://googleapis.com/"));
    assert_false(covers(grant, "https://evil.gmail.googleapis.com/"));
    assert_true(grant_is_for(grant, "local://google"));
    assert_false(grant_is_for(grant, "local://google2"));
    assert_false(grant_is_for(grant, "local://Google"));
    assert_false(grant_is_for(grant, ""));
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"connector_fqn\":\"local://x\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[]}",
        "{\"connector_fqn\":\"local://x\",\"origins\":\"https://a.example\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[7]}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"http://a.example\"]}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example/\"]}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://u@a.example\"]}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://*.example\"]}",
        "{\"connector_fqn\":\"x\",\"origins\":[\"https://a.example\"]}",
        "{\"connector_fqn\":7,\"origins\":[\"https://a.example\"]}",
        "{\"connector_fqn\":\"local://x\\n\",\"origins\":[\"https://a.example\"]}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"header\":\"Host\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"header\":\"X: y\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"header\":\"\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"format\":\"Bearer\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"format\":\"{key}{key}\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"format\":\"{key}\\r\\nEvil: 1\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"token_url\":\"http://a.example/token\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"revoke_url\":\"http://a.example/\"}",
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"authorize_url\":\"file:///x\"}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct grant *grant = NULL;
        struct err err = ERR_INIT;

        if (read_grant(bad[i], GRANT_API_KEY, &grant, &err) != -22)
            fail_msg("accepted: %s", bad[i]);
        assert_null(grant);
        assert_true(err.message[0] != '\0');
    }
}

static void test_oauth2_is_fixed(void **state)
{
    struct grant *grant = NULL;
    static const char *const head = "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],";
    char text[256];

    snprintf(text, sizeof text, "%s\"header\":\"X-Key\"}", head);
    assert_int_equal(read_grant(text, GRANT_OAUTH2, &grant, NULL), -22);
    snprintf(text, sizeof text, "%s\"format\":\"Token {key}\"}", head);
    assert_int_equal(read_grant(text, GRANT_OAUTH2, &grant, NULL), -22);
    snprintf(text, sizeof text, "%s\"header\":\"Authorization\",\"format\":\"Bearer {key}\"}", head);
    assert_int_equal(read_grant(text, GRANT_OAUTH2, &grant, NULL), 0);
    grant_free(grant);
}

static void test_header_line(void **state)
{
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL, *line = NULL;
    static const char expected[] = "X-Key: Key=\"abcdefgh\";v=1";
    size_t at = 0;

    assert_int_equal(read_grant("{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example\"],\"header\":\"X-Key\","
                                "\"format\":\"Key=\\\"{key}\\\";v=1\"}",
                         GRANT_API_KEY, &grant, NULL),
        0);
    assert_int_equal(secret_from("abcdefgh", 8, &value), 0);
    assert_int_equal(grant_header_line(grant, value, &line, &at), 0);
    assert_int_equal(secret_len(line), sizeof expected);
    assert_memory_equal(secret_bytes(line), expected, sizeof expected);
    assert_memory_equal(secret_bytes(line) + at, "abcdefgh", 8);
}

static void test_names_and_values(void **state)
{
    static const char *const good[] = { "oauth2/google/me", "api_key/9x/1.a_b-c", "a/b/c" };
    static const char *const bad[] = { "", "oauth2", "oauth2/google", "oauth2/google/", "/google/me", "oauth2/google/me/more",
        "Oauth2/google/me", "2auth/google/me", "oauth2/Google/me", "oauth2/.google/me", "oauth2//me", "oauth2/google/me ",
        "oauth2/google/m\xc3\xa9", "_grants/a/b", "oau.th/google/me" };

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(grant_binding_name_is_valid(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (grant_binding_name_is_valid(bad[i]))
            fail_msg("accepted: %s", bad[i]);
    assert_null(grant_value_refusal((const uint8_t *) "ya29.a-b_c~d+e/f=", 17));
    assert_non_null(grant_value_refusal((const uint8_t *) "short", 5));
    assert_non_null(grant_value_refusal((const uint8_t *) "has blank", 9));
    assert_non_null(grant_value_refusal((const uint8_t *) "line\r\nend", 9));
    assert_non_null(grant_value_refusal((const uint8_t *) "nul\0byte!", 9));
}

static void test_json(void **state)
{
    static const char text[] =
        "{\"connector_fqn\":\"local://x\",\"origins\":[\"https://a.example:443\",\"http://127.0.0.1:8080\"],"
        "\"header\":\"X-Key\",\"format\":\"k={key}\",\"token_url\":\"https://a.example/token\","
        "\"revoke_url\":\"https://a.example/revoke\",\"authorize_url\":\"https://a.example/auth\"}";
    CLEANUP_PTR(grant_free) struct grant *grant = NULL, *copy = NULL;
    CLEANUP_JSON json_t *json = NULL;
    CLEANUP_FREE char *written = NULL;

    assert_int_equal(read_grant(text, GRANT_API_KEY, &grant, NULL), 0);
    assert_int_equal(grant_copy(grant, &copy), 0);
    assert_int_equal(copy->kind, GRANT_API_KEY);
    assert_string_equal(copy->revoke_url, "https://a.example/revoke");
    assert_string_equal(copy->authorize_url, "https://a.example/auth");
    json = grant_to_json(copy);
    written = json_dumps(json, JSON_COMPACT);
    assert_string_equal(written, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_covers),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_oauth2_is_fixed),
        cmocka_unit_test(test_header_line),
        cmocka_unit_test(test_names_and_values),
        cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
