/*
 * Fuzzes the readers of the log: the input is a day's file. Both directions must
 * see the same lines; verification and queries must end; and after audit_open has
 * moved away what is torn, an event can be appended and found.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit/audit.h"
#include "audit/layout.h"
#include "audit/lines.h"
#include "base/file.h"
#include "base/json.h"

#include "base/banned.h"

#define NOON INT64_C(1795435200000) /* 2026-11-23T12:00:00Z */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static char dir_used[64];

static void folder_remove(void)
{
    file_remove_tree(AT_FDCWD, dir_used);
}

/* On a file system in memory where there is one: thousands of runs a second. */
static const char *folder(void)
{
    char *dir = dir_used;

    if (!dir[0]) {
        snprintf(dir, sizeof dir_used, "%s/fuzz-audit-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        require(mkdtemp(dir) != NULL);
        atexit(folder_remove);
    }
    return dir;
}

static void write_day(const char *dir, const uint8_t *data, size_t size)
{
    CLEANUP_CLOSE int dirfd = -1, fd = -1;

    file_remove_tree(AT_FDCWD, dir);
    require(mkdir(dir, 0700) == 0);
    dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fd = openat(dirfd, "audit-2026-11-22.jsonl", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    require(file_write_full(fd, data, size) == 0);
}

/* Number of whole lines, with their bytes summed up so that both ways can be compared. */
static void count_lines(int fd, int (*next)(struct audit_lines *, struct audit_text *), int (*start)(struct audit_lines *, int),
    size_t *ret_lines, uint64_t *ret_sum)
{
    CLEANUP_PTR(audit_lines_free) struct audit_lines *lines = NULL;
    struct audit_text text;
    struct audit_line line;

    require(audit_lines_new(&lines) == 0 && start(lines, fd) == 0);
    while (next(lines, &text) == 1) {
        if (!text.is_whole)
            continue;
        *ret_lines += 1;
        for (size_t i = 0; i < text.len; i++)
            *ret_sum += (uint64_t) (unsigned char) text.text[i] * (text.offset + i + 1);
        if (audit_line_read(text.text, text.len, &line))
            require(line.prev > text.text && line.prev + AUDIT_PREV_LEN < text.text + text.len && line.seq > 0);
    }
}

static void check_readers(const char *dir)
{
    char path[128];
    CLEANUP_CLOSE int fd = -1;
    size_t forward = 0, backward = 0;
    uint64_t sum = 0, back_sum = 0;

    snprintf(path, sizeof path, "%s/audit-2026-11-22.jsonl", dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    count_lines(fd, audit_lines_next, audit_lines_start, &forward, &sum);
    count_lines(fd, audit_lines_previous, audit_lines_start_at_end, &backward, &back_sum);
    require(forward == backward && sum == back_sum);
}

static void check_queries(const char *dir)
{
    struct audit_query query = { .limit = 5, .type = "daemon.*", .connector = NULL };
    struct audit_query narrow = {
        .limit = 5, .session = "AAAAAA", .class = "bad_input", .connector = "local://c", .since_unix_ms = 1
    };
    CLEANUP_JSON json_t *events = NULL, *few = NULL, *event = NULL;
    struct audit_verdict verdict;

    require(audit_verify(dir, &verdict, NULL) == 0 && (verdict.intact || (verdict.where[0] && verdict.what[0])));
    require(audit_find(dir, &query, &events, NULL) == 0 && audit_find(dir, &narrow, &few, NULL) == 0);
    audit_get(dir, "AAAAAA", &event, NULL);
}

static void check_append(const char *dir)
{
    CLEANUP_PTR(audit_close) struct audit_log *log = NULL;
    CLEANUP_JSON json_t *payload = json_object(), *found = NULL;
    struct audit_event event = { "daemon.started", NULL, AUDIT_SERVICE, "broker", payload };
    char id[ULID_ID_MAX];
    bool torn = false;

    require(audit_open(dir, &log, &torn, NULL) == 0);
    require(audit_append(log, &event, NOON, id, NULL) == 0);
    require(audit_get(dir, id, &found, NULL) == 0 && found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *dir = folder();

    write_day(dir, data, size);
    check_readers(dir);
    check_queries(dir);
    check_append(dir);
    return 0;
}
