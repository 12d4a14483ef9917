/*
 * The WebAssembly engine as this product configures it: one configuration for
 * compiling and for running, because code compiled under another one is refused.
 * Everything that depends on the engine's C API beyond plain calls is here.
 *
 * The engine is made before the process is locked down, as its pooling
 * allocator asks for the number of CPUs.
 */
#ifndef WORKER_ENGINE_H
#define WORKER_ENGINE_H

#include <stddef.h>
#include <stdint.h>
#include <wasm.h>
#include <wasmtime.h>

#define ENGINE_KEY_MAX 256

/* The engine, or NULL when the configuration could not be applied. Owner frees with wasm_engine_delete. */
wasm_engine_t *engine_new(void);
/* "48.0.8" */
const char *engine_version(void);
/*
 * What decides whether compiled code fits: architecture, configuration, CPU
 * features. Equal in every process of one build on one machine. Returns `out`.
 */
char *engine_key(char out[ENGINE_KEY_MAX]);

/* What a store may use; in place until the store is deleted. Same layout in third_party/wasmtime/src/lib.rs. */
struct engine_limits {
    uint64_t memory_bytes;
    uint64_t table_elements;
    uint32_t refused; /* becomes 1 when memory was refused */
};

void engine_limit_store(wasmtime_store_t *store, struct engine_limits *limits);
/*
 * Whether the store's memory was refused growth. `size_bytes` is its size now: an
 * engine that cannot tell (WASMTIME_DIR) is answered by whether the limit was reached.
 */
bool engine_memory_refused(const struct engine_limits *limits, uint64_t size_bytes);

/* The error's text in `out`, cleaned as text_clean() does; deletes the error. */
char *engine_error_take(wasmtime_error_t *error, char *out, size_t size);
/* Our words for a trap, such as "out-of-bounds memory access". */
const char *engine_trap_name(wasmtime_trap_code_t code);

#endif
