/* Bytes that may begin an escape or a line break; all others have one reading. */
#include "keeper/reading.h"

#include <string.h>

#include "base/banned.h"

#define CR                   '\r'
#define LF                   '\n'
#define IS_HIGH(unit)        ((unit) >= 0xd800 && (unit) < 0xdc00)
#define IS_LOW(unit)         ((unit) >= 0xdc00 && (unit) < 0xe000)
#define FROM_PAIR(high, low) (0x10000u + (((high) -0xd800u) << 10) + ((low) -0xdc00u))

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The number that `digits` hexadecimal digits make, or -1. */
static int32_t hex_number(const uint8_t *text, size_t len, size_t digits)
{
    int32_t number = 0;

    if (len < digits)
        return -1;
    for (size_t i = 0; i < digits; i++) {
        int value = hex_value(text[i]);

        if (value < 0)
            return -1;
        number = number * 16 + value;
    }
    return number;
}

static struct reading one_byte(size_t len, uint8_t byte)
{
    return (struct reading){ .len = (uint8_t) len, .n = 1, .bytes = { byte } };
}

static struct reading utf8_of(size_t len, uint32_t code)
{
    struct reading reading = { .len = (uint8_t) len };

    if (code < 0x80)
        return one_byte(len, (uint8_t) code);
    reading.n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = reading.n - 1u; i > 0; i--, code >>= 6)
        reading.bytes[i] = (uint8_t) (0x80 | (code & 0x3f));
    reading.bytes[0] = (uint8_t) ((0xf00u >> reading.n) | code);
    return reading;
}

/* \uXXXX, or two of them that are one character; half a pair is none. */
static bool unicode_read(const uint8_t *text, size_t len, struct reading *reading)
{
    int32_t unit = hex_number(text + 2, len - 2, 4), low = -1;

    if (unit < 0)
        return false;
    if (IS_HIGH(unit) && len >= 12 && text[6] == '\\' && text[7] == 'u')
        low = hex_number(text + 8, len - 8, 4);
    if (IS_LOW(unit) || (IS_HIGH(unit) && !IS_LOW(low)))
        return false;
    *reading = low >= 0 ? utf8_of(12, FROM_PAIR((uint32_t) unit, (uint32_t) low)) : utf8_of(6, (uint32_t) unit);
    return true;
}

/* What stands behind a backslash in a short escape, as it is read; 0 for what is none. */
static uint8_t short_escape(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return LF;
    case 'r':
        return CR;
    case 't':
        return '\t';
    default:
        return 0;
    }
}

/* What an escape stands for; false when none begins here. */
static bool escape_read(const uint8_t *text, size_t len, struct reading *reading)
{
    int32_t byte = -1;

    if (len < 2)
        return false;
    if (text[0] == '%' && (byte = hex_number(text + 1, len - 1, 2)) >= 0) {
        *reading = one_byte(3, (uint8_t) byte);
        return true;
    }
    if (text[0] != '\\')
        return false;
    if (text[1] == 'u')
        return unicode_read(text, len, reading);
    *reading = one_byte(2, short_escape(text[1]));
    return reading->bytes[0] != 0;
}

/* Bytes that stand for the control character `c` here; 0 when something else does. */
static size_t control_len(const uint8_t *text, size_t len, uint8_t c)
{
    struct reading reading;

    if (len > 0 && text[0] == c)
        return 1;
    return escape_read(text, len, &reading) && reading.n == 1 && reading.bytes[0] == c ? reading.len : 0;
}

/* Says at once that most escapes are none of a line break. */
static bool may_break(const uint8_t *text, size_t len)
{
    uint8_t next = len > 1 ? text[1] : 0;

    return (text[0] != '%' && text[0] != '\\') || (text[0] == '%' ? next == '0' : next == 'r' || next == 'n' || next == 'u');
}

/* CR, LF or both, escaped or not. */
static size_t line_break_len(const uint8_t *text, size_t len)
{
    size_t cr = may_break(text, len) ? control_len(text, len, CR) : 0;

    return cr + (cr > 0 || may_break(text, len) ? control_len(text + cr, len - cr, LF) : 0);
}

/* The byte itself and its escape; `skipped` bytes were left out before it. */
static size_t plain_readings(const uint8_t *text, size_t len, size_t skipped, struct reading *out)
{
    size_t n = 1;

    out[0] = one_byte(1, text[0]);
    if (escape_read(text, len, &out[1]))
        n++;
    for (size_t i = 0; i < n; i++) {
        out[i].wrapped = skipped > 0;
        out[i].len = (uint8_t) (out[i].len + skipped);
    }
    return n;
}

size_t readings_of_special(const uint8_t *text, size_t len, struct reading out[READINGS_MAX])
{
    size_t n = plain_readings(text, len, 0, out), skipped = line_break_len(text, len);

    if (skipped > 0 && skipped < len)
        n += plain_readings(text + skipped, len - skipped, skipped, out + n);
    return n;
}
