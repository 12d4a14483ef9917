/*
 * Connectors over the API: what is installed, who uses it, what it asks for.
 */
#include "broker/broker.h"

#include "base/json.h"
#include "broker/log.h"
#include "broker/trusted.h"
#include "store/store.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

json_t *api_connector_used_by(const struct catalog_list *actions, const char *hash)
{
    json_t *list = json_array();

    const json_t *refused = NULL, *pin = NULL;
    size_t r = 0, p = 0;

    for (size_t i = 0; i < actions->len; i++) {
        const struct action *action = actions->entries[i]->action;
        bool uses = false;

        for (size_t k = 0; k < action->requires_len; k++)
            uses |= !strcmp(action->requires_[k].hash, hash);
        if (uses)
            json_array_append_new(list, json_string(action->name));
    }
    json_array_foreach(actions->errors, r, refused)
    {
        bool uses = false;

        json_array_foreach(json_object_get(refused, "pins"), p, pin) uses |= !strcmp(json_string_value(pin), hash);
        if (uses)
            json_array_append_new(list, json_string(json_get_str(refused, "name")));
    }
    return list;
}

const struct action_require *api_connector_pin(const struct catalog_list *actions, const char *hash)
{
    for (size_t i = 0; i < actions->len; i++)
        for (size_t k = 0; k < actions->entries[i]->action->requires_len; k++)
            if (!strcmp(actions->entries[i]->action->requires_[k].hash, hash))
                return &actions->entries[i]->action->requires_[k];
    return NULL;
}

void api_connector_state(json_t *row, const char *fqn, const char *version, int r, const struct err *err)
{
    const char *files = r == 0 || r == -EKEYREJECTED ? "intact" : r == -ENOENT ? "missing" : "changed";

    json_object_set_new(row, "files", json_string(files));
    if (r < 0)
        json_object_set_new(row, "error", json_string(err->message));
    if (r < 0 && err->hint[0])
        json_object_set_new(row, "hint", json_string(err->hint));
    else if (r < 0 && fqn && version && !trusted_is_local(fqn))
        json_object_set_new(row, "hint", json_sprintf("`aileron connector install %s@v%s` restores it", fqn, version));
    else if (r < 0)
        json_object_set_new(row, "hint", json_string("install it again from its folder, or remove it"));
}

/* One connector; when its files cannot be trusted any more, what is wrong stands in the place of what it may do. */
static json_t *connector_json(struct broker *broker, const struct catalog_list *actions, const json_t *item)
{
    CLEANUP_PTR(connector_unref) struct connector *connector = NULL;
    const char *fqn = json_get_str(item, "fqn"), *version = json_get_str(item, "version"), *hash = json_get_str(item, "hash");
    const struct action_require *pin = hash && !fqn ? api_connector_pin(actions, hash) : NULL;
    struct err err = ERR_INIT;

    if (pin) { /* its manifest cannot say any more who it is */
        fqn = pin->name;
        version = pin->version;
    }
    bool is_signed = fqn && !trusted_is_local(fqn);
    json_t *row = json_pack("{s:s*, s:s*, s:s, s:b, s:b, s:o}", "fqn", fqn, "version", version, "hash", hash ? hash : "",
        "signed", is_signed, "unsigned", !is_signed, "used_by", api_connector_used_by(actions, hash ? hash : ""));

    if (!row || !hash)
        return row;
    int r = connectors_get(broker->connectors, hash, &connector, &err);
    api_connector_state(row, fqn, version, r, &err);
    if (r < 0)
        return row;
    CLEANUP_JSON json_t *manifest = manifest_to_json(connector->manifest);
    json_t *hosts = json_array();
    for (size_t i = 0; i < connector->manifest->hosts_len; i++)
        json_array_append_new(hosts, json_string(connector->manifest->hosts[i]));
    json_object_set_new(row, "hosts", hosts);
    json_object_set_new(row, "credential", json_string(credential_kind_name(connector->manifest->credential)));
    json_object_set(row, "manifest", manifest);
    return row;
}

void api_connectors_list(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP(catalog_list_free) struct catalog_list actions = { 0 };
    CLEANUP_JSON json_t *stored = NULL;
    struct err err = ERR_INIT;
    const json_t *item;
    size_t index;

    if (store_list(broker->home->path, &stored, &err) < 0 || catalog_list(broker->catalog, &actions, &err) < 0) {
        api_reply_error(reply, 500, "store_unreadable", err.message, err.hint);
        return;
    }
    json_t *list = json_array();
    json_array_foreach(stored, index, item) json_array_append_new(list, connector_json(broker, &actions, item));
    api_reply_send(reply, 200, json_pack("{s:o}", "connectors", list));
}

/* By hash, or by its first characters when they are at least six and fit one only. */
static const json_t *find(const json_t *stored, const char *name, bool *ret_several)
{
    const json_t *item, *found = NULL;
    size_t index, len = strlen(name);

    *ret_several = false;
    json_array_foreach(stored, index, item)
    {
        const char *hash = json_get_str(item, "hash");

        if (!hash || (strcmp(hash, name) && (len < 6 || strncmp(hash + 7, name, len))))
            continue;
        *ret_several |= found != NULL;
        found = item;
    }
    return found;
}

/* The one, or NULL after answering. */
static const json_t *find_or_answer(const json_t *stored, const char *name, struct api_reply *reply)
{
    bool several;
    const json_t *item = find(stored, name, &several);

    if (item && !several)
        return item;
    api_reply_error(reply, 404, "not_found",
        several ? "several connectors begin like this" : "no connector with this hash is installed",
        "aileron connector list shows them");
    return NULL;
}

static int remove_one(struct broker *broker, const json_t *item, struct api_reply *reply, struct err *err)
{
    const char *fqn = json_get_str(item, "fqn"), *version = json_get_str(item, "version"), *hash = json_get_str(item, "hash");
    int r = broker_receipt_owner(broker, "connector.removed",
        json_pack("{s:s, s:s, s:s}", "aileron.connector.fqn", fqn ? fqn : "unknown", "aileron.connector.version",
            version ? version : "unknown", "aileron.connector.hash", hash),
        NULL, err);

    if (r < 0) {
        broker_no_receipt(reply, err);
        return r;
    }
    r = store_remove(broker->home->path, hash, err);
    if (r < 0) {
        api_reply_error(reply, 500, "not_removed", err->message, err->hint);
        return r;
    }
    connectors_forget(broker->connectors, hash);
    pool_forget(broker->pool, hash);
    broker_actions_changed(broker);
    return 0;
}

void api_connector_remove(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP(catalog_list_free) struct catalog_list actions = { 0 };
    CLEANUP_JSON json_t *stored = NULL;
    struct err err = ERR_INIT;

    if (store_list(broker->home->path, &stored, &err) < 0 || catalog_list(broker->catalog, &actions, &err) < 0) {
        api_reply_error(reply, 500, "store_unreadable", err.message, err.hint);
        return;
    }
    const json_t *item = find_or_answer(stored, request->name, reply);
    if (!item)
        return;
    const char *hash = json_get_str(item, "hash");
    CLEANUP_JSON json_t *users = api_connector_used_by(&actions, hash);
    if (json_array_size(users)) {
        api_reply_error(reply, 409, "in_use", "installed actions use this connector",
            "remove the actions first; aileron connector list names them");
        return;
    }
    if (remove_one(broker, item, reply, &err) == 0)
        api_reply_send(reply, 200, json_pack("{s:s}", "removed", hash));
}

static json_t *texts(char *const *list, size_t len)
{
    json_t *array = json_array();

    for (size_t i = 0; i < len; i++)
        json_array_append_new(array, json_string(list[i]));
    return array;
}

/* A manifest's client_secret is public (RFC 8252 §8.5), and whoever asks for consent needs it. */
static json_t *credential_json(const struct manifest *manifest)
{
    const struct manifest_oauth2 *oauth2 = &manifest->oauth2;
    json_t *json = json_pack("{s:s}", "kind", credential_kind_name(manifest->credential));

    if (manifest->credential == CREDENTIAL_NONE)
        return json;
    json_object_update_new(json, json_pack("{s:s*, s:s*, s:s*}", "scope", manifest->credential_scope, "header",
                                     manifest->credential_header, "format", manifest->credential_format));
    if (manifest->credential == CREDENTIAL_OAUTH2)
        json_object_set_new(json, "oauth2",
            json_pack("{s:s, s:s, s:s*, s:s, s:s*, s:o}", "authorize_url", oauth2->authorize_url, "token_url", oauth2->token_url,
                "revoke_url", oauth2->revoke_url, "client_id", oauth2->client_id, "client_secret", oauth2->client_secret,
                "scopes", texts(oauth2->scopes, oauth2->scopes_len)));
    return json;
}

void api_connector_get(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_PTR(connector_unref) struct connector *connector = NULL;
    CLEANUP_JSON json_t *stored = NULL;
    struct err err = ERR_INIT;

    if (store_list(broker->home->path, &stored, &err) < 0) {
        api_reply_error(reply, 500, "store_unreadable", err.message, err.hint);
        return;
    }
    const json_t *item = find_or_answer(stored, request->name, reply);
    const char *hash = item ? json_get_str(item, "hash") : NULL;
    if (!hash)
        return;
    if (connectors_get(broker->connectors, hash, &connector, &err) < 0) {
        api_reply_error(reply, 422, "not_believed", err.message, err.hint);
        return;
    }
    const struct manifest *manifest = connector->manifest;
    api_reply_send(reply, 200,
        json_pack("{s:s, s:s, s:s, s:o, s:o}", "fqn", manifest->name, "version", manifest->version, "hash", hash, "hosts",
            texts(manifest->hosts, manifest->hosts_len), "credential", credential_json(manifest)));
}
