/*
 * The journal of approvals, interrupted in every way that base/test-disk.h knows, while it is used as the broker uses it: a line,
 * a sync where one is waited for, then the effect. What was acknowledged is there afterwards, and nothing that may have been done is
 * there as something that may still be done.
 */
#include "approval/journal.h"
#include "base/test-disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/banned.h"

static const struct queue_limits limits = { 1000, 1000, 1000000, 1000000, 1000, 0, 0, 0, 0 };

enum { A, B, C, U, V, RECORDS }; /* three that a person is asked about, two that nobody is */

struct state {
    struct queue *queue;
    struct journal *journal;
    char ids[RECORDS][ULID_ID_MAX];
};

/* ---- what is done ---- */

static struct approval *get(const struct state *state, int record)
{
    return queue_find(state->queue, state->ids[record]);
}

static int write_line(struct state *state, struct approval *approval, bool sync)
{
    int r = journal_write(state->journal, approval, NULL);

    if (r == 0 && sync && fdatasync(journal_fd(state->journal)) < 0)
        r = -1;
    return r;
}

static int begin(struct state *state, int record, bool unattended)
{
    const char same[] = { 's', (char) ('a' + record), '\0' };
    const struct queue_request request = { .session_id = "ses_a",
        .seal = "sha256:seal",
        .same = same,
        .asked = json_pack("{s:s}", "action", "send"),
        .card = unattended ? NULL : json_pack("{s:s}", "title", "a card with some text that is long enough to be torn"),
        .unattended = unattended };
    struct approval *approval = NULL;
    int r = queue_request(state->queue, &request, 1000 + record, &approval);

    assert_int_equal(r, QUEUE_NEW);
    /* Known before it is written, so that the check finds what a crash left. */
    memcpy(state->ids[record], approval->id, sizeof approval->id);
    r = write_line(state, approval, true);
    if (r == 0)
        return 0;
    /* Told to have failed: then it must not come back either. */
    if (journal_drop(state->journal, approval) == 0)
        journal_flush(state->journal, NULL);
    queue_withdraw(state->queue, approval);
    return r;
}

static int changed(struct state *state, struct approval *approval, int refusal, bool sync)
{
    assert_int_equal(refusal, 0);
    queue_changed(state->queue, approval);
    return write_line(state, approval, sync);
}

static int do_open(struct state *state)
{
    char path[128];

    journal_close(TAKE_PTR(state->journal));
    queue_free(TAKE_PTR(state->queue));
    snprintf(path, sizeof path, "%s/approvals.jsonl", disk_home);
    assert_int_equal(queue_new(&limits, &state->queue), 0);
    return journal_open(path, state->queue, 5000, &state->journal, NULL, NULL);
}

static int do_ask_a(struct state *state)
{
    return begin(state, A, false);
}

static int do_ask_b(struct state *state)
{
    return begin(state, B, false);
}

static int do_ask_c(struct state *state)
{
    return begin(state, C, false);
}

static int do_approve_a(struct state *state)
{
    return changed(state, get(state, A), approval_decide(get(state, A), true, NULL, NULL, 2000), true);
}

static int do_start_a(struct state *state)
{
    return changed(state, get(state, A), approval_start(get(state, A), 2000), true);
}

static int do_finish_a(struct state *state)
{
    return changed(
        state, get(state, A), approval_finish(get(state, A), APPROVAL_COMPLETED, json_pack("{s:i}", "n", 1), 2000), false);
}

static int do_deny_b(struct state *state)
{
    return changed(state, get(state, B), approval_decide(get(state, B), false, NULL, "no", 2000), true);
}

static int do_run_u(struct state *state)
{
    return begin(state, U, true);
}

static int do_run_v(struct state *state)
{
    return begin(state, V, true);
}

/* Its asker took the answer. */
static int do_drop_u(struct state *state)
{
    struct approval *approval = get(state, U);

    assert_int_equal(approval_finish(approval, APPROVAL_COMPLETED, json_object(), 2000), 0);
    if (journal_drop(state->journal, approval) < 0)
        return -1;
    queue_withdraw(state->queue, approval);
    return journal_flush(state->journal, NULL);
}

static int do_compact(struct state *state)
{
    return journal_compact(state->journal, state->queue, true, NULL);
}

/*
 * After each step: the states in which a restart may find each record, in the order A B C U V. `lost`: when the power went; what
 * is not synced may be as it was before. P pending, ? unknown, C completed, D denied, - not there.
 */
static const struct step {
    const char *name;
    int (*run)(struct state *state);
    const char *killed[RECORDS], *lost[RECORDS];
} steps[] = {
    { "nothing", NULL, { "-", "-", "-", "-", "-" }, { "-", "-", "-", "-", "-" } },
    { "open", do_open, { "-", "-", "-", "-", "-" }, { "-", "-", "-", "-", "-" } },
    { "ask A", do_ask_a, { "P", "-", "-", "-", "-" }, { "P", "-", "-", "-", "-" } },
    { "ask B", do_ask_b, { "P", "P", "-", "-", "-" }, { "P", "P", "-", "-", "-" } },
    { "approve A", do_approve_a, { "P", "P", "-", "-", "-" }, { "P", "P", "-", "-", "-" } },
    { "start A", do_start_a, { "?", "P", "-", "-", "-" }, { "?", "P", "-", "-", "-" } },
    { "run U", do_run_u, { "?", "P", "-", "?", "-" }, { "?", "P", "-", "?", "-" } },
    { "finish A", do_finish_a, { "C", "P", "-", "?", "-" }, { "?C", "P", "-", "?", "-" } },
    { "drop U", do_drop_u, { "C", "P", "-", "-", "-" }, { "?C", "P", "-", "?-", "-" } },
    { "compact", do_compact, { "C", "P", "-", "-", "-" }, { "C", "P", "-", "-", "-" } },
    { "run V", do_run_v, { "C", "P", "-", "-", "?" }, { "C", "P", "-", "-", "?" } },
    { "deny B", do_deny_b, { "C", "D", "-", "-", "?" }, { "C", "D", "-", "-", "?" } },
    { "restart", do_open, { "C", "D", "-", "-", "?" }, { "C", "D", "-", "-", "?" } },
    { "ask C", do_ask_c, { "C", "D", "P", "-", "?" }, { "C", "D", "P", "-", "?" } },
    { "compact again", do_compact, { "C", "D", "P", "-", "?" }, { "C", "D", "P", "-", "?" } },
};

/* ---- the case ---- */

static void state_clear(struct state *state)
{
    journal_close(TAKE_PTR(state->journal));
    queue_free(TAKE_PTR(state->queue));
}

/* All steps; one that fails ends it, as the broker would let nothing more happen. */
static int run_all(void *userdata)
{
    struct state *state = userdata;

    state_clear(state);
    for (size_t i = 1; i < ARRAY_LEN(steps); i++) {
        if (steps[i].run(state) < 0)
            return -1;
        disk_acknowledge();
    }
    return 0;
}

static char letter_of(const struct approval *approval)
{
    static const char letters[APPROVAL_STATES] = { [APPROVAL_PENDING] = 'P',
        [APPROVAL_APPROVED] = 'a',
        [APPROVAL_RUNNING] = 'r',
        [APPROVAL_COMPLETED] = 'C',
        [APPROVAL_FAILED] = 'F',
        [APPROVAL_UNKNOWN] = '?',
        [APPROVAL_DENIED] = 'D',
        [APPROVAL_EXPIRED] = 'e',
        [APPROVAL_CANCELLED] = 'c' };

    return approval ? letters[approval->state] : '-';
}

/* Ids are new in each run, and a child's are not known here: a record is what it is called by. */
static bool name_one(struct approval *approval, void *userdata)
{
    char *letters = userdata;
    int record = approval->same[1] - 'a';

    assert_true(approval->same[0] == 's' && record >= 0 && record < RECORDS && letters[record] == '-');
    letters[record] = letter_of(approval);
    return true;
}

static void look(struct state *state, char letters[RECORDS + 1])
{
    assert_int_equal(do_open(state), 0);
    memset(letters, '-', RECORDS);
    letters[RECORDS] = '\0';
    queue_visit(state->queue, name_one, letters);
}

/* Between two steps it is as after the one or as after the other. */
static bool may_be(const struct disk_crash *crash, int record, char letter)
{
    size_t next = crash->acknowledged + 1 < ARRAY_LEN(steps) ? crash->acknowledged + 1 : crash->acknowledged;
    const struct step *done = &steps[crash->acknowledged], *doing = &steps[next];

    return strchr(crash->power ? done->lost[record] : done->killed[record], letter) ||
           strchr(crash->power ? doing->lost[record] : doing->killed[record], letter);
}

static void check_journal(const struct disk_crash *crash, void *userdata)
{
    char letters[RECORDS + 1], again[RECORDS + 1];
    struct state *state = userdata, fresh = { 0 };

    state_clear(state);
    look(&fresh, letters);
    for (int i = 0; i < RECORDS; i++)
        if (!may_be(crash, i, letters[i]))
            fail_msg("%s after \"%s\": %s", crash->power ? "power lost" : "stopped", steps[crash->acknowledged].name, letters);
    /* What was found stays, and the journal goes on. */
    struct approval *approval = NULL;
    const struct queue_request request = { .session_id = "ses_b", .seal = "sha256:seal", .same = "after" };
    static int64_t later = 10000;
    /* A child's ids go on from here as well: only another time makes another one. */
    later += 1000;
    assert_int_equal(queue_request(fresh.queue, &request, later, &approval), QUEUE_NEW);
    assert_int_equal(write_line(&fresh, approval, true), 0);
    assert_int_equal(journal_drop(fresh.journal, approval), 0);
    queue_withdraw(fresh.queue, approval);
    assert_int_equal(journal_flush(fresh.journal, NULL), 0);
    look(&fresh, again);
    assert_string_equal(letters, again);
    state_clear(&fresh);
}

static struct state running;
static const struct disk_case whole = { "journal", &running, NULL, run_all, check_journal, NULL, true };

static void test_stopped(void **state)
{
    disk_stop_everywhere(&whole, 30);
}

static void test_refused(void **state)
{
    disk_refuse_everywhere(&whole, 30);
}

static void test_power_loss(void **state)
{
    disk_lose_power_everywhere(&whole, 30);
}

/* ---- a disk that was full for a while ---- */

/* As run_all(), but each step that fails is taken back and done again; a new file may be made another time. */
static int run_stubbornly(void *userdata)
{
    struct state *state = userdata;

    state_clear(state);
    for (size_t i = 1; i < ARRAY_LEN(steps); i++) {
        int r = -1;

        for (int tries = 0; r < 0 && tries < 4; tries++) {
            r = steps[i].run(state);
            if (r < 0 && steps[i].run == do_compact)
                r = 0;
            if (r < 0 && (steps[i].run == do_drop_u || steps[i].run == do_start_a || steps[i].run == do_finish_a ||
                             steps[i].run == do_approve_a || steps[i].run == do_deny_b))
                r = -2; /* the record has changed already: write it again */
            if (r == -2)
                break;
        }
        if (r == -2 && steps[i].run == do_drop_u)
            for (int tries = 0; r < 0 && tries < 4; tries++)
                r = journal_flush(state->journal, NULL);
        else if (r == -2)
            for (int tries = 0; r < 0 && tries < 4; tries++)
                r = write_line(state, get(state, steps[i].run == do_deny_b ? B : A), true);
        if (r < 0)
            return -1;
        disk_acknowledge();
    }
    return 0;
}

static void all_was_done(enum disk_refusal how, int result, void *userdata)
{
    if (how != DISK_REFUSE_FROM)
        assert_int_equal(result, 0);
}

static const struct disk_case stubborn = { "journal, tried again", &running, NULL, run_stubbornly, check_journal, all_was_done,
    true };

static void test_refused_for_a_while(void **state)
{
    disk_refuse_everywhere(&stubborn, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_refused_for_a_while),
        cmocka_unit_test(test_power_loss),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
