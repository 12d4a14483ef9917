/*
 * Showing values. JSON is written by jansson; the few characters above ASCII
 * that steer terminals are escaped afterwards, which is safe because outside of
 * strings JSON is ASCII.
 */
#include "cli/print.h"

#include "base/clock.h"
#include "cli/http.h"
#include "cli/term.h"
#include "cli/visible.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include "base/banned.h"

#define FIELD_WIDTH 13
#define SUFFIX_LEN  8

struct sink {
    struct buf *out;
    int error;
};

/* Blanks of another width hide nothing. */
static bool is_blank(uint32_t c)
{
    return c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f || c == 0x3000;
}

/* Escapes what takes no ink or steers what is around it. Returns bytes eaten, 0 when `text` is none. */
static size_t escape(const unsigned char *text, size_t len, struct buf *out, int *error)
{
    uint32_t c = 0;
    size_t used = text[0] < 0x7f ? 0 : text_decode(text, len, &c);

    if (!used || !text_is_unseen(c) || is_blank(c))
        return 0;
    if (c < 0x10000)
        *error = buf_printf(out, "\\u%04x", (unsigned) c);
    else
        *error = buf_printf(
            out, "\\u%04x\\u%04x", (unsigned) (0xd800 + ((c - 0x10000) >> 10)), (unsigned) (0xdc00 + ((c - 0x10000) & 0x3ff)));
    return used;
}

static int add_safe(const char *data, size_t len, void *userdata)
{
    struct sink *sink = userdata;
    size_t at = 0;

    while (at < len && sink->error >= 0) {
        size_t eaten = escape((const unsigned char *) data + at, len - at, sink->out, &sink->error);

        if (!eaten)
            sink->error = buf_add_char(sink->out, data[at]);
        at += eaten ? eaten : 1;
    }
    return sink->error < 0 ? -1 : 0;
}

int print_json_text(const json_t *json, struct buf *out)
{
    CLEANUP_FREE char *text = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY);
    struct sink sink = { out, 0 };

    if (!text)
        return -ENOMEM;
    return add_safe(text, strlen(text), &sink) < 0 ? sink.error : 0;
}

int print_json(FILE *file, const json_t *json)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(4ul * HTTP_BODY_MAX);
    int r = print_json_text(json, &out);

    if (r < 0)
        return r;
    fwrite(buf_str(&out), 1, out.len, file);
    fputc('\n', file);
    return 0;
}

char *print_local_time(const char *rfc3339, char out[PRINT_TIME_MAX])
{
    int64_t unix_ms;
    struct tm tm;
    time_t seconds;

    if (!rfc3339 || clock_parse(rfc3339, &unix_ms) < 0) {
        snprintf(out, PRINT_TIME_MAX, "%s", rfc3339 ? rfc3339 : "");
        return out;
    }
    seconds = (time_t) (unix_ms / 1000);
    if (!localtime_r(&seconds, &tm) || !strftime(out, PRINT_TIME_MAX, "%Y-%m-%d %H:%M:%S", &tm))
        snprintf(out, PRINT_TIME_MAX, "%s", rfc3339);
    return out;
}

char *print_duration(int64_t seconds, char out[PRINT_TIME_MAX])
{
    if (seconds >= 86400)
        snprintf(out, PRINT_TIME_MAX, "%lld d %lld h", (long long) (seconds / 86400), (long long) (seconds / 3600 % 24));
    else if (seconds >= 3600)
        snprintf(out, PRINT_TIME_MAX, "%lld h %lld min", (long long) (seconds / 3600), (long long) (seconds / 60 % 60));
    else if (seconds >= 60)
        snprintf(out, PRINT_TIME_MAX, "%lld min", (long long) (seconds / 60));
    else
        snprintf(out, PRINT_TIME_MAX, "%lld s", (long long) seconds);
    return out;
}

void print_field(FILE *file, const char *name, const char *value)
{
    if (!value)
        return;
    fprintf(file, "%s%-*s%s ", term_style(file, STYLE_DIM), FIELD_WIDTH, name, term_end(file));
    term_put(file, value);
    fputc('\n', file);
}

void print_fieldf(FILE *file, const char *name, const char *format, ...)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    print_field(file, name, buf_str(&text));
}

void print_items(FILE *file, const char *name, const json_t *array)
{
    const json_t *item;
    size_t i;

    json_array_foreach((json_t *) array, i, item)
    {
        if (json_is_string(item))
            print_field(file, i ? "" : name, json_string_value(item));
    }
}

char *print_member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (!value || json_is_null(value))
        return NULL;
    if (json_is_string(value))
        return strdup(json_string_value(value));
    return json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
}

char *print_list(const json_t *array)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(64 * 1024);
    const json_t *item;
    size_t i;

    json_array_foreach((json_t *) array, i, item) if (json_is_string(item) && buf_printf(&text, "%s%s", text.len ? ", " : "",
                                                                                  json_string_value(item)) < 0) return NULL;
    return buf_take(&text);
}

const char *print_suffix(const char *id)
{
    size_t len = id ? strlen(id) : 0;

    return len > SUFFIX_LEN ? id + len - SUFFIX_LEN : id ? id : "";
}
