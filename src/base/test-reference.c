/*
 * Versions against the specification's own regular expression, over every short
 * text of a small alphabet and a list of long ones; names and hashes by tables.
 */
#include "base/cleanup.h"
#include "base/reference.h"

#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* semver.org's expression in POSIX form: \d as [0-9], (?: as (. */
#define CORE       "(0|[1-9][0-9]*)"
#define PRE_PART   "(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
#define BUILD_PART "[0-9a-zA-Z-]+"
#define SEMVER_EXPRESSION                                                                                                        \
    "^" CORE "\\." CORE "\\." CORE "(-(" PRE_PART "(\\." PRE_PART ")*))?(\\+(" BUILD_PART "(\\." BUILD_PART ")*))?$"

static bool matches(const regex_t *expression, const char *text)
{
    return regexec(expression, text, 0, NULL, 0) == 0;
}

static void check_tails(const regex_t *expression, const char *head, unsigned depth)
{
    static const char alphabet[] = "01a-.+v";
    char text[32];
    size_t len = strlen(head);

    assert_int_equal(reference_is_semver(head, len), matches(expression, head));
    if (depth == 0)
        return;
    for (size_t i = 0; i < sizeof alphabet - 1; i++) {
        memcpy(text, head, len);
        text[len] = alphabet[i];
        text[len + 1] = '\0';
        check_tails(expression, text, depth - 1);
    }
}

static void test_semver_agrees_with_expression(void **state)
{
    static const char *const texts[] = {
        "1.0.0-alpha+beta",
        "1.0.0-0A.is.legal",
        "1.0.0-alpha0.valid",
        "1.0.0-rc.1+build.123",
        "1.2.3----RC-SNAPSHOT.12.9.1--.12+788",
        "1.0.0+0.build.1-rc.10000aaa-kk-0.1",
        "99999999999999999999999.999999999999999999.99999999999999999",
        "1.0.0-0A",
        "01.1.1",
        "1.2.3-0123",
        "1.2.3-0123.0123",
        "1.1.2+.123",
        "+invalid",
        "-invalid",
        "-invalid+invalid",
        "alpha_beta",
        "1.2.3.DEV",
        "1.2-SNAPSHOT",
        "1.2.31.2.3----RC-SNAPSHOT.12.09.1--..12+788",
        "-1.0.3-gamma+b7718",
        "+justmeta",
        "9.8.7+meta+meta",
        "9.8.7-whatever+meta+meta",
        "1.2.3 ",
        " 1.2.3",
        "1.2.3\n",
        "",
        ".",
        "1..2",
        "v1.2.3",
        "1.2.3-\xc3\xa9",
    };
    regex_t expression;

    assert_int_equal(regcomp(&expression, SEMVER_EXPRESSION, REG_EXTENDED | REG_NOSUB), 0);
    check_tails(&expression, "", 5);
    check_tails(&expression, "1.0.0", 5);
    check_tails(&expression, "1.0.0-", 4);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(reference_is_semver(texts[i], strlen(texts[i])), matches(&expression, texts[i]));
    regfree(&expression);
}

static void test_semver_bounds(void **state)
{
    char text[REFERENCE_SEMVER_MAX + 1];

    memset(text, '1', sizeof text);
    memcpy(text, "1.2.", 4);
    assert_true(reference_is_semver(text, REFERENCE_SEMVER_MAX - 1));
    assert_false(reference_is_semver(text, REFERENCE_SEMVER_MAX));
    assert_false(reference_is_semver("1.2\0003", 5));
    assert_false(reference_is_semver("1.2.3\0", 6));
}

static void test_fqn(void **state)
{
    static const char *const good[] = {
        "github://owner/repo",
        "gitlab://a.b/c-d_e/sub/path",
        "local://google",
        "local://me/thing",
        "github://O/R/..x",
    };
    static const char *const bad[] = {
        "",
        "github",
        "github:/o/r",
        "github://",
        "github://owner",
        "github://owner/",
        "github:///repo",
        "github://owner//repo",
        "github://owner/repo/",
        "github://./repo",
        "github://owner/..",
        "github://ow ner/repo",
        "GitHub://owner/repo",
        "local://",
        "local:///",
        "http://owner/repo",
        "github://owner/repo@1.0.0",
        "github://owner/re\xc3\xa9po",
        "github://o/r\n",
        "github://o/r%2e",
    };
    char text[REFERENCE_FQN_MAX + 1];

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_null(reference_fqn_fault(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_non_null(reference_fqn_fault(bad[i], strlen(bad[i])));
    assert_non_null(reference_fqn_fault("local://a\0b", 11));
    memset(text, 'a', sizeof text);
    memcpy(text, "local://", 8);
    assert_null(reference_fqn_fault(text, REFERENCE_FQN_MAX - 1));
    assert_non_null(reference_fqn_fault(text, REFERENCE_FQN_MAX));
}

static void test_hash(void **state)
{
    char text[80] = "sha256:";

    memset(text + 7, 'a', 64);
    assert_true(reference_is_hash(text));
    text[8] = 'A';
    assert_false(reference_is_hash(text));
    text[8] = 'g';
    assert_false(reference_is_hash(text));
    text[8] = '0';
    text[71] = 'a';
    assert_false(reference_is_hash(text));
    text[70] = '\0';
    assert_false(reference_is_hash(text));
    assert_false(reference_is_hash(""));
    assert_false(reference_is_hash("sha512:"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_semver_agrees_with_expression),
        cmocka_unit_test(test_semver_bounds),
        cmocka_unit_test(test_fqn),
        cmocka_unit_test(test_hash),
    };

    return cmocka_run_group_tests_name("base/reference", tests, NULL, NULL);
}
