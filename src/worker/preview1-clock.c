/*
 * Clocks of preview 1, and poll_oneoff, which guests use to sleep. Clock 0 is the
 * wall clock, 1 monotonic; 2 and 3 are processor time, counted from the start of
 * the call, since a worker's own would tell of other calls.
 *
 * Standard streams never block, so a subscription to one is always ready. Without
 * any the host sleeps until the earliest clock, never past the end of the call.
 */
#include "worker/preview1.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "worker/deadline.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define SUBSCRIPTIONS_MAX   1024
#define SUBSCRIPTION_BYTES  48
#define EVENT_BYTES         32
#define CLOCKS              4
#define CLOCK_FLAG_ABSOLUTE 1

enum { EVENT_CLOCK = 0, EVENT_FD_READ = 1, EVENT_FD_WRITE = 2 };

static const clockid_t clock_ids[CLOCKS] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID,
    CLOCK_PROCESS_CPUTIME_ID };

static bool clock_now_ns(const struct call *call, uint32_t id, int64_t *ret_ns)
{
    struct timespec now;

    if (id >= CLOCKS || clock_gettime(clock_ids[id], &now) < 0)
        return false;
    *ret_ns = (int64_t) now.tv_sec * 1000000000 + now.tv_nsec - (id >= 2 ? call->cpu_start_ns : 0);
    return true;
}

int32_t wasi_clock_res_get(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t id = (uint32_t) args[0].i32, ptr = (uint32_t) args[1].i32;
    struct timespec resolution;

    if (id >= CLOCKS || clock_getres(clock_ids[id], &resolution) < 0)
        return WASI_EINVAL;
    if (!call_put_u64(call, ptr, (uint64_t) resolution.tv_sec * 1000000000 + (uint64_t) resolution.tv_nsec))
        return WASI_EFAULT;
    return WASI_SUCCESS;
}

int32_t wasi_clock_time_get(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t id = (uint32_t) args[0].i32, ptr = (uint32_t) args[2].i32;
    int64_t now = 0;

    if (!clock_now_ns(call, id, &now))
        return WASI_EINVAL;
    return call_put_u64(call, ptr, (uint64_t) now) ? WASI_SUCCESS : WASI_EFAULT;
}

struct subscription {
    uint64_t userdata;
    int64_t until_us; /* boot clock, for clocks */
    uint16_t error;
    uint8_t type;
    bool ready;
};

/* The boot time at which a clock subscription is due; -1 when it makes no sense. */
static int64_t clock_due_us(const struct call *call, uint32_t id, uint64_t timeout_ns, bool absolute)
{
    int64_t now_ns = 0, wait_ns = timeout_ns > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t) timeout_ns;

    if (id > 1 || !clock_now_ns(call, id, &now_ns))
        return -1;
    if (absolute)
        wait_ns -= now_ns;
    if (wait_ns <= 0)
        return 0;
    return clock_boot_us() + wait_ns / 1000 + (wait_ns % 1000 != 0);
}

/* False when the bytes are out of range or of an unknown type. */
static bool subscription_read(const struct call *call, uint32_t ptr, struct subscription *sub)
{
    uint32_t what = 0;
    uint64_t timeout = 0;
    uint16_t flags = 0;

    memset(sub, 0, sizeof(*sub));
    if (!call_get_u64(call, ptr, &sub->userdata) || !call_get_u8(call, ptr + 8, &sub->type) ||
        !call_get_u32(call, ptr + 16, &what) || !call_get_u64(call, ptr + 24, &timeout) || !call_get_u16(call, ptr + 40, &flags))
        return false;
    if (sub->type == EVENT_CLOCK) {
        sub->until_us = clock_due_us(call, what, timeout, flags & CLOCK_FLAG_ABSOLUTE);
        sub->error = sub->until_us < 0 ? WASI_ENOTSUP : WASI_SUCCESS;
        sub->ready = sub->until_us <= 0;
    } else if (sub->type == EVENT_FD_READ || sub->type == EVENT_FD_WRITE) {
        bool fits = wasi_fd_is_open(call, what) && (what == 0) == (sub->type == EVENT_FD_READ);

        sub->error = fits ? WASI_SUCCESS : WASI_EBADF;
        sub->ready = true;
    } else {
        return false;
    }
    return true;
}

static uint64_t bytes_ready(const struct call *call, const struct subscription *sub)
{
    if (sub->error)
        return 0;
    if (sub->type == EVENT_FD_READ)
        return call->in_len - call->in_at;
    return sub->type == EVENT_FD_WRITE ? LIMIT_STDOUT_BYTES : 0;
}

/* Sleeps until something is ready. False when the call is over first. */
static bool wait_for_any(struct subscription *subs, uint32_t subs_len)
{
    int64_t first_us = INT64_MAX;

    for (uint32_t i = 0; i < subs_len; i++) {
        if (subs[i].ready)
            first_us = 0;
        else if (subs[i].until_us < first_us)
            first_us = subs[i].until_us;
    }
    if (first_us > 0 && !deadline_sleep_until(first_us))
        return false;
    for (uint32_t i = 0; i < subs_len; i++)
        if (!subs[i].ready && subs[i].until_us <= clock_boot_us())
            subs[i].ready = true;
    return true;
}

static uint32_t events_write(const struct call *call, uint32_t ptr, const struct subscription *subs, uint32_t subs_len)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < subs_len; i++) {
        uint32_t at = ptr + written * EVENT_BYTES;
        uint8_t *event = subs[i].ready ? call_range(call, at, EVENT_BYTES) : NULL;

        if (!event)
            continue;
        memset(event, 0, EVENT_BYTES);
        call_put_u64(call, at, subs[i].userdata);
        event[8] = (uint8_t) subs[i].error;
        event[10] = subs[i].type;
        call_put_u64(call, at + 16, bytes_ready(call, &subs[i]));
        written++;
    }
    return written;
}

int32_t wasi_poll_oneoff(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t in = (uint32_t) args[0].i32, out = (uint32_t) args[1].i32, len = (uint32_t) args[2].i32;
    uint32_t count = (uint32_t) args[3].i32;
    /* Copied before any event is written: the guest may let the two regions overlap. */
    CLEANUP_FREE struct subscription *subs = NULL;

    if (len == 0 || len > SUBSCRIPTIONS_MAX)
        return WASI_EINVAL;
    if (!call_range(call, in, (uint64_t) len * SUBSCRIPTION_BYTES) || !call_range(call, out, (uint64_t) len * EVENT_BYTES) ||
        !call_range(call, count, 4))
        return WASI_EFAULT;
    subs = calloc(len, sizeof(*subs));
    if (!subs)
        return WASI_EIO;
    for (uint32_t i = 0; i < len; i++)
        if (!subscription_read(call, in + i * SUBSCRIPTION_BYTES, &subs[i]))
            return WASI_EINVAL;
    if (!wait_for_any(subs, len)) {
        call->end = CALL_TIMES_OUT;
        return WASI_EIO;
    }
    call_put_u32(call, count, events_write(call, out, subs, len));
    return WASI_SUCCESS;
}
