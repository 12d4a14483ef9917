/* Appending: bytes of a line, the chain over days, crashes at every byte of the last line, writes that fail half-way, events that are refused. */
#include "audit/test-fixture.h"

#include "audit/layout.h"
#include "audit/lines.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

static void test_bytes_of_a_line(void **state)
{
    static const char payload[] =
        "{\"aileron.action.name\":\"a\",\"aileron.action.version\":\"1.0.0\",\"aileron.action.hash\":\"h\",\"aileron.connector."
        "fqn\":\"local://c\","
        "\"aileron.connector.version\":\"1.0.0\",\"aileron.connector.hash\":\"h\",\"aileron.connector.op\":\"o\","
        "\"aileron.execution.disposition\":\"unattended\"}";
    CLEANUP_JSON json_t *object = json_loads(payload, 0, NULL);
    struct log_fixture *f = *state;
    struct audit_event event = { "execution.started", "ses_1", AUDIT_AGENT, "Claude \"Code\"\n", object };
    CLEANUP_FREE char *text = NULL;
    char id[ULID_ID_MAX], expected[2048];
    struct stat st;
    size_t len = 0;
    struct err err = ERR_INIT;

    assert_false(log_open_again(f));
    assert_int_equal(audit_last_seq(f->log), 0);
    assert_int_equal(audit_append(f->log, &event, NOON + 7, id, &err), 0);
    text = log_read(f, DAY_FILE, &len);
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
    log_assert_intact(f, 1);
}

static void test_chain_over_days_and_restarts(void **state)
{
    struct log_fixture *f = *state;
    char path[256];

    log_open_again(f);
    log_append_many(f, NOON, 3);
    log_append_many(f, NOON + DAY, 3);
    assert_false(log_open_again(f));
    assert_int_equal(audit_last_seq(f->log), 6);
    log_append(f, NOON + DAY);
    /* The clock goes back a day: the newest file goes on. */
    log_append(f, NOON);
    assert_int_equal(audit_last_seq(f->log), 8);
    log_assert_intact(f, 8);
    assert_int_equal(log_verify(f).files, 2);
    /* A file begun just before a crash is empty, and no fault. */
    audit_close(f->log);
    f->log = NULL;
    log_write(f, "audit-2026-11-25.jsonl", "", 0);
    log_write(f, "audit-2026-11-26.jsonl", "", 0);
    assert_false(log_open_again(f));
    log_append(f, NOON);
    log_assert_intact(f, 9);
    log_file_path(f, "audit-2026-11-26.jsonl", path);
    assert_int_equal(truncate(path, 0), 0);
    log_assert_intact(f, 8);
}

/* A crash may leave any part of the last line. */
static void test_torn_at_every_byte(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_FREE char *text = NULL;
    size_t len = 0, last = 0;

    log_open_again(f);
    log_append_many(f, NOON, 3);
    audit_close(f->log);
    f->log = NULL;
    text = log_read(f, DAY_FILE, &len);
    last = (size_t) ((char *) memrchr(text, '\n', len - 1) + 1 - text);
    for (size_t cut = last; cut <= len; cut++) {
        log_write(f, DAY_FILE, text, cut);
        assert_int_equal(log_open_again(f), cut > last && cut < len);
        assert_int_equal(audit_last_seq(f->log), cut == len ? 3 : 2);
        log_append(f, NOON);
        log_assert_intact(f, cut == len ? 4 : 3);
        audit_close(f->log);
        f->log = NULL;
    }
}

static void assert_torn_piece(const struct log_fixture *f, const char *name, const char *data, size_t len)
{
    CLEANUP_FREE char *piece = NULL;
    size_t piece_len = 0;

    piece = log_read(f, name, &piece_len);
    assert_int_equal(piece_len, len);
    assert_memory_equal(piece, data, len);
}

static void test_torn_pieces_are_kept(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP(buf_free) struct buf tail = BUF_INIT(1 << 20);
    char path[256], name[256];
    off_t size = 0;
    struct stat st;

    log_open_again(f);
    log_append_many(f, NOON, 2);
    assert_int_equal(fstat(audit_fd(f->log), &st), 0);
    size = st.st_size;
    log_file_path(f, DAY_FILE, path);
    for (int i = 0; i < 300000; i++)
        assert_int_equal(buf_add_char(&tail, i % 1000 == 999 ? '\n' : '\0'), 0);
    for (int round = 0; round < 2; round++) {
        CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_APPEND);

        assert_int_equal(file_write_full(fd, tail.data, tail.len), 0);
        assert_true(log_open_again(f));
        assert_int_equal(audit_last_seq(f->log), 2);
        snprintf(name, sizeof name, "torn/%s.%lld.%d", DAY_FILE, (long long) size, round);
        assert_torn_piece(f, name, tail.data, tail.len);
    }
    assert_false(log_open_again(f));
    log_append(f, NOON);
    log_assert_intact(f, 3);
}

static void test_torn_first_line(void **state)
{
    struct log_fixture *f = *state;

    log_open_again(f);
    log_append_many(f, NOON, 2);
    audit_close(f->log);
    f->log = NULL;
    log_write(f, NEXT_FILE, "{\"seq\":3,\"aud", 13);
    assert_true(log_open_again(f));
    log_append(f, NOON);
    log_assert_intact(f, 3);
}

/* The disk fills up in the middle of a line: nothing of it may stay. */
static void test_short_write_is_undone(void **state)
{
    struct log_fixture *f = *state;
    struct rlimit old, small;
    struct stat before, after;
    char id[ULID_ID_MAX] = "untouched";
    struct err err = ERR_INIT;
    int r = 0;

    log_open_again(f);
    log_append_many(f, NOON, 2);
    assert_int_equal(fstat(audit_fd(f->log), &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (int room = 0; room < 200; room += 33) {
        small = (struct rlimit){ (rlim_t) (before.st_size + room), old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        r = log_append_event(f, "daemon.started", NULL, "{}", NOON, id, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(r, -EFBIG);
        assert_string_equal(id, "untouched");
        assert_int_equal(fstat(audit_fd(f->log), &after), 0);
        assert_int_equal(after.st_size, before.st_size);
    }
    log_append(f, NOON);
    log_assert_intact(f, 3);
}

static void test_changed_under_us(void **state)
{
    struct log_fixture *f = *state;
    char path[256], id[ULID_ID_MAX];
    struct err err = ERR_INIT;

    log_open_again(f);
    log_append_many(f, NOON, 2);
    log_file_path(f, DAY_FILE, path);
    assert_int_equal(truncate(path, 10), 0);
    assert_int_equal(log_append_event(f, "daemon.started", NULL, "{}", NOON, id, &err), -EIO);
    assert_true(err.hint[0] != '\0');
    log_open_again(f);
    log_append_many(f, NOON, 2);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(log_append_event(f, "daemon.started", NULL, "{}", NOON, id, &err), -EIO);
    /* A new day changes nothing: only a new start does. */
    assert_int_equal(log_append_event(f, "daemon.started", NULL, "{}", NOON + DAY, id, &err), -EIO);
    log_open_again(f);
    log_append(f, NOON);
    log_assert_intact(f, 1);
}

static void test_symlinks_are_refused(void **state)
{
    struct log_fixture *f = *state;
    char path[256];
    struct audit_log *log = NULL;
    bool torn = false;
    struct err err = ERR_INIT;

    assert_int_equal(mkdir(f->log_dir, 0700), 0);
    log_file_path(f, DAY_FILE, path);
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
    struct log_fixture *f = *state;

    log_open_again(f);
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
    log_assert_intact(f, ARRAY_LEN(types));
    assert_null(audit_required_keys("execution.unknown"));
}

static void test_refused_events(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_JSON json_t *approved = NULL;
    CLEANUP_FREE char *large = calloc(1, 70000);
    char id[ULID_ID_MAX], payload[70100];
    struct err err = ERR_INIT;
    struct audit_event event = { "execution.started", NULL, AUDIT_AGENT, NULL, NULL };

    log_open_again(f);
    assert_int_equal(log_append_event(f, "daemon.exploded", NULL, "{}", NOON, id, &err), -EINVAL);
    assert_int_equal(log_append_event(f, "session.started", NULL, "{}", NOON, id, &err), -EINVAL);
    assert_int_equal(log_append_event(f, "session.started", "ses\"x", "{}", NOON, id, &err), -EINVAL);
    assert_int_equal(log_append_event(f, "daemon.started", NULL, "[]", NOON, id, &err), -EINVAL);
    memset(large, 'x', 69999);
    snprintf(payload, sizeof payload, "{\"k\":\"%s\"}", large);
    assert_int_equal(log_append_event(f, "daemon.started", NULL, payload, NOON, id, &err), -E2BIG);
    approved = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "aileron.action.name", "a", "aileron.action.version", "1",
        "aileron.action.hash", "h", "aileron.connector.fqn", "f", "aileron.connector.version", "1", "aileron.connector.hash", "h",
        "aileron.connector.op", "o", "aileron.execution.disposition", "approved");
    event.payload = approved;
    assert_int_equal(audit_append(f->log, &event, NOON, id, &err), -EINVAL);
    json_object_set_new(approved, "aileron.approval.id", json_string("apr_1"));
    assert_int_equal(audit_append(f->log, &event, NOON, id, &err), 0);
    json_object_set_new(approved, "aileron.execution.disposition", json_string("lucky"));
    assert_int_equal(audit_append(f->log, &event, NOON, id, &err), -EINVAL);
    log_assert_intact(f, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_bytes_of_a_line),
        LOG_TEST(test_chain_over_days_and_restarts),
        LOG_TEST(test_torn_at_every_byte),
        LOG_TEST(test_torn_pieces_are_kept),
        LOG_TEST(test_torn_first_line),
        LOG_TEST(test_short_write_is_undone),
        LOG_TEST(test_changed_under_us),
        LOG_TEST(test_symlinks_are_refused),
        LOG_TEST(test_required_keys),
        LOG_TEST(test_refused_events),
    };

    return cmocka_run_group_tests_name("audit/append", tests, NULL, NULL);
}
