/* Every way of tampering with the chain that verification must locate. */
#include "audit/test-fixture.h"

#include "audit/layout.h"
#include "audit/lines.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void write_lines(const struct log_fixture *f, char *const lines[], const size_t *order, size_t count)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(1 << 20);

    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_add(&out, lines[order[i]], (size_t) (lines[order[i] + 1] - lines[order[i]])), 0);
    log_write(f, DAY_FILE, buf_str(&out), out.len);
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
    struct log_fixture *f = *state;
    CLEANUP_FREE char *text = NULL;
    char *lines[16];
    size_t len = 0;

    log_open_again(f);
    log_append_many(f, NOON, 6);
    text = log_read(f, DAY_FILE, &len);
    assert_int_equal(log_split(text, len, lines, 10), 6);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_lines(f, lines, cases[i].order, cases[i].count);
        log_assert_fault(f, cases[i].where, cases[i].what);
    }
}

/* Every byte of the file but those of the last line, changed one at a time. */
static void test_tampering_with_every_byte(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_FREE char *text = NULL;
    char *lines[16];
    size_t len = 0, count = 0;

    log_open_again(f);
    log_append_many(f, NOON, 4);
    text = log_read(f, DAY_FILE, &len);
    count = log_split(text, len, lines, 10);
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
        log_write(f, DAY_FILE, text, len);
        verdict = log_verify(f);
        snprintf(where, sizeof where, DAY_FILE " line %d", line);
        if (verdict.intact || strcmp(verdict.where, where) != 0)
            fail_msg("byte %d: intact %d, %s: %s, not %s", (int) (at - text), verdict.intact, verdict.where, verdict.what, where);
        *at = old;
    }
}

static void test_tampering_over_days(void **state)
{
    struct log_fixture *f = *state;
    char path[256], other[256];
    CLEANUP_FREE char *text = NULL;
    size_t len = 0;

    log_open_again(f);
    log_append_many(f, NOON, 2);
    log_append_many(f, NOON + DAY, 2);
    log_append_many(f, NOON + 2 * DAY, 2);
    log_assert_intact(f, 6);
    log_file_path(f, NEXT_FILE, path);
    log_file_path(f, "hidden", other);
    assert_int_equal(rename(path, other), 0);
    log_assert_fault(f, "audit-2026-11-25.jsonl line 1", "gap between days: events 3 to 4");
    assert_int_equal(rename(other, path), 0);
    /* An edit at the end of a day shows at the start of the next one, and is laid at the right door. */
    text = log_read(f, NEXT_FILE, &len);
    memcpy(strstr(strchr(text, '\n'), "0.1.0"), "0.1.1", 5);
    log_write(f, NEXT_FILE, text, len);
    log_assert_fault(f, NEXT_FILE " line 2", "edited");
    assert_int_equal(truncate(path, (off_t) len - 1), 0);
    log_assert_fault(f, NEXT_FILE " line 2", "torn");
    log_file_path(f, DAY_FILE, path);
    assert_int_equal(unlink(path), 0);
    log_assert_fault(f, NEXT_FILE " line 1", "cut: the log starts at event 3");
}

static void test_head_is_hash_of_last_line(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_FREE char *text = NULL;
    struct audit_verdict verdict;
    size_t len = 0;

    log_open_again(f);
    log_append(f, NOON);
    verdict = log_verify(f);
    log_append(f, NOON);
    text = log_read(f, DAY_FILE, &len);
    assert_non_null(strstr(text, verdict.head));
    assert_int_equal(strlen(verdict.head), 71);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOG_TEST(test_tampering_with_lines),
        LOG_TEST(test_tampering_with_every_byte),
        LOG_TEST(test_tampering_over_days),
        LOG_TEST(test_head_is_hash_of_last_line),
    };

    return cmocka_run_group_tests_name("audit/verify", tests, NULL, NULL);
}
