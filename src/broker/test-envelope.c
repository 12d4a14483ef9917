/*
 * The request envelope: what is read, what is malformed, what is denied. Behind
 * each case stands a way in which two readers could have read two things.
 */
#include "broker/envelope.h"

#include "base/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int read_text(const char *text, struct request *request)
{
    struct err err = ERR_INIT;
    int r = request_read(text, strlen(text), request, &err);

    if (r < 0)
        assert_true(err.message[0] != '\0');
    return r;
}

static void test_what_is_read(void **state)
{
    struct request request;

    assert_int_equal(read_text("{\"url\":\"https://a.test/x?y=1\"}", &request), 0);
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.url.host, "a.test");
    assert_int_equal(request.url.port, 443);
    assert_string_equal(buf_str(&request.headers), "");
    assert_null(request.body);
    assert_null(request.credential);
    assert_true(request_is_safe(&request));
    request_free(&request);

    assert_int_equal(
        read_text("{\"method\":\"POST\",\"url\":\"http://127.0.0.1:80/\",\"headers\":{\"X-A\":\"1\",\"X-B\":\"\xc3\xbc\"},"
                  "\"body\":\"text\",\"credential\":\"oauth2\"}",
            &request),
        0);
    assert_string_equal(buf_str(&request.headers), "X-A: 1\nX-B: \xc3\xbc\n");
    assert_int_equal(request.body_len, 4);
    assert_string_equal(request.credential, "oauth2");
    assert_false(request_is_safe(&request));
    request_free(&request);

    assert_int_equal(read_text(" {\"url\":\"https://a.test/\"}\n", &request), 0);
    request_free(&request);

    assert_int_equal(read_text("{\"method\":\"PUT\",\"url\":\"https://a.test/\",\"body_base64\":\"AAEC\"}", &request), 0);
    assert_int_equal(request.body_len, 3);
    assert_memory_equal(request.body, "\0\1\2", 3);
    request_free(&request);

    assert_int_equal(read_text("{\"method\":\"POST\",\"url\":\"https://a.test/\",\"body\":\"\"}", &request), 0);
    assert_non_null(request.body);
    assert_int_equal(request.body_len, 0);
    request_free(&request);
}

static void test_malformed(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "{}",
        "null",
        "{\"url\":7}",
        "{\"url\":\"\"}",
        "{\"url\":\"ftp://a.test/\"}",
        "{\"url\":\"https://u:p@a.test/\"}",
        "{\"url\":\"https://a.test/\",\"url\":\"https://b.test/\"}",
        "{\"url\":\"https://a.test/\",\"URL\":\"https://b.test/\"}",
        "{\"Url\":\"https://a.test/\"}",
        "{\"url\":\"https://a.test/\",\"timeout\":1}",
        "{\"url\":\"https://a.test/\\u0000\"}",
        "{\"url\":\"https://a.test/\"}x",
        "{\"url\":\"https://a.test/\",\"method\":\"get\"}",
        "{\"url\":\"https://a.test/\",\"method\":\"CONNECT\"}",
        "{\"url\":\"https://a.test/\",\"method\":\"GET \"}",
        "{\"url\":\"https://a.test/\",\"method\":null}",
        "{\"url\":\"https://a.test/\",\"headers\":[]}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"A\":1}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"A\":\"1\",\"a\":\"2\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"\":\"1\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"A:\":\"1\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"A\":\"1\\r\\nB: 2\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"A\\nB\":\"1\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"A\xc3\xbc\":\"1\"}}",
        "{\"url\":\"https://a.test/\",\"body\":1}",
        "{\"url\":\"https://a.test/\",\"body\":\"x\",\"body_base64\":\"eA==\"}",
        "{\"url\":\"https://a.test/\",\"body_base64\":\"!\"}",
        "{\"url\":\"https://a.test/\",\"body_base64\":[]}",
        "{\"url\":\"https://a.test/\",\"credential\":true}",
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct request request;

        if (read_text(cases[i], &request) != -EINVAL)
            fail_msg("taken: %s", cases[i]);
    }
}

static void test_too_many_headers(void **state)
{
    struct buf text = BUF_INIT(1024 * 1024);
    struct request request;

    buf_add_str(&text, "{\"url\":\"https://a.test/\",\"headers\":{");
    for (int i = 0; i < 65; i++)
        buf_printf(&text, "%s\"X-%d\":\"1\"", i ? "," : "", i);
    buf_add_str(&text, "}}");
    assert_int_equal(read_text(buf_str(&text), &request), -EINVAL);
    buf_reset(&text);
    buf_add_str(&text, "{\"url\":\"https://a.test/\",\"headers\":{\"X\":\"");
    for (int i = 0; i < 40000; i++)
        buf_add_char(&text, 'x');
    buf_add_str(&text, "\"}}");
    assert_int_equal(read_text(buf_str(&text), &request), -EINVAL);
    buf_free(&text);
}

static const char MANIFEST[] = "[connector]\nname = \"local://x\"\nversion = \"1.0.0\"\n"
                               "[capabilities.network]\nhosts = [\"a.test:443\", \"a.test:80\", \"127.0.0.1:8080\"]\n"
                               "[capabilities.credential]\nkind = \"api_key\"\nheader = \"X-Api-Key\"\n";

static void check(const char *text, bool read_only, enum request_verdict expected, const char *expected_boundary)
{
    CLEANUP_PTR(manifest_free) struct manifest *manifest = NULL;
    CLEANUP(request_free) struct request request;
    struct err err = ERR_INIT;
    const char *boundary;

    assert_int_equal(manifest_parse(MANIFEST, strlen(MANIFEST), "manifest.toml", &manifest, &err), 0);
    assert_int_equal(read_text(text, &request), 0);
    if (request_check(&request, manifest, read_only, &boundary, &err) != expected)
        fail_msg("%s: %s", text, err.message);
    if (expected == REQUEST_DENIED)
        assert_string_equal(boundary, expected_boundary);
}

static void test_verdicts(void **state)
{
    static const char *const denied[] = {
        "{\"url\":\"https://b.test/\"}",
        "{\"url\":\"https://a.test:8443/\"}",
        "{\"url\":\"https://a.test.:443/\"}",
        "{\"url\":\"http://a.test:80/\"}",
        "{\"url\":\"http://a.test:443/\"}",
        "{\"url\":\"https://a.test/\",\"credential\":\"oauth2\"}",
        "{\"url\":\"https://a.test/\",\"credential\":\"\"}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"hOsT\":\"b.test\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"Content-Length\":\"1\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"transfer-encoding\":\"chunked\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"Connection\":\"close\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"proxy-anything\":\"x\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"Cookie\":\"x\"}}",
        "{\"url\":\"https://a.test/\",\"headers\":{\"x-api-key\":\"mine\"}}",
    };
    struct request request;

    check("{\"url\":\"https://a.test/\"}", true, REQUEST_ALLOWED, NULL);
    check("{\"url\":\"HTTPS://A.test:443/\",\"credential\":\"api_key\"}", false, REQUEST_ALLOWED, NULL);
    check("{\"url\":\"http://127.0.0.1:8080/\",\"method\":\"DELETE\"}", false, REQUEST_ALLOWED, NULL);
    check("{\"url\":\"https://a.test/\",\"method\":\"HEAD\"}", true, REQUEST_ALLOWED, NULL);
    check("{\"url\":\"https://a.test/\",\"method\":\"POST\"}", true, REQUEST_DENIED, "action");
    check("{\"url\":\"https://a.test/\",\"method\":\"OPTIONS\"}", true, REQUEST_DENIED, "action");
    for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
        /* A host that the URL reader itself refuses is as good. */
        if (read_text(denied[i], &request) < 0)
            continue;
        request_free(&request);
        check(denied[i], false, REQUEST_DENIED, "connector_manifest");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_too_many_headers),
        cmocka_unit_test(test_verdicts),
    };
    json_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
