/* See the header. */
#include "keeper/outcome.h"

#include <errno.h>

#include "base/cleanup.h"
#include "keeper/vault.h"

#include "base/banned.h"

static const struct {
    int result;
    enum keeper_result told;
} rows[] = {
    { 0, KEEPER_OK },
    { VAULT_NO_BINDING, KEEPER_NOT_FOUND },
    { VAULT_UNUSABLE, KEEPER_FAILED },
    { VAULT_WRONG_PASSPHRASE, KEEPER_WRONG_PASSPHRASE },
    { VAULT_NOT_OPEN, KEEPER_LOCKED },
    { VAULT_NOT_THERE, KEEPER_MISSING },
    { VAULT_ALREADY_THERE, KEEPER_EXISTS },
    { VAULT_NO_ENTRY, KEEPER_NOT_FOUND },
    { VAULT_REFUSED, KEEPER_REFUSED },
    { -EINVAL, KEEPER_REFUSED },
    { -EBUSY, KEEPER_BUSY },
    { -ETIMEDOUT, KEEPER_TIMED_OUT },
};

enum keeper_result outcome_of(int result)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].result == result)
            return rows[i].told;
    return KEEPER_FAILED;
}
