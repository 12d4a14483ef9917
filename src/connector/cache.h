/*
 * The module cache (SPEC §12): WebAssembly in, compiled module out. Compiling
 * happens in `aileron-worker --compile`, one at a time a source however many
 * ask; the result is kept in <dir> under the hash of source and engine, at most
 * `limit_bytes` in all, least recently used first out.
 *
 * What the engine is (build, configuration, CPU) is known from the first child's
 * READY frame; until then every request starts with a child.
 */
#ifndef CONNECTOR_CACHE_H
#define CONNECTOR_CACHE_H

#include "connector/module.h"
#include "connector/program.h"

struct cache;
struct cache_request;

struct cache_config {
    struct loop *loop;
    struct worker_program program;
    const char *dir; /* created 0700 */
    uint64_t limit_bytes;
    int64_t compile_ms;             /* 0: LIMIT_COMPILE_MS */
    void (*note)(const char *text); /* told of a file that was not believed; NULL: nobody */
};

int cache_new(const struct cache_config *config, struct cache **ret_cache, struct err *err);
/* Ends what is being compiled; waiting requests are freed unanswered. */
void cache_free(struct cache *cache);
DEFINE_CLEANUP_PTR(struct cache, cache_free)

/*
 * `module` is borrowed (take a reference), NULL on failure. err->code is then EINVAL when the engine refused the module (the message says
 * why), ETIMEDOUT when compiling took too long, EIO when the compiler died.
 */
typedef void cache_fn(struct module *module, const struct err *err, void *userdata);

/*
 * Asks for the compiled form of the sealed memfd `wasm_fd` (borrowed), whose SHA-256 is `source`.
 * 1: it was there, *ret_module is a new reference, `fn` is not called. 0: `fn` runs later, once;
 * *ret_request can be cancelled until then. <0: nothing was started.
 */
int cache_get(struct cache *cache, const uint8_t source[SHA256_BYTES], int wasm_fd, size_t wasm_bytes, cache_fn *fn,
    void *userdata, struct module **ret_module, struct cache_request **ret_request, struct err *err);
/* `fn` is not called any more. */
void cache_cancel(struct cache_request *request);

#endif
