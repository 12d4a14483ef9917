/*
 * What the signature of an audit head covers: "aileron-audit-head-v1\n", the seq of the newest record as 8 bytes, most
 * significant first, and its hash. The keeper signs exactly this and nothing else with the vault's key; whoever
 * verifies a log builds the same bytes. Pure.
 */
#ifndef CRYPT_HEAD_H
#define CRYPT_HEAD_H

#include "crypt/digest.h"

#define AUDIT_HEAD_TAG   "aileron-audit-head-v1\n"
#define AUDIT_HEAD_BYTES (sizeof AUDIT_HEAD_TAG - 1 + 8 + SHA256_BYTES)

void audit_head_message(uint64_t seq, const uint8_t hash[SHA256_BYTES], uint8_t out[AUDIT_HEAD_BYTES]);

#endif
