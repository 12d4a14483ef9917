/*
 * Tests of the taint filter: every way to write a secret is masked and nothing else, wherever the body is cut, on either
 * side of the window's border, and what comes out holds no echo as a plain search understands it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/encode.h"
#include "keeper/taint.h"
#include "keeper/test-echo.h"

#include "base/banned.h"

#define BODY_MAX (1 << 20)
#define MASK     "[redacted]"
#define WINDOW   (16 * 1024)
#define TOKEN    "s3cr3t/k+y~\"x"

/* At most two secrets, as texts; the second may be NULL. */
struct texts {
    const char *text[2];
};

static size_t secrets_make(const struct texts *texts, struct secret *secrets[2])
{
    size_t n = 0;

    while (n < 2 && texts->text[n]) {
        assert_int_equal(secret_from(texts->text[n], strlen(texts->text[n]), &secrets[n]), 0);
        n++;
    }
    return n;
}

static int try(const struct texts *texts, struct taint **ret_taint)
{
    struct secret *secrets[2] = { NULL, NULL };
    size_t n = secrets_make(texts, secrets);
    int r = taint_new((const struct secret *const *) secrets, n, ret_taint);

    secret_free(secrets[0]);
    secret_free(secrets[1]);
    return r;
}

static struct taint *make(const struct texts *texts)
{
    struct taint *taint = NULL;

    assert_int_equal(try(texts, &taint), 0);
    return taint;
}

/* Filters `body` in pieces of at most `step` bytes, the first of `first`. */
static void run(const struct texts *texts, const void *body, size_t total, size_t first, size_t step, struct buf *out)
{
    struct taint *taint = make(texts);
    size_t at = 0;

    buf_reset(out);
    while (at < total) {
        size_t piece = at == 0 ? first : step;

        piece = piece > total - at ? total - at : piece;
        assert_int_equal(taint_add(taint, (const char *) body + at, piece, out), 0);
        at += piece;
    }
    assert_int_equal(taint_end(taint, out), 0);
    taint_free(taint);
}

static bool marks_make(const struct texts *texts, const struct buf *body, uint8_t *marks)
{
    bool found = false;

    memset(marks, 0, body->len);
    for (size_t i = 0; i < 2 && texts->text[i]; i++)
        found |= echo_mark(texts->text[i], strlen(texts->text[i]), body->data, body->len, marks);
    return found;
}

/* The filter's result is what the plain search says, and is clean. Returns whether there was an echo. */
static bool check_plainly(const struct texts *texts, const struct buf *body, size_t first, size_t step)
{
    static uint8_t marks[BODY_MAX];
    CLEANUP(buf_free) struct buf out = BUF_INIT(BODY_MAX);
    bool found = marks_make(texts, body, marks);

    run(texts, body->data, body->len, first, step, &out);
    if (!echo_masked_exactly((const uint8_t *) body->data, body->len, marks, buf_str(&out), out.len))
        fail_msg("cut %zu/%zu: %s became %s", first, step, body->data, buf_str(&out));
    assert_true(!out.data || !marks_make(texts, &out, marks));
    return found;
}

static void check_texts(const struct texts *texts, const char *body, const char *expected)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(BODY_MAX);
    size_t total = strlen(body);

    for (size_t step = 1; step <= total + 1; step += step > 8 ? 7 : 1)
        for (size_t first = 1; first <= total; first++) {
            run(texts, body, total, first, step, &out);
            if (out.len != strlen(expected) || strcmp(buf_str(&out), expected) != 0)
                fail_msg("%s cut %zu/%zu: %s, not %s", body, first, step, buf_str(&out), expected);
        }
}

static void check(const char *secret, const char *body, const char *expected)
{
    struct texts texts = { { secret, NULL } };

    check_texts(&texts, body, expected);
}

static void test_raw(void **state)
{
    check("s3cr3t-k", "nothing here", "nothing here");
    check("s3cr3t-k", "s3cr3t-k", MASK);
    check("s3cr3t-k", "a s3cr3t-k b s3cr3t-ks3cr3t-k s3cr3t- k", "a [redacted] b [redacted] s3cr3t- k");
    check("s3cr3t-k", "s3cr3t-s3cr3t-k", "s3cr3t-[redacted]");
    check("s3cr3t-k", "x", "x");
    check("s3cr3t-k", "s3cr3t-", "s3cr3t-");
    check("s3cr3t-k", "S3CR3T-K", "S3CR3T-K");
}

static void test_overlaps(void **state)
{
    struct texts nested = { { "bcdefghijk", "abcdefghijklm" } }, linked = { { "abcdefgh", "fghijklm" } };

    check("abababab", "xababababababx", "x[redacted]x");
    check("abababab", "xabababx", "xabababx");
    check_texts(&nested, "-abcdefghijkl bcdefghijk-abcdefghijklm-", "-a[redacted]l [redacted]-[redacted]-");
    check_texts(&linked, "-abcdefghijklm-abcdefghfghijklm", "-[redacted]-[redacted]");
}

static void test_percent(void **state)
{
    check(TOKEN, "k=s3cr3t%2Fk%2By~%22x&", "k=[redacted]&");
    check(TOKEN, "k=s3cr3t%2fk%2by%7e%22x&", "k=[redacted]&");
    check(TOKEN, "%73%33%63%72%33%74%2F%6B%2B%79%7E%22%78", MASK);
    check(TOKEN, "s3cr3t%2Fk%2By~%22%7", "s3cr3t%2Fk%2By~%22%7");
    check("pass word 1", "a=pass+word+1&b=pass%20word%201&c=pass word 1", "a=[redacted]&b=[redacted]&c=[redacted]");
    check("100%25abcd", "100%25abcd 100%2525abcd 100%25%32%35abcd", "[redacted] [redacted] [redacted]");
    check("s3cr3t-k", "%%%73%s3cr3t-k", "%%%73%[redacted]");
}

static void test_json(void **state)
{
    check(TOKEN, "{\"k\":\"s3cr3t\\/k+y~\\\"x\"}", "{\"k\":\"[redacted]\"}");
    check(TOKEN, "\"s3cr3t\\u002Fk\\u002by\\u007e\\u0022x\"", "\"[redacted]\"");
    check(TOKEN, "\\u0073\\u0033\\u0063\\u0072\\u0033\\u0074\\u002f\\u006B\\u002B\\u0079\\u007E\\u0022\\u0078", MASK);
    check("tab\there\\ \b\f\n\r", "tab\\there\\\\ \\b\\f\\n\\r", MASK);
    check("tab\there\\ \b\f\n\r", "tab\\u0009here\\u005c \\u0008\\u000C\\u000a\\u000d", MASK);
    check("\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80 2", "-\\u00e9t\xc3\xa9 \\ud83D\\uDE00 2-", "-[redacted]-");
    check("\xe2\x82\xac 1000,00", "\\u20AC 1000,00 %e2%82%AC 1000,00", "[redacted] [redacted]");
    check("\xed\xb2\x80 not a character", "\\udc80 not a character", "\\udc80 not a character");
    check("abcd\\\\\\\\efgh", "abcd\\\\\\\\efgh abcd\\\\\\\\\\\\\\\\efgh", "[redacted] [redacted]");
    check(TOKEN, "\\u\\u00\\ud83d s3cr3t\\/k+y~\\x\"x", "\\u\\u00\\ud83d s3cr3t\\/k+y~\\x\"x");
}

static void test_hex(void **state)
{
    check("s3cr3t-k", "<7333637233742d6b>", "<[redacted]>");
    check("s3cr3t-k", "<7333637233742D6B>", "<[redacted]>");
    check("s3cr3t-k", "0x7333637233742d6B", "0x[redacted]");
    check("s3cr3t-k", "\\u0037333637233742%2dk7333637233742d6", "\\u0037333637233742%2dk7333637233742d6");
    check("s3cr3t-k", "%37\\u003333637233\\u003742\\u0064%36b", MASK);
}

/* base64 of `prefix` and the token and more: masked are the characters that nothing else decides. */
static void check_base64(const char *prefix, const char *suffix, bool url, bool padded)
{
    static const struct texts texts = { { "~~s3cr3t?>~k", NULL } };
    CLEANUP(buf_free) struct buf bytes = BUF_INIT(1024), text = BUF_INIT(1024);

    assert_int_equal(buf_printf(&bytes, "%s%s%s", prefix, texts.text[0], suffix), 0);
    assert_int_equal((url ? base64url_encode : base64_encode)(bytes.data, bytes.len, &text), 0);
    while (!padded && text.len > 0 && text.data[text.len - 1] == '=')
        text.len--;
    for (size_t first = 1; first <= text.len; first++)
        assert_true(check_plainly(&texts, &text, first, 3));
}

static void test_base64(void **state)
{
    static const char *const around[] = { "", "u", "us", "user:", "Bearer ", "Basic a:b", "\xff\xff\xff\xff" };

    check("s3cr3t-k", "czNjcjN0LWs=", "[redacted]s=");
    check("s3cr3t-k", "\"dXNlcjpzM2NyM3Qtaw==\"", "\"dXNlcjp[redacted]w==\"");
    check("????????", "Pz8/Pz8/Pz8= Pz8_Pz8_Pz8", "[redacted]8= [redacted]8");
    for (size_t i = 0; i < ARRAY_LEN(around); i++)
        for (size_t k = 0; k < ARRAY_LEN(around); k++)
            for (unsigned way = 0; way < 4; way++)
                check_base64(around[i], around[k], way & 1, way & 2);
}

static void test_wrapped_base64(void **state)
{
    check("s3cr3t-k", "czNj\r\ncjN0\r\nLWs=", "[redacted]s=");
    check("s3cr3t-k", "czNj\ncjN0\nLWs=\n", "[redacted]s=\n");
    check("s3cr3t-k", "\"czNj\\ncjN0\\r\\nLWs=\\n\"", "\"[redacted]s=\\n\"");
    check("s3cr3t-k", "czNj%0D%0AcjN0%0aLWs%3D", "[redacted]s%3D");
    check("s3cr3t-k", "\nczNjcjN0LW\ns=", "\n[redacted]\ns=");
    check("s3cr3t-k", "c\nczNjcjN0LWs=", "c\n[redacted]s=");
    check("s3cr3t-k", "czNj\\u000d\\u000Acj%0a\\u004e0LWs=", "[redacted]s=");
    check("s3cr3t-k", "s3cr\n3t-k 73336372\n33742d6b czNj\n\ncjN0LWs=", "s3cr\n3t-k 73336372\n33742d6b czNj\n\ncjN0LWs=");
}

static void test_mixtures(void **state)
{
    check("????????", "{\"t\":\"Pz8\\/Pz8\\u002fPz8=\"}", "{\"t\":\"[redacted]8=\"}");
    check("????????", "Pz8%2FPz8%2fPz8%3D", "[redacted]8%3D");
    check(TOKEN, "s\\u0033cr3t%2Fk%2by~\\\"%78", MASK);
    check(TOKEN, "s3cr3t/k+y~\"x czNjcjN0L2sreX4ieA== 7333637233742f6b2b797e2278", "[redacted] [redacted]A== [redacted]");
}

/* A secret that could be put together from the mask and its neighbours gets another mask. */
static void test_mask(void **state)
{
    static const char all[] = "~[]redacted(hidden)<>{}***#|^!@$&;,?";
    struct texts none = { { "s3cr3t-k\xe2\x96\x88\xc2\xa4~[]()<>{}***#|^!@$&;,?", NULL } }, short_one = { { "1234567", NULL } };
    struct texts empty = { { NULL, NULL } };
    struct taint *taint = NULL;

    check("secret[re", "secretsecret[re", "secret(redacted)");
    check("d]secret", "d]secretsecret", "(redacted)secret");
    check("redacted", "redactedredacted-", "***-");
    check(all, all, "\xe2\x96\x88");
    assert_int_equal(try(&none, &taint), -22);
    assert_int_equal(try(&short_one, &taint), -22);
    assert_int_equal(try(&empty, &taint), -22);
}

static void test_bounds(void **state)
{
    static char text[TAINT_SECRET_MAX_BYTES + 2];
    static const struct texts longest = { { text, NULL } };
    CLEANUP(buf_free) struct buf out = BUF_INIT(BODY_MAX);
    struct secret *secrets[TAINT_SECRETS_MAX + 1];
    struct taint *taint = NULL;

    for (size_t i = 0; i < TAINT_SECRET_MAX_BYTES; i++)
        text[i] = (char) ('a' + i * i % 25);
    run(&longest, text, TAINT_SECRET_MAX_BYTES, 1000, 1000, &out);
    assert_string_equal(buf_str(&out), MASK);
    text[TAINT_SECRET_MAX_BYTES] = 'a';
    assert_int_equal(try(&longest, &taint), -22);
    for (size_t i = 0; i < TAINT_SECRETS_MAX + 1; i++)
        assert_int_equal(secret_from("12345678", 8, &secrets[i]), 0);
    assert_int_equal(taint_new((const struct secret *const *) secrets, TAINT_SECRETS_MAX + 1, &taint), -22);
    assert_int_equal(taint_new((const struct secret *const *) secrets, TAINT_SECRETS_MAX, &taint), 0);
    taint_free(taint);
    for (size_t i = 0; i < TAINT_SECRETS_MAX + 1; i++)
        secret_free(secrets[i]);
}

/* An echo at every place around the end of the first window. */
static void test_window_border(void **state)
{
    static const char *const ways[] = { "0123456789abcdefg", "%30\\u0031%32%33456789abcdef\\u0067",
        "eDAxMjM0NTY3ODlhYmN\nkZWZneA==" };
    static const struct texts texts = { { "0123456789abcdefg", NULL } };
    static char body[2 * WINDOW];
    CLEANUP(buf_free) struct buf out = BUF_INIT(BODY_MAX);

    for (size_t way = 0; way < ARRAY_LEN(ways); way++)
        for (size_t at = WINDOW - 100; at < WINDOW + 700; at++) {
            size_t len = strlen(ways[way]);

            memset(body, '0', sizeof body);
            memcpy(body + at, ways[way], len);
            run(&texts, body, at + len + 40, 5000, 5000, &out);
            assert_non_null(strstr(buf_str(&out), MASK));
            assert_true(out.len <= at + 40 + strlen(MASK) + 8);
            assert_true(out.len >= at + 40);
        }
}

static void test_long_body(void **state)
{
    static const struct texts texts = { { "0123456789abcdef0123456789abcdef", NULL } };
    static char body[200001];
    CLEANUP(buf_free) struct buf out = BUF_INIT(1 << 20);
    size_t expected = 0;

    memset(body, '.', sizeof body - 1);
    for (size_t at = 0; at + 32 < sizeof body; at += 8191, expected++)
        memcpy(body + at, texts.text[0], 32);
    for (size_t step = 1000; step < 70000; step += 9973) {
        run(&texts, body, sizeof body - 1, step, step, &out);
        assert_null(strstr(buf_str(&out), texts.text[0]));
        assert_int_equal(out.len, sizeof body - 1 - expected * (32 - 10));
    }
}

/* ---- bodies put together by chance ---- */

static uint32_t random_state = 1;

static uint32_t chance(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % below;
}

static void form_add(const char *secret, struct buf *form)
{
    CLEANUP(buf_free) struct buf bytes = BUF_INIT(256);
    char hex[129];

    switch (chance(4)) {
    case 0:
        assert_int_equal(buf_add_str(form, secret), 0);
        break;
    case 1:
        hex_encode(secret, strlen(secret), hex);
        assert_int_equal(buf_add_str(form, hex), 0);
        break;
    default:
        for (uint32_t i = chance(4); i > 0; i--)
            assert_int_equal(buf_add_char(&bytes, (char) chance(256)), 0);
        assert_int_equal(buf_printf(&bytes, "%s%.*s", secret, (int) chance(3), "zz"), 0);
        assert_int_equal((chance(2) ? base64_encode : base64url_encode)(bytes.data, bytes.len, form), 0);
    }
}

/* The form, its characters escaped or not; now and then one is wrong. */
static void escaped_add(const struct buf *form, struct buf *body)
{
    static const char *const formats[] = { "%%%02x", "%%%02X", "\\u%04x", "\\u00%02X" };

    for (size_t i = 0; i < form->len; i++) {
        unsigned c = (unsigned char) form->data[i];

        if (chance(400) == 0)
            c ^= 1;
        if (chance(40) == 0)
            assert_int_equal(buf_add_str(body, "\r\n"), 0);
        if (chance(3) == 0)
            assert_int_equal(buf_printf(body, formats[chance(4)], c), 0);
        else
            assert_int_equal(buf_add_char(body, (char) c), 0);
    }
}

static void test_random_bodies(void **state)
{
    static const char letters[] = "ab%\\/+ 19=";
    size_t found = 0;

    for (unsigned round = 0; round < 3000; round++) {
        CLEANUP(buf_free) struct buf body = BUF_INIT(BODY_MAX), form = BUF_INIT(4096);
        char text[2][40] = { "", "" };
        struct texts texts = { { text[0], text[1] } };

        for (size_t i = 0; i < 2; i++)
            for (size_t n = 8 + chance(30), k = 0; k < n; k++)
                text[i][k] = round % 3 ? (char) (' ' + chance(95)) : letters[chance(10)];
        for (uint32_t i = 0; i < 4; i++) {
            for (uint32_t n = chance(30); n > 0; n--)
                assert_int_equal(buf_add_char(&body, letters[chance(10)]), 0);
            buf_reset(&form);
            form_add(text[chance(2)], &form);
            escaped_add(&form, &body);
        }
        found += check_plainly(&texts, &body, 1 + chance(200), 1 + chance(50));
    }
    assert_true(found > 2500);
}

static void test_found_and_full(void **state)
{
    static const struct texts texts = { { "12345678", NULL } };
    struct taint *taint = make(&texts);
    struct buf out = BUF_INIT(16);

    assert_int_equal(taint_add(taint, "1234567812345aaaaaaaaaaaaaaaaaaaaaa", 35, &out), 0);
    assert_int_equal(taint_end(taint, &out), -7);
    assert_true(taint_found(taint));
    taint_free(taint);
    taint = make(&texts);
    buf_reset(&out);
    assert_int_equal(taint_add(taint, "1234567", 7, &out), 0);
    assert_int_equal(taint_end(taint, &out), 0);
    assert_false(taint_found(taint));
    assert_string_equal(buf_str(&out), "1234567");
    taint_free(taint);
    buf_free(&out);
}

static void test_mask_text(void **state)
{
    static const struct texts texts = { { "12345678", "abcdefgh" } };
    struct secret *secrets[2] = { NULL, NULL };
    struct buf out = BUF_INIT(64);
    size_t n = secrets_make(&texts, secrets);

    assert_int_equal(taint_mask((const struct secret *const *) secrets, n, "?a=12345678&b=%61bcdefgh.", 25, &out), 0);
    assert_string_equal(buf_str(&out), "?a=[redacted]&b=[redacted].");
    assert_int_equal(taint_mask((const struct secret *const *) secrets, 0, "x", 1, &out), -22);
    secret_free(secrets[0]);
    secret_free(secrets[1]);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_raw),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_wrapped_base64),
        cmocka_unit_test(test_mixtures),
        cmocka_unit_test(test_mask),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_window_border),
        cmocka_unit_test(test_long_body),
        cmocka_unit_test(test_random_bodies),
        cmocka_unit_test(test_found_and_full),
        cmocka_unit_test(test_mask_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
