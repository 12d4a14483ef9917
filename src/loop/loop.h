/*
 * One thread, one event loop: timers, descriptors, signals and child processes
 * on top of libevent. Timers run on CLOCK_BOOTTIME through a timerfd, so they
 * count while the machine sleeps; there is no periodic wake-up.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/proc.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct loop;
struct loop_timer;
struct loop_watch;
struct loop_child;

int loop_new(struct loop **ret_loop, struct err *err);
void loop_free(struct loop *loop);
DEFINE_CLEANUP_PTR(struct loop, loop_free)
/* For evhttp and curl, which want libevent itself. */
struct event_base *loop_base(struct loop *loop);
/* Runs until loop_stop(). */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* One-shot timers. `ret_timer` is owned by the caller; a new one is idle. */
typedef void loop_timer_fn(void *userdata);
int loop_timer_new(struct loop *loop, loop_timer_fn *fn, void *userdata, struct loop_timer **ret_timer);
/* Fires once after `delay_ms` (0: at the next turn). Setting again replaces. */
void loop_timer_set(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);
DEFINE_CLEANUP_PTR(struct loop_timer, loop_timer_free)
/* Runs `fn` once at the next turn of the loop, after the current callback returned. */
int loop_defer(struct loop *loop, loop_timer_fn *fn, void *userdata);

/* Readiness of a descriptor, which stays owned by the caller. */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
typedef void loop_watch_fn(int fd, int events, void *userdata);
int loop_watch_new(struct loop *loop, int fd, int events, loop_watch_fn *fn, void *userdata, struct loop_watch **ret_watch);
void loop_watch_set(struct loop_watch *watch, int events);
void loop_watch_free(struct loop_watch *watch);
DEFINE_CLEANUP_PTR(struct loop_watch, loop_watch_free)

/* Signals through the loop (signalfd or libevent); at most one handler a signal. */
typedef void loop_signal_fn(int signal, void *userdata);
int loop_signal(struct loop *loop, int signal, loop_signal_fn *fn, void *userdata);

/*
 * A child program, watched through its pidfd. `fn` runs once, after the child
 * was reaped, with its wait status; the object is still owned by the caller.
 */
typedef void loop_child_fn(struct loop_child *child, int wait_status, void *userdata);
int loop_child_start(struct loop *loop, const struct proc_spec *spec, loop_child_fn *fn, void *userdata,
    struct loop_child **ret_child, struct err *err);
pid_t loop_child_pid(const struct loop_child *child);
/* Sends a signal if it still runs. */
void loop_child_kill(struct loop_child *child, int signal);
/* Kills (SIGKILL) and reaps if it still runs; `fn` is not called. */
void loop_child_free(struct loop_child *child);
DEFINE_CLEANUP_PTR(struct loop_child, loop_child_free)

#endif
