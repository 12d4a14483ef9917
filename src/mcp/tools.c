/*
 * A cursor names the last action of the page before it, so a list that changes between two pages neither loses nor repeats
 * what did not change.
 */
#include "mcp/tools.h"

#include "base/encode.h"
#include "base/json.h"
#include "broker/api.h"

#include <string.h>

#include "base/banned.h"

#define CURSOR_PREFIX "after:"
#define CURSOR_MAX    256

static const char STATUS_TOOL[] =
    "{\"name\":\"" BROKER_STATUS_TOOL "\",\"description\":\"Tells what became of an action that a person must approve, and "
    "collects its result once there is one. Takes the approval_id that the action's tool returned. It approves nothing and runs "
    "nothing a second time.\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"approval_id\":{\"type\":\"string\","
    "\"description\":\"the approval_id of the pending answer, apr_…\"}},\"required\":[\"approval_id\"],"
    "\"additionalProperties\":false},\"annotations\":{\"readOnlyHint\":true,\"destructiveHint\":false,\"idempotentHint\":true,"
    "\"openWorldHint\":false}}";

/* An action may not take the name of a tool that is ours. */
static bool is_shown(const json_t *tool, const struct session *session)
{
    return broker_session_allows(session, json_get_str(tool, "action")) && strcmp(json_get_str(tool, "name"), BROKER_STATUS_TOOL);
}

static bool is_gated(const json_t *tool)
{
    return json_is_true(json_object_get(json_object_get(tool, "annotations"), "destructiveHint"));
}

bool tools_have_gated(const json_t *tools, const struct session *session)
{
    const json_t *tool;
    size_t index;

    json_array_foreach(tools, index, tool)
    {
        if (is_gated(tool) && is_shown(tool, session))
            return true;
    }
    return false;
}

const char *tools_action(const json_t *tools, const struct session *session, const char *name)
{
    const json_t *tool;
    size_t index;

    json_array_foreach(tools, index, tool)
    {
        if (!strcmp(json_get_str(tool, "name"), name))
            return is_shown(tool, session) ? json_get_str(tool, "action") : NULL;
    }
    return NULL;
}

static json_t *cursor_after(const json_t *tool)
{
    CLEANUP(buf_free) struct buf plain = BUF_INIT(CURSOR_MAX), cursor = BUF_INIT(2 * CURSOR_MAX);

    if (buf_printf(&plain, CURSOR_PREFIX "%s", json_get_str(tool, "action")) < 0 ||
        base64url_encode(plain.data, plain.len, &cursor) < 0)
        return NULL;
    return json_string(buf_str(&cursor));
}

static bool cursor_read(const char *cursor, struct buf *ret_action)
{
    const size_t prefix = strlen(CURSOR_PREFIX);

    if (base64_decode(cursor, strlen(cursor), ret_action) < 0 || ret_action->len <= prefix ||
        strlen(buf_str(ret_action)) != ret_action->len || strncmp(buf_str(ret_action), CURSOR_PREFIX, prefix))
        return false;
    buf_consume(ret_action, prefix);
    return true;
}

/* As the client sees it. */
static json_t *shown(const json_t *tool)
{
    json_t *copy = json_copy((json_t *) tool);

    json_object_del(copy, "action");
    return copy;
}

/* Fills `listed` with what comes after the action `after` (""). The last one of a page that is not the last page, or NULL. */
static const json_t *fill(json_t *listed, const json_t *tools, const struct session *session, const char *after)
{
    const json_t *tool, *last = NULL;
    size_t index;

    json_array_foreach(tools, index, tool)
    {
        if (!is_shown(tool, session) || strcmp(json_get_str(tool, "action"), after) <= 0)
            continue;
        if (json_array_size(listed) >= TOOLS_PAGE)
            return last;
        json_array_append_new(listed, shown(tool));
        last = tool;
    }
    return NULL;
}

bool tools_page(const json_t *tools, const struct session *session, const char *cursor, json_t **ret_page)
{
    CLEANUP(buf_free) struct buf after = BUF_INIT(CURSOR_MAX);
    CLEANUP_JSON json_t *listed = json_array();

    if (cursor && !cursor_read(cursor, &after))
        return false;
    if (!cursor && tools_have_gated(tools, session))
        json_array_append_new(listed, json_loads(STATUS_TOOL, 0, NULL));
    const json_t *last = fill(listed, tools, session, buf_str(&after));
    json_t *next = last ? cursor_after(last) : NULL;
    *ret_page = last && !next ? NULL : json_pack("{s:O, s:o*}", "tools", listed, "nextCursor", next);
    return true;
}
