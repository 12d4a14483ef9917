/* Tests of the address rules: both edges of every refused range, and what lies just outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/cleanup.h"
#include "keeper/address.h"

#include "base/banned.h"

static const char *const refused[] = {
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.7",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::ffff:0:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "64:ff9b:1::8.8.8.8",
    "100::1",
    "2001::1",
    "2001:1ff::1",
    "2001:db8::1",
    "2002::1",
    "2002:7f00:1::1",
    "3fff::1",
    "3fff:fff::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "4000::1",
    "5f00::1",
    "1fff::1",
    "8000::1",
};

static const char *const allowed[] = {
    "1.0.0.0",
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2001:200::1",
    "2001:4860:4860::8888",
    "2001:db7::1",
    "2003::1",
    "2606:4700:4700::1111",
    "2a00:1450:4001:82a::200a",
    "3ffe::1",
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct address address;

        assert_true(address_parse(refused[i], &address));
        if (!address_refusal(&address))
            fail_msg("%s is not refused", refused[i]);
    }
}

static void test_allowed(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++) {
        struct address address;

        assert_true(address_parse(allowed[i], &address));
        if (address_refusal(&address))
            fail_msg("%s is refused as %s", allowed[i], address_refusal(&address));
    }
}

static void test_filter(void **state)
{
    struct address_list list = { .len = 3 }, out;
    const char *reason = NULL;

    assert_true(address_parse("10.0.0.1", &list.items[0]));
    assert_true(address_parse("8.8.8.8", &list.items[1]));
    assert_true(address_parse("::1", &list.items[2]));
    assert_int_equal(address_list_filter(&list, &out, &reason), 1);
    assert_false(out.items[0].v6);
    assert_int_equal(out.items[0].bytes[0], 8);
    list.len = 1;
    assert_int_equal(address_list_filter(&list, &out, &reason), 0);
    assert_string_equal(reason, "a private address");
    list.len = 0;
    assert_int_equal(address_list_filter(&list, &out, &reason), 0);
    assert_non_null(reason);
}

static void test_conversions(void **state)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct sockaddr_in four = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    struct sockaddr other = { .sa_family = AF_UNIX };
    struct address address;
    char text[ADDRESS_TEXT_MAX];

    assert_true(address_from_sockaddr((struct sockaddr *) &six, sizeof six, &address));
    assert_string_equal(address_format(&address, text), "[::1]");
    assert_true(address_from_sockaddr((struct sockaddr *) &four, sizeof four, &address));
    assert_string_equal(address_format(&address, text), "127.0.0.1");
    assert_false(address_from_sockaddr((struct sockaddr *) &six, sizeof four, &address));
    assert_false(address_from_sockaddr(&other, sizeof other, &address));
    assert_false(address_parse("127.1", &address));
    assert_false(address_parse("example.com", &address));
    assert_false(address_parse("::1%lo", &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_allowed),
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_conversions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
