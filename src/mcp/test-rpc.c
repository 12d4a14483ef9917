/*
 * The JSON-RPC entry against a broker that is faked here: what an agent may send,
 * well-formed or not, and what it reads. One run at a time is left open and answered by the test.
 */
#include "mcp/rpc.h"

#include "base/json.h"
#include "broker/api.h"
#include "loop/loop.h"
#include "mcp/result.h"
#include "mcp/tools.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct api_reply {
    api_reply_fn *fn;
    api_pending_fn *on_pending;
    void *userdata;
    bool abandoned;
};

static struct {
    bool session_open;
    struct api_reply *open_reply; /* of the last api_action_run */
    char ran[64];
    int64_t wait_ms;
    bool asked_result;  /* api_approval_result, not a run */
    const char *hidden; /* the action that the session's `only` takes away */
    loop_timer_fn *tick;
    void *tick_userdata;
    int64_t tick_ms; /* 0: not set */
    json_t *args;
    json_t *tools;
    json_t *sent; /* array of the messages that the client got */
} fake;

struct api_reply *api_reply_new(api_reply_fn *fn, void *userdata)
{
    struct api_reply *reply = calloc(1, sizeof(*reply));

    reply->fn = fn;
    reply->userdata = userdata;
    return reply;
}

void api_reply_on_pending(struct api_reply *reply, api_pending_fn *fn)
{
    reply->on_pending = fn;
}

void api_reply_abandon(struct api_reply *reply)
{
    reply->abandoned = true;
}

bool broker_session_allows(const struct session *session, const char *action)
{
    assert_ptr_equal(session, (const struct session *) &fake);
    return !fake.hidden || strcmp(fake.hidden, action) != 0;
}

int64_t broker_session_park_ms(const struct session *session)
{
    return 45000;
}

struct loop *broker_loop(struct broker *broker)
{
    return NULL;
}

/* One timer, which the test fires. */
int loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *userdata, struct loop_timer **ret_timer)
{
    assert_null(fake.tick);
    fake.tick = fn;
    fake.tick_userdata = userdata;
    *ret_timer = (struct loop_timer *) &fake.tick;
    return 0;
}

void loop_timer_set(struct loop_timer *timer, int64_t delay_ms)
{
    fake.tick_ms = delay_ms;
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer)
        fake.tick = NULL;
}

static void ten_seconds_pass(void)
{
    assert_int_equal(fake.tick_ms, 10000);
    fake.tick_ms = 0;
    fake.tick(fake.tick_userdata);
}

const json_t *broker_tools(struct broker *broker)
{
    return fake.tools;
}

struct session *broker_session_by_id(struct broker *broker, const char *id)
{
    return fake.session_open && !strcmp(id, "ses_1") ? (struct session *) &fake : NULL;
}

static void take(const struct api_request *request, struct api_reply *reply, bool result)
{
    assert_int_equal(request->role, API_AGENT);
    assert_non_null(request->session);
    assert_non_null(request->query);
    snprintf(fake.ran, sizeof(fake.ran), "%s", request->name);
    fake.asked_result = result;
    fake.wait_ms = request->wait_ms;
    json_decref(fake.args);
    fake.args = json_deep_copy(json_object_get(request->body, "args"));
    fake.open_reply = reply;
}

void api_action_run(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    take(request, reply, false);
}

void api_approval_result(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    take(request, reply, true);
}

#define PENDING                                                                                                                  \
    "{\"status\":\"pending_approval\",\"approval_id\":\"apr_1\",\"review_url\":\"http://127.0.0.1:7/approvals/apr_1\"}"

/* The call waits for a person. */
static void park(void)
{
    CLEANUP_JSON json_t *pending = json_loads(PENDING, 0, NULL);

    if (!fake.open_reply->abandoned)
        fake.open_reply->on_pending(fake.open_reply->userdata, fake.ran, pending);
}

static void answer(int status, const char *text)
{
    struct api_reply *reply = fake.open_reply;

    fake.open_reply = NULL;
    if (!reply->abandoned)
        reply->fn(reply->userdata, status, json_loads(text, 0, NULL));
    free(reply);
}

static void on_send(void *userdata, const json_t *message)
{
    json_array_append_new(fake.sent, json_deep_copy(message));
}

static const json_t *last(void)
{
    return json_array_get(fake.sent, json_array_size(fake.sent) - 1);
}

static json_int_t last_error(void)
{
    return json_integer_value(json_object_get(json_object_get(last(), "error"), "code"));
}

static const json_t *last_result(void)
{
    return json_object_get(last(), "result");
}

static void say(struct rpc_peer *peer, const char *text)
{
    assert_int_equal(rpc_handle(peer, text, strlen(text)), 0);
}

static int setup(void **state)
{
    memset(&fake, 0, sizeof(fake));
    fake.session_open = true;
    fake.sent = json_array();
    fake.tools = json_pack("[{s:s,s:s,s:s,s:{s:s}}]", "name", "get_email", "action", "get-email", "description", "Reads.",
        "inputSchema", "type", "object");
    *state = rpc_peer_new(NULL, "ses_1", on_send, NULL);
    return 0;
}

static int teardown(void **state)
{
    rpc_peer_free(*state);
    free(fake.open_reply);
    json_decref(fake.sent);
    json_decref(fake.tools);
    json_decref(fake.args);
    return 0;
}

static void test_initialize(void **state)
{
    static const char *const versions[][2] = { { "2025-11-25", "2025-11-25" }, { "2025-06-18", "2025-06-18" },
        { "2024-11-05", "2025-06-18" }, { "2026-07-28", "2025-11-25" }, { "", "2025-06-18" } };

    for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
        char text[256];
        snprintf(text, sizeof(text),
            "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"%s\"}}", i,
            versions[i][0]);
        say(*state, text);
        assert_string_equal(json_get_str(last_result(), "protocolVersion"), versions[i][1]);
    }
}

static void test_malformed(void **state)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        { "{", -32700 },
        { "nonsense", -32700 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"ping\"}", -32700 }, /* duplicate key */
        { "[]", -32600 },
        { "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", -32600 },
        { "{\"id\":1,\"method\":\"ping\"}", -32600 },
        { "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"ping\"}", -32600 },
        { "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"ping\"}", -32600 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":[]}", -32600 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"approvals/approve\"}", -32601 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"notifications/initialized\"}", -32601 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"nope\"}}", -32602 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{}}", -32602 },
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"get_email\",\"arguments\":[]}}",
            -32602 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        say(*state, cases[i].text);
        assert_int_equal(last_error(), cases[i].code);
    }
    assert_null(fake.open_reply);
}

static void test_silent(void **state)
{
    say(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
    say(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/unknown\"}");
    say(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"tools/call\",\"params\":{\"name\":\"get_email\"}}");
    say(*state, "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{}}");
    assert_int_equal(json_array_size(fake.sent), 0);
    assert_null(fake.open_reply);
}

static void test_list(void **state)
{
    say(*state, "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"tools/list\"}");
    const json_t *tool = json_array_get(json_object_get(last_result(), "tools"), 0);
    assert_string_equal(json_get_str(tool, "name"), "get_email");
    assert_null(json_object_get(tool, "action"));
    assert_non_null(json_object_get(tool, "inputSchema"));
}

static const char CALL[] =
    "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"get_email\",\"arguments\":{\"id\":\"m1\"}}}";

static void test_call(void **state)
{
    say(*state, CALL);
    assert_string_equal(fake.ran, "get-email");
    assert_string_equal(json_get_str(fake.args, "id"), "m1");
    assert_int_equal(json_array_size(fake.sent), 0);
    say(*state, CALL); /* the same id while it runs */
    assert_int_equal(last_error(), -32600);
    answer(200, "{\"audit_id\":\"aud_1\",\"output\":{\"subject\":\"Hi\"}}");
    assert_int_equal(json_integer_value(json_object_get(last(), "id")), 5);
    assert_string_equal(json_get_str(json_object_get(last_result(), "structuredContent"), "subject"), "Hi");
    assert_string_equal(
        json_get_str(json_array_get(json_object_get(last_result(), "content"), 0), "text"), "{\"subject\":\"Hi\"}");
    assert_true(json_is_false(json_object_get(last_result(), "isError")));
}

static void test_cancelled(void **state)
{
    say(*state, CALL);
    say(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":5}}");
    answer(200, "{\"output\":{}}");
    assert_int_equal(json_array_size(fake.sent), 0);
}

#define TOOL(name, action, gated)                                                                                                \
    "{\"name\":\"" name "\",\"action\":\"" action                                                                                \
    "\",\"description\":\"x\",\"inputSchema\":{\"type\":\"object\"},\"annotations\":{"                                           \
    "\"readOnlyHint\":false,\"destructiveHint\":" gated ",\"idempotentHint\":false,\"openWorldHint\":true}}"

static void use_tools(const char *tools)
{
    json_decref(fake.tools);
    fake.tools = json_loads(tools, 0, NULL);
    assert_non_null(fake.tools);
}

#define GATED_CALL                                                                                                               \
    "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/"                                                                          \
    "call\",\"params\":{\"name\":\"send\",\"_meta\":{\"progressToken\":\"t\"}}}"

static const char WAITING[] =
    "Waiting for your approval: send · http://127.0.0.1:7/approvals/apr_1 · aileron approval approve apr_1";

static const json_t *last_progress(void)
{
    assert_string_equal(json_get_str(last(), "method"), "notifications/progress");
    return json_object_get(last(), "params");
}

static void test_waiting(void **state)
{
    use_tools("[" TOOL("send", "send", "true") "]");
    say(*state, GATED_CALL);
    assert_int_equal(fake.wait_ms, 45000);
    assert_int_equal(json_array_size(fake.sent), 0);
    json_int_t before = -1;
    for (int i = 0; i < 4; i++) {
        if (i)
            ten_seconds_pass();
        else
            park();
        assert_int_equal(json_array_size(fake.sent), i + 1);
        assert_string_equal(json_get_str(last_progress(), "progressToken"), "t");
        assert_string_equal(json_get_str(last_progress(), "message"), WAITING);
        assert_true(json_integer_value(json_object_get(last_progress(), "progress")) > before);
        before = json_integer_value(json_object_get(last_progress(), "progress"));
    }
    answer(202, PENDING);
    assert_int_equal(json_array_size(fake.sent), 5);
    assert_true(json_is_false(json_object_get(last_result(), "isError")));
    CLEANUP_JSON json_t *pending = json_loads(PENDING, 0, NULL);
    assert_true(json_equal(json_object_get(last_result(), "structuredContent"), pending));
    const char *text = json_get_str(json_array_get(json_object_get(last_result(), "content"), 0), "text");
    assert_non_null(strstr(text, "apr_1"));
    assert_non_null(strstr(text, "http://127.0.0.1:7/approvals/apr_1"));
    assert_non_null(strstr(text, BROKER_STATUS_TOOL));
    ten_seconds_pass();
    assert_int_equal(json_array_size(fake.sent), 5);
    assert_int_equal(fake.tick_ms, 0);
}

static void test_waiting_without_progress(void **state)
{
    use_tools("[" TOOL("send", "send", "true") "]");
    say(*state, "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/"
                "call\",\"params\":{\"name\":\"send\",\"_meta\":{\"progressToken\":{}}}}");
    park();
    assert_null(fake.tick);
    assert_int_equal(json_array_size(fake.sent), 0);
    answer(200, "{\"output\":{}}");
    assert_int_equal(json_array_size(fake.sent), 1);
}

static void test_running_long(void **state)
{
    use_tools("[" TOOL("send", "send", "false") "]");
    say(*state, GATED_CALL);
    ten_seconds_pass();
    assert_non_null(strstr(json_get_str(last_progress(), "message"), "still running"));
    answer(200, "{\"output\":{}}");
}

static void test_cancelled_while_waiting(void **state)
{
    use_tools("[" TOOL("send", "send", "true") "]");
    say(*state, GATED_CALL);
    park();
    say(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":\"5\"}}"); /* not ours */
    assert_false(fake.open_reply->abandoned);
    say(*state, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":5}}");
    assert_true(fake.open_reply->abandoned);
    ten_seconds_pass();
    assert_int_equal(json_array_size(fake.sent), 1);
    answer(200, "{\"output\":{}}");
    assert_int_equal(json_array_size(fake.sent), 1);
}

#define STATUS(arguments)                                                                                                        \
    "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"tools/"                                                                          \
    "call\",\"params\":{\"name\":\"check_action_status\",\"arguments\":" arguments "}}"

static size_t listed(struct rpc_peer *peer)
{
    say(peer, "{\"jsonrpc\":\"2.0\",\"id\":\"l\",\"method\":\"tools/list\"}");
    return json_array_size(json_object_get(last_result(), "tools"));
}

static void test_status(void **state)
{
    use_tools("[" TOOL("read", "read", "false") "]");
    assert_int_equal(listed(*state), 1);
    say(*state, STATUS("{\"approval_id\":\"apr_1\"}"));
    assert_int_equal(last_error(), -32602);
    use_tools("[" TOOL("read", "read", "false") "," TOOL("send", "send", "true") "]");
    assert_int_equal(listed(*state), 3);
    fake.hidden = "send";
    assert_int_equal(listed(*state), 1);
    say(*state, STATUS("{\"approval_id\":\"apr_1\"}"));
    assert_int_equal(last_error(), -32602);
    fake.hidden = NULL;

    say(*state, STATUS("{\"approval_id\":\"apr_1\"}"));
    assert_true(fake.asked_result);
    assert_string_equal(fake.ran, "apr_1");
    answer(202, PENDING);
    assert_true(json_is_false(json_object_get(last_result(), "isError")));
    say(*state, STATUS("{\"approval_id\":\"apr_1\"}"));
    answer(200, "{\"output\":{\"sent\":true}}");
    assert_true(json_is_true(json_object_get(json_object_get(last_result(), "structuredContent"), "sent")));
    say(*state, STATUS("{\"approval_id\":\"apr_1\"}"));
    answer(410, "{\"error\":{\"code\":\"forgotten\",\"message\":\"it was collected\"}}");
    assert_true(json_is_true(json_object_get(last_result(), "isError")));
    fake.ran[0] = '\0';
    static const char *const BAD[] = { STATUS("{}"), STATUS("{\"approval_id\":1}"), STATUS("{\"approval_id\":\"\"}"),
        STATUS("{\"approval_id\":\"../x\"}"), STATUS("{\"approval_id\":\"apr_1\",\"approved\":true}") };
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        say(*state, BAD[i]);
        assert_true(json_is_true(json_object_get(last_result(), "isError")));
        assert_string_equal(fake.ran, "");
    }
}

static void test_only(void **state)
{
    use_tools("[" TOOL("read", "read", "false") "," TOOL("send", "send", "true") "]");
    fake.hidden = "read";
    assert_int_equal(listed(*state), 2);
    say(*state, "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"tools/call\",\"params\":{\"name\":\"read\"}}");
    assert_int_equal(last_error(), -32602);
    assert_null(fake.open_reply);
}

/* An action cannot pose as the tool that collects results. */
static void test_taken_name(void **state)
{
    use_tools("[" TOOL(BROKER_STATUS_TOOL, "check-action-status", "false") "]");
    assert_int_equal(listed(*state), 0);
    say(*state, STATUS("{}"));
    assert_int_equal(last_error(), -32602);
    assert_null(fake.open_reply);
}

#define MANY 250

static void use_many_tools(size_t without)
{
    json_decref(fake.tools);
    fake.tools = json_array();
    for (size_t i = 0; i < MANY; i++) {
        CLEANUP_JSON json_t *name = json_sprintf("a%03zu", i);

        if (i != without)
            json_array_append_new(fake.tools,
                json_pack("{s:O,s:O,s:{s:b}}", "name", name, "action", name, "annotations", "destructiveHint", i == MANY - 1));
    }
}

static void test_pages(void **state)
{
    CLEANUP_JSON json_t *seen = json_object();
    CLEANUP_JSON json_t *cursor = NULL;
    size_t pages = 0;

    use_many_tools(MANY);
    do {
        CLEANUP_JSON json_t *request =
            json_pack("{s:s,s:i,s:s,s:{s:O*}}", "jsonrpc", "2.0", "id", 1, "method", "tools/list", "params", "cursor", cursor);
        size_t index;
        json_t *tool;

        if (++pages == 2)
            use_many_tools(98); /* the very one that the cursor names goes */
        assert_int_equal(rpc_handle_json(*state, request), 0);
        json_array_foreach(json_object_get(last_result(), "tools"), index, tool)
        {
            assert_null(json_object_get(seen, json_get_str(tool, "name")));
            json_object_set_new(seen, json_get_str(tool, "name"), json_true());
        }
        assert_true(index <= TOOLS_PAGE);
        json_decref(cursor);
        cursor = json_incref(json_object_get(last_result(), "nextCursor"));
    } while (cursor);
    assert_int_equal(pages, 3);
    assert_int_equal(json_object_size(seen), MANY + 1); /* and check_action_status */
}

static void test_foreign_cursors(void **state)
{
    static const char *const BAD[] = { "\"\"", "\"x\"", "\"YQ\"", "\"YWZ0ZXI6\"", "7", "null", "{}", "\"YWZ0ZXI6YQB6\"" };

    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        char text[256];

        snprintf(
            text, sizeof text, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":%s}}", BAD[i]);
        say(*state, text);
        assert_int_equal(last_error(), -32602);
    }
}

static void test_session_ends(void **state)
{
    fake.session_open = false;
    assert_true(rpc_handle(*state, CALL, strlen(CALL)) < 0);
    assert_int_equal(last_error(), -32001);
    assert_null(fake.open_reply);
}

static void expect_failure(int status, const char *body, bool nothing_done, bool unknown)
{
    CLEANUP_JSON json_t *parsed = json_loads(body, 0, NULL);
    CLEANUP_JSON json_t *result = result_from_api("send-mail", status, parsed);
    const char *text = json_get_str(json_array_get(json_object_get(result, "content"), 0), "text");

    assert_true(json_is_true(json_object_get(result, "isError")));
    assert_int_equal(strstr(text, "Nothing was done") != NULL, nothing_done);
    assert_int_equal(strstr(text, "It is unknown") != NULL, unknown);
    assert_string_equal(json_get_str(json_object_get(result, "structuredContent"), "summary"), text);
}

static void test_failure_words(void **state)
{
    expect_failure(
        400, "{\"error\":{\"class\":\"bad_input\",\"message\":\"x\",\"details\":{\"nothing_done\":true}}}", true, false);
    /* A connector may say bad_input after it changed something: only the broker knows. */
    expect_failure(400, "{\"error\":{\"class\":\"bad_input\",\"message\":\"x\",\"audit_id\":\"aud_1\"}}", false, false);
    expect_failure(
        412, "{\"error\":{\"class\":\"binding_required\",\"message\":\"x\",\"details\":{\"steps_done\":1}}}", false, false);
    expect_failure(
        502, "{\"error\":{\"class\":\"network_error\",\"message\":\"x\",\"details\":{\"outcome\":\"unknown\"}}}", false, true);
    expect_failure(502, "{\"error\":{\"class\":\"network_error\",\"message\":\"x\"}}", false, false);
    expect_failure(403,
        "{\"error\":{\"class\":\"approval_denied\",\"message\":\"x\",\"details\":{\"reason\":\"wrong "
        "day\",\"nothing_done\":true}}}",
        true, false);
    expect_failure(
        408, "{\"error\":{\"class\":\"approval_timeout\",\"message\":\"x\",\"details\":{\"nothing_done\":true}}}", true, false);
    expect_failure(410, "{\"error\":{\"code\":\"forgotten\",\"message\":\"x\"}}", false, false);
    expect_failure(404, "{\"error\":{\"code\":\"not_found\",\"message\":\"x\"}}", false, false);
    expect_failure(500, "{}", false, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_initialize, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_call, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_without_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(test_running_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled_while_waiting, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only, setup, teardown),
        cmocka_unit_test_setup_teardown(test_taken_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_cursors, setup, teardown),
        cmocka_unit_test_setup_teardown(test_session_ends, setup, teardown),
        cmocka_unit_test(test_failure_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
