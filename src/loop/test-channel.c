/*
 * Tests of channels: order, back-pressure, fairness, floods, garbage, and owners that
 * free a channel inside its callbacks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/channel.h"

#include "base/banned.h"

struct end {
    struct channel *channel;
    int received;
    int closed;
    int reason;
    bool free_in_frame;
    bool free_in_close;
    bool pause_in_frame;
    bool echo;
    int refuse;
    struct end *other;
    int other_before; /* what the other end had received at our first frame */
};

static struct loop *loop;

static int setup(void **state)
{
    return loop_new(&loop, NULL);
}

static int teardown(void **state)
{
    loop_free(loop);
    return 0;
}

static void stop(void *userdata)
{
    loop_stop(loop);
}

static void run_for(int64_t ms)
{
    CLEANUP_PTR(loop_timer_free) struct loop_timer *timer = NULL;

    assert_int_equal(loop_timer_new(loop, stop, NULL, &timer), 0);
    loop_timer_set(timer, ms);
    assert_int_equal(loop_run(loop), 0);
}

/* Runs until `*value` is `wanted`, at most five seconds. */
static void run_until(const int *value, int wanted)
{
    for (int i = 0; i < 5000 && *value != wanted; i++)
        run_for(1);
    assert_int_equal(*value, wanted);
}

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct end *end = userdata;
    uint32_t number = wire_get_u32(frame);

    assert_int_equal(number, end->received);
    if (end->received++ == 0 && end->other)
        end->other_before = end->other->received;
    if (end->pause_in_frame)
        channel_pause(channel, true);
    if (end->echo) {
        struct wire_frame answer;

        wire_init(&answer, 2, frame->id);
        wire_put_u32(&answer, number);
        assert_int_equal(channel_send(channel, &answer), 0);
    }
    if (end->free_in_frame)
        channel_free(TAKE_PTR(end->channel));
    return end->refuse;
}

static void on_close(struct channel *channel, int reason, void *userdata)
{
    struct end *end = userdata;

    end->closed++;
    end->reason = reason;
    if (end->free_in_close)
        channel_free(TAKE_PTR(end->channel));
}

/* A channel for `end`; gives the other socket. */
static int open_end(struct end *end)
{
    int sockets[2];

    assert_int_equal(wire_pair(sockets), 0);
    assert_int_equal(channel_new(loop, sockets[0], on_frame, on_close, end, &end->channel), 0);
    return sockets[1];
}

static void send_number(int socket, uint32_t number, size_t padding)
{
    CLEANUP(wire_free) struct wire_frame frame;
    static char zeros[60000];

    wire_init(&frame, 1, number);
    wire_put_u32(&frame, number);
    if (padding)
        wire_put_bytes(&frame, zeros, padding);
    assert_int_equal(wire_send(socket, &frame), 0);
}

static int queue_number(struct channel *channel, uint32_t number, size_t padding)
{
    struct wire_frame frame;
    static char zeros[60000];
    int r;

    wire_init(&frame, 1, number);
    wire_put_u32(&frame, number);
    wire_put_bytes(&frame, zeros, padding);
    r = channel_send(channel, &frame);
    assert_null(frame.body.data);
    return r;
}

static void test_both_ways(void **state)
{
    struct end a = { .echo = true }, b = { 0 };
    int sockets[2];

    assert_int_equal(wire_pair(sockets), 0);
    assert_int_equal(channel_new(loop, sockets[0], on_frame, on_close, &a, &a.channel), 0);
    assert_int_equal(channel_new(loop, sockets[1], on_frame, on_close, &b, &b.channel), 0);
    for (uint32_t i = 0; i < 500; i++)
        assert_int_equal(queue_number(b.channel, i, 10), 0);
    run_until(&b.received, 500);
    assert_int_equal(a.received, 500);
    channel_free(a.channel);
    run_until(&b.closed, 1);
    assert_int_equal(b.reason, 0);
    assert_int_equal(queue_number(b.channel, 0, 0), -EPIPE);
    channel_free(b.channel);
}

/* What does not fit into the socket waits, in order, and goes out when the peer reads. */
static void test_queue(void **state)
{
    struct end a = { 0 };
    int peer = open_end(&a);
    struct wire_frame frame;

    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(queue_number(a.channel, i, 50000), 0);
    assert_true(channel_queued(a.channel) > 80);
    for (uint32_t i = 0; i < 100; i++) {
        run_for(1);
        assert_int_equal(wire_recv(peer, &frame), 1);
        assert_int_equal(wire_get_u32(&frame), i);
        wire_free(&frame);
    }
    run_for(1);
    assert_int_equal(channel_queued(a.channel), 0);
    assert_int_equal(a.closed, 0);
    channel_free(a.channel);
    close(peer);
}

static void flood(size_t padding, uint32_t at_most)
{
    struct end a = { .free_in_close = true };
    int peer = open_end(&a), r = 0;
    uint32_t sent = 0;

    while (sent <= at_most && (r = queue_number(a.channel, sent, padding)) == 0)
        sent++;
    assert_int_equal(r, -ENOBUFS);
    assert_int_equal(a.closed, 0);
    assert_int_equal(channel_queued(a.channel), 0);
    assert_int_equal(queue_number(a.channel, 0, 0), -EPIPE);
    run_until(&a.closed, 1);
    assert_int_equal(a.reason, -ENOBUFS);
    assert_null(a.channel);
    close(peer);
}

static void test_flood(void **state)
{
    flood(0, LIMIT_CHANNEL_QUEUE + 2000);
    flood(60000, 400);
}

static void test_pause(void **state)
{
    struct end a = { .pause_in_frame = true };
    int peer = open_end(&a);

    for (uint32_t i = 0; i < 3; i++)
        send_number(peer, i, 0);
    run_until(&a.received, 1);
    run_for(5);
    assert_int_equal(a.received, 1);
    channel_pause(a.channel, false);
    run_until(&a.received, 2);
    a.pause_in_frame = false;
    close(peer);
    channel_pause(a.channel, false);
    run_until(&a.closed, 1);
    assert_int_equal(a.received, 3);
    assert_int_equal(a.reason, 0);
    channel_free(a.channel);
}

/* A peer with many frames waiting must let another one in between. */
static void test_fair(void **state)
{
    struct end a = { 0 }, b = { .other = &a };
    int peer_a = open_end(&a), peer_b = open_end(&b);

    for (uint32_t i = 0; i < 200; i++)
        send_number(peer_a, i, 0);
    send_number(peer_b, 0, 0);
    run_until(&a.received, 200);
    run_until(&b.received, 1);
    assert_in_range(b.other_before, 0, 32);
    channel_free(a.channel);
    channel_free(b.channel);
    close(peer_a);
    close(peer_b);
}

static void test_garbage(void **state)
{
    struct end a = { .free_in_close = true };
    int peer = open_end(&a);

    send_number(peer, 0, 0);
    assert_int_equal(send(peer, "garbage", 7, 0), 7);
    send_number(peer, 1, 0);
    run_until(&a.closed, 1);
    assert_int_equal(a.received, 1);
    assert_int_equal(a.reason, -EPROTO);
    assert_null(a.channel);
    close(peer);
}

static void test_refused(void **state)
{
    struct end a = { .refuse = -EPROTO };
    int peer = open_end(&a);

    send_number(peer, 0, 0);
    send_number(peer, 1, 0);
    run_until(&a.closed, 1);
    assert_int_equal(a.received, 1);
    assert_int_equal(a.reason, -EPROTO);
    channel_free(a.channel);
    close(peer);
}

static void test_freed_inside(void **state)
{
    struct end a = { .free_in_frame = true, .refuse = -EIO };
    int peer = open_end(&a);

    send_number(peer, 0, 0);
    send_number(peer, 1, 0);
    run_for(5);
    assert_int_equal(a.received, 1);
    assert_int_equal(a.closed, 0);
    assert_null(a.channel);
    close(peer);
}

/* What a peer sent before it closed is read even after a write to it failed. */
static void test_last_words(void **state)
{
    struct end a = { 0 };
    int peer = open_end(&a);

    send_number(peer, 0, 0);
    close(peer);
    assert_int_equal(queue_number(a.channel, 0, 0), -EPIPE);
    assert_int_equal(queue_number(a.channel, 0, 0), -EPIPE);
    run_until(&a.closed, 1);
    assert_int_equal(a.received, 1);
    channel_free(a.channel);
}

static void test_bad_frame(void **state)
{
    struct end a = { 0 };
    int peer = open_end(&a);
    struct wire_frame frame;

    wire_init(&frame, 1, 1);
    frame.bad = true;
    assert_int_equal(channel_send(a.channel, &frame), -EMSGSIZE);
    assert_int_equal(queue_number(a.channel, 0, 0), 0);
    channel_free(a.channel);
    close(peer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(test_both_ways), TEST(test_queue), TEST(test_flood), TEST(test_pause),
        TEST(test_fair), TEST(test_garbage), TEST(test_refused), TEST(test_freed_inside), TEST(test_last_words),
        TEST(test_bad_frame) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
