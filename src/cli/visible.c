/*
 * Two tables of ranges and one walk over the words. A letter of another script counts as posing when its word (up to the next
 * space) also has Latin letters; whole words of another script are left alone.
 */
#include "cli/visible.h"

#include "base/cleanup.h"
#include "cli/term.h"

#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "base/banned.h"

#define MARKS_MAX 3              /* combining characters on one letter */
#define OPEN      "\xe2\x9f\xa8" /* U+27E8 */
#define CLOSE     "\xe2\x9f\xa9" /* U+27E9 */

struct range {
    uint32_t first, last;
};

/* Controls, formats, blanks other than the space, letters without a shape, private use, no characters. */
static const struct range UNSEEN[] = { { 0x0000, 0x001f }, { 0x007f, 0x00a0 }, { 0x00ad, 0x00ad }, { 0x034f, 0x034f },
    { 0x0600, 0x0605 }, { 0x061c, 0x061c }, { 0x06dd, 0x06dd }, { 0x070f, 0x070f }, { 0x115f, 0x1160 }, { 0x1680, 0x1680 },
    { 0x17b4, 0x17b5 }, { 0x180b, 0x180f }, { 0x2000, 0x200f }, { 0x2028, 0x202f }, { 0x205f, 0x206f }, { 0x2800, 0x2800 },
    { 0x3000, 0x3000 }, { 0x3164, 0x3164 }, { 0xe000, 0xf8ff }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 },
    { 0xfff0, 0xfffb }, { 0xfffe, 0xffff }, { 0x13430, 0x13455 }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a },
    { 0xe0000, 0x10ffff } };

/* Letters that look like Latin ones: Greek, Cyrillic, Armenian, Cherokee, Lisu. */
static const struct range POSING[] = { { 0x0370, 0x03ff }, { 0x0400, 0x052f }, { 0x0530, 0x058f }, { 0x13a0, 0x13ff },
    { 0x1c80, 0x1c8f }, { 0x1f00, 0x1fff }, { 0x2de0, 0x2dff }, { 0xa4d0, 0xa4ff }, { 0xa640, 0xa69f }, { 0xab70, 0xabbf },
    { 0x11fb0, 0x11fbf } };

/* Signs that look like those of addresses, and dressed-up forms of ASCII, which pose wherever they stand. */
static const struct range DRESSED[] = { { 0x01c3, 0x01c3 }, { 0x02d0, 0x02d0 }, { 0x2024, 0x2024 }, { 0x2027, 0x2027 },
    { 0x2044, 0x2044 }, { 0x2102, 0x2102 }, { 0x210a, 0x2113 }, { 0x2115, 0x2115 }, { 0x2119, 0x211d }, { 0x2124, 0x2124 },
    { 0x2128, 0x2128 }, { 0x212a, 0x212d }, { 0x212f, 0x2134 }, { 0x2139, 0x2139 }, { 0x2145, 0x2149 }, { 0x2215, 0x2215 },
    { 0x2236, 0x2236 }, { 0x29f8, 0x29f8 }, { 0x30fb, 0x30fb }, { 0xa789, 0xa789 }, { 0xa78f, 0xa78f }, { 0xfe52, 0xfe6b },
    { 0xff01, 0xff5e }, { 0x1d400, 0x1d7ff }, { 0x1f110, 0x1f189 } };

static bool is_in(uint32_t c, const struct range *ranges, size_t len)
{
    size_t low = 0, high = len;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (c > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < len && c >= ranges[low].first;
}

bool text_is_unseen(uint32_t c)
{
    return is_in(c, UNSEEN, ARRAY_LEN(UNSEEN)) || (c > 0x7f && !iswprint((wint_t) c));
}

static bool is_latin(uint32_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= 0xc0 && c <= 0x24f && c != 0xd7 && c != 0xf7);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool has_latin(const char *word, size_t len)
{
    for (size_t at = 0; at < len;) {
        uint32_t c = 0;
        size_t used = text_decode((const unsigned char *) word + at, len - at, &c);

        if (used && is_latin(c))
            return true;
        at += used ? used : 1;
    }
    return false;
}

static int add_number(uint32_t c, struct buf *out)
{
    return buf_printf(out, OPEN "U+%04X" CLOSE, (unsigned) c);
}

static int add_word(const char *word, size_t len, struct buf *out)
{
    bool latin = has_latin(word, len);
    unsigned marks = 0;
    int r = 0;

    for (size_t at = 0; at < len && r >= 0;) {
        uint32_t c = 0;
        size_t used = text_decode((const unsigned char *) word + at, len - at, &c);

        if (used == 1 && c > 0x1f && c < 0x7f) {
            marks = 0;
            r = buf_add_char(out, (char) c);
            at++;
            continue;
        }
        if (!used) { /* no character at all: its byte */
            r = buf_printf(out, OPEN "0x%02X" CLOSE, (unsigned) (unsigned char) word[at++]);
            continue;
        }
        marks = wcwidth((wchar_t) c) == 0 ? marks + 1 : 0;
        if (text_is_unseen(c) || marks > MARKS_MAX)
            r = add_number(c, out);
        else
            r = buf_add(out, word + at, used);
        if (r >= 0 && !text_is_unseen(c) &&
            (is_in(c, DRESSED, ARRAY_LEN(DRESSED)) || (latin && is_in(c, POSING, ARRAY_LEN(POSING)))))
            r = add_number(c, out);
        at += used;
    }
    return r;
}

int text_visible(const char *text, size_t len, bool keep_lines, struct buf *out)
{
    int r = 0;

    for (size_t at = 0; at < len && r >= 0;) {
        size_t word = 0;

        while (at + word < len && !is_blank(text[at + word]))
            word++;
        if (word)
            r = add_word(text + at, word, out);
        at += word;
        if (r < 0 || at >= len)
            break;
        if (text[at] == '\r') /* alone it would write over the line; before a newline it is its other half */
            r = keep_lines && at + 1 < len && text[at + 1] == '\n' ? 0 : add_number('\r', out);
        else
            r = buf_add_char(out, keep_lines ? text[at] : ' ');
        at++;
    }
    return r;
}
