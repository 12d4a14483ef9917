/* The grammar of SPEC §1, and that a choice is never a guess. */
#include "binding/binding.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
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
    expect("[" ROW("oauth2/google/a", ",\"status\":\"stale\"") "]", NULL, BINDING_UNUSABLE, "oauth2/google/a");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"revoked\"") "," ROW("oauth2/google/b", ",\"status\":\"active\"") "]", NULL,
        BINDING_CHOSEN, "oauth2/google/b");
    expect("[" ROW("oauth2/google/b", ",\"status\":\"active\"") "," ROW("oauth2/google/a", ",\"status\":\"revoked\"") "]", NULL,
        BINDING_CHOSEN, "oauth2/google/b");
    expect("[" ROW("oauth2/google/a", ",\"status\":\"stale\",\"default\":\"true\"") "," ROW("oauth2/google/b", "") "]", NULL,
        BINDING_UNUSABLE, "oauth2/google/a");
    expect("[" ROW("Bad/Name/X", "") "]", NULL, BINDING_NONE, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_names), cmocka_unit_test(test_choice),
        cmocka_unit_test(test_unusable) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
