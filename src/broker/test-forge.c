/*
 * What an answer of the forge means: its words, what is asked again and how often. Who asks is the test itself: the two
 * ways (fetch-link.h, keeper-link.h) are played here and answer by script.
 */
#include "broker/forge.h"

#include "base/clock.h"
#include "broker/keeper-link.h"
#include "loop/loop.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* The next answers, and what was asked. */
static struct {
    struct fetch_answer answers[8];
    unsigned at, asked, fetched, cancelled;
    bool holds; /* nothing is answered */
    char url[128], api[128], etag[32];
    fetch_fn *fn;
    fetch_progress_fn *progress;
    void *userdata;
    struct loop *loop;
    struct loop_timer *timer;
} played;

static void answer_now(void *userdata)
{
    const struct fetch_answer *answer = &played.answers[played.at];

    if (played.answers[played.at + 1].message)
        played.at++;
    played.fn(answer, played.userdata);
}

static int asked(fetch_fn *fn, void *userdata)
{
    played.asked++;
    played.fn = fn;
    played.userdata = userdata;
    if (!played.holds)
        loop_timer_set(played.timer, 0);
    return 0;
}

int fetch_start(struct fetch_link *link, const struct fetch_request *request, fetch_fn *fn, fetch_progress_fn *progress,
    void *userdata, struct fetch **ret_fetch, struct err *err)
{
    snprintf(played.url, sizeof played.url, "%s", request->url);
    played.fetched++;
    played.progress = progress;
    *ret_fetch = (struct fetch *) &played;
    return asked(fn, userdata);
}

void fetch_cancel(struct fetch *fetch)
{
    played.cancelled += fetch != NULL;
}

int keeper_forge(
    struct keeper_link *link, const char *path, const char *etag, fetch_fn *fn, void *userdata, struct keeper_call **ret_call)
{
    snprintf(played.etag, sizeof played.etag, "%s", etag);
    snprintf(played.api, sizeof played.api, "%s", path);
    *ret_call = (struct keeper_call *) &played;
    return asked(fn, userdata);
}

void keeper_ask_cancel(struct keeper_call *call)
{
    played.cancelled += call != NULL;
}

struct got {
    unsigned times;
    int result;
    char body[32];
    struct err err;
    int64_t pauses[8];
    unsigned paused;
};

static void on_guard(void *userdata)
{
    fail_msg("no answer");
}

static void on_got(int result, const void *data, size_t len, const struct err *err, void *userdata)
{
    struct got *got = userdata;

    got->times++;
    got->result = result;
    if (data)
        snprintf(got->body, sizeof got->body, "%.*s", (int) len, (const char *) data);
    if (err)
        got->err = *err;
    loop_stop(played.loop);
}

static void on_progress(uint64_t done, uint64_t total, int64_t pause_ms, void *userdata)
{
    struct got *got = userdata;

    if (pause_ms && got->paused < ARRAY_LEN(got->pauses))
        got->pauses[got->paused++] = pause_ms;
}

static struct forge *forge_start(void)
{
    const struct forge_config config = { .loop = played.loop, .retry_ms = 2 };
    struct forge *forge = NULL;

    assert_int_equal(forge_new(&config, &forge, NULL), 0);
    return forge;
}

static int setup(void **state)
{
    memset(&played, 0, sizeof played);
    return loop_new(&played.loop, NULL) < 0 || loop_timer_new(played.loop, answer_now, NULL, &played.timer) < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    loop_timer_free(played.timer);
    loop_free(played.loop);
    return 0;
}

static struct got get_by(struct forge *forge, const char *api)
{
    struct got got = { .times = 0 };
    const struct forge_request request = {
        .url = api ? NULL : "https://a.test/x", .api = api, .what = "the thing", .bytes_max = 1000
    };
    struct forge_get *get = NULL;
    struct loop_timer *guard = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(loop_timer_new(played.loop, on_guard, NULL, &guard), 0);
    loop_timer_set(guard, 20000);
    assert_int_equal(forge_get(forge, &request, on_got, on_progress, &got, &get, &err), 0);
    loop_run(played.loop);
    loop_timer_free(guard);
    assert_int_equal(got.times, 1);
    return got;
}

static struct got get(bool by_api)
{
    struct forge *forge = forge_start();
    struct got got = get_by(forge, by_api ? "/repos/a/b/releases/latest" : NULL);

    forge_free(forge);
    return got;
}

/* The answers of this one test, one after the other; the last one for ever. */
static void play(const struct fetch_answer *answers, size_t len)
{
    memset(played.answers, 0, sizeof played.answers);
    memcpy(played.answers, answers, len * sizeof *answers);
    played.at = played.asked = 0;
}

static struct fetch_answer status(uint32_t code, int64_t retry_after_ms)
{
    return (struct fetch_answer){
        .status = code, .etag = "", .retry_after_ms = retry_after_ms, .body = "body", .body_len = 4, .message = ""
    };
}

static struct fetch_answer outcome(enum keeper_http_outcome outcome, const char *message)
{
    return (struct fetch_answer){ .outcome = outcome, .etag = "", .retry_after_ms = -1, .message = message };
}

static void test_what_an_answer_means(void **state)
{
    const struct {
        struct fetch_answer answer;
        int code;
        unsigned asked;
        const char *words;
    } cases[] = {
        { status(200, -1), 0, 1, "" },
        { status(404, -1), ENOENT, 1, "does not exist" },
        { status(410, -1), ENOENT, 1, "does not exist" },
        { status(403, -1), EACCES, 1, "refuses (status 403)" },
        { status(401, -1), EACCES, 1, "refuses (status 401)" },
        { status(201, -1), EACCES, 1, "status 201" },
        { status(0, -1), EACCES, 1, "status 0" },
        { status(403, 0), EAGAIN, 1, "no more requests" },
        { status(403, 720000), EAGAIN, 1, "in 12 minutes" },
        { status(403, 1), EAGAIN, 1, "in 1 minutes" },
        { status(429, 720001), EAGAIN, 1, "in 13 minutes" },
        { status(429, -1), EAGAIN, 4, "no more requests for now" },
        { status(500, -1), EIO, 4, "fault of its own (status 500)" },
        { status(599, -1), EIO, 4, "status 599" },
        { status(503, 3600000), EIO, 1, "status 503" },
        { outcome(KEEPER_HTTP_NETWORK, "no route"), EIO, 4, "no route" },
        { outcome(KEEPER_HTTP_TOO_LARGE, "large"), E2BIG, 1, "larger than 1000 bytes" },
        { outcome(KEEPER_HTTP_REDIRECT_REFUSED, "not https"), EACCES, 1, "not https" },
        { outcome(KEEPER_HTTP_DENIED, "no"), EACCES, 1, "no" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int by_api = 0; by_api < 2; by_api++) {
            play(&cases[i].answer, 1);
            struct got got = get(by_api);

            if (got.result != -cases[i].code || got.err.code != cases[i].code || played.asked != cases[i].asked ||
                !strstr(got.err.message, cases[i].words) || (cases[i].code && !strstr(got.err.message, "the thing")))
                fail_msg("%zu: %d, asked %u times: %s", i, got.result, played.asked, got.err.message);
            assert_string_equal(got.body, cases[i].code ? "" : "body");
        }
    assert_string_equal(played.url, "https://a.test/x");
    assert_string_equal(played.api, "/repos/a/b/releases/latest");
    assert_int_equal(played.cancelled, 0);
}

/* A limit says at which hour it ends. */
static void test_the_end_of_a_limit_is_an_hour(void **state)
{
    const struct fetch_answer limit = status(403, 3 * 3600 * 1000);
    time_t end = (time_t) (clock_unix_ms() / 1000) + 3 * 3600;
    char hour[16], next[16];
    struct tm tm;

    localtime_r(&end, &tm);
    strftime(hour, sizeof hour, "%H:%M", &tm);
    end += 60;
    localtime_r(&end, &tm);
    strftime(next, sizeof next, "%H:%M", &tm);
    play(&limit, 1);
    struct got got = get(true);
    assert_true(strstr(got.err.message, hour) || strstr(got.err.message, next));
    assert_non_null(strstr(got.err.message, "in 180 minutes"));
    assert_non_null(strstr(got.err.hint, "user/github"));
}

static void test_what_passes_is_asked_again(void **state)
{
    const struct fetch_answer answers[] = { status(500, -1), outcome(KEEPER_HTTP_NETWORK, "cut"), status(429, 30),
        status(200, -1) };

    play(answers, ARRAY_LEN(answers));
    struct got got = get(false);
    assert_int_equal(got.result, 0);
    assert_string_equal(got.body, "body");
    assert_int_equal(played.asked, 4);
    /* Twice as long each time, and no shorter than the forge wants. */
    assert_int_equal(got.paused, 3);
    assert_int_equal(got.pauses[0], 2);
    assert_int_equal(got.pauses[1], 4);
    assert_int_equal(got.pauses[2], 30);
}

static void test_what_began_well_may_still_end_badly(void **state)
{
    const struct fetch_answer answers[] = { status(500, -1), status(404, -1) };

    play(answers, ARRAY_LEN(answers));
    struct got got = get(false);
    assert_int_equal(got.result, -ENOENT);
    assert_int_equal(played.asked, 2);
}

/* What the API said with an ETag is asked for by it, and is the answer for as long as nothing has changed. */
static void test_what_has_not_changed_is_not_sent_again(void **state)
{
    struct fetch_answer answer = status(200, -1), same = status(304, -1);
    struct forge *forge = forge_start();
    char api[32];

    answer.etag = "\"one\"";
    same.body_len = 0;
    play(&answer, 1);
    assert_string_equal(get_by(forge, "/a").body, "body");
    assert_string_equal(played.etag, "");
    play(&same, 1);
    assert_string_equal(get_by(forge, "/a").body, "body");
    assert_string_equal(played.etag, "\"one\"");
    /* Nobody asked for that: it is no answer. */
    assert_int_equal(get_by(forge, "/b").result, -EACCES);
    assert_int_equal(get_by(forge, NULL).result, -EACCES);
    /* A new one takes its place; one without an ETag is forgotten. */
    answer.etag = "\"two\"";
    answer.body = "news";
    play(&answer, 1);
    assert_string_equal(get_by(forge, "/a").body, "news");
    answer.etag = "";
    play(&answer, 1);
    get_by(forge, "/a");
    assert_string_equal(played.etag, "\"two\"");
    get_by(forge, "/a");
    assert_string_equal(played.etag, "");
    /* Not more than a few are kept. */
    answer.etag = "\"three\"";
    play(&answer, 1);
    for (int i = 0; i < 40; i++) {
        snprintf(api, sizeof api, "/%d", i);
        get_by(forge, api);
    }
    get_by(forge, "/39");
    assert_string_equal(played.etag, "\"three\"");
    get_by(forge, "/0");
    assert_string_equal(played.etag, "");
    forge_free(forge);
}

static void test_nobody_waits_any_more(void **state)
{
    const struct forge_request request = { .url = "https://a.test/x", .what = "it", .bytes_max = 1 };
    struct forge *forge = forge_start();
    struct got got = { .times = 0 };
    struct forge_get *one = NULL, *other = NULL;

    played.holds = true;
    assert_int_equal(forge_get(forge, &request, on_got, NULL, &got, &one, NULL), 0);
    assert_int_equal(forge_get(forge, &request, on_got, NULL, &got, &other, NULL), 0);
    forge_cancel(one);
    assert_int_equal(played.cancelled, 1);
    forge_cancel(NULL);
    forge_free(forge); /* takes the other one with it */
    assert_int_equal(played.cancelled, 2);
    assert_int_equal(got.times, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_an_answer_means, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_end_of_a_limit_is_an_hour, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_passes_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_began_well_may_still_end_badly, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_has_not_changed_is_not_sent_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nobody_waits_any_more, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
