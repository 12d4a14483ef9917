/* What becomes of an agent's requests when the daemon goes at any moment: one answer each, and never a call sent twice. */
#include "relay/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define INITIALIZE "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\"}}"
#define READY      "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}"
#define CALL       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"send_mail\"}}"
#define LIST       "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/list\"}"
#define ANSWER     "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}"
#define RESUMED    "{\"jsonrpc\":\"2.0\",\"id\":\"aileron-mcp-resume\",\"result\":{}}"
#define REFUSED    "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32001,\"message\":\"unknown or ended session\"}}"
#define CHANGED    "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n"

static void agent(struct link *link, const char *line, int64_t now)
{
    link_agent_line(link, line, strlen(line), now);
}

static void answers(struct link *link, const char *line)
{
    link_daemon_line(link, line, strlen(line), 0);
}

static void all_written(struct link *link)
{
    link_written(link, link->to_daemon.len);
}

/* What the agent got since the last time, of which `want` must be a part ("": nothing came). */
static void agent_got(struct link *link, const char *want)
{
    if (*want)
        assert_non_null(strstr(buf_str(&link->to_agent), want));
    else
        assert_string_equal(buf_str(&link->to_agent), "");
    buf_reset(&link->to_agent);
}

static int setup(void **state)
{
    struct link *link = calloc(1, sizeof *link);

    link_init(link, "ags_token", 0);
    *state = link;
    return 0;
}

static int teardown(void **state)
{
    struct link *link = *state;

    assert_false(link->broken);
    link_free(link);
    free(link);
    return 0;
}

/* Connected, greeted and ready. */
static int setup_running(void **state)
{
    struct link *link;

    setup(state);
    link = *state;
    link_connected(link);
    agent(link, INITIALIZE, 0);
    all_written(link);
    answers(link, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}");
    agent(link, READY, 0);
    all_written(link);
    buf_reset(&link->to_agent);
    return 0;
}

static void test_token_first(void **state)
{
    struct link *link = *state;

    agent(link, INITIALIZE, 0);
    assert_int_equal(link->to_daemon.len, 0);
    link_connected(link);
    assert_string_equal(buf_str(&link->to_daemon), "ags_token\n" INITIALIZE "\n");
    all_written(link);
    answers(link, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}");
    agent_got(link, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}\n");
    assert_null(link->flights.first);
}

static void test_a_lost_call_is_unknown(void **state)
{
    struct link *link = *state;

    agent(link, CALL, 0);
    all_written(link);
    link_lost(link, 1000);
    const char *got = buf_str(&link->to_agent);
    assert_non_null(strstr(got, "\"id\":1,\"result\""));
    assert_non_null(strstr(got, "\"isError\":true"));
    assert_non_null(strstr(got, "\"outcome\":\"unknown\""));
    assert_non_null(strstr(got, "send_mail failed"));
    assert_ptr_equal(strchr(got, '\n'), got + strlen(got) - 1);
    assert_null(link->flights.first);
    buf_reset(&link->to_agent);
    link_connected(link);
    assert_null(strstr(buf_str(&link->to_daemon), "send_mail"));
}

/* One byte short of its newline, the daemon cannot have read it. */
static void test_a_call_that_was_not_sent_is_sent_once(void **state)
{
    struct link *link = *state;

    agent(link, CALL, 0);
    link_written(link, link->to_daemon.len - 1);
    link_lost(link, 1000);
    agent_got(link, "");
    link_connected(link);
    assert_non_null(strstr(buf_str(&link->to_daemon), CALL "\n"));
    all_written(link);
    answers(link, RESUMED);
    agent_got(link, CHANGED);
    answers(link, ANSWER);
    agent_got(link, ANSWER "\n");
    link_lost(link, 2000);
    agent_got(link, "");
}

static void test_questions_are_asked_again(void **state)
{
    struct link *link = *state;

    agent(link, LIST, 0);
    all_written(link);
    link_lost(link, 1000);
    agent_got(link, "");
    link_connected(link);
    assert_non_null(strstr(buf_str(&link->to_daemon), "ags_token\n{\"jsonrpc\":\"2.0\",\"id\":\"aileron-mcp-resume\""));
    assert_non_null(strstr(buf_str(&link->to_daemon), READY "\n" LIST "\n"));
}

static void test_waiting_has_an_end(void **state)
{
    struct link *link = *state;

    link_lost(link, 1000);
    agent(link, CALL, 1100);
    agent(link, LIST, 1100);
    agent_got(link, "");
    assert_int_equal(link_time(link, 2000), LINK_HOLD_MS - 1000);
    agent_got(link, "");
    assert_int_equal(link_time(link, 1000 + LINK_HOLD_MS), -1);
    assert_non_null(strstr(buf_str(&link->to_agent), "Nothing was done."));
    assert_non_null(strstr(buf_str(&link->to_agent), "\"id\":1,\"result\""));
    agent_got(link, "\"id\":2,\"error\":{\"code\":-32003");
    agent(link, CALL, 9000);
    agent_got(link, "Nothing was done.");
    link_connected(link);
    assert_null(strstr(buf_str(&link->to_daemon), "send_mail"));
}

/* The daemon is away from the beginning: the agent is greeted all the same, and gets the tools when they are there. */
static void test_no_daemon_at_first(void **state)
{
    struct link *link = *state;

    agent(link, INITIALIZE, 0);
    assert_int_equal(link_time(link, LINK_HOLD_MS), -1);
    agent_got(link, "\"protocolVersion\":\"2025-11-25\"");
    agent(link, READY, LINK_HOLD_MS);
    agent(link, LIST, LINK_HOLD_MS);
    agent_got(link, "aileron daemon start");
    link_connected(link);
    all_written(link);
    answers(link, RESUMED);
    agent_got(link, CHANGED);
}

static void test_a_refused_session(void **state)
{
    struct link *link = *state;

    agent(link, CALL, 0);
    all_written(link);
    answers(link, REFUSED);
    link_lost(link, 1000);
    agent_got(link, "\"outcome\":\"unknown\"");
    agent(link, CALL, 1001);
    agent_got(link, "unknown or ended session");
    link_connected(link);
    all_written(link);
    answers(link, RESUMED);
    agent(link, CALL, 1002);
    all_written(link);
    answers(link, ANSWER);
    agent_got(link, ANSWER);
}

static void test_cancelled(void **state)
{
    struct link *link = *state;

    agent(link, CALL, 0);
    agent(link, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":1}}", 0);
    all_written(link);
    link_lost(link, 1000);
    agent_got(link, "");
    assert_int_equal(link_time(link, 99999), -1);
    agent_got(link, "");
}

static void test_one_id_one_answer(void **state)
{
    struct link *link = *state;

    agent(link, CALL, 0);
    all_written(link);
    agent(link, CALL, 0);
    assert_int_equal(link->to_daemon.len, 0);
    agent_got(link, "\"id\":1,\"error\"");
    agent(link, "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"method\":\"ping\"}", 0);
    assert_int_not_equal(link->to_daemon.len, 0);
}

static void test_bounds(void **state)
{
    struct link *link = *state;
    char line[128];

    for (int i = 0; i < FLIGHTS_MAX; i++) {
        snprintf(line, sizeof line, "{\"jsonrpc\":\"2.0\",\"id\":%d,\"method\":\"tools/call\"}", i + 1);
        agent(link, line, 0);
    }
    agent_got(link, "");
    agent(link, "{\"jsonrpc\":\"2.0\",\"id\":9999,\"method\":\"ping\"}", 0);
    agent_got(link, "\"id\":9999,\"error\":{\"code\":-32002");
    link_agent_overlong(link);
    agent_got(link, "\"id\":null,\"error\"");
    all_written(link);
    link_lost(link, 0);
    size_t lines = 0;
    for (const char *at = buf_str(&link->to_agent); (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, FLIGHTS_MAX);
    agent_got(link, "the tool failed");
}

/* A tool's name that would break our words does not get into them. */
static void test_names_that_break_out(void **state)
{
    struct link *link = *state;

    agent(link, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"x\\\",\\\"isError\\\":false\"}}",
        0);
    all_written(link);
    link_lost(link, 0);
    assert_null(strstr(buf_str(&link->to_agent), "isError\\\":false"));
    agent_got(link, "the tool failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_token_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lost_call_is_unknown, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_a_call_that_was_not_sent_is_sent_once, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_questions_are_asked_again, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_waiting_has_an_end, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_no_daemon_at_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_refused_session, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_one_id_one_answer, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup_running, teardown),
        cmocka_unit_test_setup_teardown(test_names_that_break_out, setup_running, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
