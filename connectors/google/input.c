/*
 * Checks on arguments. The action's own input types were checked by the runtime;
 * here is what only this connector can know, and nothing is taken on trust.
 */
#include "input.h"

#include <string.h>

#define ID_MAX         256
#define PAGE_TOKEN_MAX 2048

int input_only(struct aileron_call *call, const char *const *names)
{
    const struct aileron_json *arg = aileron_json_each(aileron_args(call));

    for (; arg; arg = arg->next) {
        const char *const *name = names;

        while (*name && strcmp(*name, arg->key) != 0)
            name++;
        if (!*name)
            return aileron_fail(call, "bad_input", "there is no argument %s here", input_one_line(call, arg->key, 64));
    }
    return 0;
}

const struct aileron_json *input_get(struct aileron_call *call, const char *name)
{
    const struct aileron_json *value = aileron_json_get(aileron_args(call), name);

    return value && value->type != AILERON_NULL ? value : NULL;
}

static bool control(char c)
{
    return (unsigned char) c < 0x20 || c == 0x7f;
}

int input_text(struct aileron_call *call, const char *name, unsigned flags, size_t max_bytes, const char **ret_text)
{
    const struct aileron_json *value = input_get(call, name);

    if (!value)
        return flags & INPUT_REQUIRED ? aileron_fail(call, "bad_input", "%s is missing", name) : 0;
    if (value->type != AILERON_STRING)
        return aileron_fail(call, "bad_input", "%s must be text", name);
    if (!value->len && !(flags & INPUT_MAY_BE_EMPTY))
        return aileron_fail(call, "bad_input", "%s is empty", name);
    if (value->len > max_bytes)
        return aileron_fail(call, "bad_input", "%s is longer than %zu bytes", name, max_bytes);
    for (size_t i = 0; flags & INPUT_ONE_LINE && i < value->len; i++)
        if (control(value->text[i]))
            return aileron_fail(call, "bad_input", "%s contains a line break or another control character", name);
    *ret_text = value->text;
    return 0;
}

bool input_is_id(const char *text, size_t max_bytes)
{
    size_t len = strlen(text);

    return len > 0 && len <= max_bytes && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

int input_id(struct aileron_call *call, const char *name, unsigned flags, const char **ret_id)
{
    const char *id = NULL;

    if (input_text(call, name, flags, ID_MAX, &id) != 0)
        return -1;
    if (id && !input_is_id(id, ID_MAX))
        return aileron_fail(call, "bad_input", "%s is not an id of Gmail: use one as a list or another answer gave it", name);
    *ret_id = id;
    return 0;
}

int input_max_results(struct aileron_call *call, int64_t *ret_count)
{
    const struct aileron_json *value = input_get(call, "max_results");
    int64_t count = MAX_RESULTS_DEFAULT;

    if (value && (!aileron_json_int(value, &count) || count < 1))
        return aileron_fail(call, "bad_input", "max_results must be a whole number from 1 to %d", MAX_RESULTS_CAP);
    *ret_count = count > MAX_RESULTS_CAP ? MAX_RESULTS_CAP : count;
    return 0;
}

int input_page_token(struct aileron_call *call, const char **ret_token)
{
    if (input_text(call, "page_token", 0, PAGE_TOKEN_MAX, ret_token) != 0)
        return -1;
    for (const char *at = *ret_token; at && *at; at++)
        if (*at <= ' ' || *at >= 0x7f)
            return aileron_fail(call, "bad_input", "page_token is not one: use next_page_token of the answer before");
    return 0;
}

size_t input_cut(const char *text, size_t len, size_t max_bytes)
{
    if (len <= max_bytes)
        return len;
    while (max_bytes > 0 && ((unsigned char) text[max_bytes] & 0xc0) == 0x80)
        max_bytes--;
    return max_bytes;
}

const char *input_one_line(struct aileron_call *call, const char *text, size_t max_bytes)
{
    char *line = aileron_copy(call, text, input_cut(text, strlen(text), max_bytes));

    for (char *at = line; *at; at++)
        if (control(*at))
            *at = ' ';
    return line;
}
