/* AES-256-GCM against the vectors of "The Galois/Counter Mode of Operation" (McGrew, Viega), test cases 13 to 15. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/encode.h"
#include "crypt/aead.h"

#include "base/banned.h"

#define SEALED_MAX 4096

static const struct vector {
    const char *key, *plain, *sealed;
} vectors[] = {
    { "0000000000000000000000000000000000000000000000000000000000000000", "",
        "000000000000000000000000530f8afbc74536b9a963b4f1c4cb738b" },
    { "0000000000000000000000000000000000000000000000000000000000000000", "00000000000000000000000000000000",
        "000000000000000000000000cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919" },
    { "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        "cafebabefacedbaddecaf888522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c" },
};

static struct secret *secret_of_hex(const char *hex)
{
    struct secret *secret = NULL;

    assert_int_equal(secret_new(strlen(hex) / 2, &secret), 0);
    assert_int_equal(hex_decode(hex, secret_data(secret), secret_len(secret)), 0);
    return secret;
}

static void test_vectors(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP_PTR(secret_free) struct secret *key = secret_of_hex(vectors[i].key);
        CLEANUP_PTR(secret_free) struct secret *wanted = secret_of_hex(vectors[i].plain);
        CLEANUP_PTR(secret_free) struct secret *plain = NULL;
        uint8_t sealed[SEALED_MAX];
        size_t len = strlen(vectors[i].sealed) / 2;

        assert_int_equal(hex_decode(vectors[i].sealed, sealed, len), 0);
        assert_int_equal(aead_open(key, sealed, len, &plain), 0);
        assert_true(secret_equal(plain, wanted));
    }
}

/* Every single bit of the sealed form counts, and so does its length. */
static void test_changed_bits(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *key = secret_of_hex(vectors[2].key);
    struct secret *plain = NULL;
    uint8_t sealed[SEALED_MAX];
    size_t len = strlen(vectors[2].sealed) / 2;

    assert_int_equal(hex_decode(vectors[2].sealed, sealed, len), 0);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        sealed[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_int_equal(aead_open(key, sealed, len, &plain), AEAD_FORGED);
        sealed[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    for (size_t shorter = 0; shorter < len; shorter++)
        assert_int_equal(aead_open(key, sealed, shorter, &plain), AEAD_FORGED);
    assert_null(plain);
}

static void test_round(void **state)
{
    static const size_t sizes[] = { 0, 1, 15, 16, 17, 2000 };
    CLEANUP_PTR(secret_free) struct secret *key = secret_of_hex(vectors[2].key);
    CLEANUP_PTR(secret_free) struct secret *other = secret_of_hex(vectors[0].key);

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        CLEANUP(buf_free) struct buf one = BUF_INIT(SEALED_MAX), two = BUF_INIT(SEALED_MAX);
        CLEANUP_PTR(secret_free) struct secret *plain = NULL, *opened = NULL;

        assert_int_equal(secret_new(sizes[i], &plain), 0);
        memset(secret_data(plain), (int) i + 1, sizes[i]);
        assert_int_equal(aead_seal(key, secret_bytes(plain), sizes[i], &one), 0);
        assert_int_equal(aead_seal(key, secret_bytes(plain), sizes[i], &two), 0);
        assert_int_equal(one.len, sizes[i] + AEAD_OVERHEAD_BYTES);
        /* Never the same nonce. */
        assert_memory_not_equal(one.data, two.data, AEAD_NONCE_BYTES);
        assert_int_equal(aead_open(other, one.data, one.len, &opened), AEAD_FORGED);
        assert_int_equal(aead_open(key, one.data, one.len, &opened), 0);
        assert_true(secret_equal(plain, opened));
    }
}

static void test_bounds(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *key = secret_of_hex(vectors[0].key);
    CLEANUP_PTR(secret_free) struct secret *short_key = NULL;
    CLEANUP(buf_free) struct buf out = BUF_INIT(3 + AEAD_OVERHEAD_BYTES);
    struct secret *plain = NULL;

    assert_int_equal(secret_new(16, &short_key), 0);
    assert_int_equal(aead_seal(key, "four", 4, &out), -E2BIG);
    assert_int_equal(out.len, 0);
    assert_int_equal(aead_seal(short_key, "abc", 3, &out), -EINVAL);
    assert_int_equal(aead_seal(key, "abc", 3, &out), 0);
    assert_int_equal(aead_open(short_key, out.data, out.len, &plain), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_changed_bits),
        cmocka_unit_test(test_round),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
