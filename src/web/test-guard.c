/* Host, Origin and bearer rules: what a foreign page or port may send must fail. */
#include "web/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_hosts(void **state)
{
    static const char *const foreign[] = { "127.0.0.1", "127.0.0.1:81", "evil.test:80", "evil.test", "127.0.0.1:80.evil.test",
        "127.0.0.1:080", "0.0.0.0:80", "[::1]:80", "", "localhost.evil.test:80" };

    assert_int_equal(guard_check(true, 80, "127.0.0.1:80", NULL), GUARD_OK);
    assert_int_equal(guard_check(true, 80, "LocalHost:80", NULL), GUARD_OK);
    assert_int_equal(guard_check(true, 80, NULL, NULL), GUARD_FOREIGN_HOST);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_int_equal(guard_check(true, 80, foreign[i], NULL), GUARD_FOREIGN_HOST);
}

static void test_origins(void **state)
{
    static const char *const foreign[] = { "null", "http://evil.test", "http://127.0.0.1:81", "https://127.0.0.1:80",
        "http://localhost:80", "http://127.0.0.1:80.evil.test", "", "file://" };

    assert_int_equal(guard_check(true, 80, "127.0.0.1:80", "http://127.0.0.1:80"), GUARD_OK);
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++)
        assert_int_equal(guard_check(true, 80, "127.0.0.1:80", foreign[i]), GUARD_FOREIGN_ORIGIN);
    assert_int_equal(guard_check(false, 0, NULL, "http://127.0.0.1:80"), GUARD_FOREIGN_ORIGIN);
    assert_int_equal(guard_check(false, 0, "anything", NULL), GUARD_OK);
}

static void test_bearer(void **state)
{
    assert_string_equal(guard_bearer("Bearer abc"), "abc");
    assert_string_equal(guard_bearer("bearer  abc"), "abc");
    assert_null(guard_bearer("Bearer "));
    assert_null(guard_bearer("Basic abc"));
    assert_null(guard_bearer(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_origins),
        cmocka_unit_test(test_bearer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
