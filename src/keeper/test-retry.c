/* Tests of Retry-After. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "keeper/retry.h"

#include "base/banned.h"

/* Sun, 06 Nov 1994 08:49:37 GMT */
#define EXAMPLE_MS (784111777000ll)

static int64_t parse(const char *text)
{
    return retry_after_parse(text, strlen(text), EXAMPLE_MS - 60000);
}

static void test_seconds(void **state)
{
    assert_int_equal(parse("0"), 0);
    assert_int_equal(parse("120"), 120000);
    assert_int_equal(parse("  120 \r\n"), 120000);
    assert_int_equal(parse("86400"), RETRY_AFTER_MAX_MS);
    assert_int_equal(parse("99999999999999999999999999999999"), RETRY_AFTER_MAX_MS);
}

static void test_dates(void **state)
{
    assert_int_equal(parse("Sun, 06 Nov 1994 08:49:37 GMT"), 60000);
    assert_int_equal(parse("Sunday, 06-Nov-94 08:49:37 GMT"), 60000);
    assert_int_equal(parse("Sun Nov  6 08:49:37 1994"), 60000);
    assert_int_equal(parse("Sun, 06 Nov 1993 08:49:37 GMT"), 0);
    assert_int_equal(parse("Sun, 06 Nov 2094 08:49:37 GMT"), RETRY_AFTER_MAX_MS);
}

static void test_neither(void **state)
{
    static const char *const texts[] = { "", " ", "-1", "+1", "1.5", "1 2", "soon", "0x10", "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:49:37 GMT and so on and on and on and on and on and on and on" };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_int_equal(parse(texts[i]), -1);
    assert_int_equal(retry_after_parse("1\0002", 3, 0), -1);
}

static void test_rate_reset(void **state)
{
    assert_int_equal(rate_reset_parse(" 784111777\r\n", 13, 784111717000), 60000);
    assert_int_equal(rate_reset_parse("784111717", 9, 784111777000), 0);
    assert_int_equal(rate_reset_parse("999999999999", 12, 0), RETRY_AFTER_MAX_MS);
    assert_int_equal(rate_reset_parse("9999999999999", 13, 0), -1);
    assert_int_equal(rate_reset_parse("-5", 2, 0), -1);
    assert_int_equal(rate_reset_parse("", 0, 0), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_seconds), cmocka_unit_test(test_dates),
        cmocka_unit_test(test_neither), cmocka_unit_test(test_rate_reset) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
