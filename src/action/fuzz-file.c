/*
 * Fuzzes the action file. What is taken must hold the promises that the broker
 * builds on: every pointer set, references inside the action, a schema, and a
 * rendering of each step that ends, whatever the arguments.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "action/action.h"
#include "base/json.h"

#include "base/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
    if (!truth)
        abort();
}

/* Arguments that fit the inputs: one value a type. */
static json_t *args_for(const struct action *action)
{
    json_t *args = json_object();

    for (size_t i = 0; i < action->inputs_len; i++) {
        static const char *const values[] = { "\"text ${args.x}\"", "7", "0.5", "true", "[1,\"a\"]", "{\"k\":[null]}" };

        if (i % 3 != 2)
            json_object_set_new(args, action->inputs[i].name, json_loads(values[action->inputs[i].type], JSON_DECODE_ANY, NULL));
    }
    return args;
}

static void check_steps(const struct action *action)
{
    CLEANUP_JSON json_t *args = args_for(action);

    action_check_args(action, args, NULL);
    for (size_t i = 0; i < action->steps_len; i++) {
        CLEANUP_JSON json_t *final = NULL;
        bool is_known = false;

        for (size_t j = 0; j < action->requires_len; j++)
            is_known = is_known || action->steps[i].require == &action->requires_[j];
        require(is_known && action->steps[i].id && action->steps[i].op && action->steps[i].connector);
        if (action_render_step(action, i, args, &final, NULL) == 0)
            require(json_is_object(final));
    }
    if (action->preview && action->preview->args) {
        CLEANUP_JSON json_t *final = NULL;

        require(action_render(action->preview->args, args, &final, NULL) <= 0);
    }
}

static void check_action(const struct action *action)
{
    CLEANUP_JSON json_t *schema = action_schema(action), *whole = action_to_json(action);
    CLEANUP_FREE char *description = action_description(action), *tool = NULL;

    require(
        action->name && action->version && action->intent && action->body && action->requires_len > 0 && action->steps_len > 0);
    tool = action_mcp_name(action->name);
    require(strlen(action->name) <= ACTION_NAME_MAX && strlen(tool) == strlen(action->name) && !strpbrk(tool, "-."));
    require(schema && whole && description && description[0]);
    require(json_object_size(json_object_get(schema, "properties")) == action->inputs_len);
    check_steps(action);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct action_pair pairs[] = { { (char *) "FQN", (char *) "local://fuzz" },
        { (char *) "VERSION", (char *) "1.0.0" } };
    CLEANUP_PTR(action_free) struct action *action = NULL;
    CLEANUP_FREE char *filled = NULL;
    struct err err = ERR_INIT;
    size_t filled_len = 0;

    if (action_substitute((const char *) data, size, "f", pairs, 2, &filled, &filled_len, &err) < 0) {
        require(err.message[0] != '\0');
        return 0;
    }
    if (action_parse(filled, filled_len, "f", NULL, &action, &err) < 0) {
        require(err.message[0] != '\0' && !action);
        return 0;
    }
    check_action(action);
    return 0;
}
