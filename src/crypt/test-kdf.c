/*
 * The vault's key derivation against keys that argon2-cffi 25.1.0 made:
 *     hash_secret_raw(passphrase, salt, time_cost=3, memory_cost=65536, parallelism=4, hash_len=32, type=Type.ID, version=19)
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/encode.h"
#include "crypt/kdf.h"

#include "base/banned.h"

static const struct {
    const char *passphrase;
    const char *salt, *key;
} vectors[] = {
    { "correct horse battery staple", "000102030405060708090a0b0c0d0e0f",
        "853b272a44db1421c02962669a55eb0994f3cab385ed1c4c79253eee19bab49e" },
    { "Z\xc3\xbcrich\n \x01", "ffffffffffffffff0000000000000000",
        "86a42b187fc1cb18a58e2e9aad0e352cf546db7034e342129e2f005cf3e7a138" },
};

static void test_vectors(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP_PTR(secret_free) struct secret *passphrase = NULL, *key = NULL;
        uint8_t salt[KDF_SALT_BYTES], wanted[KDF_KEY_BYTES];

        assert_int_equal(hex_decode(vectors[i].salt, salt, sizeof salt), 0);
        assert_int_equal(hex_decode(vectors[i].key, wanted, sizeof wanted), 0);
        assert_int_equal(secret_from(vectors[i].passphrase, strlen(vectors[i].passphrase), &passphrase), 0);
        assert_int_equal(kdf_derive(passphrase, salt, &key), 0);
        assert_int_equal(secret_len(key), KDF_KEY_BYTES);
        assert_memory_equal(secret_bytes(key), wanted, sizeof wanted);
    }
}

static void test_empty(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *passphrase = NULL, *key = NULL;
    uint8_t salt[KDF_SALT_BYTES] = { 0 };

    assert_int_equal(secret_new(0, &passphrase), 0);
    assert_int_equal(kdf_derive(passphrase, salt, &key), -EINVAL);
    assert_null(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors), cmocka_unit_test(test_empty) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
