/*
 * Signed heads (SPEC §9): audit/heads.jsonl, one compact line each, byte layout fixed:
 *
 *     {"seq":N,"hash":"sha256:<64 hex>","key":"<base64>","signature":"<base64>","timestamp":"<RFC 3339>"}
 *
 * `hash` is that of event N's line, `signature` Ed25519 by `key` over audit_head_message() (crypt/head.h). Whoever can write
 * the log can compute its hashes anew; without the vault's key he cannot sign them. A head may be appended only when the
 * events that it covers are on disk, so that power loss never leaves a head beyond the end of the log.
 */
#ifndef AUDIT_HEADS_H
#define AUDIT_HEADS_H

#include "audit/layout.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "crypt/sign.h"

#include <stdbool.h>
#include <stdint.h>

#define AUDIT_HEADS_FILE "heads.jsonl"
#define AUDIT_HEAD_MAX   512 /* bytes of a line */

struct audit_head {
    uint64_t seq;                  /* 0: none */
    char hash[AUDIT_PREV_LEN + 1]; /* hexadecimal digits */
    uint8_t key[SIGN_PUBLIC_BYTES];
    uint8_t signature[SIGN_BYTES];
    char timestamp[AUDIT_TIME_LEN + 1]; /* when it was signed, as the broker's clock had it; the signature does not cover it */
};

/* Appends the line without its newline. */
int audit_head_write(struct buf *out, const struct audit_head *head);
/* False when the layout is not ours. Says nothing of the signature. */
bool audit_head_read(const char *text, size_t len, struct audit_head *ret_head);
/* The signature is of the key that the head names. */
bool audit_head_is_signed(const struct audit_head *head);

/* ---- the writing end; one process has it ---- */

struct audit_heads;

/* Opens <dir>/heads.jsonl when it is there. What stands behind the last head goes to <dir>/torn/ (then *ret_torn). */
int audit_heads_open(const char *dir, struct audit_heads **ret_heads, bool *ret_torn, struct err *err);
void audit_heads_free(struct audit_heads *heads);
DEFINE_CLEANUP_PTR(struct audit_heads, audit_heads_free)
/*
 * Appends one and returns when write(2) has taken the whole line; a short or failed write is undone. A file that is not as
 * the last append left it is taken up anew: each head stands for itself. -EINVAL for a seq that is not beyond the last.
 */
int audit_heads_append(struct audit_heads *heads, const struct audit_head *head, struct err *err);
/* The newest in the file; its seq is 0 when there is none. Borrowed. */
const struct audit_head *audit_heads_last(const struct audit_heads *heads);
/* To fdatasync; -1 while there is no file. Borrowed until the next append. */
int audit_heads_fd(const struct audit_heads *heads);

#endif
