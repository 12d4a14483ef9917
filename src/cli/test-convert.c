/* Words become values of the declared type, or a sentence that says why not. */
#include "cli/convert.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void expect(const char *type, const char *text, const char *json)
{
    CLEANUP_JSON json_t *value = NULL;
    CLEANUP_JSON json_t *wanted = json_loads(json, JSON_DECODE_ANY, NULL);
    struct err err = ERR_INIT;

    assert_non_null(wanted);
    assert_int_equal(convert_value(type, "x", text, &value, &err), 0);
    assert_true(json_equal(value, wanted));
    assert_int_equal(json_typeof(value), json_typeof(wanted));
}

static void refuse(const char *type, const char *text)
{
    json_t *value = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(convert_value(type, "x", text, &value, &err), -EINVAL);
    assert_null(value);
    assert_true(err.message[0]);
}

static void test_strings(void **state)
{
    expect("string", "", "\"\"");
    expect("string", "12", "\"12\"");
    expect("string", "a=b @c", "\"a=b @c\"");
    expect("string", "Grüße", "\"Grüße\"");
    refuse("string", "\xff");
}

static void test_integers(void **state)
{
    expect("integer", "0", "0");
    expect("integer", "-7", "-7");
    expect("integer", "9223372036854775807", "9223372036854775807");
    expect("integer", "-9223372036854775808", "-9223372036854775808");
    refuse("integer", "9223372036854775808");
    refuse("integer", "");
    refuse("integer", "-");
    refuse("integer", "1.0");
    refuse("integer", "0x10");
    refuse("integer", " 1");
    refuse("integer", "+1");
    refuse("integer", "1 ");
    refuse("integer", "three");
}

static void test_numbers(void **state)
{
    expect("number", "1", "1");
    expect("number", "-0.5", "-0.5");
    expect("number", "1e3", "1000.0");
    refuse("number", "1e999");
    refuse("number", "inf");
    refuse("number", "nan");
    refuse("number", "0x1p3");
    refuse("number", "1.");
    refuse("number", ".5");
    refuse("number", "01");
    refuse("number", "1e");
    refuse("number", "--1");
}

static void test_booleans(void **state)
{
    expect("boolean", "true", "true");
    expect("boolean", "no", "false");
    refuse("boolean", "TRUE");
    refuse("boolean", "1");
    refuse("boolean", "");
}

static void test_json(void **state)
{
    expect("object", "{\"a\":[1]}", "{\"a\":[1]}");
    expect("array", "[1,2]", "[1,2]");
    refuse("object", "[1]");
    refuse("array", "{}");
    refuse("object", "{");
    refuse("object", "{\"a\":1,\"a\":2}");
    refuse("what", "x");
}

static json_t *inputs(void)
{
    return json_loads("[{\"name\":\"to\",\"type\":\"string\"},{\"name\":\"count\",\"type\":\"integer\",\"required\":false},"
                      "{\"name\":\"tags\",\"type\":\"array\",\"required\":false},"
                      "{\"name\":\"sizes\",\"type\":\"array\",\"items_type\":\"integer\",\"required\":false}]",
        0, NULL);
}

static void test_pairs(void **state)
{
    static const char *const PAIRS[] = { "to=a=b", "count=3", "tags=x", "tags=", "sizes=1", "sizes=2" };
    CLEANUP_JSON json_t *declared = inputs();
    CLEANUP_JSON json_t *args = json_object();
    CLEANUP_JSON json_t *wanted = json_loads("{\"to\":\"a=b\",\"count\":3,\"tags\":[\"x\",\"\"],\"sizes\":[1,2]}", 0, NULL);
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(PAIRS); i++)
        assert_int_equal(convert_pair(declared, PAIRS[i], args, &err), 0);
    assert_true(json_equal(args, wanted));
    assert_null(convert_missing(declared, args));
}

static void refuse_pair(const char *first, const char *pair, const char *message, const char *hint)
{
    CLEANUP_JSON json_t *declared = inputs();
    CLEANUP_JSON json_t *args = json_object();
    struct err err = ERR_INIT;

    if (first)
        assert_int_equal(convert_pair(declared, first, args, &err), 0);
    assert_int_equal(convert_pair(declared, pair, args, &err), -EINVAL);
    assert_non_null(strstr(err.message, message));
    assert_string_equal(err.hint, hint);
}

static void test_refused_pairs(void **state)
{
    refuse_pair(NULL, "to", "NAME=VALUE", "");
    refuse_pair(NULL, "=x", "NAME=VALUE", "");
    refuse_pair(NULL, "cuont=1", "no input \"cuont\"", "did you mean count=…?");
    refuse_pair(NULL, "something=1", "no input \"something\"", "");
    refuse_pair("to=x", "to=y", "twice", "");
    refuse_pair(NULL, "sizes=big", "whole number", "");
    refuse_pair(NULL, "count=", "whole number", "");
}

static void test_missing(void **state)
{
    CLEANUP_JSON json_t *declared = inputs();
    CLEANUP_JSON json_t *args = json_object();

    assert_string_equal(convert_missing(declared, args), "to");
    json_object_set_new(args, "to", json_null());
    assert_null(convert_missing(declared, args));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_booleans),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_refused_pairs),
        cmocka_unit_test(test_missing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
