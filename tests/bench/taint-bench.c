/*
 * What the taint filter costs: 8 MiB of answer, the longest there may be, with a credential of 40 bytes and an OAuth token of
 * 220 beside its refresh token and client secret; texts as providers send them and texts made to cost as much as possible.
 * One JSON object a line. The reference is one memmem(3) over the same bytes: what looking for the bare secret would cost.
 */
#include "base/clock.h"
#include "base/file.h"
#include "crypt/digest.h"
#include "keeper/taint.h"
#include "wire/limits.h"

#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define BODY_BYTES LIMIT_RESPONSE_BYTES
#define PIECE      (16 * KIB) /* as curl gives it */
#define ROUNDS     5

struct kit {
    struct secret *secrets[3];
    size_t len;
};

typedef void body_fn(const struct kit *kit, char *body);

static char body[BODY_BYTES];

static void require(bool truth, const char *what)
{
    if (truth)
        return;
    fprintf(stderr, "taint-bench: %s\n", what);
    exit(1);
}

static void repeat(char *to, const char *text, size_t len)
{
    for (size_t i = 0; i < BODY_BYTES; i++)
        to[i] = text[i % len];
}

static void json_body(const struct kit *kit, char *to)
{
    static const char text[] = "{\"id\": \"18c2f0a9\", \"subject\": \"The quick brown fox\\nand the lazy dog\", \"from\": "
                               "\"Ada <ada@example.org>\", \"link\": \"https:\\/\\/example.org\\/a?b=c%20d\", \"n\": 12345},\n";

    repeat(to, text, sizeof text - 1);
}

/* An attachment. */
static void base64_body(const struct kit *kit, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t x = 1;

    for (size_t i = 0; i < BODY_BYTES; i++) {
        x = x * 1664525u + 1013904223u;
        to[i] = digits[x >> 26];
    }
}

static void backslash_body(const struct kit *kit, char *to)
{
    memset(to, '\\', BODY_BYTES);
}

/* All but the last character, again and again. */
static void partial_body(const struct kit *kit, char *to)
{
    repeat(to, (const char *) secret_bytes(kit->secrets[0]), secret_len(kit->secrets[0]) - 1);
}

/* The same, each character as %XX. */
static void escaped_body(const struct kit *kit, char *to)
{
    char text[3 * 512 + 1];
    size_t len = secret_len(kit->secrets[0]) - 1;

    for (size_t i = 0; i < len; i++)
        snprintf(text + 3 * i, 4, "%%%02x", secret_bytes(kit->secrets[0])[i]);
    repeat(to, text, 3 * len);
}

static void echo_body(const struct kit *kit, char *to)
{
    repeat(to, (const char *) secret_bytes(kit->secrets[0]), secret_len(kit->secrets[0]));
}

static struct secret *token(size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    struct secret *secret = NULL;

    require(secret_new(len, &secret) == 0, "no secret");
    random_bytes(secret_data(secret), len);
    for (size_t i = 0; i < len; i++)
        secret_data(secret)[i] = (uint8_t) digits[secret_data(secret)[i] & 63];
    return secret;
}

static double filter_ms(const struct kit *kit)
{
    struct buf out = BUF_INIT(2 * (size_t) BODY_BYTES);
    struct taint *taint = NULL;
    int64_t start = 0;
    double ms = 0;

    require(buf_reserve(&out, BODY_BYTES + BODY_BYTES / 2) == 0, "no memory");
    memset(out.data, 0, BODY_BYTES + BODY_BYTES / 2);
    start = clock_boot_us();
    require(taint_new((const struct secret *const *) kit->secrets, kit->len, &taint) == 0, "no filter");
    for (size_t at = 0; at < BODY_BYTES; at += PIECE)
        require(taint_add(taint, body + at, PIECE, &out) == 0, "cannot filter");
    require(taint_end(taint, &out) == 0, "cannot filter");
    ms = (double) (clock_boot_us() - start) / 1e3;
    taint_free(taint);
    buf_free(&out);
    return ms;
}

static double memmem_ms(const struct kit *kit)
{
    const struct secret *secret = kit->secrets[0];
    int64_t start = clock_boot_us();
    const void *volatile found = memmem(body, BODY_BYTES, secret_bytes(secret), secret_len(secret));

    (void) found;
    return (double) (clock_boot_us() - start) / 1e3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

static void measure(const struct kit *kit, body_fn *fn, const char *what, const char *budget)
{
    double ms[ROUNDS], bare[ROUNDS];

    fn(kit, body);
    for (size_t i = 0; i < ROUNDS; i++) {
        ms[i] = filter_ms(kit);
        bare[i] = memmem_ms(kit);
    }
    qsort(ms, ROUNDS, sizeof *ms, compare);
    qsort(bare, ROUNDS, sizeof *bare, compare);
    printf("{\"what\": \"masking 8 MiB of %s\", \"median\": %.4g, \"low\": %.4g, \"high\": %.4g, \"unit\": \"ms\", \"budget\": "
           "\"%s\", \"reference\": \"memmem of the secret\", \"reference_median\": %.4g}\n",
        what, ms[ROUNDS / 2], ms[0], ms[ROUNDS - 1], budget, bare[ROUNDS / 2]);
    fflush(stdout);
}

/* A filter for a short answer: what each request with a credential pays. */
static void measure_small(const struct kit *kit, const char *what)
{
    double us[1001];

    for (size_t i = 0; i < 1001; i++) {
        struct buf out = BUF_INIT(PIECE);
        struct taint *taint = NULL;
        int64_t start = clock_boot_us();

        for (size_t k = 0; k < 10; k++) {
            buf_reset(&out);
            require(taint_new((const struct secret *const *) kit->secrets, kit->len, &taint) == 0, "no filter");
            require(taint_add(taint, "{\"ok\": true}", 12, &out) == 0 && taint_end(taint, &out) == 0, "cannot filter");
            taint_free(taint);
        }
        us[i] = (double) (clock_boot_us() - start) / 10;
        buf_free(&out);
    }
    qsort(us, 1001, sizeof *us, compare);
    printf("{\"what\": \"masking a short answer, %s\", \"median\": %.4g, \"low\": %.4g, \"high\": %.4g, \"unit\": \"us\", "
           "\"budget\": \"\"}\n",
        what, us[500], us[100], us[900]);
}

int main(void)
{
    static const struct {
        body_fn *fn;
        const char *what, *budget;
    } rows[] = {
        { json_body, "JSON", "< 40" },
        { base64_body, "base64", "< 40" },
        { backslash_body, "backslashes", "< 400" },
        { partial_body, "the secret less its end", "< 400" },
        { escaped_body, "the same, escaped", "< 400" },
        { echo_body, "echoes", "< 400" },
    };
    struct kit key = { { token(40) }, 1 }, oauth = { { token(220), token(103), token(35) }, 3 };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        measure(&key, rows[i].fn, rows[i].what, rows[i].budget);
    measure(&oauth, json_body, "JSON, an OAuth binding", "< 40");
    measure_small(&key, "an API key");
    measure_small(&oauth, "an OAuth binding");
    for (size_t i = 0; i < 3; i++)
        secret_free(oauth.secrets[i]);
    secret_free(key.secrets[0]);
    return 0;
}
