/* Tests of the development credentials: strict reading, whom they lend to, what is described, which files are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/json.h"
#include "keeper/development.h"

#include "base/banned.h"

#define ROW(binding, connector, value)                                                                                           \
    "{\"binding\":\"" binding "\",\"connector_fqn\":\"" connector "\",\"kind\":\"oauth2\",\"origins\":["                         \
    "\"https://a.example\",\"https://b.example:8443\"],\"value\":\"" value "\"}"

static int parse(const char *text, struct vault **ret_vault, struct err *err)
{
    return development_parse(text, strlen(text), "creds.json", ret_vault, err);
}

static void test_lend(void **state)
{
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;
    struct vault_loan loan = { NULL, NULL };
    struct err err = ERR_INIT;

    assert_int_equal(parse("{\"credentials\":[" ROW("oauth2/google/me", "local://google", "token-one") "," ROW(
                               "oauth2/google/work", "local://google", "token-two") "]}",
                         &vault, &err),
        0);
    assert_int_equal(vault_state(vault), KEEPER_VAULT_DEVELOPMENT);
    assert_int_equal(vault_lend(vault, "oauth2/google/work", "local://google", &loan, &err), 0);
    assert_int_equal(secret_len(loan.value), 9);
    assert_memory_equal(secret_bytes(loan.value), "token-two", 9);
    loan = (struct vault_loan){ NULL, NULL };
    assert_int_equal(vault_lend(vault, "oauth2/google/work", "local://other", &loan, &err), VAULT_NO_BINDING);
    assert_int_equal(vault_lend(vault, "oauth2/google/wor", "local://google", &loan, &err), VAULT_NO_BINDING);
    assert_int_equal(vault_lend(vault, "", "local://google", &loan, &err), VAULT_NO_BINDING);
    assert_null(loan.value);
}

static void test_description(void **state)
{
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;
    CLEANUP_JSON json_t *list = NULL;
    CLEANUP_FREE char *text = NULL;

    assert_int_equal(parse("{\"credentials\":[" ROW("oauth2/google/me", "local://google", "token-one") "]}", &vault, NULL), 0);
    list = vault_describe(vault);
    text = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, "[{\"binding\":\"oauth2/google/me\",\"connector_fqn\":\"local://google\",\"identity\":\"me\","
                              "\"kind\":\"oauth2\",\"origins\":[\"https://a.example:443\",\"https://b.example:8443\"],"
                              "\"service\":\"google\",\"status\":\"active\"}]");
}

/* Whatever is wrong, no message repeats a part of the file that could be the secret. */
static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "SECRET!!SECRET!!",
        "{\"credentials\":[SECRET!!SECRET!!]}",
        "{\"credentials\":[\"SECRET!!SECRET!!\"]}",
        "{\"credentials\":[]}",
        "{\"credentials\":{}}",
        "{\"credentials\":[" ROW("oauth2/google/me", "local://x", "SECRET!!SECRET!!") "],\"more\":1}",
        "{\"credentials\":[" ROW("oauth2/google/me", "local://x", "SECRET!!SECRET!!") "]} x",
        "{\"credentials\":[" ROW("oauth2/google/me", "local://x", "SECRET!!SECRET!!") "," ROW(
            "oauth2/google/me", "local://x", "SECRET!!SECRET!!") "]}",
        "{\"credentials\":[" ROW("api_key/google/me", "local://x", "SECRET!!SECRET!!") "]}",
        "{\"credentials\":[" ROW("oauth2/google", "local://x", "SECRET!!SECRET!!") "]}",
        "{\"credentials\":[" ROW("oauth2/google/me", "local://x", "SECRET!! SECRET!!") "]}",
        "{\"credentials\":[" ROW("oauth2/google/me", "local://x", "S!") "]}",
        "{\"credentials\":[" ROW("oauth2/google/me", "", "SECRET!!SECRET!!") "]}",
        "{\"credentials\":[{\"value\":\"SECRET!!SECRET!!\",\"value\":\"SECRET!!SECRET!!\"}]}",
        "{\"credentials\":[{\"SECRET!!SECRET!!\":\"value\"}]}",
        "{\"credentials\":[{\"SECRET!!SECRET!!\":1,\"value\":\"SECRET!!SECRET!!\"}]}",
        "{\"credentials\":[{\"Value\":\"SECRET!!SECRET!!\"}]}",
        "{\"credentials\":[{\"binding\":\"oauth2/a/b\",\"kind\":\"SECRET!!SECRET!!\",\"value\":\"SECRET!!SECRET!!\"}]}",
        "{\"credentials\":[{\"binding\":7,\"kind\":\"oauth2\",\"value\":\"SECRET!!SECRET!!\"}]}",
        "{\"credentials\":[{\"binding\":\"oauth2/a/b\",\"kind\":\"basic\",\"value\":\"SECRET!!SECRET!!\"}]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct vault *vault = NULL;
        struct err err = ERR_INIT;

        if (parse(bad[i], &vault, &err) >= 0)
            fail_msg("accepted: %s", bad[i]);
        assert_null(vault);
        assert_non_null(strstr(err.message, "creds.json"));
        assert_null(strstr(err.message, "SECRET!!"));
        assert_null(strstr(err.hint, "SECRET!!"));
    }
}

static void write_file(const char *path, mode_t mode)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs("{\"credentials\":[" ROW("oauth2/google/me", "local://google", "token-one") "]}", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_files(void **state)
{
    char dir[] = "/tmp/aileron-test-XXXXXX", path[64], link_path[64];
    struct vault *vault = NULL;
    struct err err = ERR_INIT;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/creds.json", dir);
    snprintf(link_path, sizeof link_path, "%s/link.json", dir);
    assert_true(development_load(path, &vault, &err) < 0);
    assert_true(development_load(dir, &vault, &err) < 0);
    write_file(path, 0644);
    assert_true(development_load(path, &vault, &err) < 0);
    assert_non_null(strstr(err.message, path));
    write_file(path, 0600);
    assert_int_equal(symlink(path, link_path), 0);
    assert_true(development_load(link_path, &vault, &err) < 0);
    assert_null(vault);
    assert_int_equal(development_load(path, &vault, &err), 0);
    vault_free(vault);
    assert_int_equal(truncate(path, 0), 0);
    assert_true(development_load(path, &vault, &err) < 0);
    assert_int_equal(truncate(path, DEVELOPMENT_FILE_MAX + 1), 0);
    assert_true(development_load(path, &vault, &err) < 0);
    unlink(link_path);
    unlink(path);
    rmdir(dir);
}

static void test_missing_vault(void **state)
{
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;
    CLEANUP_JSON json_t *list = NULL;
    struct vault_loan loan;

    assert_int_equal(vault_missing(&vault, NULL), 0);
    assert_int_equal(vault_state(vault), KEEPER_VAULT_MISSING);
    assert_int_equal(vault_lend(vault, "oauth2/google/me", "local://google", &loan, NULL), VAULT_NO_BINDING);
    list = vault_describe(vault);
    assert_int_equal(json_array_size(list), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lend),
        cmocka_unit_test(test_description),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_missing_vault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
