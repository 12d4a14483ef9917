/*
 * Changing the store, the signed actions and the keyring, interrupted. Every call that touches the disk is wrapped by the linker
 * (see meson.build), and each in turn is
 *   - the last one of the program (a kill or crash: what the kernel has been told stays),
 *   - the last one before the power goes (only what was synced stays; of the other changes of folders each prefix, and those of
 *     one folder alone; of file contents none, rubbish or all),
 *   - refused once, and from then on always, with ENOSPC and EIO.
 * After the repair of the next start the whole home is byte for byte what it was before or what it is afterwards; the
 * latter, if the change was acknowledged. Refused once, that is so even without the repair.
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

#include "base/cleanup.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/json.h"
#include "crypt/digest.h"
#include "store/action-record.h"
#include "store/keyring.h"
#include "store/store.h"

#include "base/banned.h"

#define STOPPED    77
#define CALLS_MAX  400
#define FDS_MAX    64
#define PATH_BYTES 256
#define STATE_MAX  (256 * 1024)

/* ---- the wrapped calls ---- */

enum mode { PASS, STOP, REFUSE_ONCE, REFUSE_FROM, RECORD };
enum what { CREATED, WRITTEN, SYNCED, FOLDER_SYNCED, RENAMED, UNLINKED, MADE };

struct event {
    enum what what;
    size_t file;                           /* CREATED, WRITTEN, SYNCED: which of the files of this run */
    ino_t folder, other;                   /* whose entries it changes; a rename may change two folders' */
    char path[PATH_BYTES], to[PATH_BYTES]; /* below the home */
    unsigned flags;
    char *data;
    size_t len;
};

static struct {
    enum mode mode;
    int at, refusal, calls;
    struct event events[CALLS_MAX];
    size_t len, files;
    int fds[FDS_MAX];
} disk;

static char home[64];

/* True when the call shall fail; does not come back when it is the last one. */
static bool is_refused(void)
{
    if (disk.mode == PASS || disk.mode == RECORD)
        return false;
    disk.calls++;
    if (disk.mode == STOP && disk.calls == disk.at)
        _exit(STOPPED);
    if ((disk.mode == REFUSE_ONCE && disk.calls == disk.at) || (disk.mode == REFUSE_FROM && disk.calls >= disk.at)) {
        errno = disk.refusal;
        return true;
    }
    return false;
}

/* The path below the home, and the inode of the folder that holds it. */
static void locate(int folder, const char *path, char out[PATH_BYTES], ino_t *ret_inode)
{
    char base[PATH_BYTES] = "", whole[2 * PATH_BYTES], link[64];
    struct stat st;

    if (path[0] != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        ssize_t n = readlink(link, base, sizeof base - 1);
        if (n < 0)
            abort();
        base[n] = '\0';
    }
    snprintf(whole, sizeof whole, "%s%s%s", base, base[0] ? "/" : "", path);
    if (strncmp(whole, home, strlen(home)) != 0 || strlen(whole) >= PATH_BYTES)
        abort();
    snprintf(out, PATH_BYTES, "%.*s", PATH_BYTES - 1, whole + strlen(home) + 1);
    *strrchr(whole, '/') = '\0';
    *ret_inode = stat(whole, &st) == 0 ? st.st_ino : 0;
}

static struct event *record(enum what what)
{
    if (disk.mode != RECORD)
        return NULL;
    if (disk.len == CALLS_MAX)
        abort();
    struct event *event = &disk.events[disk.len++];
    *event = (struct event){ .what = what };
    return event;
}

static size_t file_of(int fd)
{
    for (size_t i = disk.files; i > 0; i--)
        if (disk.fds[i - 1] == fd)
            return i - 1;
    abort();
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_openat64(int folder, const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_fsync(int fd);
int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __real_unlinkat(int folder, const char *path, int flags);
int __wrap_unlinkat(int folder, const char *path, int flags);
int __wrap_unlink(const char *path);
int __real_mkdirat(int folder, const char *path, mode_t mode);
int __wrap_mkdirat(int folder, const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);

int __wrap_open64(const char *path, int flags, ...)
{
    if (flags & O_CREAT)
        abort(); /* none of the code under test does */
    return is_refused() ? -1 : __real_open64(path, flags);
}

int __wrap_openat64(int folder, const char *path, int flags, ...)
{
    struct event *event = NULL;
    mode_t mode = 0;

    if (flags & O_CREAT) {
        va_list arguments;

        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (is_refused())
        return -1;
    int fd = __real_openat64(folder, path, flags, mode);
    if (fd >= 0 && flags & O_CREAT && (event = record(CREATED))) {
        if (disk.files == FDS_MAX)
            abort();
        disk.fds[disk.files] = fd;
        event->file = disk.files++;
        locate(folder, path, event->path, &event->folder);
    }
    return fd;
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    struct event *event = NULL;

    /* A stop in the middle of a write leaves half of it; a full disk takes half before it refuses. */
    if (disk.mode != PASS && disk.mode != RECORD && disk.calls + 1 == disk.at && len > 1 && __real_write(fd, data, len / 2) < 0)
        abort();
    if (is_refused())
        return -1;
    event = record(WRITTEN);
    if (event) {
        event->file = file_of(fd);
        event->data = malloc(len);
        event->len = len;
        memcpy(event->data, data, len);
    }
    return __real_write(fd, data, len);
}

/* Nothing is really synced: the disk of these tests is the record. */
int __wrap_fsync(int fd)
{
    struct event *event = NULL;
    struct stat st;

    if (is_refused())
        return -1;
    if (disk.mode == RECORD && fstat(fd, &st) == 0) {
        event = record(S_ISDIR(st.st_mode) ? FOLDER_SYNCED : SYNCED);
        event->folder = st.st_ino;
        event->file = S_ISDIR(st.st_mode) ? 0 : file_of(fd);
    }
    return 0;
}

int __wrap_fchmod(int fd, mode_t mode)
{
    return is_refused() ? -1 : __real_fchmod(fd, mode);
}

int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    struct event *event = NULL;

    if (is_refused())
        return -1;
    int r = __real_renameat2(from_folder, from, to_folder, to, flags);
    if (r == 0 && (event = record(RENAMED))) {
        event->flags = flags;
        locate(from_folder, from, event->path, &event->other);
        locate(to_folder, to, event->to, &event->folder);
    }
    return r;
}

int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return __wrap_renameat2(from_folder, from, to_folder, to, 0);
}

int __wrap_unlinkat(int folder, const char *path, int flags)
{
    struct event *event = NULL;

    if (is_refused())
        return -1;
    int r = __real_unlinkat(folder, path, flags);
    int code = errno;
    if (r == 0 && (event = record(UNLINKED))) {
        event->flags = (unsigned) flags;
        locate(folder, path, event->path, &event->folder);
    }
    errno = code;
    return r;
}

int __wrap_unlink(const char *path)
{
    return __wrap_unlinkat(AT_FDCWD, path, 0);
}

int __wrap_mkdirat(int folder, const char *path, mode_t mode)
{
    struct event *event = NULL;

    if (is_refused())
        return -1;
    int r = __real_mkdirat(folder, path, mode);
    int code = errno;
    if (r == 0 && (event = record(MADE)))
        locate(folder, path, event->path, &event->folder);
    errno = code;
    return r;
}

int __wrap_mkdir(const char *path, mode_t mode)
{
    return __wrap_mkdirat(AT_FDCWD, path, mode);
}

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

    return store_put(home, fqn, "1.0.0", &wasm, &manifest, &signature, hash, &existed, NULL);
}

static int act(const char *name, const char *version, const char *text)
{
    struct action_record record = { .text = (char *) text, .text_len = strlen(text) };

    snprintf(record.fqn, sizeof record.fqn, "github://acme/tools/%s", name);
    snprintf(record.version, sizeof record.version, "%s", version);
    return action_record_install(home, name, &record, NULL);
}

static int trust(const char *authority)
{
    static const struct keyring_key key = { "a key of the publisher, 32 bytes" };
    CLEANUP_PTR(keyring_free) struct keyring *keyring = NULL;
    int r = keyring_load(home, &keyring, NULL);

    if (r == 0)
        r = keyring_add(keyring, authority, &key, NULL);
    return r < 0 ? r : keyring_save(keyring, home, NULL);
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

    return store_content_hash(&wasm, &manifest, hash) < 0 ? -1 : store_remove(home, hash, NULL);
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
    return action_record_remove(home, "changing", NULL);
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

    snprintf(path, sizeof path, "%s/actions/%s.md", home, name);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static int repair(void)
{
    int r = store_repair(home, NULL);

    return r < 0 ? r : action_record_repair(home, NULL);
}

static void home_make(const struct operation *operation)
{
    disk.mode = PASS;
    /* Thousands of homes: in memory where there is room for them. */
    snprintf(home, sizeof home, "/dev/shm/test-crash-XXXXXX");
    if (!mkdtemp(home)) {
        snprintf(home, sizeof home, "/tmp/test-crash-XXXXXX");
        assert_non_null(mkdtemp(home));
    }
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

static void home_free(void)
{
    assert_int_equal(file_remove_tree(AT_FDCWD, home), 0);
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

    snprintf(path, sizeof path, "%s/%s", home, relative);
    int len = scandir(path, &entries, NULL, alphasort);
    assert_true(len >= 0);
    for (int i = 0; i < len; i++) {
        CLEANUP(buf_free) struct buf data = BUF_INIT(STATE_MAX);
        char inner[PATH_BYTES + sizeof entries[i]->d_name + 1];
        struct stat st;

        snprintf(inner, sizeof inner, "%s%s%s", relative, relative[0] ? "/" : "", entries[i]->d_name);
        snprintf(path, sizeof path, "%s/%s", home, inner);
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
    home_make(operation);
    before[1] = state_now(false);
    assert_int_equal(repair(), 0);
    before[0] = state_now(true);
    home_free();
    home_make(operation);
    assert_int_equal(operation->run(), 0);
    after[1] = state_now(false);
    assert_int_equal(repair(), 0);
    after[0] = state_now(true);
    home_free();
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
    disk.mode = PASS;
    assert_int_equal(repair(), 0);
    assert_state(before[0], after[0], true, acknowledged);
}

/* ---- stopped ---- */

static int run_stopped(const struct operation *operation, int at)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        disk.mode = STOP;
        disk.at = at;
        disk.calls = 0;
        _exit(operation->run() == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_stopped(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        int at = 0, status = STOPPED;

        expect(&operations[i]);
        while (status == STOPPED && at < CALLS_MAX) {
            home_make(&operations[i]);
            status = run_stopped(&operations[i], ++at);
            assert_true(status == STOPPED || status == 0);
            assert_whole(status == 0);
            home_free();
        }
        print_message("%s: stopped at each of %d calls\n", operations[i].name, at - 1);
        assert_int_equal(status, 0);
        assert_true(at > 4);
        expect_nothing();
    }
}

/* A repair that is stopped itself is repaired by the next one. */
static void test_stopped_repair(void **state)
{
    const struct operation *operation = &operations[6];

    expect(operation);
    for (int at = 1; at < 30; at++) {
        int status = 0;

        home_make(operation);
        run_stopped(operation, at);
        for (int again = 1; again < 30; again++) {
            pid_t child = fork();

            if (child == 0) {
                disk.mode = STOP;
                disk.at = again;
                disk.calls = 0;
                _exit(repair() == 0 ? 0 : 1);
            }
            assert_int_equal(waitpid(child, &status, 0), child);
        }
        assert_whole(false);
        home_free();
    }
    expect_nothing();
}

/* ---- refused ---- */

/* True when a call was refused. */
static bool run_refused(const struct operation *operation, enum mode mode, int refusal, int at)
{
    home_make(operation);
    disk.mode = mode;
    disk.at = at;
    disk.refusal = refusal;
    disk.calls = 0;
    int r = operation->run();
    disk.mode = PASS;
    if (mode == REFUSE_ONCE || r == 0)
        assert_state(before[1], after[1], false, r == 0);
    assert_whole(r == 0);
    home_free();
    return disk.calls >= at;
}

static void test_refused(void **state)
{
    static const enum mode modes[] = { REFUSE_ONCE, REFUSE_FROM };
    static const int refusals[] = { ENOSPC, EIO };

    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        expect(&operations[i]);
        for (size_t m = 0; m < ARRAY_LEN(modes); m++)
            for (size_t k = 0; k < ARRAY_LEN(refusals); k++) {
                int at = 1;

                while (run_refused(&operations[i], modes[m], refusals[k], at))
                    at++;
                assert_true(at > 4);
            }
        expect_nothing();
    }
}

/* ---- without power ---- */

enum content { EMPTY, RUBBISH, WHOLE, CONTENTS };

static bool is_change(const struct event *event)
{
    return event->what != WRITTEN && event->what != SYNCED && event->what != FOLDER_SYNCED;
}

/*
 * A change of a folder is on disk once the folder was synced; a rename from one into another once either was. What has a
 * name by a rename that is on disk was made as well.
 */
static bool is_synced(size_t index, size_t len)
{
    const struct event *event = &disk.events[index];

    for (size_t i = index + 1; i < len; i++)
        if ((event->what == CREATED || event->what == MADE) && disk.events[i].what == RENAMED &&
            !strcmp(disk.events[i].path, event->path) && is_synced(i, len))
            return true;
    for (size_t i = index + 1; i < len; i++)
        if (disk.events[i].what == FOLDER_SYNCED &&
            (disk.events[i].folder == event->folder || (event->what == RENAMED && disk.events[i].folder == event->other)))
            return true;
    return false;
}

static void replay_change(const struct event *event, int fds[FDS_MAX])
{
    char path[2 * PATH_BYTES], to[2 * PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", home, event->path);
    snprintf(to, sizeof to, "%s/%s", home, event->to);
    /* What was made in a folder that is not there is lost with it: whatever fails here is. */
    if (event->what == CREATED)
        fds[event->file] = openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    else if (event->what == MADE)
        mkdir(path, 0700);
    else if (event->what == UNLINKED)
        unlinkat(AT_FDCWD, path, (int) event->flags);
    else
        renameat2(AT_FDCWD, path, AT_FDCWD, to, event->flags);
}

/* What the disk has of a file: what was written before its last sync, and of the rest what `content` says. */
static void replay_data(size_t file, int fd, size_t len, enum content content)
{
    CLEANUP(buf_free) struct buf data = BUF_INIT(STATE_MAX);
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
    assert_int_equal(file_write_full(fd, buf_str(&data), data.len), 0);
}

/* The home after power was lost behind `len` events: with what was synced and those other changes that `keep` names. */
static void check_power_loss(const struct operation *operation, size_t len, const bool keep[CALLS_MAX], enum content content)
{
    int fds[FDS_MAX];

    for (size_t i = 0; i < FDS_MAX; i++)
        fds[i] = -1;
    home_make(operation);
    for (size_t i = 0; i < len; i++)
        if (is_change(&disk.events[i]) && (keep[i] || is_synced(i, len)))
            replay_change(&disk.events[i], fds);
    for (size_t file = 0; file < FDS_MAX; file++)
        if (fds[file] >= 0) {
            replay_data(file, fds[file], len, content);
            close(fds[file]);
        }
    assert_whole(len == disk.len);
    home_free();
}

/* With each prefix of the changes that were not synced, then with those of each folder alone. */
static size_t check_lost(const struct operation *operation, size_t len)
{
    bool keep[CALLS_MAX] = { false };
    size_t cases = 0;

    for (size_t end = 0; end <= len; end++) {
        bool is_new = end == 0 || (is_change(&disk.events[end - 1]) && !is_synced(end - 1, len));

        if (end > 0)
            keep[end - 1] = true;
        for (enum content content = EMPTY; is_new && content < CONTENTS; content++, cases++)
            check_power_loss(operation, len, keep, content);
    }
    for (size_t first = 0; first < len; first++) {
        bool done = !is_change(&disk.events[first]) || is_synced(first, len);

        for (size_t i = 0; i < first; i++)
            done |= is_change(&disk.events[i]) && !is_synced(i, len) && disk.events[i].folder == disk.events[first].folder;
        for (size_t i = 0; i < len; i++)
            keep[i] = disk.events[i].folder == disk.events[first].folder;
        for (enum content content = EMPTY; !done && content < CONTENTS; content++, cases++)
            check_power_loss(operation, len, keep, content);
    }
    return cases;
}

static void record_operation(const struct operation *operation)
{
    home_make(operation);
    disk.len = disk.files = 0;
    disk.mode = RECORD;
    assert_int_equal(operation->run(), 0);
    disk.mode = PASS;
    home_free();
}

static void test_power_loss(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        size_t cases = 0;

        expect(&operations[i]);
        record_operation(&operations[i]);
        assert_true(disk.len >= 3);
        for (size_t len = 0; len <= disk.len; len++)
            cases += check_lost(&operations[i], len);
        print_message("%s: %zu states of the disk after power was lost\n", operations[i].name, cases);
        for (size_t k = 0; k < disk.len; k++)
            free(disk.events[k].data);
        expect_nothing();
    }
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
