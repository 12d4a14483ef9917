/* Reads Retry-After. The text comes from the provider: it is short, or it is nothing. */
#include "keeper/retry.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"

#include "base/banned.h"

#define VALUE_MAX      64
#define SECONDS_DIGITS 12

static int64_t clamp(int64_t ms)
{
    return ms < 0 ? 0 : ms > RETRY_AFTER_MAX_MS ? RETRY_AFTER_MAX_MS : ms;
}

static int64_t seconds_parse(const char *text)
{
    int64_t ms = 0;

    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        ms = clamp(ms * 10 + (*text - '0') * 1000);
    }
    return ms;
}

static int64_t date_parse(const char *text, int64_t now_unix_ms)
{
    /* IMF-fixdate and the two obsolete forms that a recipient must still read. */
    static const char *const formats[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y" };

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        struct tm tm = { .tm_sec = 0 };
        const char *end = strptime(text, formats[i], &tm);

        if (end && *end == '\0')
            return clamp((int64_t) timegm(&tm) * 1000 - now_unix_ms);
    }
    return -1;
}

/* The value as text without blanks around it; false when it is too long, empty or has a NUL. */
static bool text_take(const char *value, size_t len, char text[VALUE_MAX])
{
    while (len > 0 && strchr(" \t\r\n", value[len - 1]))
        len--;
    while (len > 0 && strchr(" \t", value[0])) {
        value++;
        len--;
    }
    if (len == 0 || len >= VALUE_MAX || memchr(value, '\0', len))
        return false;
    memcpy(text, value, len);
    text[len] = '\0';
    return true;
}

int64_t retry_after_parse(const char *value, size_t len, int64_t now_unix_ms)
{
    char text[VALUE_MAX];

    if (!text_take(value, len, text))
        return -1;
    return text[0] >= '0' && text[0] <= '9' ? seconds_parse(text) : date_parse(text, now_unix_ms);
}

int64_t rate_reset_parse(const char *value, size_t len, int64_t now_unix_ms)
{
    char text[VALUE_MAX];

    if (!text_take(value, len, text) || strspn(text, "0123456789") != strlen(text) || strlen(text) > SECONDS_DIGITS)
        return -1;
    return clamp(strtoll(text, NULL, 10) * 1000 - now_unix_ms);
}
