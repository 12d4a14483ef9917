/* Tests of base64, hexadecimal, percent-encoding and UTF-8, mostly of what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"

#include "base/banned.h"

static void test_base64_vectors(void **state)
{
    /* RFC 4648 §10 */
    static const char *const plain[] = { "", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\xfe\xfd\xfb\xff" };
    static const char *const coded[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy", "//79+/8=" };
    static const char *const url[] = { "", "Zg", "Zm8", "Zm9v", "Zm9vYg", "Zm9vYmE", "Zm9vYmFy", "__79-_8" };

    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        CLEANUP(buf_free) struct buf out = BUF_INIT(100), back = BUF_INIT(100);

        assert_int_equal(base64_encode(plain[i], strlen(plain[i]), &out), 0);
        assert_string_equal(buf_str(&out), coded[i]);
        assert_int_equal(base64_decode(coded[i], strlen(coded[i]), &back), 0);
        assert_string_equal(buf_str(&back), plain[i]);
        buf_reset(&out);
        buf_reset(&back);
        assert_int_equal(base64url_encode(plain[i], strlen(plain[i]), &out), 0);
        assert_string_equal(buf_str(&out), url[i]);
        assert_int_equal(base64_decode(url[i], strlen(url[i]), &back), 0);
        assert_string_equal(buf_str(&back), plain[i]);
    }
}

static void test_base64_refused(void **state)
{
    static const char *const bad[] = { "Z", "Zg=", "Zg===", "Z===", "====", "=",
        "Zm9v=", "Zm9vYg=", "Zh==", "Zm9=", "Zg==Zg==", "Zm 9v", "Zm9v\n", "+-AA", "Zm9v!", "Zg=a", "Zm8==", "Zh", "Zm9" };
    CLEANUP(buf_free) struct buf out = BUF_INIT(100);
    CLEANUP(buf_free) struct buf small = BUF_INIT(2);

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (base64_decode(bad[i], strlen(bad[i]), &out) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_int_equal(out.len, 0);
    }
    assert_int_equal(base64_decode("Zm9v", 4, &small), -E2BIG);
    assert_int_equal(base64_encode("foo", 3, &small), -E2BIG);
}

static void test_hex(void **state)
{
    uint8_t bytes[3];
    char text[7];

    hex_encode("\x00\xab\xff", 3, text);
    assert_string_equal(text, "00abff");
    assert_int_equal(hex_decode("00ABff", bytes, 3), 0);
    assert_memory_equal(bytes, "\x00\xab\xff", 3);
    assert_int_equal(hex_decode("00ABf", bytes, 3), -EINVAL);
    assert_int_equal(hex_decode("00ABff0", bytes, 3), -EINVAL);
    assert_int_equal(hex_decode("00ABfg", bytes, 3), -EINVAL);
    assert_int_equal(hex_decode("", bytes, 3), -EINVAL);
}

static void test_percent(void **state)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(30);

    assert_int_equal(percent_encode("aZ09-._~ /\xc3\xa9%\0", 14, &out), 0);
    assert_string_equal(buf_str(&out), "aZ09-._~%20%2F%C3%A9%25%00");
    assert_int_equal(percent_encode("!!!!!!!!", 8, &out), -E2BIG);
    assert_string_equal(buf_str(&out), "aZ09-._~%20%2F%C3%A9%25%00");
}

static void test_utf8(void **state)
{
    static const char *const good[] = { "", "abc", "\xc3\xa9", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = { "\x80", "\xc0\x80", "\xc1\xbf", "\xc3", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xef\xbf",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xfe", "\xe2\x82" };

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(utf8_is_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(utf8_is_valid(bad[i], strlen(bad[i])));
    assert_false(utf8_is_valid("a\0b", 3));
    assert_int_equal(utf8_step("\xe2\x82\xac", 3), 3);
    assert_int_equal(utf8_step("\xe2\x82\xac", 2), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_refused),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
