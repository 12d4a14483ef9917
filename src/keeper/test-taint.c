/* Tests of the taint filter: every cut of a body gives the same result, and no occurrence is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keeper/taint.h"

#include "base/banned.h"

static struct taint *make(const char *const *patterns, size_t len)
{
    struct taint_pattern list[TAINT_PATTERNS_MAX];
    struct taint *taint = NULL;

    for (size_t i = 0; i < len; i++)
        list[i] = (struct taint_pattern){ patterns[i], strlen(patterns[i]) };
    assert_int_equal(taint_new(list, len, &taint), 0);
    return taint;
}

/* Filters `body` in pieces of at most `step` bytes, the first of `first`. */
static void run(const char *const *patterns, size_t len, const char *body, size_t first, size_t step, struct buf *out)
{
    struct taint *taint = make(patterns, len);
    size_t total = strlen(body), at = 0;

    buf_reset(out);
    while (at < total) {
        size_t piece = at == 0 ? first : step;

        piece = piece > total - at ? total - at : piece;
        assert_int_equal(taint_add(taint, body + at, piece, out), 0);
        at += piece;
    }
    assert_int_equal(taint_end(taint, out), 0);
    taint_free(taint);
}

static void check(const char *const *patterns, size_t len, const char *body, const char *expected)
{
    struct buf out = BUF_INIT(1 << 20);
    size_t total = strlen(body);

    for (size_t step = 1; step <= total + 1; step++)
        for (size_t first = 1; first <= total; first++) {
            run(patterns, len, body, first, step, &out);
            if (out.len != strlen(expected) || strcmp(buf_str(&out), expected) != 0)
                fail_msg("%s cut %zu/%zu: %s, not %s", body, first, step, buf_str(&out), expected);
        }
    buf_free(&out);
}

static void test_one_pattern(void **state)
{
    static const char *const secret[] = { "s3cr3t-k" };

    check(secret, 1, "nothing here", "nothing here");
    check(secret, 1, "s3cr3t-k", "[redacted]");
    check(secret, 1, "a s3cr3t-k b s3cr3t-ks3cr3t-k s3cr3t- k", "a [redacted] b [redacted][redacted] s3cr3t- k");
    check(secret, 1, "s3cr3t-s3cr3t-k", "s3cr3t-[redacted]");
    check(secret, 1, "x", "x");
    check(secret, 1, "s3cr3t-", "s3cr3t-");
}

static void test_overlaps(void **state)
{
    static const char *const repeating[] = { "abab" };
    static const char *const nested[] = { "bcd", "abcdef", "fgh" };

    check(repeating, 1, "xabababx", "x[redacted]x");
    check(repeating, 1, "abababab", "[redacted]");
    check(nested, 3, "abcdex bcdx", "a[redacted]ex [redacted]x");
    check(nested, 3, "-abcdef-", "-[redacted]-");
    check(nested, 3, "-abcdefgh-", "-[redacted]-");
    check(nested, 3, "-abcdeffgh-", "-[redacted][redacted]-");
}

/* A secret that could be put together from the replacement and its neighbours gets another replacement. */
static void test_replacement(void **state)
{
    static const char *const ends[] = { "secret[re" };
    static const char *const begins[] = { "d]secret" };
    static const char *const inside[] = { "xx[redacted]yy" };
    static const char *const part[] = { "redact" };
    static const char *const all[] = { "~[redacted](hidden)<removed>***" };
    struct taint_pattern pattern = { all[0], strlen(all[0]) };
    struct taint *taint = NULL;

    check(ends, 1, "secretsecret[re", "secret(hidden)");
    check(begins, 1, "d]secretsecret", "(hidden)secret");
    check(inside, 1, "xxxx[redacted]yyyy", "xx(hidden)yy");
    check(part, 1, "redactredactredact", "(hidden)(hidden)(hidden)");
    assert_int_equal(taint_new(&pattern, 1, &taint), -22);
    assert_int_equal(taint_new(&pattern, 0, &taint), -22);
    pattern.len = 0;
    assert_int_equal(taint_new(&pattern, 1, &taint), -22);
}

static void test_long_body(void **state)
{
    static const char *const secret[] = { "0123456789abcdef0123456789abcdef" };
    static char body[200001];
    struct buf out = BUF_INIT(1 << 20);
    size_t expected = 0;

    memset(body, '.', sizeof body - 1);
    for (size_t at = 0; at + 32 < sizeof body; at += 8191, expected++)
        memcpy(body + at, secret[0], 32);
    for (size_t step = 1000; step < 70000; step += 9973) {
        run(secret, 1, body, step, step, &out);
        assert_null(strstr(buf_str(&out), secret[0]));
        assert_int_equal(out.len, sizeof body - 1 - expected * (32 - 10));
    }
    buf_free(&out);
}

static void test_found_and_full(void **state)
{
    static const char *const secret[] = { "12345678" };
    struct taint *taint = make(secret, 1);
    struct buf out = BUF_INIT(16);

    assert_int_equal(taint_add(taint, "1234567812345", 13, &out), 0);
    assert_true(taint_found(taint));
    assert_int_equal(taint_add(taint, "aaaaaaaaaaaaaaaaaaaaaa", 22, &out), -7);
    taint_free(taint);
    taint = make(secret, 1);
    buf_reset(&out);
    assert_int_equal(taint_add(taint, "1234567", 7, &out), 0);
    assert_int_equal(taint_end(taint, &out), 0);
    assert_false(taint_found(taint));
    assert_string_equal(buf_str(&out), "1234567");
    taint_free(taint);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_pattern),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_replacement),
        cmocka_unit_test(test_long_body),
        cmocka_unit_test(test_found_and_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
