/* Tests of ULIDs: shape, time, strict order within a millisecond and across a clock that goes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/ulid.h"

#include "base/banned.h"

static void test_shape(void **state)
{
    char id[ULID_ID_MAX], zero[ULID_ID_MAX];

    /* The specification's example: 1469918176385 is 01ARYZ6S41. */
    ulid_new("aud_", INT64_C(1469918176385), id);
    assert_int_equal(strncmp(id, "aud_01ARYZ6S41", 14), 0);
    assert_int_equal(strlen(id), 4 + ULID_LEN);
    assert_true(ulid_is_valid("aud_", id));
    assert_false(ulid_is_valid("apr_", id));
    assert_false(ulid_is_valid("", id));
    memcpy(zero, id, sizeof zero);
    zero[4] = '8';
    assert_false(ulid_is_valid("aud_", zero));
    zero[4] = 'I';
    assert_false(ulid_is_valid("aud_", zero));
    id[29] = '\0';
    assert_false(ulid_is_valid("aud_", id));
}

static void test_order(void **state)
{
    char last[ULID_ID_MAX] = "", next[ULID_ID_MAX];
    const int64_t start = INT64_C(1800000000000);

    for (int i = 0; i < 100000; i++) {
        ulid_new("", i % 100 == 99 ? start - 5000 : start + i / 1000, next);
        assert_true(strcmp(last, next) < 0);
        memcpy(last, next, sizeof last);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_shape), cmocka_unit_test(test_order) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
