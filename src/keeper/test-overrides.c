/* Tests of development overrides and host lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "keeper/overrides.h"

#include "base/banned.h"

static struct url url_of(const char *text)
{
    struct url url;

    assert_int_equal(url_parse(text, strlen(text), &url, NULL), 0);
    return url;
}

static void test_rows(void **state)
{
    static struct overrides overrides;
    struct url url = url_of("https://GMAIL.example/x");

    assert_int_equal(overrides_add(&overrides, "gmail.example:443:127.0.0.1:8443", NULL), 0);
    assert_int_equal(overrides_add(&overrides, "[2001:db8::1]:443:[::1]:8443", NULL), 0);
    assert_null(overrides_find(&overrides, &url)); /* not active: as if there were none */
    overrides.active = true;
    assert_ptr_equal(overrides_find(&overrides, &url), &overrides.rows[0]);
    assert_string_equal(overrides.rows[0].to.host, "127.0.0.1");
    assert_int_equal(overrides.rows[0].to.port, 8443);
    assert_int_equal(overrides.rows[1].to.host_kind, URL_HOST_IPV6);
    url = url_of("https://gmail.example:8443/");
    assert_null(overrides_find(&overrides, &url));
    url = url_of("https://x.gmail.example/");
    assert_null(overrides_find(&overrides, &url));
}

static void test_bad_rows(void **state)
{
    static const char *const bad[] = { "", "a:1", "a:1:b", "a:1:b:", ":1:b:2", "a::b:2", "a:1::2", "a:1:b:2:3", "a:0:b:2",
        "a:1:b:70000", "*:1:b:2", "[::1:1:b:2", "a:1:[::1]:", "a b:1:c:2", "::127.0.0.1:443" };
    static struct overrides overrides;
    char row[32];

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (overrides_add(&overrides, bad[i], NULL) != -22)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(overrides.len, 0);
    for (int i = 0; i < OVERRIDES_MAX; i++) {
        snprintf(row, sizeof row, "h%d:1:b:2", i);
        assert_int_equal(overrides_add(&overrides, row, NULL), 0);
    }
    assert_int_equal(overrides_add(&overrides, "more:1:b:2", NULL), -7);
    assert_int_equal(overrides_add(&overrides, "h0:1:c:3", NULL), -22);
}

static void test_lists(void **state)
{
    static const char list[] = "a.example:443\nb.example:8443\n\n[2001:db8::1]:443";
    struct url url = url_of("https://A.example");

    assert_true(hostlist_contains(list, &url));
    url = url_of("https://b.example:8443/");
    assert_true(hostlist_contains(list, &url));
    url = url_of("https://[2001:db8::1]/");
    assert_true(hostlist_contains(list, &url));
    url = url_of("https://b.example/");
    assert_false(hostlist_contains(list, &url));
    url = url_of("https://example/");
    assert_false(hostlist_contains(list, &url));
    url = url_of("https://a.example:44/");
    assert_false(hostlist_contains(list, &url));
    assert_false(hostlist_contains("", &url));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_rows), cmocka_unit_test(test_bad_rows),
        cmocka_unit_test(test_lists) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
