/*
 * Conversion is strict: what is not wholly a number is no number, so a slip is
 * seen here and not in somebody's calendar.
 */
#include "cli/convert.h"

#include "cli/command.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define VALUE_MAX (1024 * 1024)

static int convert_string(const char *name, const char *text, json_t **ret_value, struct err *err)
{
    *ret_value = json_string(text);
    return *ret_value ? 0 : err_set(err, EINVAL, "%s is not valid UTF-8", name);
}

static int convert_integer(const char *name, const char *text, json_t **ret_value, struct err *err)
{
    size_t sign = text[0] == '-' ? 1 : 0;
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (text[sign] < '0' || text[sign] > '9' || *end)
        return err_set(err, EINVAL, "%s is a whole number, not \"%s\"", name, text);
    if (errno)
        return err_set(err, EINVAL, "%s is out of range: %s", name, text);
    *ret_value = json_integer(value);
    return *ret_value ? 0 : -ENOMEM;
}

/* JSON's own grammar for numbers: no hexadecimal, no "inf", a digit on both sides of the point. */
static bool is_number(const char *text)
{
    size_t digits;

    text += text[0] == '-';
    digits = strspn(text, "0123456789");
    if (!digits || (digits > 1 && text[0] == '0'))
        return false;
    text += digits;
    if (text[0] == '.') {
        digits = strspn(++text, "0123456789");
        if (!digits)
            return false;
        text += digits;
    }
    if (text[0] == 'e' || text[0] == 'E') {
        text += text[1] == '-' || text[1] == '+' ? 2 : 1;
        digits = strspn(text, "0123456789");
        if (!digits)
            return false;
        text += digits;
    }
    return !*text;
}

static int convert_number(const char *name, const char *text, json_t **ret_value, struct err *err)
{
    double value;

    if (!is_number(text))
        return err_set(err, EINVAL, "%s is a number, not \"%s\"", name, text);
    if (!strpbrk(text, ".eE"))
        return convert_integer(name, text, ret_value, err);
    value = strtod(text, NULL);
    if (!isfinite(value))
        return err_set(err, EINVAL, "%s is out of range: %s", name, text);
    *ret_value = json_real(value);
    return *ret_value ? 0 : -ENOMEM;
}

static int convert_boolean(const char *name, const char *text, json_t **ret_value, struct err *err)
{
    bool yes = !strcmp(text, "true") || !strcmp(text, "yes");

    if (!yes && strcmp(text, "false") != 0 && strcmp(text, "no") != 0)
        return err_set(err, EINVAL, "%s is true or false, not \"%s\"", name, text);
    *ret_value = json_boolean(yes);
    return 0;
}

static int convert_json(const char *name, const char *text, bool array, json_t **ret_value, struct err *err)
{
    CLEANUP_JSON json_t *value = NULL;
    int r = json_parse(text, strlen(text), JSON_LIMITS(VALUE_MAX), &value, err);

    if (r < 0) {
        err_prefix(err, "%s takes a JSON %s", name, array ? "array" : "object");
        return r;
    }
    if (array ? !json_is_array(value) : !json_is_object(value))
        return err_set(err, EINVAL, "%s takes a JSON %s", name, array ? "array" : "object");
    *ret_value = TAKE_PTR(value);
    return 0;
}

static int convert_array(const char *name, const char *text, json_t **ret_value, struct err *err)
{
    return convert_json(name, text, true, ret_value, err);
}

static int convert_object(const char *name, const char *text, json_t **ret_value, struct err *err)
{
    return convert_json(name, text, false, ret_value, err);
}

static const struct {
    const char *type;
    int (*convert)(const char *name, const char *text, json_t **ret_value, struct err *err);
} TYPES[] = {
    { "string", convert_string },
    { "integer", convert_integer },
    { "number", convert_number },
    { "boolean", convert_boolean },
    { "array", convert_array },
    { "object", convert_object },
};

int convert_value(const char *type, const char *name, const char *text, json_t **ret_value, struct err *err)
{
    for (size_t i = 0; i < sizeof(TYPES) / sizeof(TYPES[0]); i++)
        if (!strcmp(TYPES[i].type, type))
            return TYPES[i].convert(name, text, ret_value, err);
    return err_set(err, EINVAL, "%s has the type %s, which this version does not know", name, type);
}

static const json_t *find_input(const json_t *inputs, const char *name)
{
    const json_t *input;
    size_t i;

    json_array_foreach((json_t *) inputs, i, input)
    {
        const char *have = json_get_str(input, "name");

        if (have && !strcmp(have, name))
            return input;
    }
    return NULL;
}

static int fail_unknown(const json_t *inputs, const char *name, struct err *err)
{
    const char *nearest = NULL;
    unsigned best = ~0u, distance;
    const json_t *input;
    size_t i;

    json_array_foreach((json_t *) inputs, i, input)
    {
        const char *have = json_get_str(input, "name");

        if (have && text_is_near(name, have, &distance) && distance < best) {
            best = distance;
            nearest = have;
        }
    }
    err_set(err, EINVAL, "the action has no input \"%s\"", name);
    if (nearest)
        err_hint(err, "did you mean %s=…?", nearest);
    return -EINVAL;
}

static int add_element(const json_t *input, const char *name, const char *text, json_t *args, struct err *err)
{
    const char *items = json_get_str(input, "items_type");
    json_t *array = json_object_get(args, name);
    json_t *value = NULL;
    int r = convert_value(items ? items : "string", name, text, &value, err);

    if (r < 0)
        return r;
    if (!array) {
        array = json_array();
        if (json_object_set_new(args, name, array) < 0) {
            json_decref(value);
            return -ENOMEM;
        }
    }
    return json_array_append_new(array, value) < 0 ? -ENOMEM : 0;
}

int convert_pair(const json_t *inputs, const char *pair, json_t *args, struct err *err)
{
    const char *equals = strchr(pair, '=');
    CLEANUP_FREE char *name = equals ? strndup(pair, (size_t) (equals - pair)) : NULL;
    const json_t *input;
    const char *type;
    json_t *value = NULL;
    int r;

    if (!equals || equals == pair)
        return err_set(err, EINVAL, "--arg takes NAME=VALUE, not \"%s\"", pair);
    if (!name)
        return -ENOMEM;
    input = find_input(inputs, name);
    if (!input)
        return fail_unknown(inputs, name, err);
    type = json_get_str(input, "type");
    if (type && !strcmp(type, "array"))
        return add_element(input, name, equals + 1, args, err);
    if (json_object_get(args, name))
        return err_set(err, EINVAL, "%s was given twice, and it is no list", name);
    r = convert_value(type ? type : "string", name, equals + 1, &value, err);
    if (r < 0)
        return r;
    return json_object_set_new(args, name, value) < 0 ? -ENOMEM : 0;
}

const char *convert_missing(const json_t *inputs, const json_t *args)
{
    const json_t *input;
    size_t i;

    json_array_foreach((json_t *) inputs, i, input)
    {
        const char *name = json_get_str(input, "name");

        if (name && !json_is_false(json_object_get(input, "required")) && !json_object_get(args, name))
            return name;
    }
    return NULL;
}
