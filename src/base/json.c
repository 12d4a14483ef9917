/*
 * JSON with limits. The text is walked once before jansson sees it, counting
 * bytes, nesting and values, so that hostile text costs no more than its own length. A
 * message never repeats the text, which may be private: it says where, and what kind of mistake.
 */
#include "base/json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/encode.h"

#include "base/banned.h"

struct scan {
    const char *text;
    size_t len;
    unsigned line;
    unsigned depth;
    unsigned nodes;
    bool after_string; /* a ':' now would make that string a key, which is no value */
};

static int skip_string(struct scan *scan, size_t *at)
{
    size_t i = *at + 1;

    while (i < scan->len && scan->text[i] != '"' && scan->text[i] != '\n')
        i += scan->text[i] == '\\' ? 2 : 1;
    *at = i;
    return 0;
}

/* A scalar without quotes: all bytes up to the next one that means something. */
static void skip_word(struct scan *scan, size_t *at)
{
    while (*at + 1 < scan->len && !strchr(" \t\r\n,:[]{}\"", scan->text[*at + 1]))
        (*at)++;
}

/* One token at `*at`, which is left on its last byte. */
static int scan_token(struct scan *scan, size_t *at, struct json_limits limits, struct err *err)
{
    bool after_string = scan->after_string;

    scan->after_string = false;
    switch (scan->text[*at]) {
    case '\n':
        scan->line++;
        scan->after_string = after_string;
        return 0;
    case ' ':
    case '\t':
    case '\r':
        scan->after_string = after_string;
        return 0;
    case ',':
        return 0;
    case ':':
        scan->nodes -= after_string ? 1 : 0;
        return 0;
    case '}':
    case ']':
        scan->depth -= scan->depth ? 1 : 0;
        return 0;
    case '{':
    case '[':
        if (++scan->depth > limits.depth)
            return err_set(err, E2BIG, "line %u: nested deeper than %u", scan->line, limits.depth);
        break;
    case '"':
        skip_string(scan, at);
        scan->after_string = true;
        break;
    default:
        skip_word(scan, at);
    }
    /* One more than the limit is let through while it may still turn out to be a key. */
    if (++scan->nodes > limits.nodes && !(scan->after_string && scan->nodes == limits.nodes + 1))
        return err_set(err, E2BIG, "line %u: more than %u values", scan->line, limits.nodes);
    return 0;
}

static int prescan(const char *text, size_t len, struct json_limits limits, struct err *err)
{
    struct scan scan = { .text = text, .len = len, .line = 1 };
    int r;

    for (size_t at = 0; at < len; at++) {
        if (text[at] == '\0')
            return err_set(err, EINVAL, "line %u: a NUL byte", scan.line);
        r = scan_token(&scan, &at, limits, err);
        if (r < 0)
            return r;
    }
    if (scan.nodes > limits.nodes)
        return err_set(err, E2BIG, "line %u: more than %u values", scan.line, limits.nodes);
    return 0;
}

/* jansson's sentence without the piece of text that it quotes. */
static int report(const json_error_t *error, struct err *err)
{
    char text[JSON_ERROR_TEXT_LENGTH];
    char *near;

    memcpy(text, error->text, sizeof text);
    text[sizeof text - 1] = '\0';
    near = strstr(text, " near ");
    if (near)
        *near = '\0';
    if (json_error_code(error) == json_error_out_of_memory)
        return err_set(err, ENOMEM, "out of memory");
    if (json_error_code(error) == json_error_duplicate_key)
        return err_set(err, EINVAL, "line %d column %d: an object has the same key twice", error->line, error->column);
    if (strchr(text, '\'') || strchr(text, '"'))
        return err_set(err, EINVAL, "line %d column %d: not valid JSON", error->line, error->column);
    return err_set(err, EINVAL, "line %d column %d: %s", error->line, error->column, text);
}

int json_check_limits(const char *text, size_t len, struct json_limits limits, struct err *err)
{
    if (len > limits.bytes)
        return err_set(err, E2BIG, "longer than the %zu bytes allowed", limits.bytes);
    return prescan(text, len, limits, err);
}

int json_parse(const char *text, size_t len, struct json_limits limits, json_t **ret_json, struct err *err)
{
    json_error_t error;
    json_t *json;
    int r;

    r = json_check_limits(text, len, limits, err);
    if (r < 0)
        return r;
    json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        return report(&error, err);
    *ret_json = json;
    return 0;
}

struct writer {
    struct buf *out;
    int failed;
};

static int write_piece(const char *data, size_t len, void *userdata)
{
    struct writer *writer = userdata;

    writer->failed = buf_add(writer->out, data, len);
    return writer->failed < 0 ? -1 : 0;
}

static int write_with(const json_t *json, size_t flags, struct buf *out)
{
    struct writer writer = { out, 0 };
    size_t before = out->len;

    if (json_dump_callback(json, write_piece, &writer, flags | JSON_COMPACT | JSON_ENCODE_ANY) == 0)
        return 0;
    out->len = before;
    if (out->data)
        out->data[before] = '\0';
    return writer.failed < 0 ? writer.failed : -EINVAL;
}

int json_write(const json_t *json, struct buf *out)
{
    return write_with(json, 0, out);
}

int json_write_canonical(const json_t *json, struct buf *out)
{
    return write_with(json, JSON_SORT_KEYS, out);
}

const char *json_get_str(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* The escape of a byte below 0x20, '"' or '\\'. */
static int quote_special(char c, struct buf *out)
{
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char letters[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;

    if (at)
        return buf_printf(out, "\\%c", letters[at - plain]);
    return buf_printf(out, "\\u%04x", (unsigned) (uint8_t) c);
}

int json_quote(const char *text, size_t len, struct buf *out)
{
    size_t before = out->len;
    int r = buf_add_char(out, '"');

    for (size_t at = 0; at < len && r == 0;) {
        size_t n = utf8_step(text + at, len - at);
        uint8_t c = (uint8_t) text[at];

        if (c < 0x20 || c == '"' || c == '\\')
            r = quote_special(text[at], out);
        else
            r = n ? buf_add(out, text + at, n) : buf_add_str(out, "\xef\xbf\xbd");
        at += n ? n : 1;
    }
    if (r == 0)
        r = buf_add_char(out, '"');
    if (r < 0 && out->data) {
        out->len = before;
        out->data[before] = '\0';
    }
    return r;
}

/* What jansson 2.14 and malloc(3) take on a 64-bit machine, rounded up. */
#define VALUE_BYTES  ((size_t) 48)
#define OBJECT_BYTES ((size_t) 256)
#define MEMBER_BYTES ((size_t) 96)

size_t json_memory(const json_t *json)
{
    size_t bytes = json_is_object(json) ? OBJECT_BYTES : json ? VALUE_BYTES : 0;
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_string(json))
        bytes += json_string_length(json);
    json_object_foreach((json_t *) json, key, value) bytes += MEMBER_BYTES + strlen(key) + json_memory(value);
    json_array_foreach(json, i, value) bytes += sizeof(json_t *) + json_memory(value);
    return bytes;
}

static int fold(char c)
{
    return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (uint8_t) c;
}

static int compare_folded(const void *a, const void *b)
{
    const char *x = *(const char *const *) a, *y = *(const char *const *) b;

    for (; fold(*x) == fold(*y) && *x; x++, y++)
        continue;
    return fold(*x) - fold(*y);
}

const char *json_case_folded_twin(const json_t *object)
{
    CLEANUP_FREE const char **keys = NULL;
    size_t len = json_object_size(object), i = 0;
    const char *key;
    json_t *value;

    if (len < 2)
        return NULL;
    keys = calloc(len, sizeof *keys);
    json_object_foreach((json_t *) object, key, value)
    {
        /* Without memory the check cannot be made: better to refuse the object. */
        if (!keys)
            return key;
        keys[i++] = key;
    }
    qsort(keys, len, sizeof *keys, compare_folded);
    for (i = 1; i < len; i++)
        if (compare_folded(&keys[i - 1], &keys[i]) == 0)
            return keys[i];
    return NULL;
}

void json_init(void)
{
    size_t seed = 0;

    if (getrandom(&seed, sizeof seed, 0) != (ssize_t) sizeof seed || seed == 0)
        seed = (size_t) getpid() | 1;
    json_object_seed(seed);
}
