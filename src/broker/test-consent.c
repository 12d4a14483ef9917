/* The sentences of a consent: what the Google connector's actions come to, gates that are missing, and what an update changes. */
#include "base/cleanup.h"
#include "base/json.h"
#include "broker/consent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OP(op, gated, read_only) "{\"op\":\"" op "\",\"gated\":" #gated ",\"read_only\":" #read_only "}"
#define HOSTS                    "\"hosts\":[\"gmail.googleapis.com:443\",\"www.googleapis.com:443\"]"
#define GOOGLE                                                                                                                   \
    "{\"operations\":[" OP("list_recent_emails", false, true) "," OP("get_email", false, true) "," OP("list_upcoming_events",    \
        false, true) "," OP("draft_email", false, false) "," OP("send_email", true, false) "," OP("send_draft", true,            \
        false) "," OP("create_calendar_event", true, false) "]," HOSTS ",\"scopes\":[\"mail.read\"]}"

static json_t *subject(const char *text)
{
    json_t *json = NULL;
    struct err err = ERR_INIT;

    if (json_parse(text, strlen(text), JSON_LIMITS(64 * 1024), &json, &err) < 0)
        fail_msg("%s", err.message);
    return json;
}

/* Each wanted text, in this order, with its level; and nothing else. */
static void expect(const json_t *list, const char *const wanted[][2], size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const json_t *item = json_array_get(list, i);

        assert_non_null(item);
        assert_string_equal(json_get_str(item, "text"), wanted[i][0]);
        assert_string_equal(json_get_str(item, "level"), wanted[i][1]);
    }
    assert_int_equal(json_array_size(list), len);
}

static void test_google(void **state)
{
    static const char *const wanted[][2] = {
        { "can read your mail and calendar", "plain" },
        { "can write drafts of mail", "plain" },
        { "can create calendar events, each time only after you approve", "good" },
        { "can send mail as you, each time only after you approve", "good" },
        { "cannot delete or spend money", "good" },
        { "connects only to gmail.googleapis.com and www.googleapis.com", "plain" },
        { "asks the account for mail.read", "plain" },
    };
    CLEANUP_JSON json_t *google = subject(GOOGLE);
    CLEANUP_JSON json_t *list = consent_sentences(google);

    expect(list, wanted, ARRAY_LEN(wanted));
}

static void test_missing_gates(void **state)
{
    static const char *const wanted[][2] = {
        { "can read your recent orders", "plain" },
        { "can send messages and mail as you, partly WITHOUT asking you: post_message", "warn" },
        { "can delete your files WITHOUT asking you: delete_file and purge_folder", "warn" },
        { "can do frobnicate_all WITHOUT asking you: frobnicate_all", "warn" },
        { "that reading is only reading is its publisher's word: not all of these actions say read_only", "plain" },
        { "connects to nothing", "good" },
    };
    CLEANUP_JSON json_t *odd = subject("{\"operations\":[" OP("frobnicate_all", false, false) "," OP(
        "list_recent_orders", false, false) "," OP("post_message", false, false) "," OP("send_email", true,
        false) "," OP("delete_file", false, false) "," OP("purge_folder", false, false) "]}");
    CLEANUP_JSON json_t *list = consent_sentences(odd);

    expect(list, wanted, ARRAY_LEN(wanted));
}

/* Nothing is promised of operations that nobody has named. */
static void test_connector_alone(void **state)
{
    static const char *const wanted[][2] = {
        { "does nothing by itself: what agents may do with it is up to the actions that you add", "plain" },
        { "connects only to mail.example", "plain" },
    };
    CLEANUP_JSON json_t *alone = subject("{\"operations\":[],\"hosts\":[\"mail.example:443\"],\"scopes\":[]}");
    CLEANUP_JSON json_t *list = consent_sentences(alone);

    expect(list, wanted, ARRAY_LEN(wanted));
}

static void test_changes(void **state)
{
    static const char *const wanted[][2] = {
        { "send_email will run WITHOUT asking you; until now it asked every time", "loud" },
        { "it will also connect to evil.example:443", "loud" },
        { "new operation: delete_email", "loud" },
        { "new operation: get_draft", "plain" },
        { "it will also ask the account for mail.modify", "plain" },
        { "no longer: send_draft", "plain" },
        { "it will no longer connect to www.googleapis.com:443", "plain" },
        { "it will no longer ask the account for mail.read", "plain" },
    };
    CLEANUP_JSON json_t
        *before = subject(GOOGLE),
        *after = subject("{\"operations\":[" OP("list_recent_emails", false, true) "," OP("get_email", false, true) "," OP(
            "list_upcoming_events", false, true) "," OP("draft_email", false, false) "," OP("send_email", false,
            false) "," OP("send_email", true, false) "," OP("create_calendar_event", true, false) "," OP("delete_email", false,
            false) "," OP("get_draft", false,
            true) "],\"hosts\":[\"gmail.googleapis.com:443\",\"evil.example:443\"],\"scopes\":[\"mail.modify\"]}");
    CLEANUP_JSON json_t *list = consent_changes(before, after), *none = consent_changes(before, before);

    expect(list, wanted, ARRAY_LEN(wanted));
    assert_int_equal(json_array_size(none), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_google),
        cmocka_unit_test(test_missing_gates),
        cmocka_unit_test(test_connector_alone),
        cmocka_unit_test(test_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
