/*
 * The JSON-RPC entry against a broker that is faked here: what an agent may send,
 * well-formed or not, and what it reads. One run at a time is left open and answered by the test.
 */
#include "mcp/rpc.h"

#include "base/json.h"
#include "broker/api.h"
#include "mcp/result.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct api_reply {
    api_reply_fn *fn;
    void *userdata;
    bool abandoned;
};

static struct {
    bool session_open;
    struct api_reply *open_reply; /* of the last api_action_run */
    char ran[64];
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

void api_reply_abandon(struct api_reply *reply)
{
    reply->abandoned = true;
}

const json_t *broker_tools(struct broker *broker)
{
    return fake.tools;
}

struct session *broker_session_by_id(struct broker *broker, const char *id)
{
    return fake.session_open && !strcmp(id, "ses_1") ? (struct session *) &fake : NULL;
}

void api_action_run(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    assert_int_equal(request->role, API_AGENT);
    assert_non_null(request->session);
    snprintf(fake.ran, sizeof(fake.ran), "%s", request->name);
    json_decref(fake.args);
    fake.args = json_deep_copy(json_object_get(request->body, "args"));
    fake.open_reply = reply;
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
    expect_failure(400, "{\"error\":{\"class\":\"bad_input\",\"message\":\"x\",\"audit_id\":\"aud_1\"}}", true, false);
    expect_failure(
        400, "{\"error\":{\"class\":\"bad_input\",\"message\":\"x\",\"details\":{\"from_connector\":true}}}", false, false);
    expect_failure(
        412, "{\"error\":{\"class\":\"binding_required\",\"message\":\"x\",\"details\":{\"steps_done\":1}}}", false, false);
    expect_failure(
        502, "{\"error\":{\"class\":\"network_error\",\"message\":\"x\",\"details\":{\"outcome\":\"unknown\"}}}", false, true);
    expect_failure(502, "{\"error\":{\"class\":\"network_error\",\"message\":\"x\"}}", false, false);
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
        cmocka_unit_test_setup_teardown(test_session_ends, setup, teardown),
        cmocka_unit_test(test_failure_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
