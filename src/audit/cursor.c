/* See the header. */
#include "audit/cursor.h"

#include <string.h>

#include "base/banned.h"

#define DIGITS_MAX 18

bool audit_take(struct audit_cursor *cursor, const char *expected)
{
    size_t len = strlen(expected);

    if ((size_t) (cursor->end - cursor->at) < len || memcmp(cursor->at, expected, len) != 0)
        return false;
    cursor->at += len;
    return true;
}

bool audit_take_number(struct audit_cursor *cursor, uint64_t *ret_number)
{
    const char *start = cursor->at;
    uint64_t number = 0;

    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
        if (cursor->at - start >= DIGITS_MAX)
            return false;
        number = number * 10 + (uint64_t) (*cursor->at++ - '0');
    }
    *ret_number = number;
    return cursor->at > start && *start != '0';
}

bool audit_take_text(struct audit_cursor *cursor, size_t max, struct audit_span *ret_span)
{
    size_t left = (size_t) (cursor->end - cursor->at), look = left < max + 1 ? left : max + 1;
    const char *quote = memchr(cursor->at, '"', look);

    if (!quote || quote == cursor->at || memchr(cursor->at, '\\', (size_t) (quote - cursor->at)))
        return false;
    *ret_span = (struct audit_span){ cursor->at, (size_t) (quote - cursor->at) };
    cursor->at = quote + 1;
    return true;
}

bool audit_is_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}
