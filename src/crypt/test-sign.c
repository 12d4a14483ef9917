/* Ed25519 against the vectors of RFC 8032 §7.1 (tests 1 to 3 and SHA(abc)). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/encode.h"
#include "crypt/sign.h"

#include "base/banned.h"

#define MESSAGE_MAX 64

static const struct {
    const char *seed, *public, *message, *signature;
} vectors[] = {
    { "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b" },
    { "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00" },
    { "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a" },
    { "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704" },
};

static void test_vectors(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        CLEANUP_PTR(secret_free) struct secret *seed = NULL;
        uint8_t raw[SIGN_SEED_BYTES], public_key[SIGN_PUBLIC_BYTES], made[SIGN_PUBLIC_BYTES];
        uint8_t message[MESSAGE_MAX], wanted[SIGN_BYTES], signature[SIGN_BYTES];
        size_t len = strlen(vectors[i].message) / 2;

        assert_int_equal(hex_decode(vectors[i].seed, raw, sizeof raw), 0);
        assert_int_equal(hex_decode(vectors[i].public, public_key, sizeof public_key), 0);
        assert_int_equal(hex_decode(vectors[i].message, message, len), 0);
        assert_int_equal(hex_decode(vectors[i].signature, wanted, sizeof wanted), 0);
        assert_int_equal(secret_from(raw, sizeof raw, &seed), 0);
        assert_int_equal(sign_public(seed, made), 0);
        assert_memory_equal(made, public_key, sizeof made);
        assert_int_equal(sign_message(seed, message, len, signature), 0);
        assert_memory_equal(signature, wanted, sizeof signature);
        assert_true(sign_verify(public_key, message, len, signature));
    }
}

/* Any bit of signature, message or key that is another makes it wrong. */
static void test_changed(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *seed = NULL;
    uint8_t public_key[SIGN_PUBLIC_BYTES], other[SIGN_PUBLIC_BYTES], signature[SIGN_BYTES];
    uint8_t message[] = "a head";

    assert_int_equal(sign_seed_new(&seed), 0);
    assert_int_equal(sign_public(seed, public_key), 0);
    assert_int_equal(sign_message(seed, message, sizeof message, signature), 0);
    assert_true(sign_verify(public_key, message, sizeof message, signature));
    for (size_t bit = 0; bit < 8 * sizeof signature; bit++) {
        signature[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_false(sign_verify(public_key, message, sizeof message, signature));
        signature[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    message[0] ^= 1;
    assert_false(sign_verify(public_key, message, sizeof message, signature));
    message[0] ^= 1;
    assert_false(sign_verify(public_key, message, sizeof message - 1, signature));
    memcpy(other, public_key, sizeof other);
    other[0] ^= 1;
    assert_false(sign_verify(other, message, sizeof message, signature));
    /* y = 2 is on no point of the curve. */
    memset(other, 0, sizeof other);
    other[0] = 2;
    assert_false(sign_verify(other, message, sizeof message, signature));
}

static void test_seeds(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *one = NULL, *two = NULL, *cut = NULL;
    uint8_t public_key[SIGN_PUBLIC_BYTES], signature[SIGN_BYTES];

    assert_int_equal(sign_seed_new(&one), 0);
    assert_int_equal(sign_seed_new(&two), 0);
    assert_int_equal(secret_len(one), SIGN_SEED_BYTES);
    assert_false(secret_equal(one, two));
    assert_int_equal(secret_from("short", 5, &cut), 0);
    assert_int_equal(sign_public(cut, public_key), -EINVAL);
    assert_int_equal(sign_message(cut, "m", 1, signature), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_changed),
        cmocka_unit_test(test_seeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
