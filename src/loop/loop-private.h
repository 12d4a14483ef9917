/* What the parts of src/loop share among themselves. */
#ifndef LOOP_LOOP_PRIVATE_H
#define LOOP_LOOP_PRIVATE_H

#include "loop/loop.h"

#include <event2/event.h>
#include <stddef.h>

/* Timers in a binary heap, earliest first, on one timerfd. */
struct timers {
    struct loop_timer **heap;
    size_t len;
    size_t cap;
    size_t born; /* timers that exist, idle ones too */
    uint64_t next_order;
    int64_t armed_us; /* what the timerfd is set to; 0 = off */
    int fd;
    struct loop_watch *watch;
};

struct deferred {
    struct deferred *next;
    loop_timer_fn *fn;
    void *userdata;
};

struct loop_signal_slot {
    struct event *event;
    loop_signal_fn *fn;
    void *userdata;
};

#define LOOP_SIGNALS 65

struct loop {
    uint32_t magic;
    struct event_base *base;
    struct timers timers;
    struct event *defer_event;
    struct deferred *deferred;
    struct deferred **deferred_end;
    struct loop_signal_slot signals[LOOP_SIGNALS];
};

#define LOOP_MAGIC 0x6c6f6f70u

int timers_init(struct loop *loop);
void timers_free(struct loop *loop);

#endif
