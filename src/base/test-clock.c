/* Tests of time as text: RFC 3339 in both directions, refused dates, durations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/cleanup.h"

#include "base/banned.h"

static void test_format(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
        { INT64_C(951782400000), "2000-02-29T00:00:00.000Z" },
        { INT64_C(951868800000), "2000-03-01T00:00:00.000Z" },
        { INT64_C(4102444799999), "2099-12-31T23:59:59.999Z" },
    };
    char out[CLOCK_TEXT_MAX];
    int64_t ms;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(clock_format(cases[i].ms, out), cases[i].text);
        assert_int_equal(clock_parse(cases[i].text, &ms), 0);
        assert_int_equal(ms, cases[i].ms);
        assert_int_equal(strncmp(clock_format_day(cases[i].ms, out), cases[i].text, 10), 0);
        assert_int_equal(strlen(out), 10);
    }
    for (int64_t day = -200000; day < 200000; day += 37) {
        assert_int_equal(clock_parse(clock_format(day * 86400000 + 123, out), &ms), 0);
        assert_int_equal(ms, day * 86400000 + 123);
    }
}

static void test_parse(void **state)
{
    static const char *const same[] = { "2026-11-23T22:29:00Z", "2026-11-23t22:29:00z", "2026-11-23T23:29:00+01:00",
        "2026-11-23T16:59:00-05:30", "2026-11-23 22:29:00.0000000001Z", "2026-11-23T22:28:60Z" };
    static const char *const bad[] = { "", "2026", "2026-11-23", "2026-11-23T22:29Z", "2026-11-23T22:29:00",
        "2026-13-23T22:29:00Z", "2026-02-29T22:29:00Z", "2100-02-29T22:29:00Z", "2026-11-31T22:29:00Z", "2026-11-00T22:29:00Z",
        "2026-11-23T24:29:00Z", "2026-11-23T22:60:00Z", "2026-11-23T22:29:61Z", "2026-11-23T22:29:00.Z",
        "2026-11-23T22:29:00+1:00", "2026-11-23T22:29:00+24:00", "2026-11-23T22:29:00Zx", " 2026-11-23T22:29:00Z",
        "+026-11-23T22:29:00Z", "26-11-23T22:29:00Z" };
    int64_t ms = 7;

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        assert_int_equal(clock_parse(same[i], &ms), 0);
        assert_int_equal(ms, INT64_C(1795472940000));
    }
    ms = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(clock_parse(bad[i], &ms), -EINVAL);
    assert_int_equal(ms, 7);
}

static void test_duration(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = { { "90s", 90000 }, { "15m", 900000 }, { "24h", 86400000 }, { "7d", 604800000 }, { "5", 5000 }, { "0", 0 } };
    static const char *const bad[] = { "", "s", "-1", "1.5h", "1w", "1hh", "1h ", " 1h", "9999999999999", "999999999999d" };
    int64_t ms = 7;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_int_equal(clock_parse_duration(good[i].text, &ms), 0);
        assert_int_equal(ms, good[i].ms);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(clock_parse_duration(bad[i], &ms), -EINVAL);
}

static void test_now(void **state)
{
    int64_t before = clock_boot_us();

    assert_true(clock_boot_us() >= before);
    assert_true(clock_boot_ms() >= before / 1000);
    assert_true(clock_unix_ms() > INT64_C(1600000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_format), cmocka_unit_test(test_parse),
        cmocka_unit_test(test_duration), cmocka_unit_test(test_now) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
