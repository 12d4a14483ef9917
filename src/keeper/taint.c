/*
 * The filter keeps a window of the body. Every place is visited once, in order, as soon as the longest reading lies behind it;
 * each needle then says whether an occurrence ends there, whose bytes are marked. Bytes leave the window when no occurrence
 * that is still to end can have begun at or before them.
 */
#include "keeper/taint.h"

#include <errno.h>
#include <string.h>

#include "keeper/needle.h"

#include "base/banned.h"

#define WINDOW_PIECE ((size_t) 16 * 1024)
#define FORMS        5u /* raw, hex, base64 at three alignments */
#define BIT(i)       ((uint32_t) 1 << (i))
#define ESCAPE       BIT(31)

_Static_assert(FORMS *TAINT_SECRETS_MAX < 31, "a bit for each needle and one more");

struct taint {
    struct secret *tables;
    uint64_t *states;
    struct needle needles[FORMS * TAINT_SECRETS_MAX];
    size_t span;                 /* the longest of the needles' */
    uint32_t base64;             /* the needles of that form, one bit each, as below */
    uint32_t begins[256];        /* by byte: which needles may begin with it; ESCAPE when an escape may */
    uint32_t follows[256];       /* by byte: which needles may go on with it; ESCAPE when an escape that begins one may */
    uint32_t here[NEEDLE_SLOTS]; /* by place: which needles have states there */
    uint32_t live;               /* which of these are not empty */
    const char *mask;
    uint8_t *window;
    uint8_t *marks; /* beside each byte of the window: 1 when it belongs to an occurrence */
    size_t cap, len;
    size_t used;   /* of the window, at most, so far */
    size_t next;   /* window offset of the next place to visit */
    uint64_t base; /* offset of the window in the body */
    bool masking;  /* the last byte that left was masked */
    bool found;
};

/* ---- making ---- */

/*
 * The ends of a mask are no character of base64 or hexadecimal, begin no escape and end none. One that are in no secret either
 * cannot be read as part of one: so neither can what stands beside it.
 */
static const char *const masks[] = { "[redacted]", "(redacted)", "<redacted>", "{redacted}", "***", "~", "#", "|", "^", "!", "@",
    "$", "&", ";", ",", "?", "\xe2\x96\x88", "\xc2\xa4" };

static bool mask_fits(const char *mask, const struct secret *secret)
{
    const uint8_t *data = secret_bytes(secret);
    size_t len = secret_len(secret), mask_len = strlen(mask);

    return !memchr(data, mask[0], len) && !memchr(data, mask[mask_len - 1], len) && !memmem(mask, mask_len, data, len);
}

static const char *mask_choose(const struct secret *const *secrets, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
        size_t n = 0;

        while (n < len && mask_fits(masks[i], secrets[n]))
            n++;
        if (n == len)
            return masks[i];
    }
    return NULL;
}

static void plans_make(const struct secret *secret, struct needle_plan plans[FORMS])
{
    for (unsigned i = 0; i < FORMS; i++)
        plans[i] = (struct needle_plan){ NEEDLE_BASE64, i - 2, secret_bytes(secret), secret_len(secret) };
    plans[0].form = NEEDLE_RAW;
    plans[1].form = NEEDLE_HEX;
    plans[0].alignment = plans[1].alignment = 0;
}

/* The second characters of the escapes of `c`: the high digit of %XX, the u of \uXXXX, the letter of a short one. */
static void escapes_add(struct taint *taint, uint8_t c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF", letters[] = "\"\"\\\\//\bb\ff\nn\rr\tt";

    taint->follows[(uint8_t) digits[c >> 4]] |= ESCAPE;
    taint->follows[(uint8_t) digits[16 + (c >> 4)]] |= ESCAPE;
    taint->follows['u'] |= ESCAPE;
    for (size_t i = 0; i < sizeof letters - 1; i += 2)
        if (letters[i] == (char) c)
            taint->follows[(uint8_t) letters[i + 1]] |= ESCAPE;
}

/* What the search asks of all needles at once. */
static void needle_add(struct taint *taint, size_t i)
{
    const struct needle *needle = &taint->needles[i];

    for (size_t k = 0; k < 2; k++) {
        taint->begins[needle->first[k]] |= BIT(i);
        taint->follows[needle->second[k]] |= BIT(i);
        escapes_add(taint, needle->first[k]);
    }
    if (needle->form == NEEDLE_BASE64)
        taint->base64 |= BIT(i);
    if (needle->span > taint->span)
        taint->span = needle->span;
}

static int needles_place(struct taint *taint, const struct needle_plan *plans, size_t len)
{
    size_t table_bytes = 0, state_bytes = 0;
    uint8_t *table = NULL, *states = NULL;
    int r = 0;

    for (size_t i = 0; i < len; i++) {
        table_bytes += needle_table_bytes(&plans[i]);
        state_bytes += needle_state_bytes(&plans[i]);
    }
    r = secret_new(table_bytes, &taint->tables);
    if (r < 0)
        return r;
    taint->states = calloc(1, state_bytes);
    if (!taint->states)
        return -ENOMEM;
    table = secret_data(taint->tables);
    states = (uint8_t *) taint->states;
    for (size_t i = 0; r == 0 && i < len; i++) {
        r = needle_make(&plans[i], table, states, &taint->needles[i]);
        if (r == 0)
            needle_add(taint, i);
        table += needle_table_bytes(&plans[i]);
        states += needle_state_bytes(&plans[i]);
    }
    return r;
}

static int needles_make(struct taint *taint, const struct secret *const *secrets, size_t len)
{
    struct needle_plan plans[FORMS * TAINT_SECRETS_MAX];

    if (len == 0 || len > TAINT_SECRETS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        size_t bytes = secret_len(secrets[i]);

        if (bytes < TAINT_SECRET_MIN_BYTES || bytes > TAINT_SECRET_MAX_BYTES)
            return -EINVAL;
        plans_make(secrets[i], &plans[FORMS * i]);
    }
    taint->begins['%'] = taint->begins['\\'] = ESCAPE;
    /* Whatever these stand for. */
    taint->follows['%'] = taint->follows['\\'] = taint->follows['\r'] = taint->follows['\n'] = ~ESCAPE;
    return needles_place(taint, plans, FORMS * len);
}

int taint_new(const struct secret *const *secrets, size_t len, struct taint **ret_taint)
{
    CLEANUP_PTR(taint_free) struct taint *taint = calloc(1, sizeof *taint);
    int r = 0;

    if (!taint)
        return -ENOMEM;
    r = needles_make(taint, secrets, len);
    if (r < 0)
        return r;
    taint->mask = mask_choose(secrets, len);
    if (!taint->mask)
        return -EINVAL;
    taint->cap = taint->span + READING_LEN_MAX + WINDOW_PIECE;
    taint->window = malloc(taint->cap);
    taint->marks = malloc(taint->cap);
    if (!taint->window || !taint->marks)
        return -ENOMEM;
    *ret_taint = TAKE_PTR(taint);
    return 0;
}

/* ---- searching ---- */

/*
 * Marks what ends at window offset `end`. Occurrences of one needle that end less than its length apart overlap, and the later
 * begins no earlier: the bytes since the last end are enough then, and no one has to look for a start at every place of a body
 * that repeats a repeating secret.
 */
static void occurrence_mark(struct taint *taint, struct needle *needle, size_t end)
{
    uint64_t at = taint->base + end;
    size_t start = 0;

    if (needle->last_end > 0 && at - needle->last_end < needle->len)
        start = needle->last_end > taint->base ? (size_t) (needle->last_end - taint->base) : 0;
    else
        start = needle_start(needle, taint->window, end);
    memset(taint->marks + start, 1, end - start);
    needle->last_end = at;
    taint->found = true;
}

static void place_end(struct taint *taint, size_t place)
{
    uint32_t needles = taint->here[NEEDLE_SLOT(taint->base + place)];

    for (; needles; needles &= needles - 1) {
        struct needle *needle = &taint->needles[__builtin_ctz(needles)];

        if (needle_ends_at(needle, taint->base + place))
            occurrence_mark(taint, needle, place);
    }
}

static void place_step(struct taint *taint, uint64_t at, const struct reading *reading)
{
    uint32_t here = taint->here[NEEDLE_SLOT(at)], *there = &taint->here[NEEDLE_SLOT(at + reading->len)];
    uint32_t needles = reading->wrapped ? here & taint->base64 : (here | taint->begins[reading->bytes[0]]) & ~ESCAPE;

    for (; needles; needles &= needles - 1) {
        unsigned i = (unsigned) __builtin_ctz(needles);

        if (needle_step(&taint->needles[i], at, reading))
            *there |= BIT(i);
    }
    if (*there)
        taint->live |= BIT(NEEDLE_SLOT(at + reading->len));
}

static void place_leave(struct taint *taint, uint64_t at)
{
    uint32_t needles = taint->here[NEEDLE_SLOT(at)];

    for (; needles; needles &= needles - 1)
        needle_leave(&taint->needles[__builtin_ctz(needles)], at);
    taint->here[NEEDLE_SLOT(at)] = 0;
    taint->live &= ~BIT(NEEDLE_SLOT(at));
}

static void place_visit(struct taint *taint, size_t place)
{
    struct reading readings[READINGS_MAX];
    size_t n = readings_at(taint->window + place, taint->len - place, readings);

    place_end(taint, place);
    for (size_t i = 0; i < n; i++)
        place_step(taint, taint->base + place, &readings[i]);
    place_leave(taint, taint->base + place);
}

/* The first place from `place` on, before `end`, where an occurrence may begin, as far as two bytes tell; or `end`. */
static size_t beginning_find(const struct taint *taint, size_t place, size_t end)
{
    const uint8_t *window = taint->window;

    /* The body's last byte begins nothing. */
    for (size_t last = end < taint->len ? end : end - 1; place < last; place++)
        if (taint->begins[window[place]] & taint->follows[window[place + 1]])
            return place;
    return end;
}

/* Visits the places before window offset `end`. */
static void window_search(struct taint *taint, size_t end)
{
    size_t place = taint->next;

    while (place < end) {
        if (!taint->live)
            place = beginning_find(taint, place, end);
        if (place < end)
            place_visit(taint, place++);
    }
    taint->next = end;
}

/* ---- what leaves ---- */

/* The first place from `at` on whose mark is not `mark`, or `end`. */
static size_t run_end(const struct taint *taint, size_t at, size_t end, uint8_t mark)
{
    const uint8_t *other = memchr(taint->marks + at, mark ? 0 : 1, end - at);

    return other ? (size_t) (other - taint->marks) : end;
}

/* Appends the first `end` bytes, masked, and removes them from the window. */
static int window_leave(struct taint *taint, size_t end, struct buf *out)
{
    int r = 0;

    for (size_t at = 0, next = 0; r == 0 && at < end; at = next) {
        uint8_t mark = taint->marks[at];

        next = run_end(taint, at, end, mark);
        if (!mark)
            r = buf_add(out, taint->window + at, next - at);
        else if (!taint->masking)
            r = buf_add_str(out, taint->mask);
        taint->masking = mark;
    }
    memmove(taint->window, taint->window + end, taint->len - end);
    memmove(taint->marks, taint->marks + end, taint->len - end);
    taint->len -= end;
    taint->next -= end;
    taint->base += end;
    return r;
}

static int window_full(struct taint *taint, struct buf *out)
{
    size_t decided = 0;

    window_search(taint, taint->len - READING_LEN_MAX);
    decided = taint->next;
    if (taint->live)
        decided = decided > taint->span ? decided - taint->span : 0;
    return window_leave(taint, decided, out);
}

int taint_add(struct taint *taint, const void *data, size_t len, struct buf *out)
{
    const uint8_t *from = data;
    int r = 0;

    while (r == 0 && len > 0) {
        size_t piece = taint->cap - taint->len < len ? taint->cap - taint->len : len;

        memcpy(taint->window + taint->len, from, piece);
        memset(taint->marks + taint->len, 0, piece);
        taint->len += piece;
        taint->used = taint->len > taint->used ? taint->len : taint->used;
        from += piece;
        len -= piece;
        if (taint->len == taint->cap)
            r = window_full(taint, out);
    }
    return r;
}

int taint_end(struct taint *taint, struct buf *out)
{
    window_search(taint, taint->len);
    place_end(taint, taint->len);
    return window_leave(taint, taint->len, out);
}

bool taint_found(const struct taint *taint)
{
    return taint->found;
}

void taint_free(struct taint *taint)
{
    if (!taint)
        return;
    if (taint->window)
        secret_wipe(taint->window, taint->used);
    free(taint->window);
    free(taint->marks);
    free(taint->states);
    secret_free(taint->tables);
    secret_wipe(taint, sizeof *taint); /* how each form begins */
    free(taint);
}

int taint_mask(const struct secret *const *secrets, size_t len, const void *text, size_t text_len, struct buf *out)
{
    CLEANUP_PTR(taint_free) struct taint *taint = NULL;
    int r = taint_new(secrets, len, &taint);

    if (r == 0)
        r = taint_add(taint, text, text_len, out);
    return r < 0 ? r : taint_end(taint, out);
}
