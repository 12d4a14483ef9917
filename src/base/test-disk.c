/* See the header. What is recorded is one list of events, in their order; a file is a number there, whatever it is called. */
#include "base/test-disk.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/banned.h"

#define STOPPED    77
#define CALLS_MAX  400
#define FILES_MAX  64
#define PATH_BYTES 256
#define DATA_MAX   ((size_t) 1024 * 1024)

enum mode { PASS, STOP, REFUSE, RECORD };
enum what { CREATED, WRITTEN, TRUNCATED, SYNCED, FOLDER_SYNCED, RENAMED, UNLINKED, MADE, ACKNOWLEDGED };

struct event {
    enum what what;
    size_t file;                           /* CREATED, WRITTEN, TRUNCATED, SYNCED: which of the files of this run */
    ino_t folder, other;                   /* whose entries it changes; a rename may change two folders' */
    char path[PATH_BYTES], to[PATH_BYTES]; /* below the home */
    unsigned flags;
    char *data;
    size_t len;
};

static struct {
    enum mode mode;
    enum disk_refusal how;
    int at, refusal, calls;
    struct event events[CALLS_MAX];
    size_t len, files, fds_len;
    ino_t inodes[FILES_MAX];
    struct {
        int fd;
        size_t file;
    } fds[FILES_MAX];
    size_t *acknowledged; /* shared with children */
} disk;

char disk_home[64];

void disk_home_make(void)
{
    disk.mode = PASS;
    if (!disk.acknowledged)
        disk.acknowledged = mmap(NULL, sizeof *disk.acknowledged, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(disk.acknowledged, MAP_FAILED);
    *disk.acknowledged = 0;
    /* Thousands of homes: in memory where there is room for them. */
    snprintf(disk_home, sizeof disk_home, "/dev/shm/test-crash-XXXXXX");
    if (!mkdtemp(disk_home)) {
        snprintf(disk_home, sizeof disk_home, "/tmp/test-crash-XXXXXX");
        assert_non_null(mkdtemp(disk_home));
    }
}

void disk_home_free(void)
{
    disk.mode = PASS;
    assert_int_equal(file_remove_tree(AT_FDCWD, disk_home), 0);
}

/* ---- the wrapped calls ---- */

static bool is_refused_at(int call)
{
    switch (disk.how) {
    case DISK_REFUSE_ONCE:
        return call == disk.at;
    case DISK_REFUSE_TWICE:
        return call == disk.at || call == disk.at + 1;
    default:
        return call >= disk.at;
    }
}

/* True when the call shall fail; does not come back when it is the last one. */
static bool is_refused(void)
{
    if (disk.mode == PASS || disk.mode == RECORD)
        return false;
    disk.calls++;
    if (disk.mode == STOP && disk.calls == disk.at)
        _exit(STOPPED);
    if (disk.mode != REFUSE || !is_refused_at(disk.calls))
        return false;
    errno = disk.refusal;
    return true;
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
    if (strncmp(whole, disk_home, strlen(disk_home)) != 0 || strlen(whole) >= PATH_BYTES)
        abort();
    snprintf(out, PATH_BYTES, "%.*s", PATH_BYTES - 1, whole + strlen(disk_home) + 1);
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
    for (size_t i = disk.fds_len; i > 0; i--)
        if (disk.fds[i - 1].fd == fd)
            return disk.fds[i - 1].file;
    abort();
}

/* A file that was opened to be written: one of this run, or a new one. */
static void record_open(int folder, const char *path, int fd, bool existed)
{
    struct event *event = NULL;
    struct stat st;
    size_t file = disk.files;

    if (disk.mode != RECORD || fd < 0)
        return;
    if (fstat(fd, &st) < 0 || disk.fds_len == FILES_MAX || disk.files == FILES_MAX)
        abort();
    while (existed && file > 0 && disk.inodes[file - 1] != st.st_ino)
        file--;
    if (existed && file == 0)
        abort(); /* it is not from this run */
    disk.fds[disk.fds_len].fd = fd;
    disk.fds[disk.fds_len++].file = existed ? file - 1 : file;
    if (existed)
        return;
    disk.inodes[disk.files] = st.st_ino;
    event = record(CREATED);
    event->file = disk.files++;
    locate(folder, path, event->path, &event->folder);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __real_openat64(int folder, const char *path, int flags, ...);
int __wrap_openat64(int folder, const char *path, int flags, ...);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __real_ftruncate64(int fd, off_t len);
int __wrap_ftruncate64(int fd, off_t len);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
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
    struct stat st;
    mode_t mode = 0;

    if (!(flags & O_CREAT))
        return is_refused() ? -1 : __real_openat64(folder, path, flags);
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
    if (is_refused())
        return -1;
    bool existed = fstatat(folder, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = __real_openat64(folder, path, flags, mode);
    record_open(folder, path, fd, existed);
    return fd;
}

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
    bool is_last = disk.mode == STOP && disk.calls + 1 == disk.at;
    bool is_first = disk.mode == REFUSE && disk.calls + 1 == disk.at;
    struct event *event = NULL;

    /* A stop in the middle of a write leaves half of it; a full disk takes half before it refuses. */
    if ((is_last || is_first) && len > 1 && __real_write(fd, data, len / 2) < 0)
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

int __wrap_ftruncate64(int fd, off_t len)
{
    struct event *event = NULL;

    if (is_refused())
        return -1;
    event = record(TRUNCATED);
    if (event) {
        event->file = file_of(fd);
        event->len = (size_t) len;
    }
    return __real_ftruncate64(fd, len);
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

int __wrap_fdatasync(int fd)
{
    return __wrap_fsync(fd);
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

/* ---- a run ---- */

void disk_acknowledge(void)
{
    ++*disk.acknowledged;
    record(ACKNOWLEDGED);
}

static void begin(const struct disk_case *what)
{
    disk_home_make();
    if (what->make)
        what->make(what->userdata);
    disk.calls = 0;
}

static void check(const struct disk_case *what, bool power, size_t acknowledged)
{
    const struct disk_crash crash = { power, acknowledged };

    disk.mode = PASS;
    what->check(&crash, what->userdata);
    disk_home_free();
}

bool disk_stops_at(int (*fn)(void *userdata), void *userdata, int at, size_t *ret_acknowledged)
{
    int status = 0;

    *disk.acknowledged = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        disk.mode = STOP;
        disk.at = at;
        disk.calls = 0;
        _exit(fn(userdata) == 0 ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_true(WEXITSTATUS(status) == STOPPED || WEXITSTATUS(status) == 0);
    if (ret_acknowledged)
        *ret_acknowledged = *disk.acknowledged;
    return WEXITSTATUS(status) == STOPPED;
}

void disk_stop_everywhere(const struct disk_case *what, int least)
{
    bool stopped = true;
    int at = 0;

    while (stopped) {
        size_t acknowledged = 0;

        begin(what);
        stopped = disk_stops_at(what->run, what->userdata, ++at, &acknowledged);
        check(what, false, acknowledged);
    }
    print_message("%s: stopped at each of %d calls\n", what->name, at - 1);
    assert_true(at > least);
}

/* ---- refused ---- */

/* True when a call was refused. */
static bool run_refused(const struct disk_case *what, enum disk_refusal how, int refusal, int at)
{
    begin(what);
    disk.mode = REFUSE;
    disk.how = how;
    disk.at = at;
    disk.refusal = refusal;
    int r = what->run(what->userdata);
    disk.mode = PASS;
    if (what->refused)
        what->refused(how, r, what->userdata);
    check(what, false, *disk.acknowledged);
    return disk.calls >= at;
}

void disk_refuse_everywhere(const struct disk_case *what, int least)
{
    static const int refusals[] = { ENOSPC, EIO };

    for (int how = 0; how < DISK_REFUSALS; how++)
        for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
            int at = 1;

            if (how == DISK_REFUSE_TWICE && !what->twice)
                continue;
            while (run_refused(what, (enum disk_refusal) how, refusals[i], at))
                at++;
            assert_true(at > least);
        }
}

/* ---- without power ---- */

enum content { SYNCED_ONLY, ZEROS, HOLE, WHOLE, CONTENTS };

static bool is_change(const struct event *event)
{
    return event->what == CREATED || event->what == RENAMED || event->what == UNLINKED || event->what == MADE;
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

static void replay_change(const struct event *event, int fds[FILES_MAX])
{
    char path[2 * PATH_BYTES], to[2 * PATH_BYTES];

    snprintf(path, sizeof path, "%s/%s", disk_home, event->path);
    snprintf(to, sizeof to, "%s/%s", disk_home, event->to);
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

/* The bytes of a file after `len` events, and how many of them were there at its last sync. */
static void data_after(size_t file, size_t len, struct buf *data, size_t *ret_synced)
{
    *ret_synced = 0;
    for (size_t i = 0; i < len; i++) {
        const struct event *event = &disk.events[i];

        if (event->file != file)
            continue;
        if (event->what == SYNCED)
            *ret_synced = data->len;
        if (event->what == WRITTEN)
            assert_int_equal(buf_add(data, event->data, event->len), 0);
        if (event->what == TRUNCATED) {
            assert_true(event->len <= data->len);
            data->len = event->len;
            *ret_synced = *ret_synced < data->len ? *ret_synced : data->len;
        }
    }
}

/* What the disk has of it: what was there at its last sync, and of the rest what `content` says. */
static void replay_data(size_t file, int fd, size_t len, enum content content)
{
    CLEANUP(buf_free) struct buf data = BUF_INIT(DATA_MAX);
    size_t synced = 0;

    data_after(file, len, &data, &synced);
    if (content == SYNCED_ONLY)
        data.len = synced;
    if (content == ZEROS && data.len > synced)
        memset(data.data + synced, 0, data.len - synced);
    if (content == HOLE && data.len > synced)
        memset(data.data + synced, 0, (data.len - synced) / 2);
    assert_int_equal(file_write_full(fd, buf_str(&data), data.len), 0);
}

static size_t acknowledged_after(size_t len)
{
    size_t count = 0;

    for (size_t i = 0; i < len; i++)
        count += disk.events[i].what == ACKNOWLEDGED;
    return count;
}

/* The home after power was lost behind `len` events: with what was synced and those other changes that `keep` names. */
static void check_power_loss(const struct disk_case *what, size_t len, const bool keep[CALLS_MAX], enum content content)
{
    int fds[FILES_MAX];

    for (size_t i = 0; i < FILES_MAX; i++)
        fds[i] = -1;
    begin(what);
    for (size_t i = 0; i < len; i++)
        if (is_change(&disk.events[i]) && (keep[i] || is_synced(i, len)))
            replay_change(&disk.events[i], fds);
    for (size_t file = 0; file < FILES_MAX; file++)
        if (fds[file] >= 0) {
            replay_data(file, fds[file], len, content);
            close(fds[file]);
        }
    check(what, true, acknowledged_after(len));
}

/* With each prefix of the changes that were not synced, then with those of each folder alone. */
static size_t check_lost(const struct disk_case *what, size_t len)
{
    bool keep[CALLS_MAX] = { false };
    size_t cases = 0;

    for (size_t end = 0; end <= len; end++) {
        bool is_new = end == 0 || (is_change(&disk.events[end - 1]) && !is_synced(end - 1, len));

        if (end > 0)
            keep[end - 1] = true;
        for (int content = SYNCED_ONLY; is_new && content < CONTENTS; content++, cases++)
            check_power_loss(what, len, keep, (enum content) content);
    }
    for (size_t first = 0; first < len; first++) {
        bool done = !is_change(&disk.events[first]) || is_synced(first, len);

        for (size_t i = 0; i < first; i++)
            done |= is_change(&disk.events[i]) && !is_synced(i, len) && disk.events[i].folder == disk.events[first].folder;
        for (size_t i = 0; i < len; i++)
            keep[i] = disk.events[i].folder == disk.events[first].folder;
        for (int content = SYNCED_ONLY; !done && content < CONTENTS; content++, cases++)
            check_power_loss(what, len, keep, (enum content) content);
    }
    return cases;
}

void disk_lose_power_everywhere(const struct disk_case *what, size_t least)
{
    size_t cases = 0;

    begin(what);
    disk.len = disk.files = disk.fds_len = 0;
    disk.mode = RECORD;
    assert_int_equal(what->run(what->userdata), 0);
    disk_home_free();
    assert_true(disk.len >= least);
    for (size_t len = 0; len <= disk.len; len++)
        cases += check_lost(what, len);
    print_message("%s: %zu states of the disk after power was lost\n", what->name, cases);
    for (size_t i = 0; i < disk.len; i++)
        free(disk.events[i].data);
}
