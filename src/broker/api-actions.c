/*
 * Actions over the API: listing, showing, enabling, removing, validating, running.
 */
#include "broker/broker.h"
#include "broker/run.h"
#include "broker/install.h"

#include "base/json.h"
#include "broker/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static json_t *connectors_json(const struct action *action)
{
    json_t *list = json_array();

    for (size_t i = 0; i < action->requires_len; i++) {
        const struct action_require *require = &action->requires_[i];
        json_t *ops = json_array();

        for (size_t k = 0; k < require->capabilities_len; k++)
            json_array_append_new(ops, json_string(require->capabilities[k]));
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "fqn", require->name, "version", require->version, "hash",
                                        require->hash, "ops", ops));
    }
    return list;
}

/* The fields of a row; what is not signed says so loudly. */
static json_t *row_json(struct broker *broker, const struct catalog_entry *entry)
{
    const struct action *action = entry->action;

    return json_pack("{s:s, s:s, s:s, s:b, s:b, s:s, s:o, s:b, s:b, s:s*, s:b, s:b, s:s*}", "name", action->name, "version",
        action->version, "intent", action->intent, "enabled", catalog_is_enabled(broker->catalog, action->name), "gated",
        action->gated, "kind", approval_kind_name(action->kind), "connectors", connectors_json(action), "idempotent",
        action_is_idempotent(action), "read_only", action_is_read_only(action), "source", action->source, "signed",
        entry->is_signed, "unsigned", !entry->is_signed, "fqn", entry->is_signed ? entry->fqn : NULL);
}

/* Whether a call will need the vault; what is not installed needs nothing yet. */
static bool needs_credential(struct broker *broker, const struct action *action)
{
    bool needs = false;

    for (size_t i = 0; i < action->requires_len && !needs; i++) {
        CLEANUP_PTR(connector_unref) struct connector *connector = NULL;

        if (connectors_get(broker->connectors, action->requires_[i].hash, &connector, NULL) == 0)
            needs = connector->manifest->credential != CREDENTIAL_NONE;
    }
    return needs;
}

static json_t *whole_json(struct broker *broker, const struct catalog_entry *entry)
{
    CLEANUP_FREE char *description = action_description(entry->action), *mcp_name = action_mcp_name(entry->action->name);
    json_t *whole = row_json(broker, entry);
    CLEANUP_JSON json_t *parsed = action_to_json(entry->action);

    if (!whole || !parsed || !description || !mcp_name) {
        json_decref(whole);
        return NULL;
    }
    json_object_update_missing(whole, parsed);
    json_object_set_new(whole, "schema", action_schema(entry->action));
    json_object_set_new(whole, "description", json_string(description));
    json_object_set_new(whole, "mcp_name", json_string(mcp_name));
    json_object_set_new(whole, "needs_credential", json_boolean(needs_credential(broker, entry->action)));
    json_object_set_new(whole, "hash", json_string(entry->hash));
    json_object_set_new(whole, "file", json_string(entry->file));
    return whole;
}

void api_actions_list(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP(catalog_list_free) struct catalog_list list = { 0 };
    struct err err = ERR_INIT;
    bool agent = request->role == API_AGENT;

    if (catalog_list(broker->catalog, &list, &err) < 0) {
        api_reply_error(reply, 500, "actions_unreadable", err.message, err.hint);
        return;
    }
    json_t *actions = json_array();
    for (size_t i = 0; i < list.len; i++) {
        const char *name = list.entries[i]->action->name;

        if (!agent || (catalog_is_enabled(broker->catalog, name) && broker_session_allows(request->session, name)))
            json_array_append_new(actions, row_json(broker, list.entries[i]));
    }
    json_t *errors = agent ? json_array() : json_incref(list.errors);
    api_reply_send(reply, 200, json_pack("{s:o, s:o}", "actions", actions, "load_errors", errors));
}

static const char *refusal_code(int r)
{
    return r == -EBADMSG ? "hash_mismatch" : r == -EKEYREJECTED ? "signature_failure" : "invalid_action";
}

/* The entry, or NULL after answering. */
static struct catalog_entry *find(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct catalog_entry *entry;
    struct err err = ERR_INIT;
    int r = catalog_get(broker->catalog, request->name, &entry, &err);

    if (r == 0)
        return entry;
    if (r == -ENOENT)
        api_reply_error(reply, 404, "not_found", err.message, "aileron action list shows the installed ones");
    else
        api_reply_error(
            reply, 422, refusal_code(r), err.message, err.hint[0] ? err.hint : "repair the file, or install the action again");
    return NULL;
}

void api_action_get(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *entry = find(broker, request, reply);

    if (entry)
        api_reply_send(reply, 200, whole_json(broker, entry));
}

static int receipt(struct broker *broker, const char *type, const struct catalog_entry *entry, struct err *err)
{
    return broker_receipt_owner(broker, type,
        json_pack("{s:s, s:s, s:s}", "aileron.action.name", entry->action->name, "aileron.action.version", entry->action->version,
            "aileron.action.hash", entry->hash),
        NULL, err);
}

void api_action_patch(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const json_t *enabled = json_object_get(request->body, "enabled");
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *entry = find(broker, request, reply);
    struct err err = ERR_INIT;

    if (!entry)
        return;
    if (!json_is_boolean(enabled) || json_object_size(request->body) != 1) {
        api_reply_error(reply, 400, "bad_request", "the body must be {\"enabled\":true} or {\"enabled\":false}", NULL);
        return;
    }
    bool wanted = json_is_true(enabled);
    if (catalog_is_enabled(broker->catalog, entry->action->name) != wanted) {
        if (receipt(broker, wanted ? "action.enabled" : "action.disabled", entry, &err) < 0) {
            broker_no_receipt(reply, &err);
            return;
        }
        if (catalog_set_enabled(broker->catalog, entry->action->name, wanted, &err) < 0) {
            api_reply_error(reply, 500, "not_saved", err.message, err.hint);
            return;
        }
        broker_actions_changed(broker);
    }
    api_reply_send(reply, 200, row_json(broker, entry));
}

/* Also of one that is refused: of that only the name is sure. */
static int receipt_of_removal(struct broker *broker, const char *name, const struct catalog_entry *entry, struct err *err)
{
    if (entry)
        return receipt(broker, "action.removed", entry, err);
    return broker_receipt_owner(broker, "action.removed",
        json_pack("{s:s, s:s, s:s}", "aileron.action.name", name, "aileron.action.version", "unknown", "aileron.action.hash",
            "unknown"),
        NULL, err);
}

void api_action_remove(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_PTR(catalog_entry_unref) struct catalog_entry *entry = NULL;
    struct err err = ERR_INIT;
    int r = catalog_get(broker->catalog, request->name, &entry, &err);

    if (r == -ENOENT && !catalog_is_signed(broker->catalog, request->name)) {
        api_reply_error(reply, 404, "not_found", err.message, "aileron action list shows the installed ones");
        return;
    }
    err_clear(&err);
    if (receipt_of_removal(broker, request->name, entry, &err) < 0) {
        broker_no_receipt(reply, &err);
        return;
    }
    if (catalog_remove(broker->catalog, request->name, &err) < 0) {
        api_reply_error(reply, 500, "not_removed", err.message, err.hint);
        return;
    }
    broker_actions_changed(broker);
    api_reply_send(reply, 200, json_pack("{s:s}", "removed", request->name));
}

/* Keys that other implementations of the format do not know. */
static json_t *keys_of_ours(const struct action *action)
{
    const char *keys[ACTION_KEYS_OF_OURS_MAX];
    size_t len = action_keys_of_ours(action, keys);
    json_t *list = json_array();

    for (size_t i = 0; i < len; i++)
        json_array_append_new(list, json_string(keys[i]));
    return list;
}

/* What placeholders may stand for while nothing is installed. */
static int fill_in(const char *text, size_t len, const char *file, char **ret_text, size_t *ret_len, struct err *err)
{
    struct action_pair pairs[] = {
        { (char *) "FQN", (char *) "local://validate" },
        { (char *) "VERSION", (char *) "0.0.0" },
        { (char *) "HASH", (char *) "sha256:0000000000000000000000000000000000000000000000000000000000000000" },
    };
    return action_substitute(text, len, file, pairs, ARRAY_LEN(pairs), ret_text, ret_len, err);
}

void api_action_validate(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *text = json_get_str(request->body, "text"), *file = json_get_str(request->body, "file");
    CLEANUP_PTR(action_free) struct action *action = NULL;
    CLEANUP_FREE char *filled = NULL;
    struct err err = ERR_INIT;
    size_t len;

    if (!text || !file || strlen(file) > 4096) {
        api_reply_error(reply, 400, "bad_request", "the body must be {\"text\":TEXT,\"file\":NAME}", NULL);
        return;
    }
    int r = fill_in(text, strlen(text), file, &filled, &len, &err);
    if (!r)
        r = action_parse(filled, len, file, NULL, &action, &err);
    if (r < 0)
        api_reply_send(reply, 200, json_pack("{s:b, s:[o]}", "valid", 0, "errors", catalog_error_json(file, &err)));
    else
        api_reply_send(reply, 200,
            json_pack("{s:b, s:[], s:s, s:b, s:o}", "valid", 1, "errors", "name", action->name, "gated", action->gated,
                "keys_of_ours", keys_of_ours(action)));
}

/* NULL, or what is wrong with the body of a run. */
static const char *check_run_body(const json_t *body)
{
    const json_t *args = json_object_get(body, "args"), *as = json_object_get(body, "as");

    if (args && !json_is_object(args))
        return "args must be an object";
    if (as && (!json_is_string(as) ||
                  !(binding_name_is_valid(json_string_value(as)) || binding_identity_is_valid(json_string_value(as)))))
        return "as must be the name of a binding, such as oauth2/google/me, or its last part";
    if (json_object_size(body) != (args != NULL) + (size_t) (as != NULL))
        return "the body must be {\"args\":{…},\"as\"?:BINDING}";
    return NULL;
}

void api_action_run(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *wrong = check_run_body(request->body);

    if (broker->stopping)
        api_reply_error(reply, 503, "stopping", "the daemon is stopping", NULL);
    else if (wrong)
        api_reply_error(reply, 400, "bad_request", wrong, NULL);
    else if (request->session && json_object_get(request->body, "as"))
        api_reply_error(reply, 403, "forbidden", "which binding is used is the owner's choice", NULL);
    else
        run_start(broker, request, reply);
}
