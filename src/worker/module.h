/*
 * A loaded module: compiled code from the broker's cache, its imports resolved,
 * ready to be instantiated for every call. Code that is loaded is native code; it is
 * trusted because our own compile worker made it.
 */
#ifndef WORKER_MODULE_H
#define WORKER_MODULE_H

#include "base/cleanup.h"
#include "base/err.h"
#include "worker/engine.h"
#include "worker/link.h"

struct module {
    wasm_engine_t *engine; /* borrowed */
    wasmtime_module_t *code;
    wasmtime_instance_pre_t *pre;
    uint64_t ceiling_bytes;
    uint64_t start_bytes; /* memory that an instance begins with */
};

/*
 * Loads `code`, checks imports, `_start` and `memory`, and instantiates once without
 * running the guest, so that everything the engine sets up lazily is set up. A refusal is -EINVAL,
 * -EPERM or -E2BIG with our words as message and the engine's, cleaned, as hint.
 */
int module_load(wasm_engine_t *engine, const void *code, size_t len, uint32_t ceiling_mib, const char *allowed,
    const struct host_table *extra, struct module **ret_module, struct err *err);
void module_free(struct module *module);
DEFINE_CLEANUP_PTR(struct module, module_free)

/* Whether the module exports a command's `_start` and a `memory`; the smallest size of the latter. */
void module_exports(const wasmtime_module_t *code, bool *ret_start, bool *ret_memory, uint64_t *ret_memory_bytes);

#endif
