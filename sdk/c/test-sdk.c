/*
 * A call from envelope to envelope, requests through a fake host, and the text
 * helpers.
 */
#include "fake-host.h"
#include "internal.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int greet(struct aileron_call *call)
{
    const char *name = aileron_need_string(call, "name");

    if (!name)
        return -1;
    aileron_put_string(aileron_output(call), "text", aileron_printf(call, "Hello, %s", name));
    return 0;
}

static int fetch(struct aileron_call *call)
{
    const char *headers[] = { "Accept", "application/json", NULL };
    const char *body = aileron_json_string(aileron_args(call), "body");
    struct aileron_request request = { .method = aileron_json_string(aileron_args(call), "method"),
        .url = "https://example.com/a?b=c",
        .headers = headers,
        .body = body,
        .body_len = body ? strlen(body) : 0,
        .credential = "oauth2" };
    const struct aileron_json *json;

    if (aileron_json_get(aileron_args(call), "binary")) {
        request.body = "\xff\x00\x01";
        request.body_len = 3;
    }
    if (aileron_fetch_json(call, &request, &json) != 0)
        return -1;
    aileron_put_json(aileron_output(call), "answer", json);
    return 0;
}

static int fail_quietly(struct aileron_call *call)
{
    return -1;
}

static int fail_twice(struct aileron_call *call)
{
    aileron_fail_status(call, 429, 30, "slow \xff down");
    aileron_fail(call, "bad_input", "second");
    return 0;
}

static int flood(struct aileron_call *call)
{
    for (int i = 0; i < 300; i++)
        aileron_put_string(aileron_output(call), aileron_printf(call, "k%d", i), aileron_printf(call, "%08000d", i));
    aileron_log("info", "%s", "written");
    return 0;
}

static int long_message(struct aileron_call *call)
{
    return aileron_fail(call, "bad_input", "x%0998d\xe2\x82\xac", 0);
}

AILERON_OPERATIONS({ "greet", greet }, { "fetch", fetch }, { "fail_quietly", fail_quietly }, { "fail_twice", fail_twice },
    { "flood", flood }, { "long_message", long_message })

static int setup(void **state)
{
    fake_host_reset();
    return 0;
}

static int teardown(void **state)
{
    fake_host_reset();
    return 0;
}

static const char *run_text(const char *envelope)
{
    return fake_host_run_envelope(envelope, strlen(envelope));
}

static void answers(void **state)
{
    assert_string_equal(run_text("{\"op\":\"greet\",\"args\":{\"name\":\"Ada\"}}"), "{\"output\":{\"text\":\"Hello, Ada\"}}");
    assert_string_equal(run_text("{\"args\":{\"name\":\"\\u00e9\"},\"op\":\"greet\",\"later\":[1]}"),
        "{\"output\":{\"text\":\"Hello, \xc3\xa9\"}}");
}

static void refuses_bad_calls(void **state)
{
    static const struct {
        const char *envelope, *error_class, *message;
    } rows[] = {
        { "", "bad_input", "the call is not understood: an end where a value should be" },
        { "{\"op\":1}", "bad_input", "the call names no operation" },
        { "[]", "bad_input", "the call names no operation" },
        { "{\"op\":\"greet\",\"args\":[]}", "bad_input", "the arguments are not an object" },
        { "{\"op\":\"greet\"}", "bad_input", "name is missing" },
        { "{\"op\":\"greet\",\"args\":{\"name\":7}}", "bad_input", "name must be a string" },
        { "{\"op\":\"greet\",\"args\":{\"name\":\"\"}}", "bad_input", "name is empty" },
        { "{\"op\":\"nope\",\"args\":{}}", "unknown_op", "this connector has no operation nope" },
        { "{\"op\":\"fail_quietly\"}", "connector_runtime_error", "the operation failed without saying why" },
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        run_text(rows[i].envelope);
        assert_string_equal(fake_host_error_class(), rows[i].error_class);
        assert_string_equal(fake_host_error_message(), rows[i].message);
    }
}

static void reports_the_first_failure_with_details(void **state)
{
    static const char expected[] = "{\"error\":{\"class\":\"external_api_error\",\"message\":\"slow \xef\xbf\xbd down\","
                                   "\"details\":{\"status\":429,\"retry_after\":30}}}";

    assert_string_equal(run_text("{\"op\":\"fail_twice\"}"), expected);
    run_text("{\"op\":\"flood\"}");
    assert_string_equal(fake_host_error_class(), "resource_limit_exceeded");
    assert_int_equal(fake_host_log_lines(), 1);
    /* The cut at 999 bytes falls into the euro sign, which leaves whole. */
    run_text("{\"op\":\"long_message\"}");
    assert_int_equal(strlen(fake_host_error_message()), 999);
    assert_int_equal(fake_host_error_message()[998], '0');
}

static void asks_the_host(void **state)
{
    const struct aileron_json *output;

    fake_host_answer(200, "{\"a\":[1]}");
    output = fake_host_run("fetch", "{\"body\":\"x\\u00e9\",\"method\":\"POST\"}");
    assert_non_null(aileron_json_get(aileron_json_get(output, "answer"), "a"));
    assert_string_equal(fake_host_request(0, "method"), "POST");
    assert_string_equal(fake_host_request(0, "url"), "https://example.com/a?b=c");
    assert_string_equal(fake_host_request(0, "body"), "x\xc3\xa9");
    assert_string_equal(fake_host_request(0, "credential"), "oauth2");
    assert_string_equal(
        aileron_json_string(aileron_json_get(fake_host_request_json(0), "headers"), "Accept"), "application/json");
    fake_host_answer(204, "{}");
    assert_non_null(fake_host_run("fetch", "{\"binary\":true}"));
    assert_string_equal(fake_host_request(1, "body_base64"), "/wAB");
    assert_string_equal(fake_host_request(1, "method"), "GET");
    assert_null(fake_host_request(1, "body"));
}

static void survives_the_host(void **state)
{
    fake_host_refuse(-1);
    assert_null(fake_host_run("fetch", "{}"));
    assert_string_equal(fake_host_error_class(), "network_error");
    fake_host_refuse(-2);
    assert_null(fake_host_run("fetch", "{}"));
    assert_string_equal(fake_host_error_class(), "connector_runtime_error");
    fake_host_answer(503, "<html>");
    assert_null(fake_host_run("fetch", "{}"));
    assert_string_equal(fake_host_error_class(), "external_api_error");
    fake_host_answer(200, "<html>");
    assert_null(fake_host_run("fetch", "{}"));
    assert_string_equal(fake_host_error_class(), "external_api_error");
    fake_host_answer(200, "");
    assert_null(fake_host_run("fetch", "{}"));
    fake_host_answer(-5, "{}");
    assert_null(fake_host_run("fetch", "{}"));
    assert_string_equal(fake_host_error_class(), "network_error");
    fake_host_answer(200, "{}");
    fake_host_short_read(1);
    assert_null(fake_host_run("fetch", "{}"));
    assert_string_equal(fake_host_error_class(), "network_error");
}

static void converts_base64(void **state)
{
    static const struct {
        const char *plain, *standard, *url;
    } rows[] = { { "", "", "" }, { "f", "Zg==", "Zg" }, { "fo", "Zm8=", "Zm8" }, { "foo", "Zm9v", "Zm9v" },
        { "foob", "Zm9vYg==", "Zm9vYg" }, { "\xff\xef\xfe", "/+/+", "_-_-" } };
    static const char *const bad[] = { "A", "AAAAA", "A===", "AA=A", "AA==AA==", "AAA==", "A A=", "AA.=", "=", "====" };
    struct aileron_call call = { 0 };
    size_t len;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t plain_len = strlen(rows[i].plain);

        assert_string_equal(aileron_base64(&call, rows[i].plain, plain_len, false, &len), rows[i].standard);
        assert_int_equal(len, strlen(rows[i].standard));
        assert_string_equal(aileron_base64(&call, rows[i].plain, plain_len, true, NULL), rows[i].url);
        assert_string_equal(aileron_base64_decode(&call, rows[i].standard, strlen(rows[i].standard), &len), rows[i].plain);
        assert_int_equal(len, plain_len);
        assert_string_equal(aileron_base64_decode(&call, rows[i].url, strlen(rows[i].url), NULL), rows[i].plain);
    }
    assert_string_equal(aileron_base64_decode(&call, "Zm9v\r\nYg==\r\n", 12, NULL), "foob");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (aileron_base64_decode(&call, bad[i], strlen(bad[i]), NULL))
            fail_msg("was read: %s", bad[i]);
    aileron_call_free(&call);
}

static void escapes_urls(void **state)
{
    struct aileron_call call = { 0 };

    assert_string_equal(aileron_url_escape(&call, "aZ09-._~"), "aZ09-._~");
    assert_string_equal(aileron_url_escape(&call, "a/b?c#d&e=f+g h%\r\n@"), "a%2Fb%3Fc%23d%26e%3Df%2Bg%20h%25%0D%0A%40");
    assert_string_equal(aileron_url_escape(&call, "\xc3\xa9"), "%C3%A9");
    aileron_call_free(&call);
}

static void bounds_texts(void **state)
{
    struct aileron_call call = { 0 };
    struct aileron_text text;

    aileron_text_init(&text, &call, 100);
    for (int i = 0; i < 99; i++)
        aileron_text_add(&text, "ab", 1);
    assert_false(text.overflow);
    aileron_text_add_str(&text, "cd");
    assert_true(text.overflow);
    aileron_text_add_str(&text, "e");
    assert_int_equal(text.len, 99);
    assert_int_equal(strlen(text.data), 99);
    assert_int_equal(strlen(aileron_printf(&call, "%05000d", 1)), 5000);
    aileron_call_free(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_bad_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(reports_the_first_failure_with_details, setup, teardown),
        cmocka_unit_test_setup_teardown(asks_the_host, setup, teardown),
        cmocka_unit_test_setup_teardown(survives_the_host, setup, teardown),
        cmocka_unit_test(converts_base64),
        cmocka_unit_test(escapes_urls),
        cmocka_unit_test(bounds_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
