/*
 * The supervisor of the program that downloads, with one that does what the test asks for: whatever it does wrong costs
 * the downloads that it had, and the next one gets a new program.
 */
#include "broker/fetch-link.h"

#include "base/clock.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES_MAX 16

static const char *fake_fetcher;

struct bench {
    struct loop *loop;
    struct loop_timer *guard;
    struct fetch_link *link;
    const char *argv[3], *argv_with_overrides[3];
    int program;
};

struct asked {
    struct bench *bench;
    struct fetch *fetch, *cancels; /* the other one that its answer cancels */
    const char *then;              /* what its answer asks for next */
    struct asked *next;
    unsigned answers, progress;
    enum keeper_http_outcome outcome;
    uint64_t done, total;
    char body[32], etag[16], message[128];
};

static void on_guard(void *userdata)
{
    fail_msg("the supervisor does not answer");
}

static struct bench *bench_new(const char *how)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct err err = ERR_INIT;

    bench->argv[0] = bench->argv_with_overrides[0] = "aileron-keeper";
    bench->argv[1] = how;
    bench->argv_with_overrides[1] = "dead";
    bench->program = open(fake_fetcher, O_PATH | O_CLOEXEC);
    assert_int_equal(loop_new(&bench->loop, &err), 0);
    assert_int_equal(loop_timer_new(bench->loop, on_guard, bench, &bench->guard), 0);
    const struct fetch_config config = { .loop = bench->loop,
        .program_fd = bench->program,
        .argv = bench->argv,
        .argv_with_overrides = bench->argv_with_overrides,
        .allow_private = "",
        .stderr_fd = -1 };
    assert_int_equal(fetch_link_new(&config, &bench->link, &err), 0);
    return bench;
}

static void bench_free(struct bench *bench)
{
    fetch_link_free(bench->link);
    loop_timer_free(bench->guard);
    loop_free(bench->loop);
    close(bench->program);
    free(bench);
}

static void run(struct bench *bench)
{
    loop_timer_set(bench->guard, 15000);
    loop_run(bench->loop);
    loop_timer_stop(bench->guard);
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

static void ask(struct bench *bench, struct asked *asked, const char *url, uint32_t deadline_ms);

static void on_answer(const struct fetch_answer *answer, void *userdata)
{
    struct asked *asked = userdata;

    asked->answers++;
    asked->outcome = answer->outcome;
    snprintf(asked->body, sizeof asked->body, "%.*s", (int) answer->body_len, (const char *) answer->body);
    snprintf(asked->etag, sizeof asked->etag, "%s", answer->etag);
    snprintf(asked->message, sizeof asked->message, "%s", answer->message);
    fetch_cancel(asked->cancels);
    if (asked->then)
        ask(asked->bench, asked->next, asked->then, 1000);
    else
        loop_stop(asked->bench->loop);
}

static void on_progress(uint64_t done, uint64_t total, void *userdata)
{
    struct asked *asked = userdata;

    asked->progress++;
    asked->done = done;
    asked->total = total;
}

static void ask(struct bench *bench, struct asked *asked, const char *url, uint32_t deadline_ms)
{
    const struct fetch_request request = { .url = url, .bytes_max = BYTES_MAX, .deadline_ms = deadline_ms };
    struct err err = ERR_INIT;

    asked->bench = bench;
    assert_int_equal(fetch_start(bench->link, &request, on_answer, on_progress, asked, &asked->fetch, &err), 0);
}

static void assert_works(struct bench *bench)
{
    struct asked asked = { .answers = 0 };

    ask(bench, &asked, "ok", 1000);
    run(bench);
    assert_int_equal(asked.answers, 1);
    assert_int_equal(asked.outcome, KEEPER_HTTP_DONE);
    assert_string_equal(asked.body, "body");
    assert_string_equal(asked.etag, "\"tag\"");
}

static void test_downloads(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked asked = { .answers = 0 };

    assert_works(bench);
    ask(bench, &asked, "progress", 1000);
    run(bench);
    assert_int_equal(asked.progress, 3);
    assert_int_equal(asked.done, 3);
    assert_int_equal(asked.total, 3);
    assert_string_equal(asked.body, "body");
    bench_free(bench);
}

static void test_every_way_to_fail(void **state)
{
    static const struct {
        const char *url, *message;
    } ways[] = {
        { "die", "ended unexpectedly" },
        { "leave", "ended unexpectedly" },
        { "hang", "does not answer" },
        { "hello again", "broke the protocol" },
        { "stranger", "broke the protocol" },
        { "stranger's progress", "broke the protocol" },
        { "short", "broke the protocol" },
        { "for ever", "broke the protocol" },
        { "outcome", "broke the protocol" },
        { "too much", "broke the protocol" },
    };

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct bench *bench = bench_new("ok");
        struct asked asked = { .answers = 0 }, other = { .answers = 0 };
        int64_t began = clock_boot_ms();

        /* Another one that is under way is lost with it, and answered as well. */
        ask(bench, &other, "later", 60000);
        ask(bench, &asked, ways[i].url, 200);
        while (!asked.answers || !other.answers)
            run(bench);
        assert_true(clock_boot_ms() - began < 8000);
        if (asked.outcome != KEEPER_HTTP_NETWORK || !strstr(asked.message, ways[i].message))
            fail_msg("%s: outcome %d, %s", ways[i].url, asked.outcome, asked.message);
        assert_int_equal(other.outcome, KEEPER_HTTP_NETWORK);
        assert_int_equal(other.answers, 1);
        assert_works(bench);
        bench_free(bench);
    }
}

static void test_a_start_that_fails(void **state)
{
    static const char *const ways[] = { "dead", "version", "mute" };

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct bench *bench = bench_new(ways[i]);
        struct asked asked = { .answers = 0 };

        ask(bench, &asked, "ok", 200);
        run(bench);
        if (asked.answers != 1 || asked.outcome != KEEPER_HTTP_NETWORK || !asked.message[0])
            fail_msg("%s: %u answers, outcome %d", ways[i], asked.answers, asked.outcome);
        bench_free(bench);
    }
}

static void test_an_answer_that_comes_twice(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked asked = { .answers = 0 };

    ask(bench, &asked, "twice", 1000);
    run(bench);
    assert_string_equal(asked.body, "first");
    pass_time(bench, 50);
    assert_int_equal(asked.answers, 1);
    assert_works(bench);
    bench_free(bench);
}

static void test_nobody_waits_any_more(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked before = { .answers = 0 }, during = { .answers = 0 };

    /* Before hello, and when it was sent. */
    ask(bench, &before, "ok", 1000);
    fetch_cancel(before.fetch);
    assert_works(bench);
    ask(bench, &during, "later", 60000);
    fetch_cancel(during.fetch);
    assert_works(bench);
    pass_time(bench, 100);
    assert_int_equal(before.answers + during.answers, 0);
    fetch_cancel(NULL);
    bench_free(bench);
}

/* The answer of one that was lost cancels another that was lost with it, and asks for something new. */
static void test_what_an_answer_leads_to(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked first = { .answers = 0 }, other = { .answers = 0 }, next = { .answers = 0 };

    first.then = "ok";
    first.next = &next;
    ask(bench, &first, "later", 60000);
    ask(bench, &other, "die", 60000);
    first.cancels = other.fetch;
    run(bench);
    assert_int_equal(first.answers, 1);
    assert_int_equal(other.answers, 0);
    assert_int_equal(next.answers, 1);
    assert_string_equal(next.body, "body");
    bench_free(bench);
}

static void test_too_many(void **state)
{
    struct bench *bench = bench_new("ok");
    const struct fetch_request request = { .url = "later", .bytes_max = BYTES_MAX, .deadline_ms = 60000 };
    struct asked asked = { .answers = 0 };
    struct err err = ERR_INIT;
    struct fetch *fetch = NULL;
    int r = 0;

    for (int i = 0; i < 64; i++)
        ask(bench, &asked, "later", 60000);
    r = fetch_start(bench->link, &request, on_answer, NULL, &asked, &fetch, &err);
    assert_int_equal(r, -ENOBUFS);
    assert_non_null(strstr(err.message, "64"));
    bench_free(bench);
    assert_int_equal(asked.answers, 0);
}

/* With other overrides the next download is made by another program; one under way ends where it began. */
static void test_settings(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked asked = { .answers = 0 }, dead = { .answers = 0 };

    assert_works(bench);
    ask(bench, &asked, "ok", 1000);
    fetch_link_set(bench->link, "10.0.0.1:443", true);
    run(bench);
    assert_string_equal(asked.body, "body");
    ask(bench, &dead, "ok", 1000);
    run(bench);
    assert_int_equal(dead.outcome, KEEPER_HTTP_NETWORK);
    fetch_link_set(bench->link, "", false);
    assert_works(bench);
    bench_free(bench);

    bench = bench_new("one settings only");
    fetch_link_set(bench->link, "10.0.0.1:443", false);
    struct asked refused = { .answers = 0 };
    ask(bench, &refused, "ok", 1000);
    run(bench);
    assert_int_equal(refused.outcome, KEEPER_HTTP_NETWORK);
    bench_free(bench);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_downloads),
        cmocka_unit_test(test_every_way_to_fail),
        cmocka_unit_test(test_a_start_that_fails),
        cmocka_unit_test(test_an_answer_that_comes_twice),
        cmocka_unit_test(test_nobody_waits_any_more),
        cmocka_unit_test(test_what_an_answer_leads_to),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_settings),
    };

    if (argc != 2)
        return 2;
    fake_fetcher = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
