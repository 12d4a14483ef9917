/*
 * A compiled WebAssembly module: a sealed memfd that workers load, counted by
 * reference, and its one file on disk. Loading native code is running it, so
 * only the worker ever maps the code; here it is bytes with a hash.
 *
 * File (<dir>/<key>.cwasm), all integers little-endian:
 *
 *     8 bytes "AILCWASM"   u32 format (1)   u32 length of the import list
 *     32 bytes SHA-256 of the WebAssembly source
 *     32 bytes SHA-256 of engine build, configuration and CPU features
 *     32 bytes SHA-256 of the code     u64 length of the code
 *     u8 has _start   u8 has memory   6 zero bytes
 *     32 bytes SHA-256 of everything above and of the import list
 *     import list, code
 */
#ifndef CONNECTOR_MODULE_H
#define CONNECTOR_MODULE_H

#include "base/cleanup.h"
#include "base/err.h"
#include "crypt/digest.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODULE_IMPORTS_MAX (64 * 1024)

struct module {
    unsigned refs;
    int code_fd; /* sealed memfd */
    size_t code_bytes;
    char *imports; /* "module.name" lines */
    bool has_start, has_memory;
};

/* What a compiled module was made from; both must match for it to be used. */
struct module_key {
    uint8_t source[SHA256_BYTES];
    uint8_t engine[SHA256_BYTES];
};

struct module *module_ref(struct module *module);
/* NULL allowed; the last one closes the memfd. */
void module_unref(struct module *module);
DEFINE_CLEANUP_PTR(struct module, module_unref)

/* Takes nothing; `code` is copied into a sealed memfd. One reference for the caller. */
int module_new(const void *code, size_t code_bytes, const char *imports, bool has_start, bool has_memory,
    struct module **ret_module, struct err *err);

/* "<64 hex of SHA-256(source ‖ engine)>.cwasm" */
#define MODULE_FILE_MAX (SHA256_HEX_MAX + 6)
char *module_file_name(const struct module_key *key, char out[MODULE_FILE_MAX]);

/* Writes below the folder `dirfd`, atomically; the file is a cache, so it is not synced. */
int module_save(int dirfd, const struct module_key *key, const struct module *module, struct err *err);
/* Reads and checks every hash. -ENOENT absent; -EBADMSG damaged or made for something else (the file is then removed). */
int module_load(int dirfd, const struct module_key *key, struct module **ret_module, struct err *err);

/* Removes the least recently used files until at most `limit_bytes` remain. */
int module_trim(int dirfd, uint64_t limit_bytes);

#endif
