/*
 * Fuzzes the taint filter: secrets and body are cut from the input, the body may have the secrets written into it in ways that
 * the input chooses, and goes in through pieces of input-chosen sizes. What comes out must be the body with each echo masked as
 * a plain search finds it, hold no echo, and be the same for the body in one piece.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "keeper/taint.h"
#include "keeper/test-echo.h"

#include "base/banned.h"

#define OUT_MAX    (1 << 20)
#define BODY_MAX   2048
#define FILLER_MAX 24576 /* moves the rest over the border of the filter's window */
#define SECRETS    2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t len;
};

static void require(int truth)
{
    if (!truth)
        abort();
}

static uint8_t take(struct input *input)
{
    if (input->len == 0)
        return 0;
    input->len--;
    return *input->data++;
}

static struct secret *take_secret(struct input *input)
{
    struct secret *secret = NULL;
    size_t len = TAINT_SECRET_MIN_BYTES + take(input) % 40;

    if (input->len < len)
        return NULL;
    require(secret_from(input->data, len, &secret) == 0);
    input->data += len;
    input->len -= len;
    return secret;
}

/* One character, in a way that the input chooses. */
static void write_character(struct input *input, uint8_t c, struct buf *body)
{
    static const char *const formats[] = { "%c", "%%%02x", "%%%02X", "\\u%04x", "\\u%04X", "\\%c", "\r\n%c", "\\n%c",
        "%%0D%%0a%c" };
    uint8_t way = take(input);

    require((way >= sizeof formats / sizeof formats[0] ? buf_add_char(body, (char) c) : buf_printf(body, formats[way], c)) == 0);
}

static void write_form(struct input *input, const struct secret *secret, struct buf *body)
{
    struct buf bytes = BUF_INIT(256), text = BUF_INIT(1024);
    uint8_t form = take(input);
    char hex[2 * 64 + 1];

    for (uint8_t i = form >> 4; i > 0; i--)
        require(buf_add_char(&bytes, (char) take(input)) == 0);
    require(buf_add(&bytes, secret_bytes(secret), secret_len(secret)) == 0);
    switch (form % 4) {
    case 0:
        require(base64_encode(bytes.data, bytes.len, &text) == 0);
        break;
    case 1:
        require(base64url_encode(bytes.data, bytes.len, &text) == 0);
        break;
    case 2:
        hex_encode(bytes.data, bytes.len, hex);
        require(buf_add_str(&text, hex) == 0);
        break;
    default:
        require(buf_add(&text, bytes.data, bytes.len) == 0);
    }
    for (size_t i = 0; i < text.len; i++)
        write_character(input, (uint8_t) text.data[i], body);
    buf_free(&bytes);
    buf_free(&text);
}

/* A body of literal bytes and written secrets. */
static void make_body(struct input *input, struct secret *const *secrets, struct buf *body)
{
    size_t filler = take(input) % 8 == 7 ? (size_t) (take(input) << 8 | take(input)) % FILLER_MAX : 0;

    for (size_t i = 0; i < filler; i++)
        require(buf_add_char(body, '.') == 0);
    while (input->len > 0 && body->len < filler + BODY_MAX) {
        uint8_t what = take(input);

        if (what >= 0xfe)
            write_form(input, secrets[what & 1], body);
        else
            require(buf_add_char(body, (char) what) == 0);
    }
}

static bool filter(struct secret *const *secrets, const struct buf *body, const uint8_t *cuts, size_t cuts_len, struct buf *out)
{
    struct taint *taint = NULL;
    size_t at = 0, i = 0;
    int r = taint_new((const struct secret *const *) secrets, SECRETS, &taint);

    require(r == 0 || r == -EINVAL);
    if (r < 0)
        return false;
    while (at < body->len) {
        size_t piece = cuts_len ? (size_t) cuts[i % cuts_len] * cuts[(i + 1) % cuts_len] + 1u : body->len;

        piece = piece > body->len - at ? body->len - at : piece;
        require(taint_add(taint, body->data + at, piece, out) == 0);
        at += piece;
        i++;
    }
    require(taint_end(taint, out) == 0);
    taint_free(taint);
    return true;
}

static bool mark(struct secret *const *secrets, const struct buf *body, uint8_t *marks)
{
    bool found = false;

    memset(marks, 0, body->len + 1);
    for (size_t i = 0; i < SECRETS; i++)
        found |= echo_mark(secret_bytes(secrets[i]), secret_len(secrets[i]), buf_str(body), body->len, marks);
    return found;
}

static void check(struct secret *const *secrets, const struct buf *body, const uint8_t *cuts, size_t cuts_len)
{
    static uint8_t marks[OUT_MAX + 1];
    struct buf cut = BUF_INIT(OUT_MAX), whole = BUF_INIT(OUT_MAX);

    if (filter(secrets, body, cuts, cuts_len, &cut)) {
        require(filter(secrets, body, NULL, 0, &whole));
        require(cut.len == whole.len && (cut.len == 0 || !memcmp(cut.data, whole.data, cut.len)));
        mark(secrets, body, marks);
        require(echo_masked_exactly((const uint8_t *) buf_str(body), body->len, marks, buf_str(&cut), cut.len));
        require(!mark(secrets, &cut, marks));
    }
    buf_free(&cut);
    buf_free(&whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = { data, size };
    struct secret *secrets[SECRETS] = { NULL, NULL };
    struct buf body = BUF_INIT(OUT_MAX);
    uint8_t cuts[4];

    for (size_t i = 0; i < sizeof cuts; i++)
        cuts[i] = take(&input);
    for (size_t i = 0; i < SECRETS; i++)
        secrets[i] = take_secret(&input);
    if (secrets[0] && secrets[1]) {
        make_body(&input, secrets, &body);
        check(secrets, &body, cuts, sizeof cuts);
    }
    for (size_t i = 0; i < SECRETS; i++)
        secret_free(secrets[i]);
    buf_free(&body);
    return 0;
}
