/* The cleaner of guest text: what it keeps, what it replaces, where it cuts. */
#include "worker/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CLEANS(text, wanted) assert_cleans(text, sizeof(text) - 1, wanted)

static void assert_cleans(const char *text, size_t len, const char *wanted)
{
    char out[128];
    size_t written = text_clean(text, len, out, sizeof(out));

    assert_string_equal(out, wanted);
    assert_int_equal(written, strlen(wanted));
}

static void test_plain_text_stays(void **state)
{
    CLEANS("", "");
    CLEANS("hello world", "hello world");
    CLEANS("gr\xC3\xBC\xC3\x9F dich \xE2\x9C\x88 \xF0\x9F\x98\x80", "gr\xC3\xBC\xC3\x9F dich \xE2\x9C\x88 \xF0\x9F\x98\x80");
}

static void test_controls_become_one_blank(void **state)
{
    CLEANS("y\nz", "y z");
    CLEANS("y \r\n\t z", "y z");
    CLEANS("\n\ny\n", "y");
    CLEANS("y\0z", "y z");
    CLEANS("\x1B[31mred\x1B[0m", "[31mred [0m");
    CLEANS("w\xC2\x85x\x7Fy\xC2\x9Bz", "w x y z");
    CLEANS("y\xE2\x80\xA8z", "y z");
}

static void test_hidden_marks_go(void **state)
{
    CLEANS("y\xE2\x80\xAEz", "yz");
    CLEANS("y\xE2\x81\xA6z\xEF\xBB\xBF", "yz");
    CLEANS("y\xE2\x80\x8Bz", "yz");
    CLEANS("y\xF3\xA0\x81\x81z", "yz");
}

static void test_what_is_not_utf8_is_replaced(void **state)
{
    CLEANS("y\xFFz", "y\xEF\xBF\xBDz");
    CLEANS("\xC0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD");
    CLEANS("\xE0\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    CLEANS("\xED\xA0\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    CLEANS("\xF4\x90\x80\x80", "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    CLEANS("\xE2\x82", "\xEF\xBF\xBD\xEF\xBF\xBD");
    CLEANS("\xC3", "\xEF\xBF\xBD");
}

static void test_cut_between_characters(void **state)
{
    char out[6];

    assert_int_equal(text_clean("abcdefgh", 8, out, sizeof(out)), 5);
    assert_string_equal(out, "abcde");
    assert_int_equal(text_clean("abc\xE2\x82\xAC", 6, out, sizeof(out)), 3);
    assert_string_equal(out, "abc");
    assert_int_equal(text_clean("ab\xE2\x82\xAC", 5, out, sizeof(out)), 5);
    assert_int_equal(text_clean("abcd x", 6, out, sizeof(out)), 4);
    assert_string_equal(out, "abcd");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_stays),
        cmocka_unit_test(test_controls_become_one_blank),
        cmocka_unit_test(test_hidden_marks_go),
        cmocka_unit_test(test_what_is_not_utf8_is_replaced),
        cmocka_unit_test(test_cut_between_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
