/*
 * The tools that agents see (SPEC §10): the enabled actions. Made when first asked for, dropped at every change.
 */
#include "broker/broker.h"

#include "base/json.h"
#include "broker/log.h"

#include <string.h>

#include "base/banned.h"

static json_t *tool_json(const struct action *action)
{
    CLEANUP_FREE char *name = action_mcp_name(action->name), *description = action_description(action);

    if (!name || !description)
        return NULL;
    return json_pack("{s:s, s:s, s:s, s:o, s:{s:b, s:b, s:b, s:b}}", "name", name, "action", action->name, "description",
        description, "inputSchema", action_schema(action), "annotations", "readOnlyHint",
        action_is_read_only(action) && !action->gated, "destructiveHint", action->gated, "idempotentHint",
        action_is_idempotent(action), "openWorldHint", 1);
}

/* Files put there by hand may collide where `action add` would have refused; the first by name wins. */
static bool is_taken(const json_t *tools, const char *name)
{
    const json_t *tool;
    size_t index;

    json_array_foreach(tools, index, tool) if (!strcmp(json_get_str(tool, "name"), name)) return true;
    return false;
}

const json_t *broker_tools(struct broker *broker)
{
    CLEANUP(catalog_list_free) struct catalog_list list = { 0 };

    if (broker->tools && catalog_is_watched(broker->catalog))
        return broker->tools;
    json_decref(broker->tools);
    broker->tools = json_array();
    if (catalog_list(broker->catalog, &list, NULL) < 0)
        return broker->tools;
    for (size_t i = 0; i < list.len; i++) {
        const struct action *action = list.entries[i]->action;

        if (!catalog_is_enabled(broker->catalog, action->name))
            continue;
        json_t *tool = tool_json(action);
        if (tool && is_taken(broker->tools, json_get_str(tool, "name"))) {
            log_warn("action %s is hidden from agents: another one has the same tool name", action->name);
            json_decref(tool);
        } else if (tool) {
            json_array_append_new(broker->tools, tool);
        }
    }
    return broker->tools;
}
