/*
 * Whom the person trusts: keyring.json (SPEC §2, shared; version 2 written, 1 and 2 read). Ed25519 keys for a
 * repository (`github://owner/repo`) or an owner (`github://owner`). The trust of a reference is the union of both. A missing
 * file trusts nobody. Read anew at every verification, so there is no object that outlives a decision.
 */
#ifndef STORE_KEYRING_H
#define STORE_KEYRING_H

#include "base/cleanup.h"
#include "base/err.h"
#include "crypt/sign.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYRING_AUTHORITY_MAX   288
#define KEYRING_FINGERPRINT_MAX 64 /* "sha256:" and base64 without padding, NUL */
#define KEYRING_KEYS_MAX        4096
#define KEYRING_FILE_MAX        (1024 * 1024)

struct keyring_key {
    uint8_t raw[SIGN_PUBLIC_BYTES];
};

struct keyring;

/* From <home>/keyring.json: a regular private file of the user, no link; missing: empty. Unknown versions and malformed keys are -EINVAL with their place. */
int keyring_load(const char *home, struct keyring **ret_keyring, struct err *err);
int keyring_parse(const char *text, size_t len, const char *name, struct keyring **ret_keyring, struct err *err);
void keyring_free(struct keyring *keyring);
DEFINE_CLEANUP_PTR(struct keyring, keyring_free)
/* Replaces the file atomically and durably. */
int keyring_save(const struct keyring *keyring, const char *home, struct err *err);

/* `authority`: "github://owner" or "github://owner/repo", compared byte for byte. 0, or 1 when it was there already. */
int keyring_add(struct keyring *keyring, const char *authority, const struct keyring_key *key, struct err *err);
/* Removes one key (NULL: all) of an authority; the number removed, or a negative errno. */
int keyring_remove(struct keyring *keyring, const char *authority, const struct keyring_key *key);
/* True when `authority` is the FQN's owner or repository, or the FQN itself. */
bool keyring_covers(const char *authority, const char *fqn);
/* Keys that may sign for this FQN: owner's and repository's. Writes at most `max`; returns how many there are. */
size_t keyring_keys_for(const struct keyring *keyring, const char *fqn, struct keyring_key *out, size_t max);
/* [{"authority","kind":"owner|repository","fingerprint","key":base64}…], sorted. New reference. */
json_t *keyring_list(const struct keyring *keyring);

/* PEM SubjectPublicKeyInfo of an Ed25519 key, or base64 of the raw key in either alphabet, padded or not, blanks around it. */
int keyring_key_read(const char *text, size_t len, struct keyring_key *ret_key, struct err *err);
/* "sha256:…" of SPEC §2. Returns `out`. */
char *keyring_fingerprint(const struct keyring_key *key, char out[KEYRING_FINGERPRINT_MAX]);

/* Ed25519 over the parts in a row (connector.wasm ‖ manifest.toml, or action.md). True and *ret_which when one of the keys made it. */
struct keyring_part {
    const void *data;
    size_t len;
};
bool keyring_verify(const struct keyring_key *keys, size_t keys_len, const struct keyring_part *parts, size_t parts_len,
    const uint8_t signature[SIGN_BYTES], size_t *ret_which);

#endif
