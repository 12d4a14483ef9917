/*
 * From the tables of host functions to the engine's linker. Names in an import
 * are the guest's: they are compared as bytes and cleaned before they appear in
 * a message. There is one entry from the engine into host code, enter(), which
 * fetches guest memory and turns "the call has ended" into a trap.
 */
#include "worker/link.h"

#include "base/cleanup.h"
#include "base/magic.h"
#include "worker/text.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define NAME_MAX_CLEAN 96
/* What a LOAD with an empty list allows. */
#define ALLOWED_DEFAULT "log,http_request,http_response_status,http_response_size,http_response_read"

static bool fetch_memory(struct call *call, wasmtime_caller_t *caller, wasmtime_context_t *context)
{
    wasmtime_extern_t item;

    if (!call->memory_known) {
        if (!wasmtime_caller_export_get(caller, "memory", 6, &item) || item.kind != WASMTIME_EXTERN_MEMORY)
            return false;
        call->memory_handle = item.of.memory;
        call->memory_known = true;
    }
    call->memory = wasmtime_memory_data(context, &call->memory_handle);
    call->memory_size = wasmtime_memory_data_size(context, &call->memory_handle);
    return true;
}

static wasm_trap_t *enter(void *env, wasmtime_caller_t *caller, wasmtime_val_raw_t *args, size_t args_len)
{
    const struct host_function *function = env;
    wasmtime_context_t *context = wasmtime_caller_context(caller);
    struct call *call = MAGIC_CAST(struct call, wasmtime_context_get_data(context), CALL_MAGIC);
    int32_t result;

    if (!fetch_memory(call, caller, context))
        return wasmtime_trap_new("no memory", 9);
    result = function->fn(call, args);
    if (call->end != CALL_GOES_ON)
        return wasmtime_trap_new("end of call", 11);
    if (function->result[0])
        args[0].i32 = result;
    return NULL;
}

static bool name_is(const wasm_name_t *name, const char *text)
{
    return name->size == strlen(text) && memcmp(name->data, text, name->size) == 0;
}

static bool list_has(const char *list, const char *name)
{
    size_t len = strlen(name);

    for (const char *at = list; *at;) {
        size_t item = strcspn(at, ",");

        if (item == len && memcmp(at, name, len) == 0)
            return true;
        at += item + (at[item] == ',');
    }
    return false;
}

static wasm_valkind_t kind_of(char letter)
{
    return letter == 'I' ? WASM_I64 : WASM_I32;
}

static bool types_match(const wasm_valtype_vec_t *types, const char *letters)
{
    if (types->size != strlen(letters))
        return false;
    for (size_t i = 0; i < types->size; i++)
        if (wasm_valtype_kind(types->data[i]) != kind_of(letters[i]))
            return false;
    return true;
}

static void types_make(const char *letters, wasm_valtype_vec_t *ret_types)
{
    wasm_valtype_vec_new_uninitialized(ret_types, strlen(letters));
    for (size_t i = 0; letters[i]; i++)
        ret_types->data[i] = wasm_valtype_new(kind_of(letters[i]));
}

static wasm_functype_t *type_make(const struct host_function *function)
{
    wasm_valtype_vec_t params, results;

    types_make(function->params, &params);
    types_make(function->result, &results);
    return wasm_functype_new(&params, &results);
}

static const struct host_function *table_find(const struct host_table *table, const wasm_name_t *name)
{
    for (size_t i = 0; i < table->functions_len; i++)
        if (name_is(name, table->functions[i].name))
            return &table->functions[i];
    return NULL;
}

/* Says in `err` what the import is and why it cannot be had; NULL. */
static const struct host_function *refuse(const wasm_importtype_t *import, struct err *err, const char *why)
{
    const wasm_name_t *module = wasm_importtype_module(import);
    const wasm_name_t *name = wasm_importtype_name(import);
    char module_text[NAME_MAX_CLEAN], name_text[NAME_MAX_CLEAN];

    text_clean(module->data, module->size, module_text, sizeof(module_text));
    text_clean(name->data, name->size, name_text, sizeof(name_text));
    err_set(err, EPERM, "the module imports %s.%s, %s", module_text, name_text, why);
    return NULL;
}

/* The row that the import means. */
static const struct host_function *find(const wasm_importtype_t *import, const struct host_table *const *tables,
    const char *allowed, const struct host_table **ret_table, struct err *err)
{
    const struct host_function *function = NULL;
    const struct host_table *const *table = tables;

    if (wasm_externtype_kind(wasm_importtype_type(import)) != WASM_EXTERN_FUNC)
        return refuse(import, err, "which is not a function");
    while (*table && !name_is(wasm_importtype_module(import), (*table)->module))
        table++;
    if (!*table)
        return refuse(import, err, "but there is no module of that name");
    function = table_find(*table, wasm_importtype_name(import));
    if (!function)
        return refuse(import, err, "which does not exist or needs a capability");
    if ((*table)->by_permission && !list_has(*allowed ? allowed : ALLOWED_DEFAULT, function->name))
        return refuse(import, err, "which its manifest does not declare");
    *ret_table = *table;
    return function;
}

static int link_one(wasmtime_linker_t *linker, const wasm_importtype_t *import, const struct host_table *table,
    const struct host_function *function, struct err *err)
{
    const wasm_functype_t *wanted = wasm_externtype_as_functype_const(wasm_importtype_type(import));
    wasm_functype_t *type = NULL;
    wasmtime_error_t *error = NULL;

    if (!types_match(wasm_functype_params(wanted), function->params) ||
        !types_match(wasm_functype_results(wanted), function->result))
        return err_set(err, EINVAL, "the module imports %s.%s with another signature", table->module, function->name);
    type = type_make(function);
    error = wasmtime_linker_define_func_unchecked(linker, table->module, strlen(table->module), function->name,
        strlen(function->name), type, enter, (void *) function, NULL);
    wasm_functype_delete(type);
    if (error) {
        wasmtime_error_delete(error);
        return err_set(err, EINVAL, "%s.%s could not be linked", table->module, function->name);
    }
    return 0;
}

int link_imports(wasmtime_linker_t *linker, const wasmtime_module_t *module, const struct host_table *const *tables,
    const char *allowed, struct err *err)
{
    CLEANUP(wasm_importtype_vec_delete) wasm_importtype_vec_t imports;
    int r = 0;

    wasmtime_module_imports(module, &imports);
    /* An import may be listed more than once. */
    wasmtime_linker_allow_shadowing(linker, true);
    for (size_t i = 0; i < imports.size && r == 0; i++) {
        const struct host_table *table = NULL;
        const struct host_function *function = find(imports.data[i], tables, allowed, &table, err);

        r = function ? link_one(linker, imports.data[i], table, function, err) : -EPERM;
    }
    return r;
}
