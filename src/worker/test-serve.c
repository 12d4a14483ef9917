/*
 * The order of frames in a run worker, with a stand-in for the engine: what it
 * answers, what ends it, and that an answer to a finished call reaches no other.
 */
#include "worker/fake-module.h"
#include "worker/serve.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static struct serve serve;
static int pair[2];
static int tightened;

static int tighten(void)
{
    tightened++;
    return 0;
}

static int setup(void **state)
{
    memset(&fake, 0, sizeof(fake));
    fake.left_us = 60000000;
    tightened = 0;
    assert_int_equal(wire_pair(pair), 0);
    serve = (struct serve){ .channel = pair[0], .most_mib = 64, .on_loaded = tighten };
    return 0;
}

static int teardown(void **state)
{
    serve_free(&serve);
    close(pair[0]);
    close(pair[1]);
    return 0;
}

/* Takes the frame as the loop would. */
static int give(struct wire_frame *frame)
{
    int r = 0;

    frame->at = 0;
    r = serve_frame(&serve, frame);
    wire_free(frame);
    return r;
}

static int give_load(const char *code, uint32_t ceiling_mib, const char *allowed)
{
    struct wire_frame frame;

    wire_init(&frame, WORKER_LOAD, 3);
    wire_put_blob(&frame, code, strlen(code));
    wire_put_u32(&frame, ceiling_mib);
    wire_put_str(&frame, allowed);
    return give(&frame);
}

static int give_run(uint32_t id, const char *in, uint32_t memory_mib, uint32_t wall_ms)
{
    struct wire_frame frame;

    wire_init(&frame, WORKER_RUN, id);
    wire_put_blob(&frame, in, strlen(in));
    wire_put_u32(&frame, memory_mib);
    wire_put_u32(&frame, wall_ms);
    return give(&frame);
}

static void result_init(struct wire_frame *frame, uint32_t id)
{
    wire_init(frame, WORKER_HTTP_RESULT, id);
    wire_put_i64(frame, 0);
    wire_put_u32(frame, 200);
    wire_put_blob(frame, "body", 4);
}

static int give_result(uint32_t id)
{
    struct wire_frame frame;

    result_init(&frame, id);
    return give(&frame);
}

static void send_result(uint32_t id)
{
    CLEANUP(wire_free) struct wire_frame frame;

    result_init(&frame, id);
    assert_int_equal(wire_send(pair[1], &frame), 0);
}

static void expect(uint16_t type, uint32_t id)
{
    CLEANUP(wire_free) struct wire_frame frame;

    assert_int_equal(wire_recv(pair[1], &frame), 1);
    assert_int_equal(frame.type, type);
    assert_int_equal(frame.id, id);
}

static void load(void)
{
    assert_int_equal(give_load("good", 64, ""), 0);
    expect(WORKER_LOADED, 3);
}

static void test_ready_says_what_fits(void **state)
{
    CLEANUP(wire_free) struct wire_frame frame;
    char key[ENGINE_KEY_MAX], again[ENGINE_KEY_MAX];

    assert_int_equal(serve_ready(pair[0], "all of it"), 0);
    assert_int_equal(wire_recv(pair[1], &frame), 1);
    assert_int_equal(frame.type, WORKER_READY);
    assert_int_equal(wire_get_u32(&frame), WORKER_PROTOCOL_VERSION);
    assert_string_equal(wire_get_str(&frame, 100), engine_version());
    assert_string_equal(wire_get_str(&frame, 300), engine_key(key));
    assert_string_equal(wire_get_str(&frame, 300), "all of it");
    assert_int_equal(wire_end(&frame), 0);
    assert_string_equal(engine_key(again), key);
    assert_non_null(strchr(key, ';'));
}

static void test_load_then_run(void **state)
{
    load();
    assert_int_equal(tightened, 1);
    assert_int_equal(give_run(9, "", 64, 1000), 0);
    expect(WORKER_DONE, 9);
    assert_int_equal(give_run(10, "l", 1, 300000), 0);
    expect(WORKER_LOG, 10);
    expect(WORKER_DONE, 10);
    assert_int_equal(fake.runs, 2);
}

static void test_a_refused_module_may_be_replaced(void **state)
{
    assert_int_equal(give_load("bad!", 64, ""), 0);
    expect(WORKER_REFUSED, 3);
    assert_int_equal(tightened, 0);
    assert_int_equal(give_run(9, "", 64, 1000), -EPROTO);
    load();
}

static void test_out_of_turn(void **state)
{
    struct wire_frame frame;

    assert_int_equal(give_run(9, "", 64, 1000), -EPROTO);
    assert_int_equal(give_result(9), -EPROTO);
    assert_int_equal(give_load("good", 0, ""), -EPROTO);
    assert_int_equal(give_load("good", 65, ""), -EPROTO);
    assert_int_equal(fake.loads, 0);
    load();
    assert_int_equal(give_load("good", 64, ""), -EPROTO);
    assert_int_equal(give_result(9), -EPROTO);
    for (uint16_t type = 0; type < 20; type++) {
        if (type == WORKER_LOAD || type == WORKER_RUN || type == WORKER_HTTP_RESULT)
            continue;
        wire_init(&frame, type, 1);
        assert_int_equal(give(&frame), -EPROTO);
    }
    assert_int_equal(fake.runs, 0);
}

static void test_limits_of_a_run(void **state)
{
    load();
    assert_int_equal(give_run(9, "", 0, 1000), -EPROTO);
    assert_int_equal(give_run(9, "", 65, 1000), -EPROTO);
    assert_int_equal(give_run(9, "", 64, 0), -EPROTO);
    assert_int_equal(give_run(9, "", 64, 300001), -EPROTO);
    assert_int_equal(fake.runs, 0);
}

static void test_trailing_and_missing_bytes(void **state)
{
    struct wire_frame frame;

    load();
    wire_init(&frame, WORKER_RUN, 9);
    wire_put_blob(&frame, "", 0);
    wire_put_u32(&frame, 64);
    assert_int_equal(give(&frame), -EPROTO);
    wire_init(&frame, WORKER_RUN, 9);
    wire_put_blob(&frame, "", 0);
    wire_put_u32(&frame, 64);
    wire_put_u32(&frame, 1000);
    wire_put_u8(&frame, 0);
    assert_int_equal(give(&frame), -EPROTO);
    assert_int_equal(fake.runs, 0);
}

static void test_a_wrong_answer_ends_the_worker(void **state)
{
    load();
    send_result(8);
    assert_int_equal(give_run(9, "h", 64, 1000), -EPIPE);
}

static void test_a_late_answer_is_dropped(void **state)
{
    load();
    fake.left_us = 0;
    assert_int_equal(give_run(9, "h", 64, 1000), 0);
    expect(WORKER_HTTP, 9);
    expect(WORKER_DONE, 9);
    fake.left_us = 60000000;
    assert_int_equal(give_result(9), 0);
    assert_int_equal(give_result(10), -EPROTO);
    assert_int_equal(give_result(0), -EPROTO);
}

static void test_ids_of_runs_grow(void **state)
{
    load();
    assert_int_equal(give_run(9, "", 64, 1000), 0);
    assert_int_equal(give_run(9, "", 64, 1000), -EPROTO);
    assert_int_equal(give_run(8, "", 64, 1000), -EPROTO);
    assert_int_equal(give_run(10, "", 64, 1000), 0);
    assert_int_equal(give_result(9), -EPROTO);
}

static void test_a_late_answer_within_the_next_call(void **state)
{
    load();
    fake.left_us = 0;
    assert_int_equal(give_run(9, "h", 64, 1000), 0);
    expect(WORKER_HTTP, 9);
    expect(WORKER_DONE, 9);
    fake.left_us = 60000000;
    send_result(9);
    send_result(10);
    assert_int_equal(give_run(10, "hr", 64, 1000), 0);
    expect(WORKER_HTTP, 10);
    expect(WORKER_DONE, 10);
}

static void test_many_calls_without_their_answers(void **state)
{
    load();
    fake.left_us = 0;
    for (uint32_t id = 9; id < 12; id++) {
        assert_int_equal(give_run(id, "h", 64, 1000), 0);
        expect(WORKER_HTTP, id);
        expect(WORKER_DONE, id);
    }
    assert_int_equal(give_result(10), 0);
    assert_int_equal(give_result(11), 0);
    assert_int_equal(give_result(9), 0);
    assert_int_equal(give_result(12), -EPROTO);
}

static void test_the_loop_ends_with_the_channel(void **state)
{
    assert_int_equal(shutdown(pair[1], SHUT_WR), 0);
    assert_int_equal(serve_run(&serve), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ready_says_what_fits),
        TEST(test_load_then_run),
        TEST(test_a_refused_module_may_be_replaced),
        TEST(test_out_of_turn),
        TEST(test_limits_of_a_run),
        TEST(test_trailing_and_missing_bytes),
        TEST(test_a_wrong_answer_ends_the_worker),
        TEST(test_a_late_answer_is_dropped),
        TEST(test_a_late_answer_within_the_next_call),
        TEST(test_many_calls_without_their_answers),
        TEST(test_ids_of_runs_grow),
        TEST(test_the_loop_ends_with_the_channel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
