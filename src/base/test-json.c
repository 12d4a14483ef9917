/* Tests of JSON with limits: exact counting, hostile shapes, quoting, canonical text, keys that differ in case only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "base/json.h"

#include "base/banned.h"

static int parse(const char *text, unsigned depth, unsigned nodes, struct err *err)
{
    json_t *json = NULL;
    int r = json_parse(text, strlen(text), (struct json_limits){ 1000000, depth, nodes }, &json, err);

    json_decref(json);
    return r;
}

static void test_limits(void **state)
{
    static const struct {
        const char *text;
        unsigned depth, nodes; /* exactly what the text needs */
    } cases[] = {
        { "{}", 1, 1 },
        { "[1,2,3]", 1, 4 },
        { "[ 1 , -2.5e3 , true , null , \"a,b:[]{}\\\"\" ]", 1, 6 },
        { "{\"a\":1,\"b\" : {\"c\":[[]]}}", 4, 5 },
        { "{\"a\\\\\":\"b\"}", 1, 2 },
        { "{\"a\"\n:\n\"b\",\"c\":\"d\"}", 1, 3 },
        { "[\"]]]]]\",\"[[[[[\"]", 1, 3 },
    };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        if (parse(cases[i].text, cases[i].depth, cases[i].nodes, &err) != 0)
            fail_msg("%s: %s", cases[i].text, err.message);
        assert_int_equal(parse(cases[i].text, cases[i].depth - 1, cases[i].nodes, &err), -E2BIG);
        assert_int_equal(parse(cases[i].text, cases[i].depth, cases[i].nodes - 1, &err), -E2BIG);
    }
}

static void test_refused(void **state)
{
    static const char *const bad[] = { "", "1", "\"a\"", "null", "{", "[", "[1,]", "{\"a\":1,\"a\":2}", "{\"a\":1}x", "[1] [2]",
        "[01]", "[\"\\u0000\"]", "{\"\\u0000\":1}", "[\"\xff\"]", "[99999999999999999999]", "[1e999]", "[nan]", "['a']",
        "[\"\t\"]", "[\"\\ud800\"]", ":::", "[:::]", "{\"a\"::::1}", "{a:1}", "[\"a", "[\"\\", "]", "}}}}" };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (parse(bad[i], 10, 10, &err) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_true(err.message[0]);
    }
    assert_int_equal(json_parse("[1]\0", 4, JSON_LIMITS(10), NULL, &err), -EINVAL);
    assert_int_equal(json_parse("[1, 2, 3, 4]", 12, JSON_LIMITS(11), NULL, &err), -E2BIG);
}

/* What an agent sends is private: no message may repeat it. */
static void test_message_does_not_repeat_text(void **state)
{
    static const char *const texts[] = { "{\"secret\":hunter2}", "{\"secret\":1,\"secret\":2}", "[\"hunter2", "[hunter2secret]",
        "[1]hunter2", "{\"a\":1 \"secret\"}", "{\"a\" hunter2}", "[12hunter2]", "[\"hunter2 secret\x01\"]", "[\"\\q secret\"]" };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        assert_int_equal(parse(texts[i], 10, 10, &err), -EINVAL);
        if (strstr(err.message, "secret") || strstr(err.message, "hunter2") || strstr(err.message, "near"))
            fail_msg("%s", err.message);
    }
}

static void test_deep_and_wide(void **state)
{
    size_t len = 1000000;
    char *text = malloc(len);
    struct err err = ERR_INIT;
    json_t *json = NULL;

    assert_non_null(text);
    memset(text, '[', len);
    assert_int_equal(json_parse(text, len, JSON_LIMITS(len), &json, &err), -E2BIG);
    for (size_t i = 0; i + 3 <= len; i += 3)
        memcpy(text + i, "{},", 3);
    text[0] = '[';
    assert_int_equal(json_parse(text, len, JSON_LIMITS(len), &json, &err), -E2BIG);
    assert_null(json);
    free(text);
}

static void test_write(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(100);
    CLEANUP(buf_free) struct buf small = BUF_INIT(5);
    CLEANUP_JSON json_t *json = NULL;
    const char *text = "{\"b\": 1, \"a\": [true, null, \"\xc3\xa9\"]}";

    assert_int_equal(json_parse(text, strlen(text), JSON_LIMITS(100), &json, NULL), 0);
    assert_int_equal(json_write(json, &buf), 0);
    assert_string_equal(buf_str(&buf), "{\"b\":1,\"a\":[true,null,\"\xc3\xa9\"]}");
    buf_reset(&buf);
    assert_int_equal(json_write_canonical(json, &buf), 0);
    assert_string_equal(buf_str(&buf), "{\"a\":[true,null,\"\xc3\xa9\"],\"b\":1}");
    assert_int_equal(buf_add_str(&small, "x"), 0);
    assert_int_equal(json_write(json, &small), -E2BIG);
    assert_string_equal(buf_str(&small), "x");
    assert_null(json_get_str(json, "b"));
    assert_null(json_get_str(json, "none"));
    assert_null(json_get_str(NULL, "none"));
}

static void test_quote(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(200);
    CLEANUP(buf_free) struct buf small = BUF_INIT(4);
    CLEANUP_JSON json_t *json = NULL;

    assert_int_equal(buf_add_char(&buf, '['), 0);
    assert_int_equal(json_quote("a\"\\\n\x01\x7f\xc3\xa9\xff\0z", 11, &buf), 0);
    assert_int_equal(buf_add_char(&buf, ']'), 0);
    assert_string_equal(buf_str(&buf), "[\"a\\\"\\\\\\n\\u0001\x7f\xc3\xa9\xef\xbf\xbd\\u0000z\"]");
    assert_int_equal(json_quote("abc", 3, &small), -E2BIG);
    assert_int_equal(small.len, 0);
    assert_int_equal(json_quote("", 0, &small), 0);
    assert_string_equal(buf_str(&small), "\"\"");
}

static void test_twins(void **state)
{
    static const struct {
        const char *text;
        bool twin;
    } cases[] = { { "{}", false }, { "{\"a\":1}", false }, { "{\"a\":1,\"b\":2,\"ab\":3}", false },
        { "{\"to\":1,\"x\":0,\"To\":2}", true }, { "{\"[\":1,\"{\":2,\"@\":3,\"`\":4}", false },
        { "{\"a\":{\"X\":1,\"x\":2}}", false } };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_JSON json_t *json = NULL;

        assert_int_equal(json_parse(cases[i].text, strlen(cases[i].text), JSON_LIMITS(100), &json, NULL), 0);
        assert_int_equal(json_case_folded_twin(json) != NULL, cases[i].twin);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_message_does_not_repeat_text),
        cmocka_unit_test(test_deep_and_wide),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_quote),
        cmocka_unit_test(test_twins),
    };

    json_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
