/*
 * Stands in for module.c and call.c where only the conversation is looked at: a
 * module is any blob that starts with "good", a call makes the host calls that its standard input spells.
 */
#include "worker/fake-module.h"

#include "worker/deadline.h"
#include "worker/link.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

struct fake fake;

int module_load(wasm_engine_t *engine, const void *code, size_t len, uint32_t ceiling_mib, const char *allowed,
    const struct host_table *extra, struct module **ret_module, struct err *err)
{
    fake.loads++;
    if (len < 4 || memcmp(code, "good", 4) != 0)
        return err_set(err, EINVAL, "not good");
    *ret_module = calloc(1, sizeof(**ret_module));
    return *ret_module ? 0 : -ENOMEM;
}

void module_free(struct module *module)
{
    free(module);
}

static void host(struct call *call, const char *name, uint32_t ptr, uint32_t len)
{
    wasmtime_val_raw_t args[4];

    memset(args, 0, sizeof(args));
    args[0].i32 = (int32_t) ptr;
    args[1].i32 = (int32_t) len;
    args[2].i32 = (int32_t) ptr;
    args[3].i32 = (int32_t) len;
    for (size_t i = 0; i < host_table.functions_len; i++)
        if (strcmp(host_table.functions[i].name, name) == 0)
            host_table.functions[i].fn(call, args);
}

int call_run(struct call *call, struct module *module, uint64_t memory_bytes, uint32_t wall_ms, struct call_result *ret_result)
{
    static uint8_t memory[256];

    fake.runs++;
    call->memory = memory;
    call->memory_size = sizeof(memory);
    for (size_t i = 0; i < call->in_len && i < 16 && call->end == CALL_GOES_ON; i++) {
        if (call->in[i] == 'h')
            host(call, "http_request", 0, 8);
        if (call->in[i] == 'r')
            host(call, "http_response_read", 0, 200);
        if (call->in[i] == 'l')
            host(call, "log", 0, 8);
    }
    *ret_result = (struct call_result){ .exit_code = 7 };
    return call->end == CALL_IS_ALONE ? -EPIPE : 0;
}

int64_t deadline_left_us(void)
{
    return fake.left_us;
}
