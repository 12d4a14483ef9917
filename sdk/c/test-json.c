/*
 * The JSON reader and writer: what they take, what they refuse, and that whatever
 * is written can be read again.
 */
#include "internal.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

const struct aileron_operation aileron_operations[] = { { NULL, NULL } };

static struct aileron_call call;

static int setup(void **state)
{
    memset(&call, 0, sizeof(call));
    aileron_call_init(&call);
    return 0;
}

static int teardown(void **state)
{
    aileron_call_free(&call);
    return 0;
}

static const char *why;

static struct aileron_json *parse(const char *text)
{
    why = NULL;
    return aileron_json_parse(&call, aileron_copy(&call, text, strlen(text)), strlen(text), &why);
}

static void reads_values(void **state)
{
    const struct aileron_json *json = parse(" {\"a\":[1,-2.5e+3,true,false,null,\"x\"],\"b\":{\"c\":\"\"}}\r\n\t");
    const struct aileron_json *list = aileron_json_get(json, "a"), *item;
    int64_t number;

    assert_non_null(json);
    assert_int_equal(list->len, 6);
    item = aileron_json_each(list);
    assert_true(aileron_json_int(item, &number));
    assert_int_equal(number, 1);
    item = item->next;
    assert_int_equal(item->type, AILERON_NUMBER);
    assert_string_equal(item->text, "-2.5e+3");
    assert_false(aileron_json_int(item, &number));
    assert_string_equal(aileron_json_string(aileron_json_get(json, "b"), "c"), "");
    assert_null(aileron_json_get(json, "A"));
    assert_null(aileron_json_get(NULL, "a"));
    assert_null(aileron_json_get(list, "a"));
    assert_null(aileron_json_string(json, "a"));
    assert_null(aileron_json_each(NULL));
}

static void reads_escapes(void **state)
{
    struct aileron_json *json = parse("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"]");

    assert_non_null(json);
    assert_string_equal(json->first->text, "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    /* NUL and halves of pairs cannot be passed on; they must not cost the rest of an answer either. */
    json = parse("[\"a\\u0000b\\ud800c\\udc00\\ud800\\u0041\\ud800\"]");
    assert_non_null(json);
    assert_string_equal(json->first->text, "a\xef\xbf\xbd"
                                           "b\xef\xbf\xbd"
                                           "c\xef\xbf\xbd\xef\xbf\xbd"
                                           "A\xef\xbf\xbd");
    assert_int_equal(json->first->len, strlen(json->first->text));
}

static void refuses_what_is_not_json(void **state)
{
    static const char *const bad[] = { "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}",
        "{1:1}", "[01]", "[-]", "[1.]", "[.5]", "[1e]", "[1e+]", "[+1]", "[0x1]", "[NaN]", "[tru]", "[nulll]", "[true false]",
        "[\"a]", "[\"\\x\"]", "[\"\\u12\"]", "[\"\\u12g4\"]", "[\"\\", "[\"\n\"]", "[\"\x01\"]", "[1]]", "[1] 2",
        "{\"a\":1 \"b\":2}", "]", "\"", "[1}", "{\"a\":1]", "[\"\\ud83d\\u", "[\"\\ud83d\\", "//x\n[1]", "['a']" };
    static const char *const not_utf8[] = { "[\"\x80\"]", "[\"\xc0\xaf\"]", "[\"\xe0\x80\x80\"]", "[\"\xed\xa0\x80\"]",
        "[\"\xf0\x80\x80\x80\"]", "[\"\xf4\x90\x80\x80\"]", "[\"\xff\"]", "[\"\xc3\"]", "[\"\xe2\x82\"]", "[\"\xf0\x9f\x98" };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (parse(bad[i]))
            fail_msg("was read: %s", bad[i]);
        assert_non_null(why);
    }
    for (size_t i = 0; i < sizeof(not_utf8) / sizeof(not_utf8[0]); i++) {
        assert_null(parse(not_utf8[i]));
        assert_string_equal(why, "a string that is not UTF-8");
    }
    assert_null(aileron_json_parse(&call, aileron_copy(&call, "[1]\0", 4), 4, &why));
}

static void refuses_duplicate_names(void **state)
{
    assert_null(parse("{\"a\":1,\"b\":2,\"a\":3}"));
    assert_string_equal(why, "a name that occurs twice in an object");
    assert_null(parse("{\"a\":1,\"\\u0061\":3}"));
    assert_non_null(parse("{\"a\":1,\"A\":3,\"b\":{\"a\":1}}"));
}

/* `count` times `unit` between two ends. */
static char *repeat(const char *before, const char *unit, size_t count, const char *after)
{
    struct aileron_text text;

    aileron_text_init(&text, &call, 64 << 20);
    aileron_text_add_str(&text, before);
    for (size_t i = 0; i < count; i++)
        aileron_text_add_str(&text, unit);
    aileron_text_add_str(&text, after);
    return text.data;
}

static void keeps_its_bounds(void **state)
{
    struct aileron_text members;

    assert_non_null(parse(aileron_printf(&call, "%s%s", repeat("", "[", 64, ""), repeat("", "]", 64, ""))));
    assert_null(parse(aileron_printf(&call, "%s%s", repeat("", "[", 65, ""), repeat("", "]", 65, ""))));
    assert_string_equal(why, "more than 64 levels");
    assert_null(parse(repeat("", "[", 1000000, "")));
    assert_null(parse(repeat("", "{\"a\":", 1000000, "")));
    assert_non_null(parse(repeat("[", "{},", 99998, "0]")));
    assert_null(parse(repeat("[", "{},", 99999, "0]")));
    assert_string_equal(why, "more than 100000 values");
    for (unsigned count = 1024; count <= 1025; count++) {
        aileron_text_init(&members, &call, 1 << 20);
        aileron_text_add_str(&members, "{");
        for (unsigned i = 0; i < count; i++)
            aileron_text_printf(&members, "%s\"k%u\":0", i ? "," : "", i);
        aileron_text_add_str(&members, "}");
        assert_int_equal(parse(members.data) != NULL, count == 1024);
    }
}

static void reads_integers_exactly(void **state)
{
    static const struct {
        const char *text;
        bool fits;
        int64_t value;
    } rows[] = { { "[0]", true, 0 }, { "[-0]", true, 0 }, { "[9223372036854775807]", true, INT64_MAX },
        { "[-9223372036854775808]", true, INT64_MIN }, { "[9223372036854775808]", false, 0 },
        { "[-9223372036854775809]", false, 0 }, { "[99999999999999999999999]", false, 0 }, { "[1.0]", false, 0 },
        { "[1e3]", false, 0 }, { "[\"1\"]", false, 0 }, { "[true]", false, 0 } };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t value = 0;

        assert_int_equal(aileron_json_int(parse(rows[i].text)->first, &value), rows[i].fits);
        assert_int_equal(value, rows[i].value);
    }
}

static void writes_and_reads_back(void **state)
{
    struct aileron_writer *writer = aileron_writer_new(&call);
    const char *text;
    size_t len;

    aileron_put_string(writer, "text", "a\"b\\c\n\t\x01\x7f/\xe2\x82\xac");
    aileron_put_string(writer, "absent", NULL);
    aileron_put_int(writer, "least", INT64_MIN);
    aileron_put_bool(writer, "yes", true);
    aileron_put_array(writer, "list");
    aileron_put_object(writer, NULL);
    aileron_put_end(writer);
    aileron_put_string(writer, NULL, "x");
    aileron_put_json(writer, NULL, parse("{\"a\":[null,1.50,\"\\u0001\",false,{}]}"));
    aileron_put_end(writer);
    aileron_put_object(writer, "open");
    text = aileron_writer_text(writer, &len);
    assert_string_equal(text,
        "{\"text\":\"a\\\"b\\\\c\\n\\u0009\\u0001\\u007f/\xe2\x82\xac\",\"least\":-9223372036854775808,\"yes\":true,"
        "\"list\":[{},\"x\",{\"a\":[null,1.50,\"\\u0001\",false,{}]}],\"open\":{}}");
    assert_int_equal(len, strlen(text));
    assert_non_null(parse(text));
}

static void writes_utf8_whatever_comes(void **state)
{
    struct aileron_writer *writer = aileron_writer_new(&call);
    char bytes[512];
    const char *text;
    size_t len;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char) (i * 7);
    aileron_put_bytes(writer, "bytes", bytes, sizeof(bytes));
    aileron_put_bytes(writer, "\xff\xfe", "a\0b", 3);
    text = aileron_writer_text(writer, &len);
    assert_true(aileron_utf8_valid(text, len));
    assert_non_null(parse(text));
}

static void refuses_misuse_and_overflow(void **state)
{
    struct aileron_writer *writer = aileron_writer_new(&call);

    aileron_put_string(writer, NULL, "no name in an object");
    assert_null(aileron_writer_text(writer, NULL));
    assert_string_equal(call.error_class, "connector_runtime_error");
    writer = aileron_writer_new(&call);
    for (int i = 0; i < 5; i++)
        aileron_put_end(writer);
    aileron_put_int(writer, "late", 1);
    assert_null(aileron_writer_text(writer, NULL));
    writer = aileron_writer_new(&call);
    aileron_put_array(writer, "deep");
    for (int i = 0; i < 200; i++)
        aileron_put_array(writer, NULL);
    assert_null(aileron_writer_text(writer, NULL));

    teardown(NULL);
    setup(NULL);
    for (int i = 0; i < 20; i++)
        aileron_put_string(call.output, "x", repeat("", "0123456789", 10000, ""));
    assert_null(aileron_writer_text(call.output, NULL));
    assert_string_equal(call.error_class, "resource_limit_exceeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_values, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_escapes, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_what_is_not_json, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_duplicate_names, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_its_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_integers_exactly, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_and_reads_back, setup, teardown),
        cmocka_unit_test_setup_teardown(writes_utf8_whatever_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(refuses_misuse_and_overflow, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
