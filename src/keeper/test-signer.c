/* Tests of which heads may be signed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "keeper/signer.h"

#include "base/banned.h"

static void test_order(void **state)
{
    static const uint8_t one[SHA256_BYTES] = { 1 }, other[SHA256_BYTES] = { [SHA256_BYTES - 1] = 1 };
    struct signer signer = { .any = false };

    assert_true(signer_allows(&signer, 0, one));
    assert_true(signer_allows(&signer, UINT64_MAX, one));
    signer_note(&signer, 10, one);
    assert_true(signer_allows(&signer, 10, one));
    assert_false(signer_allows(&signer, 10, other));
    assert_false(signer_allows(&signer, 9, one));
    assert_false(signer_allows(&signer, 0, one));
    assert_true(signer_allows(&signer, 11, other));
    signer_note(&signer, UINT64_MAX, other);
    assert_false(signer_allows(&signer, 11, other));
    assert_false(signer_allows(&signer, UINT64_MAX, one));
    assert_true(signer_allows(&signer, UINT64_MAX, other));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_order) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
