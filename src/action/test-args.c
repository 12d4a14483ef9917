/*
 * Arguments and rendering: types, the meaning of an interpolation, the template as
 * a limit, and what an oversized or deep argument may not do.
 */
#include "action/action.h"
#include "base/buf.h"
#include "base/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HASH "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD                                                                                                                     \
    "+++\nname = \"a\"\nversion = \"1.0.0\"\n[[requires.connectors]]\nname = \"local://c\"\nversion = \"1.0.0\"\nhash = \"" HASH \
    "\"\ncapabilities = [\"x\"]\n[match]\nintent = \"i\"\n"
#define INPUT(name, type, rest)                                                                                                  \
    "[[inputs]]\nname = \"" name "\"\ntype = \"" type "\"\ndescription = \"about " name "\"\n" rest "\n"
#define STEP(id, inputs) "[[execute]]\nid = \"" id "\"\nconnector = \"local://c\"\nop = \"x\"\n" inputs "\n"

static const char typed[] = HEAD INPUT("s", "string", "") INPUT("i", "integer", "required = false") INPUT(
    "n", "number", "required = false") INPUT("b", "boolean", "required = false")
    INPUT("l", "array", "required = false\nitems_type = \"integer\"") INPUT("any", "array", "required = false") INPUT(
        "o", "object", "required = false") STEP("one", "") STEP("two",
        "inputs = { s = \"fixed\", q = \"in:${args.s} ${args.i}\", deep = { l = [\"${args.o}\", \"${args.i}\", 7] } }") "+++\n";

static struct action *parse(const char *text)
{
    struct action *action = NULL;
    struct err err = ERR_INIT;

    if (action_parse(text, strlen(text), "f.md", NULL, &action, &err) < 0)
        fail_msg("%s", err.message);
    return action;
}

static json_t *json(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

    assert_non_null(value);
    return value;
}

static void assert_json(const json_t *value, const char *expected)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(1 << 22);

    assert_int_equal(json_write(value, &out), 0);
    assert_string_equal(buf_str(&out), expected);
}

static void test_types(void **state)
{
    static const struct {
        const char *args, *words; /* NULL: fine */
    } calls[] = {
        { "{\"s\":\"\"}", NULL },
        { "{\"s\":\"x\",\"i\":3,\"n\":3,\"b\":false,\"l\":[1,2],\"any\":[1,\"a\",null],\"o\":{\"k\":null}}", NULL },
        { "{\"s\":\"x\",\"i\":3.0,\"n\":-0.5,\"l\":[2.0]}", NULL },
        { "{}", "needs the argument 's' (string)" },
        { "{\"s\":1}", "argument 's' of a must be of type string, not integer" },
        { "{\"s\":null}", "of type string, not null" },
        { "{\"s\":\"x\",\"i\":\"3\"}", "'i' of a must be of type integer, not string" },
        { "{\"s\":\"x\",\"i\":3.5}", "not a number with a fraction" },
        { "{\"s\":\"x\",\"i\":1e300}", "'i'" },
        { "{\"s\":\"x\",\"i\":true}", "not boolean" },
        { "{\"s\":\"x\",\"n\":\"1\"}", "of type number" },
        { "{\"s\":\"x\",\"b\":0}", "of type boolean" },
        { "{\"s\":\"x\",\"l\":{}}", "of type array, not object" },
        { "{\"s\":\"x\",\"l\":[1,\"2\"]}", "element 1 of argument 'l'" },
        { "{\"s\":\"x\",\"o\":[]}", "of type object, not array" },
        { "{\"s\":\"x\",\"S\":\"y\"}", "a has no argument 'S'" },
        { "{\"s\":\"x\",\"e\\u001bvil\":1}", "no argument 'e?vil'" },
        { "[]", "must be a JSON object" },
    };
    CLEANUP_PTR(action_free) struct action *action = parse(typed);

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        CLEANUP_JSON json_t *args = json(calls[i].args);
        struct err err = ERR_INIT;
        int r = action_check_args(action, args, &err);

        if (r != (calls[i].words ? -EINVAL : 0) || (calls[i].words && !strstr(err.message, calls[i].words)))
            fail_msg("%s: %d %s", calls[i].args, r, err.message);
    }
}

static void test_hints_name_what_is_taken(void **state)
{
    CLEANUP_PTR(action_free) struct action *action = parse(typed);
    CLEANUP_PTR(action_free) struct action *bare = parse(HEAD STEP("one", "") "+++\n");
    CLEANUP_JSON json_t *args = json("{\"s\":\"x\",\"query\":1}"), *empty = json("{}");
    struct err err = ERR_INIT;

    assert_int_equal(action_check_args(action, args, &err), -EINVAL);
    assert_string_equal(err.hint, "it takes: s, i, n, b, l, any, o");
    assert_int_equal(action_check_args(bare, args, &err), -EINVAL);
    assert_string_equal(err.hint, "it takes none");
    assert_int_equal(action_check_args(action, empty, &err), -EINVAL);
    assert_string_equal(err.hint, "about s");
    assert_int_equal(action_check_args(bare, empty, &err), 0);
    assert_int_equal(action_check_args(bare, NULL, &err), -EINVAL);
}

static void assert_step(const struct action *action, size_t index, const char *call, const char *expected)
{
    CLEANUP_JSON json_t *args = json(call), *final = NULL;
    struct err err = ERR_INIT;

    if (action_render_step(action, index, args, &final, &err) < 0)
        fail_msg("%s", err.message);
    assert_json(final, expected);
}

static void test_steps(void **state)
{
    CLEANUP_PTR(action_free) struct action *action = parse(typed);

    assert_step(action, 0, "{\"s\":\"x\",\"i\":3.0,\"l\":[2.0,3]}", "{\"s\":\"x\",\"i\":3,\"l\":[2,3]}");
    assert_step(action, 0, "{\"s\":\"x\",\"n\":3.0}", "{\"s\":\"x\",\"n\":3.0}");
    /* The template is a limit: the call cannot change `s`, and `q`, dropped for want of `i`, stays away. */
    assert_step(action, 1, "{\"s\":\"x\"}", "{\"s\":\"fixed\",\"deep\":{\"l\":[7]}}");
    assert_step(action, 1, "{\"s\":\"x\",\"i\":4,\"o\":{\"k\":[1]}}",
        "{\"s\":\"fixed\",\"q\":\"in:x 4\",\"deep\":{\"l\":[{\"k\":[1]},4,7]},\"i\":4,\"o\":{\"k\":[1]}}");
}

static void test_dropped_key_is_not_filled(void **state)
{
    CLEANUP_PTR(action_free)
    struct action *action = parse(HEAD INPUT("to", "string", "required = false") INPUT("copy", "string", "required = false")
            STEP("one", "inputs = { to = \"${args.copy}\" }") "+++\n");

    assert_step(action, 0, "{\"to\":\"attacker\"}", "{}");
    assert_step(action, 0, "{\"to\":\"attacker\",\"copy\":\"me\"}", "{\"to\":\"me\",\"copy\":\"me\"}");
}

static void assert_render(const char *template, const char *args, const char *expected)
{
    CLEANUP_JSON json_t *t = json(template), *a = json(args), *value = NULL;
    struct err err = ERR_INIT;

    if (action_render(t, a, &value, &err) < 0)
        fail_msg("%s: %s", template, err.message);
    assert_json(value, expected);
}

static void test_render(void **state)
{
    assert_render("{}", "{}", "{}");
    assert_render("{\"a\":\"${args.x}\"}", "{\"x\":[1,{\"k\":null}]}", "{\"a\":[1,{\"k\":null}]}");
    assert_render("{\"a\":\"${args.x}\"}", "{\"x\":null}", "{\"a\":null}");
    assert_render("{\"a\":\" ${args.x}\"}", "{\"x\":[1,{\"k\":null}]}", "{\"a\":\" [1,{\\\"k\\\":null}]\"}");
    assert_render("{\"a\":\"${args.x}${args.y}\"}", "{\"x\":1,\"y\":\"s\"}", "{\"a\":\"1s\"}");
    assert_render("{\"a\":\"${args.x};\"}", "{\"x\":0.1}", "{\"a\":\"0.1;\"}");
    assert_render("{\"a\":\"${args.x};\"}", "{\"x\":1e100}", "{\"a\":\"1e100;\"}");
    assert_render("{\"a\":\"${args.x};\"}", "{\"x\":-7}", "{\"a\":\"-7;\"}");
    assert_render("{\"a\":\"${args.x};\"}", "{\"x\":true}", "{\"a\":\"true;\"}");
    assert_render("{\"a\":\"${args.x};\"}", "{\"x\":null}", "{\"a\":\"null;\"}");
    assert_render("{\"a\":\"$ $5 {args.x} $${args.x}\"}", "{\"x\":\"s\"}", "{\"a\":\"$ $5 {args.x} $s\"}");
    /* Not recursive: an argument's text is never a template. */
    assert_render("{\"a\":\"-${args.x}\",\"b\":\"${args.x}\"}", "{\"x\":\"${args.y}\",\"y\":\"z\"}",
        "{\"a\":\"-${args.y}\",\"b\":\"${args.y}\"}");
    assert_render("{\"a\":\"${args.x}\",\"l\":[\"${args.x}\",1,\"${args.x} t\"],\"o\":{\"k\":\"${args.x}\"}}", "{}",
        "{\"l\":[1],\"o\":{}}");
    assert_render("{\"a\":1,\"b\":1.5,\"c\":false,\"d\":\"\"}", "{}", "{\"a\":1,\"b\":1.5,\"c\":false,\"d\":\"\"}");
    assert_render("{\"a\":\"\xc3\xa9${args.x}\"}", "{\"x\":\"\xe2\x82\xac\"}", "{\"a\":\"\xc3\xa9\xe2\x82\xac\"}");
}

static void test_malformed_template_is_an_error(void **state)
{
    static const char *const bad[] = { "{\"a\":\"${x}\"}", "{\"a\":\"t ${args.x\"}", "{\"a\":[\"${args.}\"]}",
        "\"${args.gone}\"" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP_JSON json_t *t = json(bad[i]), *a = json("{\"x\":1}"), *value = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(action_render(t, a, &value, &err), -EINVAL);
        assert_true(err.message[0] != '\0');
        assert_null(value);
    }
}

static json_t *nested(unsigned depth)
{
    json_t *value = json_integer(1);

    while (depth--)
        value = json_pack("[o]", value);
    return value;
}

static void assert_too_big(json_t *template_stolen, json_t *args_stolen, const char *words)
{
    CLEANUP_JSON json_t *template = template_stolen, *args = args_stolen, *value = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(action_render(template, args, &value, &err), -E2BIG);
    assert_non_null(strstr(err.message, words));
}

static void test_limits(void **state)
{
    CLEANUP_FREE char *large = malloc(600 * 1024 + 1);
    json_t *many = json_array(), *wide = json_object();

    memset(large, 'x', 600 * 1024);
    large[600 * 1024] = '\0';
    /* A small template must not multiply a large argument, as text or as a value. */
    assert_too_big(json("{\"a\":\"${args.x}${args.x}\"}"), json_pack("{s:s}", "x", large), "1024 KiB");
    assert_too_big(json("{\"a\":\" ${args.x}\",\"b\":\" ${args.x}\"}"), json_pack("{s:s}", "x", large), "1024 KiB");
    assert_too_big(json("{\"a\":\"${args.x}\",\"b\":\"${args.x}\"}"), json_pack("{s:s}", "x", large), "1024 KiB");
    assert_too_big(json("{\"a\":[[[\"${args.x}\"]]]}"), json_pack("{s:o}", "x", nested(62)), "64 deep");
    for (int i = 0; i < 60000; i++)
        json_array_append_new(many, json_true());
    assert_too_big(json("{\"a\":\"${args.x}\",\"b\":\"${args.x}\"}"), json_pack("{s:o}", "x", many), "100000 values");
    json_object_set_new(wide, large, json_true());
    assert_too_big(json("{\"a\":\"${args.x}\",\"b\":\"${args.x}\"}"), json_pack("{s:o}", "x", wide), "1024 KiB");
}

static void test_limits_hold_for_plain_arguments(void **state)
{
    CLEANUP_PTR(action_free) struct action *action = parse(HEAD INPUT("o", "array", "") STEP("one", "") "+++\n");
    CLEANUP_JSON json_t *deep = json_pack("{s:o}", "o", nested(64)), *fine = json_pack("{s:o}", "o", nested(62)), *final = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(action_check_args(action, fine, &err), 0);
    assert_int_equal(action_check_args(action, deep, &err), -E2BIG);
    assert_int_equal(action_render_step(action, 0, deep, &final, &err), -E2BIG);
    assert_null(final);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_hints_name_what_is_taken),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_dropped_key_is_not_filled),
        cmocka_unit_test(test_render),
        cmocka_unit_test(test_malformed_template_is_an_error),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limits_hold_for_plain_arguments),
    };

    return cmocka_run_group_tests_name("action/args", tests, NULL, NULL);
}
