/* Sessions: the token is the only way in, only its hash is kept, and a saved table opens again. */
#include "session/session.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1700000000000

static struct session *open_one(struct session_table *table, const char *agent, const char *folder, char token[SESSION_TOKEN_MAX])
{
    const struct session_request request = { .agent = agent, .folder = folder };
    struct session *session = NULL;

    assert_int_equal(session_open(table, &request, NOW, &session, token, NULL), 0);
    return session;
}

static int setup(void **state)
{
    return session_table_new((struct session_table **) state);
}

static int teardown(void **state)
{
    session_table_free(*state);
    return 0;
}

static void test_token(void **state)
{
    char token[SESSION_TOKEN_MAX], other[SESSION_TOKEN_MAX], longer[3 * SESSION_TOKEN_MAX];
    struct session *session = open_one(*state, "claude", "/src", token);

    open_one(*state, "codex", NULL, other);
    assert_int_equal(strlen(token), 4 + 43);
    assert_string_not_equal(token, other);
    assert_ptr_equal(session_by_token(*state, token), session);
    token[10] ^= 1;
    assert_null(session_by_token(*state, token));
    assert_null(session_by_token(*state, ""));
    memset(longer, 'a', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    assert_null(session_by_token(*state, longer));
}

static void test_end(void **state)
{
    char token[SESSION_TOKEN_MAX];
    struct session *session = open_one(*state, "claude", NULL, token);

    session_end(session, NOW + 5);
    session_end(session, NOW + 9);
    assert_true(session->ended_unix_ms == NOW + 5);
    assert_null(session_by_token(*state, token));
    assert_ptr_equal(session_by_id(*state, session->id), session);
}

static void test_by_id(void **state)
{
    char token[SESSION_TOKEN_MAX];
    struct session *session = open_one(*state, "a", NULL, token);

    open_one(*state, "b", NULL, token);
    assert_ptr_equal(session_by_id(*state, session->id + strlen(session->id) - 6), session);
    assert_null(session_by_id(*state, session->id + strlen(session->id) - 5));
    assert_null(session_by_id(*state, "ses_00000000000000000000000000"));
}

static void test_clean(void **state)
{
    char token[SESSION_TOKEN_MAX], wide[200];

    assert_string_equal(open_one(*state, "a\x1b[31m\nb\xff\xc3\xa9", NULL, token)->agent, "a[31mb\xc3\xa9");
    assert_string_equal(open_one(*state, "", NULL, token)->agent, "unnamed");
    assert_string_equal(open_one(*state, NULL, NULL, token)->agent, "unnamed");
    memset(wide, 'x', sizeof(wide) - 1);
    wide[sizeof(wide) - 1] = '\0';
    assert_int_equal(strlen(open_one(*state, wide, NULL, token)->agent), 64);
}

static void test_save_and_load(void **state)
{
    char token[SESSION_TOKEN_MAX], second[SESSION_TOKEN_MAX];
    struct session_table *again = NULL;

    open_one(*state, "claude", "/src", token);
    session_end(open_one(*state, "codex", NULL, second), NOW + 1);
    CLEANUP_JSON json_t *saved = session_table_save(*state);
    CLEANUP_FREE char *text = json_dumps(saved, 0);
    assert_null(strstr(text, token));
    assert_int_equal(session_table_new(&again), 0);
    assert_int_equal(session_table_load(again, saved, NULL), 0);
    assert_string_equal(session_by_token(again, token)->agent, "claude");
    assert_null(session_by_token(again, second));
    CLEANUP_JSON json_t *before = session_list_json(*state);
    CLEANUP_JSON json_t *after = session_list_json(again);
    assert_true(json_equal(before, after));
    session_table_free(again);
}

/* What limits a session outlives a restart. */
static void test_limits(void **state)
{
    CLEANUP_JSON json_t *only = json_pack("[s, s]", "list-*", "get-email");
    const struct session_request request = { "claude", NULL, true, SESSION_FENCED, only };
    char token[SESSION_TOKEN_MAX];
    struct session *session = NULL;
    struct session_table *again = NULL;

    assert_int_equal(session_open(*state, &request, NOW, &session, token, NULL), 0);
    CLEANUP_JSON json_t *saved = session_table_save(*state);
    assert_int_equal(session_table_new(&again), 0);
    assert_int_equal(session_table_load(again, saved, NULL), 0);
    session = session_by_token(again, token);
    assert_true(session->launched && session->confinement == SESSION_FENCED);
    assert_true(session_allows(session, "list-drafts") && session_allows(session, "get-email"));
    assert_false(session_allows(session, "send-email") || session_allows(session, "get-email2"));
    assert_true(session_allows(NULL, "send-email"));
    session_table_free(again);
}

static void test_only_is_checked(void **state)
{
    CLEANUP_JSON json_t *none = json_array();
    CLEANUP_JSON json_t *empty = json_pack("[s]", "");
    CLEANUP_JSON json_t *other = json_pack("[i]", 1);
    CLEANUP_JSON json_t *good = json_pack("[s]", "*");

    assert_true(session_only_is_good(NULL) && session_only_is_good(good));
    assert_false(session_only_is_good(none) || session_only_is_good(empty) || session_only_is_good(other));
}

static void test_damaged(void **state)
{
    static const char *const damaged[] = { "{}", "{\"version\":2,\"sessions\":[]}", "{\"version\":1,\"sessions\":[{}]}",
        "{\"version\":1,\"sessions\":[{\"id\":\"ses_x\",\"token_sha256\":\"00\"}]}" };

    for (size_t i = 0; i < ARRAY_LEN(damaged); i++) {
        CLEANUP_JSON json_t *saved = json_loads(damaged[i], 0, NULL);
        assert_true(session_table_load(*state, saved, NULL) < 0);
    }
}

static void test_listed(void **state)
{
    char token[SESSION_TOKEN_MAX];
    open_one(*state, "claude", "/src", token);
    CLEANUP_JSON json_t *list = session_list_json(*state);
    CLEANUP_FREE char *text = json_dumps(list, 0);

    assert_null(strstr(text, "token"));
    assert_null(strstr(text, token));
    assert_non_null(strstr(text, "\"folder\": \"/src\""));
}

static void test_forgets(void **state)
{
    char token[SESSION_TOKEN_MAX];

    for (size_t i = 0; i < 1500; i++)
        session_end(open_one(*state, "x", NULL, token), NOW);
    open_one(*state, "y", NULL, token);
    CLEANUP_JSON json_t *list = session_list_json(*state);
    assert_int_equal(json_array_size(list), 1001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_by_id, setup, teardown),
        cmocka_unit_test_setup_teardown(test_clean, setup, teardown),
        cmocka_unit_test_setup_teardown(test_save_and_load, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        cmocka_unit_test(test_only_is_checked),
        cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forgets, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
