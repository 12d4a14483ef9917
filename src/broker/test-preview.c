/* Previews: paths over outputs as providers give them, hostile ones among them. */
#include "broker/preview.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

/* The parser owns its texts; these are constants that nobody frees. */
#define PAIR(key, value)                                                                                                         \
    {                                                                                                                            \
        (char *) (key), (char *) (value)                                                                                         \
    }

static json_t *parse(const char *text)
{
    json_t *json = NULL;

    assert_int_equal(json_parse(text, strlen(text), JSON_LIMITS(1024 * 1024), &json, NULL), 0);
    return json;
}

#define MESSAGE                                                                                                                  \
    "{\"id\":\"m1\",\"message\":{\"headers\":[{\"name\":\"To\",\"value\":\"a@x.test\"},{\"name\":\"To\",\"value\":\"b@x.test\"}" \
    ","                                                                                                                          \
    "{\"name\":\"1\",\"value\":\"named\"},{\"name\":\"Bare\"},7]},\"list\":[\"zero\",\"one\"],\"nothing\":null,\"deep\":[[{"     \
    "\"k\":5}]],"                                                                                                                \
    "\"\":\"empty key\"}"

static void test_paths(void **state)
{
    static const struct {
        const char *path, *found; /* NULL: nothing */
    } rows[] = {
        { "id", "m1" },
        { "message.headers.To", "a@x.test" }, /* the first of a name */
        { "message.headers.to", NULL },       /* names are exact */
        { "message.headers.1", "named" },     /* a name goes before an index */
        { "message.headers.Bare", NULL },
        { "message.headers.0.value", "a@x.test" },
        { "list.0", "zero" },
        { "list.1", "one" },
        { "list.2", NULL },
        { "list.-1", NULL },
        { "list.01", NULL },
        { "list.+1", NULL },
        { "list.99999999999999999999", NULL },
        { "list.", NULL },
        { "nothing", NULL },
        { "nothing.x", NULL },
        { "id.x", NULL },
        { "id.0", NULL },
        { "missing.x.y", NULL },
        { "", "empty key" },
        { ".", NULL },
    };
    CLEANUP_JSON json_t *output = parse(MESSAGE);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *found = json_string_value(preview_walk(output, rows[i].path));

        if (rows[i].found ? !found || strcmp(found, rows[i].found) : found != NULL)
            fail_msg("%s: %s", rows[i].path, found ? found : "nothing");
    }
    assert_int_equal(json_integer_value(preview_walk(output, "deep.0.0.k")), 5);
}

static void test_paths_over_what_is_none(void **state)
{
    char path[5000];

    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    CLEANUP_JSON json_t *output = parse(MESSAGE);
    assert_null(preview_walk(output, path));
    assert_null(preview_walk(NULL, "a.b"));
    CLEANUP_JSON json_t *number = json_integer(1);
    assert_null(preview_walk(number, "0"));
}

static void assert_text(const json_t *pairs, size_t i, const char *label, const char *text)
{
    const json_t *pair = json_array_get(pairs, i);

    assert_int_equal(json_array_size(pair), 2);
    assert_string_equal(json_string_value(json_array_get(pair, 0)), label);
    assert_string_equal(json_string_value(json_array_get(pair, 1)), text);
}

static void test_rendering(void **state)
{
    struct action_pair render[] = { PAIR("Z", "s"), PAIR("A", "missing"), PAIR("Null", "null"), PAIR("Number", "n"),
        PAIR("Bool", "b"), PAIR("List", "list"), PAIR("Tricky", "tricky"), PAIR("None", "none"), PAIR("Object", "o"),
        PAIR("Hostile", "h") };
    const struct action_preview preview = { .render = render, .render_len = sizeof render / sizeof render[0] };
    CLEANUP_JSON json_t *output =
        parse("{\"s\":\"\",\"null\":null,\"n\":7,\"b\":false,\"list\":[\"a\",\"b\"],\"tricky\":[\"a, b\",\"c\"],"
              "\"none\":[],\"o\":{\"k\":[1]},\"h\":\"<b>\\u202e\\u200b\\n${args.x}\"}");
    CLEANUP_JSON json_t *pairs = NULL;

    assert_int_equal(preview_render(&preview, output, &pairs), 0);
    assert_int_equal(json_array_size(pairs), preview.render_len);
    assert_text(pairs, 0, "Z", "");
    assert_text(pairs, 1, "A", "n/a");
    assert_text(pairs, 2, "Null", "n/a");
    assert_text(pairs, 3, "Number", "7");
    assert_text(pairs, 4, "Bool", "false");
    assert_text(pairs, 5, "List", "a, b");
    assert_text(pairs, 6, "Tricky", "[\"a, b\",\"c\"]");
    assert_text(pairs, 7, "None", "[]");
    assert_text(pairs, 8, "Object", "{\"k\":[1]}");
    assert_text(pairs, 9, "Hostile", "<b>\xe2\x80\xae\xe2\x80\x8b\n${args.x}");
}

static void test_binding(void **state)
{
    struct action_pair bind[] = { PAIR("version", "message_id") };
    const struct action_preview preview = { .bind = bind, .bind_len = 1 };
    CLEANUP_JSON json_t *args = parse("{\"draft_id\":\"d1\",\"version\":\"what the agent said\"}");
    CLEANUP_JSON json_t *output = parse("{\"message_id\":\"m7\"}"), *other = parse("{\"message_id\":null}");
    CLEANUP_JSON json_t *bound = NULL, *none = NULL, *fresh = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(preview_bind(&preview, output, args, &bound, &err), 0);
    assert_string_equal(json_get_str(bound, "version"), "m7");
    assert_string_equal(json_get_str(bound, "draft_id"), "d1");
    assert_string_equal(json_get_str(args, "version"), "what the agent said");
    assert_int_equal(preview_bind(&preview, other, args, &none, &err), -ENOENT);
    assert_null(none);
    assert_non_null(strstr(err.message, "message_id"));
    assert_int_equal(preview_bind(&preview, output, NULL, &fresh, &err), 0);
    assert_int_equal(json_object_size(fresh), 1);
}

static void test_hashes(void **state)
{
    CLEANUP_JSON json_t *a = parse("[[\"To\",\"x\"]]"), *b = parse("[[\"To\",\"x\\u200b\"]]"), *again = parse("[[\"To\",\"x\"]]");
    char ha[SHA256_TAGGED_MAX], hb[SHA256_TAGGED_MAX], hc[SHA256_TAGGED_MAX];

    assert_int_equal(preview_hash(a, ha), 0);
    assert_int_equal(preview_hash(b, hb), 0);
    assert_int_equal(preview_hash(again, hc), 0);
    assert_string_equal(ha, hc);
    assert_string_not_equal(ha, hb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_paths_over_what_is_none),
        cmocka_unit_test(test_rendering),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_hashes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
