/* Codes and keys of the browser: life, once, bounds, and that guessing neither helps nor keeps the owner out. */
#include "broker/web-keys.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1000000

static void test_code_is_spent_once(void **state)
{
    CLEANUP_PTR(web_keys_free) struct web_keys *keys = web_keys_new();
    char code[WEB_TEXT_MAX], key[WEB_TEXT_MAX] = "", again[WEB_TEXT_MAX] = "";

    web_keys_code(keys, NOW, code);
    assert_int_equal(strlen(code), 43);
    assert_false(web_keys_known(keys, code));
    assert_true(web_keys_waits(keys, code, NOW) && web_keys_waits(keys, code, NOW + WEB_CODE_LIFE_MS - 1));
    assert_false(web_keys_waits(keys, code, NOW + WEB_CODE_LIFE_MS) || web_keys_waits(keys, "", NOW));
    assert_int_equal(web_keys_login(keys, code, NOW, key), 0);
    assert_false(web_keys_waits(keys, code, NOW) || web_keys_waits(keys, key, NOW));
    assert_true(web_keys_known(keys, key));
    assert_int_equal(web_keys_login(keys, code, NOW, again), -ENOENT);
    assert_string_equal(again, "");
    assert_false(web_keys_known(keys, code));
    assert_false(web_keys_known(keys, ""));
    /* A key is no code. */
    assert_int_equal(web_keys_login(keys, key, NOW, again), -ENOENT);
}

static void test_code_grows_old(void **state)
{
    CLEANUP_PTR(web_keys_free) struct web_keys *keys = web_keys_new();
    char young[WEB_TEXT_MAX], old[WEB_TEXT_MAX], key[WEB_TEXT_MAX];

    web_keys_code(keys, NOW, young);
    assert_int_equal(web_keys_login(keys, young, NOW + WEB_CODE_LIFE_MS - 1, key), 0);
    web_keys_code(keys, NOW, old);
    assert_int_equal(web_keys_login(keys, old, NOW + WEB_CODE_LIFE_MS, key), -ENOENT);
}

static void test_oldest_gives_way(void **state)
{
    CLEANUP_PTR(web_keys_free) struct web_keys *keys = web_keys_new();
    char codes[WEB_CODES_MAX + 1][WEB_TEXT_MAX], made[WEB_KEYS_MAX + 1][WEB_TEXT_MAX], key[WEB_TEXT_MAX];

    for (size_t i = 0; i <= WEB_CODES_MAX; i++)
        web_keys_code(keys, NOW, codes[i]);
    assert_int_equal(web_keys_login(keys, codes[0], NOW, key), -ENOENT);
    assert_int_equal(web_keys_login(keys, codes[1], NOW, key), 0);
    for (size_t i = 0; i <= WEB_KEYS_MAX; i++) {
        web_keys_code(keys, NOW, codes[0]);
        assert_int_equal(web_keys_login(keys, codes[0], NOW, made[i]), 0);
    }
    assert_false(web_keys_known(keys, key));
    assert_false(web_keys_known(keys, made[0]));
    assert_true(web_keys_known(keys, made[1]));
    assert_true(web_keys_known(keys, made[WEB_KEYS_MAX]));
}

static void test_guessing(void **state)
{
    CLEANUP_PTR(web_keys_free) struct web_keys *keys = web_keys_new();
    char code[WEB_TEXT_MAX], key[WEB_TEXT_MAX];

    web_keys_code(keys, NOW, code);
    for (int i = 0; i < WEB_WRONG_MAX; i++)
        assert_int_equal(web_keys_login(keys, "guess", NOW + i, key), -ENOENT);
    assert_int_equal(web_keys_login(keys, "guess", NOW + 20, key), -EAGAIN);
    assert_int_equal(web_keys_login(keys, code, NOW + 21, key), 0);
    assert_int_equal(web_keys_login(keys, "guess", NOW + WEB_WRONG_FRAME_MS, key), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_is_spent_once),
        cmocka_unit_test(test_code_grows_old),
        cmocka_unit_test(test_oldest_gives_way),
        cmocka_unit_test(test_guessing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
