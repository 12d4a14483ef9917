/*
 * The cleaner of guest text. It decodes UTF-8 strictly (RFC 3629: no overlong
 * forms, no surrogates) and lets through what a person can read: everything
 * except C0 and C1 controls, line and paragraph separators, the marks that turn
 * the direction of text around, and the byte order mark.
 */
#include "worker/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/banned.h"

/* Bytes of the character that starts with `first`; 0 when none does. */
static size_t length_of(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xC2)
        return 0;
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
}

/* Decodes one character; 0 when the bytes are not UTF-8. */
static size_t decode(const unsigned char *text, size_t len, uint32_t *ret_point)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char first = text[0];
    size_t need = length_of(first);
    uint32_t point = need == 1 ? first : first & (0xFFu >> (need + 1));

    if (need == 0 || need > len)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((text[i] & 0xC0) != 0x80)
            return 0;
        point = point << 6 | (text[i] & 0x3F);
    }
    if (point < least[need] || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF))
        return 0;
    *ret_point = point;
    return need;
}

static bool is_blank(uint32_t point)
{
    return point <= ' ' || (point >= 0x7F && point <= 0xA0) || point == 0x2028 || point == 0x2029;
}

static bool is_hidden(uint32_t point)
{
    return (point >= 0x200B && point <= 0x200F) || (point >= 0x202A && point <= 0x202E) || (point >= 0x2060 && point <= 0x206F) ||
           point == 0x061C || point == 0xFEFF || (point >= 0xFFF9 && point <= 0xFFFB) || point >= 0xE0000;
}

size_t text_clean(const char *text, size_t len, char *out, size_t size)
{
    const unsigned char *at = (const unsigned char *) text;
    const unsigned char *end = at + len;
    size_t used = 0;
    bool blank = false;

    while (at < end) {
        uint32_t point = 0;
        size_t taken = decode(at, (size_t) (end - at), &point);
        const char *bytes = taken ? (const char *) at : "\xEF\xBF\xBD";
        size_t bytes_len = taken ? taken : 3;

        at += taken ? taken : 1;
        if (taken && is_hidden(point))
            continue;
        if (taken && is_blank(point)) {
            blank = used > 0;
            continue;
        }
        if (used + blank + bytes_len >= size)
            break;
        if (blank)
            out[used++] = ' ';
        blank = false;
        memcpy(out + used, bytes, bytes_len);
        used += bytes_len;
    }
    out[used] = 0;
    return used;
}
