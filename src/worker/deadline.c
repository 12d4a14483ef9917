/*
 * The timer behind deadline.h. The signal runs on the alternative stack that the
 * engine installs for its own traps; the handler touches nothing but the epoch.
 */
#include "worker/deadline.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/banned.h"

#define REPEAT_NS (5 * 1000 * 1000)

static wasm_engine_t *timed_engine;
static timer_t timer;
static int64_t end_us;

static void on_alarm(int signal_number)
{
    wasmtime_engine_increment_epoch(timed_engine);
}

int deadline_init(wasm_engine_t *engine, struct err *err)
{
    struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART | SA_ONSTACK };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };

    timed_engine = engine;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGALRM, &action, NULL) < 0)
        return err_errno(err, errno, "cannot handle the alarm signal");
    if (timer_create(CLOCK_BOOTTIME, &event, &timer) < 0)
        return err_errno(err, errno, "cannot make the timer of the wall time");
    return 0;
}

void deadline_start(uint32_t wall_ms)
{
    struct itimerspec spec = { .it_interval = { 0, REPEAT_NS },
        .it_value = { (time_t) (wall_ms / 1000), (long) (wall_ms % 1000) * 1000000 } };

    if (wall_ms == 0)
        spec.it_value.tv_nsec = 1;
    end_us = clock_boot_us() + (int64_t) wall_ms * 1000;
    timer_settime(timer, 0, &spec, NULL);
}

void deadline_stop(void)
{
    struct itimerspec off = { 0 };

    timer_settime(timer, 0, &off, NULL);
}

bool deadline_passed(void)
{
    return deadline_left_us() == 0;
}

int64_t deadline_left_us(void)
{
    int64_t left = end_us - clock_boot_us();

    return left > 0 ? left : 0;
}

bool deadline_sleep_until(int64_t until_us)
{
    for (;;) {
        int64_t now = clock_boot_us();
        int64_t left = until_us - now;
        int64_t most = deadline_left_us();
        struct timespec wait;

        if (left <= 0)
            return true;
        if (most == 0)
            return false;
        if (left > most)
            left = most;
        wait.tv_sec = (time_t) (left / 1000000);
        wait.tv_nsec = (long) (left % 1000000) * 1000;
        /* Interrupted or not: the clock decides. */
        clock_nanosleep(CLOCK_BOOTTIME, 0, &wait, NULL);
    }
}
