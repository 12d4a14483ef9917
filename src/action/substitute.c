/*
 * `@@NAME@@` in source files (SPEC §4): filled in before validation, once and not
 * recursively. A value goes into TOML strings, so one that could end a string or
 * start a line is refused instead of escaped.
 */
#include "action/action.h"
#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/banned.h"

#define SUBSTITUTE_MAX_BYTES (1024 * 1024)
#define NAME_MAX_BYTES       64

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* Length of the name of the placeholder that starts at `text` ("@@NAME@@"); 0 when none does. */
static size_t placeholder_len(const char *text, size_t len)
{
    size_t n = 0;

    if (len < 5 || text[0] != '@' || text[1] != '@')
        return 0;
    while (2 + n < len && n < NAME_MAX_BYTES && is_name_char(text[2 + n]))
        n++;
    return n > 0 && 2 + n + 2 <= len && text[2 + n] == '@' && text[3 + n] == '@' ? n : 0;
}

static const char *value_find(const struct action_pair *pairs, size_t pairs_len, const char *name, size_t len)
{
    for (size_t i = 0; i < pairs_len; i++)
        if (strlen(pairs[i].key) == len && memcmp(pairs[i].key, name, len) == 0)
            return pairs[i].value;
    return NULL;
}

static int values_check(const struct action_pair *pairs, size_t pairs_len, struct err *err)
{
    for (size_t i = 0; i < pairs_len; i++)
        for (const char *c = pairs[i].value; *c; c++)
            if ((unsigned char) *c < 0x20 || *c == 0x7f || *c == '"' || *c == '\'' || *c == '\\')
                return err_set(err, EINVAL,
                    "the value for @@%.64s@@ has a quote, a backslash or a control character; give one line of plain text",
                    pairs[i].key);
    return 0;
}

static int left_over(const char *file, unsigned line, const char *name, size_t len, struct err *err)
{
    err_set(err, EINVAL, "%s:%u:1: nothing was given for @@%.*s@@", file, line, (int) len, name);
    err_hint(err, "write the value into the file or give it when installing");
    return -EINVAL;
}

static int text_fill(const char *text, size_t len, const char *file, const struct action_pair *pairs, size_t pairs_len,
    struct buf *out, struct err *err)
{
    unsigned line = 1;
    size_t at = 0;
    int r = 0;

    while (at < len && r == 0) {
        size_t name_len = placeholder_len(text + at, len - at);

        if (name_len > 0) {
            const char *value = value_find(pairs, pairs_len, text + at + 2, name_len);

            if (!value)
                return left_over(file, line, text + at + 2, name_len, err);
            r = buf_add_str(out, value);
            at += name_len + 4;
        } else {
            const char *next = memchr(text + at + 1, '@', len - at - 1);
            size_t plain = next ? (size_t) (next - text) - at : len - at;

            for (size_t i = 0; i < plain; i++)
                line += text[at + i] == '\n';
            r = buf_add(out, text + at, plain);
            at += plain;
        }
    }
    return r == -E2BIG ? err_set(err, E2BIG, "%s is too large", file) : r < 0 ? err_errno(err, -r, "%s", file) : 0;
}

int action_substitute(const char *text, size_t len, const char *file, const struct action_pair *pairs, size_t pairs_len,
    char **ret_text, size_t *ret_len, struct err *err)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(SUBSTITUTE_MAX_BYTES);
    int r = values_check(pairs, pairs_len, err);
    size_t out_len = 0;
    char *filled = NULL;

    if (r == 0)
        r = text_fill(text, len, file, pairs, pairs_len, &out, err);
    if (r < 0)
        return r;
    out_len = out.len;
    filled = buf_take(&out);
    if (!filled)
        return err_set(err, ENOMEM, "out of memory");
    *ret_text = filled;
    *ret_len = out_len;
    return 0;
}
