/*
 * Bytes that must not leak: in pages of their own, locked, kept out of core
 * dumps, empty in a forked child (MADV_WIPEONFORK), wiped when freed. There is
 * no function that formats, prints or serialises one.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct secret;

/* A secret of exactly `len` zero bytes; -ENOMEM. Owner frees with secret_free. */
int secret_new(size_t len, struct secret **ret_secret);
/* Copies; the caller wipes its own copy. */
int secret_from(const void *data, size_t len, struct secret **ret_secret);
uint8_t *secret_data(struct secret *secret);
const uint8_t *secret_bytes(const struct secret *secret);
size_t secret_len(const struct secret *secret);
/* Shortens to `len`, wiping the rest. */
void secret_cut(struct secret *secret, size_t len);
/* In constant time for equal lengths. */
bool secret_equal(const struct secret *a, const struct secret *b);
void secret_free(struct secret *secret);
DEFINE_CLEANUP_PTR(struct secret, secret_free)

/* False when the kernel refused to lock a secret's pages (RLIMIT_MEMLOCK) since the program began: to be shown as degraded. */
bool secret_memory_is_locked(void);

/* Wipes memory in a way the compiler keeps. */
void secret_wipe(void *data, size_t len);
/* Constant-time comparison of two byte strings of equal length. */
bool secret_memequal(const void *a, const void *b, size_t len);

#endif
