/* Previews: the path walk, and what it is used for. */
#include "broker/preview.h"

#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define SEGMENT_MAX    256
#define INDEX_DIGITS   9
#define PAIRS_TEXT_MAX ((size_t) 64 * 1024 * 1024)

static bool is_index(const char *segment, size_t *ret_index)
{
    size_t len = strspn(segment, "0123456789");

    if (!len || segment[len] || len > INDEX_DIGITS || (len > 1 && segment[0] == '0'))
        return false;
    *ret_index = 0;
    for (size_t i = 0; i < len; i++)
        *ret_index = *ret_index * 10 + (size_t) (segment[i] - '0');
    return true;
}

/* Header arrays: [{"name":"To","value":"…"}…]. */
static const json_t *step_into_array(const json_t *array, const char *segment)
{
    const json_t *item;
    size_t index;

    json_array_foreach(array, index, item)
    {
        const char *name = json_get_str(item, "name");

        if (name && !strcmp(name, segment))
            return json_object_get(item, "value");
    }
    return is_index(segment, &index) ? json_array_get(array, index) : NULL;
}

const json_t *preview_walk(const json_t *output, const char *path)
{
    const json_t *at = output;

    for (;;) {
        char segment[SEGMENT_MAX];
        size_t len = strcspn(path, ".");

        if (len >= sizeof segment)
            return NULL;
        memcpy(segment, path, len);
        segment[len] = '\0';
        at = json_is_array(at) ? step_into_array(at, segment) : json_object_get(at, segment);
        if (!path[len] || !at)
            break;
        path += len + 1;
    }
    return json_is_null(at) ? NULL : at;
}

/* A list of texts reads as one line when the line can only be read one way. */
static bool is_plain_list(const json_t *value)
{
    const json_t *item;
    size_t index;

    if (!json_array_size(value))
        return false;
    json_array_foreach(value, index, item)
    {
        const char *text = json_string_value(item);

        if (!text || !text[0] || strpbrk(text, ",\r\n"))
            return false;
    }
    return true;
}

static json_t *join(const json_t *list)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(PAIRS_TEXT_MAX);
    const json_t *item;
    size_t index;

    json_array_foreach(
        list, index, item) if (buf_printf(&text, "%s%s", index ? ", " : "", json_string_value(item)) < 0) return NULL;
    return json_string(buf_str(&text));
}

static json_t *value_text(const json_t *value)
{
    if (!value)
        return json_string(PREVIEW_MISSING);
    if (json_is_string(value))
        return json_string(json_string_value(value));
    if (is_plain_list(value))
        return join(value);
    CLEANUP_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    return text ? json_string(text) : NULL;
}

int preview_render(const struct action_preview *preview, const json_t *output, json_t **ret_pairs)
{
    CLEANUP_JSON json_t *pairs = json_array();

    for (size_t i = 0; i < preview->render_len; i++) {
        const struct action_pair *render = &preview->render[i];
        json_t *pair = json_pack("[s, o]", render->key, value_text(preview_walk(output, render->value)));

        if (json_array_append_new(pairs, pair) < 0)
            return -ENOMEM;
    }
    if (!pairs)
        return -ENOMEM;
    *ret_pairs = TAKE_PTR(pairs);
    return 0;
}

int preview_bind(
    const struct action_preview *preview, const json_t *output, const json_t *args, json_t **ret_args, struct err *err)
{
    CLEANUP_JSON json_t *bound = args ? json_deep_copy(args) : json_object();

    for (size_t i = 0; bound && i < preview->bind_len; i++) {
        const struct action_pair *bind = &preview->bind[i];
        const json_t *value = preview_walk(output, bind->value);

        if (!value) {
            err_set(err, ENOENT, "the preview has no %s, which the argument %s is bound to", bind->value, bind->key);
            return -ENOENT;
        }
        if (json_object_set_new(bound, bind->key, json_deep_copy(value)) < 0)
            return err_set(err, ENOMEM, "out of memory");
    }
    if (!bound)
        return err_set(err, ENOMEM, "out of memory");
    *ret_args = TAKE_PTR(bound);
    return 0;
}

int preview_hash(const json_t *pairs, char out[SHA256_TAGGED_MAX])
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(PAIRS_TEXT_MAX);
    uint8_t hash[SHA256_BYTES];
    int r = json_write_canonical(pairs, &text);

    if (!r)
        r = sha256(text.data, text.len, hash);
    if (!r)
        sha256_tag(hash, out);
    return r < 0 ? -ENOMEM : 0;
}
