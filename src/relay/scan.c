/*
 * Strings are followed so that brackets and commas inside them count as text.
 * Whatever happens on a line, its end sets everything back.
 */
#include "relay/scan.h"

#include <string.h>

#include "base/banned.h"

static void take_key(struct scan *scan, char c)
{
    if (scan->key_len < sizeof(scan->key))
        scan->key[scan->key_len++] = c;
}

static bool key_is(const struct scan *scan, const char *name)
{
    return scan->key_len == strlen(name) && !memcmp(scan->key, name, scan->key_len);
}

/* The first byte of a member's value: `"id":null` identifies nothing. */
static void take_value(struct scan *scan, char c)
{
    scan->value_next = false;
    if (key_is(scan, "id") && c != 'n')
        scan->has_id = true;
    if (key_is(scan, "method"))
        scan->has_method = true;
}

static void in_string(struct scan *scan, char c)
{
    if (scan->escaped)
        scan->escaped = false;
    else if (c == '\\')
        scan->escaped = true;
    else if (c == '"')
        scan->in_string = false;
    if (scan->in_string && scan->key_next)
        take_key(scan, c);
    if (!scan->in_string)
        scan->key_next = false;
}

static void outside(struct scan *scan, char c)
{
    if (c == ' ' || c == '\t' || c == '\r')
        return;
    if (scan->value_next)
        take_value(scan, c);
    if (c == '"') {
        scan->in_string = true;
    } else if (c == '{' || c == '[') {
        scan->depth++;
        scan->key_next = c == '{' && scan->depth == 1;
        scan->key_len = scan->key_next ? 0 : scan->key_len;
    } else if ((c == '}' || c == ']') && scan->depth) {
        scan->depth--;
    } else if (c == ':' && scan->depth == 1) {
        scan->value_next = true;
    } else if (c == ',' && scan->depth == 1) {
        scan->key_next = true;
        scan->key_len = 0;
    }
}

void scan_feed(struct scan *scan, const char *data, size_t len, struct scan_count *count)
{
    for (size_t i = 0; i < len; i++) {
        if (data[i] == '\n') {
            count->requests += scan->has_id && scan->has_method;
            count->answers += scan->has_id && !scan->has_method;
            *scan = (struct scan){ 0 };
        } else if (scan->in_string) {
            in_string(scan, data[i]);
        } else {
            outside(scan, data[i]);
        }
    }
}
