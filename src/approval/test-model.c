/*
 * A model check of queue and approval: two callers of the same, two deciders who decide about what they last saw, and a
 * world that changes, crashes and forgets to answer. Every order of events is tried, state by state; what must never
 * happen is asserted after each event. Prints how many states there are.
 */
#include "approval/queue.h"

#include <search.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DEPTH      40
#define STATES_MAX 200000
#define KEY_MAX    96
#define HOUR       3600000

enum event {
    ASK_A,
    ASK_B,
    LOOK_1,
    YES_1,
    LOOK_2,
    NO_2,
    START,
    END_WELL,
    END_UNKNOWN,
    COLLECT,
    CHANGE,
    EXPIRE,
    CRASH,
    RESOLVE,
    EVENTS
};

struct path {
    uint8_t events[DEPTH];
    uint8_t len;
};

struct world {
    struct queue *queue;
    struct approval *now; /* the newest record; what everybody talks about */
    int64_t time;
    unsigned truth;              /* which of two things would run: its seal */
    int seen[2];                 /* what each decider saw: seal, or -1 */
    int approved;                /* the seal that a person said yes to; -1 = none since the last start */
    unsigned effects, collected; /* effects begun; effects whose end was collected */
    unsigned records;
};

static const char *const seals[] = { "sha256:first", "sha256:other" };
static const struct queue_limits limits = { 100, 100, HOUR, HOUR, 100 };

static void ask(struct world *world)
{
    const struct queue_request request = {
        .session_id = "ses_a", .seal = seals[world->truth], .same = "same", .card = json_object()
    };
    struct approval *approval = NULL;
    int r = queue_request(world->queue, &request, world->time, &approval);

    assert_true(r == QUEUE_NEW || r == QUEUE_SAME);
    /* A second effect of the same needs that the end of the first was collected. */
    if (r == QUEUE_NEW) {
        assert_int_equal(world->effects, world->collected);
        world->records++;
    }
    world->now = approval;
}

static int seal_index(const struct approval *approval)
{
    return !strcmp(approval->seal, seals[1]);
}

static void decide(struct world *world, unsigned who, bool yes)
{
    struct approval *approval = world->now;
    enum approval_state before = approval->state;
    int r =
        world->seen[who] < 0 ? APPROVAL_OTHER_SEAL : approval_decide(approval, yes, seals[world->seen[who]], NULL, world->time);

    if (r == 0) {
        assert_int_equal(before, APPROVAL_PENDING);
        world->approved = yes ? world->seen[who] : -1;
    }
}

/* The daemon is about to run it: looks at the world again, and runs only what was approved. */
static void start(struct world *world)
{
    struct approval *approval = world->now;

    if (approval->state == APPROVAL_APPROVED && seal_index(approval) != (int) world->truth) {
        assert_int_equal(
            approval_ask_again(approval, seals[world->truth], json_object(), json_array(), world->time + HOUR, world->time), 0);
        world->approved = -1;
    } else if (approval_start(approval, world->time) == 0) {
        /* What runs is what somebody saw and said yes to; once. */
        assert_int_equal(world->approved, (int) world->truth);
        world->approved = -1;
        world->effects++;
    }
}

static void collect(struct world *world)
{
    struct approval *approval = world->now;
    bool ran = approval->state == APPROVAL_COMPLETED || approval->state == APPROVAL_UNKNOWN;
    bool first = !approval->collected_unix_ms;

    if (approval_collect(approval, world->time) == 0 && ran && first)
        world->collected++;
}

static void crash(struct world *world)
{
    approval_recover(world->now, world->time);
    world->approved = -1;
    world->seen[0] = world->seen[1] = -1;
}

static void apply(struct world *world, enum event event)
{
    world->time++;
    if (event == ASK_A || event == ASK_B)
        ask(world);
    else if (event == CHANGE)
        world->truth = !world->truth;
    if (!world->now)
        return;
    switch (event) {
    case LOOK_1:
    case LOOK_2:
        world->seen[event == LOOK_2] = seal_index(world->now);
        break;
    case YES_1:
        decide(world, 0, true);
        break;
    case NO_2:
        decide(world, 1, false);
        break;
    case START:
        start(world);
        break;
    case END_WELL:
        approval_finish(world->now, APPROVAL_COMPLETED, json_object(), world->time);
        break;
    case END_UNKNOWN:
        approval_finish(world->now, APPROVAL_UNKNOWN, json_object(), world->time);
        break;
    case COLLECT:
        collect(world);
        break;
    case EXPIRE:
        approval_expire(world->now, world->now->expires_unix_ms);
        break;
    case CRASH:
        crash(world);
        break;
    case RESOLVE:
        approval_resolve(world->now, world->time);
        break;
    default:
        break;
    }
    queue_changed(world->queue, world->now);
}

/* What must hold whatever happened. */
static void check(const struct world *world, enum approval_state before)
{
    enum approval_state state = world->now ? world->now->state : APPROVAL_PENDING;
    static const bool final[APPROVAL_STATES] = { [APPROVAL_COMPLETED] = true,
        [APPROVAL_FAILED] = true,
        [APPROVAL_UNKNOWN] = true,
        [APPROVAL_DENIED] = true,
        [APPROVAL_EXPIRED] = true,
        [APPROVAL_CANCELLED] = true };

    assert_true(world->effects - world->collected <= 1);
    assert_int_equal(queue_pending(world->queue), world->now && state == APPROVAL_PENDING);
    assert_true(!final[before] || state == before);
    assert_true(state != APPROVAL_APPROVED || world->approved >= 0);
}

static void key_make(const struct world *world, char key[KEY_MAX])
{
    const struct approval *now = world->now;

    snprintf(key, KEY_MAX, "%d %d %u %d %d %d %u %d %d %u", now ? (int) now->state : -1, now ? seal_index(now) : -1, world->truth,
        world->seen[0], world->seen[1], world->approved, world->effects - world->collected, now ? now->collected_unix_ms != 0 : 0,
        now ? now->resolved_unix_ms != 0 : 0, world->records < 2 ? world->records : 2);
}

/* Replays a path and one more event from nothing; every check on the way. */
static void replay(const struct path *path, enum event event, char key[KEY_MAX])
{
    struct world world = { .time = 1000, .seen = { -1, -1 }, .approved = -1 };

    assert_int_equal(queue_new(&limits, &world.queue), 0);
    for (unsigned i = 0; i <= path->len; i++) {
        const struct approval *about = world.now;
        enum approval_state before = about ? about->state : APPROVAL_PENDING;

        apply(&world, i < path->len ? path->events[i] : event);
        check(&world, world.now == about ? before : APPROVAL_PENDING);
    }
    key_make(&world, key);
    queue_free(world.queue);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void test_all_orders(void **state)
{
    struct path *paths = calloc(STATES_MAX, sizeof *paths);
    void *known = NULL;
    size_t len = 1, deepest = 0;

    assert_non_null(paths);
    for (size_t at = 0; at < len; at++)
        for (unsigned event = 0; event < EVENTS && paths[at].len < DEPTH; event++) {
            char key[KEY_MAX], *copy = NULL;

            replay(&paths[at], (enum event) event, key);
            if (tfind(key, &known, compare_keys))
                continue;
            copy = strdup(key);
            assert_non_null(copy);
            assert_non_null(tsearch(copy, &known, compare_keys));
            assert_true(len < STATES_MAX);
            paths[len] = paths[at];
            paths[len].events[paths[len].len++] = (uint8_t) event;
            deepest = paths[len].len;
            len++;
        }
    print_message("%zu states, the farthest %zu events away, %d events tried in each\n", len, deepest, EVENTS);
    /* Everything was reached before the depth ended it, and it is not a handful. */
    assert_true(deepest < DEPTH && len > 200);
    tdestroy(known, free);
    free(paths);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_all_orders) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
