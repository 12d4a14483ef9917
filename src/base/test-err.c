/* Tests of error values: words, cutting, hints, prefixes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "base/encode.h"
#include "base/err.h"

#include "base/banned.h"

static void test_set(void **state)
{
    struct err err = ERR_INIT;

    assert_int_equal(err_set(&err, EACCES, "vault %s is readable", "x"), -EACCES);
    assert_int_equal(err.code, EACCES);
    assert_string_equal(err.message, "vault x is readable");
    err_hint(&err, "chmod 600 %s", "x");
    assert_string_equal(err.hint, "chmod 600 x");
    err_prefix(&err, "load %d", 3);
    assert_string_equal(err.message, "load 3: vault x is readable");
    assert_string_equal(err.hint, "chmod 600 x");
    assert_int_equal(err_errno(&err, ENOENT, "open %s", "y"), -ENOENT);
    assert_string_equal(err.message, "open y: No such file or directory");
    assert_string_equal(err.hint, "");
    err_clear(&err);
    assert_int_equal(err.code, 0);
    assert_string_equal(err.message, "");
}

static void test_null(void **state)
{
    assert_int_equal(err_set(NULL, EINVAL, "x"), -EINVAL);
    assert_int_equal(err_errno(NULL, EINVAL, "x"), -EINVAL);
    err_hint(NULL, "x");
    err_prefix(NULL, "x");
    err_clear(NULL);
}

static void test_cut(void **state)
{
    struct err err = ERR_INIT;
    char text[2 * ERR_MESSAGE_MAX];

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    err_set(&err, EINVAL, "%s", text);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
    assert_string_equal(err.message + ERR_MESSAGE_MAX - 5, "a...");
    err_errno(&err, EINVAL, "%s", text);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
    err_prefix(&err, "%s", text);
    assert_int_equal(strlen(err.message), ERR_MESSAGE_MAX - 1);
    err_hint(&err, "%s", text);
    assert_int_equal(strlen(err.hint), ERR_HINT_MAX - 1);
}

/* Wherever the cut falls, and whatever a stranger sent. */
static void test_always_utf8(void **state)
{
    struct err err = ERR_INIT;
    char text[2 * ERR_MESSAGE_MAX];

    for (size_t shift = 0; shift < 4; shift++) {
        memset(text, 'a', shift);
        for (size_t i = 0; i < ERR_MESSAGE_MAX / 2; i++)
            memcpy(text + shift + 3 * i, "\xe2\x82\xac", 4);
        err_set(&err, EINVAL, "%s", text);
        assert_true(utf8_is_valid(err.message, strlen(err.message)));
        err_set(&err, EINVAL, "%.10s", text);
        assert_true(utf8_is_valid(err.message, strlen(err.message)));
        err_prefix(&err, "%.11s", text);
        err_hint(&err, "%s", text);
        assert_true(utf8_is_valid(err.message, strlen(err.message)));
        assert_true(utf8_is_valid(err.hint, strlen(err.hint)));
    }
    err_set(&err, EINVAL, "%s", "a\xff\xc3z");
    assert_string_equal(err.message, "a??z");
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_set), cmocka_unit_test(test_null), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_always_utf8) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
