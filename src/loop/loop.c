/*
 * The loop: libevent's base with our own objects around its events. Each callback
 * may free the object that it was called for, or any other; nothing is touched after
 * a callback returned. Deferred calls run from a zero time-out, which libevent
 * serves once a turn, so that a call which defers itself cannot starve descriptors.
 */
#include "loop/loop-private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/magic.h"

#include "base/banned.h"

#define WATCH_MAGIC 0x77617463u

struct loop_watch {
    uint32_t magic;
    struct loop *loop;
    struct event *event;
    int fd;
    int events;
    loop_watch_fn *fn;
    void *userdata;
};

static void on_defer(evutil_socket_t fd, short what, void *userdata)
{
    struct loop *loop = MAGIC_CAST(struct loop, userdata, LOOP_MAGIC);
    struct deferred *list = loop->deferred;

    loop->deferred = NULL;
    loop->deferred_end = &loop->deferred;
    while (list) {
        struct deferred *next = list->next;

        list->fn(list->userdata);
        free(list);
        list = next;
    }
}

int loop_defer(struct loop *loop, loop_timer_fn *fn, void *userdata)
{
    static const struct timeval now = { 0, 0 };
    struct deferred *call = malloc(sizeof *call);

    if (!call)
        return -ENOMEM;
    *call = (struct deferred){ NULL, fn, userdata };
    if (!loop->deferred && event_add(loop->defer_event, &now) < 0) {
        free(call);
        return -ENOMEM;
    }
    *loop->deferred_end = call;
    loop->deferred_end = &call->next;
    return 0;
}

int loop_new(struct loop **ret_loop, struct err *err)
{
    CLEANUP_PTR(loop_free) struct loop *loop = calloc(1, sizeof *loop);
    struct event_config *config;
    int r;

    if (!loop)
        return err_set(err, ENOMEM, "out of memory");
    loop->magic = LOOP_MAGIC;
    loop->timers.fd = -1;
    loop->deferred_end = &loop->deferred;
    config = event_config_new();
    if (config) {
        /* The environment must not choose how we wait; one thread needs no locks. */
        event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV | EVENT_BASE_FLAG_NOLOCK);
        loop->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    if (loop->base)
        loop->defer_event = event_new(loop->base, -1, 0, on_defer, loop);
    if (!loop->defer_event)
        return err_set(err, ENOMEM, "cannot make an event loop");
    r = timers_init(loop);
    if (r < 0)
        return err_errno(err, -r, "cannot make a timer");
    *ret_loop = TAKE_PTR(loop);
    return 0;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    timers_free(loop);
    for (size_t i = 0; i < LOOP_SIGNALS; i++)
        if (loop->signals[i].event)
            event_free(loop->signals[i].event);
    while (loop->deferred) {
        struct deferred *next = loop->deferred->next;

        free(loop->deferred);
        loop->deferred = next;
    }
    if (loop->defer_event)
        event_free(loop->defer_event);
    if (loop->base)
        event_base_free(loop->base);
    loop->magic = 0;
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

int loop_run(struct loop *loop)
{
    return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? -EIO : 0;
}

void loop_stop(struct loop *loop)
{
    event_base_loopbreak(loop->base);
}

static void on_watch(evutil_socket_t fd, short what, void *userdata)
{
    struct loop_watch *watch = MAGIC_CAST(struct loop_watch, userdata, WATCH_MAGIC);
    int events = (what & EV_READ ? LOOP_READ : 0) | (what & EV_WRITE ? LOOP_WRITE : 0);

    watch->fn(fd, events, watch->userdata);
}

static short event_flags(int events)
{
    return (short) ((events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0) | EV_PERSIST);
}

int loop_watch_new(struct loop *loop, int fd, int events, loop_watch_fn *fn, void *userdata, struct loop_watch **ret_watch)
{
    CLEANUP_PTR(loop_watch_free) struct loop_watch *watch = calloc(1, sizeof *watch);

    if (!watch)
        return -ENOMEM;
    *watch = (struct loop_watch){ WATCH_MAGIC, loop, NULL, fd, events, fn, userdata };
    watch->event = event_new(loop->base, fd, event_flags(events), on_watch, watch);
    if (!watch->event)
        return -ENOMEM;
    if (events && event_add(watch->event, NULL) < 0)
        return -EINVAL;
    *ret_watch = TAKE_PTR(watch);
    return 0;
}

void loop_watch_set(struct loop_watch *watch, int events)
{
    if (watch->events == events)
        return;
    watch->events = events;
    event_del(watch->event);
    event_assign(watch->event, watch->loop->base, watch->fd, event_flags(events), on_watch, watch);
    /* Fails only without memory for a descriptor that was watched before: there is nothing sane to go on with. */
    if (events && event_add(watch->event, NULL) < 0)
        abort();
}

void loop_watch_free(struct loop_watch *watch)
{
    if (!watch)
        return;
    if (watch->event)
        event_free(watch->event);
    watch->magic = 0;
    free(watch);
}

static void on_signal(evutil_socket_t number, short what, void *userdata)
{
    struct loop *loop = MAGIC_CAST(struct loop, userdata, LOOP_MAGIC);
    struct loop_signal_slot *slot = &loop->signals[number];

    slot->fn(number, slot->userdata);
}

int loop_signal(struct loop *loop, int signal, loop_signal_fn *fn, void *userdata)
{
    struct loop_signal_slot *slot;

    if (signal < 1 || signal >= LOOP_SIGNALS)
        return -EINVAL;
    slot = &loop->signals[signal];
    if (slot->event)
        return -EBUSY;
    slot->event = evsignal_new(loop->base, signal, on_signal, loop);
    if (!slot->event)
        return -ENOMEM;
    slot->fn = fn;
    slot->userdata = userdata;
    if (event_add(slot->event, NULL) == 0)
        return 0;
    event_free(slot->event);
    slot->event = NULL;
    return -EINVAL;
}
