/*
 * Reading JSON: strict RFC 8259, in place, with every bound from internal.h.
 *
 * What is read may come from a stranger's web server, so it is held to the letter:
 * valid UTF-8, no control characters in strings, no duplicate names, nothing after
 * the value. Strings stay where they are in the text, unescaped and terminated
 * there; only nodes and numbers take new memory.
 */
#include "internal.h"

#include <string.h>

struct reader {
    struct aileron_call *call;
    char *at, *end;
    unsigned depth, nodes;
    const char *error;
};

static struct aileron_json *refuse(struct reader *reader, const char *why)
{
    if (!reader->error)
        reader->error = why;
    return NULL;
}

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
}

/* Takes `c` if it comes next. */
static bool take(struct reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static struct aileron_json *node(struct reader *reader, enum aileron_type type)
{
    struct aileron_json *json;

    if (++reader->nodes > AILERON_NODES_MAX)
        return refuse(reader, "more than 100000 values");
    json = aileron_alloc(reader->call, sizeof(*json));
    json->type = type;
    return json;
}

static int hex4(struct reader *reader, uint32_t *ret_unit)
{
    uint32_t unit = 0;

    if (reader->end - reader->at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char c = *reader->at++;
        char lower = (char) (c | 0x20);

        if (c >= '0' && c <= '9')
            unit = unit << 4 | (uint32_t) (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            unit = unit << 4 | (uint32_t) (lower - 'a' + 10);
        else
            return -1;
    }
    *ret_unit = unit;
    return 0;
}

static char *put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        *out++ = (char) c;
    } else if (c < 0x800) {
        *out++ = (char) (0xc0 | c >> 6);
        *out++ = (char) (0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char) (0xe0 | c >> 12);
        *out++ = (char) (0x80 | (c >> 6 & 0x3f));
        *out++ = (char) (0x80 | (c & 0x3f));
    } else {
        *out++ = (char) (0xf0 | c >> 18);
        *out++ = (char) (0x80 | (c >> 12 & 0x3f));
        *out++ = (char) (0x80 | (c >> 6 & 0x3f));
        *out++ = (char) (0x80 | (c & 0x3f));
    }
    return out;
}

/* After \u: one character, from two units when they are a pair. Its UTF-8 is never longer than what it replaces. */
static char *unicode_escape(struct reader *reader, char *out)
{
    uint32_t first, second;
    char *after_first;

    if (hex4(reader, &first) != 0)
        return NULL;
    after_first = reader->at;
    if (first >= 0xd800 && first < 0xdc00 && take(reader, '\\') && take(reader, 'u') && hex4(reader, &second) == 0 &&
        second >= 0xdc00 && second < 0xe000)
        return put_utf8(out, 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00));
    reader->at = after_first;
    return put_utf8(out, first == 0 || (first >= 0xd800 && first < 0xe000) ? 0xfffd : first);
}

static char *escape(struct reader *reader, char *out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    const char *found;
    char c;

    if (reader->at == reader->end)
        return NULL;
    c = *reader->at++;
    if (c == 'u')
        return unicode_escape(reader, out);
    found = c ? strchr(names, c) : NULL;
    if (!found)
        return NULL;
    *out++ = values[found - names];
    return out;
}

/* After the opening quote: the text, terminated in place, or NULL. */
static char *string(struct reader *reader, size_t *ret_len)
{
    char *start = reader->at, *out = start;

    while (reader->at < reader->end) {
        unsigned char c = (unsigned char) *reader->at;

        if (c == '"') {
            reader->at++;
            *out = '\0';
            *ret_len = (size_t) (out - start);
            return start;
        }
        if (c < 0x20) {
            refuse(reader, "a control character in a string");
            return NULL;
        }
        if (c == '\\') {
            reader->at++;
            out = escape(reader, out);
            if (!out) {
                refuse(reader, "a bad escape in a string");
                return NULL;
            }
        } else {
            size_t size = c < 0x80 ? 1 : aileron_utf8_next(reader->at, (size_t) (reader->end - reader->at));

            if (size == 0) {
                refuse(reader, "a string that is not UTF-8");
                return NULL;
            }
            memmove(out, reader->at, size);
            out += size;
            reader->at += size;
        }
    }
    refuse(reader, "a string without an end");
    return NULL;
}

static size_t digits(struct reader *reader)
{
    char *start = reader->at;

    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return (size_t) (reader->at - start);
}

static struct aileron_json *number(struct reader *reader)
{
    struct aileron_json *json = node(reader, AILERON_NUMBER);
    char *start = reader->at;
    bool leading_zero;

    if (!json)
        return NULL;
    take(reader, '-');
    leading_zero = reader->at < reader->end && *reader->at == '0';
    switch (digits(reader)) {
    case 0:
        return refuse(reader, "something that is not a value");
    case 1:
        break;
    default:
        if (leading_zero)
            return refuse(reader, "a number that starts with 0");
    }
    if (take(reader, '.') && digits(reader) == 0)
        return refuse(reader, "a number that ends with its point");
    if (take(reader, 'e') || take(reader, 'E')) {
        if (!take(reader, '+'))
            take(reader, '-');
        if (digits(reader) == 0)
            return refuse(reader, "a number without its exponent");
    }
    json->len = (size_t) (reader->at - start);
    json->text = aileron_copy(reader->call, start, json->len);
    return json;
}

static struct aileron_json *word(struct reader *reader, const char *word, enum aileron_type type, bool boolean)
{
    size_t len = strlen(word);
    struct aileron_json *json;

    if ((size_t) (reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
        return refuse(reader, "something that is not a value");
    reader->at += len;
    json = node(reader, type);
    if (json)
        json->boolean = boolean;
    return json;
}

static uint32_t hash(const char *text, size_t len)
{
    uint32_t sum = 2166136261u;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ (unsigned char) text[i]) * 16777619u;
    return sum;
}

static struct aileron_json *value(struct reader *reader);

static int append(struct reader *reader, struct aileron_json *parent, struct aileron_json *child)
{
    if (!child)
        return -1;
    if (child->key) {
        if (parent->len >= AILERON_MEMBERS_MAX) {
            refuse(reader, "an object with more than 1024 members");
            return -1;
        }
        for (const struct aileron_json *other = parent->first; other; other = other->next) {
            if (other->key_hash == child->key_hash && strcmp(other->key, child->key) == 0) {
                refuse(reader, "a name that occurs twice in an object");
                return -1;
            }
        }
    }
    if (parent->last)
        parent->last->next = child;
    else
        parent->first = child;
    parent->last = child;
    parent->len++;
    return 0;
}

static struct aileron_json *member(struct reader *reader)
{
    size_t len;
    const char *key;
    struct aileron_json *json;

    skip_space(reader);
    if (!take(reader, '"'))
        return refuse(reader, "an object member without a name");
    key = string(reader, &len);
    if (!key)
        return NULL;
    skip_space(reader);
    if (!take(reader, ':'))
        return refuse(reader, "an object member without a colon");
    json = value(reader);
    if (json) {
        json->key = key;
        json->key_hash = hash(key, len);
    }
    return json;
}

/* After the opening bracket. */
static struct aileron_json *container(struct reader *reader, enum aileron_type type)
{
    struct aileron_json *json = node(reader, type);
    char closing = type == AILERON_OBJECT ? '}' : ']';

    if (!json)
        return NULL;
    if (++reader->depth > AILERON_DEPTH_MAX)
        return refuse(reader, "more than 64 levels");
    skip_space(reader);
    if (!take(reader, closing)) {
        do {
            if (append(reader, json, type == AILERON_OBJECT ? member(reader) : value(reader)) != 0)
                return NULL;
            skip_space(reader);
        } while (take(reader, ','));
        if (!take(reader, closing))
            return refuse(reader, "a list or object without an end");
    }
    reader->depth--;
    return json;
}

static struct aileron_json *value(struct reader *reader)
{
    struct aileron_json *json;

    skip_space(reader);
    if (reader->at == reader->end)
        return refuse(reader, "an end where a value should be");
    switch (*reader->at) {
    case '{':
        reader->at++;
        return container(reader, AILERON_OBJECT);
    case '[':
        reader->at++;
        return container(reader, AILERON_ARRAY);
    case '"':
        reader->at++;
        json = node(reader, AILERON_STRING);
        if (json)
            json->text = string(reader, &json->len);
        return json && json->text ? json : NULL;
    case 't':
        return word(reader, "true", AILERON_BOOL, true);
    case 'f':
        return word(reader, "false", AILERON_BOOL, false);
    case 'n':
        return word(reader, "null", AILERON_NULL, false);
    default:
        return number(reader);
    }
}

struct aileron_json *aileron_json_parse(struct aileron_call *call, char *text, size_t len, const char **ret_error)
{
    struct reader reader = { .call = call, .at = text, .end = text + len };
    struct aileron_json *json = value(&reader);

    skip_space(&reader);
    if (json && reader.at != reader.end)
        json = refuse(&reader, "something after its end");
    if (!json && ret_error)
        *ret_error = reader.error;
    return json;
}

const struct aileron_json *aileron_json_get(const struct aileron_json *object, const char *key)
{
    uint32_t key_hash = hash(key, strlen(key));

    if (!object || object->type != AILERON_OBJECT)
        return NULL;
    for (const struct aileron_json *member = object->first; member; member = member->next)
        if (member->key_hash == key_hash && strcmp(member->key, key) == 0)
            return member;
    return NULL;
}

const char *aileron_json_string(const struct aileron_json *object, const char *key)
{
    const struct aileron_json *member = aileron_json_get(object, key);

    return member && member->type == AILERON_STRING ? member->text : NULL;
}

const struct aileron_json *aileron_json_each(const struct aileron_json *list)
{
    return list ? list->first : NULL;
}

bool aileron_json_int(const struct aileron_json *json, int64_t *ret)
{
    const char *at;
    bool negative;
    uint64_t sum = 0;

    if (!json || json->type != AILERON_NUMBER)
        return false;
    negative = json->text[0] == '-';
    for (at = json->text + negative; *at; at++) {
        if (*at < '0' || *at > '9' || __builtin_mul_overflow(sum, (uint64_t) 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t) (*at - '0'), &sum))
            return false;
    }
    if (sum > (uint64_t) INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t) (0 - sum) : (int64_t) sum;
    return true;
}
