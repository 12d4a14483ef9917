/*
 * The wall time of the running call. A timer on CLOCK_BOOTTIME raises SIGALRM,
 * whose handler moves the engine's epoch on, which stops the guest at its next
 * loop head or function entry; after the first time it fires again every few
 * milliseconds, so that no race can lose it. Waits of the host are bounded by
 * deadline_left_us(). One call at a time, one process: the state is static.
 */
#ifndef WORKER_DEADLINE_H
#define WORKER_DEADLINE_H

#include "base/err.h"
#include "worker/engine.h"

#include <stdbool.h>
#include <stdint.h>

/* Installs the handler and makes the timer. `engine` stays borrowed. */
int deadline_init(wasm_engine_t *engine, struct err *err);
void deadline_start(uint32_t wall_ms);
void deadline_stop(void);
bool deadline_passed(void);
/* Microseconds until the call is over, 0 when it is. */
int64_t deadline_left_us(void);
/*
 * Sleeps until the boot clock shows `until_us` or the call is over. True when the time was reached.
 */
bool deadline_sleep_until(int64_t until_us);

#endif
