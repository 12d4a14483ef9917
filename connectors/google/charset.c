/*
 * Charsets and encoded words. Gmail gives most text in UTF-8 already; what it
 * passes on as it was, and what others put in its place, is read here.
 */
#include "charset.h"

#include <string.h>
#include <strings.h>

#define REPLACEMENT "\xef\xbf\xbd"
#define CHARSET_MAX 40

void charset_add(struct aileron_text *text, uint32_t c)
{
    char bytes[4];
    size_t len = 0;

    if (c < 0x80) {
        bytes[len++] = (char) c;
    } else if (c < 0x800) {
        bytes[len++] = (char) (0xc0 | c >> 6);
    } else if (c < 0x10000) {
        bytes[len++] = (char) (0xe0 | c >> 12);
        bytes[len++] = (char) (0x80 | (c >> 6 & 0x3f));
    } else {
        bytes[len++] = (char) (0xf0 | c >> 18);
        bytes[len++] = (char) (0x80 | (c >> 12 & 0x3f));
        bytes[len++] = (char) (0x80 | (c >> 6 & 0x3f));
    }
    if (c >= 0x80)
        bytes[len++] = (char) (0x80 | (c & 0x3f));
    aileron_text_add(text, bytes, len);
}

/* windows-1252, of which ISO-8859-1 is a part in practice. */
static uint32_t western(unsigned char c)
{
    static const uint16_t upper[32] = { 0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122,
        0x0161, 0x203a, 0x0153, 0xfffd, 0x017e, 0x0178 };

    return c >= 0x80 && c < 0xa0 ? upper[c - 0x80] : c;
}

static bool is_western(const char *charset)
{
    static const char *const names[] = { "iso-8859-1", "latin1", "windows-1252", "cp1252", "iso-8859-15", "us-ascii" };

    if (!charset || !*charset)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcasecmp(charset, names[i]) == 0)
            return true;
    return false;
}

static void add_text(struct aileron_text *text, const char *bytes, size_t len, const char *charset)
{
    bool utf8 = aileron_utf8_valid(bytes, len), convert = !utf8 && is_western(charset);

    for (size_t at = 0, size; at < len; at += size) {
        unsigned char c = (unsigned char) bytes[at];

        size = convert || c < 0x80 ? 1 : aileron_utf8_next(bytes + at, len - at);
        if (c == '\r' && at + 1 < len && bytes[at + 1] == '\n')
            continue;
        if (size == 0 || c == 0) {
            aileron_text_add_str(text, REPLACEMENT);
            size = 1;
        } else if (convert) {
            charset_add(text, western(c));
        } else {
            aileron_text_add(text, bytes + at, size);
        }
    }
}

const char *charset_text(struct aileron_call *call, const char *bytes, size_t len, const char *charset)
{
    struct aileron_text text;

    aileron_text_init(&text, call, 3 * len + 1);
    add_text(&text, bytes, len, charset);
    return text.data;
}

static int hex_digit(char c)
{
    char lower = (char) (c | 0x20);

    if (c >= '0' && c <= '9')
        return c - '0';
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The Q encoding of RFC 2047. */
static char *decode_q(struct aileron_call *call, const char *at, size_t len, size_t *ret_len)
{
    char *bytes = aileron_alloc(call, len + 1), *out = bytes;

    for (size_t i = 0; i < len; i++) {
        if (at[i] == '=' && i + 2 < len && hex_digit(at[i + 1]) >= 0 && hex_digit(at[i + 2]) >= 0) {
            *out++ = (char) ((unsigned) hex_digit(at[i + 1]) << 4 | (unsigned) hex_digit(at[i + 2]));
            i += 2;
        } else {
            *out++ = at[i] == '_' ? ' ' : at[i];
        }
    }
    *ret_len = (size_t) (out - bytes);
    return bytes;
}

/* An encoded word at `at`: its text is added, its length returned; 0 when it is none. */
static size_t encoded_word(struct aileron_text *text, const char *at)
{
    size_t charset_len, data_len, len;
    const char *data, *charset, *bytes;
    char encoding;

    if (at[0] != '=' || at[1] != '?')
        return 0;
    charset_len = strcspn(at + 2, "? *");
    if (charset_len == 0 || charset_len > CHARSET_MAX)
        return 0;
    data = at + 2 + charset_len;
    data += strcspn(data, "? "); /* RFC 2231 puts a language after a star */
    if (data[0] != '?' || !data[1] || data[2] != '?')
        return 0;
    encoding = (char) (data[1] | 0x20);
    data += 3;
    data_len = strcspn(data, "? ");
    if (data[data_len] != '?' || data[data_len + 1] != '=')
        return 0;
    charset = aileron_copy(text->call, at + 2, charset_len);
    if (encoding == 'b')
        bytes = aileron_base64_decode(text->call, data, data_len, &len);
    else
        bytes = encoding == 'q' ? decode_q(text->call, data, data_len, &len) : NULL;
    if (!bytes)
        return 0;
    add_text(text, bytes, len, charset);
    return (size_t) (data + data_len + 2 - at);
}

const char *charset_header(struct aileron_call *call, const char *value)
{
    struct aileron_text text;
    bool after_word = false;

    aileron_text_init(&text, call, 3 * strlen(value) + 1);
    while (*value) {
        size_t space = strspn(value, " \t\r\n"), word;
        size_t before = text.len;

        if (space)
            aileron_text_add(&text, " ", 1);
        value += space;
        if (after_word && strncmp(value, "=?", 2) == 0) {
            /* Space between two encoded words is not part of the text. */
            size_t kept = text.len;

            text.len = before;
            word = encoded_word(&text, value);
            if (!word)
                text.len = kept;
        } else {
            word = encoded_word(&text, value);
        }
        after_word = word > 0;
        if (!word) {
            word = strcspn(value, " \t\r\n=");
            word += word == 0 && *value == '=';
            aileron_text_add(&text, value, word);
        }
        value += word;
    }
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char) text.data[i] < 0x20 || text.data[i] == 0x7f)
            text.data[i] = ' ';
    text.data[text.len] = '\0';
    return text.data;
}

const char *charset_parameter(struct aileron_call *call, const char *value, const char *name)
{
    size_t name_len = strlen(name);

    while (value && (value = strchr(value, ';'))) {
        value++;
        value += strspn(value, " \t\r\n");
        if (strncasecmp(value, name, name_len) == 0 && value[name_len] == '=') {
            value += name_len + 1;
            if (*value == '"')
                return aileron_copy(call, value + 1, strcspn(value + 1, "\""));
            return aileron_copy(call, value, strcspn(value, "; \t\r\n"));
        }
    }
    return NULL;
}
