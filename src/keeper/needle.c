/*
 * Forwards, bit i of the set at a place is set when the first i + 1 characters can be read as ending there; backwards, when the
 * characters from i on can be read as beginning there. A set lies in the slot of its place modulo NEEDLE_SLOTS.
 */
#include "keeper/needle.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

#include "base/banned.h"

#define ROWS_MAX   256u
#define WORD_BITS  64u
#define BIT(at)    ((uint32_t) 1 << NEEDLE_SLOT(at))
#define ESCAPE_LEN 6u /* \uXXXX for one byte, the longest escape of a character of base64 */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char hex_digits[] = "0123456789abcdef";

/* ---- the characters of a form ---- */

/* The first character whose bits are the secret's alone. */
static size_t base64_first(const struct needle_plan *plan)
{
    return (8u * plan->alignment + 5) / 6;
}

static size_t plan_len(const struct needle_plan *plan)
{
    switch (plan->form) {
    case NEEDLE_HEX:
        return 2 * plan->secret_len;
    case NEEDLE_BASE64:
        return 8 * (plan->alignment + plan->secret_len) / 6 - base64_first(plan);
    case NEEDLE_RAW:
    default:
        return plan->secret_len;
    }
}

static uint8_t base64_digit(const struct needle_plan *plan, size_t i)
{
    size_t bit = 6 * (base64_first(plan) + i) - 8u * plan->alignment, at = bit / 8, shift = bit % 8;
    unsigned pair = (unsigned) plan->secret[at] << 8;

    if (shift > 2)
        pair |= plan->secret[at + 1];
    return (uint8_t) base64_digits[(pair >> (10 - shift)) & 63];
}

static uint8_t plan_character(const struct needle_plan *plan, size_t i)
{
    switch (plan->form) {
    case NEEDLE_HEX:
        return (uint8_t) hex_digits[(plan->secret[i / 2] >> (i % 2 ? 0 : 4)) & 15];
    case NEEDLE_BASE64:
        return base64_digit(plan, i);
    case NEEDLE_RAW:
    default:
        return plan->secret[i];
    }
}

/* Another byte that means the same there; 0 when there is none. */
static uint8_t also_written(enum needle_form form, uint8_t c)
{
    static const struct {
        enum needle_form form;
        uint8_t from, to;
    } table[] = {
        { NEEDLE_BASE64, '+', '-' },
        { NEEDLE_BASE64, '/', '_' },
        { NEEDLE_RAW, ' ', '+' },
    };

    if (form == NEEDLE_HEX)
        return c >= 'a' ? (uint8_t) (c - 'a' + 'A') : 0;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].form == form && table[i].from == c)
            return table[i].to;
    return 0;
}

/* ---- making ---- */

/* Rows that a form may need: the empty one, and one for each byte that may stand somewhere. */
static size_t plan_rows(const struct needle_plan *plan)
{
    if (plan->form != NEEDLE_RAW)
        return plan->form == NEEDLE_HEX ? 1 + 22 : 1 + 66;
    return plan->secret_len + 2 < ROWS_MAX ? plan->secret_len + 2 : ROWS_MAX;
}

static size_t plan_words(const struct needle_plan *plan)
{
    return (plan_len(plan) + WORD_BITS - 1) / WORD_BITS;
}

size_t needle_table_bytes(const struct needle_plan *plan)
{
    return 256 + plan_rows(plan) * plan_words(plan) * sizeof(uint64_t);
}

size_t needle_state_bytes(const struct needle_plan *plan)
{
    return (2 * NEEDLE_SLOTS + 2) * plan_words(plan) * sizeof(uint64_t);
}

static int needle_accept(struct needle *needle, size_t *rows_len, size_t i, uint8_t c)
{
    if (needle->rows[c] == 0) {
        if (*rows_len == ROWS_MAX)
            return -EINVAL;
        needle->rows[c] = (uint8_t) (*rows_len)++;
    }
    needle->masks[needle->rows[c] * needle->words + i / WORD_BITS] |= (uint64_t) 1 << (i % WORD_BITS);
    return 0;
}

int needle_make(const struct needle_plan *plan, void *table, void *states, struct needle *ret_needle)
{
    struct needle needle = {
        .form = plan->form, .len = plan_len(plan), .words = plan_words(plan), .rows = table, .states = states
    };
    size_t rows_len = 1;

    needle.masks = (uint64_t *) (void *) ((uint8_t *) table + 256);
    needle.span = needle.len * (plan->form == NEEDLE_BASE64 ? READING_LEN_MAX : ESCAPE_LEN);
    for (size_t i = 0; i < needle.len; i++) {
        uint8_t c = plan_character(plan, i), other = also_written(plan->form, c);
        int r = needle_accept(&needle, &rows_len, i, c);

        if (r == 0 && other)
            r = needle_accept(&needle, &rows_len, i, other);
        if (r < 0)
            return r;
        if (i < 2)
            memcpy(i == 0 ? needle.first : needle.second, (uint8_t[]){ c, other ? other : c }, 2);
    }
    *ret_needle = needle;
    return 0;
}

/* ---- searching ---- */

static const uint64_t *needle_mask(const struct needle *needle, uint8_t c)
{
    return needle->masks + needle->rows[c] * needle->words;
}

static uint64_t *needle_set(const struct needle *needle, size_t slot)
{
    return needle->states + slot * needle->words;
}

/* Adds to `to` what `from` becomes by one more character; true when that is anything. */
static bool set_advance(const uint64_t *from, const uint64_t *mask, size_t words, uint64_t begin, uint64_t *to)
{
    uint64_t any = 0, carry = begin;

    for (size_t i = 0; i < words; i++) {
        uint64_t next = ((from[i] << 1) | carry) & mask[i];

        carry = from[i] >> (WORD_BITS - 1);
        to[i] |= next;
        any |= next;
    }
    return any != 0;
}

/* Replaces `set` by what it becomes by one character before; `end` is the state behind the last one. */
static void set_retreat(uint64_t *set, const uint64_t *mask, size_t words, uint64_t end)
{
    for (size_t i = 0; i < words; i++) {
        uint64_t above = i + 1 < words ? set[i + 1] << (WORD_BITS - 1) : end;

        set[i] = ((set[i] >> 1) | above) & mask[i];
    }
}

bool needle_ends_at(const struct needle *needle, uint64_t at)
{
    size_t last = needle->len - 1;

    return needle_set(needle, NEEDLE_SLOT(at))[last / WORD_BITS] >> (last % WORD_BITS) & 1;
}

bool needle_step(struct needle *needle, uint64_t at, const struct reading *reading)
{
    const uint64_t *from = needle_set(needle, NEEDLE_SLOT(at)), *mask = needle_mask(needle, reading->bytes[0]);
    uint64_t begin = !reading->wrapped;

    for (size_t i = 0; i + 1 < reading->n; i++, begin = 0) {
        uint64_t *between = needle_set(needle, 2 * NEEDLE_SLOTS + i % 2);

        memset(between, 0, needle->words * sizeof *between);
        if (!set_advance(from, mask, needle->words, begin, between))
            return false;
        mask = needle_mask(needle, reading->bytes[i + 1]);
        from = between;
    }
    return set_advance(from, mask, needle->words, begin, needle_set(needle, NEEDLE_SLOT(at + reading->len)));
}

void needle_leave(struct needle *needle, uint64_t at)
{
    uint64_t *set = needle_set(needle, NEEDLE_SLOT(at));

    for (size_t i = 0; i < needle->words; i++)
        set[i] = 0;
}

/* Adds to the set of `at` what one reading leads to from there; true when that is anything. */
static bool step_back(struct needle *needle, const struct reading *reading, size_t at, size_t end)
{
    uint64_t *set = needle_set(needle, NEEDLE_SLOTS + NEEDLE_SLOT(at)), *scratch = needle_set(needle, 2 * NEEDLE_SLOTS), any = 0;
    uint64_t from_end = at + reading->len == end ? (uint64_t) 1 << ((needle->len - 1) % WORD_BITS) : 0;

    memcpy(scratch, needle_set(needle, NEEDLE_SLOTS + NEEDLE_SLOT(at + reading->len)), needle->words * sizeof *scratch);
    for (size_t i = reading->n; i > 0; i--, from_end = 0)
        set_retreat(scratch, needle_mask(needle, reading->bytes[i - 1]), needle->words, from_end);
    if (reading->wrapped) /* no occurrence begins with a line break */
        scratch[0] &= ~(uint64_t) 1;
    for (size_t i = 0; i < needle->words; i++) {
        set[i] |= scratch[i];
        any |= scratch[i];
    }
    return any != 0;
}

size_t needle_start(struct needle *needle, const uint8_t *text, size_t end)
{
    struct reading readings[READINGS_MAX];
    size_t start = end, lowest = end > needle->span ? end - needle->span : 0;
    uint32_t live = BIT(end);

    memset(needle_set(needle, NEEDLE_SLOTS), 0, NEEDLE_SLOTS * needle->words * sizeof(uint64_t));
    for (size_t at = end; at-- > lowest && live;) {
        uint64_t *set = needle_set(needle, NEEDLE_SLOTS + NEEDLE_SLOT(at));
        size_t n = readings_at(text + at, end - at, readings);

        memset(set, 0, needle->words * sizeof *set);
        live &= ~BIT(at);
        for (size_t i = 0; i < n; i++)
            if ((live & BIT(at + readings[i].len)) && (!readings[i].wrapped || needle->form == NEEDLE_BASE64) &&
                step_back(needle, &readings[i], at, end))
                live |= BIT(at);
        if (set[0] & 1)
            start = at;
    }
    return start;
}
