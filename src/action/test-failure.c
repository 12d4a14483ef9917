/* The table of classes against SPEC §6, and the envelope that a connector may have written with any intent. */
#include "action/failure.h"
#include "base/buf.h"
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_table(void **state)
{
    static const struct {
        const char *name;
        int status;
        bool retriable;
        const char *boundary;
    } rows[] = {
        { "capability_denied", 403, false, "sandbox" },
        { "binding_required", 412, false, "runtime" },
        { "binding_failed", 412, false, "runtime" },
        { "resource_limit_exceeded", 507, false, "sandbox" },
        { "connector_runtime_error", 500, false, "sandbox" },
        { "network_error", 502, true, "external" },
        { "external_api_error", 502, false, "external" },
        { "hash_mismatch", 422, false, "runtime" },
        { "signature_failure", 422, false, "runtime" },
        { "bad_input", 400, false, "action" },
        { "approval_denied", 403, false, "user" },
        { "approval_timeout", 408, false, "user" },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum failure_class class = failure_class_from_name(rows[i].name);
        struct failure failure = FAILURE_INIT;

        assert_int_not_equal(class, FAILURE_NONE);
        assert_string_equal(failure_class_name(class), rows[i].name);
        assert_int_equal(failure_http_status(class), rows[i].status);
        failure_set(&failure, class, "m %d", 1);
        assert_int_equal(failure.retriable, rows[i].retriable);
        assert_string_equal(failure.boundary, rows[i].boundary);
        assert_string_equal(failure.message, "m 1");
        failure_clear(&failure);
    }
    assert_int_equal(failure_class_from_name("none"), FAILURE_NONE);
    assert_int_equal(failure_class_from_name("external_service_error"), FAILURE_NONE);
    assert_int_equal(failure_class_from_name(""), FAILURE_NONE);
}

static void assert_json(json_t *value_stolen, const char *expected)
{
    CLEANUP_JSON json_t *value = value_stolen;
    CLEANUP(buf_free) struct buf out = BUF_INIT(1 << 20);

    assert_non_null(value);
    assert_int_equal(json_write(value, &out), 0);
    assert_string_equal(buf_str(&out), expected);
}

static void test_retriable_follows_status(void **state)
{
    static const struct {
        int status;
        bool retriable;
    } rows[] = { { 400, false }, { 401, false }, { 404, false }, { 428, false }, { 429, true }, { 499, false }, { 500, true },
        { 503, true }, { 599, true }, { 600, false } };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct failure failure = FAILURE_INIT;

        failure_set(&failure, FAILURE_EXTERNAL_API_ERROR, "x");
        failure_detail(&failure, "status", json_integer(rows[i].status));
        assert_int_equal(failure.retriable, rows[i].retriable);
        failure_clear(&failure);
    }
}

static void test_json_and_copy(void **state)
{
    struct failure a = FAILURE_INIT, b = FAILURE_INIT;

    failure_set(&a, FAILURE_NETWORK_ERROR, "no route");
    failure_detail(&a, "retried", json_integer(2));
    failure_set(&b, FAILURE_BAD_INPUT, "old");
    failure_detail(&b, "x", json_true());
    failure_copy(&b, &a);
    failure_detail(&a, "retried", json_integer(3));
    assert_json(failure_to_json(&b, "aud_1"),
        "{\"error\":{\"class\":\"network_error\",\"message\":\"no route\",\"retriable\":true,"
        "\"boundary\":\"external\",\"audit_id\":\"aud_1\",\"details\":{\"retried\":2}}}");
    failure_set(&b, FAILURE_RESOURCE_LIMIT_EXCEEDED, "queue full");
    b.boundary = "runtime";
    assert_json(failure_to_json(&b, NULL),
        "{\"error\":{\"class\":\"resource_limit_exceeded\",\"message\":\"queue full\",\"retriable\":false,"
        "\"boundary\":\"runtime\",\"audit_id\":\"\",\"details\":{}}}");
    failure_set(&b, FAILURE_BAD_INPUT, "broken \xc3");
    assert_json(failure_to_json(&b, NULL), "{\"error\":{\"class\":\"bad_input\",\"message\":\"bad_input\",\"retriable\":false,"
                                           "\"boundary\":\"action\",\"audit_id\":\"\",\"details\":{}}}");
    failure_clear(&a);
    failure_clear(&b);
}

static void test_output(void **state)
{
    static const char *const good[][2] = {
        { "", "{}" },
        { " \r\n\t", "{}" },
        { "{\"output\":{}}", "{}" },
        { " {\"output\":{\"a\":[1,null]},\"trace\":1} \n", "{\"a\":[1,null]}" },
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct failure failure = FAILURE_INIT;
        json_t *output = NULL;

        assert_int_equal(failure_read_envelope(good[i][0], strlen(good[i][0]), &output, &failure), 0);
        assert_int_equal(failure.class, FAILURE_NONE);
        assert_json(output, good[i][1]);
    }
}

static void assert_failure(const char *text, size_t len, const char *expected)
{
    struct failure failure = FAILURE_INIT;
    json_t *output = NULL;

    assert_int_equal(failure_read_envelope(text, len, &output, &failure), 1);
    assert_null(output);
    assert_json(failure_to_json(&failure, NULL), expected);
    failure_clear(&failure);
}

#define SHAPE(class, message, retriable, boundary, details)                                                                      \
    "{\"error\":{\"class\":\"" class "\",\"message\":\"" message "\",\"retriable\":" retriable ",\"boundary\":\"" boundary       \
                                     "\",\"audit_id\":\"\",\"details\":" details "}}"

static void test_errors(void **state)
{
    static const char *const rows[][2] = {
        { "{\"error\":{\"class\":\"bad_input\",\"message\":\"no\"}}", SHAPE("bad_input", "no", "false", "action", "{}") },
        { "{\"error\":{\"class\":\"capability_denied\",\"message\":\"no\",\"details\":{\"status\":1}}}",
            SHAPE("capability_denied", "no", "false", "sandbox", "{}") },
        { "{\"error\":{\"class\":\"binding_required\",\"message\":\"no\"}}",
            SHAPE("binding_required", "no", "false", "runtime", "{}") },
        { "{\"error\":{\"class\":\"resource_limit_exceeded\",\"message\":\"no\"}}",
            SHAPE("resource_limit_exceeded", "no", "false", "sandbox", "{}") },
        { "{\"error\":{\"class\":\"external_api_error\",\"message\":\"no\",\"details\":{\"status\":429,\"retry_after\":7,"
          "\"body\":\"secret\"}}}",
            SHAPE("external_api_error", "no", "true", "external", "{\"status\":429,\"retry_after\":7}") },
        { "{\"error\":{\"class\":\"external_service_error\",\"message\":\"no\",\"details\":{\"status\":404}}}",
            SHAPE("external_api_error", "no", "false", "external", "{\"status\":404}") },
        { "{\"error\":{\"class\":\"external_api_error\",\"message\":\"no\",\"details\":{\"status\":503,\"retry_after\":\"120\"}}"
          "}",
            SHAPE("external_api_error", "no", "true", "external", "{\"status\":503,\"retry_after\":120}") },
        { "{\"error\":{\"class\":\"external_api_error\",\"message\":\"no\",\"details\":{\"status\":503,\"retry_after\":1.2}}}",
            SHAPE("external_api_error", "no", "true", "external", "{\"status\":503,\"retry_after\":2}") },
        { "{\"error\":{\"class\":\"external_api_error\",\"message\":\"no\",\"details\":{\"status\":503,\"retry_after\":99999999}}"
          "}",
            SHAPE("external_api_error", "no", "true", "external", "{\"status\":503,\"retry_after\":86400}") },
        { "{\"error\":{\"class\":\"external_api_error\",\"message\":\"no\",\"details\":{\"status\":99,\"retry_after\":-1}}}",
            SHAPE("external_api_error", "no", "false", "external", "{}") },
        { "{\"error\":{\"class\":\"external_api_error\",\"message\":\"no\",\"details\":{\"status\":\"500\",\"retry_after\":"
          "\"Wed\"}}}",
            SHAPE("external_api_error", "no", "false", "external", "{}") },
        { "{\"error\":{\"class\":\"external_api_error\",\"details\":7}}",
            SHAPE(
                "external_api_error", "the connector reported external_api_error without a message", "false", "external", "{}") },
        { "{\"error\":{\"class\":\"unknown_op\",\"message\":\"no such op\"}}",
            SHAPE("connector_runtime_error", "no such op", "false", "sandbox", "{\"connector_class\":\"unknown_op\"}") },
        { "{\"error\":{\"class\":\"connector_runtime_error\",\"message\":\"x\"}}",
            SHAPE("connector_runtime_error", "x", "false", "sandbox", "{}") },
        /* A connector cannot speak for the keeper, the runtime or a person. */
        { "{\"error\":{\"class\":\"approval_denied\",\"message\":\"x\"}}",
            SHAPE("connector_runtime_error", "x", "false", "sandbox", "{\"connector_class\":\"approval_denied\"}") },
        { "{\"error\":{\"class\":\"network_error\",\"message\":\"x\"}}",
            SHAPE("connector_runtime_error", "x", "false", "sandbox", "{\"connector_class\":\"network_error\"}") },
        { "{\"error\":{\"class\":\"binding_failed\",\"message\":\"x\"}}",
            SHAPE("connector_runtime_error", "x", "false", "sandbox", "{\"connector_class\":\"binding_failed\"}") },
        { "{\"error\":{\"class\":\"a\\u001bb\",\"message\":\"x\\u001b[2J\\ny\"}}",
            SHAPE("connector_runtime_error", "x [2J y", "false", "sandbox", "{\"connector_class\":\"a b\"}") },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_failure(rows[i][0], strlen(rows[i][0]), rows[i][1]);
}

static void assert_malformed(const char *text, size_t len)
{
    struct failure failure = FAILURE_INIT;
    json_t *output = NULL;

    if (failure_read_envelope(text, len, &output, &failure) != 1)
        fail_msg("taken: %.100s", text);
    assert_int_equal(failure.class, FAILURE_CONNECTOR_RUNTIME_ERROR);
    assert_non_null(strstr(failure.message, "malformed"));
    assert_false(failure.retriable);
    failure_clear(&failure);
}

static void test_malformed(void **state)
{
    static const char *const bad[] = {
        "x",
        "{",
        "[]",
        "null",
        "{}",
        "{\"output\":1}",
        "{\"output\":null}",
        "{\"output\":[]}",
        "{\"error\":1}",
        "{\"error\":{}}",
        "{\"error\":{\"class\":1}}",
        "{\"output\":{},\"error\":{\"class\":\"bad_input\",\"message\":\"\"}}",
        "{\"output\":{},\"output\":{}}",
        "{\"output\":{},\"Output\":{}}",
        "{\"OUTPUT\":{}}",
        "{\"error\":{\"class\":\"bad_input\",\"Class\":\"x\"}}",
        "{\"output\":{}}{}",
        "{\"output\":{}} x",
        "{\"output\":{\"a\":\"\\ud800\"}}",
        "{\"output\":{\"a\":\"\xff\"}}",
        "{\"output\":{\"a\":1e999}}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_malformed(bad[i], strlen(bad[i]));
    assert_malformed("{\"output\":{}}\0", 14);
    assert_malformed("\0", 1);
}

static void test_hostile_sizes(void **state)
{
    CLEANUP(buf_free) struct buf many = BUF_INIT(4 << 20), deep = BUF_INIT(1 << 20), large = BUF_INIT(4 << 20);
    CLEANUP_FREE char *filler = malloc(1 << 20);

    for (int i = 0; i < 200000; i++)
        assert_int_equal(buf_add_str(&many, i ? "{}," : "{\"output\":{\"a\":["), 0);
    assert_malformed(buf_str(&many), many.len);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(buf_add_str(&deep, i ? "[" : "{\"output\":{\"a\":"), 0);
    assert_malformed(buf_str(&deep), deep.len);
    memset(filler, 'x', 1 << 20);
    assert_int_equal(buf_add_str(&large, "{\"output\":{\"a\":\""), 0);
    assert_int_equal(buf_add(&large, filler, 1 << 20), 0);
    assert_int_equal(buf_add_str(&large, "\"}}"), 0);
    assert_malformed(buf_str(&large), large.len);
}

static void test_long_message_is_cut_between_characters(void **state)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(1 << 16);
    struct failure failure = FAILURE_INIT;
    json_t *output = NULL;

    assert_int_equal(buf_add_str(&text, "{\"error\":{\"class\":\"bad_input\",\"message\":\""), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_add_str(&text, "\xe2\x82\xac"), 0);
    assert_int_equal(buf_add_str(&text, "\"}}"), 0);
    assert_int_equal(failure_read_envelope(buf_str(&text), text.len, &output, &failure), 1);
    assert_int_equal(strlen(failure.message), 1023 / 3 * 3);
    assert_int_equal(strlen(failure.message) % 3, 0);
    failure_clear(&failure);
}

static void test_retry_delay(void **state)
{
    assert_int_equal(failure_retry_delay_ms(1, 0, -1), 1000);
    assert_int_equal(failure_retry_delay_ms(2, 0, 0), 2000);
    assert_int_equal(failure_retry_delay_ms(3, 0.5, 0), 4400);
    assert_int_equal(failure_retry_delay_ms(1, 0.999999, 0), 1199);
    assert_int_equal(failure_retry_delay_ms(1, 0, 30000), 30000);
    assert_int_equal(failure_retry_delay_ms(3, 0, 3000), 4000);
    assert_int_equal(failure_retry_delay_ms(9, 0, 0), 4000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_retriable_follows_status),
        cmocka_unit_test(test_json_and_copy),
        cmocka_unit_test(test_output),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_hostile_sizes),
        cmocka_unit_test(test_long_message_is_cut_between_characters),
        cmocka_unit_test(test_retry_delay),
    };

    return cmocka_run_group_tests_name("action/failure", tests, NULL, NULL);
}
