/* The bytes that a signed head signs. */
#include "crypt/head.h"

#include <string.h>

#include "base/banned.h"

void audit_head_message(uint64_t seq, const uint8_t hash[SHA256_BYTES], uint8_t out[AUDIT_HEAD_BYTES])
{
    uint8_t *at = mempcpy(out, AUDIT_HEAD_TAG, sizeof AUDIT_HEAD_TAG - 1);

    for (int shift = 56; shift >= 0; shift -= 8)
        *at++ = (uint8_t) (seq >> shift);
    memcpy(at, hash, SHA256_BYTES);
}
