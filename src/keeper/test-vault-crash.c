/*
 * Writing the vault, interrupted in every way that base/test-disk.h knows. Afterwards the vault opens, holds all that was there, and
 * has either the old or the new of what was being written; the new, if it was acknowledged.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test-disk.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define NAME      "secrets.json"
#define PLAIN     "api_key/probe/me"
#define CONNECTOR "local://probe"

/* ---- what is done to the vault ---- */

static struct secret *secret_of(const char *text)
{
    struct secret *secret = NULL;

    assert_int_equal(secret_from(text, strlen(text), &secret), 0);
    return secret;
}

static struct secret *key_of(char fill)
{
    char key[KDF_KEY_BYTES + 1];

    memset(key, fill, sizeof key - 1);
    key[KDF_KEY_BYTES] = '\0';
    return secret_of(key);
}

static int put_value(struct vault *vault, const char *path, const char *text)
{
    CLEANUP_PTR(secret_free) struct secret *value = secret_of(text);

    return vault_put(vault, path, value, NULL, NULL);
}

static int bind_value(struct vault *vault, const char *text)
{
    CLEANUP_JSON json_t *json =
        json_loads("{\"connector_fqn\":\"" CONNECTOR "\",\"origins\":[\"https://api.test:443\"]}", 0, NULL);
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = secret_of(text);

    assert_int_equal(grant_read(json, GRANT_API_KEY, &grant, NULL), 0);
    return vault_binding_put(vault, PLAIN, grant, value, NULL, NULL);
}

static bool has_value(struct vault *vault, const char *path, const char *text)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;

    return vault_get(vault, path, &value, NULL) == 0 && secret_len(value) == strlen(text) &&
           !memcmp(secret_bytes(value), text, strlen(text));
}

static bool lends(struct vault *vault, const char *text)
{
    struct vault_loan loan = { 0 };

    return vault_lend(vault, PLAIN, CONNECTOR, &loan, NULL) == 0 && secret_len(loan.value) == strlen(text) &&
           !memcmp(secret_bytes(loan.value), text, strlen(text));
}

static int do_put(struct vault *vault)
{
    return put_value(vault, "changing", "new");
}

static int do_delete(struct vault *vault)
{
    return vault_delete(vault, "changing", NULL);
}

static int do_refresh(struct vault *vault)
{
    return bind_value(vault, "new-token");
}

static int do_rekey(struct vault *vault)
{
    CLEANUP_PTR(secret_free) struct secret *key = key_of('n');

    return vault_rekey(vault, key, (const uint8_t *) "another salt 16", NULL);
}

static bool is_put(struct vault *vault)
{
    return has_value(vault, "changing", "new");
}

static bool is_deleted(struct vault *vault)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;

    return vault_get(vault, "changing", &value, NULL) == VAULT_NO_ENTRY;
}

static bool is_refreshed(struct vault *vault)
{
    return lends(vault, "new-token");
}

static bool is_rekeyed(struct vault *vault)
{
    uint8_t salt[KDF_SALT_BYTES];

    return vault_salt(vault, salt, NULL) == 0 && !memcmp(salt, "another salt 16", sizeof salt);
}

static bool is_old_entry(struct vault *vault)
{
    return has_value(vault, "changing", "old");
}

static bool is_old_token(struct vault *vault)
{
    return lends(vault, "old-token");
}

static bool is_old_key(struct vault *vault)
{
    return !is_rekeyed(vault);
}

static const struct operation {
    const char *name;
    int (*run)(struct vault *vault);
    bool (*is_new)(struct vault *vault);
    bool (*is_old)(struct vault *vault);
} operations[] = {
    { "put", do_put, is_put, is_old_entry },
    { "delete", do_delete, is_deleted, is_old_entry },
    { "refresh", do_refresh, is_refreshed, is_old_token },
    { "rekey", do_rekey, is_rekeyed, is_old_key },
};

/* ---- homes ---- */

static struct buf before = BUF_INIT(VAULT_FILE_MAX); /* the file that each operation begins with */

static size_t count_files(void)
{
    CLEANUP_CLOSEDIR DIR *dir = opendir(disk_home);
    size_t len = 0;

    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        len += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    return len;
}

static void vault_path(char out[128])
{
    snprintf(out, 128, "%s/" NAME, disk_home);
}

static int make_before(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *key = key_of('k');
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;
    char path[128];

    json_init();
    disk_home_make();
    assert_int_equal(vault_new(disk_home, &vault, NULL), 0);
    assert_int_equal(vault_create(vault, key, (const uint8_t *) "the first salt.", false, NULL), 0);
    assert_int_equal(put_value(vault, "kept", "always"), 0);
    assert_int_equal(put_value(vault, "changing", "old"), 0);
    assert_int_equal(bind_value(vault, "old-token"), 0);
    vault_path(path);
    assert_int_equal(file_read(AT_FDCWD, path, &before, NULL), 0);
    disk_home_free();
    return 0;
}

static int free_before(void **state)
{
    buf_free(&before);
    return 0;
}

static struct vault *open_with(char fill)
{
    CLEANUP_PTR(secret_free) struct secret *key = key_of(fill);
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;

    if (vault_new(disk_home, &vault, NULL) < 0)
        return NULL;
    return vault_unlock(vault, key, NULL) == 0 ? TAKE_PTR(vault) : NULL;
}

/* ---- the cases ---- */

struct run {
    const struct operation *operation;
    struct vault *vault; /* while it is refused something */
};

static void fill_home(void *userdata)
{
    char path[128];

    vault_path(path);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, before.data, before.len, 0600, NULL), 0);
}

static int run_operation(void *userdata)
{
    struct run *run = userdata;

    run->vault = open_with('k');
    if (!run->vault)
        return -1;
    int r = run->operation->run(run->vault);
    if (r == 0)
        disk_acknowledge();
    return r;
}

/* Nothing of what was there is lost in memory, and there are no more files than one. */
static void look_refused(enum disk_refusal how, int result, void *userdata)
{
    const struct run *run = userdata;
    const struct operation *operation = run->operation;
    struct vault *vault = run->vault;

    if (!vault)
        return;
    assert_true(has_value(vault, "kept", "always"));
    assert_true(result == 0 ? operation->is_new(vault) : operation->is_old(vault) || operation->is_new(vault));
    if (how == DISK_REFUSE_ONCE) {
        assert_true(result == 0 || operation->is_old(vault));
        assert_int_equal(count_files(), 1);
    }
}

static void assert_whole(const struct operation *operation, bool is_acknowledged)
{
    CLEANUP_PTR(vault_free) struct vault *vault = open_with('k');

    if (!vault)
        vault = open_with('n');
    assert_non_null(vault);
    assert_true(has_value(vault, "kept", "always"));
    assert_true(lends(vault, "old-token") || operation->is_new == is_refreshed);
    assert_true(is_acknowledged ? operation->is_new(vault) : operation->is_new(vault) || operation->is_old(vault));
    /* What was half written is cleared away at the next start. */
    assert_int_equal(count_files(), 1);
    assert_int_equal(put_value(vault, "after", "works"), 0);
}

static void check_home(const struct disk_crash *crash, void *userdata)
{
    struct run *run = userdata;
    bool is_new = run->vault && run->operation->is_new(run->vault);

    vault_free(TAKE_PTR(run->vault));
    /* What the running keeper believes is so on the disk as well, unless the power was lost since. */
    assert_whole(run->operation, crash->acknowledged > 0 || (is_new && !crash->power));
}

static void each(void (*test)(const struct disk_case *what))
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        struct run run = { .operation = &operations[i] };
        const struct disk_case what = { operations[i].name, &run, fill_home, run_operation, check_home, look_refused, true };

        test(&what);
    }
}

static void stop(const struct disk_case *what)
{
    disk_stop_everywhere(what, 6);
}

static void refuse(const struct disk_case *what)
{
    disk_refuse_everywhere(what, 6);
}

static void lose_power(const struct disk_case *what)
{
    disk_lose_power_everywhere(what, 5);
}

static void test_stopped(void **state)
{
    each(stop);
}

static void test_refused(void **state)
{
    each(refuse);
}

static void test_power_loss(void **state)
{
    each(lose_power);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_power_loss),
    };

    return cmocka_run_group_tests(tests, make_before, free_before);
}
