/*
 * The text of secrets.json: the vector that another implementation made (tests/vectors), what is refused, what spoils only
 * itself, and that writing and reading agree.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "crypt/aead.h"
#include "keeper/vault-file.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define PASSPHRASE "Z\xc3\xbcrich, 8001 \xf0\x9f\x94\x91"
#define SALT       "\"salt\":\"AAECAwQFBgcICQoLDA0ODw==\""
/* 28 bytes: the seal of nothing. */
#define SEALED "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\""

static const char *vector_path;

static struct secret *key_of(const struct vault_tree *tree)
{
    CLEANUP_PTR(secret_free) struct secret *passphrase = NULL;
    struct secret *key = NULL;

    assert_int_equal(secret_from(PASSPHRASE, strlen(PASSPHRASE), &passphrase), 0);
    assert_int_equal(kdf_derive(passphrase, tree->salt, &key), 0);
    return key;
}

static void assert_opens(const struct secret *key, const struct vault_entry *entry, const void *value, size_t len)
{
    CLEANUP_PTR(secret_free) struct secret *plain = NULL;

    assert_non_null(entry);
    assert_null(entry->fault);
    assert_int_equal(aead_open(key, entry->sealed, entry->sealed_len, &plain), 0);
    assert_int_equal(secret_len(plain), len);
    assert_memory_equal(secret_bytes(plain), value, len);
}

static void test_vector(void **state)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(VAULT_FILE_MAX), written = BUF_INIT(VAULT_FILE_MAX);
    CLEANUP_PTR(vault_tree_free) struct vault_tree *tree = NULL, *again = NULL;
    CLEANUP_PTR(secret_free) struct secret *key = NULL, *mark = NULL;
    const struct vault_entry *entry = NULL;

    assert_int_equal(file_read(AT_FDCWD, vector_path, &text, NULL), 0);
    assert_int_equal(vault_file_parse(text.data, text.len, &tree, NULL), 0);
    key = key_of(tree);
    assert_int_equal(aead_open(key, tree->verification, tree->verification_len, &mark), 0);
    assert_memory_equal(secret_bytes(mark), "aileron-vault-v1", 16);
    assert_int_equal(tree->len, 5);
    entry = vault_tree_find(tree, "prod/db password");
    assert_opens(key, entry, "p\0w\xff raw bytes", 14);
    assert_string_equal(entry->type, "password");
    assert_string_equal(entry->environment, "prod");
    assert_string_equal(vault_entry_label(entry, "team"), "blue");
    assert_true(json_is_true(json_object_get(entry->more_metadata_keys, "Later")));
    assert_opens(key, vault_tree_find(tree, "user/github"), "ghp_known", 9);
    assert_non_null(vault_tree_find(tree, "damaged/one")->fault);
    /* Written in our form, it says the same. */
    assert_int_equal(vault_file_write(tree, &written), 0);
    assert_non_null(
        strstr(written.data, "{\n  \"version\": 1,\n  \"salt\": \"oKGio6SlpqeoqaqrrK2urw==\",\n  \"verification\": "));
    assert_non_null(
        strstr(written.data, "\"metadata\": {\n        \"Type\": \"password\",\n        \"Environment\": \"prod\",\n"
                             "        \"Labels\": {\n          \"team\": \"blue\"\n        },\n        \"Later\": true\n"));
    assert_non_null(strstr(written.data, "\"value\": \"not base64!\""));
    assert_non_null(strstr(written.data, "\"future\": {\n    \"kept\": [\n      1,\n      2.5,"));
    assert_int_equal(vault_file_parse(written.data, written.len, &again, NULL), 0);
    assert_int_equal(again->len, 5);
    assert_opens(key, vault_tree_find(again, "user/github"), "ghp_known", 9);
}

static int parse(const char *text, struct vault_tree **ret_tree, struct err *err)
{
    return vault_file_parse(text, strlen(text), ret_tree, err);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"version\":1}",
        "{" SALT "}",
        "{\"version\":2," SALT "}",
        "{\"version\":\"1\"," SALT "}",
        "{\"version\":1,\"salt\":\"AAECAwQFBgcICQoLDA0O\"}",
        "{\"version\":1,\"salt\":16}",
        "{\"version\":1," SALT ",\"Salt\":\"AAECAwQFBgcICQoLDA0ODw==\"}",
        "{\"version\":1," SALT ",\"verification\":\"AAAA\"}",
        "{\"version\":1," SALT ",\"verification\":7}",
        "{\"version\":1," SALT ",\"verification\":\"!\"}",
        "{\"version\":1," SALT ",\"secrets\":[]}",
        "{\"version\":1," SALT ",\"secrets\":{\"a\":{\"value\":" SEALED "},\"a\":{\"value\":" SEALED "}}}",
        "{\"version\":1," SALT ",\"secrets\":{}} trailing",
        "{\"version\":1," SALT ",\"secrets\":{},\"x\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct vault_tree *tree = NULL;
        struct err err = ERR_INIT;
        int r = parse(bad[i], &tree, &err);

        assert_true(r == -EBADMSG || r == -E2BIG);
        assert_null(tree);
        assert_true(err.message[0] != '\0');
    }
}

static void test_legacy(void **state)
{
    static const char *const good[] = { "{\"version\":1," SALT "}",
        "{\"version\":1," SALT ",\"verification\":null,\"secrets\":null}",
        "{\"version\":1," SALT ",\"verification\":\"\",\"secrets\":{}}" };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CLEANUP_PTR(vault_tree_free) struct vault_tree *tree = NULL;

        assert_int_equal(parse(good[i], &tree, NULL), 0);
        assert_null(tree->verification);
        assert_int_equal(tree->len, 0);
    }
}

/* One bad entry is kept as it is and stands in nobody's way. */
static void test_faults(void **state)
{
    static const char *const bad[] = {
        "\"a\":{}",
        "\"a\":7",
        "\"a\":{\"value\":\"AAAA\"}",
        "\"a\":{\"value\":null}",
        "\"a\":{\"value\":" SEALED ",\"VALUE\":" SEALED "}",
        "\"a\":{\"value\":" SEALED ",\"metadata\":[]}",
        "\"a\":{\"value\":" SEALED ",\"metadata\":{\"Type\":1}}",
        "\"a\":{\"value\":" SEALED ",\"metadata\":{\"Labels\":{\"x\":1}}}",
        "\"a\":{\"value\":" SEALED ",\"metadata\":{\"Type\":\"a\",\"type\":\"b\"}}",
        "\"../a\":{\"value\":" SEALED "}",
        "\"\":{\"value\":" SEALED "}",
        "\"a\\u001b[2J\":{\"value\":" SEALED "}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP_PTR(vault_tree_free) struct vault_tree *tree = NULL;
        CLEANUP(buf_free) struct buf written = BUF_INIT(VAULT_FILE_MAX);
        CLEANUP_JSON json_t *before = NULL, *after = NULL;
        char text[1024];

        snprintf(text, sizeof text, "{\"version\":1," SALT ",\"secrets\":{\"ok\":{\"value\":" SEALED "},%s}}", bad[i]);
        assert_int_equal(parse(text, &tree, NULL), 0);
        assert_int_equal(tree->len, 2);
        assert_null(vault_tree_find(tree, "ok")->fault);
        assert_non_null(tree->entries[!strcmp(tree->entries[0]->path, "ok")]->fault);
        assert_int_equal(vault_file_write(tree, &written), 0);
        before = json_loads(text, 0, NULL);
        after = json_loads(written.data, 0, NULL);
        json_object_del(json_object_get(before, "secrets"), "ok");
        json_object_del(json_object_get(after, "secrets"), "ok");
        assert_true(json_equal(json_object_get(before, "secrets"), json_object_get(after, "secrets")));
    }
}

static void test_paths(void **state)
{
    static const char *const good[] = { "a", "a/b", "oauth2/google/me", "_grants/x", "a b", "\xc3\xa9", "a..b", ".a/b" };
    static const char *const bad[] = { "", "/a", "a/", "a//b", "..", "a/..", "../a", "a/../b", ".", "a/./b", "a\n", "a\x7f",
        "\xff", "\xc0\xaf" };
    char longest[VAULT_PATH_MAX + 2];

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_null(vault_path_refusal(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_non_null(vault_path_refusal(bad[i]));
    memset(longest, 'a', sizeof longest);
    longest[VAULT_PATH_MAX] = '\0';
    assert_null(vault_path_refusal(longest));
    longest[VAULT_PATH_MAX] = 'a';
    longest[VAULT_PATH_MAX + 1] = '\0';
    assert_non_null(vault_path_refusal(longest));
}

static void test_too_many(void **state)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(VAULT_FILE_MAX);
    CLEANUP_PTR(vault_tree_free) struct vault_tree *tree = NULL;

    assert_int_equal(buf_add_str(&text, "{\"version\":1," SALT ",\"secrets\":{"), 0);
    for (int i = 0; i < VAULT_ENTRIES_MAX; i++)
        assert_int_equal(buf_printf(&text, "\"p%d\":{\"value\":" SEALED "},", i), 0);
    text.len--;
    assert_int_equal(buf_add_str(&text, "}}"), 0);
    assert_int_equal(vault_file_parse(text.data, text.len, &tree, NULL), 0);
    assert_int_equal(tree->len, VAULT_ENTRIES_MAX);
    for (size_t i = 1; i < tree->len; i++)
        assert_true(strcmp(tree->entries[i - 1]->path, tree->entries[i]->path) < 0);
    vault_tree_free(TAKE_PTR(tree));
    text.len -= 2;
    assert_int_equal(buf_add_str(&text, ",\"one\":{\"value\":" SEALED "}}}"), 0);
    assert_int_equal(vault_file_parse(text.data, text.len, &tree, NULL), -E2BIG);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vector),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_legacy),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_too_many),
    };

    if (argc != 2)
        return 2;
    vector_path = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
