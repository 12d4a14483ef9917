/* Tests of SHA-256 against FIPS 180-4's examples, tags and random bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "crypt/digest.h"

#include "base/banned.h"

static void test_vectors(void **state)
{
    static const char *const cases[][2] = {
        { "", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
    };
    uint8_t hash[SHA256_BYTES], parts[SHA256_BYTES], back[SHA256_BYTES];
    char tag[SHA256_TAGGED_MAX];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct digest *digest = digest_new();
        size_t len = strlen(cases[i][0]);

        assert_int_equal(sha256(cases[i][0], len, hash), 0);
        assert_string_equal(sha256_tag(hash, tag), cases[i][1]);
        assert_non_null(digest);
        digest_add(digest, cases[i][0], len / 3);
        digest_add(digest, NULL, 0);
        digest_add(digest, cases[i][0] + len / 3, len - len / 3);
        digest_end(digest, parts);
        assert_memory_equal(hash, parts, SHA256_BYTES);
        assert_int_equal(sha256_untag(tag, back), 0);
        assert_memory_equal(hash, back, SHA256_BYTES);
    }
    assert_int_equal(sha256(NULL, 0, hash), 0);
}

static void test_untag(void **state)
{
    static const char good[] = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    uint8_t out[SHA256_BYTES] = { 7 };
    char text[100];

    assert_int_equal(sha256_untag("", out), -EINVAL);
    assert_int_equal(sha256_untag("sha256:", out), -EINVAL);
    assert_int_equal(sha256_untag(good + 7, out), -EINVAL);
    memcpy(text, good, sizeof good);
    text[70] = '\0';
    assert_int_equal(sha256_untag(text, out), -EINVAL);
    memcpy(text, good, sizeof good);
    text[7] = 'E';
    assert_int_equal(sha256_untag(text, out), -EINVAL);
    memcpy(text, good, sizeof good);
    memcpy(text + 71, "0", 2);
    assert_int_equal(sha256_untag(text, out), -EINVAL);
    assert_int_equal(out[0], 7);
}

static void test_random(void **state)
{
    uint8_t a[1000] = { 0 }, b[1000] = { 0 };

    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    random_bytes(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_vectors), cmocka_unit_test(test_untag),
        cmocka_unit_test(test_random) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
