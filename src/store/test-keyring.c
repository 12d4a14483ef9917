/*
 * The keyring: both versions of the file, keys in every spelling, whose keys
 * sign for what, and signatures of another tool's making (openssl, in the test below as bytes).
 */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "store/keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* The public key of RFC 8032 §7.1 TEST 2, in four spellings. */
#define RAW     "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="
#define RAW_URL "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw"
#define PEM     "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n-----END PUBLIC KEY-----\n"
/* Of TEST 1. */
#define OTHER "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static struct keyring_key key_of(const char *text)
{
    struct keyring_key key;
    struct err err = ERR_INIT;

    if (keyring_key_read(text, strlen(text), &key, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return key;
}

static void test_key_spellings(void **state)
{
    static const char *const same[] = { RAW, RAW_URL, PEM, "  " RAW "\n", RAW_URL "\r\n", "\n" PEM "\n" };
    static const char *const wrong[] = { "", "   ", "AAAA", RAW "AA",
        "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zg!=", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        /* X25519, 32 bytes too */
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VuAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n-----END PUBLIC KEY-----\n",
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE "
         "KEY-----\n") };
    struct keyring_key key = key_of(RAW), read;
    char fingerprint[KEYRING_FINGERPRINT_MAX];

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        read = key_of(same[i]);
        assert_memory_equal(read.raw, key.raw, sizeof key.raw);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        if (keyring_key_read(wrong[i], strlen(wrong[i]), &read, NULL) != -EINVAL)
            fail_msg("taken for a key: %s", wrong[i]);
    /* printf RAW | base64 -d | sha256sum, in base64 */
    assert_string_equal(keyring_fingerprint(&key, fingerprint), "sha256:OfcT0KZEJT8EUpQhufUbmwiXnQgpWVnE85kO5hf1E58");
}

static struct keyring *parse(const char *text)
{
    struct keyring *keyring = NULL;
    struct err err = ERR_INIT;

    if (keyring_parse(text, strlen(text), "keyring.json", &keyring, &err) < 0)
        fail_msg("%s", err.message);
    return keyring;
}

static size_t keys_for(const struct keyring *keyring, const char *fqn)
{
    struct keyring_key keys[8];

    return keyring_keys_for(keyring, fqn, keys, ARRAY_LEN(keys));
}

static void test_whose(void **state)
{
    CLEANUP_PTR(keyring_free)
    struct keyring *keyring = parse("{\"version\":2,\"publishers\":{\"github://acme/tools\":[\"" RAW
                                    "\"]},\"owners\":{\"github://acme\":[\"" OTHER "\",\"" RAW_URL "\"]}}");

    assert_int_equal(keys_for(keyring, "github://acme/tools"), 3);
    assert_int_equal(keys_for(keyring, "github://acme/tools/sub/path"), 3);
    assert_int_equal(keys_for(keyring, "github://acme/other"), 2);
    /* A name that only begins alike is another's. */
    assert_int_equal(keys_for(keyring, "github://acme/toolsets"), 2);
    assert_int_equal(keys_for(keyring, "github://acme2/tools"), 0);
    assert_int_equal(keys_for(keyring, "github://ACME/tools"), 0);
    assert_int_equal(keys_for(keyring, "gitlab://acme/tools"), 0);
    assert_int_equal(keys_for(keyring, "local://acme/tools"), 0);
}

static void test_versions_and_faults(void **state)
{
    static const char *const wrong[] = {
        "",
        "[]",
        "{}",
        "{\"version\":3}",
        "{\"version\":\"2\"}",
        "{\"version\":2,\"publishers\":[]}",
        "{\"version\":2,\"revoked\":{}}",
        "{\"version\":1,\"owners\":{}}",
        "{\"version\":2,\"publishers\":{\"github://acme\":[]}}",
        "{\"version\":2,\"owners\":{\"github://acme/x\":[]}}",
        "{\"version\":2,\"owners\":{\"local://acme\":[]}}",
        "{\"version\":2,\"owners\":{\"github://\":[]}}",
        "{\"version\":2,\"publishers\":{\"github://acme/x/y\":[]}}",
        "{\"version\":2,\"publishers\":{\"github://acme/..\":[]}}",
        "{\"version\":2,\"owners\":{\"github://acme\":\"" RAW "\"}}",
        "{\"version\":2,\"owners\":{\"github://acme\":[1]}}",
        "{\"version\":2,\"owners\":{\"github://acme\":[\"AAAA\"]}}",
        "{\"version\":2,\"owners\":{\"github://acme\":[\"" RAW "\"],\"github://acme\":[]}}",
        "{\"version\":2} x",
    };
    CLEANUP_PTR(keyring_free)
    struct keyring *first = parse("{\"version\":1,\"publishers\":{\"github://acme/tools\":[\"" RAW "\"]}}");
    CLEANUP_PTR(keyring_free) struct keyring *none = parse("{\"version\":2,\"publishers\":null,\"owners\":null}");

    assert_int_equal(keys_for(first, "github://acme/tools"), 1);
    assert_int_equal(keys_for(none, "github://acme/tools"), 0);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct keyring *keyring = NULL;
        struct err err = ERR_INIT;

        if (keyring_parse(wrong[i], strlen(wrong[i]), "keyring.json", &keyring, &err) != -EINVAL || keyring)
            fail_msg("believed: %s", wrong[i]);
        assert_non_null(strstr(err.message, "keyring.json"));
    }
}

static void test_add_and_remove(void **state)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = parse("{\"version\":2}");
    struct keyring_key key = key_of(RAW), other = key_of(OTHER);
    struct err err = ERR_INIT;

    assert_int_equal(keyring_add(keyring, "github://acme", &key, &err), 0);
    assert_int_equal(keyring_add(keyring, "github://acme", &key, &err), 1);
    assert_int_equal(keyring_add(keyring, "github://acme", &other, &err), 0);
    assert_int_equal(keyring_add(keyring, "github://acme/tools", &key, &err), 0);
    assert_int_equal(keyring_add(keyring, "acme/tools", &key, &err), -EINVAL);
    assert_non_null(strstr(err.hint, "github://OWNER/REPO"));
    assert_int_equal(keyring_remove(keyring, "github://acme", &key), 1);
    assert_int_equal(keyring_remove(keyring, "github://acme", &key), 0);
    assert_int_equal(keys_for(keyring, "github://acme/tools"), 2);
    assert_int_equal(keyring_remove(keyring, "github://acme", NULL), 1);
    assert_int_equal(keyring_remove(keyring, "github://acme/tools", NULL), 1);
    assert_int_equal(keys_for(keyring, "github://acme/tools"), 0);
}

static void test_file(void **state)
{
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL, *again = NULL, *third = NULL;
    char home[] = "/tmp/aileron-keyring-XXXXXX", path[64];
    struct keyring_key key = key_of(RAW);
    struct err err = ERR_INIT;
    json_t *list = NULL;

    assert_non_null(mkdtemp(home));
    snprintf(path, sizeof path, "%s/keyring.json", home);
    assert_int_equal(keyring_load(home, &keyring, &err), 0);
    assert_int_equal(keyring_add(keyring, "github://acme/tools", &key, &err), 0);
    assert_int_equal(keyring_add(keyring, "github://acme", &key, &err), 0);
    assert_int_equal(keyring_save(keyring, home, &err), 0);
    assert_int_equal(keyring_load(home, &again, &err), 0);
    list = keyring_list(again);
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_get_str(json_array_get(list, 0), "authority"), "github://acme");
    assert_string_equal(json_get_str(json_array_get(list, 0), "kind"), "owner");
    assert_string_equal(json_get_str(json_array_get(list, 1), "key"), RAW);
    json_decref(list);
    /* Others must not be able to write it; nor to redirect it. */
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(keyring_load(home, &third, &err), -EPERM);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(keyring_load(home, &third, &err), -ELOOP);
    file_remove_tree(AT_FDCWD, home);
}

/* RFC 8032 §7.1 TEST 2: one byte of message. */
static void test_verify(void **state)
{
    static const uint8_t message = 0x72;
    static const uint8_t signature[SIGN_BYTES] = { 0x92, 0xa0, 0x09, 0xa9, 0xf0, 0xd4, 0xca, 0xb8, 0x72, 0x0e, 0x82, 0x0b, 0x5f,
        0x64, 0x25, 0x40, 0xa2, 0xb2, 0x7b, 0x54, 0x16, 0x50, 0x3f, 0x8f, 0xb3, 0x76, 0x22, 0x23, 0xeb, 0xdb, 0x69, 0xda, 0x08,
        0x5a, 0xc1, 0xe4, 0x3e, 0x15, 0x99, 0x6e, 0x45, 0x8f, 0x36, 0x13, 0xd0, 0xf1, 0x1d, 0x8c, 0x38, 0x7b, 0x2e, 0xae, 0xb4,
        0x30, 0x2a, 0xee, 0xb0, 0x0d, 0x29, 0x16, 0x12, 0xbb, 0x0c, 0x00 };
    const struct keyring_key keys[] = { key_of(OTHER), key_of(RAW) };
    struct keyring_part parts[] = { { "", 0 }, { &message, 1 }, { NULL, 0 } };
    uint8_t forged[SIGN_BYTES];
    size_t which = 9;

    assert_true(keyring_verify(keys, 2, parts, 3, signature, &which));
    assert_int_equal(which, 1);
    assert_false(keyring_verify(keys, 1, parts, 3, signature, &which));
    assert_false(keyring_verify(keys, 0, parts, 3, signature, &which));
    parts[0] = (struct keyring_part){ "r", 1 };
    assert_false(keyring_verify(keys, 2, parts, 3, signature, &which));
    parts[0] = (struct keyring_part){ "", 0 };
    memcpy(forged, signature, sizeof forged);
    forged[63] ^= 0x10;
    assert_false(keyring_verify(keys, 2, parts, 3, forged, &which));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_spellings),
        cmocka_unit_test(test_whose),
        cmocka_unit_test(test_versions_and_faults),
        cmocka_unit_test(test_add_and_remove),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_verify),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
