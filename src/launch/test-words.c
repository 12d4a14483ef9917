/* Lists of texts: what is set replaces, what is taken out leaves the order. */
#include "launch/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/banned.h"

static void test_set_replaces(void **state)
{
    struct words words = { 0 };

    words_add(&words, "A=1");
    words_add(&words, "AB=2");
    words_add(&words, "A=3");
    words_set(&words, "A", "4");
    assert_int_equal(words.len, 2);
    assert_string_equal(words.list[0], "AB=2");
    assert_string_equal(words.list[1], "A=4");
    assert_null(words.list[2]);
    assert_string_equal(words_get(&words, "AB"), "2");
    assert_null(words_get(&words, "B"));
    assert_false(words.failed);
    words_free(&words);
    assert_null(words.list);
}

static void test_many(void **state)
{
    struct words words = { 0 };

    for (int i = 0; i < 100; i++)
        words_addf(&words, "N%d=%d", i, i);
    words_unset(&words, "N50");
    assert_int_equal(words.len, 99);
    assert_string_equal(words.list[98], "N99=99");
    assert_null(words.list[99]);
    words_free(&words);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_set_replaces), cmocka_unit_test(test_many) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
