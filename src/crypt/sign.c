/* See the header. */
#include "crypt/sign.h"

#include <errno.h>

#include "base/banned.h"

int sign_seed_new(struct secret **ret_seed)
{
    return -ENOSYS;
}
int sign_public(const struct secret *seed, uint8_t out[SIGN_PUBLIC_BYTES])
{
    return -ENOSYS;
}
int sign_message(const struct secret *seed, const void *message, size_t len, uint8_t out[SIGN_BYTES])
{
    return -ENOSYS;
}
bool sign_verify(
    const uint8_t public_key[SIGN_PUBLIC_BYTES], const void *message, size_t len, const uint8_t signature[SIGN_BYTES])
{
    return false;
}
