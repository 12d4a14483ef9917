/*
 * POST /v1/sync: what the installed actions need and lack. It only tells; connectors are installed through plans and
 * credentials are bound by the CLI.
 */
#include "broker/broker.h"

#include "base/json.h"
#include "broker/trusted.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

struct lacks {
    struct broker *broker;
    json_t *connectors, *bindings, *changed;
};

/* The row whose `key` is `value`, or NULL. */
static json_t *row_find(const json_t *rows, const char *key, const char *value)
{
    json_t *row = NULL;
    size_t i = 0;

    json_array_foreach(rows, i, row)
    {
        const char *text = json_get_str(row, key);

        if (text && !strcmp(text, value))
            return row;
    }
    return NULL;
}

/* Names the action in the row's needed_by; a new row, stolen, is added first. */
static int row_note(json_t *rows, json_t *known, json_t *fresh_stolen, const char *action)
{
    json_t *needed_by = NULL;
    const json_t *item = NULL;
    size_t i = 0;

    if (!known && json_array_append_new(rows, fresh_stolen) < 0)
        return -ENOMEM;
    needed_by = json_object_get(known ? known : json_array_get(rows, json_array_size(rows) - 1), "needed_by");
    json_array_foreach(needed_by, i, item)
    {
        if (!strcmp(json_string_value(item), action))
            return 0;
    }
    return json_array_append_new(needed_by, json_string(action));
}

static int note_missing(struct lacks *lacks, const struct action_require *require, const char *action)
{
    json_t *known = row_find(lacks->connectors, "hash", require->hash);
    json_t *fresh = known ? NULL
                          : json_pack("{s:s, s:s, s:s, s:[]}", "fqn", require->name, "version", require->version, "hash",
                                require->hash, "needed_by");

    return row_note(lacks->connectors, known, fresh, action);
}

static int note_changed(
    struct lacks *lacks, const struct action_require *require, const char *action, int r, const struct err *err)
{
    json_t *known = row_find(lacks->changed, "hash", require->hash);
    json_t *fresh =
        known ? NULL
              : json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s*, s:[]}", "kind", "connector", "fqn", require->name, "version",
                    require->version, "hash", require->hash, "class", r == -EKEYREJECTED ? "signature_failure" : "hash_mismatch",
                    "message", err->message, "hint", err->hint[0] ? err->hint : NULL, "needed_by");

    return row_note(lacks->changed, known, fresh, action);
}

/* The command that makes a choice possible again; "" when there is nothing to do. */
static void binding_command(
    const struct broker *broker, const struct manifest *manifest, const char *kind, char *out, size_t size)
{
    char name[BINDING_NAME_MAX];
    enum binding_choice choice = binding_choose(keeper_bindings(broker->keeper), manifest->name, kind, NULL, name);

    out[0] = '\0';
    if (choice == BINDING_NONE || choice == BINDING_REVOKED)
        snprintf(out, size, "aileron binding setup %s", manifest->name);
    else if (choice == BINDING_STALE)
        snprintf(out, size, "aileron binding reauthorize %s", name);
    else if (choice == BINDING_NO_GRANT)
        snprintf(out, size, "aileron binding rebind %s", name);
}

static int note_binding(struct lacks *lacks, const struct manifest *manifest, const char *action)
{
    const char *kind = credential_kind_name(manifest->credential);
    char command[FQN_MAX + 64];

    if (manifest->credential == CREDENTIAL_NONE)
        return 0;
    binding_command(lacks->broker, manifest, kind, command, sizeof command);
    if (!command[0])
        return 0;
    json_t *known = row_find(lacks->bindings, "connector_fqn", manifest->name);
    json_t *fresh = known ? NULL
                          : json_pack("{s:s, s:s, s:s, s:[]}", "connector_fqn", manifest->name, "kind", kind, "command", command,
                                "needed_by");
    return row_note(lacks->bindings, known, fresh, action);
}

static int look_at(struct lacks *lacks, const struct action *action)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < action->requires_len; i++) {
        const struct action_require *require = &action->requires_[i];
        CLEANUP_PTR(connector_unref) struct connector *connector = NULL;
        struct err err = ERR_INIT;
        int found = connectors_get(lacks->broker->connectors, require->hash, &connector, &err);

        if (found == -ENOENT)
            r = note_missing(lacks, require, action->name);
        else if (found < 0)
            r = note_changed(lacks, require, action->name, found, &err);
        else
            r = note_binding(lacks, connector->manifest, action->name);
    }
    return r;
}

/* Actions that are refused themselves, as the list of actions tells of them. */
static int note_refused(struct lacks *lacks, const json_t *errors)
{
    const json_t *error = NULL;
    size_t i = 0;

    json_array_foreach(errors, i, error)
    {
        json_t *row = json_copy((json_t *) error);

        if (!row || json_object_set_new(row, "kind", json_string("action")) < 0 || json_array_append_new(lacks->changed, row) < 0)
            return -ENOMEM;
    }
    return 0;
}

void api_sync(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP(catalog_list_free) struct catalog_list actions = { 0 };
    CLEANUP_JSON json_t *connectors = json_array();
    CLEANUP_JSON json_t *bindings = json_array();
    CLEANUP_JSON json_t *changed = json_array();
    struct lacks lacks = { broker, connectors, bindings, changed };
    struct err err = ERR_INIT;
    int r = catalog_list(broker->catalog, &actions, &err);

    for (size_t i = 0; r == 0 && i < actions.len; i++)
        r = look_at(&lacks, actions.entries[i]->action);
    if (r == 0)
        r = note_refused(&lacks, actions.errors);
    if (r < 0) {
        api_reply_error(reply, 500, "actions_unreadable", err.message[0] ? err.message : "out of memory", err.hint);
        return;
    }
    bool ok = !json_array_size(connectors) && !json_array_size(bindings) && !json_array_size(changed);
    api_reply_send(reply, 200,
        json_pack("{s:O, s:O, s:O, s:s, s:b}", "missing_connectors", connectors, "missing_bindings", bindings, "changed", changed,
            "vault_state", vault_state_name(keeper_vault_state(broker->keeper)), "ok", ok));
}
