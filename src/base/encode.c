/*
 * Base64, hexadecimal, percent-encoding and the UTF-8 check. Decoders accept
 * one spelling of each value only, so that equal bytes have equal text.
 */
#include "base/encode.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char urlsafe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static int encode(const uint8_t *in, size_t len, const char *alphabet, bool pad, struct buf *out)
{
    size_t need = len / 3 * 4 + (len % 3 ? 4 : 0), tail = len % 3;
    int r = len > SIZE_MAX / 2 ? -E2BIG : buf_reserve(out, need);
    char *to;

    if (r < 0)
        return r;
    to = out->data + out->len;
    for (; len >= 3; in += 3, len -= 3) {
        *to++ = alphabet[in[0] >> 2];
        *to++ = alphabet[(in[0] & 3) << 4 | in[1] >> 4];
        *to++ = alphabet[(in[1] & 15) << 2 | in[2] >> 6];
        *to++ = alphabet[in[2] & 63];
    }
    if (tail) {
        unsigned second = tail == 2 ? in[1] : 0;

        *to++ = alphabet[in[0] >> 2];
        *to++ = alphabet[(in[0] & 3) << 4 | second >> 4];
        if (tail == 2)
            *to++ = alphabet[(second & 15) << 2];
        for (size_t i = tail; pad && i < 3; i++)
            *to++ = '=';
    }
    *to = '\0';
    out->len = (size_t) (to - out->data);
    return 0;
}

int base64_encode(const void *data, size_t len, struct buf *out)
{
    return encode(data, len, standard, true, out);
}

int base64url_encode(const void *data, size_t len, struct buf *out)
{
    return encode(data, len, urlsafe, false, out);
}

/* Value of a digit of either alphabet; `*seen` collects which one's own digits were met. */
static int digit_value(char c, unsigned *seen)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '/') {
        *seen |= 1;
        return c == '+' ? 62 : 63;
    }
    if (c == '-' || c == '_') {
        *seen |= 2;
        return c == '-' ? 62 : 63;
    }
    return -1;
}

/* Cuts the padding; -EINVAL when there is some and it is not right. */
static int cut_padding(const char *text, size_t *len)
{
    size_t pads = 0;

    while (pads < *len && pads < 2 && text[*len - 1 - pads] == '=')
        pads++;
    if (pads && *len % 4)
        return -EINVAL;
    *len -= pads;
    return *len % 4 == 1 || (pads && *len % 4 != 4 - pads) ? -EINVAL : 0;
}

int base64_decode(const char *text, size_t len, struct buf *out)
{
    unsigned bits = 0, value = 0, seen = 0;
    char *to;
    int r = cut_padding(text, &len);

    if (r < 0)
        return r;
    r = buf_reserve(out, len / 4 * 3 + len % 4 * 3 / 4);
    if (r < 0)
        return r;
    to = out->data + out->len;
    for (size_t i = 0; i < len; i++) {
        int digit = digit_value(text[i], &seen);

        if (digit < 0 || seen == 3)
            break;
        value = value << 6 | (unsigned) digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *to++ = (char) (value >> bits);
            value &= (1u << bits) - 1;
        }
        if (i + 1 == len && value == 0) {
            out->len = (size_t) (to - out->data);
            out->data[out->len] = '\0';
            return 0;
        }
    }
    out->data[out->len] = '\0';
    return len == 0 ? 0 : -EINVAL;
}

void hex_encode(const void *data, size_t len, char *out)
{
    const uint8_t *in = data;

    for (size_t i = 0; i < len; i++) {
        *out++ = "0123456789abcdef"[in[i] >> 4];
        *out++ = "0123456789abcdef"[in[i] & 15];
    }
    *out = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hex_decode(const char *text, void *out, size_t len)
{
    uint8_t *to = out;

    for (size_t i = 0; i < len; i++) {
        int high = hex_value(text[2 * i]);
        int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);

        if (low < 0)
            return -EINVAL;
        to[i] = (uint8_t) (high << 4 | low);
    }
    return text[2 * len] == '\0' ? 0 : -EINVAL;
}

static bool is_unreserved(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c));
}

int percent_encode(const char *text, size_t len, struct buf *out)
{
    size_t before = out->len;
    int r = 0;

    for (size_t i = 0; i < len && r == 0; i++) {
        if (is_unreserved(text[i]))
            r = buf_add_char(out, text[i]);
        else
            r = buf_printf(out, "%%%02X", (unsigned) (uint8_t) text[i]);
    }
    if (r < 0 && out->data) {
        out->len = before;
        out->data[before] = '\0';
    }
    return r;
}

size_t utf8_step(const char *text, size_t len)
{
    const uint8_t *s = (const uint8_t *) text;
    uint8_t low = 0x80, high = 0xbf;
    size_t n;

    if (len == 0 || s[0] == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (len < n)
        return 0;
    /* Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte. */
    if (s[0] == 0xe0)
        low = 0xa0;
    else if (s[0] == 0xed)
        high = 0x9f;
    else if (s[0] == 0xf0)
        low = 0x90;
    else if (s[0] == 0xf4)
        high = 0x8f;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

bool utf8_is_valid(const char *text, size_t len)
{
    while (len > 0) {
        size_t n = utf8_step(text, len);

        if (n == 0)
            return false;
        text += n;
        len -= n;
    }
    return true;
}

void utf8_mend(char *text)
{
    size_t len = strlen(text), at = 0;

    while (at < len) {
        size_t n = utf8_step(text + at, len - at);

        if (n == 0)
            text[at] = '?';
        at += n > 0 ? n : 1;
    }
}
