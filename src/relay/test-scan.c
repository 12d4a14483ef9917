/* What passes is counted right, also when it comes byte by byte. */
#include "relay/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct scan_count count_of(const char *text, size_t chunk)
{
    struct scan scan = { 0 };
    struct scan_count count = { 0 };
    size_t len = strlen(text);

    for (size_t at = 0; at < len; at += chunk)
        scan_feed(&scan, text + at, len - at < chunk ? len - at : chunk, &count);
    return count;
}

static void expect(const char *text, unsigned requests, unsigned answers)
{
    static const size_t CHUNKS[] = { 1, 2, 3, 7, 4096 };

    for (size_t i = 0; i < sizeof(CHUNKS) / sizeof(CHUNKS[0]); i++) {
        struct scan_count count = count_of(text, CHUNKS[i]);

        assert_int_equal(count.requests, requests);
        assert_int_equal(count.answers, answers);
    }
}

static void test_kinds(void **state)
{
    expect("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n", 1, 0);
    expect("{\"method\":\"ping\",\"id\":\"a\"}\r\n", 1, 0);
    expect("{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n", 0, 1);
    expect("{\"id\" : 1 , \"error\" : {\"code\":1}}\n", 0, 1);
    expect("{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n", 0, 0);
    expect("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{}}\n", 0, 0);
    expect("{\"id\":1,\"method\":\"a\"}\n{\"id\":2,\"method\":\"b\"}\n{\"id\":3,\"result\":1}\n", 2, 1);
}

static void test_only_the_top_counts(void **state)
{
    expect("{\"jsonrpc\":\"2.0\",\"result\":{\"id\":1,\"method\":\"x\"}}\n", 0, 0);
    expect("{\"params\":{\"id\":1},\"method\":\"notifications/cancelled\"}\n", 0, 0);
    expect("{\"id\":7,\"result\":[{\"method\":\"x\"},\"method\",{\"a\":[1,2]}]}\n", 0, 1);
    expect("[{\"id\":1,\"method\":\"x\"}]\n", 0, 0);
}

static void test_strings_are_text(void **state)
{
    expect("{\"id\":1,\"result\":\"}{,\\\"method\\\":\\\\\"}\n", 0, 1);
    expect("{\"a\":\"\\\\\",\"method\":\"m\",\"id\":2}\n", 1, 0);
    expect("{\"a\":\"id\",\"b\":\"method\"}\n", 0, 0);
    expect("{\"methods\":1,\"id\":1}\n", 0, 1);
    expect("{\"methodmethodmethod\":1,\"idid\":1}\n", 0, 0);
}

static void test_broken_lines_do_not_last(void **state)
{
    expect("{\"id\":1,\"meth\n{\"id\":1,\"method\":\"x\"}\n", 1, 1);
    expect("}}}]]]\n\n\n{\"id\":1,\"method\":\"x\"}\n", 1, 0);
    expect("nonsense \"id\":1\n{\"id\":1,\"result\":1}\n", 0, 1);
    expect("{\"id\":1,\"method\":\"no newline yet\"}", 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_only_the_top_counts),
        cmocka_unit_test(test_strings_are_text),
        cmocka_unit_test(test_broken_lines_do_not_last),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
