/*
 * Runs one call. The order matters: limits and epoch deadline are set before
 * anything of the guest runs, which instantiation already may (start function);
 * the timer is off before the call returns, so that no signal of this call reaches the next.
 */
#include "worker/call.h"

#include "base/clock.h"
#include "worker/deadline.h"
#include "worker/module.h"

#include <errno.h>
#include <stdio.h>

#include "base/banned.h"

/* The pool's tables are this long; a call gets no less. */
#define CALL_TABLE_ELEMENTS 200000

/* Whose fault a guest's failure is: its own, or the memory that it was refused. */
static enum worker_outcome failure(bool refused, enum worker_outcome own)
{
    return refused ? WORKER_OUT_OF_MEMORY : own;
}

static void classify_trap(wasmtime_trap_code_t code, bool refused, struct call_result *result)
{
    snprintf(result->trap, sizeof(result->trap), "%s", engine_trap_name(code));
    if (code == WASMTIME_TRAP_CODE_INTERRUPT)
        result->outcome = WORKER_TIMED_OUT;
    else if (code == WASMTIME_TRAP_CODE_STACK_OVERFLOW)
        result->outcome = WORKER_STACK_OVERFLOW;
    else
        result->outcome = failure(refused, WORKER_TRAPPED);
}

/* Exactly one of `error`, `trap` or neither is set. */
static void classify(
    const struct call *call, const wasmtime_error_t *error, const wasm_trap_t *trap, bool refused, struct call_result *result)
{
    wasmtime_trap_code_t code = 0;

    switch (call->end) {
    case CALL_EXITS:
        result->exit_code = call->exit_code;
        result->outcome = call->exit_code ? failure(refused, WORKER_EXITED) : WORKER_EXITED;
        return;
    case CALL_TIMES_OUT:
    case CALL_IS_ALONE:
        result->outcome = WORKER_TIMED_OUT;
        return;
    case CALL_TALKS_TOO_MUCH:
        result->outcome = WORKER_STDOUT_TOO_LONG;
        return;
    case CALL_GOES_ON:
        break;
    }
    if (trap && wasmtime_trap_code(trap, &code)) {
        classify_trap(code, refused, result);
    } else if (trap || error) {
        result->outcome = failure(refused, WORKER_TRAPPED);
        snprintf(
            result->trap, sizeof(result->trap), "%s", refused ? "not enough memory to start" : "the module could not be started");
    } else {
        result->outcome = WORKER_EXITED;
    }
}

/* Instantiates and calls `_start`; what went wrong is in `*error` or `*trap`. */
static void run_guest(wasmtime_context_t *context, const struct module *module, wasmtime_instance_t *instance, bool *ret_lives,
    wasmtime_error_t **error, wasm_trap_t **trap)
{
    wasmtime_extern_t start;

    *error = wasmtime_instance_pre_instantiate(module->pre, context, instance, trap);
    if (*error || *trap)
        return;
    *ret_lives = true;
    /* The module was checked to have it when it was loaded. */
    if (wasmtime_instance_export_get(context, instance, "_start", 6, &start) && start.kind == WASMTIME_EXTERN_FUNC)
        *error = wasmtime_func_call(context, &start.of.func, NULL, 0, NULL, 0, trap);
}

static uint64_t memory_size_now(wasmtime_context_t *context, struct call *call, const wasmtime_instance_t *instance, bool lives)
{
    wasmtime_extern_t item;

    if (call->memory_known)
        return wasmtime_memory_data_size(context, &call->memory_handle);
    if (lives && wasmtime_instance_export_get(context, instance, "memory", 6, &item) && item.kind == WASMTIME_EXTERN_MEMORY)
        return wasmtime_memory_data_size(context, &item.of.memory);
    return 0;
}

int call_run(struct call *call, struct module *module, uint64_t memory_bytes, uint32_t wall_ms, struct call_result *ret_result)
{
    struct call_result result = { 0 };
    int64_t started_us = clock_boot_us();
    wasmtime_context_t *context = NULL;
    wasmtime_error_t *error = NULL;
    wasm_trap_t *trap = NULL;
    wasmtime_instance_t instance;
    bool lives = false, refused = false;

    call->limits = (struct engine_limits){ .memory_bytes = memory_bytes, .table_elements = CALL_TABLE_ELEMENTS };
    call->store = wasmtime_store_new(module->engine, call, NULL);
    context = wasmtime_store_context(call->store);
    engine_limit_store(call->store, &call->limits);
    wasmtime_context_set_epoch_deadline(context, 1);
    deadline_start(wall_ms);
    run_guest(context, module, &instance, &lives, &error, &trap);
    deadline_stop();

    result.memory_bytes = memory_size_now(context, call, &instance, lives);
    refused = module->start_bytes > memory_bytes || engine_memory_refused(&call->limits, result.memory_bytes);
    classify(call, error, trap, refused, &result);
    if (error)
        wasmtime_error_delete(error);
    if (trap)
        wasm_trap_delete(trap);
    call->memory_known = false;
    result.run_us = (uint64_t) (clock_boot_us() - started_us);
    *ret_result = result;
    return call->end == CALL_IS_ALONE ? -EPIPE : 0;
}
