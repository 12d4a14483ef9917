/*
 * The filter keeps a window of the body. A position may be decided once as many
 * bytes as the longest pattern lie behind it (or the body has ended); until then
 * it waits. Each pattern remembers where it occurs next, so the window is searched
 * once per pattern and not once per position.
 */
#include "keeper/taint.h"

#include <errno.h>
#include <string.h>

#include "base/secret.h"

#include "base/banned.h"

#define WINDOW_PIECE ((size_t) 16 * 1024)
#define NOWHERE      SIZE_MAX

struct needle {
    const uint8_t *data;
    size_t len;
    size_t next;     /* window offset of the next occurrence, or NOWHERE */
    size_t searched; /* starts before this window offset were looked at */
};

struct taint {
    struct secret *bytes; /* all patterns in a row */
    struct needle needles[TAINT_PATTERNS_MAX];
    size_t needles_len;
    size_t longest;
    const char *replacement;
    uint8_t *window;
    size_t cap;
    size_t len;
    size_t masked; /* window offset up to which bytes belong to an occurrence; the replacement is written */
    bool found;
};

static const char *const replacements[] = { "[redacted]", "(hidden)", "<removed>", "***", "~" };

/* True when `mark` between any two texts, or inside one, could complete an occurrence of `needle`. */
static bool mark_collides(const char *mark, const struct needle *needle)
{
    size_t mark_len = strlen(mark);

    if (memmem(needle->data, needle->len, mark, mark_len) || memmem(mark, mark_len, needle->data, needle->len))
        return true;
    for (size_t k = 1; k < mark_len && k < needle->len; k++)
        if (!memcmp(needle->data, mark + mark_len - k, k) || !memcmp(needle->data + needle->len - k, mark, k))
            return true;
    return false;
}

static const char *replacement_choose(const struct taint *taint)
{
    for (size_t i = 0; i < ARRAY_LEN(replacements); i++) {
        size_t n = 0;

        while (n < taint->needles_len && !mark_collides(replacements[i], &taint->needles[n]))
            n++;
        if (n == taint->needles_len)
            return replacements[i];
    }
    return NULL;
}

static int patterns_copy(struct taint *taint, const struct taint_pattern *patterns, size_t len)
{
    size_t total = 0, at = 0;
    int r = 0;

    for (size_t i = 0; i < len; i++) {
        if (patterns[i].len == 0)
            return -EINVAL;
        total += patterns[i].len;
    }
    r = secret_new(total, &taint->bytes);
    if (r < 0)
        return r;
    for (size_t i = 0; i < len; i++) {
        uint8_t *data = secret_data(taint->bytes) + at;

        memcpy(data, patterns[i].data, patterns[i].len);
        taint->needles[i] = (struct needle){ data, patterns[i].len, NOWHERE, 0 };
        taint->longest = patterns[i].len > taint->longest ? patterns[i].len : taint->longest;
        at += patterns[i].len;
    }
    taint->needles_len = len;
    return 0;
}

int taint_new(const struct taint_pattern *patterns, size_t len, struct taint **ret_taint)
{
    CLEANUP_PTR(taint_free) struct taint *taint = calloc(1, sizeof *taint);
    int r = 0;

    if (!taint)
        return -ENOMEM;
    if (len == 0 || len > TAINT_PATTERNS_MAX)
        return -EINVAL;
    r = patterns_copy(taint, patterns, len);
    if (r < 0)
        return r;
    taint->replacement = replacement_choose(taint);
    if (!taint->replacement)
        return -EINVAL;
    taint->cap = taint->longest + WINDOW_PIECE;
    taint->window = malloc(taint->cap);
    if (!taint->window)
        return -ENOMEM;
    *ret_taint = TAKE_PTR(taint);
    return 0;
}

/* Makes needle->next the first occurrence at or after `from`. */
static void needle_seek(const struct taint *taint, struct needle *needle, size_t from)
{
    const uint8_t *hit = NULL;
    size_t start = from > needle->searched ? from : needle->searched;

    if (needle->next != NOWHERE && needle->next >= from)
        return;
    needle->next = NOWHERE;
    if (taint->len < start + needle->len)
        return;
    hit = memmem(taint->window + start, taint->len - start, needle->data, needle->len);
    if (hit)
        needle->next = (size_t) (hit - taint->window);
    needle->searched = hit ? needle->next + 1 : taint->len - needle->len + 1;
}

/* The first occurrence at or after `from` and, of several that start there, the longest. */
static size_t occurrence_find(struct taint *taint, size_t from, size_t *ret_len)
{
    size_t first = NOWHERE, len = 0;

    for (size_t i = 0; i < taint->needles_len; i++) {
        struct needle *needle = &taint->needles[i];

        needle_seek(taint, needle, from);
        if (needle->next < first || (needle->next == first && first != NOWHERE && needle->len > len)) {
            first = needle->next;
            len = needle->len;
        }
    }
    *ret_len = len;
    return first;
}

/* Removes the decided bytes from the window; what the needles remember moves along. */
static void window_shift(struct taint *taint, size_t by)
{
    memmove(taint->window, taint->window + by, taint->len - by);
    taint->len -= by;
    taint->masked = taint->masked > by ? taint->masked - by : 0;
    for (size_t i = 0; i < taint->needles_len; i++) {
        struct needle *needle = &taint->needles[i];

        needle->searched = needle->searched > by ? needle->searched - by : 0;
        if (needle->next != NOWHERE)
            needle->next = needle->next >= by ? needle->next - by : NOWHERE;
    }
}

/* Decides every position before `end`: an occurrence that starts there is removed, anything else passes. */
static int window_decide(struct taint *taint, size_t end, struct buf *out)
{
    size_t at = 0;
    int r = 0;

    while (at < end) {
        size_t len = 0, first = occurrence_find(taint, at, &len);
        size_t plain_end = first < end ? first : end;

        if (taint->masked < plain_end) {
            size_t plain = taint->masked > at ? taint->masked : at;

            r = buf_add(out, taint->window + plain, plain_end - plain);
        }
        if (r == 0 && first < end) {
            if (first >= taint->masked)
                r = buf_add_str(out, taint->replacement);
            taint->found = true;
            taint->masked = first + len > taint->masked ? first + len : taint->masked;
        }
        if (r < 0)
            return r;
        at = first < end ? first + 1 : end;
    }
    window_shift(taint, end);
    return 0;
}

int taint_add(struct taint *taint, const void *data, size_t len, struct buf *out)
{
    const uint8_t *from = data;

    while (len > 0) {
        size_t piece = taint->cap - taint->len < len ? taint->cap - taint->len : len;
        int r = 0;

        memcpy(taint->window + taint->len, from, piece);
        taint->len += piece;
        from += piece;
        len -= piece;
        if (taint->len >= taint->longest)
            r = window_decide(taint, taint->len - taint->longest + 1, out);
        if (r < 0)
            return r;
    }
    return 0;
}

int taint_end(struct taint *taint, struct buf *out)
{
    return window_decide(taint, taint->len, out);
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
        secret_wipe(taint->window, taint->cap);
    free(taint->window);
    secret_free(taint->bytes);
    free(taint);
}
