/*
 * What the connector's tests share.
 */
#ifndef GOOGLE_TEST_H
#define GOOGLE_TEST_H

#include "fake-host.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static inline int reset(void **state)
{
    fake_host_reset();
    fake_host_set_now(1780394400); /* 2026-06-02T10:00:00Z */
    return 0;
}

/* The operation must fail so, before anything was asked of Google. */
static inline void refuses(const char *operation, const char *args, const char *words)
{
    fake_host_reset();
    if (fake_host_run(operation, args))
        fail_msg("%s took %s", operation, args);
    assert_string_equal(fake_host_error_class(), "bad_input");
    if (!strstr(fake_host_error_message(), words))
        fail_msg("%s: no \"%s\" in \"%s\"", args, words, fake_host_error_message());
    assert_int_equal(fake_host_requests(), 0);
}

static inline const struct aileron_json *must_run(const char *operation, const char *args)
{
    const struct aileron_json *output = fake_host_run(operation, args);

    if (!output)
        fail_msg("%s failed: %s", operation, fake_host_error_message());
    return output;
}

static inline int64_t number_of(const struct aileron_json *object, const char *key)
{
    int64_t value = -1;

    aileron_json_int(aileron_json_get(object, key), &value);
    return value;
}

#define assert_text(object, key, expected) assert_string_equal(aileron_json_string(object, key), expected)
#define assert_url(n, expected)            assert_string_equal(fake_host_request(n, "url"), expected)
#define TEST(function)                     cmocka_unit_test_setup_teardown(function, reset, reset)

#define GMAIL                              "https://gmail.googleapis.com/gmail/v1/users/me"
#define CALENDAR                           "https://www.googleapis.com/calendar/v3"

#endif
