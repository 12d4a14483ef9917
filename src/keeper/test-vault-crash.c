/*
 * Writing the vault, interrupted. Every call that touches the disk is wrapped by the linker (see meson.build), and each in turn is
 *   - the last one of the program (a kill or crash: what the kernel has been told stays),
 *   - the last one before the power goes (only what was synced stays; of the rest each prefix of the folder's changes, and
 *     file contents as empty, rubbish or whole),
 *   - refused once, and from then on always, with ENOSPC and EIO.
 * Afterwards the vault opens, holds all that was there, and has either the old or the new of what was being written; the new, if
 * it was acknowledged.
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
#include <sys/wait.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/json.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define NAME       "secrets.json"
#define STOPPED    77
#define CALLS_MAX  64
#define FILES_MAX  8
#define NAME_BYTES 64
#define PLAIN      "api_key/probe/me"
#define CONNECTOR  "local://probe"

/* ---- the wrapped calls ---- */

enum mode { PASS, STOP, REFUSE_ONCE, REFUSE_FROM, RECORD };
enum what { CREATED, WRITTEN, SYNCED, FOLDER_SYNCED, RENAMED, UNLINKED };

struct event {
    enum what what;
    size_t file;
    char name[NAME_BYTES], to[NAME_BYTES];
    char *data;
    size_t len;
};

static struct {
    enum mode mode;
    int at, refusal;
    int calls;
    struct event events[CALLS_MAX];
    size_t len, files;
    int fds[FILES_MAX];
} disk;

/* True when the call shall fail; does not come back when it is the last one. */
static bool is_refused(void)
{
    disk.calls++;
    if (disk.mode == STOP && disk.calls == disk.at)
        _exit(STOPPED);
    if ((disk.mode == REFUSE_ONCE && disk.calls == disk.at) || (disk.mode == REFUSE_FROM && disk.calls >= disk.at)) {
        errno = disk.refusal;
        return true;
    }
    return false;
}

static struct event *record(enum what what, size_t file, const char *name)
{
    struct event *event = &disk.events[disk.len];

    if (disk.mode != RECORD)
        return NULL;
    if (disk.len == CALLS_MAX || strlen(name) >= NAME_BYTES)
        abort();
    disk.len++;
    *event = (struct event){ .what = what, .file = file };
    memcpy(event->name, name, strlen(name) + 1);
    return event;
}

static size_t file_of(int fd)
{
    for (size_t i = disk.files; i > 0; i--)
        if (disk.fds[i - 1] == fd)
            return i - 1;
    abort();
}

int __real_openat64(int folder, const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __real_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __real_unlinkat(int folder, const char *path, int flags);
int __wrap_unlinkat(int folder, const char *path, int flags);

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
    mode_t mode = 0;
    int fd = -1;

    if (flags & O_CREAT) {
        va_list arguments;

        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (disk.mode != PASS && is_refused())
        return -1;
    fd = __real_openat64(folder, path, flags, mode);
    if (fd >= 0 && disk.mode == RECORD && flags & O_CREAT) {
        disk.fds[disk.files] = fd;
        record(CREATED, disk.files++, path);
    }
    return fd;
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    struct event *event = NULL;

    if (disk.mode == PASS)
        return __real_write(fd, data, len);
    /* A stop in the middle of a write leaves half of it; a full disk takes half before it refuses. */
    if (disk.calls + 1 == disk.at && len > 1 && __real_write(fd, data, len / 2) < 0)
        abort();
    if (is_refused())
        return -1;
    if (disk.mode == RECORD) {
        event = record(WRITTEN, file_of(fd), "");
        event->data = malloc(len);
        event->len = len;
        memcpy(event->data, data, len);
    }
    return __real_write(fd, data, len);
}

int __wrap_fsync(int fd)
{
    struct stat st;

    if (disk.mode != PASS && is_refused())
        return -1;
    if (disk.mode == RECORD && fstat(fd, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            record(FOLDER_SYNCED, 0, "");
        else
            record(SYNCED, file_of(fd), "");
    }
    return __real_fsync(fd);
}

int __wrap_fchmod(int fd, mode_t mode)
{
    return disk.mode != PASS && is_refused() ? -1 : __real_fchmod(fd, mode);
}

int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    struct event *event = NULL;

    if (disk.mode != PASS && is_refused())
        return -1;
    event = record(RENAMED, 0, from);
    if (event)
        snprintf(event->to, sizeof event->to, "%s", to);
    return __real_renameat(from_folder, from, to_folder, to);
}

int __wrap_unlinkat(int folder, const char *path, int flags)
{
    if (disk.mode != PASS && is_refused())
        return -1;
    record(UNLINKED, 0, path);
    return __real_unlinkat(folder, path, flags);
}

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

/* ---- folders ---- */

struct place {
    char home[64];
    int folder;
};

static struct buf before = BUF_INIT(VAULT_FILE_MAX); /* the file that each operation begins with */

static void place_make(struct place *place)
{
    snprintf(place->home, sizeof place->home, "/tmp/test-crash-XXXXXX");
    assert_non_null(mkdtemp(place->home));
    place->folder = open(place->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(place->folder >= 0);
}

static void place_free(struct place *place)
{
    close(place->folder);
    assert_int_equal(file_remove_tree(AT_FDCWD, place->home), 0);
}

static void place_put(const struct place *place, const char *name, const void *data, size_t len)
{
    CLEANUP_CLOSE int fd = openat(place->folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(file_write_full(fd, data, len), 0);
}

static size_t count_files(const struct place *place)
{
    CLEANUP_CLOSEDIR DIR *dir = opendir(place->home);
    size_t len = 0;

    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        len += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    return len;
}

static int make_before(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *key = key_of('k');
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;
    struct place place;

    json_init();
    place_make(&place);
    assert_int_equal(vault_new(place.home, &vault, NULL), 0);
    assert_int_equal(vault_create(vault, key, (const uint8_t *) "the first salt.", false, NULL), 0);
    assert_int_equal(put_value(vault, "kept", "always"), 0);
    assert_int_equal(put_value(vault, "changing", "old"), 0);
    assert_int_equal(bind_value(vault, "old-token"), 0);
    assert_int_equal(file_read(place.folder, NAME, &before, NULL), 0);
    place_free(&place);
    return 0;
}

static int free_before(void **state)
{
    buf_free(&before);
    return 0;
}

static struct vault *open_with(const struct place *place, char fill)
{
    CLEANUP_PTR(secret_free) struct secret *key = key_of(fill);
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;

    assert_int_equal(vault_new(place->home, &vault, NULL), 0);
    return vault_unlock(vault, key, NULL) == 0 ? TAKE_PTR(vault) : NULL;
}

static void assert_whole(const struct place *place, const struct operation *operation, bool is_acknowledged)
{
    CLEANUP_PTR(vault_free) struct vault *vault = open_with(place, 'k');

    if (!vault)
        vault = open_with(place, 'n');
    assert_non_null(vault);
    assert_true(has_value(vault, "kept", "always"));
    assert_true(lends(vault, "old-token") || operation->is_new == is_refreshed);
    assert_true(is_acknowledged ? operation->is_new(vault) : operation->is_new(vault) || operation->is_old(vault));
    /* What was half written is cleared away at the next start. */
    assert_int_equal(count_files(place), 1);
    assert_int_equal(put_value(vault, "after", "works"), 0);
}

/* ---- stopped ---- */

/* Runs the operation in a child, which stops at its `at`-th call. Its exit status. */
static int run_stopped(const struct place *place, const struct operation *operation, int at)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct vault *vault = open_with(place, 'k');

        if (!vault)
            _exit(1);
        disk.mode = STOP;
        disk.at = at;
        disk.calls = 0;
        _exit(operation->run(vault) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_stopped(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        int at = 0, status = STOPPED;

        while (status == STOPPED && at < CALLS_MAX) {
            struct place place;

            place_make(&place);
            place_put(&place, NAME, before.data, before.len);
            status = run_stopped(&place, &operations[i], ++at);
            assert_true(status == STOPPED || status == 0);
            assert_whole(&place, &operations[i], status == 0);
            place_free(&place);
        }
        print_message("%s: stopped at each of %d calls\n", operations[i].name, at - 1);
        assert_int_equal(status, 0);
        assert_true(at > 6);
    }
}

/* ---- refused ---- */

/* True when a call was refused. */
static bool run_refused(const struct operation *operation, enum mode mode, int refusal, int at)
{
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;
    struct place place;
    int r = 0;

    place_make(&place);
    place_put(&place, NAME, before.data, before.len);
    vault = open_with(&place, 'k');
    assert_non_null(vault);
    disk.mode = mode;
    disk.at = at;
    disk.refusal = refusal;
    disk.calls = 0;
    r = operation->run(vault);
    disk.mode = PASS;
    /* Nothing of what was there is lost, neither in memory nor on disk, and no more files than one. */
    assert_true(has_value(vault, "kept", "always"));
    assert_true(r == 0 ? operation->is_new(vault) : operation->is_old(vault) || operation->is_new(vault));
    if (mode == REFUSE_ONCE) {
        assert_true(r == 0 || operation->is_old(vault));
        assert_int_equal(count_files(&place), 1);
    }
    assert_whole(&place, operation, operation->is_new(vault));
    vault_free(TAKE_PTR(vault));
    place_free(&place);
    return disk.calls >= at;
}

static void test_refused(void **state)
{
    static const enum mode modes[] = { REFUSE_ONCE, REFUSE_FROM };
    static const int refusals[] = { ENOSPC, EIO };

    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        for (size_t m = 0; m < ARRAY_LEN(modes); m++)
            for (size_t k = 0; k < ARRAY_LEN(refusals); k++) {
                int at = 1;

                while (run_refused(&operations[i], modes[m], refusals[k], at))
                    at++;
                assert_true(at > 6);
            }
}

/* ---- without power ---- */

struct simulated {
    char names[FILES_MAX][NAME_BYTES]; /* of each file as the folder has it; "" = none */
    size_t old_name;                   /* whether the first file still has its name */
};

enum content { EMPTY, RUBBISH, WHOLE, CONTENTS };

/* The folder after the first `changes` of its changes within the first `len` events. Gives how many there are. */
static size_t folder_after(size_t len, size_t changes, struct simulated *out)
{
    size_t done = 0;

    *out = (struct simulated){ .old_name = 1 };
    for (size_t i = 0; i < len; i++) {
        const struct event *event = &disk.events[i];

        if (event->what != CREATED && event->what != RENAMED && event->what != UNLINKED)
            continue;
        if (done++ >= changes)
            continue;
        if (event->what == CREATED)
            snprintf(out->names[event->file], NAME_BYTES, "%s", event->name);
        for (size_t file = 0; event->what != CREATED && file < disk.files; file++)
            if (!strcmp(out->names[file], event->name)) {
                snprintf(out->names[file], NAME_BYTES, "%s", event->to);
                out->old_name = out->old_name && strcmp(event->to, NAME) != 0;
            }
    }
    return done;
}

/* Changes of the folder that were synced within the first `len` events. */
static size_t changes_synced(size_t len)
{
    struct simulated ignored;
    size_t synced = 0;

    for (size_t i = 0; i < len; i++)
        if (disk.events[i].what == FOLDER_SYNCED)
            synced = folder_after(i, 0, &ignored);
    return synced;
}

/* What the disk has of a file: what was written before its last sync, and of the rest what `content` says. */
static void put_file(const struct place *place, const char *name, size_t file, size_t len, enum content content)
{
    CLEANUP(buf_free) struct buf data = BUF_INIT(VAULT_FILE_MAX);
    size_t synced = 0;

    for (size_t i = 0; i < len; i++) {
        const struct event *event = &disk.events[i];

        if (event->file != file || (event->what != WRITTEN && event->what != SYNCED))
            continue;
        if (event->what == SYNCED)
            synced = data.len;
        else
            assert_int_equal(buf_add(&data, event->data, event->len), 0);
    }
    if (content == EMPTY)
        data.len = synced;
    if (content == RUBBISH && data.len > synced)
        memset(data.data + synced, 0, data.len - synced);
    place_put(place, name, buf_str(&data), data.len);
}

static void check_power_loss(
    const struct operation *operation, size_t len, size_t changes, enum content content, bool is_acknowledged)
{
    struct simulated folder;
    struct place place;

    folder_after(len, changes, &folder);
    place_make(&place);
    if (folder.old_name)
        place_put(&place, NAME, before.data, before.len);
    for (size_t file = 0; file < disk.files; file++)
        if (folder.names[file][0])
            put_file(&place, folder.names[file], file, len, content);
    assert_whole(&place, operation, is_acknowledged);
    place_free(&place);
}

static void record_operation(const struct operation *operation)
{
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;
    struct place place;

    place_make(&place);
    place_put(&place, NAME, before.data, before.len);
    vault = open_with(&place, 'k');
    disk.len = disk.files = 0;
    disk.at = 0;
    disk.mode = RECORD;
    assert_int_equal(operation->run(vault), 0);
    disk.mode = PASS;
    vault_free(TAKE_PTR(vault));
    place_free(&place);
}

static void test_power_loss(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        size_t cases = 0;

        record_operation(&operations[i]);
        assert_true(disk.len >= 5);
        for (size_t len = 0; len <= disk.len; len++) {
            struct simulated ignored;
            size_t all = folder_after(len, 0, &ignored);

            for (size_t changes = changes_synced(len); changes <= all; changes++)
                for (enum content content = EMPTY; content < CONTENTS; content++, cases++)
                    check_power_loss(&operations[i], len, changes, content, len == disk.len);
        }
        print_message("%s: %zu states of the disk after power was lost\n", operations[i].name, cases);
        for (size_t k = 0; k < disk.len; k++)
            free(disk.events[k].data);
    }
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
