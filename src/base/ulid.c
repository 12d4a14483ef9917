/*
 * ULIDs. The last identifier is kept: within the same millisecond, or when the
 * clock went back, the next one is the last plus one, so that order of creation is
 * order of text. Not for use from several threads.
 */
#include "base/ulid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/banned.h"

#define PREFIX_MAX 8
#define TIME_BYTES 6
#define ULID_BYTES 16

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
static uint8_t last[ULID_BYTES];

static void set_time(uint8_t id[ULID_BYTES], int64_t unix_ms)
{
    for (int i = TIME_BYTES - 1; i >= 0; i--, unix_ms >>= 8)
        id[i] = (uint8_t) unix_ms;
}

static int64_t get_time(const uint8_t id[ULID_BYTES])
{
    int64_t unix_ms = 0;

    for (int i = 0; i < TIME_BYTES; i++)
        unix_ms = (unix_ms << 8) | id[i];
    return unix_ms;
}

/* 128 bits as 26 digits of five bits, the first one of three. */
static void encode(const uint8_t id[ULID_BYTES], char *out)
{
    unsigned bits = 0, value = 0;
    int at = ULID_LEN - 1;

    for (int i = ULID_BYTES - 1; i >= 0; i--) {
        value |= (unsigned) id[i] << bits;
        bits += 8;
        for (; bits >= 5; bits -= 5, value >>= 5)
            out[at--] = alphabet[value & 31];
    }
    out[at] = alphabet[value & 31];
    out[ULID_LEN] = '\0';
}

char *ulid_new(const char *prefix, int64_t unix_ms, char out[ULID_ID_MAX])
{
    size_t prefix_len = strlen(prefix);

    if (prefix_len > PREFIX_MAX)
        abort();
    if (unix_ms > get_time(last)) {
        set_time(last, unix_ms);
        if (getrandom(last + TIME_BYTES, ULID_BYTES - TIME_BYTES, 0) != ULID_BYTES - TIME_BYTES)
            abort();
        /* Leaves room to count up within this millisecond. */
        last[TIME_BYTES] &= 0x7f;
    } else {
        for (int i = ULID_BYTES - 1; i >= 0 && ++last[i] == 0; i--)
            continue;
    }
    memcpy(out, prefix, prefix_len);
    encode(last, out + prefix_len);
    return out;
}

bool ulid_is_valid(const char *prefix, const char *id)
{
    size_t prefix_len = strlen(prefix);

    if (strncmp(id, prefix, prefix_len))
        return false;
    id += prefix_len;
    return strspn(id, alphabet) == ULID_LEN && id[ULID_LEN] == '\0' && id[0] <= '7';
}
