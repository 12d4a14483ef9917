/* One approval: every change in every state, seals, and the journal's line. */
#include "approval/approval.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

#define SEAL "sha256:aaaa"

static struct approval *make(enum approval_state state)
{
    struct approval *approval = calloc(1, sizeof *approval);

    assert_non_null(approval);
    ulid_new("apr_", 1000, approval->id);
    approval->state = state;
    memcpy(approval->seal, SEAL, sizeof SEAL);
    approval->requested_unix_ms = 1000;
    approval->expires_unix_ms = 5000;
    CLEANUP_JSON json_t *card = json_pack("{s:s}", "title", "Send a mail");
    assert_int_equal(approval_set(approval, NULL, card), 0);
    return approval;
}

enum change { DECIDE_YES, DECIDE_NO, START, ASK_AGAIN, FINISH, COLLECT, EXPIRE, CANCEL, RESOLVE, CHANGES };

static int apply(struct approval *approval, enum change change)
{
    switch (change) {
    case DECIDE_YES:
        return approval_decide(approval, true, SEAL, NULL, 2000);
    case DECIDE_NO:
        return approval_decide(approval, false, SEAL, "no", 2000);
    case START:
        return approval_start(approval, 2000);
    case ASK_AGAIN:
        return approval_ask_again(approval, "sha256:bbbb", json_object(), json_array(), 9000, 2000);
    case FINISH:
        return approval_finish(approval, APPROVAL_COMPLETED, json_object(), 2000);
    case COLLECT:
        return approval_collect(approval, 2000);
    case EXPIRE:
        return approval_expire(approval, 5000);
    case CANCEL:
        return approval_cancel(approval, "its action was removed", 2000);
    default:
        return approval_resolve(approval, 2000);
    }
}

/* The whole table: 0 where the change may happen, and the state after it. */
static void test_every_change(void **state)
{
    static const struct {
        enum change change;
        enum approval_state from, to;
    } allowed[] = {
        { DECIDE_YES, APPROVAL_PENDING, APPROVAL_APPROVED },
        { DECIDE_NO, APPROVAL_PENDING, APPROVAL_DENIED },
        { START, APPROVAL_APPROVED, APPROVAL_RUNNING },
        { ASK_AGAIN, APPROVAL_APPROVED, APPROVAL_PENDING },
        { FINISH, APPROVAL_RUNNING, APPROVAL_COMPLETED },
        { EXPIRE, APPROVAL_PENDING, APPROVAL_EXPIRED },
        { CANCEL, APPROVAL_PENDING, APPROVAL_CANCELLED },
        { RESOLVE, APPROVAL_UNKNOWN, APPROVAL_UNKNOWN },
        { COLLECT, APPROVAL_COMPLETED, APPROVAL_COMPLETED },
        { COLLECT, APPROVAL_FAILED, APPROVAL_FAILED },
        { COLLECT, APPROVAL_UNKNOWN, APPROVAL_UNKNOWN },
        { COLLECT, APPROVAL_DENIED, APPROVAL_DENIED },
        { COLLECT, APPROVAL_EXPIRED, APPROVAL_EXPIRED },
        { COLLECT, APPROVAL_CANCELLED, APPROVAL_CANCELLED },
    };

    for (int from = 0; from < APPROVAL_STATES; from++)
        for (int change = 0; change < CHANGES; change++) {
            CLEANUP_PTR(approval_free) struct approval *approval = make((enum approval_state) from);
            int expected = APPROVAL_WRONG_STATE;
            enum approval_state to = (enum approval_state) from;

            for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
                if ((int) allowed[i].from == from && (int) allowed[i].change == change) {
                    expected = 0;
                    to = allowed[i].to;
                }
            if (apply(approval, (enum change) change) != expected || approval->state != to)
                fail_msg("change %d in state %s: now %s", change, approval_state_name((enum approval_state) from),
                    approval_state_name(approval->state));
        }
}

static void test_a_decision_is_about_what_was_seen(void **state)
{
    CLEANUP_PTR(approval_free) struct approval *approval = make(APPROVAL_PENDING);

    assert_int_equal(approval_decide(approval, true, "sha256:cccc", NULL, 2000), APPROVAL_OTHER_SEAL);
    assert_int_equal(approval->state, APPROVAL_PENDING);
    assert_int_equal(approval_decide(approval, true, SEAL, NULL, 2000), 0);
    assert_int_equal(approval_ask_again(approval, "sha256:bbbb", json_object(), json_array(), 9000, 2500), 0);
    assert_int_equal(approval_decide(approval, true, SEAL, NULL, 3000), APPROVAL_OTHER_SEAL);
    assert_int_equal(approval_decide(approval, true, "sha256:bbbb", NULL, 3000), 0);
}

static void test_expiry_waits_for_its_time(void **state)
{
    CLEANUP_PTR(approval_free) struct approval *approval = make(APPROVAL_PENDING);

    assert_int_equal(approval_expire(approval, 4999), APPROVAL_WRONG_STATE);
    assert_int_equal(approval_expire(approval, 5000), 0);
}

static void test_a_restart(void **state)
{
    for (int from = 0; from < APPROVAL_STATES; from++) {
        CLEANUP_PTR(approval_free) struct approval *approval = make((enum approval_state) from);
        bool changed = approval_recover(approval, 3000);

        assert_int_equal(changed, from == APPROVAL_APPROVED || from == APPROVAL_RUNNING);
        if (from == APPROVAL_APPROVED)
            assert_int_equal(approval->state, APPROVAL_PENDING);
        else if (from == APPROVAL_RUNNING)
            assert_int_equal(approval->state, APPROVAL_UNKNOWN);
        else
            assert_int_equal(approval->state, from);
    }
}

static void test_forgetting(void **state)
{
    CLEANUP_PTR(approval_free) struct approval *approval = make(APPROVAL_RUNNING);

    assert_int_equal(approval_finish(approval, APPROVAL_FAILED, json_object(), 2000), 0);
    assert_true(approval_holds(approval));
    assert_false(approval_forget(approval, 1000, 900000));
    assert_int_equal(approval_collect(approval, 3000), 0);
    assert_int_equal(approval_collect(approval, 4000), 0);
    assert_int_equal(approval->collected_unix_ms, 3000);
    assert_false(approval_holds(approval));
    assert_false(approval_forget(approval, 1000, 3999));
    assert_true(approval_forget(approval, 1000, 4000));
    assert_null(approval->card);
    assert_null(approval->result);
    assert_false(approval_forget(approval, 1000, 5000));
}

static void seal(const char *action, const char *hash, const char *arguments, const char *connector, const char *binding,
    const char *preview, char out[SHA256_TAGGED_MAX])
{
    CLEANUP_JSON json_t *steps = json_loads(arguments, 0, NULL);
    CLEANUP_JSON json_t *pairs = preview ? json_loads(preview, 0, NULL) : NULL;
    const struct approval_seal what = { action, hash, connector, binding, steps, pairs };

    assert_int_equal(approval_seal_make(&what, out), 0);
}

static void test_seals(void **state)
{
    static const char *const other[][6] = {
        { "send", "h", "[{\"a\":1,\"b\":2}]", "c", "me", NULL },
        { "sent", "h", "[{\"a\":1,\"b\":2}]", "c", "me", "[[\"To\",\"x\"]]" },
        { "send", "i", "[{\"a\":1,\"b\":2}]", "c", "me", "[[\"To\",\"x\"]]" },
        { "send", "h", "[{\"a\":1,\"b\":3}]", "c", "me", "[[\"To\",\"x\"]]" },
        { "send", "h", "[{\"a\":1,\"b\":\"2\"}]", "c", "me", "[[\"To\",\"x\"]]" },
        { "send", "h", "[{\"a\":1,\"b\":2},{}]", "c", "me", "[[\"To\",\"x\"]]" },
        { "send", "h", "[{\"a\":1,\"b\":2}]", "d", "me", "[[\"To\",\"x\"]]" },
        { "send", "h", "[{\"a\":1,\"b\":2}]", "c", "work", "[[\"To\",\"x\"]]" },
        { "send", "h", "[{\"a\":1,\"b\":2}]", "c", "me", "[[\"To\",\"x \"]]" },
        { "send", "h", "[{\"a\":1,\"b\":2}]", "c", "me", "[[\"To\",\"x\"],[\"Cc\",\"\"]]" },
        { "send", "h", "[{\"a\":1,\"b\":2}]", "c", "me", "[]" },
    };
    char one[SHA256_TAGGED_MAX], same[SHA256_TAGGED_MAX], another[SHA256_TAGGED_MAX];

    seal("send", "h", "[{\"a\":1,\"b\":2}]", "c", "me", "[[\"To\",\"x\"]]", one);
    /* The order of an object's keys is no difference. */
    seal("send", "h", "[{\"b\":2,\"a\":1}]", "c", "me", "[[\"To\",\"x\"]]", same);
    assert_string_equal(one, same);
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        seal(other[i][0], other[i][1], other[i][2], other[i][3], other[i][4], other[i][5], another);
        if (!strcmp(one, another))
            fail_msg("row %zu has the same seal", i);
    }
}

static void test_journal_line(void **state)
{
    CLEANUP_PTR(approval_free) struct approval *approval = make(APPROVAL_RUNNING), *read = NULL;
    CLEANUP_JSON json_t *line = NULL;
    CLEANUP_JSON json_t *again = NULL;
    struct err err = ERR_INIT;

    approval->client_gone = true;
    assert_int_equal(approval_finish(approval, APPROVAL_UNKNOWN, json_pack("{s:s}", "class", "network_error"), 2000), 0);
    line = approval_to_json(approval);
    assert_int_equal(approval_from_json(line, &read, &err), 0);
    again = approval_to_json(read);
    assert_true(json_equal(line, again));
    assert_int_equal(read->state, APPROVAL_UNKNOWN);
    assert_true(read->client_gone);
}

static void test_lines_that_are_none(void **state)
{
    static const char *const wrong[] = { "{}", "{\"state\":\"running\"}",
        "{\"state\":\"done\",\"id\":\"apr_01ARZ3NDEKTSV4RRFFQ69G5FAV\"}",
        "{\"state\":\"running\",\"id\":\"aud_01ARZ3NDEKTSV4RRFFQ69G5FAV\"}", "{\"state\":\"running\",\"id\":7}",
        "{\"state\":\"running\",\"id\":\"apr_01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"requested\":\"now\"}",
        "{\"state\":\"running\",\"id\":\"apr_01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"requested\":-1}",
        "{\"state\":\"running\",\"id\":\"apr_01ARZ3NDEKTSV4RRFFQ69G5FAV\",\"seal\":\"sha256:"
        "00000000000000000000000000000000000000000000000000000"
        "000000000000000000000000000000000000000000000000000\"}" };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CLEANUP_JSON json_t *json = json_loads(wrong[i], 0, NULL);
        struct approval *approval = NULL;
        struct err err = ERR_INIT;

        assert_non_null(json);
        if (approval_from_json(json, &approval, &err) != -EINVAL || approval)
            fail_msg("taken: %s", wrong[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_change),
        cmocka_unit_test(test_a_decision_is_about_what_was_seen),
        cmocka_unit_test(test_expiry_waits_for_its_time),
        cmocka_unit_test(test_a_restart),
        cmocka_unit_test(test_forgetting),
        cmocka_unit_test(test_seals),
        cmocka_unit_test(test_journal_line),
        cmocka_unit_test(test_lines_that_are_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
