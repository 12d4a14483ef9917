/*
 * A connector for tests that does exactly what it is told: it sends request
 * envelopes byte for byte as given, right or wrong, and ends as told. It uses
 * no SDK, so that nothing polishes what it sends.
 *
 * stdin: {"op":…,"args":{…}} where every value is base64url text (no padding)
 * or a list of such, or a small whole number:
 *   calls   list: request envelopes, sent in order
 *   stdout  text printed instead of the report     stderr  text written to stderr
 *   logs    list of messages for the log function  level   its level
 *   exit    exit code       spin 1: loop for ever   trap 1: unreachable
 *   grow    MiB to touch    flood  bytes of stdout  sleep_ms  through poll_oneoff
 * A request that the host did not carry out (-1) makes it exit with 1, unless `stdout` claims otherwise.
 * stdout: {"output":{"results":[{"rc","status","size","body"}]}}, body = base64url of the first 48 KiB.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOST(name) __attribute__((import_module("aileron_host"), import_name(#name)))
HOST(log) void host_log(const char *level, int level_len, const char *message, int message_len);
HOST(http_request) int host_request(const char *request, int len);
HOST(http_response_status) int host_status(void);
HOST(http_response_size) int host_size(void);
HOST(http_response_read) int host_read(char *into, int cap);

#define SHOWN (48 * 1024)

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static char input[4 * 1024 * 1024];

static size_t decode(const char *text, size_t len, char *out)
{
    uint32_t bits = 0;
    int have = 0;
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        const char *digit = memchr(digits, text[i], 64);
        if (!digit)
            continue;
        bits = bits << 6 | (uint32_t) (digit - digits);
        have += 6;
        if (have >= 8) {
            have -= 8;
            out[n++] = (char) (bits >> have);
        }
    }
    return n;
}

static void encode(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i < 3 ? len - i : 3;
        uint32_t bits = (uint32_t) (uint8_t) data[i] << 16;
        if (left > 1)
            bits |= (uint32_t) (uint8_t) data[i + 1] << 8;
        if (left > 2)
            bits |= (uint8_t) data[i + 2];
        for (size_t k = 0; k <= left; k++)
            putchar(digits[bits >> (18 - 6 * k) & 63]);
    }
}

/* The text after `"name":`, or NULL. No value can hold a quote, so this cannot be misled. */
static const char *value_of(const char *name)
{
    char key[32];
    snprintf(key, sizeof(key), "\"%s\"", name);
    const char *at = strstr(input, key);
    if (!at)
        return NULL;
    at += strlen(key);
    while (*at == ':' || *at == ' ')
        at++;
    return at;
}

static long number_of(const char *name)
{
    const char *at = value_of(name);
    return at ? strtol(at, NULL, 10) : 0;
}

/* Decodes the string that starts at or after *at into a fresh buffer; false when the list ends first. */
static bool next_text(const char **at, char **ret_text, size_t *ret_len)
{
    const char *start = *at + strcspn(*at, "\"]");
    if (*start != '"')
        return false;
    const char *end = strchr(start + 1, '"');
    char *text = malloc((size_t) (end - start) + 1);
    *ret_len = decode(start + 1, (size_t) (end - start) - 1, text);
    *ret_text = text;
    *at = end + 1;
    return true;
}

/* The calls are made even when their report is replaced by `stdout`. True when the host refused or failed one. */
static bool send_calls(bool report)
{
    const char *at = value_of("calls");
    char *text;
    size_t len;
    bool first = true, failed = false;

    if (report)
        printf("{\"output\":{\"results\":[");
    while (at && next_text(&at, &text, &len)) {
        int rc = host_request(text, (int) len);
        failed |= rc == -1;
        if (!report)
            continue;
        int size = host_size();
        char *body = malloc(size > 0 ? (size_t) size : 1);
        int got = host_read(body, size > 0 ? size : 0);
        printf("%s{\"rc\":%d,\"status\":%d,\"size\":%d,\"read\":%d,\"body\":\"", first ? "" : ",", rc, host_status(), size, got);
        encode(body, got > SHOWN ? SHOWN : got > 0 ? (size_t) got : 0);
        printf("\"}");
        free(text);
        free(body);
        first = false;
    }
    if (report)
        printf("]}}");
    return failed;
}

static void write_logs(void)
{
    const char *at = value_of("logs"), *level_at = value_of("level");
    char *text, *level = "info";
    size_t len, level_len = 4;

    if (level_at)
        next_text(&level_at, &level, &level_len);
    while (at && next_text(&at, &text, &len)) {
        host_log(level, (int) level_len, text, (int) len);
        free(text);
    }
}

static void misbehave(void)
{
    long grow = number_of("grow"), flood = number_of("flood"), sleep_ms = number_of("sleep_ms");

    if (sleep_ms)
        nanosleep(&(struct timespec){ sleep_ms / 1000, sleep_ms % 1000 * 1000000 }, NULL);
    for (long i = 0; i < grow; i++) {
        volatile char *block = malloc(1024 * 1024);
        if (!block)
            __builtin_trap();
        for (size_t at = 0; at < 1024 * 1024; at += 4096)
            block[at] = 1;
    }
    for (long i = 0; i < flood; i++)
        putchar('x');
    if (number_of("spin"))
        for (volatile long i = 0;; i++)
            ;
    if (number_of("trap"))
        __builtin_trap();
}

int main(void)
{
    size_t len = fread(input, 1, sizeof(input) - 1, stdin);
    const char *at;
    char *text;

    input[len] = 0;
    write_logs();
    misbehave();
    if ((at = value_of("stderr")) && next_text(&at, &text, &len))
        fwrite(text, 1, len, stderr);
    at = value_of("stdout");
    bool failed = send_calls(!at);
    if (at && next_text(&at, &text, &len))
        fwrite(text, 1, len, stdout);
    else if (failed)
        return 1;
    return (int) number_of("exit");
}
