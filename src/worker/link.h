/*
 * Host functions as rows of tables: name, exact signature, function. A module's
 * imports are held against them when it is loaded; only what it imports, and
 * may import, is linked.
 */
#ifndef WORKER_LINK_H
#define WORKER_LINK_H

#include "base/err.h"
#include "worker/call.h"
#include "worker/engine.h"

#include <stddef.h>

/* Parameters are read from `args`; the result goes to the guest unless the call has ended. */
typedef int32_t host_fn(struct call *call, const wasmtime_val_raw_t *args);

struct host_function {
    const char *name;
    const char *params; /* 'i' = i32, 'I' = i64 */
    const char *result; /* "i" or "" */
    host_fn *fn;
};

struct host_table {
    const char *module;
    const struct host_function *functions;
    size_t functions_len;
    bool by_permission; /* only functions that LOAD allows */
};

extern const struct host_table wasi_table;
extern const struct host_table host_table;

/*
 * Defines in `linker` every function that `module` imports. `tables` ends with NULL. `allowed` as in
 * WORKER_LOAD. -EPERM or -EINVAL with the offending import, cleaned, in `err`.
 */
int link_imports(wasmtime_linker_t *linker, const wasmtime_module_t *module, const struct host_table *const *tables,
    const char *allowed, struct err *err);

#endif
