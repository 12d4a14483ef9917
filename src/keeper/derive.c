/* See the header. */
#include "keeper/derive.h"

#include <errno.h>

#include "base/banned.h"

int derive_new(struct loop *loop, struct derive **ret_derive)
{
    return -ENOSYS;
}
void derive_free(struct derive *derive) { }
int derive_start(struct derive *derive, const struct secret *passphrase, const uint8_t salt[KDF_SALT_BYTES], int64_t delay_ms,
    derive_fn *fn, void *userdata, struct derive_job **ret_job)
{
    return -ENOSYS;
}
void derive_cancel(struct derive_job *job) { }
