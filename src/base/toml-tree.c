/* The C side of TOML: looking into the tree, turning it into JSON, checking a table against a schema that is data. */
#include "base/toml.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"

#include "base/banned.h"

#define HINT_KEYS_MAX 200

void toml_free(struct toml_node *node)
{
    if (!node)
        return;
    for (size_t i = 0; i < node->items_len; i++)
        toml_free(node->items[i]);
    free(node->items);
    free(node->key);
    free(node->text);
    free(node);
}

const struct toml_node *toml_get(const struct toml_node *table, const char *key)
{
    if (!table || table->type != TOML_TABLE)
        return NULL;
    for (size_t i = 0; i < table->items_len; i++)
        if (!strcmp(table->items[i]->key, key))
            return table->items[i];
    return NULL;
}

static json_t *container_to_json(const struct toml_node *node)
{
    json_t *json = node->type == TOML_TABLE ? json_object() : json_array();

    for (size_t i = 0; json && i < node->items_len; i++) {
        json_t *item = toml_to_json(node->items[i]);
        int failed =
            node->type == TOML_TABLE ? json_object_set_new(json, node->items[i]->key, item) : json_array_append_new(json, item);

        if (failed) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

/* JSON has no infinity and no NaN: these become text. */
static json_t *real_to_json(double value)
{
    if (isnan(value))
        return json_string("nan");
    if (isinf(value))
        return json_string(value < 0 ? "-inf" : "inf");
    return json_real(value);
}

json_t *toml_to_json(const struct toml_node *node)
{
    switch (node->type) {
    case TOML_STRING:
    case TOML_DATETIME:
        return json_string(node->text);
    case TOML_INTEGER:
        return json_integer(node->integer);
    case TOML_FLOAT:
        return real_to_json(node->real);
    case TOML_BOOL:
        return json_boolean(node->boolean);
    case TOML_ARRAY:
    case TOML_TABLE:
        return container_to_json(node);
    }
    return NULL;
}

const char *toml_type_name(enum toml_type type)
{
    static const char *const names[] = { "a string", "an integer", "a float", "a boolean", "a date or time", "an array",
        "a table" };

    return names[type];
}

int toml_fail(const struct toml_node *at, const char *name, struct err *err, const char *format, ...)
{
    char text[ERR_MESSAGE_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return err_set(err, EINVAL, "%s:%u:%u: %s", name, at->line, at->column, text);
}

static void hint_keys(const struct toml_field *fields, size_t fields_len, struct err *err)
{
    CLEANUP(buf_free) struct buf keys = BUF_INIT(HINT_KEYS_MAX);

    for (size_t i = 0; i < fields_len; i++)
        if (buf_printf(&keys, "%s%s", i ? ", " : "", fields[i].key) < 0)
            break;
    err_hint(err, "keys that may stand here: %s", fields_len ? buf_str(&keys) : "none");
}

static const struct toml_field *find_field(const struct toml_field *fields, size_t fields_len, const char *key)
{
    for (size_t i = 0; i < fields_len; i++)
        if (!strcmp(fields[i].key, key))
            return &fields[i];
    return NULL;
}

int toml_check(const struct toml_node *table, const char *where, const struct toml_field *fields, size_t fields_len,
    const char *name, struct err *err)
{
    if (table->type != TOML_TABLE)
        return toml_fail(table, name, err, "%s must be a table, not %s", where, toml_type_name(table->type));
    for (size_t i = 0; i < table->items_len; i++) {
        const struct toml_node *item = table->items[i];
        const struct toml_field *field = find_field(fields, fields_len, item->key);

        if (!field) {
            toml_fail(item, name, err, "unknown key '%s' in %s", item->key, where);
            hint_keys(fields, fields_len, err);
            return -EINVAL;
        }
        if (item->type != field->type) {
            return toml_fail(item, name, err, "'%s' in %s must be %s, not %s", item->key, where, toml_type_name(field->type),
                toml_type_name(item->type));
        }
    }
    for (size_t i = 0; i < fields_len; i++) {
        if (!fields[i].required || toml_get(table, fields[i].key))
            continue;
        toml_fail(table, name, err, "%s lacks the key '%s'", where, fields[i].key);
        err_hint(err, "add '%s' (%s) to %s", fields[i].key, toml_type_name(fields[i].type), where);
        return -EINVAL;
    }
    return 0;
}
