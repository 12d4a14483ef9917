/*
 * The content-addressed store (SPEC §3): store/connectors/sha256/<hex>/ with
 * connector.wasm, manifest.toml and, when signed, signature.sig; the rebuildable index
 * store/index/connectors.json; store/tmp/. Files only, no network, no loop.
 * Development installs have no signature and live only under local:// names.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "base/buf.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

struct store_connector {
    char fqn[512], version[128], hash[72]; /* hash: "sha256:<hex>" */
    bool is_signed;
    char dir[4096]; /* absolute folder of its files */
};

/* SHA-256(connector.wasm ‖ manifest.toml) as "sha256:<hex>". */
int store_content_hash(const struct buf *wasm, const struct buf *manifest, char ret_hash[72]);
/*
 * Puts one connector, atomically; an identical one already there is fine (*ret_existed), only its signature is replaced when it is another
 * one. Updates the index.
 */
int store_put(const char *home, const char *fqn, const char *version, const struct buf *wasm, const struct buf *manifest,
    const struct buf *signature /* NULL: unsigned */, char ret_hash[72], bool *ret_existed, struct err *err);
/* The folder of a pin, without looking at its files. -ENOENT when it is not installed; -EINVAL when it is no folder. */
int store_folder(const char *home, const char *hash, char ret_dir[4096], struct err *err);
/* By pin. -ENOENT when it is not installed. */
int store_find(const char *home, const char *hash, struct store_connector *ret_connector, struct err *err);
/* Array of {fqn?, version?, hash, signed}, without a name where no manifest tells it; rebuilds the index when it is missing or wrong. New reference. */
int store_list(const char *home, json_t **ret_list, struct err *err);
int store_remove(const char *home, const char *hash, struct err *err);
/* Clears away what programs that were stopped left half done, here and in the home itself; to be called while no other changes the home. */
int store_repair(const char *home, struct err *err);

#endif
