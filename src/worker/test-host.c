/*
 * The functions of "aileron_host" against a broker that is this test: frames on
 * a real channel, answers that come late, wrong, never, or for another call.
 */
#include "worker/link.h"

#include "base/clock.h"
#include "worker/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MEMORY_BYTES 65536

static uint8_t memory[MEMORY_BYTES];
static struct call call;
static int pair[2];

static int setup(void **state)
{
    memset(memory, 0, sizeof(memory));
    assert_int_equal(wire_pair(pair), 0);
    call_init(&call, pair[0], 5, "", 0);
    call.memory = memory;
    call.memory_size = sizeof(memory);
    deadline_start(60000);
    return 0;
}

static int teardown(void **state)
{
    deadline_stop();
    call_free(&call);
    close(pair[0]);
    close(pair[1]);
    return 0;
}

static int32_t host(const char *name, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    wasmtime_val_raw_t args[4];

    memset(args, 0, sizeof(args));
    args[0].i32 = (int32_t) a;
    args[1].i32 = (int32_t) b;
    args[2].i32 = (int32_t) c;
    args[3].i32 = (int32_t) d;
    for (size_t i = 0; i < host_table.functions_len; i++)
        if (strcmp(host_table.functions[i].name, name) == 0)
            return host_table.functions[i].fn(&call, args);
    fail_msg("no function %s", name);
    return 0;
}

static void answer(uint16_t type, uint32_t id, int64_t result, uint32_t status, const char *body)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, type, id);
    wire_put_i64(&frame, result);
    wire_put_u32(&frame, status);
    wire_put_blob(&frame, body, strlen(body));
    assert_int_equal(wire_send(pair[1], &frame), 0);
}

static void expect_frame(uint16_t type, struct wire_frame *frame)
{
    assert_int_equal(wire_recv(pair[1], frame), 1);
    assert_int_equal(frame->type, type);
    assert_int_equal(frame->id, 5);
}

static void skip_frame(uint16_t type)
{
    CLEANUP(wire_free) struct wire_frame frame;

    expect_frame(type, &frame);
}

static void expect_log(uint8_t level, const char *text)
{
    CLEANUP(wire_free) struct wire_frame frame;

    expect_frame(WORKER_LOG, &frame);
    assert_int_equal(wire_get_u8(&frame), level);
    assert_string_equal(wire_get_str(&frame, LIMIT_LOG_LINE_BYTES), text);
    assert_int_equal(wire_end(&frame), 0);
}

static void host_log(const char *level, const char *text)
{
    memcpy(memory, level, strlen(level));
    memcpy(memory + 100, text, strlen(text));
    host("log", 0, (uint32_t) strlen(level), 100, (uint32_t) strlen(text));
}

static void test_log(void **state)
{
    host_log("warning", "care\nful");
    expect_log(WORKER_LOG_WARN, "care ful");
    host_log("debug", "");
    expect_log(WORKER_LOG_DEBUG, "");
    host_log("nonsense", "x");
    expect_log(WORKER_LOG_INFO, "x");
    host("log", 0, 1, MEMORY_BYTES - 1, 2);
    host("log", MEMORY_BYTES, 1, 0, 2);
    host_log("error", "after two bad pointers");
    expect_log(WORKER_LOG_ERROR, "after two bad pointers");
}

static void test_long_log_line_is_cut(void **state)
{
    char wanted[LIMIT_LOG_LINE_BYTES + 1] = { 0 };

    memset(memory + 100, 'x', 60000);
    memset(wanted, 'x', LIMIT_LOG_LINE_BYTES);
    host("log", 0, 0, 100, 60000);
    expect_log(WORKER_LOG_INFO, wanted);
}

static void test_logs_are_limited(void **state)
{
    for (unsigned i = 0; i < LIMIT_LOG_LINES_PER_CALL; i++) {
        host_log("info", "x");
        expect_log(WORKER_LOG_INFO, "x");
    }
    host_log("info", "x");
    expect_log(WORKER_LOG_WARN, "further log lines of this call are dropped");
    for (unsigned i = 0; i < 1000; i++)
        host_log("info", "x");
    answer(WORKER_HTTP_RESULT, 5, 0, 200, "");
    assert_int_equal(host("http_request", 0, 2, 0, 0), 0);
    skip_frame(WORKER_HTTP);
}

static void test_request_and_answer(void **state)
{
    CLEANUP(wire_free) struct wire_frame frame;
    size_t len = 0;

    memcpy(memory + 10, "{\"url\":1}", 9);
    answer(WORKER_HTTP_RESULT, 5, 0, 418, "short and stout");
    assert_int_equal(host("http_request", 10, 9, 0, 0), 0);
    expect_frame(WORKER_HTTP, &frame);
    assert_memory_equal(wire_get_blob(&frame, 100, &len), "{\"url\":1}", 9);
    assert_int_equal(len, 9);
    assert_int_equal(wire_end(&frame), 0);
    assert_int_equal(host("http_response_status", 0, 0, 0, 0), 418);
    assert_int_equal(host("http_response_size", 0, 0, 0, 0), 15);
    assert_int_equal(host("http_response_read", 1000, 5, 0, 0), 5);
    assert_memory_equal(memory + 1000, "short\0", 6);
    assert_int_equal(host("http_response_read", MEMORY_BYTES - 20, 20, 0, 0), 15);
    assert_int_equal(host("http_response_read", MEMORY_BYTES - 20, 21, 0, 0), -1);
    assert_int_equal(host("http_response_read", 0, UINT32_MAX, 0, 0), -1);
    assert_int_equal(host("http_response_read", 0, 0, 0, 0), 0);
    assert_false(call.http_waits);
}

static void test_failures_leave_no_answer(void **state)
{
    answer(WORKER_HTTP_RESULT, 5, 0, 200, "first");
    answer(WORKER_HTTP_RESULT, 5, -1, 0, "why not");
    assert_int_equal(host("http_request", 0, 2, 0, 0), 0);
    assert_int_equal(host("http_request", 0, 2, 0, 0), -1);
    assert_int_equal(host("http_response_status", 0, 0, 0, 0), -1);
    assert_int_equal(host("http_response_size", 0, 0, 0, 0), -1);
    assert_int_equal(host("http_response_read", 0, 10, 0, 0), -1);
    answer(WORKER_HTTP_RESULT, 5, 0, 200, "third");
    answer(WORKER_HTTP_RESULT, 5, -2, 0, "");
    assert_int_equal(host("http_request", 0, 2, 0, 0), 0);
    assert_int_equal(host("http_request", 0, 2, 0, 0), -2);
    assert_int_equal(host("http_response_size", 0, 0, 0, 0), -1);
}

/* Nothing is sent for what cannot be a request, and the former answer is gone. */
static void test_malformed_requests_stay_here(void **state)
{
    answer(WORKER_HTTP_RESULT, 5, 0, 200, "first");
    assert_int_equal(host("http_request", 0, 2, 0, 0), 0);
    skip_frame(WORKER_HTTP);
    assert_int_equal(host("http_request", MEMORY_BYTES, 1, 0, 0), -2);
    assert_int_equal(host("http_request", 0, 0, 0, 0), -2);
    assert_int_equal(host("http_request", 0, UINT32_MAX, 0, 0), -2);
    assert_int_equal(host("http_response_size", 0, 0, 0, 0), -1);
    host_log("info", "next frame");
    expect_log(WORKER_LOG_INFO, "next frame");
}

static void test_requests_are_limited(void **state)
{
    for (unsigned i = 0; i <= LIMIT_HTTP_REQUESTS_PER_CALL; i++) {
        CLEANUP(wire_free) struct wire_frame frame;

        answer(WORKER_HTTP_RESULT, 5, -1, 0, "");
        assert_int_equal(host("http_request", 0, 2, 0, 0), -1);
        expect_frame(WORKER_HTTP, &frame);
    }
    assert_int_equal(host("http_request", 0, 2, 0, 0), -1);
    host_log("info", "next frame");
    expect_log(WORKER_LOG_INFO, "next frame");
}

static void assert_ends_the_worker(void)
{
    assert_int_equal(host("http_request", 0, 2, 0, 0) < 0 || call.end == CALL_IS_ALONE, true);
    assert_int_equal(call.end, CALL_IS_ALONE);
    assert_false(call.has_response);
}

static void test_another_calls_answer(void **state)
{
    answer(WORKER_HTTP_RESULT, 6, 0, 200, "");
    assert_ends_the_worker();
}

static void test_another_frame(void **state)
{
    answer(WORKER_RUN, 5, 0, 200, "");
    assert_ends_the_worker();
}

static void test_an_unknown_result(void **state)
{
    answer(WORKER_HTTP_RESULT, 5, 1, 200, "");
    assert_ends_the_worker();
}

static void test_a_short_frame(void **state)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_HTTP_RESULT, 5);
    wire_put_i64(&frame, 0);
    assert_int_equal(wire_send(pair[1], &frame), 0);
    assert_ends_the_worker();
}

static void test_a_broker_that_is_gone(void **state)
{
    close(pair[1]);
    pair[1] = -1;
    assert_ends_the_worker();
}

static void test_the_answer_that_never_comes(void **state)
{
    int64_t began = clock_boot_us();

    deadline_start(50);
    assert_int_equal(host("http_request", 0, 2, 0, 0), -1);
    assert_int_equal(call.end, CALL_TIMES_OUT);
    assert_true(call.http_waits);
    assert_in_range(clock_boot_us() - began, 50000, 2000000);
}

static void test_the_answer_of_an_earlier_call(void **state)
{
    call.late_id = 3;
    answer(WORKER_HTTP_RESULT, 3, 0, 200, "not yours");
    answer(WORKER_HTTP_RESULT, 2, 0, 200, "nor this");
    answer(WORKER_HTTP_RESULT, 5, 0, 201, "yours");
    assert_int_equal(host("http_request", 0, 2, 0, 0), 0);
    assert_int_equal(host("http_response_status", 0, 0, 0, 0), 201);
    assert_int_equal(host("http_response_read", 1000, 5, 0, 0), 5);
    assert_memory_equal(memory + 1000, "yours", 5);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_log),
        TEST(test_long_log_line_is_cut),
        TEST(test_logs_are_limited),
        TEST(test_request_and_answer),
        TEST(test_failures_leave_no_answer),
        TEST(test_malformed_requests_stay_here),
        TEST(test_requests_are_limited),
        TEST(test_another_calls_answer),
        TEST(test_another_frame),
        TEST(test_an_unknown_result),
        TEST(test_a_short_frame),
        TEST(test_a_broker_that_is_gone),
        TEST(test_the_answer_that_never_comes),
        TEST(test_the_answer_of_an_earlier_call),
    };
    wasm_engine_t *engine = engine_new();
    struct err err = ERR_INIT;
    int failed = 0;

    if (!engine || deadline_init(engine, &err) < 0)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    wasm_engine_delete(engine);
    return failed;
}
