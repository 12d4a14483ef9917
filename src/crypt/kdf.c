/* See the header. */
#include "crypt/kdf.h"

#include <errno.h>

#include "base/banned.h"

int kdf_derive(const struct secret *passphrase, const uint8_t salt[KDF_SALT_BYTES], struct secret **ret_key)
{
    return -ENOSYS;
}
