/* The grammar of SPEC §1, and that a choice is never a guess. */
#include "binding/binding.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_names(void **state)
{
    static const char *const good[] = { "oauth2/google/me", "api_key/stripe/acme.inc-1", "o/0/0", "a-b_c/x.y/z_" };
    static const char *const bad[] = { "", "oauth2", "oauth2/google", "oauth2/google/", "oauth2/google/me/more",
        "Oauth2/google/me", "1a/b/c", "oauth2/.g/me", "oauth2//me", "/google/me", "oauth2/google/m e", "oauth2/google/me\n",
        "o.a/b/c", "_dev/google/me" };
    char longest[BINDING_NAME_MAX + 10];

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(binding_name_is_valid(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(binding_name_is_valid(bad[i]));
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    longest[1] = longest[3] = '/';
    assert_false(binding_name_is_valid(longest));
}

static void expect(const char *bindings, const char *wanted, enum binding_choice choice, const char *name)
{
    CLEANUP_JSON json_t *list = json_loads(bindings, 0, NULL);
    char chosen[BINDING_NAME_MAX];

    assert_non_null(list);
    assert_int_equal(binding_choose(list, "local://google", "oauth2", wanted, chosen), choice);
    assert_string_equal(chosen, name);
}

#define ROW(name, more) "{\"binding\":\"" name "\",\"connector_fqn\":\"local://google\",\"kind\":\"oauth2\"" more "}"
#define FOREIGN         "{\"binding\":\"oauth2/google/x\",\"connector_fqn\":\"local://other\",\"kind\":\"oauth2\"}"
#define OTHER_KIND      "{\"binding\":\"api_key/google/x\",\"connector_fqn\":\"local://google\",\"kind\":\"api_key\"}"

static void test_choice(void **state)
{
    expect("[]", NULL, BINDING_NONE, "");
    expect("[" FOREIGN "," OTHER_KIND "]", NULL, BINDING_NONE, "");
    expect("[" FOREIGN "," ROW("oauth2/google/me", "") "]", NULL, BINDING_CHOSEN, "oauth2/google/me");
    expect("[" ROW("oauth2/google/a", "") "," ROW("oauth2/google/b", "") "]", NULL, BINDING_AMBIGUOUS, "");
    expect("[" ROW("oauth2/google/a", "") "," ROW("oauth2/google/b", ",\"default\":\"true\"") "]", NULL, BINDING_CHOSEN,
        "oauth2/google/b");
    expect("[" ROW("oauth2/google/a", ",\"default\":true") "," ROW("oauth2/google/b", ",\"default\":true") "]", NULL,
        BINDING_AMBIGUOUS, "");
    expect(
        "[" ROW("oauth2/google/a", "") "," ROW("oauth2/google/b", "") "]", "oauth2/google/a", BINDING_CHOSEN, "oauth2/google/a");
    expect("[" ROW("oauth2/google/a", "") "]", "oauth2/google/z", BINDING_NONE, "oauth2/google/z");
    expect("[" FOREIGN "]", "oauth2/google/x", BINDING_NONE, "oauth2/google/x");
}

static void test_unusable(void **state)
{
    expect("[" ROW("oauth2/google/a", ",\"status\":\"stale\"") "]", NULL, BINDING_STALE, "oauth2/google/a");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"who knows\"") "]", NULL, BINDING_STALE, "oauth2/google/a");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"revoked\"") "]", NULL, BINDING_REVOKED, "oauth2/google/a");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"revoked\"") "]", "oauth2/google/a", BINDING_REVOKED, "oauth2/google/a");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"stale\",\"stale_reason\":\"no_grant_record\"") "]", NULL, BINDING_NO_GRANT,
        "oauth2/google/a");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"active\",\"granted\":false") "]", "a", BINDING_NO_GRANT, "oauth2/google/a");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"active\",\"granted\":true") "]", "a", BINDING_CHOSEN, "oauth2/google/a");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"revoked\"") "," ROW("oauth2/google/b", ",\"status\":\"active\"") "]", NULL,
        BINDING_CHOSEN, "oauth2/google/b");
    expect("[" ROW("oauth2/google/b", ",\"status\":\"active\"") "," ROW("oauth2/google/a", ",\"status\":\"revoked\"") "]", NULL,
        BINDING_CHOSEN, "oauth2/google/b");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"stale\",\"default\":\"true\"") "," ROW("oauth2/google/b", "") "]", NULL,
        BINDING_STALE, "oauth2/google/a");
    expect("[" ROW("Bad/Name/X", "") "]", NULL, BINDING_NONE, "");
}

/* Whose token went stale yesterday must not act as somebody else today. */
static void test_a_stale_one_is_not_passed_over(void **state)
{
    expect("[" ROW("oauth2/google/a", ",\"status\":\"stale\"") "," ROW("oauth2/google/b", "") "]", NULL, BINDING_AMBIGUOUS, "");
}

static void test_by_identity(void **state)
{
    static const char two[] = "[" ROW("oauth2/google/me", ",\"default\":true") "," ROW("oauth2/google/work", "") "]";
    static const char same[] = "[" ROW("oauth2/google/me", "") "," ROW("oauth2/other/me", "") "]";

    expect(two, "work", BINDING_CHOSEN, "oauth2/google/work");
    expect(two, "me", BINDING_CHOSEN, "oauth2/google/me");
    expect(two, "wor", BINDING_NONE, "wor");
    expect(two, "google/work", BINDING_NONE, "google/work");
    expect(same, "me", BINDING_AMBIGUOUS, "me");
    expect(same, "oauth2/other/me", BINDING_CHOSEN, "oauth2/other/me");
    assert_true(binding_identity_is_valid("me") && binding_identity_is_valid("acme.inc-1"));
    assert_false(binding_identity_is_valid("") || binding_identity_is_valid("Me") || binding_identity_is_valid("a/b"));
}

static void test_candidates(void **state)
{
    char text[BINDING_CANDIDATES_MAX], name[80];
    json_t *list =
        json_loads("[" ROW("oauth2/google/me", "") "," ROW("oauth2/google/old", ",\"status\":\"revoked\"") "," FOREIGN "," ROW(
                       "oauth2/google/work", ",\"status\":\"stale\"") "]",
            0, NULL);

    assert_int_equal(binding_candidates(list, "local://google", "oauth2", NULL, text), 2);
    assert_string_equal(text, "oauth2/google/me, oauth2/google/work");
    assert_int_equal(binding_candidates(list, "local://google", "oauth2", "work", text), 1);
    assert_int_equal(binding_candidates(list, "local://none", "oauth2", NULL, text), 0);
    assert_string_equal(text, "");
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "oauth2/google/a-rather-long-identity-%d", i);
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s}", "binding", name, "connector_fqn", "local://google", "kind", "oauth2"));
    }
    assert_int_equal(binding_candidates(list, "local://google", "oauth2", NULL, text), 102);
    assert_true(strlen(text) < sizeof text && strstr(text, " and 8") && strstr(text, " more"));
    json_decref(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_unusable), cmocka_unit_test(test_a_stale_one_is_not_passed_over),
        cmocka_unit_test(test_by_identity), cmocka_unit_test(test_candidates) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
