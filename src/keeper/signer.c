/* See the header. */
#include "keeper/signer.h"

#include <string.h>

#include "base/banned.h"

bool signer_allows(const struct signer *signer, uint64_t seq, const uint8_t hash[SHA256_BYTES])
{
    if (!signer->any || seq > signer->seq)
        return true;
    return seq == signer->seq && !memcmp(signer->hash, hash, SHA256_BYTES);
}

void signer_note(struct signer *signer, uint64_t seq, const uint8_t hash[SHA256_BYTES])
{
    *signer = (struct signer){ .any = true, .seq = seq };
    memcpy(signer->hash, hash, SHA256_BYTES);
}
