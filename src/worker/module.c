/*
 * Loading. The engine itself refuses code of another version, configuration or
 * CPU. What the product asks of a module is checked here: a command's `_start`, one
 * exported memory that fits, only functions imported, only those it may use.
 *
 * The warm-up instantiates with an epoch that is over already: a start function
 * and `_start` trap at their entry, before an instruction of their own runs, so
 * that the filter can be tightened while no guest code has run.
 */
#include "worker/module.h"

#include "wire/limits.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define WASM_PAGE_BYTES     65536u
#define WARM_TABLE_ELEMENTS 200000

static bool is_command_start(const wasm_externtype_t *type)
{
    const wasm_functype_t *function = wasm_externtype_as_functype_const(type);

    return function && wasm_functype_params(function)->size == 0 && wasm_functype_results(function)->size == 0;
}

void module_exports(const wasmtime_module_t *code, bool *ret_start, bool *ret_memory, uint64_t *ret_memory_bytes)
{
    CLEANUP(wasm_exporttype_vec_delete) wasm_exporttype_vec_t exports;

    *ret_start = *ret_memory = false;
    *ret_memory_bytes = 0;
    wasmtime_module_exports(code, &exports);
    for (size_t i = 0; i < exports.size; i++) {
        const wasm_name_t *name = wasm_exporttype_name(exports.data[i]);
        const wasm_externtype_t *type = wasm_exporttype_type(exports.data[i]);
        const wasm_memorytype_t *memory = wasm_externtype_as_memorytype_const(type);

        if (name->size == 6 && memcmp(name->data, "_start", 6) == 0)
            *ret_start = is_command_start(type);
        if (name->size == 6 && memcmp(name->data, "memory", 6) == 0 && memory && !wasmtime_memorytype_is64(memory)) {
            *ret_memory = true;
            *ret_memory_bytes = wasmtime_memorytype_minimum(memory) * WASM_PAGE_BYTES;
        }
    }
}

static int check_exports(struct module *module, struct err *err)
{
    bool start = false, memory = false;

    module_exports(module->code, &start, &memory, &module->start_bytes);
    if (!start)
        return err_set(
            err, EINVAL, "the module exports no function _start without parameters and results: it is not a WASI command");
    if (!memory)
        return err_set(err, EINVAL, "the module exports no memory named \"memory\"");
    if (module->start_bytes > module->ceiling_bytes)
        return err_set(err, E2BIG, "the module starts with %llu MiB of memory, more than its limit of %llu MiB",
            (unsigned long long) module->start_bytes / MIB, (unsigned long long) module->ceiling_bytes / MIB);
    return 0;
}

static int warm_up(struct module *module, struct err *err)
{
    struct engine_limits limits = { .memory_bytes = module->ceiling_bytes, .table_elements = WARM_TABLE_ELEMENTS };
    wasmtime_store_t *store = wasmtime_store_new(module->engine, NULL, NULL);
    wasmtime_context_t *context = wasmtime_store_context(store);
    wasmtime_error_t *error = NULL;
    wasm_trap_t *trap = NULL;
    wasmtime_instance_t instance;
    wasmtime_extern_t start;
    wasmtime_trap_code_t code = 0;
    char detail[ERR_HINT_MAX];
    int r = 0;

    engine_limit_store(store, &limits);
    wasmtime_context_set_epoch_deadline(context, 0);
    error = wasmtime_instance_pre_instantiate(module->pre, context, &instance, &trap);
    if (!error && !trap && wasmtime_instance_export_get(context, &instance, "_start", 6, &start))
        error = wasmtime_func_call(context, &start.of.func, NULL, 0, NULL, 0, &trap);
    if (error) {
        r = err_set(err, EINVAL, "the module cannot be instantiated");
        err_hint(err, "%s", engine_error_take(error, detail, sizeof(detail)));
    } else if (trap && wasmtime_trap_code(trap, &code) && code != WASMTIME_TRAP_CODE_INTERRUPT) {
        r = err_set(err, EINVAL, "the module cannot be instantiated: %s", engine_trap_name(code));
    }
    if (trap)
        wasm_trap_delete(trap);
    wasmtime_store_delete(store);
    return r;
}

static int link_module(struct module *module, const char *allowed, const struct host_table *extra, struct err *err)
{
    const struct host_table *const tables[] = { &wasi_table, &host_table, extra, NULL };
    wasmtime_linker_t *linker = wasmtime_linker_new(module->engine);
    wasmtime_error_t *error = NULL;
    char detail[ERR_HINT_MAX];
    int r = link_imports(linker, module->code, tables, allowed, err);

    if (r == 0) {
        error = wasmtime_linker_instantiate_pre(linker, module->code, &module->pre);
        if (error) {
            r = err_set(err, EINVAL, "the module cannot be linked");
            err_hint(err, "%s", engine_error_take(error, detail, sizeof(detail)));
        }
    }
    wasmtime_linker_delete(linker);
    return r;
}

int module_load(wasm_engine_t *engine, const void *code, size_t len, uint32_t ceiling_mib, const char *allowed,
    const struct host_table *extra, struct module **ret_module, struct err *err)
{
    CLEANUP_PTR(module_free) struct module *module = calloc(1, sizeof(*module));
    wasmtime_error_t *error = NULL;
    char detail[ERR_HINT_MAX];
    int r = 0;

    if (!module)
        return err_set(err, ENOMEM, "out of memory");
    module->engine = engine;
    module->ceiling_bytes = (uint64_t) ceiling_mib * MIB;
    error = wasmtime_module_deserialize(engine, code, len, &module->code);
    if (error) {
        r = err_set(err, EINVAL, "the compiled module does not fit this engine");
        err_hint(err, "%s", engine_error_take(error, detail, sizeof(detail)));
        return r;
    }
    r = check_exports(module, err);
    if (r == 0)
        r = link_module(module, allowed, extra, err);
    if (r == 0)
        r = warm_up(module, err);
    if (r < 0)
        return r;
    *ret_module = TAKE_PTR(module);
    return 0;
}

void module_free(struct module *module)
{
    if (!module)
        return;
    if (module->pre)
        wasmtime_instance_pre_delete(module->pre);
    if (module->code)
        wasmtime_module_delete(module->code);
    free(module);
}
