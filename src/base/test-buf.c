/* Tests of the bounded buffer: growth, ceilings, and that a refused call changes nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/cleanup.h"

#include "base/banned.h"

static void test_grow(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(1000);

    assert_string_equal(buf_str(&buf), "");
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buf_add_char(&buf, (char) ('a' + i % 26)), 0);
    assert_int_equal(buf.len, 1000);
    assert_int_equal(strlen(buf.data), 1000);
    assert_int_equal(buf_add_char(&buf, 'x'), -E2BIG);
    assert_int_equal(buf.len, 1000);
    assert_int_equal(buf.cap, 1001);
}

static void test_ceiling_keeps_content(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(5);

    assert_int_equal(buf_add_str(&buf, "abc"), 0);
    assert_int_equal(buf_add_str(&buf, "def"), -E2BIG);
    assert_int_equal(buf_printf(&buf, "%d", 12345), -E2BIG);
    assert_string_equal(buf_str(&buf), "abc");
    assert_int_equal(buf_printf(&buf, "%d", 12), 0);
    assert_string_equal(buf_str(&buf), "abc12");
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), -E2BIG);
}

/* A sanitized build must answer a hopeless request as the C library does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static void test_huge_requests(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(SIZE_MAX);

    assert_int_equal(buf_add_str(&buf, "abc"), 0);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX), -E2BIG);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX - 3), -E2BIG);
    assert_int_equal(buf_reserve(&buf, SIZE_MAX / 2), -ENOMEM);
    assert_string_equal(buf_str(&buf), "abc");
}

static void test_consume_take(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(100);
    char *text;

    buf_consume(&buf, 4);
    assert_int_equal(buf_add(&buf, "hello\0world", 11), 0);
    buf_consume(&buf, 6);
    assert_string_equal(buf_str(&buf), "world");
    buf_consume(&buf, 100);
    assert_int_equal(buf.len, 0);
    assert_int_equal(buf_add_str(&buf, "x"), 0);
    text = buf_take(&buf);
    assert_string_equal(text, "x");
    free(text);
    text = buf_take(&buf);
    assert_string_equal(text, "");
    free(text);
    assert_int_equal(buf_add_str(&buf, "y"), 0);
    buf_reset(&buf);
    assert_string_equal(buf_str(&buf), "");
}

static void test_nothing_allowed(void **state)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(0);

    assert_int_equal(buf_add(&buf, "", 0), 0);
    assert_int_equal(buf_add_char(&buf, 'x'), -E2BIG);
    assert_string_equal(buf_str(&buf), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grow),
        cmocka_unit_test(test_ceiling_keeps_content),
        cmocka_unit_test(test_huge_requests),
        cmocka_unit_test(test_consume_take),
        cmocka_unit_test(test_nothing_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
