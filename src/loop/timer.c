/*
 * Timers: a binary heap ordered by deadline and, for equal ones, by order of
 * setting, in front of one timerfd on CLOCK_BOOTTIME. The timerfd is set only when a
 * timer earlier than what it is set to comes in; a stopped timer may so cost one
 * needless wake-up, never a second. Timers set while timers run wait for the next turn.
 */
#include "loop/loop-private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/magic.h"

#include "base/banned.h"

#define TIMER_MAGIC  0x74696d65u
#define IDLE         SIZE_MAX
#define MAX_DELAY_MS (INT64_C(1000) * 86400000)

struct loop_timer {
    uint32_t magic;
    struct loop *loop;
    loop_timer_fn *fn;
    void *userdata;
    int64_t deadline_us;
    uint64_t order;
    size_t at; /* place in the heap, or IDLE */
};

static bool before(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->deadline_us != b->deadline_us ? a->deadline_us < b->deadline_us : a->order < b->order;
}

static void place(struct timers *timers, struct loop_timer *timer, size_t at)
{
    timers->heap[at] = timer;
    timer->at = at;
}

static void sift_up(struct timers *timers, struct loop_timer *timer, size_t at)
{
    while (at > 0 && before(timer, timers->heap[(at - 1) / 2])) {
        place(timers, timers->heap[(at - 1) / 2], at);
        at = (at - 1) / 2;
    }
    place(timers, timer, at);
}

static void sift_down(struct timers *timers, struct loop_timer *timer, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < timers->len && before(timers->heap[child + 1], timers->heap[child]))
            child++;
        if (child >= timers->len || !before(timers->heap[child], timer))
            break;
        place(timers, timers->heap[child], at);
        at = child;
    }
    place(timers, timer, at);
}

static void heap_remove(struct timers *timers, struct loop_timer *timer)
{
    size_t at = timer->at;
    struct loop_timer *last = timers->heap[--timers->len];

    timer->at = IDLE;
    if (last == timer)
        return;
    if (before(last, timer))
        sift_up(timers, last, at);
    else
        sift_down(timers, last, at);
}

/* Sets the timerfd for the earliest timer, or off. */
static void arm(struct timers *timers)
{
    int64_t deadline = timers->len ? timers->heap[0]->deadline_us : 0;
    struct itimerspec spec = { { 0, 0 }, { deadline / 1000000, deadline % 1000000 * 1000 } };

    if (timerfd_settime(timers->fd, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
        abort();
    timers->armed_us = deadline;
}

static void on_timer_fd(int fd, int events, void *userdata)
{
    struct loop *loop = MAGIC_CAST(struct loop, userdata, LOOP_MAGIC);
    struct timers *timers = &loop->timers;
    uint64_t ignored, turn = timers->next_order;
    int64_t now_us;

    if (read(fd, &ignored, sizeof ignored) < 0 && errno == EAGAIN)
        return;
    timers->armed_us = 0;
    now_us = clock_boot_us();
    while (timers->len && timers->heap[0]->deadline_us <= now_us && timers->heap[0]->order < turn) {
        struct loop_timer *timer = timers->heap[0];

        heap_remove(timers, timer);
        timer->fn(timer->userdata);
    }
    arm(timers);
}

int timers_init(struct loop *loop)
{
    loop->timers.fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (loop->timers.fd < 0)
        return -errno;
    return loop_watch_new(loop, loop->timers.fd, LOOP_READ, on_timer_fd, loop, &loop->timers.watch);
}

void timers_free(struct loop *loop)
{
    loop_watch_free(loop->timers.watch);
    if (loop->timers.fd >= 0)
        close(loop->timers.fd);
    free(loop->timers.heap);
}

/* Room for every timer that exists is made when it is born, so that setting one cannot fail. */
static int make_room(struct timers *timers)
{
    size_t cap = timers->cap ? timers->cap * 2 : 64;
    struct loop_timer **heap;

    if (timers->born < timers->cap)
        return 0;
    heap = reallocarray(timers->heap, cap, sizeof *heap);
    if (!heap)
        return -ENOMEM;
    timers->heap = heap;
    timers->cap = cap;
    return 0;
}

int loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *userdata, struct loop_timer **ret_timer)
{
    struct loop_timer *timer;

    if (make_room(&loop->timers) < 0)
        return -ENOMEM;
    timer = calloc(1, sizeof *timer);
    if (!timer)
        return -ENOMEM;
    *timer = (struct loop_timer){ TIMER_MAGIC, loop, fn, userdata, 0, 0, IDLE };
    loop->timers.born++;
    *ret_timer = timer;
    return 0;
}

void loop_timer_set(struct loop_timer *timer, int64_t delay_ms)
{
    struct timers *timers = &timer->loop->timers;

    if (delay_ms < 0)
        delay_ms = 0;
    if (delay_ms > MAX_DELAY_MS)
        delay_ms = MAX_DELAY_MS;
    loop_timer_stop(timer);
    timer->deadline_us = clock_boot_us() + delay_ms * 1000;
    timer->order = timers->next_order++;
    sift_up(timers, timer, timers->len++);
    if (timers->armed_us == 0 || timer->deadline_us < timers->armed_us)
        arm(timers);
}

void loop_timer_stop(struct loop_timer *timer)
{
    if (timer->at != IDLE)
        heap_remove(&timer->loop->timers, timer);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (!timer)
        return;
    if (timer->magic != TIMER_MAGIC)
        abort();
    loop_timer_stop(timer);
    timer->loop->timers.born--;
    timer->magic = 0;
    free(timer);
}
