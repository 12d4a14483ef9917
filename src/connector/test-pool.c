/*
 * The pool with a worker that does what the test asks for: reuse, parallel calls,
 * limits, eviction, retirement, and every way in which a worker can fail.
 */
#include "connector/pool.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *fake_worker;

struct bench {
    struct loop *loop;
    struct pool *pool;
    struct module *module;
    struct loop_timer *guard;
    int program;
    unsigned open; /* calls without an end */
};

struct call {
    struct bench *bench;
    struct lease *lease;
    bool ready, done, lost, hold;
    enum pool_loss loss;
    enum worker_outcome outcome;
    unsigned logs, https;
    char out[64], message[256];
};

static void end(struct call *call)
{
    if (--call->bench->open == 0)
        loop_stop(call->bench->loop);
}

static void start(struct call *call)
{
    call->ready = true;
    assert_int_equal(lease_run(call->lease, "{}", 2, 64, 100), 0);
}

static void on_ready(struct lease *lease, void *userdata)
{
    struct call *call = userdata;

    call->lease = lease;
    if (call->hold) {
        call->ready = true;
        loop_stop(call->bench->loop);
    } else {
        start(call);
    }
}

static void on_http(struct lease *lease, const char *envelope, size_t len, void *userdata)
{
    struct call *call = userdata;

    assert_int_equal(len, 2);
    if (call->https++ == 0 && !call->hold)
        assert_int_equal(lease_http_result(lease, 0, 200, "body", 4), 0);
}

static void on_log(struct lease *lease, enum worker_log_level level, const char *message, void *userdata)
{
    ((struct call *) userdata)->logs++;
}

static void on_done(struct lease *lease, const struct frame_done *result, void *userdata)
{
    struct call *call = userdata;

    call->done = true;
    call->outcome = result->outcome;
    snprintf(call->out, sizeof call->out, "%.*s", (int) result->out_len, result->out);
    lease_release(lease);
    call->lease = NULL;
    end(call);
}

static void on_lost(struct lease *lease, enum pool_loss loss, const char *message, void *userdata)
{
    struct call *call = userdata;

    call->lost = true;
    call->loss = loss;
    snprintf(call->message, sizeof call->message, "%s", message);
    lease_release(lease);
    call->lease = NULL;
    end(call);
}

static const struct lease_handlers HANDLERS = { on_ready, on_http, on_log, on_done, on_lost };

static int begin(struct bench *bench, struct call *call, const char *hash, const char *how)
{
    const struct pool_spec spec = { hash, bench->module, 64, how };
    bool hold = call->hold;

    *call = (struct call){ .bench = bench, .hold = hold };
    int r = pool_acquire(bench->pool, &spec, &HANDLERS, call, &call->lease);
    if (r < 0)
        return r;
    bench->open++;
    if (r > 0 && hold)
        call->ready = true;
    else if (r > 0)
        start(call);
    return r;
}

static void run(struct bench *bench)
{
    if (bench->open) {
        loop_timer_set(bench->guard, 15000);
        loop_run(bench->loop);
        loop_timer_stop(bench->guard);
    }
}

static void on_guard(void *userdata)
{
    fail_msg("the pool does not answer");
}

static void stop_loop(void *userdata)
{
    loop_stop(userdata);
}

static void pass_time(struct bench *bench, int64_t ms)
{
    struct loop_timer *timer;

    assert_int_equal(loop_timer_new(bench->loop, stop_loop, bench->loop, &timer), 0);
    loop_timer_set(timer, ms);
    loop_run(bench->loop);
    loop_timer_free(timer);
}

static struct bench *bench_new(unsigned all, unsigned each, int64_t idle_ms)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct err err = ERR_INIT;

    bench->program = open(fake_worker, O_PATH | O_CLOEXEC);
    assert_int_equal(loop_new(&bench->loop, &err), 0);
    const struct pool_config config = { bench->loop, { bench->program, -1 }, all, each, idle_ms };
    assert_int_equal(pool_new(&config, &bench->pool, &err), 0);
    assert_int_equal(module_new("code", 4, "", true, true, &bench->module, &err), 0);
    assert_int_equal(loop_timer_new(bench->loop, on_guard, bench, &bench->guard), 0);
    return bench;
}

static void bench_free(struct bench *bench)
{
    pool_free(bench->pool);
    module_unref(bench->module);
    loop_timer_free(bench->guard);
    loop_free(bench->loop);
    close(bench->program);
    free(bench);
}

static unsigned workers(const struct bench *bench)
{
    struct pool_stats stats;

    pool_stats(bench->pool, &stats);
    return stats.workers;
}

static void test_a_worker_is_reused_for_its_connector_alone(void **state)
{
    struct bench *bench = bench_new(0, 0, 0);
    struct call first = { 0 }, second = { 0 }, other = { 0 };

    assert_int_equal(begin(bench, &first, "a", "ok"), 0);
    run(bench);
    assert_int_equal(begin(bench, &second, "a", "ok"), 1);
    run(bench);
    assert_int_equal(begin(bench, &other, "b", "ok"), 0);
    run(bench);
    assert_true(first.done && second.done && other.done);
    assert_string_equal(first.out, second.out);
    assert_string_not_equal(first.out, other.out);
    assert_int_equal(workers(bench), 2);
    bench_free(bench);
}

static void test_calls_run_side_by_side_up_to_the_limit(void **state)
{
    struct bench *bench = bench_new(0, 3, 0);
    struct call calls[4] = { 0 };

    for (int i = 0; i < 3; i++) {
        calls[i].hold = true;
        assert_int_equal(begin(bench, &calls[i], "a", "ok"), 0);
    }
    while (!calls[0].ready || !calls[1].ready || !calls[2].ready)
        run(bench);
    assert_int_equal(begin(bench, &calls[3], "a", "ok"), 0);
    pass_time(bench, 100);
    assert_false(calls[3].ready);
    assert_int_equal(workers(bench), 3);
    /* Whoever ends first makes room for who waits. */
    lease_release(calls[1].lease);
    bench->open--;
    assert_true(calls[3].ready);
    bench->open = 1;
    run(bench);
    assert_true(calls[3].done);
    lease_release(calls[0].lease);
    lease_release(calls[2].lease);
    bench_free(bench);
}

static void test_the_oldest_idle_worker_of_another_makes_room(void **state)
{
    struct bench *bench = bench_new(2, 2, 0);
    struct call a = { 0 }, b = { 0 }, c = { 0 }, again = { 0 };

    begin(bench, &a, "a", "ok");
    run(bench);
    begin(bench, &b, "b", "ok");
    run(bench);
    begin(bench, &c, "c", "ok");
    run(bench);
    assert_true(c.done);
    assert_int_equal(workers(bench), 2);
    /* b's worker is still there, a's is not. */
    assert_int_equal(begin(bench, &again, "b", "ok"), 1);
    run(bench);
    assert_string_equal(again.out, b.out);
    bench_free(bench);
}

static void test_idle_workers_retire(void **state)
{
    struct bench *bench = bench_new(0, 0, 60);
    struct call call = { 0 };

    begin(bench, &call, "a", "ok");
    run(bench);
    assert_int_equal(workers(bench), 1);
    pass_time(bench, 250);
    assert_int_equal(workers(bench), 0);
    bench_free(bench);
}

static void test_how_workers_fail(void **state)
{
    static const struct {
        const char *how;
        enum pool_loss loss;
    } cases[] = {
        { "die", POOL_LOST_DIED },
        { "garbage", POOL_LOST_GARBAGE },
        { "flood", POOL_LOST_GARBAGE },
        { "twice", POOL_LOST_GARBAGE },
        { "early", POOL_LOST_GARBAGE },
        { "hang", POOL_LOST_OVERTIME },
        { "refuse", POOL_LOST_REFUSED },
        { "die at load", POOL_LOST_START },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench *bench = bench_new(0, 0, 0);
        struct call call = { 0 }, other = { 0 };
        struct pool_stats stats;

        call.hold = !strcmp(cases[i].how, "early") || !strcmp(cases[i].how, "twice");
        begin(bench, &call, "a", cases[i].how);
        if (call.hold) {
            run(bench);
            start(&call);
        }
        run(bench);
        if (!call.lost || call.loss != cases[i].loss)
            fail_msg("%s: lost %d, %d: %s", cases[i].how, call.lost, call.loss, call.message);
        assert_true(call.message[0] != '\0');
        pool_stats(bench->pool, &stats);
        assert_int_equal(stats.replaced, 1);
        assert_int_equal(stats.busy, 0);
        /* It cost that call and nobody else. */
        begin(bench, &other, "b", "ok");
        run(bench);
        assert_true(other.done);
        bench_free(bench);
    }
}

static void test_a_start_that_fails_costs_one_call_each(void **state)
{
    struct bench *bench = bench_new(0, 2, 0);
    struct call calls[5] = { 0 };

    for (int i = 0; i < 5; i++)
        begin(bench, &calls[i], "a", "die at load");
    run(bench);
    for (int i = 0; i < 5; i++)
        assert_true(calls[i].lost);
    assert_int_equal(workers(bench), 0);
    bench_free(bench);
}

static void test_requests_and_their_answers(void **state)
{
    struct bench *bench = bench_new(0, 0, 0);
    struct call call = { 0 }, late = { 0 }, next = { 0 };

    begin(bench, &call, "a", "ask");
    run(bench);
    assert_string_equal(call.out, "0 200 body");
    /* A call that timed out while it waited ends without its answer; its worker goes on. */
    late.hold = true;
    begin(bench, &late, "b", "late");
    run(bench);
    start(&late);
    run(bench);
    assert_true(late.done);
    assert_int_equal(late.outcome, WORKER_TIMED_OUT);
    next.hold = true;
    assert_int_equal(begin(bench, &next, "b", "late"), 1);
    lease_release(next.lease);
    bench_free(bench);
}

static void test_the_queue_has_an_end(void **state)
{
    struct bench *bench = bench_new(0, 1, 0);
    static struct call calls[LIMIT_WORKER_QUEUE + 1];
    struct call held = { .hold = true };

    begin(bench, &held, "a", "ok");
    run(bench);
    for (unsigned i = 0; i < LIMIT_WORKER_QUEUE; i++)
        assert_int_equal(begin(bench, &calls[i], "a", "ok"), 0);
    assert_int_equal(begin(bench, &calls[LIMIT_WORKER_QUEUE], "a", "ok"), -ENOBUFS);
    lease_release(held.lease);
    bench->open--;
    run(bench);
    for (unsigned i = 0; i < LIMIT_WORKER_QUEUE; i++)
        assert_true(calls[i].done);
    bench_free(bench);
}

static void test_giving_up(void **state)
{
    struct bench *bench = bench_new(0, 1, 0);
    struct call held = { .hold = true }, waiting = { 0 }, last = { 0 };

    begin(bench, &held, "a", "hang");
    run(bench);
    begin(bench, &waiting, "a", "hang");
    lease_release(waiting.lease);
    bench->open--;
    /* In the middle of a call: the worker goes with it. */
    start(&held);
    lease_release(held.lease);
    bench->open--;
    pass_time(bench, 100);
    assert_int_equal(workers(bench), 0);
    begin(bench, &last, "b", "ok");
    run(bench);
    assert_true(last.done);
    pool_forget(bench->pool, "b");
    pass_time(bench, 100);
    assert_int_equal(workers(bench), 0);
    bench_free(bench);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_worker_is_reused_for_its_connector_alone),
        cmocka_unit_test(test_calls_run_side_by_side_up_to_the_limit),
        cmocka_unit_test(test_the_oldest_idle_worker_of_another_makes_room),
        cmocka_unit_test(test_idle_workers_retire),
        cmocka_unit_test(test_how_workers_fail),
        cmocka_unit_test(test_a_start_that_fails_costs_one_call_each),
        cmocka_unit_test(test_requests_and_their_answers),
        cmocka_unit_test(test_the_queue_has_an_end),
        cmocka_unit_test(test_giving_up),
    };
    if (argc != 2)
        return 2;
    fake_worker = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
