/*
 * Fuzzes the taint filter: patterns and body are cut from the input, the body goes
 * in through pieces of input-chosen sizes. No pattern may be left in what comes out,
 * and the result must be that of the body in one piece.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/taint.h"

#include "base/banned.h"

#define OUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

static void filter(const struct taint_pattern *patterns, size_t len, const uint8_t *body, size_t size, const uint8_t *cuts,
    size_t cuts_len, struct buf *out)
{
    struct taint *taint = NULL;
    size_t at = 0, i = 0;

    if (taint_new(patterns, len, &taint) < 0)
        return;
    while (at < size) {
        size_t piece = cuts_len ? cuts[i++ % cuts_len] + 1u : size;

        piece = piece > size - at ? size - at : piece;
        require(taint_add(taint, body + at, piece, out) == 0);
        at += piece;
    }
    require(taint_end(taint, out) == 0);
    taint_free(taint);
    for (size_t n = 0; n < len; n++)
        require(out->len < patterns[n].len || !memmem(buf_str(out), out->len, patterns[n].data, patterns[n].len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct taint_pattern patterns[4];
    struct buf cut = BUF_INIT(OUT_MAX), whole = BUF_INIT(OUT_MAX);
    size_t len = 0, cuts_len = 0;
    const uint8_t *cuts = NULL;

    if (size < 2 || size > 16384)
        return 0;
    len = data[0] % 4 + 1u;
    cuts_len = data[1] % 8 + 1u;
    data += 2;
    size -= 2;
    for (size_t i = 0; i < len; i++) {
        size_t n = size > 0 ? data[0] % 24 + 1u : 0;

        if (size < n + 1)
            return 0;
        patterns[i] = (struct taint_pattern){ data + 1, n };
        data += n + 1;
        size -= n + 1;
    }
    if (size < cuts_len)
        return 0;
    cuts = data;
    data += cuts_len;
    size -= cuts_len;
    filter(patterns, len, data, size, cuts, cuts_len, &cut);
    filter(patterns, len, data, size, NULL, 0, &whole);
    require(cut.len == whole.len && (cut.len == 0 || !memcmp(cut.data, whole.data, cut.len)));
    buf_free(&cut);
    buf_free(&whole);
    return 0;
}
