/*
 * Installed connectors as calls use them: found by the hash an action pins,
 * hashed when their files were read and again on any change of the files, their signature
 * held against the keyring as it is at every use, with
 * the compiled module behind. What runs is what was hashed: the bytes go from the
 * file into a sealed memfd, and the hash is taken of that.
 */
#ifndef BROKER_CONNECTORS_H
#define BROKER_CONNECTORS_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "binding/binding.h"
#include "broker/file-id.h"
#include "connector/cache.h"
#include "connector/manifest.h"
#include "store/fqn.h"
#include "store/keyring.h"
#include "store/semver.h"

#include <stdbool.h>

struct connectors;

struct connector {
    unsigned refs;
    char hash[SHA256_TAGGED_MAX];
    struct manifest *manifest;
    char *hosts;                                               /* newline-separated, as the keeper wants them */
    char *imports;                                             /* comma-separated, as the worker wants them */
    char *folder, *wasm_path, *manifest_path, *signature_path; /* the last only when it is signed */
    struct file_id wasm_id, manifest_id, signature_id;
    dev_t folder_device;
    ino_t folder_inode;
    bool is_signed;               /* true of every name but local:// */
    struct keyring_key signer;    /* whose signature it is */
    uint64_t generation;          /* of the keyring when that was last looked up */
    uint8_t source[SHA256_BYTES]; /* of connector.wasm alone: key of the module cache */
    int wasm_fd;                  /* sealed memfd; -1 once it is compiled */
    size_t wasm_bytes;
    struct module *module;               /* NULL until it is compiled */
    char last_binding[BINDING_NAME_MAX]; /* what binding.resolved said last */
};

void connector_unref(struct connector *connector);
DEFINE_CLEANUP_PTR(struct connector, connector_unref)

/* `home` and `cache` are borrowed. */
int connectors_new(const char *home, struct cache *cache, struct connectors **ret_connectors, struct err *err);
void connectors_free(struct connectors *connectors);
DEFINE_CLEANUP_PTR(struct connectors, connectors_free)

/*
 * New reference. -ENOENT: not installed; -EBADMSG: its files are not what the hash says; -EKEYREJECTED: it is not a local
 * one and nobody who is trusted has signed it; else it could not be read.
 */
int connectors_get(struct connectors *connectors, const char *hash, struct connector **ret_connector, struct err *err);
/* Whether any key is trusted for this FQN now. */
bool connectors_has_trust(struct connectors *connectors, const char *fqn);
/* Drops what is remembered of a connector. */
void connectors_forget(struct connectors *connectors, const char *hash);

/* From bytes, for an install: checked and hashed like one of the store, but not kept. `wasm_path` is the file to read. */
int connector_from_files(const char *wasm_path, const char *manifest_text, size_t manifest_len, const char *manifest_name,
    struct connector **ret_connector, struct err *err);

/* The same from bytes in memory: what was downloaded. */
int connector_from_bytes(const struct buf *wasm, const struct buf *manifest, struct connector **ret_connector, struct err *err);

/* Told once: 0, or failed. err->code as cache_fn: EINVAL = the module itself is wrong. */
typedef void connector_ready_fn(int result, const struct err *err, void *userdata);
struct connector_wait;
/*
 * Makes sure that connector->module is there. 1: it is. 0: `fn` runs later; *ret_wait can be cancelled until then.
 * <0: failed at once, as the callback would say. The caller holds its reference until then.
 */
int connector_compile(struct connectors *connectors, struct connector *connector, connector_ready_fn *fn, void *userdata,
    struct connector_wait **ret_wait, struct err *err);
void connector_wait_cancel(struct connector_wait *wait);

#endif
