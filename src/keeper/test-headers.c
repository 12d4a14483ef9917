/* Tests of methods and header fields: what a connector may set, and how nothing can be smuggled in a value. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keeper/headers.h"
#include "wire/limits.h"

#include "base/banned.h"

static int parse(const char *text, struct header_list *list)
{
    return headers_parse(text, "Authorization", false, list, NULL);
}

static void test_accepted(void **state)
{
    struct header_list list = HEADER_LIST_INIT;

    assert_int_equal(
        parse("Content-Type: text/plain; a=b\nX-Empty:\nX-Tab: \ta\tb \nx_y.z~1: gr\xc3\xbc\xc3\x9f\nAccept-Encoding: gzip\n",
            &list),
        0);
    assert_int_equal(list.len, 4);
    assert_string_equal(list.items[0].name, "Content-Type");
    assert_string_equal(list.items[0].value, "text/plain; a=b");
    assert_string_equal(list.items[1].value, "");
    assert_string_equal(list.items[2].value, "a\tb");
    assert_true(headers_have(&list, "content-TYPE"));
    assert_false(headers_have(&list, "Accept-Encoding"));
    headers_free(&list);
    assert_int_equal(parse("", &list), 0);
    assert_int_equal(list.len, 0);
    headers_free(&list);
}

static void test_malformed(void **state)
{
    static const char *const texts[] = {
        "X: a",
        "X",
        "X\n",
        "\n",
        ": a\n",
        " X: a\n",
        "X : a\n",
        "X Y: a\n",
        "X: a\r\n",
        "X: a\rb\n",
        "X: a\x01\n",
        "X: a\x7f\n",
        "X\r: a\n",
        "X\xc3\xa4: a\n",
        "X: a\n\nY: b\n",
        "X(: a\n",
        "X: a\n Y: b\n",
        "\tX: a\n",
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct header_list list = HEADER_LIST_INIT;

        if (parse(texts[i], &list) != HEADERS_MALFORMED)
            fail_msg("accepted: %s", texts[i]);
        assert_null(list.text);
    }
}

static void test_denied(void **state)
{
    static const char *const names[] = {
        "Host",
        "HOST",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Keep-Alive",
        "Proxy-Authorization",
        "proxy-anything",
        "Cookie",
        "TE",
        "Trailer",
        "Upgrade",
        "Expect",
        "Authorization",
        "aUTHORIZATION",
    };
    struct header_list list = HEADER_LIST_INIT;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char text[64];

        snprintf(text, sizeof text, "Accept: */*\n%s: x\n", names[i]);
        if (parse(text, &list) != HEADERS_DENIED)
            fail_msg("accepted: %s", names[i]);
    }
    assert_int_equal(headers_parse("Authorization: own\n", NULL, false, &list, NULL), 0);
    headers_free(&list);
    assert_int_equal(headers_parse("x-api-key: own\n", "X-Api-Key", false, &list, NULL), HEADERS_DENIED);
    assert_int_equal(headers_parse("X-HTTP-Method-Override: DELETE\n", NULL, true, &list, NULL), HEADERS_DENIED);
    assert_int_equal(headers_parse("X-HTTP-Method-Override: DELETE\n", NULL, false, &list, NULL), 0);
    headers_free(&list);
}

static void test_limits(void **state)
{
    static char text[LIMIT_HTTP_HEADER_BYTES + 16];
    struct header_list list = HEADER_LIST_INIT;
    size_t at = 0;

    for (int i = 0; i < LIMIT_REQUEST_HEADERS; i++)
        at += (size_t) snprintf(text + at, sizeof text - at, "X-%d: y\n", i);
    assert_int_equal(parse(text, &list), 0);
    assert_int_equal(list.len, LIMIT_REQUEST_HEADERS);
    headers_free(&list);
    snprintf(text + at, sizeof text - at, "X: y\n");
    assert_int_equal(parse(text, &list), HEADERS_MALFORMED);

    memset(text, 'a', sizeof text - 1);
    memcpy(text, "X: ", 3);
    memcpy(text + sizeof text - 2, "\n", 2);
    assert_int_equal(parse(text, &list), HEADERS_MALFORMED);
    memset(text, 'a', HEADER_NAME_MAX + 1);
    memcpy(text + HEADER_NAME_MAX + 1, ": b\n", 5);
    assert_int_equal(parse(text, &list), HEADERS_MALFORMED);
    assert_int_equal(parse(text + 1, &list), 0);
    headers_free(&list);
}

static void test_methods(void **state)
{
    static const char *const unknown[] = { "", "get", "CONNECT", "TRACE", "GET ", "GET\r\n", "GETX", "G" };

    assert_int_equal(method_classify("GET"), METHOD_SAFE);
    assert_int_equal(method_classify("HEAD"), METHOD_SAFE);
    assert_int_equal(method_classify("POST"), METHOD_OTHER);
    assert_int_equal(method_classify("OPTIONS"), METHOD_OTHER);
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        assert_int_equal(method_classify(unknown[i]), METHOD_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_denied),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_methods),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
