/* The queue: what a second call of the same gets, quotas, expiry, loading, trimming, ten thousand at once. */
#include "approval/queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define DAY (24 * 3600 * 1000ll)

static struct queue *make(void)
{
    const struct queue_limits limits = { 3, 5, DAY, DAY, 2 };
    struct queue *queue = NULL;

    assert_int_equal(queue_new(&limits, &queue), 0);
    return queue;
}

static int ask_with(struct queue *queue, const char *session, const char *same, const char *key, bool repeatable, int64_t now,
    struct approval **ret_approval)
{
    const struct queue_request request = { .session_id = session,
        .key = key,
        .seal = "sha256:seal",
        .same = same,
        .card = json_pack("{s:s}", "title", same),
        .repeatable = repeatable };

    *ret_approval = NULL;
    return queue_request(queue, &request, now, ret_approval);
}

static int ask(struct queue *queue, const char *session, const char *same, int64_t now, struct approval **ret_approval)
{
    return ask_with(queue, session, same, NULL, false, now, ret_approval);
}

static void end(struct queue *queue, struct approval *approval, enum approval_state state, int64_t now)
{
    assert_int_equal(approval_decide(approval, true, NULL, NULL, now), 0);
    queue_changed(queue, approval);
    assert_int_equal(approval_start(approval, now), 0);
    queue_changed(queue, approval);
    assert_int_equal(approval_finish(approval, state, json_object(), now), 0);
    queue_changed(queue, approval);
}

static void collect(struct queue *queue, struct approval *approval, int64_t now)
{
    assert_int_equal(approval_collect(approval, now), 0);
    queue_changed(queue, approval);
}

static void test_the_same_call(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *first = NULL, *second = NULL, *other = NULL;

    assert_int_equal(ask(queue, "ses_a", "one", 1000, &first), QUEUE_NEW);
    assert_int_equal(ask(queue, "ses_a", "one", 1001, &second), QUEUE_SAME);
    assert_ptr_equal(first, second);
    assert_int_equal(ask(queue, "ses_a", "two", 1002, &other), QUEUE_NEW);
    end(queue, first, APPROVAL_COMPLETED, 2000);
    assert_int_equal(ask(queue, "ses_a", "one", 2001, &second), QUEUE_SAME);
    collect(queue, first, 2002);
    assert_int_equal(ask(queue, "ses_a", "one", 2003, &second), QUEUE_NEW);
    assert_ptr_not_equal(first, second);
    assert_string_equal(second->before, first->id);
    assert_int_equal(second->before_unix_ms, 2000);
    /* What was denied is no obstacle and not "done last". */
    assert_int_equal(approval_decide(second, false, NULL, NULL, 2004), 0);
    queue_changed(queue, second);
    collect(queue, second, 2005);
    assert_int_equal(ask(queue, "ses_a", "one", 2006, &other), QUEUE_NEW);
    assert_string_equal(other->before, first->id);
}

static void test_unknown_holds_until_it_is_collected(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *first = NULL, *second = NULL;

    assert_int_equal(ask(queue, "ses_a", "one", 1000, &first), QUEUE_NEW);
    end(queue, first, APPROVAL_UNKNOWN, 2000);
    assert_int_equal(ask(queue, "ses_a", "one", 2001, &second), QUEUE_SAME);
    assert_int_equal(approval_resolve(first, 2002), 0);
    queue_changed(queue, first);
    assert_int_equal(ask(queue, "ses_a", "one", 2003, &second), QUEUE_SAME);
    collect(queue, first, 2004);
    assert_int_equal(ask(queue, "ses_a", "one", 2005, &second), QUEUE_NEW);
}

static void test_repeatable_calls_are_calls_of_their_own(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *first = NULL, *second = NULL;

    assert_int_equal(ask_with(queue, "ses_a", "one", NULL, true, 1000, &first), QUEUE_NEW);
    assert_int_equal(ask_with(queue, "ses_a", "one", NULL, true, 1001, &second), QUEUE_NEW);
    assert_ptr_not_equal(first, second);
}

static void test_idempotency_keys(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *first = NULL, *second = NULL;

    assert_int_equal(ask_with(queue, "ses_a", "one", "k", false, 1000, &first), QUEUE_NEW);
    end(queue, first, APPROVAL_COMPLETED, 2000);
    collect(queue, first, 2001);
    /* At any time, not only until it was collected. */
    assert_int_equal(ask_with(queue, "ses_a", "one", "k", false, 900000000, &second), QUEUE_SAME);
    assert_ptr_equal(first, second);
    assert_int_equal(ask_with(queue, "ses_a", "two", "k", false, 3000, &second), QUEUE_OTHER);
    assert_int_equal(ask_with(queue, "ses_b", "one", "k", false, 3000, &second), QUEUE_NEW);
}

static void test_quotas(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *approval = NULL, *first = NULL;

    assert_int_equal(ask(queue, "ses_a", "1", 1000, &first), QUEUE_NEW);
    assert_int_equal(ask(queue, "ses_a", "2", 1000, &approval), QUEUE_NEW);
    assert_int_equal(ask(queue, "ses_a", "3", 1000, &approval), QUEUE_NEW);
    assert_int_equal(ask(queue, "ses_a", "4", 1000, &approval), QUEUE_SESSION_FULL);
    assert_int_equal(ask(queue, "ses_a", "1", 1000, &approval), QUEUE_SAME);
    assert_int_equal(ask(queue, "ses_b", "4", 1000, &approval), QUEUE_NEW);
    assert_int_equal(ask(queue, "ses_c", "5", 1000, &approval), QUEUE_NEW);
    assert_int_equal(ask(queue, "ses_d", "6", 1000, &approval), QUEUE_FULL);
    assert_int_equal(queue_pending(queue), 5);
    assert_int_equal(approval_decide(first, true, NULL, NULL, 1001), 0);
    queue_changed(queue, first);
    assert_int_equal(queue_pending(queue), 4);
    assert_int_equal(ask(queue, "ses_a", "7", 1000, &approval), QUEUE_NEW);
    queue_withdraw(queue, approval);
    assert_int_equal(queue_pending(queue), 4);
    assert_int_equal(queue_len(queue), 5);
}

static void test_expiry(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *first = NULL, *second = NULL;

    assert_int_equal(queue_next_expiry(queue), 0);
    assert_int_equal(ask(queue, "ses_a", "1", 1000, &first), QUEUE_NEW);
    assert_int_equal(ask(queue, "ses_a", "2", 500, &second), QUEUE_NEW);
    assert_int_equal(queue_next_expiry(queue), 500 + DAY);
    assert_int_equal(approval_expire(second, 500 + DAY), 0);
    queue_changed(queue, second);
    assert_int_equal(queue_next_expiry(queue), 1000 + DAY);
}

static void test_finding(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *approval = NULL;

    assert_int_equal(ask(queue, "ses_a", "1", 1000, &approval), QUEUE_NEW);
    assert_ptr_equal(queue_find(queue, approval->id), approval);
    assert_ptr_equal(queue_find_suffix(queue, approval->id + strlen(approval->id) - 6), approval);
    assert_null(queue_find_suffix(queue, approval->id + strlen(approval->id) - 5));
    assert_null(queue_find(queue, "apr_"));
    assert_null(queue_find(queue, "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV01ARZ3NDEKTSV4RRFFQ69G5FAV"));
}

/* What the journal says last counts; a loaded one holds and counts as it did. */
static void test_loading(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *one = make(), *other = make();
    struct approval *approval = NULL, *copy = NULL;
    json_t *pending = NULL, *running = NULL;

    assert_int_equal(ask(one, "ses_a", "1", 1000, &approval), QUEUE_NEW);
    pending = approval_to_json(approval);
    assert_int_equal(approval_decide(approval, true, NULL, NULL, 1001), 0);
    assert_int_equal(approval_start(approval, 1002), 0);
    running = approval_to_json(approval);
    assert_int_equal(approval_from_json(pending, &copy, NULL), 0);
    assert_int_equal(queue_load(other, copy), 0);
    assert_int_equal(queue_pending(other), 1);
    assert_int_equal(approval_from_json(running, &copy, NULL), 0);
    assert_int_equal(queue_load(other, copy), 0);
    assert_int_equal(queue_pending(other), 0);
    assert_int_equal(queue_len(other), 1);
    assert_int_equal(ask(other, "ses_a", "1", 2000, &approval), QUEUE_SAME);
    assert_int_equal(approval->state, APPROVAL_RUNNING);
    json_decref(pending);
    json_decref(running);
}

static void test_trimming(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *approval = NULL;
    char same[16];

    for (int i = 0; i < 6; i++) {
        snprintf(same, sizeof same, "%d", i);
        assert_int_equal(ask(queue, "ses_a", same, 1000 + i, &approval), QUEUE_NEW);
        end(queue, approval, APPROVAL_COMPLETED, 2000 + i);
        if (i != 1) /* one that nobody has collected stays */
            collect(queue, approval, 3000 + i);
    }
    assert_int_equal(queue_trim(queue), 3);
    assert_int_equal(queue_len(queue), 3);
    assert_int_equal(queue_trim(queue), 0);
}

/* ---- calls that nobody is asked about ---- */

static struct approval *run(struct queue *queue, const char *same, const char *key, int64_t now)
{
    const struct queue_request request = { .session_id = "ses_a", .key = key, .seal = "", .same = same, .unattended = true };
    struct approval *approval = NULL;

    assert_int_equal(queue_request(queue, &request, now, &approval), QUEUE_NEW);
    assert_int_equal(approval->state, APPROVAL_RUNNING);
    return approval;
}

static void finish(struct queue *queue, struct approval *approval, json_t *result)
{
    assert_int_equal(approval_finish(approval, APPROVAL_COMPLETED, result, 2000), 0);
    queue_changed(queue, approval);
}

static void test_unattended(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *first = run(queue, "one", NULL, 1000), *found = NULL;

    /* It is nobody's to decide, and takes no place of those that are. */
    assert_int_equal(queue_pending(queue), 0);
    assert_int_equal(queue_next_expiry(queue), 0);
    for (int i = 0; i < 5; i++)
        run(queue, (const char[]){ (char) ('a' + i), '\0' }, NULL, 1000);
    assert_int_equal(ask(queue, "ses_a", "gated", 1000, &found), QUEUE_NEW);
    assert_int_equal(queue_same(queue, "ses_a", NULL, "one", false, &found), QUEUE_SAME);
    assert_ptr_equal(found, first);
    assert_int_equal(queue_same(queue, "ses_a", NULL, "one", true, &found), QUEUE_NEW);
    /* Over, but nobody has it yet: still the answer to the same call. */
    finish(queue, first, json_object());
    assert_int_equal(queue_same(queue, "ses_a", NULL, "one", false, &found), QUEUE_SAME);
    collect(queue, first, 3000);
    assert_int_equal(queue_same(queue, "ses_a", NULL, "one", false, &found), QUEUE_NEW);
    queue_withdraw(queue, first);
    assert_int_equal(queue_len(queue), 6);
}

static void test_same_by_key(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *first = run(queue, "one", "k", 1000), *found = NULL;

    finish(queue, first, json_object());
    collect(queue, first, 3000);
    assert_int_equal(queue_same(queue, "ses_a", "k", "one", false, &found), QUEUE_SAME);
    assert_ptr_equal(found, first);
    assert_int_equal(queue_same(queue, "ses_a", "k", "two", false, &found), QUEUE_OTHER);
    assert_int_equal(queue_same(queue, "ses_b", "k", "one", false, &found), QUEUE_NEW);
    assert_int_equal(queue_same(queue, "ses_a", "l", "one", false, &found), QUEUE_NEW);
    assert_int_equal(queue_same(queue, "ses_a", "k", "one", true, &found), QUEUE_SAME);
}

/* Denied, expired, cancelled: who asked has yet to hear it, so the same call hears it instead of asking again. */
static void test_an_end_without_a_run_holds_until_it_is_heard(void **state)
{
    for (int i = 0; i < 3; i++) {
        CLEANUP_PTR(queue_free) struct queue *queue = make();
        struct approval *first = NULL, *found = NULL;

        assert_int_equal(ask(queue, "ses_a", "one", 1000, &first), QUEUE_NEW);
        if (i == 0)
            assert_int_equal(approval_decide(first, false, NULL, NULL, 2000), 0);
        else if (i == 1)
            assert_int_equal(approval_expire(first, 1000 + DAY), 0);
        else
            assert_int_equal(approval_cancel(first, "gone", 2000), 0);
        queue_changed(queue, first);
        assert_int_equal(queue_pending(queue), 0);
        assert_int_equal(queue_same(queue, "ses_a", NULL, "one", false, &found), QUEUE_SAME);
        assert_ptr_equal(found, first);
        collect(queue, first, 3000);
        assert_int_equal(queue_same(queue, "ses_a", NULL, "one", false, &found), QUEUE_NEW);
    }
}

static void test_ends_are_bounded(void **state)
{
    const struct queue_limits limits = { 10, 10, DAY, DAY, 10, 0, 0, 3, 100000 };
    CLEANUP_PTR(queue_free) struct queue *queue = NULL;
    struct approval *ends[5];
    static char text[90000];

    assert_int_equal(queue_new(&limits, &queue), 0);
    for (int i = 0; i < 5; i++)
        ends[i] = run(queue, (const char[]){ (char) ('a' + i), '\0' }, NULL, 1000);
    /* By their end, not their beginning; what still runs is none. */
    for (int i = 3; i >= 1; i--)
        finish(queue, ends[i], json_object());
    assert_null(queue_overflow(queue));
    finish(queue, ends[0], json_object());
    assert_ptr_equal(queue_overflow(queue), ends[3]);
    queue_withdraw(queue, ends[3]);
    assert_null(queue_overflow(queue));
    /* Few, but large. */
    queue_withdraw(queue, ends[2]);
    finish(queue, ends[4], json_pack("{s:o}", "text", json_stringn(memset(text, 'x', sizeof text), sizeof text)));
    assert_null(queue_overflow(queue));
    finish(queue, run(queue, "large", NULL, 1000), json_pack("{s:o}", "text", json_stringn(text, sizeof text)));
    assert_ptr_equal(queue_overflow(queue), ends[1]);
    queue_withdraw(queue, ends[1]);
    queue_withdraw(queue, ends[0]);
    assert_ptr_equal(queue_overflow(queue), ends[4]);
    queue_withdraw(queue, ends[4]);
    assert_null(queue_overflow(queue));
}

/* ---- memory ---- */

static int ask_large(struct queue *queue, const char *session, const char *same, struct approval **ret_approval)
{
    static char text[30000];
    const struct queue_request request = { .session_id = session,
        .seal = "sha256:seal",
        .same = same,
        .card = json_pack("{s:o}", "text", json_stringn(memset(text, 'x', sizeof text), sizeof text)) };

    *ret_approval = NULL;
    return queue_request(queue, &request, 1000, ret_approval);
}

static void test_memory_is_bounded(void **state)
{
    const struct queue_limits limits = { 100, 100, DAY, DAY, 10, 70000, 105000, 0, 0 };
    CLEANUP_PTR(queue_free) struct queue *queue = NULL;
    struct approval *first = NULL, *approval = NULL;

    assert_int_equal(queue_new(&limits, &queue), 0);
    assert_int_equal(ask_large(queue, "ses_a", "1", &first), QUEUE_NEW);
    assert_int_equal(ask_large(queue, "ses_a", "2", &approval), QUEUE_NEW);
    assert_int_equal(ask_large(queue, "ses_a", "3", &approval), QUEUE_SESSION_FULL);
    assert_int_equal(ask(queue, "ses_a", "small", 1000, &approval), QUEUE_NEW);
    queue_withdraw(queue, approval);
    assert_int_equal(ask_large(queue, "ses_b", "5", &approval), QUEUE_NEW);
    assert_int_equal(ask_large(queue, "ses_c", "6", &approval), QUEUE_FULL);
    assert_int_equal(approval_decide(first, false, NULL, NULL, 2000), 0);
    queue_changed(queue, first);
    assert_int_equal(ask_large(queue, "ses_c", "6", &approval), QUEUE_NEW);
    assert_int_equal(ask_large(queue, "ses_a", "4", &approval), QUEUE_FULL);
}

/* What was done last is found at once, also among the many. */
static void test_done_last_after_a_restart(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *one = make(), *other = make();
    struct approval *older = NULL, *newer = NULL, *copy = NULL, *found = NULL;

    assert_int_equal(ask(one, "ses_a", "1", 1000, &older), QUEUE_NEW);
    end(one, older, APPROVAL_COMPLETED, 2000);
    collect(one, older, 2001);
    assert_int_equal(ask(one, "ses_a", "1", 3000, &newer), QUEUE_NEW);
    end(one, newer, APPROVAL_UNKNOWN, 4000);
    collect(one, newer, 4001);
    for (int i = 0; i < 2; i++) { /* in any order */
        json_t *json = approval_to_json(i == 0 ? newer : older);

        assert_int_equal(approval_from_json(json, &copy, NULL), 0);
        assert_int_equal(queue_load(other, copy), 0);
        json_decref(json);
    }
    assert_int_equal(ask(other, "ses_a", "1", 5000, &found), QUEUE_NEW);
    assert_string_equal(found->before, newer->id);
    assert_int_equal(found->before_unix_ms, 4000);
}

/* Ends that did nothing do not pile up for ever, heard or not. */
static void test_trimming_of_the_unheard(void **state)
{
    CLEANUP_PTR(queue_free) struct queue *queue = make();
    struct approval *approval = NULL;

    for (int i = 0; i < 6; i++) {
        assert_int_equal(ask(queue, "ses_a", (const char[]){ (char) ('a' + i), '\0' }, 1000 + i, &approval), QUEUE_NEW);
        assert_int_equal(approval_expire(approval, 1000 + i + DAY), 0);
        queue_changed(queue, approval);
    }
    assert_int_equal(queue_trim(queue), 4);
    assert_int_equal(queue_len(queue), 2);
}

static bool count_one(struct approval *approval, void *userdata)
{
    ++*(size_t *) userdata;
    return *(size_t *) userdata < 5;
}

static void test_ten_thousand(void **state)
{
    const struct queue_limits limits = { 20000, 20000, DAY, DAY, 10000 };
    CLEANUP_PTR(queue_free) struct queue *queue = NULL;
    struct approval *approval = NULL;
    size_t seen = 0;
    char same[16];

    assert_int_equal(queue_new(&limits, &queue), 0);
    for (int i = 0; i < 10000; i++) {
        snprintf(same, sizeof same, "%d", i);
        assert_int_equal(ask(queue, "ses_a", same, 1000 + i, &approval), QUEUE_NEW);
    }
    assert_int_equal(queue_pending(queue), 10000);
    queue_visit(queue, count_one, &seen);
    assert_int_equal(seen, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_call),
        cmocka_unit_test(test_unknown_holds_until_it_is_collected),
        cmocka_unit_test(test_repeatable_calls_are_calls_of_their_own),
        cmocka_unit_test(test_idempotency_keys),
        cmocka_unit_test(test_quotas),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_finding),
        cmocka_unit_test(test_loading),
        cmocka_unit_test(test_trimming),
        cmocka_unit_test(test_trimming_of_the_unheard),
        cmocka_unit_test(test_unattended),
        cmocka_unit_test(test_same_by_key),
        cmocka_unit_test(test_an_end_without_a_run_holds_until_it_is_heard),
        cmocka_unit_test(test_ends_are_bounded),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_done_last_after_a_restart),
        cmocka_unit_test(test_ten_thousand),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
