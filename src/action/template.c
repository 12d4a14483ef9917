/*
 * Rendering. A string that is one interpolation and nothing else becomes the
 * argument's own JSON value (shared, never copied); any other string becomes text,
 * in which numbers, booleans, lists and objects stand as JSON. A name that has no
 * argument takes the whole key or list element away. Templates are at most 32
 * deep (base/toml.h), so recursion over them is bounded; what comes out is measured.
 */
#include "action/template.h"

#include "action/action.h"
#include "base/buf.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyz0123456789_"

struct render {
    const json_t *args;
    size_t text_left; /* bytes of text that may still be made */
    struct err *err;
};

static int value_render(struct render *render, const json_t *template, json_t **ret_value);

int template_next(const char **at, struct template_piece *ret_piece)
{
    static const char opening[] = "${args.";
    const char *text = *at;

    if (*text == '\0')
        return 0;
    if (strncmp(text, "${", 2) == 0) {
        size_t len = 0;

        if (strncmp(text, opening, sizeof opening - 1) != 0)
            return -EINVAL;
        text += sizeof opening - 1;
        len = strspn(text, NAME_CHARS);
        if (len == 0 || text[len] != '}')
            return -EINVAL;
        *ret_piece = (struct template_piece){ true, text, len };
        *at = text + len + 1;
        return 1;
    }
    *ret_piece = (struct template_piece){ false, text, 0 };
    while (*text && strncmp(text, "${", 2) != 0)
        text++;
    ret_piece->len = (size_t) (text - *at);
    *at = text;
    return 1;
}

static int over_limit(struct err *err)
{
    return err_set(err, E2BIG, "the arguments are over %d KiB once the action's template is filled in; make them shorter",
        TEMPLATE_MAX_BYTES / 1024);
}

/* Borrowed; NULL when the call does not give it. */
static const json_t *argument_of(const struct render *render, const struct template_piece *name)
{
    return json_object_getn(render->args, name->text, name->len);
}

/* The shortest text that reads back as the same number: 0.1 and not 0.10000000000000001. */
static int real_add(struct buf *out, const json_t *value)
{
    char number[64] = "";
    size_t len = 0;

    for (size_t precision = 15; precision <= 17; precision++) {
        len = json_dumpb(value, number, sizeof number - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(precision));
        if (len == 0 || len >= sizeof number)
            return -EINVAL;
        number[len] = '\0';
        if (strtod(number, NULL) == json_real_value(value))
            break;
    }
    return buf_add(out, number, len);
}

/* An argument as text: a string as it is, anything else as JSON. */
static int text_add(struct buf *out, const json_t *value)
{
    CLEANUP(buf_free) struct buf json = BUF_INIT(TEMPLATE_MAX_BYTES);
    int r = 0;

    if (json_is_string(value))
        return buf_add(out, json_string_value(value), json_string_length(value));
    if (json_is_object(value) || json_is_array(value)) {
        r = json_write(value, &json);
        return r < 0 ? r : buf_add(out, buf_str(&json), json.len);
    }
    if (json_is_integer(value))
        return buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value))
        return real_add(out, value);
    return buf_add_str(out, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
}

/* 0; 1 when a name has no argument, so that the key goes away. */
static int text_render(struct render *render, const char *text, json_t **ret_value)
{
    CLEANUP(buf_free) struct buf out = BUF_INIT(render->text_left);
    struct template_piece piece;
    int r = 0;

    while ((r = template_next(&text, &piece)) > 0) {
        const json_t *argument = piece.is_name ? argument_of(render, &piece) : NULL;

        if (piece.is_name && !argument)
            return 1;
        r = piece.is_name ? text_add(&out, argument) : buf_add(&out, piece.text, piece.len);
        if (r == -E2BIG)
            return over_limit(render->err);
        if (r < 0)
            return err_errno(render->err, -r, "an argument cannot be written as text");
    }
    if (r < 0)
        return err_set(render->err, EINVAL, "a template has '${' that does not start ${args.NAME}");
    render->text_left -= out.len;
    *ret_value = json_stringn(buf_str(&out), out.len);
    return *ret_value ? 0 : err_set(render->err, EINVAL, "a template's text is not UTF-8 or memory is short");
}

static int string_render(struct render *render, const json_t *template, json_t **ret_value)
{
    const char *text = json_string_value(template), *at = text;
    struct template_piece piece;

    if (template_next(&at, &piece) == 1 && piece.is_name && *at == '\0') {
        const json_t *argument = argument_of(render, &piece);

        if (!argument)
            return 1;
        *ret_value = json_incref((json_t *) argument);
        return 0;
    }
    return text_render(render, text, ret_value);
}

static int array_render(struct render *render, const json_t *template, json_t **ret_value)
{
    CLEANUP_JSON json_t *list = json_array();
    size_t i = 0;
    json_t *item = NULL;

    json_array_foreach((json_t *) template, i, item)
    {
        json_t *value = NULL;
        int r = value_render(render, item, &value);

        if (r < 0)
            return r;
        if (r == 0 && json_array_append_new(list, value) < 0)
            return err_set(render->err, ENOMEM, "out of memory");
    }
    *ret_value = TAKE_PTR(list);
    return 0;
}

static int object_render(struct render *render, const json_t *template, json_t **ret_value)
{
    CLEANUP_JSON json_t *object = json_object();
    const char *key = NULL;
    json_t *item = NULL;

    json_object_foreach((json_t *) template, key, item)
    {
        json_t *value = NULL;
        int r = value_render(render, item, &value);

        if (r < 0)
            return r;
        if (r == 0 && json_object_set_new_nocheck(object, key, value) < 0)
            return err_set(render->err, ENOMEM, "out of memory");
    }
    *ret_value = TAKE_PTR(object);
    return 0;
}

static int value_render(struct render *render, const json_t *template, json_t **ret_value)
{
    if (json_is_string(template))
        return string_render(render, template, ret_value);
    if (json_is_array(template))
        return array_render(render, template, ret_value);
    if (json_is_object(template))
        return object_render(render, template, ret_value);
    *ret_value = json_incref((json_t *) template);
    return 0;
}

struct measure {
    size_t nodes, bytes;
};

static int measure_walk(const json_t *value, unsigned depth, struct measure *sum)
{
    const char *key = NULL;
    json_t *item = NULL;
    size_t i = 0;
    int r = 0;

    if (json_is_string(value))
        sum->bytes += json_string_length(value);
    if (++sum->nodes > TEMPLATE_MAX_NODES || sum->bytes > TEMPLATE_MAX_BYTES || depth > TEMPLATE_MAX_DEPTH)
        return -E2BIG;
    json_array_foreach((json_t *) value, i, item)
    {
        r = measure_walk(item, depth + 1, sum);
        if (r < 0)
            return r;
    }
    json_object_foreach((json_t *) value, key, item)
    {
        sum->bytes += strlen(key);
        r = measure_walk(item, depth + 1, sum);
        if (r < 0)
            return r;
    }
    return 0;
}

int template_measure(const json_t *value, struct err *err)
{
    struct measure sum = { 0, 0 };

    if (measure_walk(value, 1, &sum) == 0)
        return 0;
    if (sum.bytes > TEMPLATE_MAX_BYTES)
        return over_limit(err);
    if (sum.nodes > TEMPLATE_MAX_NODES)
        return err_set(err, E2BIG, "the arguments hold over %d values; send fewer", TEMPLATE_MAX_NODES);
    return err_set(err, E2BIG, "the arguments are nested more than %d deep; flatten them", TEMPLATE_MAX_DEPTH);
}

int action_render(const json_t *template, const json_t *args, json_t **ret_value, struct err *err)
{
    struct render render = { args, TEMPLATE_MAX_BYTES, err };
    CLEANUP_JSON json_t *value = NULL;
    int r = value_render(&render, template, &value);

    if (r > 0)
        return err_set(err, EINVAL, "the template needs an argument that was not given");
    if (r < 0)
        return r;
    r = template_measure(value, err);
    if (r < 0)
        return r;
    *ret_value = TAKE_PTR(value);
    return 0;
}
