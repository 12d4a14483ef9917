/*
 * A form of the secret is a text; at each of its characters the body is compared with every way to write that character. All
 * the places where the body may go on after a character are kept.
 */
#include "keeper/test-echo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/encode.h"

#include "base/banned.h"

#define PLACES_MAX 4096
#define FORM_MAX   (1 << 17)

enum kind { KIND_RAW, KIND_HEX, KIND_BASE64 };

struct search {
    const char *form;
    size_t form_len;
    enum kind kind;
    const char *body;
    size_t len;
};

struct places {
    size_t at[PLACES_MAX];
    size_t len;
};

static void place_add(struct places *places, size_t at)
{
    for (size_t i = 0; i < places->len; i++)
        if (places->at[i] == at)
            return;
    if (places->len == PLACES_MAX)
        abort();
    places->at[places->len++] = at;
}

/* Length of `text` when the body has it at `at`, its letters in any case when `folded`; else 0. */
static size_t has(const struct search *search, size_t at, const char *text, size_t len, bool folded)
{
    if (at > search->len || search->len - at < len)
        return 0;
    return (folded ? strncasecmp(search->body + at, text, len) : memcmp(search->body + at, text, len)) ? 0 : len;
}

static size_t has_unit(const struct search *search, size_t at, unsigned unit)
{
    char digits[8];

    snprintf(digits, sizeof digits, "%04x", unit);
    return has(search, at, "\\u", 2, false) && has(search, at + 2, digits, 4, true) ? 6 : 0;
}

/* Every way to write one byte. */
static void byte_ways(const struct search *search, size_t at, unsigned char c, struct places *next)
{
    static const char *const shorts[] = { "\"\"", "\\\\", "//", "\bb", "\ff", "\nn", "\rr", "\tt" };
    char text[4] = { (char) c }, percent[8];

    if (has(search, at, text, 1, false))
        place_add(next, at + 1);
    if (has(search, at, "%", 1, false)) {
        snprintf(percent, sizeof percent, "%%%02x", c);
        if (has(search, at, percent, 3, true))
            place_add(next, at + 3);
    }
    if (!has(search, at, "\\", 1, false))
        return;
    if (c < 0x80 && has_unit(search, at, c))
        place_add(next, at + 6);
    for (size_t i = 0; i < sizeof shorts / sizeof shorts[0]; i++) {
        char escape[2] = { '\\', shorts[i][1] };

        if (shorts[i][0] == (char) c && has(search, at, escape, 2, false))
            place_add(next, at + 2);
    }
}

static void character_ways(const struct search *search, size_t at, char c, struct places *next)
{
    byte_ways(search, at, (unsigned char) c, next);
    if (search->kind == KIND_RAW && c == ' ')
        byte_ways(search, at, '+', next);
    if (search->kind == KIND_HEX && c >= 'a')
        byte_ways(search, at, (unsigned char) (c - 32), next);
    if (search->kind == KIND_BASE64 && (c == '+' || c == '/'))
        byte_ways(search, at, c == '+' ? '-' : '_', next);
}

/* The code of the well-formed character in `bytes` bytes of the form that begins at `i`, or 0. */
static unsigned code_at(const struct search *search, size_t i, size_t bytes)
{
    const unsigned char *c = (const unsigned char *) search->form + i;

    if (search->kind != KIND_RAW || c[0] < 0x80 || utf8_step((const char *) c, search->form_len - i) != bytes)
        return 0;
    if (bytes == 2)
        return (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu);
    if (bytes == 3)
        return (c[0] & 0x0fu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu);
    return (c[0] & 7u) << 18 | (c[1] & 0x3fu) << 12 | (c[2] & 0x3fu) << 6 | (c[3] & 0x3fu);
}

/* \uXXXX for the character of `bytes` bytes at `i`. */
static void unicode_ways(const struct search *search, const struct places *places, size_t i, size_t bytes, struct places *next)
{
    unsigned code = code_at(search, i, bytes);

    for (size_t n = 0; code && n < places->len; n++) {
        size_t at = places->at[n];

        if (code < 0x10000 && has_unit(search, at, code))
            place_add(next, at + 6);
        if (code >= 0x10000 && has_unit(search, at, 0xd800 + ((code - 0x10000) >> 10)) &&
            has_unit(search, at + 6, 0xdc00 + ((code - 0x10000) & 0x3ff)))
            place_add(next, at + 12);
    }
}

static void break_ways(const struct search *search, const struct places *from, char c, struct places *to)
{
    for (size_t i = 0; i < from->len; i++)
        byte_ways(search, from->at[i], (unsigned char) c, to);
}

/* The places after an optional line break. */
static void breaks_add(const struct search *search, struct places *places)
{
    static struct places cr, lf;

    cr.len = lf.len = 0;
    break_ways(search, places, '\r', &cr);
    break_ways(search, places, '\n', &lf);
    break_ways(search, &cr, '\n', &lf);
    for (size_t i = 0; i < cr.len; i++)
        place_add(places, cr.at[i]);
    for (size_t i = 0; i < lf.len; i++)
        place_add(places, lf.at[i]);
}

/* The furthest place where an echo ends that begins at `start`; 0 when none does. */
static size_t echo_end(const struct search *search, size_t start)
{
    static struct places by_index[5]; /* places before character i, at i % 5: an escape may stand for four bytes */
    size_t end = 0;

    for (size_t i = 0; i < 5; i++)
        by_index[i].len = 0;
    place_add(&by_index[0], start);
    for (size_t i = 0; i < search->form_len; i++) {
        struct places *places = &by_index[i % 5];

        if (search->kind == KIND_BASE64 && i > 0)
            breaks_add(search, places);
        for (size_t n = 0; n < places->len; n++)
            character_ways(search, places->at[n], search->form[i], &by_index[(i + 1) % 5]);
        for (size_t bytes = 2; bytes <= 4; bytes++)
            if (i + bytes <= search->form_len)
                unicode_ways(search, places, i, bytes, &by_index[(i + bytes) % 5]);
        places->len = 0;
        if (!by_index[0].len && !by_index[1].len && !by_index[2].len && !by_index[3].len && !by_index[4].len)
            return 0;
    }
    for (size_t n = 0; n < by_index[search->form_len % 5].len; n++)
        end = by_index[search->form_len % 5].at[n] > end ? by_index[search->form_len % 5].at[n] : end;
    return end;
}

/* False for most places, at once. */
static bool may_start(const struct search *search, size_t at)
{
    char c = search->body[at], first = search->form[0];

    return c == first || c == first - 32 || (c && strchr("%\\+-_", c));
}

static bool form_mark(const struct search *search, uint8_t *marks)
{
    bool found = false;

    for (size_t at = 0; at < search->len; at++) {
        size_t end = may_start(search, at) ? echo_end(search, at) : 0;

        if (end > at)
            memset(marks + at, 1, end - at);
        found |= end > at;
    }
    return found;
}

/* base64 with `before` bytes in front and some behind, all `fill`. */
static void encode_between(const void *secret, size_t len, size_t before, int fill, struct buf *out)
{
    char *bytes = malloc(len + before + 3);

    if (!bytes)
        abort();
    memset(bytes, fill, len + before + 3);
    memcpy(bytes + before, secret, len);
    if (base64_encode(bytes, len + before + 3, out) < 0)
        abort();
    free(bytes);
}

/* What stays the same whatever stands around the secret. */
static bool base64_mark(const void *secret, size_t len, size_t before, const char *body, size_t body_len, uint8_t *marks)
{
    struct buf zeros = BUF_INIT(FORM_MAX), ones = BUF_INIT(FORM_MAX);
    size_t from = 0, to = 0;
    bool found = false;

    encode_between(secret, len, before, 0, &zeros);
    encode_between(secret, len, before, 0xff, &ones);
    while (zeros.data[from] != ones.data[from])
        from++;
    for (to = from; zeros.data[to] == ones.data[to]; to++)
        ;
    found = form_mark(&(struct search){ zeros.data + from, to - from, KIND_BASE64, body, body_len }, marks);
    buf_free(&zeros);
    buf_free(&ones);
    return found;
}

bool echo_mark(const void *secret, size_t secret_len, const void *body, size_t len, uint8_t *marks)
{
    char *hex = malloc(2 * secret_len + 1);
    bool found = false;

    if (!hex)
        abort();
    hex_encode(secret, secret_len, hex);
    found |= form_mark(&(struct search){ secret, secret_len, KIND_RAW, body, len }, marks);
    found |= form_mark(&(struct search){ hex, 2 * secret_len, KIND_HEX, body, len }, marks);
    for (size_t before = 0; before < 3; before++)
        found |= base64_mark(secret, secret_len, before, body, len, marks);
    free(hex);
    return found;
}

bool echo_masked_exactly(const uint8_t *body, size_t len, const uint8_t *marks, const void *out, size_t out_len)
{
    size_t runs = 0, plain = 0, mask_len = 0, at = 0;
    const char *got = out, *mask = NULL;

    for (size_t i = 0; i < len; i++) {
        plain += !marks[i];
        runs += marks[i] && (i == 0 || !marks[i - 1]);
    }
    if (runs == 0)
        return out_len == len && (len == 0 || !memcmp(out, body, len));
    if (out_len <= plain || (out_len - plain) % runs)
        return false;
    mask_len = (out_len - plain) / runs;
    for (size_t i = 0; i < len; i++) {
        if (!marks[i]) {
            if (got[at++] != (char) body[i])
                return false;
        } else if (i == 0 || !marks[i - 1]) {
            if (mask && memcmp(mask, got + at, mask_len) != 0)
                return false;
            mask = got + at;
            at += mask_len;
        }
    }
    return at == out_len;
}
