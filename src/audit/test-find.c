/* Queries, and the readers under them over files whose lines lie across every border of their buffer. */
#include "audit/test-fixture.h"

#include "audit/layout.h"
#include "audit/lines.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void test_empty_log(void **state)
{
    struct log_fixture *f = *state;
    struct audit_query query = { .limit = 10 };
    CLEANUP_JSON json_t *events = NULL;
    struct err err = ERR_INIT;

    log_assert_intact(f, 0);
    assert_int_equal(audit_find(f->log_dir, &query, &events, &err), 0);
    assert_int_equal(json_array_size(events), 0);
    assert_int_equal(audit_get(f->log_dir, "ABCDEF", &events, &err), -ENOENT);
    assert_false(log_open_again(f));
    assert_int_equal(audit_fd(f->log), -1);
    log_assert_intact(f, 0);
}

static void fill_for_queries(struct log_fixture *f, char ids[6][ULID_ID_MAX])
{
    static const char *const failed = "{\"aileron.action.name\":\"a\",\"aileron.action.version\":\"1\",\"aileron.action.hash\":"
                                      "\"h\",\"aileron.connector.fqn\":\"local://c\","
                                      "\"aileron.connector.version\":\"1\",\"aileron.connector.hash\":\"h\",\"aileron.connector."
                                      "op\":\"o\",\"aileron.execution.disposition\":\"unattended\","
                                      "\"aileron.execution.duration_ms\":3,\"aileron.failure.class\":\"bad_input\",\"aileron."
                                      "failure.boundary\":\"action\",\"aileron.failure.retriable\":false}";
    struct err err = ERR_INIT;

    log_open_again(f);
    assert_int_equal(log_append_event(f, "daemon.started", NULL, "{}", NOON, ids[0], &err), 0);
    assert_int_equal(log_append_event(f, "session.started", "ses_01AAAAAA", "{}", NOON + 1000, ids[1], &err), 0);
    assert_int_equal(log_append_event(f, "execution.failed", "ses_01AAAAAA", failed, NOON + 2000, ids[2], &err), 0);
    assert_int_equal(
        log_append_event(f, "binding.failed", NULL,
            "{\"aileron.binding.name\":\"b\",\"aileron.connector.fqn\":\"local://other\",\"aileron.capability.kind\":\"oauth2\","
            "\"note\":\"\\\"aileron.connector.fqn\\\":\\\"local://c\\\"\"}",
            NOON + DAY, ids[3], &err),
        0);
    assert_int_equal(log_append_event(f, "session.ended", "ses_01AAAAAA", "{}", NOON + DAY + 1000, ids[4], &err), 0);
    assert_int_equal(log_append_event(f, "daemon.stopped", NULL, "{}", NOON + DAY + 2000, ids[5], &err), 0);
}

/* The digits of `expected` name the events, newest first. */
static void assert_found(const struct log_fixture *f, char ids[6][ULID_ID_MAX], struct audit_query query, const char *expected)
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
    struct log_fixture *f = *state;
    char ids[6][ULID_ID_MAX], long_text[AUDIT_TEXT_MAX] = "", too_long_text[AUDIT_TEXT_MAX + 1] = "";
    struct audit_query zero = { .limit = 0 }, many = { .limit = 1001 },
                       absent = { .limit = 10, .before = "aud_00000000000000000000000000" },
                       too_long = { .limit = 10, .text = too_long_text };
    CLEANUP_JSON json_t *events = NULL;

    memset(too_long_text, 'x', sizeof too_long_text - 1);
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
    assert_found(f, ids, (struct audit_query){ .text = "BAD_Input" }, "2");
    assert_found(f, ids, (struct audit_query){ .text = "local://" }, "32");
    assert_found(f, ids, (struct audit_query){ .text = "local://", .type = "binding.*" }, "3");
    assert_found(f, ids, (struct audit_query){ .text = "ses_01aaaaaa" }, "421");
    assert_found(f, ids, (struct audit_query){ .text = "}" }, "543210");
    assert_found(f, ids, (struct audit_query){ .text = "no such text" }, "");
    assert_found(f, ids, (struct audit_query){ .text = "" }, "543210");
    assert_found(f, ids, (struct audit_query){ .since_unix_ms = NOON + 2000 }, "5432");
    assert_found(f, ids, (struct audit_query){ .since_unix_ms = NOON + DAY + 1 }, "54");
    assert_found(f, ids, (struct audit_query){ .until_unix_ms = NOON + 2000 }, "10");
    assert_found(f, ids, (struct audit_query){ .since_unix_ms = NOON + 1, .until_unix_ms = NOON + DAY + 1 }, "321");
    assert_found(f, ids, (struct audit_query){ .before = ids[3] }, "210");
    assert_found(f, ids, (struct audit_query){ .before = ids[3], .since_unix_ms = NOON + 1000 }, "21");
    assert_found(f, ids, (struct audit_query){ .before = ids[0] }, "");
    memset(long_text, 'x', sizeof long_text - 1);
    assert_found(f, ids, (struct audit_query){ .text = long_text }, "");
    assert_int_equal(audit_find(f->log_dir, &too_long, &events, NULL), -EINVAL);
    assert_int_equal(audit_find(f->log_dir, &zero, &events, NULL), -EINVAL);
    assert_int_equal(audit_find(f->log_dir, &many, &events, NULL), -EINVAL);
    assert_int_equal(audit_find(f->log_dir, &absent, &events, NULL), -ENOENT);
}

/* In steps of any size the same is found, over files, with a limit, and nothing is found twice. */
static void test_in_steps(void **state)
{
    struct log_fixture *f = *state;
    struct err err = ERR_INIT;

    assert_false(log_open_again(f));
    for (int day = 0; day < 3; day++)
        log_append_many(f, 1795435200000 + day * INT64_C(86400000), 40);
    for (size_t bytes = 0; bytes < 3000; bytes += 37)
        for (size_t limit = 1; limit <= 201; limit += 100) {
            const struct audit_query query = { .type = "daemon.*", .limit = limit };
            CLEANUP_PTR(audit_search_free) struct audit_search *search = NULL;
            CLEANUP_JSON json_t *events = NULL;
            CLEANUP_JSON json_t *whole = NULL;
            size_t steps = 1;

            assert_int_equal(audit_search_new(f->log_dir, &query, &search, &err), 0);
            while (audit_search_step(search, bytes, &events, &err) == 1)
                steps++;
            assert_int_equal(audit_find(f->log_dir, &query, &whole, &err), 0);
            assert_true(json_equal(events, whole));
            assert_int_equal(json_array_size(events), limit < 120 ? limit : 120);
            assert_true(limit == 1 || steps > 5);
        }
    /* One that is given up holds nothing. */
    struct audit_search *search = NULL;
    const struct audit_query query = { .class = "network_error", .limit = 10 };
    json_t *events = NULL;
    assert_int_equal(audit_search_new(f->log_dir, &query, &search, &err), 0);
    assert_int_equal(audit_search_step(search, 1, &events, &err), 1);
    audit_search_free(search);
}

/* A line whose end is none of ours is passed over, whatever its beginning says. */
static void test_a_half_known_line(void **state)
{
    static const char line[] =
        "{\"seq\":1,\"audit_id\":\"aud_01KB0000000000000000000000\",\"timestamp\":\"2026-11-23T12:00:00.000Z\",\"event_type\":"
        "\"daemon.started\",\"actor\":{\"type\":\"service\",\"id\":\"x\"},\"payload\":{},\"prev\":\"sha256:short\"}\n";
    struct log_fixture *f = *state;
    const struct audit_query query = { .type = "daemon.started", .limit = 10 };
    CLEANUP_JSON json_t *events = NULL;
    struct err err = ERR_INIT;

    assert_false(log_open_again(f));
    log_write(f, "audit-2026-11-23.jsonl", line, sizeof line - 1);
    assert_int_equal(audit_find(f->log_dir, &query, &events, &err), 0);
    assert_int_equal(json_array_size(events), 0);
    assert_int_equal(audit_get(f->log_dir, "01KB0000000000000000000000", &events, &err), -ENOENT);
}

/* Every piece of a line is found in it, in any case of its letters, and nothing else is. */
static void test_any_text(void **state)
{
    struct log_fixture *f = *state;
    struct err err = ERR_INIT;
    size_t len = 0;

    assert_false(log_open_again(f));
    log_append(f, 1795435200000);
    CLEANUP_FREE char *line = log_read(f, "audit-2026-11-23.jsonl", &len);
    for (size_t at = 0; at + 1 < len; at++)
        for (size_t size = 1; size < 40 && at + size < len; size += 1 + size / 2) {
            struct audit_query query = { .limit = 10 };
            CLEANUP_JSON json_t *events = NULL;
            char text[64] = "";

            memcpy(text, line + at, size);
            for (size_t i = 0; i < size; i++)
                text[i] = (char) (i % 2 ? toupper(text[i]) : tolower(text[i]));
            query.text = text;
            assert_int_equal(audit_find(f->log_dir, &query, &events, &err), 0);
            assert_int_equal(json_array_size(events), 1);
            json_decref(TAKE_PTR(events));
            text[size] = '~';
            assert_int_equal(audit_find(f->log_dir, &query, &events, &err), 0);
            assert_int_equal(json_array_size(events), 0);
        }
}

static void test_get_by_suffix(void **state)
{
    struct log_fixture *f = *state;
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
    struct log_fixture *f = *state;
    CLEANUP(buf_free) struct buf text = BUF_INIT(1 << 16);
    CLEANUP_JSON json_t *payload = json_object(), *event = NULL;
    struct audit_event one = { "daemon.started", NULL, AUDIT_SERVICE, "broker", payload };
    struct err err = ERR_INIT;

    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(audit_line_write(&text, i + 1, heads[i], "2026-11-23T12:00:00.000Z", &one, AUDIT_ZEROS), 0);
        assert_int_equal(buf_add_char(&text, '\n'), 0);
    }
    assert_int_equal(mkdir(f->log_dir, 0700), 0);
    log_write(f, DAY_FILE, buf_str(&text), text.len);
    assert_int_equal(audit_get(f->log_dir, "AAAAAA", &event, &err), -EEXIST);
    assert_int_equal(audit_get(f->log_dir, "Q6AAAAAA", &event, &err), 0);
    assert_string_equal(json_get_str(event, "audit_id"), heads[0]);
}

/* The readers over files whose lines lie across every border of their buffer. */
static void test_readers_agree(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(audit_lines_free) struct audit_lines *lines = NULL;
    CLEANUP_FREE char *filler = malloc(200000);
    struct audit_text text;
    char path[256];
    CLEANUP_CLOSE int fd = -1;
    uint64_t offsets[64];
    static const size_t lengths[] = { 0, 1, 65534, 65535, 65536, 3, 131072, 0, 0, 200000, 7, 65535, 1, 131071, 2 };
    FILE *file = NULL;

    assert_int_equal(mkdir(f->log_dir, 0700), 0);
    log_file_path(f, "lines", path);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_empty_log),
        LOG_TEST(test_queries),
        LOG_TEST(test_in_steps),
        LOG_TEST(test_a_half_known_line),
        LOG_TEST(test_any_text),
        LOG_TEST(test_get_by_suffix),
        LOG_TEST(test_several_with_one_suffix),
        LOG_TEST(test_readers_agree),
    };

    return cmocka_run_group_tests_name("audit/find", tests, NULL, NULL);
}
