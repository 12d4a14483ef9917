/*
 * An action as JSON: the schema that agents get (SPEC §4) and the whole of it for
 * the API. Key order is that of the file, for people read it.
 *
 * The jansson calls that add to an object take NULL (no memory) for a value and
 * report it; one check of `bad` at the end is enough.
 */
#include "action/action.h"
#include "base/json.h"

#include <string.h>

#include "base/banned.h"

static json_t *input_schema(const struct action_input *input)
{
    json_t *schema = json_pack("{s:s, s:s}", "type", input_type_name(input->type), "description", input->description);

    if (schema && input->type == INPUT_ARRAY && input->has_items_type)
        json_object_set_new(schema, "items", json_pack("{s:s}", "type", input_type_name(input->items_type)));
    return schema;
}

json_t *action_schema(const struct action *action)
{
    CLEANUP_JSON json_t *properties = json_object(), *required = json_array();
    int bad = !properties || !required;

    for (size_t i = 0; i < action->inputs_len; i++) {
        const struct action_input *input = &action->inputs[i];

        bad |= json_object_set_new(properties, input->name, input_schema(input));
        if (input->required)
            bad |= json_array_append_new(required, json_string(input->name));
    }
    if (bad)
        return NULL;
    return json_pack(
        "{s:s, s:O, s:O, s:b}", "type", "object", "properties", properties, "required", required, "additionalProperties", 0);
}

static json_t *texts_json(char *const *texts, size_t len)
{
    json_t *list = json_array();

    for (size_t i = 0; i < len; i++)
        json_array_append_new(list, json_string(texts[i]));
    return list;
}

static json_t *pairs_json(const struct action_pair *pairs, size_t len, const char *key_name, const char *value_name)
{
    json_t *list = json_array();

    for (size_t i = 0; i < len; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", key_name, pairs[i].key, value_name, pairs[i].value));
    return list;
}

static json_t *requires_json(const struct action *action)
{
    json_t *list = json_array();

    for (size_t i = 0; i < action->requires_len; i++) {
        const struct action_require *require = &action->requires_[i];

        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:o}", "name", require->name, "version", require->version, "hash", require->hash,
                      "capabilities", texts_json(require->capabilities, require->capabilities_len)));
    }
    return list;
}

static json_t *inputs_json(const struct action *action)
{
    json_t *list = json_array();

    for (size_t i = 0; i < action->inputs_len; i++) {
        const struct action_input *input = &action->inputs[i];
        json_t *item = json_pack("{s:s, s:s, s:s, s:b, s:s*, s:s*}", "name", input->name, "type", input_type_name(input->type),
            "description", input->description, "required", input->required, "label", input->label, "items_type",
            input->has_items_type ? input_type_name(input->items_type) : NULL);

        if (item && input->multiline)
            json_object_set_new(item, "multiline", json_true());
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *steps_json(const struct action *action)
{
    json_t *list = json_array();

    for (size_t i = 0; i < action->steps_len; i++) {
        const struct action_step *step = &action->steps[i];
        json_t *item = json_pack("{s:s, s:s, s:s, s:b, s:O*}", "id", step->id, "connector", step->connector, "op", step->op,
            "read_only", step->read_only, "inputs", step->inputs);

        if (item && step->has_idempotent)
            json_object_set_new(item, "idempotent", json_boolean(step->idempotent));
        json_array_append_new(list, item);
    }
    return list;
}

static json_t *approval_json(const struct action *action)
{
    const struct action_preview *preview = action->preview;
    json_t *approval = json_pack("{s:b, s:s}", "required", action->gated, "kind", approval_kind_name(action->kind));

    if (!approval || !preview)
        return approval;
    json_object_set_new(approval, "preview",
        json_pack("{s:s, s:O*, s:o, s:o, s:o}", "op", preview->op, "args", preview->args, "render",
            pairs_json(preview->render, preview->render_len, "label", "path"), "multiline",
            texts_json(preview->multiline, preview->multiline_len), "bind",
            pairs_json(preview->bind, preview->bind_len, "argument", "path")));
    return approval;
}

json_t *action_to_json(const struct action *action)
{
    json_t *json = json_pack("{s:s, s:s, s:s*, s:s, s:s, s:b, s:s, s:b, s:b}", "name", action->name, "version", action->version,
        "source", action->source, "intent", action->intent, "body", action->body, "gated", action->gated, "kind",
        approval_kind_name(action->kind), "idempotent", action_is_idempotent(action), "read_only", action_is_read_only(action));
    int bad = !json;

    bad |= json_object_set_new(json, "requires", requires_json(action));
    bad |= json_object_set_new(json, "inputs", inputs_json(action));
    bad |= json_object_set_new(json, "steps", steps_json(action));
    bad |= json_object_set_new(json, "approval", approval_json(action));
    if (bad) {
        json_decref(json);
        return NULL;
    }
    return json;
}
