/*
 * Fuzzes the reader of signed heads: the input is heads.jsonl beside a log of eight events. Verification must end and never
 * anchor to what is not signed; taking the file up must leave one to which a head can be appended.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit/audit.h"
#include "audit/heads.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#include "base/banned.h"

#define NOON   INT64_C(1795435200000) /* 2026-11-23T12:00:00Z */
#define EVENTS 8

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

static void fill(const char *dir)
{
    CLEANUP_PTR(audit_close) struct audit_log *log = NULL;
    CLEANUP_JSON json_t *payload = json_object();
    struct audit_event event = { "vault.created", NULL, AUDIT_SERVICE, "broker", payload };
    char id[ULID_ID_MAX];
    bool torn = false;

    require(audit_open(dir, &log, &torn, NULL) == 0);
    for (int i = 0; i < EVENTS; i++)
        require(audit_append(log, &event, NOON, id, NULL) == 0);
}

static const char *folder(void)
{
    if (!dir_used[0]) {
        json_init();
        snprintf(dir_used, sizeof dir_used, "%s/fuzz-heads-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        require(mkdtemp(dir_used) != NULL);
        atexit(folder_remove);
        fill(dir_used);
    }
    return dir_used;
}

static void write_heads(const char *dir, const uint8_t *data, size_t size)
{
    CLEANUP_CLOSE int fd = -1;
    char path[128];

    snprintf(path, sizeof path, "%s/torn", dir);
    file_remove_tree(AT_FDCWD, path);
    snprintf(path, sizeof path, "%s/%s", dir, AUDIT_HEADS_FILE);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(file_write_full(fd, data, size) == 0);
}

static void check_verify(const char *dir)
{
    struct audit_verdict verdict;

    require(audit_verify(dir, &verdict, NULL) == 0);
    require(verdict.intact || (verdict.where[0] && verdict.what[0]));
    require(verdict.anchor.seq + verdict.anchor.later <= EVENTS);
}

static void check_append(const char *dir)
{
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = NULL;
    struct audit_head head = { .timestamp = "2026-11-23T12:00:00.000Z" };
    bool torn = false;

    require(audit_heads_open(dir, &heads, &torn, NULL) == 0);
    head.seq = audit_heads_last(heads)->seq + 1;
    memset(head.hash, 'a', AUDIT_PREV_LEN);
    if (head.seq < 1000000000000000000)
        require(audit_heads_append(heads, &head, NULL) == 0 && audit_heads_last(heads)->seq == head.seq);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *dir = folder();
    struct audit_head head;

    if (audit_head_read((const char *) data, size, &head))
        require(head.seq > 0 && strlen(head.hash) == AUDIT_PREV_LEN && strlen(head.timestamp) == AUDIT_TIME_LEN);
    write_heads(dir, data, size);
    check_verify(dir);
    check_append(dir);
    check_verify(dir);
    return 0;
}
