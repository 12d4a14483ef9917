/*
 * A walk over the members of the outermost object, and of `params` and `error` in it; all else is skipped by counting
 * brackets outside strings.
 */
#include "relay/scan.h"

#include "base/encode.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

struct cursor {
    const char *at, *end;
};

static void skip_space(struct cursor *cursor)
{
    while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) && *cursor->at)
        cursor->at++;
}

static bool take_char(struct cursor *cursor, char c)
{
    skip_space(cursor);
    if (cursor->at == cursor->end || *cursor->at != c)
        return false;
    cursor->at++;
    return true;
}

/* From the opening quote to behind the closing one. */
static bool skip_string(struct cursor *cursor)
{
    for (cursor->at++; cursor->at < cursor->end; cursor->at++) {
        if (*cursor->at == '\\')
            cursor->at++;
        else if (*cursor->at == '"') {
            cursor->at++;
            return true;
        }
    }
    cursor->at = cursor->end;
    return false;
}

static bool skip_nested(struct cursor *cursor)
{
    size_t depth = 0;

    while (cursor->at < cursor->end) {
        char c = *cursor->at;

        if (c == '"') {
            if (!skip_string(cursor))
                return false;
            continue;
        }
        cursor->at++;
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        if (!depth)
            return true;
    }
    return false;
}

/* Any value; its slice is as it was sent. */
static bool take_value(struct cursor *cursor, struct scan_slice *ret_value)
{
    skip_space(cursor);
    const char *start = cursor->at;
    bool whole = true;

    if (start == cursor->end)
        return false;
    if (*start == '"') {
        whole = skip_string(cursor);
    } else if (*start == '{' || *start == '[') {
        whole = skip_nested(cursor);
    } else {
        while (cursor->at < cursor->end && !strchr(",}] \t\r\n", *cursor->at))
            cursor->at++;
    }
    *ret_value = (struct scan_slice){ start, (size_t) (cursor->at - start) };
    return whole && ret_value->len;
}

/* The text between the quotes; absent when it is none. */
static struct scan_slice text_of(struct scan_slice value)
{
    if (value.len < 2 || value.at[0] != '"')
        return (struct scan_slice){ NULL, 0 };
    return (struct scan_slice){ value.at + 1, value.len - 2 };
}

bool scan_is(struct scan_slice slice, const char *text)
{
    return slice.at && slice.len == strlen(text) && !memcmp(slice.at, text, slice.len);
}

typedef void member_fn(struct scan *scan, struct scan_slice key, struct scan_slice value);

static void walk(struct scan_slice object, member_fn *fn, struct scan *scan)
{
    struct cursor cursor = { object.at, object.at + object.len };
    struct scan_slice key, value;

    if (!take_char(&cursor, '{'))
        return;
    do {
        if (!take_value(&cursor, &key) || !text_of(key).at || !take_char(&cursor, ':') || !take_value(&cursor, &value))
            return;
        fn(scan, text_of(key), value);
    } while (take_char(&cursor, ','));
}

static struct scan_slice id_of(struct scan_slice value)
{
    return scan_is(value, "null") ? (struct scan_slice){ NULL, 0 } : value;
}

static void take_param(struct scan *scan, struct scan_slice key, struct scan_slice value)
{
    if (scan_is(key, "requestId"))
        scan->requested = id_of(value);
    else if (scan_is(key, "name"))
        scan->tool = text_of(value);
    else if (scan_is(key, "protocolVersion"))
        scan->version = text_of(value);
}

static void take_error(struct scan *scan, struct scan_slice key, struct scan_slice value)
{
    char number[16] = "";

    if (scan_is(key, "message"))
        scan->error_text = text_of(value);
    if (!scan_is(key, "code") || value.len >= sizeof number)
        return;
    memcpy(number, value.at, value.len);
    scan->error_code = strtol(number, NULL, 10);
}

static void take_member(struct scan *scan, struct scan_slice key, struct scan_slice value)
{
    if (scan_is(key, "id")) {
        scan->id = id_of(value);
    } else if (scan_is(key, "method")) {
        scan->method = text_of(value);
    } else if (scan_is(key, "result")) {
        scan->answers = true;
    } else if (scan_is(key, "error")) {
        scan->answers = true;
        walk(value, take_error, scan);
    } else if (scan_is(key, "params")) {
        walk(value, take_param, scan);
    }
}

void scan_line(const char *line, size_t len, struct scan *ret_scan)
{
    *ret_scan = (struct scan){ 0 };
    walk((struct scan_slice){ line, len }, take_member, ret_scan);
}

/* ---- ids ---- */

static int hex4(const char *text, const char *end, uint32_t *ret_code)
{
    char digits[5] = "";

    if (end - text < 4)
        return -EINVAL;
    memcpy(digits, text, 4);
    if (strspn(digits, "0123456789abcdefABCDEF") < 4)
        return -EINVAL;
    *ret_code = (uint32_t) strtoul(digits, NULL, 16);
    return 0;
}

static bool text_is_good(struct scan_slice text)
{
    const char *end = text.at + text.len;
    uint32_t code;

    for (const char *at = text.at; at < end; at++) {
        if ((unsigned char) *at < ' ')
            return false;
        if (*at != '\\')
            continue;
        at++;
        if (!strchr("\"\\/bfnrtu", *at) || (*at == 'u' && hex4(at + 1, end, &code) < 0))
            return false;
    }
    return utf8_is_valid(text.at, text.len);
}

bool scan_id_is_good(struct scan_slice id)
{
    struct scan_slice text = text_of(id);
    size_t sign = id.at && id.len && id.at[0] == '-', digits = 0;

    if (text.at)
        return text_is_good(text);
    while (id.at && sign + digits < id.len && id.at[sign + digits] >= '0' && id.at[sign + digits] <= '9')
        digits++;
    return digits && sign + digits == id.len && (digits == 1 || id.at[sign] != '0');
}

static int add_utf8(struct buf *out, uint32_t code)
{
    char bytes[4];
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        bytes[i] = (char) (0x80 | (code & 0x3f));
    bytes[0] = (char) (len == 1 ? code : (0xf00u >> len & 0xf0u) | code);
    return buf_add(out, bytes, len);
}

/* Behind `\u`; moves `at` over what it took. */
static int add_unicode(struct buf *out, const char **at, const char *end)
{
    uint32_t code = 0, low = 0;

    if (hex4(*at, end, &code) < 0)
        return buf_add_char(out, '?');
    *at += 4;
    if (code >= 0xd800 && code < 0xdc00 && end - *at >= 6 && !memcmp(*at, "\\u", 2) && !hex4(*at + 2, end, &low) &&
        low >= 0xdc00 && low < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *at += 6;
    }
    return add_utf8(out, code);
}

static int add_escaped(struct buf *out, const char **at, const char *end)
{
    static const char FROM[] = "bfnrt", TO[] = "\b\f\n\r\t";
    char c = *(*at)++;
    const char *found = c ? strchr(FROM, c) : NULL;

    return c == 'u' ? add_unicode(out, at, end) : buf_add_char(out, found ? TO[found - FROM] : c);
}

int scan_id_plain(struct scan_slice id, struct buf *out)
{
    struct scan_slice text = text_of(id);
    int r = buf_add_char(out, text.at ? 't' : 'n');

    if (!text.at)
        return r < 0 ? r : buf_add(out, id.at, id.len);
    const char *at = text.at, *end = text.at + text.len;
    while (at < end && r >= 0) {
        if (*at == '\\' && at + 1 < end) {
            at++;
            r = add_escaped(out, &at, end);
        } else {
            r = buf_add_char(out, *at++);
        }
    }
    return r;
}
