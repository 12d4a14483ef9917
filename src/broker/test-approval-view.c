/* What is said of an approval in each of its states. */
#include "broker/approval-view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"

static const struct view_facts FACTS = { "http://127.0.0.1:7000", true };

static void make(struct approval *approval, enum approval_state state)
{
    *approval = (struct approval){
        .id = "apr_01", .state = state, .session_id = "ses_01", .seal = "sha256:aa", .requested_unix_ms = 1000
    };
    CLEANUP_JSON json_t *card = json_pack("{s:s, s:s, s:s}", "title", "Send a mail", "id", "apr_99", "state", "completed");
    assert_int_equal(approval_set(approval, NULL, card), 0);
}

static void clear(struct approval *approval)
{
    free(approval->card);
    json_decref(approval->result);
}

static void test_a_pending_one(void **state)
{
    struct approval approval;

    make(&approval, APPROVAL_PENDING);
    CLEANUP_JSON json_t *view = view_approval(&approval, &FACTS);
    assert_string_equal(json_get_str(view, "id"), "apr_01");
    assert_string_equal(json_get_str(view, "state"), "pending");
    assert_string_equal(json_get_str(view, "title"), "Send a mail");
    assert_string_equal(json_get_str(view, "review_url"), "http://127.0.0.1:7000/approvals/apr_01");
    assert_true(json_is_true(json_object_get(view, "needs_ticket")));
    assert_null(json_object_get(view, "decided_at"));
    CLEANUP_JSON json_t *card = approval_card(&approval);
    assert_string_equal(json_get_str(card, "id"), "apr_99"); /* the sealed card stays as it is */
    clear(&approval);
}

static void test_answers(void **state)
{
    static const struct {
        enum approval_state state;
        const char *result; /* NULL: none */
        int status;
        const char *class;
    } rows[] = {
        { APPROVAL_PENDING, NULL, 202, NULL },
        { APPROVAL_APPROVED, NULL, 202, NULL },
        { APPROVAL_RUNNING, NULL, 202, NULL },
        { APPROVAL_COMPLETED, "{\"output\":{\"id\":1}}", 200, NULL },
        { APPROVAL_COMPLETED, NULL, 410, NULL },
        { APPROVAL_FAILED, "{\"error\":{\"class\":\"bad_input\"}}", 400, "bad_input" },
        { APPROVAL_UNKNOWN, "{\"error\":{\"class\":\"network_error\"}}", 502, "network_error" },
        { APPROVAL_UNKNOWN, "{\"error\":{}}", 500, NULL },
        { APPROVAL_DENIED, NULL, 403, "approval_denied" },
        { APPROVAL_EXPIRED, NULL, 408, "approval_timeout" },
        { APPROVAL_CANCELLED, NULL, 403, "approval_denied" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct approval approval;
        json_t *body = NULL;

        make(&approval, rows[i].state);
        approval.result = rows[i].result ? json_loads(rows[i].result, 0, NULL) : NULL;
        assert_int_equal(view_answer(&approval, &FACTS, &body), rows[i].status);
        assert_null(json_object_get(body, "title")); /* who asked never gets the card */
        if (rows[i].class)
            assert_string_equal(json_get_str(json_object_get(body, "error"), "class"), rows[i].class);
        json_decref(body);
        clear(&approval);
    }
}

static void test_a_denial_says_why(void **state)
{
    struct approval approval;
    json_t *body = NULL;

    make(&approval, APPROVAL_DENIED);
    snprintf(approval.reason, sizeof approval.reason, "wrong day");
    assert_int_equal(view_answer(&approval, &FACTS, &body), 403);
    const json_t *details = json_object_get(json_object_get(body, "error"), "details");
    assert_string_equal(json_get_str(details, "reason"), "wrong day");
    assert_string_equal(json_get_str(details, "approval_id"), "apr_01");
    json_decref(body);
    clear(&approval);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_pending_one),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_a_denial_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
