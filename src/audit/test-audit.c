/*
 * The log as the broker uses it, in a temporary folder: bytes of a line, the chain
 * over days, crashes at every byte of the last line, writes that fail half-way,
 * queries, and every way of tampering that verification must locate.
 */
#include "audit/audit.h"
#include "audit/layout.h"
#include "audit/lines.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#define NOON      INT64_C(1795435200000) /* 2026-11-23T12:00:00Z */
#define DAY       INT64_C(86400000)
#define DAY_FILE  "audit-2026-11-23.jsonl"
#define NEXT_FILE "audit-2026-11-24.jsonl"

struct fixture {
    char dir[64], log_dir[80];
    struct audit_log *log;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    if (!f)
        return -1;
    /* In memory where that is possible: the tests sync thousands of times. */
    snprintf(f->dir, sizeof f->dir, "%s/audit-test-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->log_dir, sizeof f->log_dir, "%s/audit", f->dir);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    audit_close(f->log);
    file_remove_tree(AT_FDCWD, f->dir);
    free(f);
    return 0;
}

/* (Re)opens; true when a torn line was moved away. */
static bool open_log(struct fixture *f)
{
    bool torn = false;
    struct err err = ERR_INIT;

    audit_close(f->log);
    f->log = NULL;
    if (audit_open(f->log_dir, &f->log, &torn, &err) < 0)
        fail_msg("%s", err.message);
    return torn;
}

static int append_event(struct fixture *f, const char *type, const char *session, const char *payload, int64_t now,
    char id[ULID_ID_MAX], struct err *err)
{
    CLEANUP_JSON json_t *object = json_loads(payload, 0, NULL);
    struct audit_event event = { type, session, AUDIT_SERVICE, "broker", object };

    assert_non_null(object);
    return audit_append(f->log, &event, now, id, err);
}

static void append(struct fixture *f, int64_t now)
{
    char id[ULID_ID_MAX];
    struct err err = ERR_INIT;

    if (append_event(f, "daemon.started", NULL, "{\"aileron.version\":\"0.1.0\"}", now, id, &err) < 0)
        fail_msg("%s", err.message);
}

static void append_many(struct fixture *f, int64_t now, int count)
{
    for (int i = 0; i < count; i++)
        append(f, now + i);
}

static void file_path(const struct fixture *f, const char *name, char out[256])
{
    assert_true(snprintf(out, 256, "%s/%s", f->log_dir, name) < 256);
}

static char *read_whole(const struct fixture *f, const char *name, size_t *ret_len)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(64 << 20);
    char path[256];

    file_path(f, name, path);
    assert_int_equal(file_read(AT_FDCWD, path, &buf, NULL), 0);
    *ret_len = buf.len;
    return buf_take(&buf);
}

/* Without fsync: thousands of these are written. */
static void write_whole(const struct fixture *f, const char *name, const char *data, size_t len)
{
    CLEANUP_CLOSE int fd = -1;
    char path[256];

    file_path(f, name, path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(file_write_full(fd, data, len), 0);
}

static struct audit_verdict verify(const struct fixture *f)
{
    struct audit_verdict verdict;
    struct err err = ERR_INIT;

    if (audit_verify(f->log_dir, &verdict, &err) < 0)
        fail_msg("%s", err.message);
    return verdict;
}

static void assert_intact(const struct fixture *f, uint64_t events)
{
    struct audit_verdict verdict = verify(f);

    if (!verdict.intact)
        fail_msg("%s: %s", verdict.where, verdict.what);
    assert_int_equal(verdict.events, events);
}

static void assert_fault(const struct fixture *f, const char *where, const char *what)
{
    struct audit_verdict verdict = verify(f);

    if (verdict.intact || strcmp(verdict.where, where) != 0 || strncmp(verdict.what, what, strlen(what)) != 0)
        fail_msg("intact %d, %s: %s; expected %s: %s", verdict.intact, verdict.where, verdict.what, where, what);
}

static void test_bytes_of_a_line(void **state)
{
    static const char payload[] =
        "{\"aileron.action.name\":\"a\",\"aileron.action.version\":\"1.0.0\",\"aileron.action.hash\":\"h\",\"aileron.connector."
        "fqn\":\"local://c\","
        "\"aileron.connector.version\":\"1.0.0\",\"aileron.connector.hash\":\"h\",\"aileron.connector.op\":\"o\","
        "\"aileron.execution.disposition\":\"unattended\"}";
    CLEANUP_JSON json_t *object = json_loads(payload, 0, NULL);
    struct fixture *f = *state;
    struct audit_event event = { "execution.started", "ses_1", AUDIT_AGENT, "Claude \"Code\"\n", object };
    CLEANUP_FREE char *text = NULL;
    char id[ULID_ID_MAX], expected[2048];
    struct stat st;
    size_t len = 0;
    struct err err = ERR_INIT;

    assert_false(open_log(f));
    assert_int_equal(audit_last_seq(f->log), 0);
    assert_int_equal(audit_append(f->log, &event, NOON + 7, id, &err), 0);
    text = read_whole(f, DAY_FILE, &len);
    snprintf(expected, sizeof expected,
        "{\"seq\":1,\"audit_id\":\"%s\",\"timestamp\":\"2026-11-23T12:00:00.007Z\",\"event_type\":\"execution.started\","
        "\"session_id\":\"ses_1\","
        "\"actor\":{\"type\":\"agent\",\"id\":\"Claude \\\"Code\\\"\\n\"},\"payload\":%s,\"prev\":\"sha256:" AUDIT_ZEROS "\"}\n",
        id, payload);
    assert_string_equal(text, expected);
    assert_int_equal(fstat(audit_fd(f->log), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(f->log_dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(audit_last_seq(f->log), 1);
    assert_intact(f, 1);
}

static void test_empty_log(void **state)
{
    struct fixture *f = *state;
    struct audit_query query = { .limit = 10 };
    CLEANUP_JSON json_t *events = NULL;
    struct err err = ERR_INIT;

    assert_intact(f, 0);
    assert_int_equal(audit_find(f->log_dir, &query, &events, &err), 0);
    assert_int_equal(json_array_size(events), 0);
    assert_int_equal(audit_get(f->log_dir, "ABCDEF", &events, &err), -ENOENT);
    assert_false(open_log(f));
    assert_int_equal(audit_fd(f->log), -1);
    assert_intact(f, 0);
}

static void test_chain_over_days_and_restarts(void **state)
{
    struct fixture *f = *state;
    char path[256];

    open_log(f);
    append_many(f, NOON, 3);
    append_many(f, NOON + DAY, 3);
    assert_false(open_log(f));
    assert_int_equal(audit_last_seq(f->log), 6);
    append(f, NOON + DAY);
    /* The clock goes back a day: the newest file goes on. */
    append(f, NOON);
    assert_int_equal(audit_last_seq(f->log), 8);
    assert_intact(f, 8);
    assert_int_equal(verify(f).files, 2);
    /* A file begun just before a crash is empty, and no fault. */
    audit_close(f->log);
    f->log = NULL;
    write_whole(f, "audit-2026-11-25.jsonl", "", 0);
    write_whole(f, "audit-2026-11-26.jsonl", "", 0);
    assert_false(open_log(f));
    append(f, NOON);
    assert_intact(f, 9);
    file_path(f, "audit-2026-11-26.jsonl", path);
    assert_int_equal(truncate(path, 0), 0);
    assert_intact(f, 8);
}

/* A crash may leave any part of the last line. */
static void test_torn_at_every_byte(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *text = NULL;
    size_t len = 0, last = 0;

    open_log(f);
    append_many(f, NOON, 3);
    audit_close(f->log);
    f->log = NULL;
    text = read_whole(f, DAY_FILE, &len);
    last = (size_t) ((char *) memrchr(text, '\n', len - 1) + 1 - text);
    for (size_t cut = last; cut <= len; cut++) {
        write_whole(f, DAY_FILE, text, cut);
        assert_int_equal(open_log(f), cut > last && cut < len);
        assert_int_equal(audit_last_seq(f->log), cut == len ? 3 : 2);
        append(f, NOON);
        assert_intact(f, cut == len ? 4 : 3);
        audit_close(f->log);
        f->log = NULL;
    }
}

static void assert_torn_piece(const struct fixture *f, const char *name, const char *data, size_t len)
{
    CLEANUP_FREE char *piece = NULL;
    size_t piece_len = 0;

    piece = read_whole(f, name, &piece_len);
    assert_int_equal(piece_len, len);
    assert_memory_equal(piece, data, len);
}

static void test_torn_pieces_are_kept(void **state)
{
    struct fixture *f = *state;
    CLEANUP(buf_free) struct buf tail = BUF_INIT(1 << 20);
    char path[256], name[256];
    off_t size = 0;
    struct stat st;

    open_log(f);
    append_many(f, NOON, 2);
    assert_int_equal(fstat(audit_fd(f->log), &st), 0);
    size = st.st_size;
    file_path(f, DAY_FILE, path);
    for (int i = 0; i < 300000; i++)
        assert_int_equal(buf_add_char(&tail, i % 1000 == 999 ? '\n' : '\0'), 0);
    for (int round = 0; round < 2; round++) {
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_APPEND);

        assert_int_equal(file_write_full(fd, tail.data, tail.len), 0);
        assert_true(open_log(f));
        assert_int_equal(audit_last_seq(f->log), 2);
        snprintf(name, sizeof name, "torn/%s.%lld.%d", DAY_FILE, (long long) size, round);
        assert_torn_piece(f, name, tail.data, tail.len);
    }
    assert_false(open_log(f));
    append(f, NOON);
    assert_intact(f, 3);
}

static void test_torn_first_line(void **state)
{
    struct fixture *f = *state;

    open_log(f);
    append_many(f, NOON, 2);
    audit_close(f->log);
    f->log = NULL;
    write_whole(f, NEXT_FILE, "{\"seq\":3,\"aud", 13);
    assert_true(open_log(f));
    append(f, NOON);
    assert_intact(f, 3);
}

/* The disk fills up in the middle of a line: nothing of it may stay. */
static void test_short_write_is_undone(void **state)
{
    struct fixture *f = *state;
    struct rlimit old, small;
    struct stat before, after;
    char id[ULID_ID_MAX] = "untouched";
    struct err err = ERR_INIT;
    int r = 0;

    open_log(f);
    append_many(f, NOON, 2);
    assert_int_equal(fstat(audit_fd(f->log), &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (int room = 0; room < 200; room += 33) {
        small = (struct rlimit){ (rlim_t) (before.st_size + room), old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        r = append_event(f, "daemon.started", NULL, "{}", NOON, id, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(r, -EFBIG);
        assert_string_equal(id, "untouched");
        assert_int_equal(fstat(audit_fd(f->log), &after), 0);
        assert_int_equal(after.st_size, before.st_size);
    }
    append(f, NOON);
    assert_intact(f, 3);
}

static void test_changed_under_us(void **state)
{
    struct fixture *f = *state;
    char path[256], id[ULID_ID_MAX];
    struct err err = ERR_INIT;

    open_log(f);
    append_many(f, NOON, 2);
    file_path(f, DAY_FILE, path);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(append_event(f, "daemon.started", NULL, "{}", NOON, id, &err), -EIO);
    assert_true(err.hint[0] != '\0');
    open_log(f);
    append_many(f, NOON, 2);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(append_event(f, "daemon.started", NULL, "{}", NOON, id, &err), -EIO);
    /* A new day changes nothing: only a new start does. */
    assert_int_equal(append_event(f, "daemon.started", NULL, "{}", NOON + DAY, id, &err), -EIO);
    open_log(f);
    append(f, NOON);
    assert_intact(f, 1);
}

static void test_symlinks_are_refused(void **state)
{
    struct fixture *f = *state;
    char path[256];
    struct audit_log *log = NULL;
    bool torn = false;
    struct err err = ERR_INIT;

    assert_int_equal(mkdir(f->log_dir, 0700), 0);
    file_path(f, DAY_FILE, path);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_true(audit_open(f->log_dir, &log, &torn, &err) < 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(audit_open(f->log_dir, &log, &torn, &err) < 0);
    assert_null(log);
}

static void test_required_keys(void **state)
{
    static const char *const types[] = {
        "execution.started",
        "execution.succeeded",
        "execution.failed",
        "approval.requested",
        "approval.approved",
        "approval.denied",
        "approval.expired",
        "approval.cancelled",
        "action.installed",
        "action.updated",
        "connector.installed",
        "action.removed",
        "action.enabled",
        "action.disabled",
        "connector.removed",
        "consent.cancelled",
        "binding.created",
        "binding.resolved",
        "binding.refreshed",
        "binding.rebound",
        "binding.revoked",
        "binding.failed",
        "vault.created",
        "vault.unlocked",
        "vault.unlock_failed",
        "vault.locked",
        "vault.passphrase_changed",
        "secret.written",
        "secret.deleted",
        "keyring.trusted",
        "keyring.revoked",
        "session.started",
        "session.ended",
        "daemon.started",
        "daemon.stopped",
        "audit.recovered",
        "capability.denied",
    };
    struct fixture *f = *state;

    open_log(f);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        const char *const *keys = audit_required_keys(types[i]);
        CLEANUP_JSON json_t *payload = json_object();
        struct audit_event event = { types[i], "ses_1", AUDIT_HUMAN, "cli", payload };
        char id[ULID_ID_MAX];
        struct err err = ERR_INIT;

        assert_non_null(keys);
        for (const char *const *key = keys; *key; key++) {
            const char *name = strrchr(*key, '|') ? strrchr(*key, '|') + 1 : *key;

            /* Each key in turn is the one that is missing, then empty. */
            assert_int_equal(audit_append(f->log, &event, NOON, id, &err), -EINVAL);
            assert_non_null(strstr(err.message, *key));
            json_object_set_new(payload, name, json_string(""));
            assert_int_equal(audit_append(f->log, &event, NOON, id, &err), -EINVAL);
            json_object_set_new(payload, name, json_string(strstr(name, "disposition") ? "unattended" : "x"));
        }
        if (audit_append(f->log, &event, NOON, id, &err) < 0)
            fail_msg("%s", err.message);
    }
    assert_intact(f, ARRAY_LEN(types));
    assert_null(audit_required_keys("execution.unknown"));
}

static void test_refused_events(void **state)
{
    struct fixture *f = *state;
    CLEANUP_JSON json_t *approved = NULL;
    CLEANUP_FREE char *large = calloc(1, 70000);
    char id[ULID_ID_MAX], payload[70100];
    struct err err = ERR_INIT;
    struct audit_event event = { "execution.started", NULL, AUDIT_AGENT, NULL, NULL };

    open_log(f);
    assert_int_equal(append_event(f, "daemon.exploded", NULL, "{}", NOON, id, &err), -EINVAL);
    assert_int_equal(append_event(f, "session.started", NULL, "{}", NOON, id, &err), -EINVAL);
    assert_int_equal(append_event(f, "session.started", "ses\"x", "{}", NOON, id, &err), -EINVAL);
    assert_int_equal(append_event(f, "daemon.started", NULL, "[]", NOON, id, &err), -EINVAL);
    memset(large, 'x', 69999);
    snprintf(payload, sizeof payload, "{\"k\":\"%s\"}", large);
    assert_int_equal(append_event(f, "daemon.started", NULL, payload, NOON, id, &err), -E2BIG);
    approved = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "aileron.action.name", "a", "aileron.action.version", "1",
        "aileron.action.hash", "h", "aileron.connector.fqn", "f", "aileron.connector.version", "1", "aileron.connector.hash", "h",
        "aileron.connector.op", "o", "aileron.execution.disposition", "approved");
    event.payload = approved;
    assert_int_equal(audit_append(f->log, &event, NOON, id, &err), -EINVAL);
    json_object_set_new(approved, "aileron.approval.id", json_string("apr_1"));
    assert_int_equal(audit_append(f->log, &event, NOON, id, &err), 0);
    json_object_set_new(approved, "aileron.execution.disposition", json_string("lucky"));
    assert_int_equal(audit_append(f->log, &event, NOON, id, &err), -EINVAL);
    assert_intact(f, 1);
}

/* Lines of the file, each with its newline; the text must outlive them. */
static size_t split(char *text, size_t len, char *lines[], size_t max)
{
    size_t count = 0;

    for (char *at = text; at < text + len && count < max; at = (char *) memchr(at, '\n', (size_t) (text + len - at)) + 1)
        lines[count++] = at;
    lines[count] = text + len;
    return count;
}

static void write_lines(const struct fixture *f, char *const lines[], const size_t *order, size_t count)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(1 << 20);

    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_add(&out, lines[order[i]], (size_t) (lines[order[i] + 1] - lines[order[i]])), 0);
    write_whole(f, DAY_FILE, buf_str(&out), out.len);
}

static void test_tampering_with_lines(void **state)
{
    static const struct {
        size_t order[8], count;
        const char *where, *what;
    } cases[] = {
        { { 0, 1, 3, 4, 5 }, 5, DAY_FILE " line 3", "cut: events 3 to 3" },
        { { 0, 1, 2, 5 }, 4, DAY_FILE " line 4", "cut: events 4 to 5" },
        { { 1, 2, 3 }, 3, DAY_FILE " line 1", "cut: the log starts at event 2" },
        { { 0, 2, 1, 3 }, 4, DAY_FILE " line 2", "cut: events 2 to 2" },
        { { 0, 1, 2, 1 }, 4, DAY_FILE " line 4", "reordered: event 2 stands after event 3" },
        { { 0, 1, 1, 2 }, 4, DAY_FILE " line 3", "repeated" },
        { { 0, 0 }, 2, DAY_FILE " line 2", "repeated" },
    };
    struct fixture *f = *state;
    CLEANUP_FREE char *text = NULL;
    char *lines[16];
    size_t len = 0;

    open_log(f);
    append_many(f, NOON, 6);
    text = read_whole(f, DAY_FILE, &len);
    assert_int_equal(split(text, len, lines, 10), 6);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_lines(f, lines, cases[i].order, cases[i].count);
        assert_fault(f, cases[i].where, cases[i].what);
    }
}

/* Every byte of the file but those of the last line, changed one at a time. */
static void test_tampering_with_every_byte(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *text = NULL;
    char *lines[16];
    size_t len = 0, count = 0;

    open_log(f);
    append_many(f, NOON, 4);
    text = read_whole(f, DAY_FILE, &len);
    count = split(text, len, lines, 10);
    if (count != 4) {
        fail_msg("%zu lines", count);
        return;
    }
    for (char *at = text; at < lines[count - 1]; at++) {
        struct audit_verdict verdict;
        char old = *at, where[64];
        int line = 1;

        for (char *c = text; c < at; c++)
            line += *c == '\n';
        *at = old == '7' ? '8' : '7';
        write_whole(f, DAY_FILE, text, len);
        verdict = verify(f);
        snprintf(where, sizeof where, DAY_FILE " line %d", line);
        if (verdict.intact || strcmp(verdict.where, where) != 0)
            fail_msg("byte %d: intact %d, %s: %s, not %s", (int) (at - text), verdict.intact, verdict.where, verdict.what, where);
        *at = old;
    }
}

static void test_tampering_over_days(void **state)
{
    struct fixture *f = *state;
    char path[256], other[256];
    CLEANUP_FREE char *text = NULL;
    size_t len = 0;

    open_log(f);
    append_many(f, NOON, 2);
    append_many(f, NOON + DAY, 2);
    append_many(f, NOON + 2 * DAY, 2);
    assert_intact(f, 6);
    file_path(f, NEXT_FILE, path);
    file_path(f, "hidden", other);
    assert_int_equal(rename(path, other), 0);
    assert_fault(f, "audit-2026-11-25.jsonl line 1", "gap between days: events 3 to 4");
    assert_int_equal(rename(other, path), 0);
    /* An edit at the end of a day shows at the start of the next one, and is laid at the right door. */
    text = read_whole(f, NEXT_FILE, &len);
    memcpy(strstr(strchr(text, '\n'), "0.1.0"), "0.1.1", 5);
    write_whole(f, NEXT_FILE, text, len);
    assert_fault(f, NEXT_FILE " line 2", "edited");
    assert_int_equal(truncate(path, (off_t) len - 1), 0);
    assert_fault(f, NEXT_FILE " line 2", "torn");
    file_path(f, DAY_FILE, path);
    assert_int_equal(unlink(path), 0);
    assert_fault(f, NEXT_FILE " line 1", "cut: the log starts at event 3");
}

static void test_head_is_hash_of_last_line(void **state)
{
    struct fixture *f = *state;
    CLEANUP_FREE char *text = NULL;
    struct audit_verdict verdict;
    size_t len = 0;

    open_log(f);
    append(f, NOON);
    verdict = verify(f);
    append(f, NOON);
    text = read_whole(f, DAY_FILE, &len);
    assert_non_null(strstr(text, verdict.head));
    assert_int_equal(strlen(verdict.head), 71);
}

static void fill_for_queries(struct fixture *f, char ids[6][ULID_ID_MAX])
{
    static const char *const failed = "{\"aileron.action.name\":\"a\",\"aileron.action.version\":\"1\",\"aileron.action.hash\":"
                                      "\"h\",\"aileron.connector.fqn\":\"local://c\","
                                      "\"aileron.connector.version\":\"1\",\"aileron.connector.hash\":\"h\",\"aileron.connector."
                                      "op\":\"o\",\"aileron.execution.disposition\":\"unattended\","
                                      "\"aileron.execution.duration_ms\":3,\"aileron.failure.class\":\"bad_input\",\"aileron."
                                      "failure.boundary\":\"action\",\"aileron.failure.retriable\":false}";
    struct err err = ERR_INIT;

    open_log(f);
    assert_int_equal(append_event(f, "daemon.started", NULL, "{}", NOON, ids[0], &err), 0);
    assert_int_equal(append_event(f, "session.started", "ses_01AAAAAA", "{}", NOON + 1000, ids[1], &err), 0);
    assert_int_equal(append_event(f, "execution.failed", "ses_01AAAAAA", failed, NOON + 2000, ids[2], &err), 0);
    assert_int_equal(
        append_event(f, "binding.failed", NULL,
            "{\"aileron.binding.name\":\"b\",\"aileron.connector.fqn\":\"local://other\",\"aileron.capability.kind\":\"oauth2\","
            "\"note\":\"\\\"aileron.connector.fqn\\\":\\\"local://c\\\"\"}",
            NOON + DAY, ids[3], &err),
        0);
    assert_int_equal(append_event(f, "session.ended", "ses_01AAAAAA", "{}", NOON + DAY + 1000, ids[4], &err), 0);
    assert_int_equal(append_event(f, "daemon.stopped", NULL, "{}", NOON + DAY + 2000, ids[5], &err), 0);
}

/* The digits of `expected` name the events, newest first. */
static void assert_found(const struct fixture *f, char ids[6][ULID_ID_MAX], struct audit_query query, const char *expected)
{
    CLEANUP_JSON json_t *events = NULL;
    struct err err = ERR_INIT;

    query.limit = query.limit ? query.limit : 100;
    if (audit_find(f->log_dir, &query, &events, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(json_array_size(events), strlen(expected));
    for (size_t i = 0; expected[i]; i++)
        assert_string_equal(json_get_str(json_array_get(events, i), "audit_id"), ids[expected[i] - '0']);
}

static void test_queries(void **state)
{
    struct fixture *f = *state;
    char ids[6][ULID_ID_MAX];
    struct audit_query zero = { .limit = 0 }, many = { .limit = 1001 },
                       absent = { .limit = 10, .before = "aud_00000000000000000000000000" };
    CLEANUP_JSON json_t *events = NULL;

    fill_for_queries(f, ids);
    assert_found(f, ids, (struct audit_query){ .type = NULL }, "543210");
    assert_found(f, ids, (struct audit_query){ .limit = 2 }, "54");
    assert_found(f, ids, (struct audit_query){ .type = "daemon.started" }, "0");
    assert_found(f, ids, (struct audit_query){ .type = "daemon.*" }, "50");
    assert_found(f, ids, (struct audit_query){ .type = "daemon" }, "");
    assert_found(f, ids, (struct audit_query){ .type = ".*" }, "");
    assert_found(f, ids, (struct audit_query){ .session = "ses_01AAAAAA" }, "421");
    assert_found(f, ids, (struct audit_query){ .session = "1AAAAAA" }, "421");
    assert_found(f, ids, (struct audit_query){ .session = "AAAAA" }, "");
    assert_found(f, ids, (struct audit_query){ .connector = "local://c" }, "2");
    assert_found(f, ids, (struct audit_query){ .connector = "local://other" }, "3");
    assert_found(f, ids, (struct audit_query){ .class = "bad_input" }, "2");
    assert_found(f, ids, (struct audit_query){ .class = "bad" }, "");
    assert_found(f, ids, (struct audit_query){ .since_unix_ms = NOON + 2000 }, "5432");
    assert_found(f, ids, (struct audit_query){ .since_unix_ms = NOON + DAY + 1 }, "54");
    assert_found(f, ids, (struct audit_query){ .until_unix_ms = NOON + 2000 }, "10");
    assert_found(f, ids, (struct audit_query){ .since_unix_ms = NOON + 1, .until_unix_ms = NOON + DAY + 1 }, "321");
    assert_found(f, ids, (struct audit_query){ .before = ids[3] }, "210");
    assert_found(f, ids, (struct audit_query){ .before = ids[3], .since_unix_ms = NOON + 1000 }, "21");
    assert_found(f, ids, (struct audit_query){ .before = ids[0] }, "");
    assert_int_equal(audit_find(f->log_dir, &zero, &events, NULL), -EINVAL);
    assert_int_equal(audit_find(f->log_dir, &many, &events, NULL), -EINVAL);
    assert_int_equal(audit_find(f->log_dir, &absent, &events, NULL), -ENOENT);
}

static void test_get_by_suffix(void **state)
{
    struct fixture *f = *state;
    char ids[6][ULID_ID_MAX], small[ULID_ID_MAX];
    struct err err = ERR_INIT;

    fill_for_queries(f, ids);
    for (size_t i = 0; i < 6; i++) {
        CLEANUP_JSON json_t *whole = NULL, *suffix = NULL;

        assert_int_equal(audit_get(f->log_dir, ids[i], &whole, &err), 0);
        assert_string_equal(json_get_str(whole, "audit_id"), ids[i]);
        memcpy(small, ids[i], sizeof small);
        for (char *c = small; *c; c++)
            *c = (char) tolower(*c);
        assert_int_equal(audit_get(f->log_dir, small + AUDIT_ID_LEN - 8, &suffix, &err), 0);
        assert_string_equal(json_get_str(suffix, "audit_id"), ids[i]);
    }
    assert_int_equal(audit_get(f->log_dir, "ZZZZZ", NULL, &err), -EINVAL);
    assert_int_equal(audit_get(f->log_dir, "ZZZZZZ", NULL, &err), -ENOENT);
}

static void test_several_with_one_suffix(void **state)
{
    static const char *const heads[] = { "aud_01ARZ3NDEKTSV4RRFFQ6AAAAAA", "aud_01ARZ3NDEKTSV4RRFFQ7AAAAAA" };
    struct fixture *f = *state;
    CLEANUP(buf_free) struct buf text = BUF_INIT(1 << 16);
    CLEANUP_JSON json_t *payload = json_object(), *event = NULL;
    struct audit_event one = { "daemon.started", NULL, AUDIT_SERVICE, "broker", payload };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(audit_line_write(&text, i + 1, heads[i], "2026-11-23T12:00:00.000Z", &one, AUDIT_ZEROS), 0);
        assert_int_equal(buf_add_char(&text, '\n'), 0);
    }
    assert_int_equal(mkdir(f->log_dir, 0700), 0);
    write_whole(f, DAY_FILE, buf_str(&text), text.len);
    assert_int_equal(audit_get(f->log_dir, "AAAAAA", &event, &err), -EEXIST);
    assert_int_equal(audit_get(f->log_dir, "Q6AAAAAA", &event, &err), 0);
    assert_string_equal(json_get_str(event, "audit_id"), heads[0]);
}

/* The readers over files whose lines lie across every border of their buffer. */
static void test_readers_agree(void **state)
{
    struct fixture *f = *state;
    CLEANUP_PTR(audit_lines_free) struct audit_lines *lines = NULL;
    CLEANUP_FREE char *filler = malloc(200000);
    struct audit_text text;
    char path[256];
    CLEANUP_CLOSE int fd = -1;
    uint64_t offsets[64];
    static const size_t lengths[] = { 0, 1, 65534, 65535, 65536, 3, 131072, 0, 0, 200000, 7, 65535, 1, 131071, 2 };
    FILE *file = NULL;

    assert_int_equal(mkdir(f->log_dir, 0700), 0);
    file_path(f, "lines", path);
    file = fopen(path, "w");
    memset(filler, 'x', 200000);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        fwrite(filler, 1, lengths[i], file);
        fputc('\n', file);
    }
    fwrite("tail", 1, 4, file);
    fclose(file);
    fd = open(path, O_RDONLY);
    assert_int_equal(audit_lines_new(&lines), 0);
    assert_int_equal(audit_lines_start(lines, fd), 0);
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        assert_int_equal(audit_lines_next(lines, &text), 1);
        if (lengths[i] < AUDIT_LINE_MAX)
            assert_true(text.is_whole && text.len == lengths[i]);
        offsets[i] = text.offset;
    }
    assert_int_equal(audit_lines_next(lines, &text), 1);
    assert_true(!text.is_whole && text.len == 4);
    assert_int_equal(audit_lines_next(lines, &text), 0);
    assert_int_equal(audit_lines_start_at_end(lines, fd), 0);
    assert_int_equal(audit_lines_previous(lines, &text), 1);
    assert_true(!text.is_whole && text.len == 4);
    for (size_t i = ARRAY_LEN(lengths); i > 0; i--) {
        assert_int_equal(audit_lines_previous(lines, &text), 1);
        if (lengths[i - 1] >= AUDIT_LINE_MAX)
            continue;
        assert_true(text.is_whole && text.len == lengths[i - 1]);
        assert_int_equal(text.offset, offsets[i - 1]);
    }
    assert_int_equal(audit_lines_previous(lines, &text), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_bytes_of_a_line),
        TEST(test_empty_log),
        TEST(test_chain_over_days_and_restarts),
        TEST(test_torn_at_every_byte),
        TEST(test_torn_pieces_are_kept),
        TEST(test_torn_first_line),
        TEST(test_short_write_is_undone),
        TEST(test_changed_under_us),
        TEST(test_symlinks_are_refused),
        TEST(test_required_keys),
        TEST(test_refused_events),
        TEST(test_tampering_with_lines),
        TEST(test_tampering_with_every_byte),
        TEST(test_tampering_over_days),
        TEST(test_head_is_hash_of_last_line),
        TEST(test_queries),
        TEST(test_get_by_suffix),
        TEST(test_several_with_one_suffix),
        TEST(test_readers_agree),
    };

    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
