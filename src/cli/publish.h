/*
 * What a publisher releases, made and checked without the daemon (SPEC §3): the files of
 * one connector or one action as they are installed, with hash and signature. Formats belong to
 * others (manifest, action, keyring); here they come together.
 */
#ifndef CLI_PUBLISH_H
#define CLI_PUBLISH_H

#include "action/action.h"
#include "base/err.h"
#include "cli/box.h"
#include "crypt/digest.h"
#include "store/keyring.h"

#include <stdbool.h>

#define PUBLISH_PAIRS_MAX 32

/* Values for @@NAME@@. */
struct publish_pairs {
    struct action_pair items[PUBLISH_PAIRS_MAX];
    size_t len;
};

void publish_pairs_free(struct publish_pairs *pairs);
/* Copies. -EEXIST when the name has another value already, with words. */
int publish_pairs_add(struct publish_pairs *pairs, const char *name, const char *value, struct err *err);

/* One release. Free with publish_item_free. */
struct publish_item {
    bool is_action;
    char *name; /* a connector's FQN, an action's name */
    char *version;
    char hash[SHA256_TAGGED_MAX];
    const char *keys_of_ours[ACTION_KEYS_OF_OURS_MAX]; /* constants */
    size_t keys_of_ours_len;
    struct box box; /* what is signed, in the order of the archive, then signature.sig once it is signed */
};

void publish_item_free(struct publish_item *item);

/*
 * Reads a folder (connector.wasm, manifest.toml) or an action's .md, fills in the pairs, validates. Names other than github://
 * are refused: a release is found by its name.
 */
int publish_read(const char *path, const struct publish_pairs *pairs, struct publish_item *ret_item, struct err *err);
/* An archive, as install reads it; `path` is how errors call it. */
int publish_unpack(const struct buf *archive, const char *path, struct publish_item *ret_item, struct err *err);
int publish_open(const char *path, struct publish_item *ret_item, struct err *err);

/* Adds signature.sig. */
int publish_sign(struct publish_item *item, const struct secret *seed, struct err *err);
/* Adds a signature that was made elsewhere. */
int publish_attach(struct publish_item *item, const void *signature, size_t len, struct err *err);
/* -EKEYREJECTED when the signature is missing or is not this key's. */
int publish_check(const struct publish_item *item, const struct keyring_key *key, struct err *err);

/* A private key in PEM that nobody else can read. */
int publish_key_read(const char *path, struct secret **ret_seed, struct err *err);

#endif
