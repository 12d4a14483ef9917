/* The journal on a real folder: what was written is there after any cut, restarts recover, compaction loses nothing. */
#include "approval/journal.h"

#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static const struct queue_limits limits = { 1000, 1000, 1000000, 1000000, 1000 };
static char home[64], path[128];

static int setup(void **state)
{
    snprintf(home, sizeof home, "/tmp/aileron-journal-XXXXXX");
    if (!mkdtemp(home))
        return -1;
    snprintf(path, sizeof path, "%s/approvals.jsonl", home);
    return 0;
}

static int teardown(void **state)
{
    return file_remove_tree(AT_FDCWD, home);
}

struct both {
    struct queue *queue;
    struct journal *journal;
    size_t recovered;
};

static int open_both(struct both *both, struct err *err)
{
    *both = (struct both){ 0 };
    assert_int_equal(queue_new(&limits, &both->queue), 0);
    return journal_open(path, both->queue, 5000, &both->journal, &both->recovered, err);
}

static void close_both(struct both *both)
{
    journal_close(both->journal);
    queue_free(both->queue);
}

static struct approval *ask(struct both *both, const char *same)
{
    const struct queue_request request = {
        .session_id = "ses_a", .seal = "sha256:seal", .same = same, .card = json_pack("{s:s}", "title", same)
    };
    struct approval *approval = NULL;

    assert_int_equal(queue_request(both->queue, &request, 1000, &approval), QUEUE_NEW);
    assert_int_equal(journal_write(both->journal, approval, NULL), 0);
    return approval;
}

static void step(struct both *both, struct approval *approval, int result)
{
    assert_int_equal(result, 0);
    queue_changed(both->queue, approval);
    assert_int_equal(journal_write(both->journal, approval, NULL), 0);
}

static void test_a_restart(void **state)
{
    struct both one, other;
    struct err err = ERR_INIT;
    char pending[ULID_ID_MAX], approved[ULID_ID_MAX], running[ULID_ID_MAX], done[ULID_ID_MAX];
    struct approval *approval = NULL;

    assert_int_equal(open_both(&one, &err), 0);
    memcpy(pending, ask(&one, "1")->id, sizeof pending);
    approval = ask(&one, "2");
    memcpy(approved, approval->id, sizeof approved);
    step(&one, approval, approval_decide(approval, true, NULL, NULL, 2000));
    approval = ask(&one, "3");
    memcpy(running, approval->id, sizeof running);
    step(&one, approval, approval_decide(approval, true, NULL, NULL, 2000));
    step(&one, approval, approval_start(approval, 2000));
    approval = ask(&one, "4");
    memcpy(done, approval->id, sizeof done);
    step(&one, approval, approval_decide(approval, true, NULL, NULL, 2000));
    step(&one, approval, approval_start(approval, 2000));
    step(&one, approval, approval_finish(approval, APPROVAL_COMPLETED, json_pack("{s:i}", "n", 1), 2000));
    close_both(&one);
    assert_int_equal(open_both(&other, &err), 0);
    assert_int_equal(other.recovered, 2);
    assert_int_equal(queue_find(other.queue, pending)->state, APPROVAL_PENDING);
    assert_int_equal(queue_find(other.queue, approved)->state, APPROVAL_PENDING);
    assert_int_equal(queue_find(other.queue, running)->state, APPROVAL_UNKNOWN);
    assert_int_equal(queue_find(other.queue, done)->state, APPROVAL_COMPLETED);
    assert_int_equal(json_integer_value(json_object_get(queue_find(other.queue, done)->result, "n")), 1);
    assert_int_equal(queue_pending(other.queue), 2);
    close_both(&other);
    /* What was recovered is written down: nothing is recovered a second time. */
    assert_int_equal(open_both(&one, &err), 0);
    assert_int_equal(one.recovered, 0);
    close_both(&one);
}

/* Cut at any byte: every whole line before the cut counts, and the journal goes on. */
static void test_cut_anywhere(void **state)
{
    CLEANUP(buf_free) struct buf whole = BUF_INIT(1 << 20);
    struct both both;
    struct err err = ERR_INIT;

    assert_int_equal(open_both(&both, &err), 0);
    for (int i = 0; i < 5; i++) {
        char same[8];

        snprintf(same, sizeof same, "%d", i);
        ask(&both, same);
    }
    close_both(&both);
    assert_int_equal(file_read(AT_FDCWD, path, &whole, &err), 0);
    for (size_t cut = 0; cut <= whole.len; cut++) {
        size_t lines = 0;

        for (size_t i = 0; i < cut; i++)
            lines += whole.data[i] == '\n';
        assert_int_equal(file_write_atomic(AT_FDCWD, path, whole.data, cut, 0600, &err), 0);
        assert_int_equal(open_both(&both, &err), 0);
        assert_int_equal(queue_len(both.queue), lines);
        ask(&both, "after");
        close_both(&both);
        assert_int_equal(open_both(&both, &err), 0);
        assert_int_equal(queue_len(both.queue), lines + 1);
        close_both(&both);
    }
}

/* Bytes that the disk never got stand as NULs: nothing from there on was promised. */
static void test_a_hole(void **state)
{
    CLEANUP(buf_free) struct buf whole = BUF_INIT(1 << 20);
    struct both both;
    struct err err = ERR_INIT;
    size_t line = 0;

    assert_int_equal(open_both(&both, &err), 0);
    for (int i = 0; i < 4; i++)
        ask(&both, (const char[]){ (char) ('1' + i), '\0' });
    close_both(&both);
    assert_int_equal(file_read(AT_FDCWD, path, &whole, &err), 0);
    line = (size_t) ((char *) memchr(whole.data, '\n', whole.len) - whole.data) + 1;
    memset(whole.data + 2 * line + 5, 0, 20);
    assert_int_equal(file_write_atomic(AT_FDCWD, path, whole.data, whole.len, 0600, &err), 0);
    assert_int_equal(open_both(&both, &err), 0);
    assert_int_equal(queue_len(both.queue), 2);
    ask(&both, "after");
    close_both(&both);
    assert_int_equal(open_both(&both, &err), 0);
    assert_int_equal(queue_len(both.queue), 3);
    close_both(&both);
}

static void test_damage_in_the_middle(void **state)
{
    static const char *const wrong[] = { "x\n", "{}\n", "\n", "{\"state\":\"running\",\"id\":\"apr_x\"}\n" };
    struct both both;

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err err = ERR_INIT;

        assert_int_equal(file_write_atomic(AT_FDCWD, path, wrong[i], strlen(wrong[i]), 0600, &err), 0);
        if (open_both(&both, &err) >= 0)
            fail_msg("taken: %s", wrong[i]);
        assert_non_null(strstr(err.message, "approvals.jsonl:1"));
        close_both(&both);
    }
}

static void test_whose_file(void **state)
{
    struct both both;
    struct err err = ERR_INIT;

    assert_int_equal(open_both(&both, &err), 0);
    close_both(&both);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(open_both(&both, &err), -EPERM);
    close_both(&both);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_true(open_both(&both, &err) < 0);
    close_both(&both);
}

static void test_compaction(void **state)
{
    struct both both;
    struct err err = ERR_INIT;
    struct approval *approval = NULL;
    struct stat before, after;
    char id[ULID_ID_MAX];

    assert_int_equal(open_both(&both, &err), 0);
    approval = ask(&both, "1");
    memcpy(id, approval->id, sizeof id);
    assert_int_equal(journal_compact(both.journal, both.queue, true, &err), 0);
    for (int i = 0; i < 200; i++)
        assert_int_equal(journal_write(both.journal, approval, &err), 0);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(journal_compact(both.journal, both.queue, true, &err), 0);
    assert_int_equal(stat(path, &after), 0);
    assert_true(after.st_size * 100 < before.st_size);
    ask(&both, "2");
    close_both(&both);
    assert_int_equal(open_both(&both, &err), 0);
    assert_int_equal(queue_len(both.queue), 2);
    assert_non_null(queue_find(both.queue, id));
    close_both(&both);
}

/* Much history makes a new file by itself, without a line lost; little does not. */
static void test_history(void **state)
{
    struct both both;
    struct err err = ERR_INIT;
    struct stat st;
    off_t largest = 0;

    assert_int_equal(open_both(&both, &err), 0);
    struct approval *approval = ask(&both, "1"), *other = ask(&both, "2");
    static char text[100000];
    CLEANUP_JSON json_t *card = json_pack("{s:o}", "text", json_stringn(memset(text, 'x', sizeof text), sizeof text));
    assert_int_equal(approval_set(approval, NULL, card), 0);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(journal_write(both.journal, approval, &err), 0);
        assert_int_equal(journal_compact(both.journal, both.queue, false, &err), 0);
        assert_int_equal(stat(path, &st), 0);
        largest = st.st_size > largest ? st.st_size : largest;
    }
    assert_true(largest > 1 << 20 && largest < 3 << 19);
    assert_true(st.st_size < largest);
    approval_decide(other, false, NULL, NULL, 2000);
    assert_int_equal(journal_write(both.journal, other, &err), 0);
    close_both(&both);
    assert_int_equal(open_both(&both, &err), 0);
    assert_int_equal(queue_len(both.queue), 2);
    assert_int_equal(queue_pending(both.queue), 1);
    close_both(&both);
}

/* Newest first when listed, whatever file they came from. */
static bool note_one(struct approval *approval, void *userdata)
{
    char *seen = userdata;

    assert_true(!seen[0] || strcmp(approval->id, seen) < 0);
    memcpy(seen, approval->id, sizeof approval->id);
    return true;
}

static void test_order_survives(void **state)
{
    struct both both;
    struct err err = ERR_INIT;
    char same[8];

    assert_int_equal(open_both(&both, &err), 0);
    for (int i = 0; i < 50; i++) {
        snprintf(same, sizeof same, "%d", i);
        struct approval *approval = ask(&both, same);
        if (i % 3 == 0)
            step(&both, approval, approval_decide(approval, false, NULL, NULL, 2000));
    }
    for (int i = 0; i < 2; i++) {
        char seen[ULID_ID_MAX] = "";

        assert_int_equal(journal_compact(both.journal, both.queue, true, &err), 0);
        close_both(&both);
        assert_int_equal(open_both(&both, &err), 0);
        assert_int_equal(queue_len(both.queue), 50);
        queue_visit(both.queue, note_one, seen);
    }
    close_both(&both);
}

/* What nothing depends on any more: until its line is flushed a restart takes it for interrupted, afterwards it is not there. */
static void test_dropped(void **state)
{
    struct both both;
    struct err err = ERR_INIT;
    struct approval *approval = NULL;
    const struct queue_request request = { .session_id = "", .seal = "", .same = "sha256:x", .unattended = true };
    char id[ULID_ID_MAX];

    assert_int_equal(open_both(&both, &err), 0);
    ask(&both, "stays");
    assert_int_equal(queue_request(both.queue, &request, 1000, &approval), QUEUE_NEW);
    assert_int_equal(journal_write(both.journal, approval, &err), 0);
    memcpy(id, approval->id, sizeof id);
    assert_int_equal(journal_drop(both.journal, approval), 0);
    queue_withdraw(both.queue, approval);
    struct both early;
    assert_int_equal(open_both(&early, &err), 0);
    assert_int_equal(early.recovered, 1);
    approval = queue_find(early.queue, id);
    assert_true(approval && approval->state == APPROVAL_UNKNOWN && approval->unattended && approval_holds(approval));
    close_both(&early);
    assert_int_equal(journal_flush(both.journal, &err), 0);
    close_both(&both);
    assert_int_equal(open_both(&both, &err), 0);
    assert_int_equal(queue_len(both.queue), 1);
    assert_null(queue_find(both.queue, id));
    /* Nor does it come back with a new file. */
    assert_int_equal(journal_compact(both.journal, both.queue, true, &err), 0);
    close_both(&both);
    assert_int_equal(open_both(&both, &err), 0);
    assert_int_equal(queue_len(both.queue), 1);
    close_both(&both);
}

static json_t *numbers(size_t len)
{
    json_t *array = json_array();

    while (len-- > 0)
        json_array_append_new(array, json_integer(1));
    return array;
}

static json_t *nested(unsigned depth)
{
    json_t *json = json_array();

    while (depth-- > 0)
        json = json_pack("[o]", json);
    return json;
}

/* As large and as deep as a request may be, asked and shown: the next start must read it. */
static void test_the_largest_arguments(void **state)
{
    struct both both;
    struct err err = ERR_INIT;
    struct approval *approval = NULL;

    for (int i = 0; i < 2; i++) {
        json_t *args = i == 0 ? numbers(99990) : nested(62);
        const struct queue_request request = { .session_id = "ses_a",
            .seal = "sha256:seal",
            .same = i == 0 ? "many" : "deep",
            .asked = json_pack("{s:{s:O}}", "args", "x", args),
            .card = json_pack("{s:[{s:{s:O}}], s:[[s, O]]}", "arguments", "args", "x", args, "inputs", "X", args) };

        json_decref(args);
        assert_int_equal(open_both(&both, &err), 0);
        assert_int_equal(queue_request(both.queue, &request, 1000, &approval), QUEUE_NEW);
        assert_int_equal(journal_write(both.journal, approval, &err), 0);
        close_both(&both);
        assert_int_equal(open_both(&both, &err), 0);
        assert_int_equal(queue_pending(both.queue), i + 1);
        close_both(&both);
    }
}

/* What the next start would not read is not written; but an end is kept without what it is about. */
static void test_too_large(void **state)
{
    struct both both;
    struct err err = ERR_INIT;
    struct approval *approval = NULL;
    const struct queue_request request = {
        .session_id = "ses_a", .seal = "sha256:seal", .same = "x", .card = json_pack("{s:o}", "x", numbers(600000))
    };
    char id[ULID_ID_MAX];

    assert_int_equal(open_both(&both, &err), 0);
    assert_int_equal(queue_request(both.queue, &request, 1000, &approval), QUEUE_NEW);
    assert_int_equal(journal_write(both.journal, approval, &err), -E2BIG);
    queue_withdraw(both.queue, approval);
    approval = ask(&both, "ends");
    memcpy(id, approval->id, sizeof id);
    step(&both, approval, approval_decide(approval, true, NULL, NULL, 2000));
    step(&both, approval, approval_start(approval, 2000));
    step(&both, approval, approval_finish(approval, APPROVAL_COMPLETED, json_pack("{s:o}", "x", numbers(1100000)), 2000));
    assert_int_equal(journal_compact(both.journal, both.queue, true, &err), 0);
    close_both(&both);
    assert_int_equal(open_both(&both, &err), 0);
    assert_int_equal(queue_len(both.queue), 1);
    assert_int_equal(queue_find(both.queue, id)->state, APPROVAL_COMPLETED);
    close_both(&both);
}

/* No room: the caller hears it, the file is as before, and the next line stands alone. */
static void test_a_full_disk(void **state)
{
    struct both both;
    struct err err = ERR_INIT;
    struct approval *approval = NULL;
    struct stat before, after;

    assert_int_equal(open_both(&both, &err), 0);
    approval = ask(&both, "1");
    assert_int_equal(stat(path, &before), 0);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), kept = dup(journal_fd(both.journal));
    assert_true(full >= 0 && kept >= 0);
    assert_true(dup2(full, journal_fd(both.journal)) >= 0);
    assert_true(journal_write(both.journal, approval, &err) < 0);
    assert_true(dup2(kept, journal_fd(both.journal)) >= 0);
    close(full);
    close(kept);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_size, after.st_size);
    ask(&both, "2");
    close_both(&both);
    assert_int_equal(open_both(&both, &err), 0);
    assert_int_equal(queue_len(both.queue), 2);
    close_both(&both);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut_anywhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_hole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_in_the_middle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whose_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compaction, setup, teardown),
        cmocka_unit_test_setup_teardown(test_history, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_survives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_largest_arguments, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_disk, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
