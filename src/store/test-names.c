/*
 * Names and versions as the store reads them: the split at the last `@`, the
 * leading v, hints; and precedence by the specification's own examples.
 */
#include "base/cleanup.h"
#include "store/fqn.h"
#include "store/semver.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_semver_parse(void **state)
{
    struct semver version = { "before" };
    struct err err = ERR_INIT;

    assert_int_equal(semver_parse("1.2.3", &version, &err), 0);
    assert_string_equal(version.text, "1.2.3");
    assert_int_equal(semver_parse("v1.2.3-rc.1+b.07", &version, &err), 0);
    assert_string_equal(version.text, "1.2.3-rc.1+b.07");
    assert_int_equal(semver_parse("vv1.2.3", &version, &err), -EINVAL);
    assert_int_equal(semver_parse("1.2", &version, &err), -EINVAL);
    assert_non_null(strstr(err.message, "'1.2'"));
    assert_non_null(strstr(err.hint, "MAJOR.MINOR.PATCH"));
    assert_int_equal(semver_parse("", &version, NULL), -EINVAL);
    assert_string_equal(version.text, "1.2.3-rc.1+b.07");
}

static int compare(const char *a, const char *b)
{
    struct semver x, y;

    assert_int_equal(semver_parse(a, &x, NULL), 0);
    assert_int_equal(semver_parse(b, &y, NULL), 0);
    return semver_compare(&x, &y);
}

static void test_precedence(void **state)
{
    static const char *const ordered[] = {
        "0.0.9",
        "0.9.0",
        "0.10.0",
        "1.0.0-0",
        "1.0.0-2",
        "1.0.0-11",
        "1.0.0--",
        "1.0.0-1a",
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.0.1",
        "1.2.0",
        "1.10.0",
        "2.0.0",
        "10.0.0",
        "99999999999999999999.0.0",
        "100000000000000000000.0.0",
    };

    for (size_t i = 0; i < ARRAY_LEN(ordered); i++)
        for (size_t j = 0; j < ARRAY_LEN(ordered); j++) {
            int order = compare(ordered[i], ordered[j]);

            if ((order < 0) != (i < j) || (order > 0) != (i > j))
                fail_msg("%s and %s: %d", ordered[i], ordered[j], order);
        }
    assert_int_equal(compare("1.0.0+a", "1.0.0+b"), 0);
    assert_int_equal(compare("1.0.0-rc.1+a", "1.0.0-rc.1"), 0);
    assert_int_equal(compare("1.0.0-rc+a.9", "1.0.0-rc+b"), 0);
    assert_true(compare("1.0.0-rc+a.9", "1.0.0-rc.1") < 0);
    assert_true(compare("1.0.0+a", "1.0.0-rc") > 0);
}

static void test_fqn_parse(void **state)
{
    struct fqn fqn;
    struct err err = ERR_INIT;

    assert_int_equal(fqn_parse("github://owner/repo/sub", &fqn, &err), 0);
    assert_int_equal(fqn.scheme, FQN_GITHUB);
    assert_string_equal(fqn.text, "github://owner/repo/sub");
    assert_int_equal(fqn_parse("gitlab://owner/repo", &fqn, &err), 0);
    assert_int_equal(fqn.scheme, FQN_GITLAB);
    assert_int_equal(fqn_parse("local://google", &fqn, &err), 0);
    assert_int_equal(fqn.scheme, FQN_LOCAL);
    assert_int_equal(fqn_parse("github://owner/repo@1.0.0", &fqn, &err), -EINVAL);
    assert_non_null(strstr(err.message, "a version where only a name"));
    assert_int_equal(fqn_parse("github://owner", &fqn, &err), -EINVAL);
    assert_non_null(strstr(err.hint, "github://OWNER/REPO"));
    assert_string_equal(fqn.text, "local://google");
}

static void test_fqn_parse_versioned(void **state)
{
    static const char *const bad[] = {
        "github://o/r",
        "github://o/r@",
        "github://o/r@v",
        "github://o/r@^1.0.0",
        "github://o/r@1.0.0@",
        "github://o@r/x@1.0.0",
        "@1.0.0",
        "github://o/r@latest",
        "github://o/r@0123456789012345678901234567890123456789",
        "github://o/r@1.0.0 ",
    };
    struct fqn fqn;
    struct semver version;
    struct err err = ERR_INIT;

    assert_int_equal(fqn_parse_versioned("github://o/r@v1.2.3", &fqn, &version, &err), 0);
    assert_string_equal(fqn.text, "github://o/r");
    assert_string_equal(version.text, "1.2.3");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err_clear(&err);
        assert_int_equal(fqn_parse_versioned(bad[i], &fqn, &version, &err), -EINVAL);
        assert_true(err.message[0] != '\0');
    }
    assert_int_equal(fqn_parse_versioned(bad[0], &fqn, &version, &err), -EINVAL);
    assert_non_null(strstr(err.hint, "github://o/r@1.2.3"));
    assert_int_equal(fqn_parse_versioned(bad[8], &fqn, &version, &err), -EINVAL);
    assert_non_null(strstr(err.message, "commit"));
    assert_string_equal(version.text, "1.2.3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_semver_parse),
        cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_fqn_parse),
        cmocka_unit_test(test_fqn_parse_versioned),
    };

    return cmocka_run_group_tests_name("store/names", tests, NULL, NULL);
}
