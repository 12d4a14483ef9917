/* Tests of the strict URL reader: what it takes, and the many spellings it must refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/url.h"

#include "base/banned.h"

/* In memory of exactly its length, so that a read past the end is seen by the sanitizer. */
static int parse(const char *text, size_t len, struct url *url, struct err *err)
{
    static char *kept;

    free(kept);
    kept = malloc(len ? len : 1);
    assert_non_null(kept);
    memcpy(kept, text, len);
    return url_parse(kept, len, url, err);
}

static void accepts(const char *text, const char *origin, const char *target)
{
    struct err err = ERR_INIT;
    struct url url;
    char out[URL_ORIGIN_MAX];

    if (parse(text, strlen(text), &url, &err) != 0)
        fail_msg("%s: %s", text, err.message);
    assert_string_equal(url_origin(&url, out), origin);
    assert_int_equal(url.target_len, strlen(target));
    assert_memory_equal(url.target, target, url.target_len);
}

static void test_accepted(void **state)
{
    accepts("https://gmail.googleapis.com/gmail/v1/users/me/messages?q=a%20b", "https://gmail.googleapis.com:443",
        "/gmail/v1/users/me/messages?q=a%20b");
    accepts("HTTPS://GMail.GoogleApis.com:443/", "https://gmail.googleapis.com:443", "/");
    accepts("https://a_b-c.example:8443", "https://a_b-c.example:8443", "");
    accepts("https://example.com?x=1", "https://example.com:443", "?x=1");
    accepts("https://example.com/p#frag?@x", "https://example.com:443", "/p");
    accepts("https://example.com#frag", "https://example.com:443", "");
    accepts("http://127.0.0.1:8080/a:b@c", "http://127.0.0.1:8080", "/a:b@c");
    accepts("http://localhost/", "http://localhost:80", "/");
    accepts("https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443", "/x");
    accepts("https://[::FFFF:1.2.3.4]/", "https://[::ffff:1.2.3.4]:443", "/");
    accepts("https://1e100.net/", "https://1e100.net:443", "/");
    accepts("https://0x7f.example/", "https://0x7f.example:443", "/");
    accepts("https://example.com/a//..;b,c!$&'()*+=~|^{}`[]", "https://example.com:443", "/a//..;b,c!$&'()*+=~|^{}`[]");
}

static const char *const refused[] = {
    "",
    "https:",
    "https:/",
    "https://",
    "https:///x",
    "//example.com/",
    "example.com",
    "ftp://example.com/",
    "file:///etc/passwd",
    "httpss://example.com/",
    " https://example.com/",
    "https ://example.com/",
    "javascript:alert(1)",
    "https:\\\\example.com\\",
    /* userinfo */
    "https://user@example.com/",
    "https://user:pw@example.com/",
    "https://@example.com/",
    "https://good.example@evil.example/",
    "https://good.example:443@evil.example/",
    "https://good.example\\@evil.example/",
    "https://[::1]@evil.example/",
    /* hosts */
    "https://exa mple.com/",
    "https://exam%70le.com/",
    "https://example.com./",
    "https://.example.com/",
    "https://a..b/",
    "https://-a.example/",
    "https://a-.example/",
    "https://ex\\ample.com/",
    "https://example.com\\/",
    "https://ex*mple.com/",
    "https://ex\tample.com/",
    "https://ex\nample.com/",
    "https://ex\xc3\xa4mple.com/",
    "https://\xef\xbc\x91.example/",
    "https://a,b.example/",
    "https://a;b/",
    "https://a'b/",
    "https://a\"b/",
    "https://a<b/",
    "https://a%00b/",
    /* addresses in any but the canonical spelling */
    "https://127.1/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://0x7f.0.0.1/",
    "https://0x7f000001/",
    "https://127.0.0.01/",
    "https://127.0.0.256/",
    "https://1.2.3/",
    "https://1.2.3.4.5/",
    "https://1.2.3.4./",
    "https://0x/",
    "https://::1/",
    "https://[::1/",
    "https://[]/",
    "https://[1.2.3.4]/",
    "https://[::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[0:0:0:0:0:0:0:1]/",
    "https://[::01]/",
    "https://[::1]x/",
    "https://[::1]x:443/",
    "https://[[::1]]/",
    "https://[::7f00:1]/",
    /* ports */
    "https://example.com:/",
    "https://example.com:0/",
    "https://example.com:0443/",
    "https://example.com:65536/",
    "https://example.com:99999/",
    "https://example.com:443443/",
    "https://example.com:+443/",
    "https://example.com:-1/",
    "https://example.com:4 3/",
    "https://example.com:443:443/",
    "https://example.com:https/",
    "https://example.com:44\xd9\xa3/",
    /* targets */
    "https://example.com/a b",
    "https://example.com/a\r\nHost: evil",
    "https://example.com/\x7f",
    "https://example.com/\x01",
    "https://example.com/\\x",
    "https://example.com/%",
    "https://example.com/%4",
    "https://example.com/%zz",
    "https://example.com/?q=\xc3\xa4",
    "https://example.com/<x>",
    "https://example.com/#a b",
    "https://example.com/#\n",
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct err err = ERR_INIT;
        struct url url = { .port = 7 };

        if (parse(refused[i], strlen(refused[i]), &url, &err) != -22)
            fail_msg("accepted: %s", refused[i]);
        assert_int_equal(url.port, 7);
        assert_true(err.message[0] != '\0');
    }
}

static void test_nul_bytes(void **state)
{
    static const char in_host[] = "https://good.example\0.evil.example/";
    static const char in_path[] = "https://good.example/a\0b";
    static const char at_end[] = "https://good.example/";
    struct url url;

    assert_int_equal(parse(in_host, sizeof in_host - 1, &url, NULL), -22);
    assert_int_equal(parse(in_path, sizeof in_path - 1, &url, NULL), -22);
    assert_int_equal(parse(at_end, sizeof at_end, &url, NULL), -22);
}

static void test_lengths(void **state)
{
    char text[URL_MAX_BYTES + 64];
    struct url url;

    memset(text, 'a', sizeof text);
    memcpy(text, "https://e.example/", 18);
    assert_int_equal(parse(text, URL_MAX_BYTES, &url, NULL), 0);
    assert_int_equal(parse(text, URL_MAX_BYTES + 1, &url, NULL), -22);

    memset(text, 'a', 400);
    memcpy(text, "https://", 8);
    for (size_t i = 8 + 63; i < 8 + URL_HOST_MAX - 1; i += 64)
        text[i] = '.';
    assert_int_equal(parse(text, 8 + URL_HOST_MAX, &url, NULL), 0);
    assert_int_equal(strlen(url.host), URL_HOST_MAX);
    assert_int_equal(parse(text, 8 + URL_HOST_MAX + 1, &url, NULL), -22);
    memcpy(text + 8, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/", 65);
    assert_int_equal(parse(text, 8 + 65, &url, NULL), -22);
}

/* Every prefix of a good URL is read without looking past its end. */
static void test_prefixes(void **state)
{
    static const char text[] = "https://[2001:db8::1]:8443/a%20b?c=d#e";
    struct url url;

    for (size_t len = 0; len < sizeof text; len++)
        (void) parse(text, len, &url, NULL);
}

static void test_hostport(void **state)
{
    char out[URL_HOSTPORT_MAX];
    struct url url;

    assert_int_equal(url_parse_hostport("gmail.googleapis.com:443", 24, &url, NULL), 0);
    assert_string_equal(url_hostport(&url, out), "gmail.googleapis.com:443");
    assert_int_equal(url_parse_hostport("[::1]:8443", 10, &url, NULL), 0);
    assert_string_equal(url_hostport(&url, out), "[::1]:8443");
    assert_int_equal(url_parse_hostport("gmail.googleapis.com", 20, &url, NULL), -22);
    assert_int_equal(url_parse_hostport("*.googleapis.com:443", 20, &url, NULL), -22);
    assert_int_equal(url_parse_hostport("a@b:443", 7, &url, NULL), -22);
    assert_int_equal(url_parse_hostport("a:443/", 6, &url, NULL), -22);
    assert_int_equal(url_parse_hostport("", 0, &url, NULL), -22);
    assert_int_equal(url_parse_hostport(":443", 4, &url, NULL), -22);
}

static void test_origins(void **state)
{
    struct url a, b;
    char out[URL_ORIGIN_MAX];

    assert_int_equal(url_parse("https://A.example/x", 19, &a, NULL), 0);
    assert_int_equal(url_parse("https://a.example:443/y", 23, &b, NULL), 0);
    assert_true(url_same_origin(&a, &b));
    assert_string_equal(url_origin(&a, out), "https://a.example:443");
    assert_int_equal(url_parse("http://a.example:443/", 21, &b, NULL), 0);
    assert_false(url_same_origin(&a, &b));
    assert_int_equal(url_parse("https://a.example:444/", 22, &b, NULL), 0);
    assert_false(url_same_origin(&a, &b));
    assert_false(url_is_this_machine(&a));
    assert_int_equal(url_parse("http://LOCALHOST/", 17, &b, NULL), 0);
    assert_true(url_is_this_machine(&b));
    assert_int_equal(url_parse("http://127.0.0.2/", 17, &b, NULL), 0);
    assert_false(url_is_this_machine(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_hostport),
        cmocka_unit_test(test_origins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
