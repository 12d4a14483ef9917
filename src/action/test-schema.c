/* The schema, description and tool name that agents get, byte for byte; substitution of placeholders. */
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

static const char text[] =
    "+++\nname = \"a.b-c_d\"\nversion = \"1.0.0\"\n[[requires.connectors]]\nname = \"local://c\"\nversion = \"1.0.0\"\nhash = "
    "\"" HASH "\"\n"
    "capabilities = [\"draft_x\", \"get_x\"]\n[match]\nintent = \"do it\"\n"
    "[[inputs]]\nname = \"z\"\ntype = \"string\"\ndescription = \"zed\"\nmultiline = true\nlabel = \"Z\"\n"
    "[[inputs]]\nname = \"l\"\ntype = \"array\"\ndescription = \"list\"\nitems_type = \"object\"\nrequired = false\n"
    "[[inputs]]\nname = \"m\"\ntype = \"array\"\ndescription = \"any\"\nrequired = true\n"
    "[[inputs]]\nname = \"n\"\ntype = \"integer\"\ndescription = \"count\"\nrequired = false\n"
    "[[execute]]\nid = \"one\"\nconnector = \"local://c\"\nop = \"draft_x\"\nread_only = true\ninputs = { k = \"${args.z}\" }\n"
    "[[execute]]\nid = \"two\"\nconnector = \"local://c\"\nop = \"draft_x\"\nidempotent = true\n"
    "[approval]\nrequired = true\n[approval.preview]\nop = \"get_x\"\nrender = { B = \"b\", A = \"a.0\" }\nbind = { v = \"id\" "
    "}\nmultiline = [\"A\"]\n"
    "+++\n";

static struct action *parse(const char *body)
{
    CLEANUP(buf_free) struct buf whole = BUF_INIT(1 << 16);
    struct action *action = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(buf_printf(&whole, "%s%s", text, body), 0);
    if (action_parse(buf_str(&whole), whole.len, "f.md", NULL, &action, &err) < 0)
        fail_msg("%s", err.message);
    return action;
}

static void assert_json(json_t *value_stolen, const char *expected)
{
    CLEANUP_JSON json_t *value = value_stolen;
    CLEANUP(buf_free) struct buf out = BUF_INIT(1 << 20);

    assert_non_null(value);
    assert_int_equal(json_write(value, &out), 0);
    assert_string_equal(buf_str(&out), expected);
}

static void test_schema(void **state)
{
    CLEANUP_PTR(action_free) struct action *action = parse("");

    assert_json(action_schema(action),
        "{\"type\":\"object\",\"properties\":{\"z\":{\"type\":\"string\",\"description\":\"zed\"},"
        "\"l\":{\"type\":\"array\",\"description\":\"list\",\"items\":{\"type\":\"object\"}},"
        "\"m\":{\"type\":\"array\",\"description\":\"any\"},\"n\":{\"type\":\"integer\",\"description\":\"count\"}},"
        "\"required\":[\"z\",\"m\"],\"additionalProperties\":false}");
}

static void test_to_json(void **state)
{
    CLEANUP_PTR(action_free) struct action *action = parse("# H\nbody");

    assert_json(action_to_json(action),
        "{\"name\":\"a.b-c_d\",\"version\":\"1.0.0\",\"intent\":\"do "
        "it\",\"body\":\"body\",\"gated\":true,\"kind\":\"comms_draft\","
        "\"idempotent\":false,\"read_only\":false,"
        "\"requires\":[{\"name\":\"local://c\",\"version\":\"1.0.0\",\"hash\":\"" HASH
        "\",\"capabilities\":[\"draft_x\",\"get_x\"]}],"
        "\"inputs\":[{\"name\":\"z\",\"type\":\"string\",\"description\":\"zed\",\"required\":true,\"label\":\"Z\",\"multiline\":"
        "true},"
        "{\"name\":\"l\",\"type\":\"array\",\"description\":\"list\",\"required\":false,\"items_type\":\"object\"},"
        "{\"name\":\"m\",\"type\":\"array\",\"description\":\"any\",\"required\":true},"
        "{\"name\":\"n\",\"type\":\"integer\",\"description\":\"count\",\"required\":false}],"
        "\"steps\":[{\"id\":\"one\",\"connector\":\"local://"
        "c\",\"op\":\"draft_x\",\"read_only\":true,\"inputs\":{\"k\":\"${args.z}\"}},"
        "{\"id\":\"two\",\"connector\":\"local://c\",\"op\":\"draft_x\",\"read_only\":false,\"idempotent\":true}],"
        "\"approval\":{\"required\":true,\"kind\":\"comms_draft\",\"preview\":{\"op\":\"get_x\","
        "\"render\":[{\"label\":\"B\",\"path\":\"b\"},{\"label\":\"A\",\"path\":\"a.0\"}],\"multiline\":[\"A\"],"
        "\"bind\":[{\"argument\":\"v\",\"path\":\"id\"}]}}}");
}

static void test_description_and_name(void **state)
{
    CLEANUP_PTR(action_free) struct action *with = parse("# Heading\n\nWhat it does."), *without = parse("# Heading\n");
    CLEANUP_FREE char *one = action_description(with), *two = action_description(without), *name = action_mcp_name(with->name),
                      *three = NULL;

    assert_string_equal(one, "What it does.\n\nA person must approve each call before it runs.");
    assert_string_equal(two, "do it\n\nA person must approve each call before it runs.");
    assert_string_equal(name, "a_b_c_d");
    without->gated = false;
    three = action_description(without);
    assert_string_equal(three, "do it");
}

static int fill(const char *source, char **ret_text, struct err *err)
{
    static const struct action_pair pairs[] = {
        { (char *) "HASH", (char *) HASH },
        { (char *) "FQN", (char *) "local://google" },
        { (char *) "client_id", (char *) "a@@HASH@@b" },
    };
    size_t len = 0;
    int r = action_substitute(source, strlen(source), "f.md", pairs, ARRAY_LEN(pairs), ret_text, &len, err);

    if (r == 0)
        assert_int_equal(strlen(*ret_text), len);
    return r;
}

static void test_substitute(void **state)
{
    static const char *const cases[][2] = {
        { "", "" },
        { "no marks @ @@ @@@ @@x @@x@ @@ x@@ a@@b\n", "no marks @ @@ @@@ @@x @@x@ @@ x@@ a@@b\n" },
        { "@@FQN@@", "local://google" },
        { "@@FQN@@@@FQN@@", "local://googlelocal://google" },
        { "@@@FQN@@@", "@local://google@" },
        { "\xc3\xa9@@client_id@@\n", "\xc3\xa9"
                                     "a@@HASH@@b\n" },
        { "name = \"@@FQN@@\" @@@@", "name = \"local://google\" @@@@" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *filled = NULL;
        struct err err = ERR_INIT;

        assert_int_equal(fill(cases[i][0], &filled, &err), 0);
        assert_string_equal(filled, cases[i][1]);
    }
}

static void test_substitute_faults(void **state)
{
    static const char *const hostile[] = { "a\"b", "a'b", "a\\b", "a\nb", "a\x7f" };
    char *filled = NULL;
    struct err err = ERR_INIT;
    size_t len = 0;

    assert_int_equal(fill("a\nb\n  x @@VERSION@@ @@OTHER@@", &filled, &err), -EINVAL);
    assert_non_null(strstr(err.message, "f.md:3:"));
    assert_non_null(strstr(err.message, "@@VERSION@@"));
    for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
        struct action_pair pair = { (char *) "X", (char *) hostile[i] };

        assert_int_equal(action_substitute("@@X@@", 5, "f.md", &pair, 1, &filled, &len, &err), -EINVAL);
        assert_non_null(strstr(err.message, "@@X@@"));
    }
    assert_null(filled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schema),
        cmocka_unit_test(test_to_json),
        cmocka_unit_test(test_description_and_name),
        cmocka_unit_test(test_substitute),
        cmocka_unit_test(test_substitute_faults),
    };

    return cmocka_run_group_tests_name("action/schema", tests, NULL, NULL);
}
