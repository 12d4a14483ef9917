/* What files alone allow and the daemon knows better: another key, a log or heads that were cut, a log that somebody else went on writing. */
#include "broker/verdict.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define HEAD "sha256:aa"
#define FACTS                                                                                                                    \
    (struct verdict_facts)                                                                                                       \
    {                                                                                                                            \
        10, HEAD, 8, "OURS"                                                                                                      \
    }

static json_t *verdict_of(int events, const char *head, int seq, const char *key, int is_last, int made_anew)
{
    return json_pack("{s:b, s:i, s:i, s:s, s:{s:i, s:i, s:s, s:b}, s:{s:i, s:s, s:b, s:b}}", "intact", 1, "events", events,
        "files", 1, "head", head, "anchor", "seq", seq, "later", events - seq, "key", key, "confirmed", 0, "heads", "line", 3,
        "key", key, "is_last", is_last, "made_anew", made_anew);
}

/* `where` NULL: intact. */
static void check(
    json_t *verdict_stolen, struct verdict_facts facts, const char *where, const char *what, const char *unconfirmed)
{
    CLEANUP_JSON json_t *verdict = verdict_stolen;
    json_t *anchor;

    verdict_compare(verdict, &facts);
    anchor = json_object_get(verdict, "anchor");
    assert_null(json_object_get(verdict, "heads"));
    assert_int_equal(json_is_true(json_object_get(verdict, "intact")), where == NULL);
    if (where) {
        assert_string_equal(json_get_str(verdict, "where"), where);
        assert_int_equal(strncmp(json_get_str(verdict, "what"), what, strlen(what)), 0);
    }
    assert_int_equal(json_is_true(json_object_get(anchor, "confirmed")), unconfirmed == NULL);
    if (unconfirmed)
        assert_string_equal(json_get_str(anchor, "unconfirmed"), unconfirmed);
}

static void test_confirmed(void **state)
{
    check(verdict_of(10, HEAD, 8, "OURS", 1, 0), FACTS, NULL, NULL, NULL);
    /* What was appended meanwhile is no fault. */
    check(verdict_of(12, "sha256:bb", 8, "OURS", 1, 0), FACTS, NULL, NULL, NULL);
    check(verdict_of(10, HEAD, 8, "OURS", 1, 0), (struct verdict_facts){ 10, HEAD, 8, NULL }, NULL, NULL, "vault_locked");
}

static void test_another_key(void **state)
{
    check(verdict_of(10, HEAD, 8, "THEIRS", 1, 0), FACTS, "heads.jsonl line 3", "signed by another key than the vault's",
        "other_key");
    check(verdict_of(10, HEAD, 8, "THEIRS", 1, 0), (struct verdict_facts){ 10, HEAD, 8, NULL }, NULL, NULL, "vault_locked");
    check(verdict_of(10, HEAD, 8, "THEIRS", 1, 1), FACTS, NULL, NULL, "vault_made_anew");
    /* A head of an older key in the middle is verification's business, not this one's. */
    check(verdict_of(10, HEAD, 8, "THEIRS", 0, 0), FACTS, NULL, NULL, "vault_made_anew");
}

static void test_cut_while_the_daemon_runs(void **state)
{
    check(verdict_of(9, "sha256:99", 8, "OURS", 1, 0), FACTS, "the end of the log, event 9", "cut: the daemon has written 10",
        NULL);
    check(verdict_of(10, "sha256:99", 8, "OURS", 1, 0), FACTS, "the end of the log, event 10", "edited: the daemon", NULL);
    check(verdict_of(10, HEAD, 4, "OURS", 1, 0), FACTS, "heads.jsonl",
        "cut: the head of event 8 was there while the daemon ran; the newest is of event 4", NULL);
}

static void test_no_head_at_all(void **state)
{
    json_t *verdict = verdict_of(10, HEAD, 8, "", 1, 0);
    struct verdict_facts none = { 10, HEAD, 0, "OURS" }, some = FACTS;
    CLEANUP_JSON json_t *copy = NULL;

    json_object_set_new(verdict, "anchor", json_null());
    json_object_set_new(json_object_get(verdict, "heads"), "line", json_integer(0));
    copy = json_deep_copy(verdict);
    verdict_compare(verdict, &none);
    assert_true(json_is_true(json_object_get(verdict, "intact")));
    json_decref(verdict);
    verdict_compare(copy, &some);
    assert_string_equal(json_get_str(copy, "where"), "heads.jsonl");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confirmed),
        cmocka_unit_test(test_another_key),
        cmocka_unit_test(test_cut_while_the_daemon_runs),
        cmocka_unit_test(test_no_head_at_all),
    };

    return cmocka_run_group_tests_name("broker/verdict", tests, NULL, NULL);
}
