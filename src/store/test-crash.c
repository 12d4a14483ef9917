/*
 * Changing the store, the signed actions and the keyring, interrupted in every way that base/test-disk.h knows. After the repair
 * of the next start the whole home is byte for byte what it was before or what it is afterwards; the latter, if the change was
 * acknowledged. Refused once, that is so even without the repair.
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

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/json.h"
#include "base/test-disk.h"
#include "crypt/digest.h"
#include "store/action-record.h"
#include "store/keyring.h"
#include "store/store.h"

#include "base/banned.h"

#define PATH_BYTES 256
#define STATE_MAX  (256 * 1024)

/* ---- what is done ---- */

#define MANIFEST(name) "[connector]\nname = \"github://acme/" name "\"\nversion = \"1.0.0\"\n"

static struct buf bytes(const char *text)
{
    struct buf buf = BUF_INIT(4096);

    if (buf_add_str(&buf, text) < 0)
        abort();
    return buf;
}

static int put(const char *fqn, const char *text, const char *signature_text)
{
    CLEANUP(buf_free) struct buf wasm = bytes("asm and more");
    CLEANUP(buf_free) struct buf manifest = bytes(text);
    CLEANUP(buf_free) struct buf signature = bytes(signature_text);
    char hash[72];
    bool existed;

    return store_put(disk_home, fqn, "1.0.0", &wasm, &manifest, &signature, hash, &existed, NULL);
}

static int act(const char *name, const char *version, const char *text)
{
    struct action_record record = { .text = (char *) text, .text_len = strlen(text) };

    snprintf(record.fqn, sizeof record.fqn, "github://acme/tools/%s", name);
    snprintf(record.version, sizeof record.version, "%s", version);
    return action_record_install(disk_home, name, &record, NULL);
}

static int trust(const char *authority)
{
    static const struct keyring_key key = { "a key of the publisher, 32 bytes" };
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    int r = keyring_load(disk_home, &keyring, NULL);

    if (r == 0)
        r = keyring_add(keyring, authority, &key, NULL);
    return r < 0 ? r : keyring_save(keyring, disk_home, NULL);
}

static int do_put(void)
{
    return put("github://acme/new", MANIFEST("new"), "signature");
}

static int do_resign(void)
{
    return put("github://acme/kept", MANIFEST("kept"), "another signature");
}

static int do_remove(void)
{
    CLEANUP(buf_free) struct buf wasm = bytes("asm and more");
    CLEANUP(buf_free) struct buf manifest = bytes(MANIFEST("old"));
    char hash[72];

    return store_content_hash(&wasm, &manifest, hash) < 0 ? -1 : store_remove(disk_home, hash, NULL);
}

static int do_act_new(void)
{
    return act("new", "1.0.0", "a new action");
}

static int do_act_update(void)
{
    return act("changing", "1.1.0", "the new text");
}

static int do_act_over_local(void)
{
    return act("local", "1.0.0", "the publisher's text");
}

static int do_act_remove(void)
{
    return action_record_remove(disk_home, "changing", NULL);
}

static int do_trust(void)
{
    return trust("github://another");
}

static const struct operation {
    const char *name;
    int (*run)(void);
    bool from_nothing; /* begins with an empty home */
} operations[] = {
    { "put the first connector", do_put, true },
    { "put a connector", do_put, false },
    { "put another signature", do_resign, false },
    { "remove a connector", do_remove, false },
    { "the first action", do_act_new, true },
    { "a new action", do_act_new, false },
    { "update an action", do_act_update, false },
    { "a signed action over a local one", do_act_over_local, false },
    { "remove an action", do_act_remove, false },
    { "the first key", do_trust, true },
    { "another key", do_trust, false },
};

/* ---- homes ---- */

static void write_local(const char *name, const char *text)
{
    char path[PATH_BYTES];

    snprintf(path, sizeof path, "%s/actions/%s.md", disk_home, name);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static int repair(void)
{
    int r = store_repair(disk_home, NULL);

    return r < 0 ? r : action_record_repair(disk_home, NULL);
}

static void fill(const struct operation *operation)
{
    if (operation->from_nothing)
        return;
    assert_int_equal(repair(), 0);
    assert_int_equal(put("github://acme/kept", MANIFEST("kept"), "signature"), 0);
    assert_int_equal(put("github://acme/old", MANIFEST("old"), "signature"), 0);
    assert_int_equal(act("kept", "1.0.0", "what is kept"), 0);
    assert_int_equal(act("changing", "1.0.0", "the old text"), 0);
    write_local("local", "a local action");
    assert_int_equal(trust("github://acme/kept"), 0);
}

/* What counts while nothing is repaired: not the index, which is a cache, not what nobody will look at. */
static bool counts(const char *path)
{
    const char *name = strrchr(path, '/');

    return (name ? name[1] : path[0]) != '.' && strncmp(path, "store/tmp/", 10) != 0 && strncmp(path, "store/index", 11) != 0;
}

/* One line a file: its path, mode and hash. */
static void state_add(struct buf *state, const char *relative, bool strict)
{
    char path[4 * PATH_BYTES], hex[2 * SHA256_BYTES + 1];
    struct dirent **entries = NULL;
    uint8_t hash[SHA256_BYTES];

    snprintf(path, sizeof path, "%s/%s", disk_home, relative);
    int len = scandir(path, &entries, NULL, alphasort);
    assert_true(len >= 0);
    for (int i = 0; i < len; i++) {
        CLEANUP(buf_free) struct buf data = BUF_INIT(STATE_MAX);
        char inner[PATH_BYTES + sizeof entries[i]->d_name + 1];
        struct stat st;

        snprintf(inner, sizeof inner, "%s%s%s", relative, relative[0] ? "/" : "", entries[i]->d_name);
        snprintf(path, sizeof path, "%s/%s", disk_home, inner);
        bool is_dot = !strcmp(entries[i]->d_name, ".") || !strcmp(entries[i]->d_name, "..");
        free(entries[i]);
        if (is_dot || (!strict && !counts(inner)))
            continue;
        assert_int_equal(lstat(path, &st), 0);
        if (S_ISDIR(st.st_mode)) {
            state_add(state, inner, strict);
            continue;
        }
        assert_int_equal(file_read(AT_FDCWD, path, &data, NULL), 0);
        assert_int_equal(sha256(buf_str(&data), data.len, hash), 0);
        hex_encode(hash, sizeof hash, hex);
        assert_int_equal(buf_printf(state, "%s %o %s\n", inner, st.st_mode & 07777, hex), 0);
    }
    free(entries);
}

static char *state_now(bool strict)
{
    CLEANUP(buf_free) struct buf state = BUF_INIT(STATE_MAX);

    state_add(&state, "", strict);
    return strdup(buf_str(&state));
}

/* What the home is before and after; [1] as it counts unrepaired. */
static char *before[2], *after[2];

static void expect(const struct operation *operation)
{
    disk_home_make();
    fill(operation);
    before[1] = state_now(false);
    assert_int_equal(repair(), 0);
    before[0] = state_now(true);
    disk_home_free();
    disk_home_make();
    fill(operation);
    assert_int_equal(operation->run(), 0);
    after[1] = state_now(false);
    assert_int_equal(repair(), 0);
    after[0] = state_now(true);
    disk_home_free();
    assert_string_not_equal(before[0], after[0]);
}

static void expect_nothing(void)
{
    for (size_t i = 0; i < 2; i++) {
        free(before[i]);
        free(after[i]);
    }
}

static void assert_state(const char *was, const char *is, bool strict, bool acknowledged)
{
    CLEANUP_FREE char *now = state_now(strict);

    if (!strcmp(now, is) || (!acknowledged && !strcmp(now, was)))
        return;
    print_error("--- now\n%s--- before\n%s--- after\n%s", now, was, is);
    fail();
}

static void assert_whole(bool acknowledged)
{
    assert_int_equal(repair(), 0);
    assert_state(before[0], after[0], true, acknowledged);
}

/* Before the repair of the next start the home is in order as well, unless the disk stayed full. */
static void look_refused(enum disk_refusal how, int result, void *userdata)
{
    if (how == DISK_REFUSE_ONCE || result == 0)
        assert_state(before[1], after[1], false, result == 0);
}

static void make_home(void *userdata)
{
    fill(userdata);
}

static int run_operation(void *userdata)
{
    const struct operation *operation = userdata;
    int r = operation->run();

    if (r == 0)
        disk_acknowledge();
    return r;
}

static void check_home(const struct disk_crash *crash, void *userdata)
{
    assert_whole(crash->acknowledged > 0);
}

static struct disk_case case_of(const struct operation *operation)
{
    return (struct disk_case){ operation->name, (void *) operation, make_home, run_operation, check_home, look_refused, false };
}

static void each(void (*test)(const struct disk_case *what))
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        const struct disk_case what = case_of(&operations[i]);

        expect(&operations[i]);
        test(&what);
        expect_nothing();
    }
}

static void stop(const struct disk_case *what)
{
    disk_stop_everywhere(what, 4);
}

static void refuse(const struct disk_case *what)
{
    disk_refuse_everywhere(what, 4);
}

static void lose_power(const struct disk_case *what)
{
    disk_lose_power_everywhere(what, 3);
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

static int run_repair(void *userdata)
{
    return repair();
}

/* A repair that is stopped itself is repaired by the next one. */
static void test_stopped_repair(void **state)
{
    const struct operation *operation = &operations[6];

    expect(operation);
    for (int at = 1; at < 30; at++) {
        disk_home_make();
        fill(operation);
        disk_stops_at(run_operation, (void *) operation, at, NULL);
        for (int again = 1; again < 30; again++)
            disk_stops_at(run_repair, NULL, again, NULL);
        assert_whole(false);
        disk_home_free();
    }
    expect_nothing();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_stopped_repair),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_power_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
