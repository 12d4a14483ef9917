/*
 * ULIDs (github.com/ulid/spec): 48 bits of milliseconds, 80 random bits, 26
 * characters of Crockford base 32. Ours carry a prefix such as "aud_". Within a
 * process they are strictly increasing, also inside one millisecond.
 */
#ifndef BASE_ULID_H
#define BASE_ULID_H

#include <stdbool.h>
#include <stdint.h>

#define ULID_LEN    26
#define ULID_ID_MAX (8 + ULID_LEN + 1)

/* "<prefix><26 characters>"; prefix at most 8 characters. Returns `out`. */
char *ulid_new(const char *prefix, int64_t unix_ms, char out[ULID_ID_MAX]);
bool ulid_is_valid(const char *prefix, const char *id);

#endif
