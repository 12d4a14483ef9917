/* Tests of the TOML tree: order and positions as in the source, caps, strings with dots, schema messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/toml.h"

#include "base/banned.h"

static struct toml_node *must_parse(const char *text)
{
    struct err err = ERR_INIT;
    struct toml_node *root = NULL;

    if (toml_parse(text, strlen(text), "f.toml", 1, &root, &err) != 0)
        fail_msg("%s: %s", text, err.message);
    return root;
}

static void as_json(const char *text, const char *expected)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(10000);
    CLEANUP_PTR(toml_free) struct toml_node *root = must_parse(text);
    CLEANUP_JSON json_t *json = toml_to_json(root);

    assert_non_null(json);
    assert_int_equal(json_write(json, &out), 0);
    assert_string_equal(buf_str(&out), expected);
}

static void test_order(void **state)
{
    as_json("z = 1\na = 2\n[y]\nq = 1\nb.c = 2\nb.a = 3\n[x]\n[y.c]\nk = 1\n",
        "{\"z\":1,\"a\":2,\"y\":{\"q\":1,\"b\":{\"c\":2,\"a\":3},\"c\":{\"k\":1}},\"x\":{}}");
    as_json("[[t]]\nb = 1\na = 2\n[[t]]\nc = 3\n[s]\n", "{\"t\":[{\"b\":1,\"a\":2},{\"c\":3}],\"s\":{}}");
    as_json("[z.y]\na=1\n[b]\n[z.a]\n", "{\"z\":{\"y\":{\"a\":1},\"a\":{}},\"b\":{}}");
    as_json("t = { z = 1, a = 2, m.b = 3, m.a = 4 }", "{\"t\":{\"z\":1,\"a\":2,\"m\":{\"b\":3,\"a\":4}}}");
    as_json("", "{}");
}

static void test_values(void **state)
{
    as_json("s = 'a\\b'\nd = 2026-11-23T10:00:00Z\ne = 2026-11-23 10:00:00.5 # x\nf = 10:11:12\ng = [1979-05-27, 1979-05-28]\n"
            "r = 1.5\nn = nan\ni = -inf\nb = true\nh = 0xff\nu = \"\\u00e9\"",
        "{\"s\":\"a\\\\b\",\"d\":\"2026-11-23T10:00:00Z\",\"e\":\"2026-11-23 10:00:00.5\",\"f\":\"10:11:12\","
        "\"g\":[\"1979-05-27\",\"1979-05-28\"],\"r\":1.5,\"n\":\"nan\",\"i\":\"-inf\",\"b\":true,\"h\":255,\"u\":\"\xc3\xa9\"}");
    as_json("\"\xc3\xa9\xc3\xa9\" = [ \"\xc3\xa9\", 2026-11-23 ]", "{\"\xc3\xa9\xc3\xa9\":[\"\xc3\xa9\",\"2026-11-23\"]}");
}

static void test_positions(void **state)
{
    CLEANUP_PTR(toml_free) struct toml_node *root = NULL;
    const struct toml_node *node;
    const char *text = "a = 1\n\n[t]\n  key = \"x\"\n";

    assert_int_equal(toml_parse(text, strlen(text), "f", 10, &root, NULL), 0);
    node = toml_get(root, "a");
    assert_int_equal(node->line, 10);
    assert_int_equal(node->column, 5);
    node = toml_get(root, "t");
    assert_int_equal(node->line, 12);
    node = toml_get(node, "key");
    assert_int_equal(node->line, 13);
    assert_int_equal(node->column, 9);
    assert_null(toml_get(root, "none"));
    assert_null(toml_get(node, "none"));
    assert_null(toml_get(NULL, "none"));
}

static void fails(const char *text, size_t len, int code, const char *words)
{
    struct toml_node *root = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(toml_parse(text, len, "f.toml", 3, &root, &err), -code);
    if (!strstr(err.message, words))
        fail_msg("'%s' is not in '%s'", words, err.message);
    assert_null(root);
}

static void test_refused(void **state)
{
    char text[70000];
    int len;

    fails("a = 1\na = 2", 11, EINVAL, "f.toml:4:5: ");
    fails("[a]\n[a]", 7, EINVAL, "f.toml:4:");
    fails("a = \"x", 6, EINVAL, "f.toml:3:");
    fails("a = \"\\u0000\"", 12, EINVAL, "f.toml:3:5: a string holds a NUL");
    fails("\"\\u0000\" = 1", 12, EINVAL, "a key holds a NUL");
    fails("a = 'x\0y'", 9, EINVAL, "f.toml:3:");
    fails("a = 99999999999999999999", 24, EINVAL, "f.toml:3:");
    memset(text, ' ', sizeof text);
    fails(text, sizeof text, E2BIG, "longer than 65536 bytes");
    memset(text, '[', 1000);
    fails(text, 1000, EINVAL, "f.toml: not valid TOML");
    fails("[[[", 3, EINVAL, "f.toml: not valid TOML");
    memcpy(text, "a = ", 4);
    fails(text, 1000, EINVAL, "f.toml:3:");
    len = snprintf(text, sizeof text, "a = [");
    for (int i = 0; i < 12000; i++)
        len += snprintf(text + len, sizeof text - (size_t) len, "1,");
    text[len++] = ']';
    fails(text, (size_t) len, E2BIG, "more than 10000 values");
}

/* Code points that toml++ 3.3 takes for unreachable where it looks for white space. */
static void test_unexpected_letters(void **state)
{
    fails("\xcf\xbf?{", 4, EINVAL, "f.toml:3:1: ");
    fails("a = \xc3\xa9", 6, EINVAL, "f.toml:3:");
    as_json("a = \"\"\"x\\\n  \xc3\xa9\xcf\xbf\"\"\" # \xcf\xbf", "{\"a\":\"x\xc3\xa9\xcf\xbf\"}");
}

/* toml++ 3.3 recurses once per dot: the cap must see every dot of a key, and none of a string or comment. */
static void test_dots(void **state)
{
    CLEANUP_PTR(toml_free) struct toml_node *root = NULL;
    char text[60000];

    memset(text, 'a', sizeof text);
    for (size_t i = 1; i < sizeof text; i += 2)
        text[i] = '.';
    fails(text, sizeof text - 1, E2BIG, "f.toml:3:1: more than 16 dots");
    fails("x = 1\n[a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a]", 43, E2BIG, "f.toml:4:1: more than 16 dots");
    fails("s = '''\n'' ''''''\na.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1", 54, E2BIG, "more than 16 dots");
    fails("s = \"\\\\\"\na.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1", 45, E2BIG, "more than 16 dots");
    fails("s = 'a\\'\na.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1", 45, E2BIG, "more than 16 dots");
    fails("a.\"b.c\".a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1", 43, E2BIG, "more than 16 dots");
    root = must_parse(
        "s = \"......................\" # ......................\nt = '......................'\n"
        "u = '''\n......................'''\nv = \"\"\"......................\\\"\"\"\"\na.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a = 1");
    assert_non_null(toml_get(root, "v"));
}

static void test_check(void **state)
{
    static const struct toml_field fields[] = { { "name", TOML_STRING, true }, { "n", TOML_INTEGER, false } };
    static const struct {
        const char *text;
        const char *message;
        const char *hint;
    } cases[] = {
        { "name = 'x'\nn = 1", NULL, NULL },
        { "name = 'x'\nnn = 1", "f:2:6: unknown key 'nn' in [x]", "keys that may stand here: name, n" },
        { "name = 1", "f:1:8: 'name' in [x] must be a string, not an integer", "" },
        { "n = 1", "f:1:1: [x] lacks the key 'name'", "add 'name' (a string) to [x]" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_PTR(toml_free) struct toml_node *root = must_parse(cases[i].text);
        struct err err = ERR_INIT;

        assert_int_equal(toml_check(root, "[x]", fields, 2, "f", &err), cases[i].message ? -EINVAL : 0);
        if (cases[i].message) {
            assert_string_equal(err.message, cases[i].message);
            assert_string_equal(err.hint, cases[i].hint);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_positions),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unexpected_letters),
        cmocka_unit_test(test_dots),
        cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
