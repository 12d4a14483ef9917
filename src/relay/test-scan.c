/* What a message is, whose answer it is and what it calls; and that what is broken or hidden in text is not taken for any of it. */
#include "relay/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static struct scan scan_of(const char *text)
{
    struct scan scan;

    scan_line(text, strlen(text), &scan);
    return scan;
}

static void test_kinds(void **state)
{
    struct scan scan = scan_of("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}");

    assert_true(scan_is(scan.id, "1") && scan_is(scan.method, "ping") && !scan.answers);
    scan = scan_of(" { \"method\" : \"tools/call\" , \"params\" : { \"name\" : \"a\\\"b\" } , \"id\" : \"x\" } ");
    assert_true(scan_is(scan.id, "\"x\"") && scan_is(scan.method, "tools/call") && scan_is(scan.tool, "a\\\"b"));
    scan = scan_of("{\"id\":1,\"result\":{}}");
    assert_true(scan_is(scan.id, "1") && scan.answers && !scan.method.at);
    scan = scan_of("{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32001,\"message\":\"gone\"}}");
    assert_true(!scan.id.at && scan.answers && scan.error_code == -32001 && scan_is(scan.error_text, "gone"));
    scan = scan_of("{\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":7}}");
    assert_true(!scan.id.at && scan_is(scan.requested, "7"));
    scan = scan_of("{\"method\":\"initialize\",\"id\":0,\"params\":{\"protocolVersion\":\"2025-06-18\"}}");
    assert_true(scan_is(scan.version, "2025-06-18") && scan_is(scan.id, "0"));
}

static void test_only_the_top_counts(void **state)
{
    assert_null(scan_of("{\"jsonrpc\":\"2.0\",\"result\":{\"id\":1,\"method\":\"x\"}}").id.at);
    assert_null(scan_of("{\"params\":{\"id\":1,\"method\":\"y\"},\"x\":[{\"id\":1}]}").method.at);
    assert_null(scan_of("[{\"id\":1,\"method\":\"x\"}]").id.at);
    assert_null(scan_of("{\"params\":{\"x\":{\"requestId\":1}}}").requested.at);
    assert_true(scan_is(scan_of("{\"a\":[{\"b\":[]},\"]}\"],\"id\":5}").id, "5"));
}

static void test_strings_are_text(void **state)
{
    assert_null(scan_of("{\"a\":\"}{,\\\"method\\\":\\\"x\\\\\",\"id\":1}").method.at);
    assert_true(scan_is(scan_of("{\"a\":\"\\\\\",\"method\":\"m\"}").method, "m"));
    assert_null(scan_of("{\"a\":\"id\",\"b\":\"method\"}").id.at);
    assert_null(scan_of("{\"method\":{\"x\":1}}").method.at);
}

static void test_broken_lines(void **state)
{
    static const char *const BROKEN[] = { "", "{", "}", "nonsense \"id\":1", "{\"id\"", "{\"id\":", "{\"id\":}", "{id:1}",
        "{\"a\":\"", "{\"a\":\"\\", "{\"a\":[[[", "{,\"id\":1}", "{\"a\" \"id\":1}", "{1:2,\"id\":3}" };

    for (size_t i = 0; i < sizeof BROKEN / sizeof BROKEN[0]; i++)
        assert_null(scan_of(BROKEN[i]).id.at);
}

static void expect_plain(const char *id, const char *plain)
{
    struct buf out = BUF_INIT(256);

    assert_true(scan_id_is_good((struct scan_slice){ id, strlen(id) }));
    assert_int_equal(scan_id_plain((struct scan_slice){ id, strlen(id) }, &out), 0);
    assert_string_equal(buf_str(&out), plain);
    buf_free(&out);
}

static void test_ids(void **state)
{
    static const char *const BAD[] = { "", "-", "1.5", "1e2", "01", "true", "{}", "[]", "\"\\x\"", "\"\\u12\"", "\"\x01\"",
        "\"\xff\"", "\"" };

    expect_plain("12", "n12");
    expect_plain("-3", "n-3");
    expect_plain("\"12\"", "t12");
    expect_plain("\"\\u0061\\u00e9\\n\\/\\\"\"", "ta\xc3\xa9\n/\"");
    expect_plain("\"\\ud83d\\ude00\\u20AC\"", "t\xf0\x9f\x98\x80\xe2\x82\xac");
    expect_plain("\"é\"", "t\xc3\xa9");
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        assert_false(scan_id_is_good((struct scan_slice){ BAD[i], strlen(BAD[i]) }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_only_the_top_counts),
        cmocka_unit_test(test_strings_are_text),
        cmocka_unit_test(test_broken_lines),
        cmocka_unit_test(test_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
