/* The argument parser against a row of its own. */
#include "cli/args.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static const struct command ROW = {
    .name = "thing do",
    .operands = "NAME",
    .words_min = 1,
    .words_max = 2,
    .options = {
        { "json", 0, NULL, false, "" },
        { "follow", 'f', NULL, false, "" },
        { "lines", 'n', "N", false, "" },
        { "arg", 0, "K=V", true, "" },
    },
};

struct parsed {
    struct args *args;
    bool help;
    struct err err;
    int r;
};

static struct parsed parse(int argc, const char *const *argv)
{
    struct parsed parsed = { .err = ERR_INIT };

    parsed.r = args_parse(&ROW, argc, (char *const *) argv, &parsed.args, &parsed.help, &parsed.err);
    return parsed;
}

#define PARSE(...) parse((int) (sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *)), (const char *[]){ __VA_ARGS__ })

static void expect_refusal(struct parsed parsed, const char *message, const char *hint)
{
    assert_int_equal(parsed.r, -EINVAL);
    assert_non_null(strstr(parsed.err.message, message));
    assert_string_equal(parsed.err.hint, hint);
    assert_null(parsed.args);
}

static void test_words_and_options_in_any_order(void **state)
{
    struct parsed p = PARSE("--json", "one", "-n", "5", "two", "--arg=a=b", "--arg", "c=d");
    size_t cursor = 0;

    assert_int_equal(p.r, 0);
    assert_int_equal(args_words(p.args), 2);
    assert_string_equal(args_word(p.args, 0), "one");
    assert_string_equal(args_word(p.args, 1), "two");
    assert_null(args_word(p.args, 2));
    assert_true(args_has(p.args, "json"));
    assert_false(args_has(p.args, "follow"));
    assert_string_equal(args_value(p.args, "lines"), "5");
    assert_string_equal(args_next(p.args, "arg", &cursor), "a=b");
    assert_string_equal(args_next(p.args, "arg", &cursor), "c=d");
    assert_null(args_next(p.args, "arg", &cursor));
    args_free(p.args);
}

static void test_values_are_taken_as_they_are(void **state)
{
    struct parsed p = PARSE("x", "--arg", "--json", "--lines=", "--", "-f");

    assert_int_equal(p.r, 0);
    assert_string_equal(args_value(p.args, "arg"), "--json");
    assert_string_equal(args_value(p.args, "lines"), "");
    assert_string_equal(args_word(p.args, 1), "-f");
    assert_false(args_has(p.args, "follow"));
    args_free(p.args);
}

static void test_dash_alone_is_a_word(void **state)
{
    struct parsed p = PARSE("-");

    assert_int_equal(p.r, 0);
    assert_string_equal(args_word(p.args, 0), "-");
    args_free(p.args);
}

static void test_help_wins_over_what_follows(void **state)
{
    struct parsed p = PARSE("--help", "--nonsense", "a", "b", "c");
    struct parsed q = PARSE("-h");

    assert_int_equal(p.r, 0);
    assert_true(p.help);
    assert_true(q.help);
    args_free(p.args);
    args_free(q.args);
}

static void test_refusals(void **state)
{
    expect_refusal(PARSE("x", "--jsno"), "thing do has no option --jsno", "did you mean --json?");
    expect_refusal(PARSE("x", "--jsno=1"), "has no option --jsno", "did you mean --json?");
    expect_refusal(PARSE("x", "--quite-different"), "has no option --quite-different", "");
    expect_refusal(PARSE("x", "-z"), "has no option -z", "");
    expect_refusal(PARSE("x", "-fn"), "has no option -fn", "");
    expect_refusal(PARSE("x", "--json=yes"), "--json takes no value", "");
    expect_refusal(PARSE("x", "--lines"), "--lines needs a value", "");
    expect_refusal(PARSE("x", "-n"), "--lines needs a value", "");
    expect_refusal(PARSE("x", "-n", "1", "--lines=2"), "--lines was given twice", "");
    expect_refusal(PARSE("a", "b", "c"), "\"c\" is too much", "");
    expect_refusal(PARSE("--json"), "thing do needs NAME", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_and_options_in_any_order),
        cmocka_unit_test(test_values_are_taken_as_they_are),
        cmocka_unit_test(test_dash_alone_is_a_word),
        cmocka_unit_test(test_help_wins_over_what_follows),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
