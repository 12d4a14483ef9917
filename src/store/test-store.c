/* The store on a real folder: put, find, list, remove, tampering, races, what is not a connector. */
#include "store/store.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define MANIFEST      "[connector]\nname = \"local://probe\"\nversion = \"1.2.3\"\n"

#define EXPECTED_HASH "530e66cd21c14a694e0069e947f4d57066eb758c3ceac54d0d821c29fb526872"

static char home[64];

static int setup(void **state)
{
    snprintf(home, sizeof(home), "/tmp/aileron-store-XXXXXX");
    return mkdtemp(home) ? 0 : -1;
}

static int teardown(void **state)
{
    return file_remove_tree(AT_FDCWD, home);
}

static struct buf text(const char *value)
{
    struct buf buf = BUF_INIT(1 << 20);

    assert_int_equal(buf_add_str(&buf, value), 0);
    return buf;
}

static int put(const char *fqn, const char *wasm, char hash[72], bool *existed, struct err *err)
{
    CLEANUP(buf_free) struct buf wasm_bytes = text(wasm);
    CLEANUP(buf_free) struct buf manifest = text(MANIFEST);

    return store_put(home, fqn, "1.2.3", &wasm_bytes, &manifest, NULL, hash, existed, err);
}

static void read_file(const char *relative, struct buf *out)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/%s", home, relative);
    assert_int_equal(file_read(AT_FDCWD, path, out, NULL), 0);
}

static void write_file(const char *path, const char *value)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(value, file);
    fclose(file);
}

static size_t entries_in(const char *relative)
{
    char path[512];
    size_t n = 0;

    snprintf(path, sizeof(path), "%s/%s", home, relative);
    CLEANUP_CLOSEDIR DIR *dir = opendir(path);
    for (struct dirent *item; dir && (item = readdir(dir));)
        n += item->d_name[0] != '.';
    return n;
}

static void test_put_find(void **state)
{
    struct store_connector found;
    bool existed = true;
    char hash[72];

    assert_int_equal(put("local://probe", "wasm", hash, &existed, NULL), 0);
    assert_false(existed);
    /* printf 'wasm[connector]\nname = "local://probe"\nversion = "1.2.3"\n' | sha256sum */
    assert_string_equal(hash, "sha256:" EXPECTED_HASH);
    assert_int_equal(store_find(home, hash, &found, NULL), 0);
    assert_string_equal(found.fqn, "local://probe");
    assert_string_equal(found.version, "1.2.3");
    assert_false(found.is_signed);
    assert_int_equal(put("local://probe", "wasm", hash, &existed, NULL), 0);
    assert_true(existed);
    assert_int_equal(entries_in("store/tmp"), 0);
}

static void test_private(void **state)
{
    struct store_connector found;
    struct stat st;
    char hash[72];
    bool existed;

    assert_int_equal(put("local://probe", "wasm", hash, &existed, NULL), 0);
    assert_int_equal(store_find(home, hash, &found, NULL), 0);
    assert_int_equal(stat(found.dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    CLEANUP_CLOSE int dirfd = open(found.dir, O_PATH | O_DIRECTORY);
    assert_int_equal(fstatat(dirfd, "connector.wasm", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_unsigned_only_local(void **state)
{
    struct err err = ERR_INIT;
    char hash[72];
    bool existed;

    assert_int_equal(put("github://acme/google", "wasm", hash, &existed, &err), -EPERM);
    assert_non_null(strstr(err.message, "local://"));
    assert_int_equal(entries_in("store/connectors/sha256"), 0);
}

static void test_missing(void **state)
{
    struct store_connector found;

    assert_int_equal(store_find(home, "sha256:" EXPECTED_HASH, &found, NULL), -ENOENT);
    assert_int_equal(store_find(home, "sha256:../../x", &found, NULL), -EINVAL);
    assert_int_equal(store_remove(home, "sha256:" EXPECTED_HASH, NULL), -ENOENT);
}

static void test_index(void **state)
{
    CLEANUP(buf_free) struct buf index = BUF_INIT(4096);
    CLEANUP(buf_free) struct buf again = BUF_INIT(4096);
    char hash[72], path[512];
    bool existed;

    assert_int_equal(put("local://probe", "wasm", hash, &existed, NULL), 0);
    read_file("store/index/connectors.json", &index);
    assert_string_equal(buf_str(&index), "{\"local://probe@1.2.3\":\"sha256:" EXPECTED_HASH "\"}\n");
    snprintf(path, sizeof(path), "%s/store/index/connectors.json", home);
    write_file(path, "{\"local://evil@1.0.0\":\"sha256:00\"}");
    CLEANUP_JSON json_t *list = NULL;
    assert_int_equal(store_list(home, &list, NULL), 0);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_get_str(json_array_get(list, 0), "fqn"), "local://probe");
    read_file("store/index/connectors.json", &again);
    assert_string_equal(buf_str(&again), buf_str(&index));
}

/* A changed file under a hash's name does not count as that connector being there. */
static void test_tampered(void **state)
{
    CLEANUP(buf_free) struct buf wasm = BUF_INIT(4096);
    struct store_connector found;
    char hash[72], path[4200], relative[256];
    bool existed;

    assert_int_equal(put("local://probe", "wasm", hash, &existed, NULL), 0);
    assert_int_equal(store_find(home, hash, &found, NULL), 0);
    snprintf(path, sizeof(path), "%s/connector.wasm", found.dir);
    write_file(path, "evil");
    assert_int_equal(put("local://probe", "wasm", hash, &existed, NULL), 0);
    assert_false(existed);
    snprintf(relative, sizeof(relative), "store/connectors/sha256/%s/connector.wasm", hash + 7);
    read_file(relative, &wasm);
    assert_string_equal(buf_str(&wasm), "wasm");
}

static void test_symlink(void **state)
{
    struct store_connector found;
    char hash[72], moved[4200];
    bool existed;

    assert_int_equal(put("local://probe", "wasm", hash, &existed, NULL), 0);
    assert_int_equal(store_find(home, hash, &found, NULL), 0);
    snprintf(moved, sizeof(moved), "%s/elsewhere", home);
    assert_int_equal(rename(found.dir, moved), 0);
    assert_int_equal(symlink(moved, found.dir), 0);
    assert_true(store_find(home, hash, &found, NULL) < 0);
}

static void test_remove(void **state)
{
    CLEANUP(buf_free) struct buf index = BUF_INIT(4096);
    struct store_connector found;
    char hash[72];
    bool existed;

    assert_int_equal(put("local://probe", "wasm", hash, &existed, NULL), 0);
    assert_int_equal(store_remove(home, hash, NULL), 0);
    assert_int_equal(store_find(home, hash, &found, NULL), -ENOENT);
    read_file("store/index/connectors.json", &index);
    assert_string_equal(buf_str(&index), "{}\n");
}

static void test_race(void **state)
{
    enum { RACERS = 8 };
    pid_t racers[RACERS];
    struct store_connector found;
    char hash[72];
    bool existed;

    for (int i = 0; i < RACERS; i++) {
        racers[i] = fork();
        if (!racers[i])
            _exit(put("local://probe", "wasm", hash, &existed, NULL) ? 1 : 0);
    }
    for (int i = 0; i < RACERS; i++) {
        int status = -1;
        assert_int_equal(waitpid(racers[i], &status, 0), racers[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(store_find(home, "sha256:" EXPECTED_HASH, &found, NULL), 0);
    assert_int_equal(entries_in("store/connectors/sha256"), 1);
    assert_int_equal(entries_in("store/tmp"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_put_find, setup, teardown),
        cmocka_unit_test_setup_teardown(test_private, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unsigned_only_local, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_index, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tampered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_symlink, setup, teardown),
        cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_race, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
