/*
 * The probe itself: tests and figures rest on it.
 */
#include "fake-host.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

static int reset(void **state)
{
    fake_host_reset();
    return 0;
}

static int64_t number(const struct aileron_json *object, const char *key)
{
    int64_t value = -1;

    aileron_json_int(aileron_json_get(object, key), &value);
    return value;
}

static void does_nothing_and_echoes(void **state)
{
    const struct aileron_json *output = fake_host_run("noop", "{}");

    assert_non_null(output);
    assert_int_equal(output->len, 0);
    output = fake_host_run("echo", "{\"a\":[1,{\"b\":null}],\"c\":\"d\"}");
    assert_int_equal(output->len, 2);
    assert_string_equal(aileron_json_string(output, "c"), "d");
}

static void fails_as_told(void **state)
{
    assert_null(fake_host_run("fail", "{\"class\":\"bad_input\",\"message\":\"no %s\"}"));
    assert_string_equal(fake_host_error_class(), "bad_input");
    assert_string_equal(fake_host_error_message(), "no %s");
    assert_null(fake_host_run("fail", "{\"class\":\"x\",\"message\":\"y\",\"status\":503}"));
    assert_string_equal(fake_host_error_class(), "external_api_error");
    assert_int_equal(number(aileron_json_get(fake_host_error(), "details"), "status"), 503);
}

static void fetches(void **state)
{
    const struct aileron_json *output;

    fake_host_answer_bytes(418, "a\xff\0b", 4);
    output = fake_host_run("fetch",
        "{\"url\":\"http://127.0.0.1:1/\",\"method\":\"PUT\",\"body_base64\":\"AAH/\",\"credential\":\"api_key\","
        "\"headers\":{\"X-A\":\"b\"}}");
    assert_int_equal(number(output, "status"), 418);
    assert_int_equal(number(output, "size"), 4);
    assert_string_equal(aileron_json_string(output, "body"), "a\xef\xbf\xbd\xef\xbf\xbd"
                                                             "b");
    assert_string_equal(fake_host_request(0, "body_base64"), "AAH/");
    assert_string_equal(aileron_json_string(aileron_json_get(fake_host_request_json(0), "headers"), "X-A"), "b");
    assert_string_equal(fake_host_request(0, "credential"), "api_key");
    assert_null(fake_host_run("fetch", "{}"));
    assert_string_equal(fake_host_error_class(), "bad_input");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(does_nothing_and_echoes, reset, reset),
        cmocka_unit_test_setup_teardown(fails_as_told, reset, reset),
        cmocka_unit_test_setup_teardown(fetches, reset, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
