/*
 * Text: the growing buffer, formatting, UTF-8, percent-escapes, base64.
 */
#include "internal.h"

#include <stdio.h>
#include <string.h>

void aileron_text_init(struct aileron_text *text, struct aileron_call *call, size_t max_bytes)
{
    *text = (struct aileron_text){ .call = call, .max = max_bytes };
    text->cap = 64;
    text->data = aileron_alloc(call, text->cap);
}

void aileron_text_add(struct aileron_text *text, const char *bytes, size_t len)
{
    if (text->overflow || len > text->max - text->len) {
        text->overflow = true;
        return;
    }
    if (len >= text->cap - text->len) {
        size_t cap = text->cap * 2 > text->len + len ? text->cap * 2 : text->len + len + 1;
        char *data = aileron_alloc(text->call, cap);

        memcpy(data, text->data, text->len);
        text->data = data;
        text->cap = cap;
    }
    if (len)
        memcpy(text->data + text->len, bytes, len);
    text->len += len;
    text->data[text->len] = '\0';
}

void aileron_text_add_str(struct aileron_text *text, const char *string)
{
    aileron_text_add(text, string, strlen(string));
}

static char *format_text(struct aileron_call *call, const char *format, va_list args)
{
    char small[256];
    va_list again;
    char *large;
    int len;

    va_copy(again, args);
    len = vsnprintf(small, sizeof(small), format, args);
    if (len < 0)
        large = aileron_copy(call, "", 0);
    else if ((size_t) len < sizeof(small))
        large = aileron_copy(call, small, (size_t) len);
    else {
        large = aileron_alloc(call, (size_t) len + 1);
        vsnprintf(large, (size_t) len + 1, format, again);
    }
    va_end(again);
    return large;
}

void aileron_text_printf(struct aileron_text *text, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    aileron_text_add_str(text, format_text(text->call, format, args));
    va_end(args);
}

char *aileron_printf(struct aileron_call *call, const char *format, ...)
{
    va_list args;
    char *text;

    va_start(args, format);
    text = format_text(call, format, args);
    va_end(args);
    return text;
}

size_t aileron_utf8_next(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *) text;
    size_t size;
    uint32_t c;

    if (len == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || size > len)
        return 0;
    c = s[0] & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    if ((size == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) || (size == 4 && (c < 0x10000 || c > 0x10ffff)))
        return 0;
    return size;
}

bool aileron_utf8_valid(const char *text, size_t len)
{
    for (size_t at = 0, size; at < len; at += size) {
        size = aileron_utf8_next(text + at, len - at);
        if (size == 0)
            return false;
    }
    return true;
}

static bool unreserved(unsigned char c)
{
    unsigned char lower = c | 0x20;

    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

char *aileron_url_escape(struct aileron_call *call, const char *text)
{
    static const char hex[] = "0123456789ABCDEF";
    char *escaped = aileron_alloc(call, strlen(text) * 3 + 1), *out = escaped;

    for (const unsigned char *at = (const unsigned char *) text; *at; at++) {
        if (unreserved(*at)) {
            *out++ = (char) *at;
        } else {
            *out++ = '%';
            *out++ = hex[*at >> 4];
            *out++ = hex[*at & 15];
        }
    }
    return escaped;
}

char *aileron_base64(struct aileron_call *call, const char *bytes, size_t len, bool url_alphabet, size_t *ret_len)
{
    static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *alphabet = url_alphabet ? url : standard;
    const unsigned char *in = (const unsigned char *) bytes;
    char *text = aileron_alloc(call, (len + 2) / 3 * 4 + 1), *out = text;

    for (size_t at = 0; at < len; at += 3) {
        size_t left = len - at;
        uint32_t group = (uint32_t) in[at] << 16 | (left > 1 ? (uint32_t) in[at + 1] << 8 : 0) | (left > 2 ? in[at + 2] : 0u);

        *out++ = alphabet[group >> 18];
        *out++ = alphabet[group >> 12 & 63];
        if (left > 1)
            *out++ = alphabet[group >> 6 & 63];
        if (left > 2)
            *out++ = alphabet[group & 63];
        for (size_t pad = left; pad < 3 && !url_alphabet; pad++)
            *out++ = '=';
    }
    if (ret_len)
        *ret_len = (size_t) (out - text);
    return text;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

char *aileron_base64_decode(struct aileron_call *call, const char *text, size_t len, size_t *ret_len)
{
    char *bytes = aileron_alloc(call, len / 4 * 3 + 4), *out = bytes;
    uint32_t group = 0;
    unsigned digits = 0, padding = 0;

    for (size_t at = 0; at < len; at++) {
        int digit = base64_digit(text[at]);

        if (text[at] == '\r' || text[at] == '\n')
            continue;
        if (text[at] == '=') {
            padding++;
            continue;
        }
        if (digit < 0 || padding)
            return NULL;
        group = group << 6 | (uint32_t) digit;
        if (++digits == 4) {
            *out++ = (char) (group >> 16);
            *out++ = (char) (group >> 8);
            *out++ = (char) group;
            digits = 0;
            group = 0;
        }
    }
    if (digits == 1 || padding > 2 || (padding && (digits + padding) % 4 != 0))
        return NULL;
    if (digits > 1)
        *out++ = (char) (group >> (digits == 2 ? 4 : 10));
    if (digits == 3)
        *out++ = (char) (group >> 2);
    *out = '\0';
    if (ret_len)
        *ret_len = (size_t) (out - bytes);
    return bytes;
}
