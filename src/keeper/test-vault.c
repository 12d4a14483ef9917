/*
 * The vault in a folder of its own: opening, writing, what it lends and to whom, and what somebody who can write to the file
 * but has no key can make of it: nothing.
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
#include <sys/stat.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "crypt/aead.h"
#include "keeper/vault-file.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define KEY_GRANT                                                                                                                \
    "{\"connector_fqn\":\"local://probe\",\"origins\":[\"https://api.test:443\"],\"header\":\"X-Key\",\"format\":\"{key}\"}"
#define OAUTH_GRANT                                                                                                              \
    "{\"connector_fqn\":\"local://google\",\"origins\":[\"https://gmail.googleapis.com:443\"],"                                  \
    "\"token_url\":\"https://oauth2.googleapis.com/token\"}"
#define TOKEN                                                                                                                    \
    "{\"access_token\":\"ya29.first\",\"refresh_token\":\"1//refresh\",\"expires_at\":\"2099-01-01T00:00:00Z\","                 \
    "\"client_id\":\"c\",\"client_secret\":\"sss\",\"token_url\":\"https://oauth2.googleapis.com/token\"}"
#define OAUTH "oauth2/google/me"
#define PLAIN "api_key/probe/me"

struct fixture {
    char home[64];
    int folder;
    struct vault *vault;
    struct secret *key;
    uint8_t salt[KDF_SALT_BYTES];
};

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

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    snprintf(fixture->home, sizeof fixture->home, "/tmp/test-vault-XXXXXX");
    assert_non_null(mkdtemp(fixture->home));
    fixture->folder = open(fixture->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fixture->key = key_of('k');
    memset(fixture->salt, 's', sizeof fixture->salt);
    assert_int_equal(vault_new(fixture->home, &fixture->vault, NULL), 0);
    *state = fixture;
    return 0;
}

static int set_up_open(void **state)
{
    struct fixture *fixture = NULL;

    set_up(state);
    fixture = *state;
    assert_int_equal(vault_create(fixture->vault, fixture->key, fixture->salt, false, NULL), 0);
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    vault_free(fixture->vault);
    secret_free(fixture->key);
    close(fixture->folder);
    assert_int_equal(file_remove_tree(AT_FDCWD, fixture->home), 0);
    free(fixture);
    return 0;
}

static int put(struct vault *vault, const char *path, const char *text, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *value = secret_of(text);

    return vault_put(vault, path, value, NULL, err);
}

static void assert_value(struct vault *vault, const char *path, const char *text)
{
    CLEANUP_PTR(secret_free) struct secret *value = NULL;

    assert_int_equal(vault_get(vault, path, &value, NULL), 0);
    assert_int_equal(secret_len(value), strlen(text));
    assert_memory_equal(secret_bytes(value), text, strlen(text));
}

static int bind(struct vault *vault, const char *binding, const char *grant_text, const char *text, const char *labels_text)
{
    CLEANUP_JSON json_t *json = json_loads(grant_text, 0, NULL), *labels = labels_text ? json_loads(labels_text, 0, NULL) : NULL;
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = secret_of(text);

    assert_int_equal(grant_read(json, strncmp(binding, "oauth2", 6) ? GRANT_API_KEY : GRANT_OAUTH2, &grant, NULL), 0);
    return vault_binding_put(vault, binding, grant, value, labels, NULL);
}

static int lend(struct vault *vault, const char *binding, const char *connector, const char *wanted, struct err *err)
{
    struct vault_loan loan = { 0 };
    int r = vault_lend(vault, binding, connector, &loan, err);

    if (r == 0) {
        assert_int_equal(secret_len(loan.value), strlen(wanted));
        assert_memory_equal(secret_bytes(loan.value), wanted, strlen(wanted));
    }
    return r;
}

/* The file as anybody who can write to it may change it. */
static json_t *read_file(const struct fixture *fixture)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(VAULT_FILE_MAX);
    json_t *json = NULL;

    assert_int_equal(file_read(fixture->folder, "secrets.json", &text, NULL), 0);
    json = json_loads(text.data, 0, NULL);
    assert_non_null(json);
    return json;
}

static void write_text(const struct fixture *fixture, const char *text)
{
    assert_int_equal(file_write_atomic(fixture->folder, "secrets.json", text, strlen(text), 0600, NULL), 0);
}

static void write_file(const struct fixture *fixture, const json_t *json)
{
    CLEANUP_FREE char *text = json_dumps(json, 0);

    write_text(fixture, text);
}

static json_t *entry_of(json_t *file, const char *path)
{
    json_t *entry = json_object_get(json_object_get(file, "secrets"), path);

    assert_non_null(entry);
    return entry;
}

static const char *label_of(const struct fixture *fixture, const char *path, const char *name)
{
    static char text[256];
    CLEANUP_JSON json_t *file = read_file(fixture);
    const json_t *labels = json_object_get(json_object_get(entry_of(file, path), "metadata"), "Labels");
    const char *label = json_get_str(labels, name);

    if (!label)
        return NULL;
    snprintf(text, sizeof text, "%s", label);
    return text;
}

static size_t count_files(const struct fixture *fixture)
{
    CLEANUP_CLOSEDIR DIR *dir = opendir(fixture->home);
    size_t len = 0;

    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        len += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    return len;
}

/* ---- opening ---- */

static void test_life(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_PTR(secret_free) struct secret *wrong = key_of('w');
    uint8_t salt[KDF_SALT_BYTES], one[SIGN_PUBLIC_BYTES], two[SIGN_PUBLIC_BYTES], signature[SIGN_BYTES];
    struct vault *vault = fixture->vault;
    struct err err = ERR_INIT;

    assert_int_equal(vault_state(vault), KEEPER_VAULT_MISSING);
    assert_int_equal(vault_salt(vault, salt, &err), VAULT_NOT_THERE);
    assert_string_equal(err.hint, "aileron vault init");
    assert_int_equal(vault_unlock(vault, fixture->key, NULL), VAULT_NOT_THERE);
    assert_int_equal(put(vault, "a", "1", NULL), VAULT_NOT_THERE);
    assert_int_equal(vault_create(vault, fixture->key, fixture->salt, false, NULL), 0);
    assert_int_equal(vault_state(vault), KEEPER_VAULT_UNLOCKED);
    assert_false(vault_is_dev(vault));
    assert_int_equal(vault_create(vault, fixture->key, fixture->salt, true, NULL), VAULT_ALREADY_THERE);
    assert_int_equal(put(vault, "a", "1", NULL), 0);
    assert_true(vault_signing_public(vault, one));
    assert_int_equal(vault_sign(vault, "m", 1, signature, NULL), 0);
    assert_true(sign_verify(one, "m", 1, signature));
    assert_int_equal(vault_unlock(vault, wrong, NULL), VAULT_WRONG_PASSPHRASE);
    assert_int_equal(vault_state(vault), KEEPER_VAULT_UNLOCKED);
    vault_lock(vault);
    assert_int_equal(vault_state(vault), KEEPER_VAULT_LOCKED);
    assert_int_equal(put(vault, "a", "2", &err), VAULT_NOT_OPEN);
    assert_string_equal(err.hint, "aileron vault unlock");
    assert_false(vault_signing_public(vault, two));
    assert_int_equal(vault_sign(vault, "m", 1, signature, NULL), VAULT_NOT_OPEN);
    assert_int_equal(vault_salt(vault, salt, NULL), 0);
    assert_memory_equal(salt, fixture->salt, sizeof salt);
    assert_int_equal(vault_unlock(vault, wrong, NULL), VAULT_WRONG_PASSPHRASE);
    assert_int_equal(vault_unlock(vault, fixture->key, NULL), 0);
    assert_value(vault, "a", "1");
    assert_true(vault_signing_public(vault, two));
    assert_memory_equal(one, two, sizeof one);
    assert_int_equal(count_files(fixture), 1);
}

static void test_dev(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *file = NULL;

    assert_int_equal(vault_create(fixture->vault, fixture->key, fixture->salt, true, NULL), 0);
    assert_true(vault_is_dev(fixture->vault));
    vault_lock(fixture->vault);
    assert_false(vault_is_dev(fixture->vault));
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), 0);
    assert_true(vault_is_dev(fixture->vault));
    /* Another sealed text in its place, which anybody who can write may put there, does not count. */
    vault_lock(fixture->vault);
    file = read_file(fixture);
    json_object_set(json_object_get(file, "secrets"), "_dev", entry_of(file, "_audit/head-key"));
    write_file(fixture, file);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), 0);
    assert_false(vault_is_dev(fixture->vault));
}

static void test_tampered(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *file = read_file(fixture);
    struct err err = ERR_INIT;

    vault_lock(fixture->vault);
    json_object_set(file, "verification", json_object_get(entry_of(file, "_audit/head-key"), "value"));
    write_file(fixture, file);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, &err), -EBADMSG);
    assert_int_equal(vault_state(fixture->vault), KEEPER_VAULT_LOCKED);
    write_text(fixture, "{\"version\":1");
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "secrets.json"));
    assert_int_equal(vault_create(fixture->vault, fixture->key, fixture->salt, false, NULL), -EBADMSG);
}

static void test_legacy(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_PTR(secret_free) struct secret *wrong = key_of('w');
    CLEANUP_JSON json_t *file = NULL, *after = NULL;

    assert_int_equal(put(fixture->vault, "a", "1", NULL), 0);
    vault_lock(fixture->vault);
    file = read_file(fixture);
    json_object_del(file, "verification");
    json_object_set_new(json_object_get(file, "secrets"), "_broken", json_pack("{s:s}", "value", "AAAA"));
    write_file(fixture, file);
    assert_int_equal(vault_unlock(fixture->vault, wrong, NULL), VAULT_WRONG_PASSPHRASE);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), 0);
    assert_value(fixture->vault, "a", "1");
    assert_int_equal(put(fixture->vault, "b", "2", NULL), 0);
    after = read_file(fixture);
    assert_non_null(json_get_str(after, "verification"));
    vault_lock(fixture->vault);
    assert_int_equal(vault_unlock(fixture->vault, wrong, NULL), VAULT_WRONG_PASSPHRASE);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), 0);
}

static void test_empty_legacy(void **state)
{
    struct fixture *fixture = *state;
    uint8_t salt[KDF_SALT_BYTES];

    write_text(fixture, "{\"version\":1,\"salt\":\"AAECAwQFBgcICQoLDA0ODw==\",\"secrets\":{}}");
    assert_int_equal(vault_salt(fixture->vault, salt, NULL), VAULT_NOT_THERE);
    assert_int_equal(vault_state(fixture->vault), KEEPER_VAULT_MISSING);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), VAULT_NOT_THERE);
    assert_int_equal(vault_create(fixture->vault, fixture->key, fixture->salt, false, NULL), 0);
    assert_int_equal(put(fixture->vault, "a", "1", NULL), 0);
}

/* A file that others could have read or written, or that is something else, is not read. */
static void test_private(void **state)
{
    struct fixture *fixture = *state;
    uint8_t salt[KDF_SALT_BYTES];
    struct err err = ERR_INIT;

    vault_lock(fixture->vault);
    assert_int_equal(fchmodat(fixture->folder, "secrets.json", 0640, 0), 0);
    assert_int_equal(vault_salt(fixture->vault, salt, &err), -EPERM);
    assert_non_null(strstr(err.hint, "chmod 600"));
    assert_int_equal(fchmodat(fixture->folder, "secrets.json", 0600, 0), 0);
    assert_int_equal(linkat(fixture->folder, "secrets.json", fixture->folder, "other", 0), 0);
    assert_int_equal(vault_salt(fixture->vault, salt, NULL), -EPERM);
    assert_int_equal(unlinkat(fixture->folder, "secrets.json", 0), 0);
    assert_int_equal(symlinkat("other", fixture->folder, "secrets.json"), 0);
    assert_int_equal(vault_salt(fixture->vault, salt, NULL), -ELOOP);
    assert_int_equal(vault_create(fixture->vault, fixture->key, fixture->salt, false, NULL), -ELOOP);
    assert_int_equal(unlinkat(fixture->folder, "secrets.json", 0), 0);
    assert_int_equal(mkfifoat(fixture->folder, "secrets.json", 0600), 0);
    assert_int_equal(vault_salt(fixture->vault, salt, NULL), -EPERM);
    assert_int_equal(unlinkat(fixture->folder, "secrets.json", 0), 0);
    assert_int_equal(mkdirat(fixture->folder, "secrets.json", 0700), 0);
    assert_int_equal(vault_salt(fixture->vault, salt, NULL), -EPERM);
}

static void test_folder_of_others(void **state)
{
    struct fixture *fixture = *state;
    struct vault *vault = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(chmod(fixture->home, 0770), 0);
    assert_int_equal(vault_new(fixture->home, &vault, &err), -EPERM);
    assert_non_null(strstr(err.hint, "chmod 700"));
    assert_int_equal(chmod(fixture->home, 0700), 0);
}

static void test_leftovers(void **state)
{
    struct fixture *fixture = *state;
    struct vault *vault = NULL;

    assert_int_equal(file_write_atomic(fixture->folder, ".secrets.json.0123456789abcdef.tmp", "x", 1, 0600, NULL), 0);
    assert_int_equal(file_write_atomic(fixture->folder, ".secrets.json.tmpx", "x", 1, 0600, NULL), 0);
    assert_int_equal(count_files(fixture), 3);
    assert_int_equal(vault_new(fixture->home, &vault, NULL), 0);
    assert_int_equal(count_files(fixture), 2);
    vault_free(vault);
}

/* ---- entries ---- */

static void test_entries(void **state)
{
    struct fixture *fixture = *state;
    struct vault *vault = fixture->vault;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    CLEANUP_JSON json_t *list = NULL, *labels = json_pack("{s:s}", "team", "blue"), *wanted = NULL;
    struct vault_labels metadata = { "password", "prod", labels };

    value = secret_of("x");
    assert_int_equal(vault_put(vault, "prod/db", value, &metadata, NULL), 0);
    assert_int_equal(put(vault, "user/github", "ghp", NULL), 0);
    assert_int_equal(put(vault, "agents/codex/oauth", "tok", NULL), 0);
    assert_int_equal(bind(vault, PLAIN, KEY_GRANT, "secret-key", NULL), 0);
    secret_free(TAKE_PTR(value));
    assert_int_equal(vault_get(vault, "nothing", &value, NULL), VAULT_NO_ENTRY);
    vault_lock(vault);
    list = vault_list(vault);
    wanted = json_pack("{s:s, s:s, s:s, s:s, s:{s:s}}", "path", "prod/db", "kind", "secret", "type", "password", "environment",
        "prod", "labels", "team", "blue");
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(json_get_str(json_array_get(list, 0), "kind"), "login");
    assert_string_equal(json_get_str(json_array_get(list, 1), "kind"), "binding");
    assert_true(json_equal(json_array_get(list, 2), wanted));
    assert_string_equal(json_get_str(json_array_get(list, 3), "kind"), "token");
    assert_int_equal(vault_unlock(vault, fixture->key, NULL), 0);
    assert_int_equal(vault_delete(vault, "nothing", NULL), VAULT_NO_ENTRY);
    assert_int_equal(vault_delete(vault, "prod/db", NULL), 0);
    assert_int_equal(vault_get(vault, "prod/db", &value, NULL), VAULT_NO_ENTRY);
    assert_value(vault, "user/github", "ghp");
}

static void test_refused(void **state)
{
    static const char *const paths[] = { "", "/a", "a/", "a/../b", "_a", "_grants/oauth2/google/me", "_dev", "_audit/head-key",
        "a\n" };
    struct fixture *fixture = *state;
    CLEANUP_PTR(secret_free) struct secret *value = NULL, *big = NULL;
    CLEANUP_JSON json_t *labels = json_pack("{s:i}", "n", 1);
    const struct vault_labels numbers = { NULL, NULL, labels }, control = { "a\x1b[2J", NULL, NULL };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_int_equal(put(fixture->vault, paths[i], "x", NULL), VAULT_REFUSED);
        assert_int_equal(vault_get(fixture->vault, paths[i], &value, NULL), VAULT_REFUSED);
        assert_int_equal(vault_delete(fixture->vault, paths[i], NULL), VAULT_REFUSED);
    }
    assert_int_equal(put(fixture->vault, OAUTH, "x", &err), VAULT_REFUSED);
    assert_non_null(strstr(err.hint, "aileron binding setup"));
    assert_int_equal(put(fixture->vault, PLAIN, "x", NULL), VAULT_REFUSED);
    assert_int_equal(vault_delete(fixture->vault, PLAIN, NULL), VAULT_REFUSED);
    assert_int_equal(put(fixture->vault, "a", "", NULL), VAULT_REFUSED);
    assert_int_equal(secret_new(VAULT_VALUE_MAX + 1, &big), 0);
    assert_int_equal(vault_put(fixture->vault, "a", big, NULL, NULL), VAULT_REFUSED);
    secret_cut(big, VAULT_VALUE_MAX);
    assert_int_equal(vault_put(fixture->vault, "a", big, &numbers, NULL), VAULT_REFUSED);
    assert_int_equal(vault_put(fixture->vault, "a", big, &control, NULL), VAULT_REFUSED);
    assert_int_equal(vault_put(fixture->vault, "a", big, NULL, NULL), 0);
}

/* One damaged entry: itself alone. */
static void test_damaged_entry(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_PTR(secret_free) struct secret *value = NULL, *key = key_of('n');
    CLEANUP_JSON json_t *file = NULL, *before = NULL, *after = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(put(fixture->vault, "good", "1", NULL), 0);
    assert_int_equal(put(fixture->vault, "bad", "2", NULL), 0);
    file = read_file(fixture);
    json_object_set_new(entry_of(file, "bad"), "value", json_string("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=="));
    write_file(fixture, file);
    assert_int_equal(vault_get(fixture->vault, "bad", &value, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "bad"));
    assert_value(fixture->vault, "good", "1");
    before = read_file(fixture);
    err_clear(&err);
    assert_int_equal(vault_rekey(fixture->vault, key, fixture->salt, &err), -EBADMSG);
    assert_non_null(strstr(err.message, "bad"));
    after = read_file(fixture);
    assert_true(json_equal(before, after));
    assert_value(fixture->vault, "good", "1");
    assert_int_equal(vault_delete(fixture->vault, "bad", NULL), 0);
    assert_int_equal(vault_rekey(fixture->vault, key, fixture->salt, NULL), 0);
}

static void test_rekey(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_PTR(secret_free) struct secret *key = key_of('n');
    uint8_t salt[KDF_SALT_BYTES] = "another salt 16", now[KDF_SALT_BYTES], one[SIGN_PUBLIC_BYTES], two[SIGN_PUBLIC_BYTES];

    assert_int_equal(put(fixture->vault, "a", "1", NULL), 0);
    assert_int_equal(bind(fixture->vault, OAUTH, OAUTH_GRANT, TOKEN, NULL), 0);
    assert_true(vault_signing_public(fixture->vault, one));
    assert_int_equal(vault_rekey(fixture->vault, key, salt, NULL), 0);
    assert_value(fixture->vault, "a", "1");
    assert_int_equal(lend(fixture->vault, OAUTH, "local://google", "ya29.first", NULL), 0);
    vault_lock(fixture->vault);
    assert_int_equal(vault_salt(fixture->vault, now, NULL), 0);
    assert_memory_equal(now, salt, sizeof salt);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), VAULT_WRONG_PASSPHRASE);
    assert_int_equal(vault_unlock(fixture->vault, key, NULL), 0);
    assert_value(fixture->vault, "a", "1");
    assert_int_equal(lend(fixture->vault, OAUTH, "local://google", "ya29.first", NULL), 0);
    assert_true(vault_signing_public(fixture->vault, two));
    assert_memory_equal(one, two, sizeof one);
}

/* An edit on disk is seen, kept, and never overwritten. */
static void test_edited(void **state)
{
    struct fixture *fixture = *state;
    struct vault *other = NULL;
    CLEANUP_PTR(secret_free) struct secret *key = key_of('n');
    CLEANUP_JSON json_t *file = NULL;

    assert_int_equal(vault_new(fixture->home, &other, NULL), 0);
    assert_int_equal(vault_unlock(other, fixture->key, NULL), 0);
    assert_int_equal(put(other, "from/other", "1", NULL), 0);
    assert_int_equal(put(fixture->vault, "from/here", "2", NULL), 0);
    assert_value(other, "from/here", "2");
    assert_value(fixture->vault, "from/other", "1");
    file = read_file(fixture);
    json_object_set_new(file, "future", json_pack("{s:i}", "kept", 1));
    write_file(fixture, file);
    assert_int_equal(put(fixture->vault, "third", "3", NULL), 0);
    json_decref(file);
    file = read_file(fixture);
    assert_non_null(json_object_get(file, "future"));
    /* Under another passphrase: refused, until it is locked and opened with that one. */
    assert_int_equal(vault_rekey(other, key, fixture->salt, NULL), 0);
    vault_free(other);
    assert_int_equal(put(fixture->vault, "fourth", "4", NULL), -ESTALE);
    assert_int_equal(vault_unlock(fixture->vault, key, NULL), VAULT_WRONG_PASSPHRASE);
    vault_lock(fixture->vault);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), VAULT_WRONG_PASSPHRASE);
    assert_int_equal(vault_unlock(fixture->vault, key, NULL), 0);
    assert_value(fixture->vault, "third", "3");
    /* Gone: not made again by accident. */
    assert_int_equal(unlinkat(fixture->folder, "secrets.json", 0), 0);
    assert_int_equal(put(fixture->vault, "fifth", "5", NULL), -ESTALE);
    assert_int_equal(count_files(fixture), 0);
    vault_lock(fixture->vault);
    assert_int_equal(vault_state(fixture->vault), KEEPER_VAULT_MISSING);
}

/* An attacker's own vault in the place of the open one proves nothing and opens nothing; put back, all goes on. */
static void test_vault_swapped(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_PTR(secret_free) struct secret *theirs = key_of('t');
    CLEANUP_JSON json_t *own = NULL, *edited = NULL;
    struct vault *other = NULL;
    uint8_t salt[KDF_SALT_BYTES] = "salt of another", now[KDF_SALT_BYTES];
    struct err err = ERR_INIT;

    assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, "secret-key", NULL), 0);
    own = read_file(fixture);
    assert_int_equal(unlinkat(fixture->folder, "secrets.json", 0), 0);
    assert_int_equal(vault_new(fixture->home, &other, NULL), 0);
    assert_int_equal(vault_create(other, theirs, salt, true, NULL), 0);
    vault_free(other);
    assert_int_equal(vault_salt(fixture->vault, now, NULL), 0);
    assert_memory_equal(now, fixture->salt, sizeof now);
    assert_int_equal(vault_unlock(fixture->vault, theirs, NULL), VAULT_WRONG_PASSPHRASE);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), 0);
    assert_false(vault_is_dev(fixture->vault));
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "", &err), VAULT_UNUSABLE);
    assert_non_null(strstr(err.message, "replaced"));
    assert_int_equal(vault_rekey(fixture->vault, theirs, salt, NULL), -ESTALE);
    write_file(fixture, own);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "secret-key", NULL), 0);
    /* Another salt alone would make the passphrase wrong for ever once it was written back. */
    edited = json_deep_copy(own);
    json_object_set_new(edited, "salt", json_string("AAECAwQFBgcICQoLDA0ODw=="));
    write_file(fixture, edited);
    assert_int_equal(put(fixture->vault, "a", "1", NULL), -ESTALE);
    write_file(fixture, own);
    assert_int_equal(put(fixture->vault, "a", "1", NULL), 0);
}

/* What the keeper would believe at its own paths cannot be brought in as a value and copied there on disk. */
static void test_values_of_ours(void **state)
{
    static const char *const values[] = { VAULT_DEV_MARK, VAULT_DEV_MARK "\n",
        "aileron-head-key-v1\n0123456789abcdef0123456789abcdef", "aileron-vault-v1",
        "{\"value_sha256\":\"\",\"connector_fqn\":\"local://evil\"}" };
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *file = NULL;
    uint8_t before[SIGN_PUBLIC_BYTES], after[SIGN_PUBLIC_BYTES];

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        assert_int_equal(put(fixture->vault, "x", values[i], NULL), VAULT_REFUSED);
        assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, values[i], NULL), VAULT_REFUSED);
    }
    /* 32 bytes that the attacker knows are no signing key. */
    assert_true(vault_signing_public(fixture->vault, before));
    assert_int_equal(put(fixture->vault, "x", "0123456789abcdef0123456789abcdef", NULL), 0);
    file = read_file(fixture);
    json_object_set(json_object_get(file, "secrets"), "_audit/head-key", entry_of(file, "x"));
    vault_lock(fixture->vault);
    write_file(fixture, file);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), 0);
    assert_false(vault_signing_public(fixture->vault, after));
}

/* Taken out of the file while it is open, the signing key is put back. */
static void test_signing_key_stays(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *file = read_file(fixture);
    uint8_t before[SIGN_PUBLIC_BYTES], after[SIGN_PUBLIC_BYTES];

    assert_true(vault_signing_public(fixture->vault, before));
    json_object_del(json_object_get(file, "secrets"), "_audit/head-key");
    write_file(fixture, file);
    assert_int_equal(put(fixture->vault, "a", "1", NULL), 0);
    vault_lock(fixture->vault);
    assert_int_equal(vault_unlock(fixture->vault, fixture->key, NULL), 0);
    assert_true(vault_signing_public(fixture->vault, after));
    assert_memory_equal(before, after, sizeof before);
}

/* Labels cannot grow what is told of all entries beyond what the broker reads. */
static void test_told_is_bounded(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *file = read_file(fixture), *labels = json_object(), *rows = NULL, *list = NULL;
    char text[1001];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    json_object_set_new(labels, "account", json_string(text));
    json_object_set_new(labels, "scope", json_string(text));
    for (int i = 0; i < 4000; i++) {
        char path[64];

        snprintf(path, sizeof path, "api_key/probe/n%d", i);
        json_object_set_new(json_object_get(file, "secrets"), path,
            json_pack("{s:s, s:{s:O}}", "value", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==", "metadata", "Labels", labels));
    }
    write_file(fixture, file);
    vault_lock(fixture->vault);
    rows = vault_describe(fixture->vault);
    list = vault_list(fixture->vault);
    assert_true(json_array_size(rows) > 500);
    assert_true(json_dumpb(rows, NULL, 0, JSON_COMPACT) < 3500000);
    assert_true(json_array_size(list) > 500);
    assert_true(json_dumpb(list, NULL, 0, JSON_COMPACT) < 3500000);
}

/* ---- bindings ---- */

static void test_binding(void **state)
{
    struct fixture *fixture = *state;
    struct vault *vault = fixture->vault;
    struct vault_loan loan = { 0 };
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    uint64_t first = 0, second = 0;

    assert_int_equal(
        bind(vault, OAUTH, OAUTH_GRANT, TOKEN, "{\"account\":\"me@x.test\",\"stale_reason\":null,\"default\":\"no\"}"), 0);
    assert_int_equal(vault_lend(vault, OAUTH, "local://google", &loan, NULL), 0);
    assert_memory_equal(secret_bytes(loan.refresh), "1//refresh", 10);
    assert_memory_equal(secret_bytes(loan.client_secret), "sss", 3);
    assert_true(loan.expires_unix_s == 4070908800);
    assert_string_equal(loan.grant->origins[0], "https://gmail.googleapis.com:443");
    first = loan.generation;
    assert_int_equal(vault_lend(vault, OAUTH, "local://google", &loan, NULL), 0);
    assert_true(loan.generation == first);
    assert_string_equal(label_of(fixture, OAUTH, "service"), "google");
    assert_string_equal(label_of(fixture, OAUTH, "identity"), "me");
    assert_string_equal(label_of(fixture, OAUTH, "connector_fqn"), "local://google");
    assert_string_equal(label_of(fixture, OAUTH, "status"), "active");
    assert_string_equal(label_of(fixture, OAUTH, "account"), "me@x.test");
    assert_string_equal(label_of(fixture, OAUTH, "default"), "true");
    assert_non_null(label_of(fixture, OAUTH, "created_at"));
    assert_int_equal(bind(vault, OAUTH, OAUTH_GRANT, TOKEN, "{\"account\":null}"), 0);
    assert_null(label_of(fixture, OAUTH, "account"));
    assert_int_equal(vault_binding_get(vault, OAUTH, &grant, &value, &second, NULL), 0);
    assert_true(second != first);
    assert_int_equal(secret_len(value), strlen(TOKEN));
    assert_memory_equal(secret_bytes(value), TOKEN, strlen(TOKEN));
    assert_string_equal(grant->token_url, "https://oauth2.googleapis.com/token");
    assert_int_equal(vault_binding_delete(vault, OAUTH, NULL), 0);
    assert_int_equal(vault_binding_delete(vault, OAUTH, NULL), VAULT_NO_BINDING);
    assert_int_equal(vault_lend(vault, OAUTH, "local://google", &loan, NULL), VAULT_NO_BINDING);
}

static void test_binding_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(bind(fixture->vault, OAUTH, OAUTH_GRANT, "no token", NULL), VAULT_REFUSED);
    assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, "short", NULL), VAULT_REFUSED);
    assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, "with a blank", NULL), VAULT_REFUSED);
    assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, "with\r\nX: y", NULL), VAULT_REFUSED);
    assert_int_equal(bind(fixture->vault, "api_key/UPPER/me", KEY_GRANT, "secret-key", NULL), VAULT_REFUSED);
    assert_int_equal(bind(fixture->vault, "api_key/probe", KEY_GRANT, "secret-key", NULL), VAULT_REFUSED);
    assert_int_equal(bind(fixture->vault, "plain/probe/me", KEY_GRANT, "secret-key", NULL), VAULT_REFUSED);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "", NULL), VAULT_NO_BINDING);
}

static void test_to_whom(void **state)
{
    struct fixture *fixture = *state;
    struct err err = ERR_INIT;

    assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, "secret-key", NULL), 0);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "secret-key", NULL), 0);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe2", "", NULL), VAULT_NO_BINDING);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://Probe", "", NULL), VAULT_NO_BINDING);
    assert_int_equal(lend(fixture->vault, PLAIN, "", "", NULL), VAULT_NO_BINDING);
    assert_int_equal(lend(fixture->vault, "_audit/head-key", "local://probe", "", NULL), VAULT_NO_BINDING);
    assert_int_equal(lend(fixture->vault, "../x", "local://probe", "", NULL), VAULT_NO_BINDING);
    vault_lock(fixture->vault);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "", &err), VAULT_UNUSABLE);
    assert_string_equal(err.hint, "aileron vault unlock");
}

/* Labels say local://evil; the grant says who gets it. */
static void test_labels_decide_nothing(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *file = NULL;

    assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, "secret-key", NULL), 0);
    file = read_file(fixture);
    json_object_set_new(json_object_get(json_object_get(entry_of(file, PLAIN), "metadata"), "Labels"), "connector_fqn",
        json_string("local://evil"));
    write_file(fixture, file);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://evil", "", NULL), VAULT_NO_BINDING);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "secret-key", NULL), 0);
}

/* Entries put in each other's place, in every way that keeps each seal whole. */
static void test_swapped(void **state)
{
    static const struct {
        const char *from, *to;
    } moves[] = {
        { "_grants/api_key/probe/other", "_grants/api_key/probe/me" },
        { "api_key/probe/other", "api_key/probe/me" },
        { "_audit/head-key", "api_key/probe/me" },
        { "_audit/head-key", "_grants/api_key/probe/me" },
        { "plain", "api_key/probe/me" },
        { "api_key/probe/me", "_grants/api_key/probe/me" },
    };
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *good = NULL, *both = NULL;

    assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, "secret-key", NULL), 0);
    assert_int_equal(bind(fixture->vault, "api_key/probe/other", KEY_GRANT, "other-key", NULL), 0);
    assert_int_equal(put(fixture->vault, "plain", "plain-value", NULL), 0);
    good = read_file(fixture);
    for (size_t i = 0; i < ARRAY_LEN(moves); i++) {
        CLEANUP_JSON json_t *file = json_deep_copy(good);
        struct err err = ERR_INIT;

        json_object_set(json_object_get(file, "secrets"), moves[i].to, entry_of(file, moves[i].from));
        write_file(fixture, file);
        assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "", &err), VAULT_UNUSABLE);
        assert_non_null(strstr(err.message, PLAIN));
        assert_null(strstr(err.message, "key\""));
        assert_int_equal(lend(fixture->vault, "api_key/probe/other", "local://probe", "other-key", NULL), 0);
    }
    /* Value and grant moved together: the grant names another binding. */
    both = json_deep_copy(good);
    json_object_set(json_object_get(both, "secrets"), PLAIN, entry_of(both, "api_key/probe/other"));
    json_object_set(json_object_get(both, "secrets"), VAULT_GRANTS PLAIN, entry_of(both, VAULT_GRANTS "api_key/probe/other"));
    write_file(fixture, both);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "", NULL), VAULT_UNUSABLE);
    write_file(fixture, good);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "secret-key", NULL), 0);
}

static void test_no_grant(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *file = NULL, *grant_json = json_loads(KEY_GRANT, 0, NULL), *rows = NULL;
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, "secret-key", NULL), 0);
    file = read_file(fixture);
    json_object_del(json_object_get(file, "secrets"), VAULT_GRANTS PLAIN);
    write_file(fixture, file);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "", &err), VAULT_UNUSABLE);
    assert_string_equal(err.hint, "`aileron binding rebind " PLAIN "` asks for consent once");
    rows = vault_describe(fixture->vault);
    assert_true(json_is_false(json_object_get(json_array_get(rows, 0), "granted")));
    assert_int_equal(grant_read(grant_json, GRANT_API_KEY, &grant, NULL), 0);
    assert_int_equal(vault_binding_regrant(fixture->vault, PLAIN, grant, NULL, NULL), 0);
    assert_int_equal(lend(fixture->vault, PLAIN, "local://probe", "secret-key", NULL), 0);
    assert_int_equal(vault_binding_regrant(fixture->vault, "api_key/probe/none", grant, NULL, NULL), VAULT_NO_BINDING);
}

static void test_marks(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    uint64_t generation = 0;
    struct err err = ERR_INIT;

    assert_int_equal(bind(fixture->vault, OAUTH, OAUTH_GRANT, TOKEN, NULL), 0);
    assert_int_equal(vault_binding_mark(fixture->vault, OAUTH, "stale", "refresh_failed", NULL), 0);
    assert_int_equal(lend(fixture->vault, OAUTH, "local://google", "", &err), VAULT_UNUSABLE);
    assert_string_equal(err.hint, "aileron binding reauthorize " OAUTH);
    assert_int_equal(vault_binding_get(fixture->vault, OAUTH, &grant, &value, &generation, NULL), 0);
    assert_int_equal(vault_binding_mark(fixture->vault, OAUTH, "active", NULL, NULL), 0);
    assert_null(label_of(fixture, OAUTH, "stale_reason"));
    assert_int_equal(lend(fixture->vault, OAUTH, "local://google", "ya29.first", NULL), 0);
    assert_int_equal(vault_binding_mark(fixture->vault, OAUTH, "revoked", NULL, NULL), 0);
    assert_int_equal(lend(fixture->vault, OAUTH, "local://google", "", NULL), VAULT_UNUSABLE);
    assert_int_equal(vault_binding_mark(fixture->vault, "oauth2/google/no", "active", NULL, NULL), VAULT_NO_BINDING);
}

static void test_default(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(bind(fixture->vault, "api_key/probe/a", KEY_GRANT, "secret-key", NULL), 0);
    assert_int_equal(bind(fixture->vault, "api_key/probe/b", KEY_GRANT, "secret-key", NULL), 0);
    assert_int_equal(bind(fixture->vault, OAUTH, OAUTH_GRANT, TOKEN, NULL), 0);
    assert_string_equal(label_of(fixture, "api_key/probe/a", "default"), "true");
    assert_null(label_of(fixture, "api_key/probe/b", "default"));
    assert_int_equal(vault_binding_set_default(fixture->vault, "api_key/probe/b", true, NULL), 0);
    assert_null(label_of(fixture, "api_key/probe/a", "default"));
    assert_string_equal(label_of(fixture, "api_key/probe/b", "default"), "true");
    assert_string_equal(label_of(fixture, OAUTH, "default"), "true");
    assert_int_equal(vault_binding_set_default(fixture->vault, "api_key/probe/b", false, NULL), 0);
    assert_null(label_of(fixture, "api_key/probe/b", "default"));
}

static void test_used(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *rows = NULL;

    assert_int_equal(bind(fixture->vault, PLAIN, KEY_GRANT, "secret-key", NULL), 0);
    vault_binding_used(fixture->vault, PLAIN, 1795521600);
    vault_binding_used(fixture->vault, "api_key/probe/none", 1795521600);
    assert_null(label_of(fixture, PLAIN, "last_used_at"));
    rows = vault_describe(fixture->vault);
    assert_string_equal(json_get_str(json_array_get(rows, 0), "last_used_at"), "2026-11-24T12:00:00.000Z");
    assert_int_equal(vault_flush(fixture->vault, NULL), 0);
    assert_string_equal(label_of(fixture, PLAIN, "last_used_at"), "1795521600");
    vault_binding_used(fixture->vault, PLAIN, 1795521700);
    vault_lock(fixture->vault);
    assert_string_equal(label_of(fixture, PLAIN, "last_used_at"), "1795521700");
}

static void test_describe(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_JSON json_t *rows = NULL, *locked = NULL, *file = NULL;
    CLEANUP_FREE char *text = NULL;
    const json_t *row = NULL;

    assert_int_equal(bind(fixture->vault, OAUTH, OAUTH_GRANT, TOKEN, "{\"granted_scopes\":\"a  b\",\"scope\":\"a b\"}"), 0);
    assert_int_equal(put(fixture->vault, "plain", "plain-value", NULL), 0);
    rows = vault_describe(fixture->vault);
    assert_int_equal(json_array_size(rows), 1);
    row = json_array_get(rows, 0);
    assert_string_equal(json_get_str(row, "binding"), OAUTH);
    assert_string_equal(json_get_str(row, "kind"), "oauth2");
    assert_string_equal(json_get_str(row, "service"), "google");
    assert_string_equal(json_get_str(row, "identity"), "me");
    assert_true(json_is_true(json_object_get(row, "granted")));
    assert_true(json_is_true(json_object_get(row, "refresh_token_present")));
    assert_int_equal(json_array_size(json_object_get(row, "granted_scopes")), 2);
    assert_string_equal(json_get_str(row, "expires_at"), "2099-01-01T00:00:00.000Z");
    text = json_dumps(rows, 0);
    assert_null(strstr(text, "ya29"));
    assert_null(strstr(text, "1//refresh"));
    assert_null(strstr(text, "sss"));
    vault_lock(fixture->vault);
    /* Labels that would upset a terminal or a clock are left out. */
    file = read_file(fixture);
    json_object_update_new(json_object_get(json_object_get(entry_of(file, OAUTH), "metadata"), "Labels"),
        json_pack("{s:s, s:s, s:s}", "account", "\x1b[2J", "created_at", "99999999999999999999", "last_used_at", "-1"));
    write_file(fixture, file);
    locked = vault_describe(fixture->vault);
    row = json_array_get(locked, 0);
    assert_null(json_object_get(row, "granted"));
    assert_null(json_object_get(row, "origins"));
    assert_null(json_object_get(row, "account"));
    assert_null(json_object_get(row, "created_at"));
    assert_null(json_object_get(row, "last_used_at"));
}

/* More bindings than stay open at the same time, in turn. */
static void test_many(void **state)
{
    struct fixture *fixture = *state;
    int64_t begin_us = 0, each_ns = 0;

    for (int i = 0; i < 70; i++) {
        char binding[64], value[64];

        snprintf(binding, sizeof binding, "api_key/probe/n%d", i);
        snprintf(value, sizeof value, "secret-key-%d", i);
        assert_int_equal(bind(fixture->vault, binding, KEY_GRANT, value, NULL), 0);
    }
    for (int i = 0; i < 210; i++) {
        char binding[64], value[64];

        snprintf(binding, sizeof binding, "api_key/probe/n%d", i % 70);
        snprintf(value, sizeof value, "secret-key-%d", i % 70);
        assert_int_equal(lend(fixture->vault, binding, "local://probe", value, NULL), 0);
    }
    begin_us = clock_boot_us();
    for (int i = 0; i < 10000; i++)
        assert_int_equal(lend(fixture->vault, "api_key/probe/n3", "local://probe", "secret-key-3", NULL), 0);
    each_ns = (clock_boot_us() - begin_us) / 10;
    print_message("a binding that is open is lent in %d ns\n", (int) each_ns);
    assert_true(each_ns < 200000);
}

/* ---- a disk that is full ---- */

static void test_unwritable(void **state)
{
    struct fixture *fixture = *state;
    CLEANUP_PTR(secret_free) struct secret *key = NULL;
    struct err err = ERR_INIT;

    if (geteuid() == 0)
        skip();
    key = key_of('n');
    assert_int_equal(put(fixture->vault, "a", "1", NULL), 0);
    assert_int_equal(chmod(fixture->home, 0500), 0);
    assert_int_equal(put(fixture->vault, "a", "2", &err), -EACCES);
    assert_true(err.message[0] != '\0');
    assert_int_equal(vault_rekey(fixture->vault, key, fixture->salt, NULL), -EACCES);
    assert_value(fixture->vault, "a", "1");
    assert_int_equal(chmod(fixture->home, 0700), 0);
    assert_int_equal(put(fixture->vault, "a", "2", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_dev, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tampered, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_legacy, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_legacy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_private, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_folder_of_others, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_entries, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_entry, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_rekey, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_edited, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_vault_swapped, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_values_of_ours, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_signing_key_stays, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_told_is_bounded, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_binding, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_binding_refused, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_to_whom, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_labels_decide_nothing, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_swapped, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_no_grant, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_marks, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_default, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_used, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_describe, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up_open, tear_down),
        cmocka_unit_test_setup_teardown(test_unwritable, set_up_open, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
