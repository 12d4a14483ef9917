/* suite.toml: relative and full entries, and what is refused with its place. */
#include "base/cleanup.h"
#include "store/suite.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "name = \"mail\"\ndescription = \"Mail and calendar\"\n"

static int parse(const char *text, bool local, struct suite **ret_suite, struct err *err)
{
    struct release_ref ref;
    struct semver version;

    assert_int_equal(release_parse("github://acme/tools/suite.toml@latest", RELEASE_FILE, &ref, NULL), 0);
    assert_int_equal(semver_parse("1.4.0", &version, NULL), 0);
    return suite_parse(text, strlen(text), "suite.toml", local ? NULL : &ref, local ? NULL : &version, ret_suite, err);
}

static void test_entries(void **state)
{
    CLEANUP_PTR(suite_free) struct suite *suite = NULL, *local = NULL;
    struct err err = ERR_INIT;

    if (parse(HEAD "actions = [\"actions/send-email\", \"github://other/repo/actions/x@v2.0.0\"]\n", false, &suite, &err) < 0)
        fail_msg("%s", err.message);
    assert_string_equal(suite->name, "mail");
    assert_string_equal(suite->description, "Mail and calendar");
    assert_int_equal(suite->actions_len, 2);
    assert_string_equal(suite->actions[0], "github://acme/tools/actions/send-email@1.4.0");
    assert_string_equal(suite->actions[1], "github://other/repo/actions/x@2.0.0");
    assert_int_equal(parse(HEAD "actions = [\"github://other/repo/actions/x@2.0.0\"]\n", true, &local, &err), 0);
    assert_int_equal(local->actions_len, 1);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        bool local;
        const char *message;
    } wrong[] = {
        { "", false, "name" },
        { HEAD, false, "actions" },
        { HEAD "actions = []\n", false, "empty" },
        { HEAD "actions = [\"actions/a\"]\nowner = \"x\"\n", false, "owner" },
        { "name = \"mail\"\ndescription = \" \"\nactions = [\"actions/a\"]\n", false, "description" },
        { HEAD "actions = [\"actions/a\"]\n", true, "in full" },
        { HEAD "actions = [\"actions/a@1.0.0\"]\n", false, "suite's own" },
        { HEAD "actions = [\"actions/a/b\"]\n", false, "suite's own" },
        { HEAD "actions = [\"actions/\"]\n", false, "is no action" },
        { HEAD "actions = [\"actions/..\"]\n", false, "is no action" },
        { HEAD "actions = [\"a\"]\n", false, "is no action" },
        { HEAD "actions = [\"github://o/r/actions/a\"]\n", false, "is no action" },
        { HEAD "actions = [\"github://o/r/actions/a@latest\"]\n", false, "is no action" },
        { HEAD "actions = [\"local://a@1.0.0\"]\n", false, "local action" },
        { HEAD "actions = [\"actions/a\", \"github://acme/tools/actions/a@v1.4.0\"]\n", false, "twice" },
        { HEAD "actions = [1]\n", false, "actions" },
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct suite *suite = NULL;
        struct err err = ERR_INIT;

        if (parse(wrong[i].text, wrong[i].local, &suite, &err) != -EINVAL || suite)
            fail_msg("taken: %s", wrong[i].text);
        if (!strstr(err.message, wrong[i].message) || !strstr(err.message, "suite.toml:"))
            fail_msg("%s: %s", wrong[i].text, err.message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries),
        cmocka_unit_test(test_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
