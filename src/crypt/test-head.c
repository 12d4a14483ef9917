/* The signed bytes of an audit head, byte for byte: verifiers outside this program rely on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypt/head.h"

#include "base/banned.h"

static void test_bytes(void **state)
{
    uint8_t hash[SHA256_BYTES], out[AUDIT_HEAD_BYTES];

    for (size_t i = 0; i < sizeof hash; i++)
        hash[i] = (uint8_t) (0xa0 + i);
    audit_head_message(0x0102030405060708u, hash, out);
    assert_int_equal(sizeof out, 62);
    assert_memory_equal(out, "aileron-audit-head-v1\n\x01\x02\x03\x04\x05\x06\x07\x08\xa0\xa1", 32);
    assert_memory_equal(out + 30, hash, sizeof hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_bytes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
