/*
 * A call's arguments: held to the action's inputs, then turned into the final
 * arguments of each step. What a step's template names belongs to the template
 * alone, also when an optional argument was missing and its key went away: a
 * call fills only keys of which the template says nothing.
 *
 * Messages name arguments, never their values.
 */
#include "action/action.h"
#include "action/template.h"
#include "base/buf.h"
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/banned.h"

#define KEY_SHOWN_MAX 64

static const struct action_input *input_find(const struct action *action, const char *name)
{
    for (size_t i = 0; i < action->inputs_len; i++)
        if (!strcmp(action->inputs[i].name, name))
            return &action->inputs[i];
    return NULL;
}

/* JSON Schema's integer: 3.0 is one, and exactly held by a double. */
static bool is_integer(const json_t *value)
{
    double real = json_real_value(value);

    return json_is_integer(value) || (json_is_real(value) && floor(real) == real && fabs(real) <= 9007199254740992.0);
}

static bool has_type(const json_t *value, enum input_type type)
{
    switch (type) {
    case INPUT_STRING:
        return json_is_string(value);
    case INPUT_INTEGER:
        return is_integer(value);
    case INPUT_NUMBER:
        return json_is_number(value);
    case INPUT_BOOLEAN:
        return json_is_boolean(value);
    case INPUT_ARRAY:
        return json_is_array(value);
    case INPUT_OBJECT:
        return json_is_object(value);
    }
    return false;
}

static const char *value_type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "boolean";
    case JSON_NULL:
        break;
    }
    return "null";
}

/* A key that a stranger chose, fit for a message: bytes that are not plain become '?'. */
static const char *key_shown(const char *key, char out[KEY_SHOWN_MAX])
{
    size_t i = 0;

    for (; key[i] && i < KEY_SHOWN_MAX - 1; i++)
        out[i] = key[i] > 0x20 && key[i] < 0x7f ? key[i] : '?';
    out[i] = '\0';
    return out;
}

static int unknown_argument(const struct action *action, const char *key, struct err *err)
{
    CLEANUP(buf_free) struct buf known = BUF_INIT(ERR_HINT_MAX - 40);
    char shown[KEY_SHOWN_MAX];

    for (size_t i = 0; i < action->inputs_len; i++)
        if (buf_printf(&known, "%s%s", i ? ", " : "", action->inputs[i].name) < 0)
            break;
    err_set(err, EINVAL, "%s has no argument '%s'", action->name, key_shown(key, shown));
    if (action->inputs_len == 0)
        err_hint(err, "it takes none");
    else
        err_hint(err, "it takes: %s", buf_str(&known));
    return -EINVAL;
}

static int wrong_type(const struct action *action, const char *what, const json_t *value, enum input_type type, struct err *err)
{
    err_set(err, EINVAL, "%s of %s must be of type %s, not %s", what, action->name, input_type_name(type),
        json_is_real(value) && type == INPUT_INTEGER ? "a number with a fraction" : value_type_name(value));
    if (json_is_null(value))
        err_hint(err, "leave an optional argument out instead of sending null");
    return -EINVAL;
}

static int argument_check(const struct action *action, const struct action_input *input, const json_t *value, struct err *err)
{
    char what[KEY_SHOWN_MAX + 64];
    json_t *item = NULL;
    size_t i = 0;

    if (!has_type(value, input->type)) {
        snprintf(what, sizeof what, "argument '%s'", input->name);
        return wrong_type(action, what, value, input->type, err);
    }
    if (input->type != INPUT_ARRAY || !input->has_items_type)
        return 0;
    json_array_foreach((json_t *) value, i, item)
    {
        if (has_type(item, input->items_type))
            continue;
        snprintf(what, sizeof what, "element %zu of argument '%s'", i, input->name);
        return wrong_type(action, what, item, input->items_type, err);
    }
    return 0;
}

int action_check_args(const struct action *action, const json_t *args, struct err *err)
{
    const char *key = NULL;
    json_t *value = NULL;
    int r = 0;

    if (!json_is_object(args))
        return err_set(err, EINVAL, "the arguments of %s must be a JSON object", action->name);
    json_object_foreach((json_t *) args, key, value)
    {
        const struct action_input *input = input_find(action, key);

        if (!input)
            return unknown_argument(action, key, err);
        r = argument_check(action, input, value, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < action->inputs_len; i++) {
        const struct action_input *input = &action->inputs[i];

        if (!input->required || json_object_get(args, input->name))
            continue;
        err_set(err, EINVAL, "%s needs the argument '%s' (%s)", action->name, input->name, input_type_name(input->type));
        err_hint(err, "%s", input->description);
        return -EINVAL;
    }
    return template_measure(args, err);
}

static json_t *integer_of(json_t *value)
{
    return json_is_real(value) ? json_integer((json_int_t) json_real_value(value)) : json_incref(value);
}

/* New reference to the argument, where 3.0 given for an integer has become 3. */
static json_t *argument_normal(const struct action_input *input, json_t *value)
{
    CLEANUP_JSON json_t *list = NULL;
    json_t *item = NULL;
    size_t i = 0;

    if (input && input->type == INPUT_INTEGER)
        return integer_of(value);
    if (!input || input->type != INPUT_ARRAY || !input->has_items_type || input->items_type != INPUT_INTEGER)
        return json_incref(value);
    list = json_array();
    json_array_foreach(value, i, item)
    {
        if (json_array_append_new(list, integer_of(item)) < 0)
            return NULL;
    }
    return TAKE_PTR(list);
}

static json_t *args_normal(const struct action *action, const json_t *args)
{
    CLEANUP_JSON json_t *normal = json_object();
    const char *key = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *) args, key,
        value) if (json_object_set_new_nocheck(normal, key, argument_normal(input_find(action, key), value)) < 0) return NULL;
    return TAKE_PTR(normal);
}

int action_render_step(const struct action *action, size_t index, const json_t *args, json_t **ret_args, struct err *err)
{
    const struct action_step *step = &action->steps[index];
    CLEANUP_JSON json_t *normal = args_normal(action, args), *final = NULL;
    const char *key = NULL;
    json_t *value = NULL;
    int r = 0;

    if (!normal)
        return err_set(err, ENOMEM, "out of memory");
    if (step->inputs)
        r = action_render(step->inputs, normal, &final, err);
    else
        final = json_object();
    if (r < 0)
        return r;
    json_object_foreach(normal, key,
        value) if (!json_object_get(step->inputs, key) && json_object_set_nocheck(final, key, value) < 0) return err_set(err,
        ENOMEM, "out of memory");
    r = template_measure(final, err);
    if (r < 0)
        return r;
    *ret_args = TAKE_PTR(final);
    return 0;
}
