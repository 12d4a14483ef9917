/*
 * The keeper's supervisor with a keeper that does what the test asks for: a
 * start that fails is explained, a keeper that dies, hangs, floods or talks nonsense
 * costs the requests it held and is replaced.
 */
#include "broker/keeper-link.h"

#include "base/clock.h"
#include "base/json.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

static const char *fake_keeper;

struct bench {
    struct loop *loop;
    struct loop_timer *guard;
    struct keeper_link *link;
    const char *argv[3];
    int program, owner, started;
    bool has_started;
    unsigned changed, lost, events, event_generation;
    uint32_t event_id;
    bool write_events, hold_events;
    char event_type[64];
    struct err err;
};

struct asked {
    struct bench *bench;
    struct keeper_call *call;
    bool answered;
    enum keeper_http_outcome outcome;
    bool may_have_left;
    char body[32];
};

static void on_guard(void *userdata)
{
    fail_msg("the supervisor does not answer");
}

static void on_changed(void *userdata)
{
    ((struct bench *) userdata)->changed++;
}

static void on_started(int result, const struct err *err, void *userdata)
{
    struct bench *bench = userdata;

    bench->has_started = true;
    bench->started = result;
    if (err)
        bench->err = *err;
    loop_stop(bench->loop);
}

/* Nothing is written but for this test's word. */
static int on_event(uint32_t id, const struct keeper_event *event, void *userdata)
{
    struct bench *bench = userdata;

    bench->events++;
    snprintf(bench->event_type, sizeof bench->event_type, "%s", event->type);
    bench->event_generation = keeper_generation(bench->link);
    bench->event_id = id;
    if (event->wants_written && !bench->hold_events)
        keeper_event_written(bench->link, bench->event_generation, id, bench->write_events);
    return 0;
}

static void on_lost(bool was_open, void *userdata)
{
    struct bench *bench = userdata;

    assert_true(was_open);
    bench->lost++;
}

static void run(struct bench *bench)
{
    loop_timer_set(bench->guard, 10000);
    loop_run(bench->loop);
    loop_timer_stop(bench->guard);
}

/* An address of its own that no file system knows. */
static int listener_new(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address.sun_family), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static struct bench *bench_new(const char *how)
{
    struct bench *bench = calloc(1, sizeof *bench);
    struct err err = ERR_INIT;

    bench->argv[0] = "aileron-keeper";
    bench->argv[1] = how;
    bench->program = open(fake_keeper, O_PATH | O_CLOEXEC);
    assert_int_equal(loop_new(&bench->loop, &err), 0);
    assert_int_equal(loop_timer_new(bench->loop, on_guard, bench, &bench->guard), 0);
    bench->owner = listener_new();
    const struct keeper_config config = {
        .loop = bench->loop,
        .program_fd = bench->program,
        .argv = bench->argv,
        .owner_fd = bench->owner,
        .allow_private = "",
        .changed = on_changed,
        .started = on_started,
        .lost = on_lost,
        .event = on_event,
        .userdata = bench,
    };
    assert_int_equal(keeper_link_new(&config, &bench->link, &err), 0);
    run(bench);
    assert_true(bench->has_started);
    return bench;
}

static void bench_free(struct bench *bench)
{
    keeper_link_free(bench->link);
    loop_timer_free(bench->guard);
    loop_free(bench->loop);
    close(bench->program);
    close(bench->owner);
    free(bench);
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

static void await_keeper(struct bench *bench)
{
    for (int i = 0; i < 200 && !keeper_is_there(bench->link); i++)
        pass_time(bench, 20);
    assert_true(keeper_is_there(bench->link));
}

static void on_answer(const struct keeper_answer *answer, void *userdata)
{
    struct asked *asked = userdata;

    asked->answered = true;
    asked->outcome = answer->outcome;
    asked->may_have_left = answer->may_have_left;
    snprintf(asked->body, sizeof asked->body, "%.*s", (int) answer->body_len, (const char *) answer->body);
    loop_stop(asked->bench->loop);
}

static int ask(struct bench *bench, struct asked *asked, const char *url, uint32_t deadline_ms)
{
    const struct keeper_request request = {
        .connector = "local://x",
        .binding = "",
        .method = "GET",
        .url = url,
        .headers = "",
        .hosts = "a.test:443",
        .deadline_ms = deadline_ms,
    };

    *asked = (struct asked){ .bench = bench };
    return keeper_http(bench->link, &request, on_answer, asked, &asked->call);
}

static void test_a_start(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked asked;

    assert_int_equal(bench->started, 0);
    assert_true(keeper_is_there(bench->link));
    assert_int_equal(keeper_vault_state(bench->link), KEEPER_VAULT_UNLOCKED);
    assert_int_equal(json_array_size(keeper_bindings(bench->link)), 1);
    assert_string_equal(keeper_confinement(bench->link), "not at all");
    assert_int_equal(ask(bench, &asked, "ok", 5000), 0);
    run(bench);
    assert_int_equal(asked.outcome, KEEPER_HTTP_DONE);
    assert_string_equal(asked.body, "body");
    assert_int_equal(keeper_restarts(bench->link), 0);
    bench_free(bench);
}

static void test_a_start_that_fails_is_explained(void **state)
{
    static const struct {
        const char *how, *message, *hint;
    } cases[] = {
        { "refuse", "the moon is wrong", "wait a week" },
        { "silent", "cannot be started", "" },
        { "version", "broke the protocol", "" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bench *bench = bench_new(cases[i].how);

        assert_int_equal(bench->started, -EIO);
        if (!strstr(bench->err.message, cases[i].message))
            fail_msg("%s: %s", cases[i].how, bench->err.message);
        assert_string_equal(bench->err.hint, cases[i].hint);
        bench_free(bench);
    }
}

static void test_every_way_to_fail(void **state)
{
    static const char *const ways[] = { "die", "garbage", "stranger", "badstate", "flood", "hang" };

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct bench *bench = bench_new("ok");
        struct asked asked, other;
        int64_t began = clock_boot_ms();

        assert_int_equal(ask(bench, &asked, ways[i], 200), 0);
        run(bench);
        assert_true(clock_boot_ms() - began < 6000);
        if (asked.outcome != KEEPER_HTTP_NETWORK || !asked.may_have_left)
            fail_msg("%s: outcome %d", ways[i], asked.outcome);
        assert_int_equal(keeper_restarts(bench->link), 1);
        assert_int_equal(bench->lost, 1);
        assert_int_equal(keeper_vault_state(bench->link), KEEPER_VAULT_LOCKED);
        assert_int_equal(json_array_size(keeper_bindings(bench->link)), 0);
        assert_int_equal(ask(bench, &other, "ok", 1000), -ENOTCONN);
        await_keeper(bench);
        assert_int_equal(json_array_size(keeper_bindings(bench->link)), 1);
        assert_int_equal(ask(bench, &other, "ok", 1000), 0);
        run(bench);
        assert_string_equal(other.body, "body");
        bench_free(bench);
    }
}

static void test_a_second_answer_ends_the_keeper(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked asked;

    assert_int_equal(ask(bench, &asked, "twice", 1000), 0);
    run(bench);
    assert_string_equal(asked.body, "first");
    pass_time(bench, 50);
    assert_int_equal(keeper_restarts(bench->link), 1);
    bench_free(bench);
}

static void test_nobody_waits_any_more(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked asked, other;

    assert_int_equal(ask(bench, &asked, "later", 5000), 0);
    keeper_http_cancel(asked.call);
    assert_int_equal(ask(bench, &other, "ok", 1000), 0);
    run(bench);
    assert_true(other.answered && !asked.answered);
    /* The keeper kept its word about the cancelled one, so it lives. */
    pass_time(bench, 3500); /* longer than the grace for its answer */
    assert_int_equal(keeper_restarts(bench->link), 0);
    assert_false(asked.answered);
    bench_free(bench);
}

struct told {
    struct bench *bench;
    struct keeper_call *call;
    unsigned times;
    enum keeper_result result;
    bool lost, has_signature;
    uint8_t signature[KEEPER_SIGNATURE_BYTES];
    char detail[128], path[32];
};

static void on_reply(const struct keeper_reply *reply, void *userdata)
{
    struct told *told = userdata;

    told->times++;
    told->result = reply->result;
    told->lost = reply->lost;
    told->has_signature = reply->signature != NULL;
    if (reply->signature)
        memcpy(told->signature, reply->signature, sizeof told->signature);
    snprintf(told->detail, sizeof told->detail, "%s", reply->detail);
    if (reply->list)
        snprintf(told->path, sizeof told->path, "%s", json_get_str(json_array_get(reply->list, 0), "path"));
    loop_stop(told->bench->loop);
}

static struct told wait_for(struct bench *bench, struct told *told, int asked)
{
    assert_int_equal(asked, 0);
    run(bench);
    assert_int_equal(told->times, 1);
    struct told result = *told;
    *told = (struct told){ .bench = bench };
    return result;
}

static void test_every_question(void **state)
{
    struct bench *bench = bench_new("ok");
    struct told told = { .bench = bench }, got;
    uint8_t key[KEEPER_HEAD_KEY_BYTES], hash[32];

    memset(hash, 0xa5, sizeof hash);
    assert_true(keeper_overrides_active(bench->link));
    assert_true(keeper_head_key(bench->link, key));
    assert_memory_equal(key, "0123456789abcdef0123456789ABCDEF", sizeof key);
    got = wait_for(bench, &told, keeper_sign_head(bench->link, 7, hash, on_reply, &told, &told.call));
    assert_true(got.result == KEEPER_OK && got.has_signature);
    assert_memory_equal(got.signature, hash, sizeof hash);
    assert_int_equal(got.signature[63], 7);
    got = wait_for(bench, &told, keeper_sign_head(bench->link, 0, hash, on_reply, &told, NULL));
    assert_true(got.result == KEEPER_REFUSED && !got.has_signature);
    got = wait_for(bench, &told, keeper_list(bench->link, on_reply, &told, NULL));
    assert_string_equal(got.path, "work/token");
    got = wait_for(bench, &told, keeper_revoke(bench->link, "api_key/x/me", on_reply, &told, NULL));
    assert_string_equal(got.detail, "api_key/x/me");
    got = wait_for(bench, &told, keeper_oauth_start(bench->link, "oauth2/x/me", "http://127.0.0.1:1/cb", on_reply, &told, NULL));
    assert_string_equal(got.detail, "oauth2/x/me at http://127.0.0.1:1/cb");
    got = wait_for(bench, &told, keeper_oauth_callback(bench->link, "state=1&code=2", on_reply, &told, NULL));
    assert_int_equal(got.result, KEEPER_DENIED);
    assert_string_equal(got.detail, "state=1&code=2");
    got = wait_for(bench, &told, keeper_lock(bench->link, on_reply, &told, NULL));
    assert_int_equal(got.result, KEEPER_OK);
    assert_string_equal(bench->event_type, "vault.locked");
    assert_int_equal(keeper_restarts(bench->link), 0);
    bench_free(bench);
}

static void test_a_ticket_is_good_once(void **state)
{
    struct bench *bench = bench_new("ok");
    struct told told = { .bench = bench }, got;

    got = wait_for(bench, &told, keeper_spend_ticket(bench->link, "apr_2", "seal", "good", on_reply, &told, NULL));
    assert_int_equal(got.result, KEEPER_REFUSED);
    got = wait_for(bench, &told, keeper_spend_ticket(bench->link, "apr_1", "seal", "good", on_reply, &told, NULL));
    assert_int_equal(got.result, KEEPER_OK);
    got = wait_for(bench, &told, keeper_spend_ticket(bench->link, "apr_1", "seal", "good", on_reply, &told, NULL));
    assert_int_equal(got.result, KEEPER_REFUSED);
    bench_free(bench);
}

static void test_questions_to_a_keeper_that_dies(void **state)
{
    static const char *const ways[] = { "die", "wrong" };

    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct bench *bench = bench_new("ok");
        struct told held = { .bench = bench }, told = { .bench = bench }, nobody = { .bench = bench };
        uint8_t key[KEEPER_HEAD_KEY_BYTES];

        assert_int_equal(keeper_oauth_callback(bench->link, "later", on_reply, &held, &held.call), 0);
        assert_int_equal(keeper_oauth_callback(bench->link, "later", on_reply, &nobody, &nobody.call), 0);
        keeper_ask_cancel(nobody.call);
        assert_int_equal(keeper_oauth_callback(bench->link, ways[i], on_reply, &told, NULL), 0);
        run(bench);
        assert_true(held.times == 1 && held.lost && held.result == KEEPER_FAILED);
        assert_true(told.times == 1 && told.lost);
        assert_int_equal(nobody.times, 0);
        assert_int_equal(keeper_list(bench->link, on_reply, &told, NULL), -ENOTCONN);
        assert_false(keeper_head_key(bench->link, key));
        assert_false(keeper_overrides_active(bench->link));
        await_keeper(bench);
        assert_true(keeper_head_key(bench->link, key));
        bench_free(bench);
    }
}

static void test_a_keeper_that_hangs_is_replaced(void **state)
{
    struct bench *bench = bench_new("ok");
    struct told told = { .bench = bench };
    struct wire_frame frame;

    wire_init(&frame, KEEPER_OAUTH_CALLBACK, 0);
    wire_put_str(&frame, "later");
    assert_int_equal(keeper_ask(bench->link, &frame, 100, on_reply, &told, &told.call), 0);
    run(bench);
    assert_true(told.lost);
    assert_int_equal(keeper_restarts(bench->link), 1);
    bench_free(bench);
}

static void expect_event(struct bench *bench, const char *url, bool write, const char *body)
{
    struct asked asked;

    bench->write_events = write;
    assert_int_equal(ask(bench, &asked, url, 5000), 0);
    run(bench);
    assert_string_equal(asked.body, body);
}

static void test_events(void **state)
{
    static const char *const bad[] = { "event foreign", "event nothing", "event stranger", "event nested", "event number",
        "event list", "event text" };
    struct bench *bench = bench_new("ok");
    struct asked asked;
    unsigned events;

    expect_event(bench, "event secret", true, "written");
    expect_event(bench, "event created", false, "not written");
    expect_event(bench, "event many", true, "300");
    assert_int_equal(bench->events, 302);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        events = bench->events;
        assert_int_equal(ask(bench, &asked, bad[i], 5000), 0);
        run(bench);
        assert_int_equal(asked.outcome, KEEPER_HTTP_NETWORK);
        assert_int_equal(bench->events, events);
        assert_int_equal(keeper_restarts(bench->link), i + 1);
        await_keeper(bench);
    }
    bench_free(bench);
}

static void test_a_flood_of_events(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked asked;

    assert_int_equal(ask(bench, &asked, "event flood", 5000), 0);
    run(bench);
    assert_int_equal(asked.outcome, KEEPER_HTTP_NETWORK);
    assert_int_equal(keeper_restarts(bench->link), 1);
    assert_in_range(bench->events, 1000, 2000); /* a second may end meanwhile */
    bench_free(bench);
}

/* The next keeper must not take the answer of its predecessor's event for its own. */
static void test_a_receipt_outlives_its_keeper(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked asked;

    bench->hold_events = true;
    assert_int_equal(ask(bench, &asked, "event and die", 5000), 0);
    run(bench);
    assert_int_equal(bench->events, 1);
    unsigned generation = bench->event_generation;
    await_keeper(bench);
    assert_int_not_equal(keeper_generation(bench->link), generation);
    keeper_event_written(bench->link, generation, bench->event_id, true);
    bench->hold_events = false;
    expect_event(bench, "event secret", false, "not written");
    bench_free(bench);
}

static void test_deaths_in_a_row(void **state)
{
    struct bench *bench = bench_new("ok");
    struct asked asked;

    for (int i = 0; i < 4; i++) {
        await_keeper(bench);
        assert_int_equal(ask(bench, &asked, "die", 1000), 0);
        run(bench);
    }
    await_keeper(bench);
    assert_int_equal(keeper_restarts(bench->link), 4);
    bench_free(bench);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_start),
        cmocka_unit_test(test_a_start_that_fails_is_explained),
        cmocka_unit_test(test_every_way_to_fail),
        cmocka_unit_test(test_a_second_answer_ends_the_keeper),
        cmocka_unit_test(test_nobody_waits_any_more),
        cmocka_unit_test(test_every_question),
        cmocka_unit_test(test_a_ticket_is_good_once),
        cmocka_unit_test(test_questions_to_a_keeper_that_dies),
        cmocka_unit_test(test_a_keeper_that_hangs_is_replaced),
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_a_flood_of_events),
        cmocka_unit_test(test_a_receipt_outlives_its_keeper),
        cmocka_unit_test(test_deaths_in_a_row),
    };
    if (argc != 2)
        return 2;
    fake_keeper = argv[1];
    json_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
