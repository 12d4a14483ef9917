/*
 * Configuration of the engine. Three things shape it. The guest is hostile: a
 * proposal that no supported toolchain needs stays off. One call at a time in a
 * fresh instance: a pool of exactly one slot, whose memory image is mapped
 * copy-on-write and whose first pages are kept and rewritten instead of faulted in
 * again. A call must end: epochs are checked at loop heads and function entries.
 *
 * Go programs have function tables of 4096 plus one entry for each function, which
 * is why tables and instances are allowed to be far larger than the engine's defaults.
 */
#include "worker/engine.h"

#include "wire/limits.h"
#include "worker/text.h"

#include <stdio.h>
#include <sys/auxv.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/banned.h"

#define TABLE_ELEMENTS_MAX 200000
#define INSTANCE_BYTES_MAX ((size_t) 16 * MIB)
#define WASM_STACK_BYTES   ((size_t) MIB)
/* Measured (tests/bench/worker-instantiate): a Go program dirties about 4 MiB, a C one what it has; below that they fault it in anew. */
#define KEEP_RESIDENT_BYTES ((size_t) 4 * MIB)

/* Changes with anything below that changes compiled code. */
#define CONFIG_NAME "speed;epoch;stack=1048576;cow;no-unwind;mvp+bulk+multi+ref+simd+tail;1"

const char *engine_version(void)
{
    return WASMTIME_VERSION;
}

static void set_features(wasm_config_t *config)
{
    wasmtime_config_wasm_memory64_set(config, false);
    wasmtime_config_wasm_multi_memory_set(config, false);
    wasmtime_config_wasm_relaxed_simd_set(config, false);
    wasmtime_config_wasm_wide_arithmetic_set(config, false);
    wasmtime_config_wasm_custom_page_sizes_set(config, false);
    wasmtime_config_wasm_stack_switching_set(config, false);
    wasmtime_config_shared_memory_set(config, false);
#ifdef WASMTIME_FEATURE_THREADS
    wasmtime_config_wasm_threads_set(config, false);
#endif
#ifdef WASMTIME_FEATURE_GC
    wasmtime_config_wasm_function_references_set(config, false);
    wasmtime_config_wasm_gc_set(config, false);
    wasmtime_config_wasm_exceptions_set(config, false);
#endif
}

static void set_pool(wasm_config_t *config)
{
    wasmtime_pooling_allocation_config_t *pool = wasmtime_pooling_allocation_config_new();

    wasmtime_pooling_allocation_config_total_core_instances_set(pool, 1);
    wasmtime_pooling_allocation_config_total_memories_set(pool, 1);
    wasmtime_pooling_allocation_config_total_tables_set(pool, 1);
    wasmtime_pooling_allocation_config_max_memories_per_module_set(pool, 1);
    wasmtime_pooling_allocation_config_max_tables_per_module_set(pool, 1);
    wasmtime_pooling_allocation_config_max_memory_size_set(pool, (size_t) CEILING_MEMORY_MIB * MIB);
    wasmtime_pooling_allocation_config_table_elements_set(pool, TABLE_ELEMENTS_MAX);
    wasmtime_pooling_allocation_config_max_core_instance_size_set(pool, INSTANCE_BYTES_MAX);
    wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool, KEEP_RESIDENT_BYTES);
    wasmtime_pooling_allocation_config_table_keep_resident_set(pool, 64 * KIB);
    wasmtime_pooling_allocation_config_decommit_batch_size_set(pool, 1);
    wasmtime_pooling_allocation_strategy_set(config, pool);
    wasmtime_pooling_allocation_config_delete(pool);
}

wasm_engine_t *engine_new(void)
{
    wasm_config_t *config = wasm_config_new();

    if (!config)
        return NULL;
    wasmtime_config_strategy_set(config, WASMTIME_STRATEGY_CRANELIFT);
    wasmtime_config_cranelift_opt_level_set(config, WASMTIME_OPT_LEVEL_SPEED);
    wasmtime_config_parallel_compilation_set(config, true);
    wasmtime_config_epoch_interruption_set(config, true);
    wasmtime_config_max_wasm_stack_set(config, WASM_STACK_BYTES);
    wasmtime_config_native_unwind_info_set(config, false);
    wasmtime_config_memory_init_cow_set(config, true);
    set_features(config);
    set_pool(config);
    return wasm_engine_new_with_config(config);
}

#if defined(__x86_64__)
/* The leaves that list instruction sets, and which registers the system saves. */
static void cpu_features(char *out, size_t size)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    unsigned f1c = 0, f1d = 0, f7b = 0, f7c = 0, f7a1 = 0, e1c = 0, xcr0 = 0;

    if (__get_cpuid(1, &a, &b, &c, &d)) {
        f1c = c;
        f1d = d;
    }
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d)) {
        f7b = b;
        f7c = c;
    }
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d))
        f7a1 = a;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        e1c = c;
    if (f1c & bit_OSXSAVE)
        __asm__ volatile("xgetbv" : "=a"(xcr0) : "c"(0) : "edx");
    snprintf(out, size, "x86_64-%08x-%08x-%08x-%08x-%08x-%08x-%08x", f1c, f1d, f7b, f7c, f7a1, e1c, xcr0);
}
#else
static void cpu_features(char *out, size_t size)
{
    snprintf(out, size, "%s-%lx-%lx", (const char *) getauxval(AT_PLATFORM), getauxval(AT_HWCAP), getauxval(AT_HWCAP2));
}
#endif

char *engine_key(char out[ENGINE_KEY_MAX])
{
    char cpu[128];

    cpu_features(cpu, sizeof(cpu));
    snprintf(out, ENGINE_KEY_MAX, "%s;%s", CONFIG_NAME, cpu);
    return out;
}

#ifdef HAVE_AILERON_STORE_LIMIT
void aileron_store_limit(wasmtime_store_t *store, struct engine_limits *limits);

void engine_limit_store(wasmtime_store_t *store, struct engine_limits *limits)
{
    aileron_store_limit(store, limits);
}

bool engine_memory_refused(const struct engine_limits *limits, uint64_t size_bytes)
{
    return limits->refused != 0;
}
#else
void engine_limit_store(wasmtime_store_t *store, struct engine_limits *limits)
{
    wasmtime_store_limiter(store, (int64_t) limits->memory_bytes, (int64_t) limits->table_elements, 1, 1, 1);
}

bool engine_memory_refused(const struct engine_limits *limits, uint64_t size_bytes)
{
    return size_bytes + 64 * KIB > limits->memory_bytes;
}
#endif

char *engine_error_take(wasmtime_error_t *error, char *out, size_t size)
{
    wasm_name_t text;

    wasmtime_error_message(error, &text);
    text_clean(text.data, text.size, out, size);
    wasm_byte_vec_delete(&text);
    wasmtime_error_delete(error);
    return out;
}

const char *engine_trap_name(wasmtime_trap_code_t code)
{
    static const char *const names[] = {
        [WASMTIME_TRAP_CODE_STACK_OVERFLOW] = "stack overflow",
        [WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS] = "out-of-bounds memory access",
        [WASMTIME_TRAP_CODE_HEAP_MISALIGNED] = "misaligned memory access",
        [WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS] = "out-of-bounds table access",
        [WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL] = "indirect call to null",
        [WASMTIME_TRAP_CODE_BAD_SIGNATURE] = "indirect call with a wrong signature",
        [WASMTIME_TRAP_CODE_INTEGER_OVERFLOW] = "integer overflow",
        [WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO] = "division by zero",
        [WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER] = "bad conversion to integer",
        [WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED] = "unreachable code reached",
        [WASMTIME_TRAP_CODE_INTERRUPT] = "interrupted",
        [WASMTIME_TRAP_CODE_NULL_REFERENCE] = "null reference",
    };

    if (code < sizeof(names) / sizeof(names[0]) && names[code])
        return names[code];
    return "trap";
}
