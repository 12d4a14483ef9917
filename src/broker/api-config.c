/*
 * Settings over the API: listed with rule and default, changed all or nothing.
 */
#include "broker/approvals.h"
#include "broker/broker.h"

#include "base/json.h"
#include "broker/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

void api_config_list(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    api_reply_send(reply, 200, json_pack("{s:o}", "settings", settings_to_json(&broker->settings)));
}

/* What takes effect at once. */
static void apply(struct broker *broker)
{
    CLEANUP_FREE char *allow_private = settings_allow_private_text(&broker->settings);

    log_set_level(broker->settings.log_level);
    if (allow_private)
        keeper_configure(broker->keeper, allow_private, broker->settings.auto_lock_s);
    approvals_configure(broker->approvals);
    broker_fetcher_renew(broker);
    notify_set_command(broker->notify, broker->settings.notify_command);
}

/*
 * What decides about decisions, and what runs outside of any confinement, is set on the owner's own socket and not from a page:
 * a stolen key of a browser must not become more than that.
 */
static bool is_for_socket(const char *key)
{
    static const char *const KEYS[] = { "approval.confirm", "notify.command" };

    for (size_t i = 0; i < ARRAY_LEN(KEYS); i++)
        if (!strcmp(key, KEYS[i]))
            return true;
    return false;
}

/* True after an answer. */
static bool refuses(
    struct broker *broker, const struct api_request *request, const char *key, const json_t *value, struct api_reply *reply)
{
    const char *text = json_string_value(value);
    char resolved[PATH_MAX], message[128];
    struct err err = ERR_INIT;

    if (is_for_socket(key) && !request->owner_socket) {
        snprintf(message, sizeof message, "%s is not set from here", key);
        api_reply_error(reply, 403, "owner_only", message, "aileron config set");
        return true;
    }
    if (strcmp(key, "notify.command") != 0 || !text || text[0] != '/' ||
        notify_check(text, broker->home->path, broker->home->socket_dir, resolved, &err) >= 0)
        return false;
    api_reply_error(reply, 400, "bad_value", err.message, NULL);
    return true;
}

void api_config_patch(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP(settings_free) struct settings changed = SETTINGS_INIT;
    struct err err = ERR_INIT;
    const char *key;
    json_t *value;
    int r = settings_load(broker->settings_path, &changed, &err);

    if (r < 0) {
        api_reply_error(reply, 409, "config_broken", err.message, "repair the file by hand first");
        return;
    }
    json_object_foreach((json_t *) request->body, key, value)
    {
        if (refuses(broker, request, key, value, reply))
            return;
        r = settings_change(&changed, key, value, &err);
        if (r < 0) {
            api_reply_error(reply, r == -ENOENT ? 404 : 400, r == -ENOENT ? "unknown_setting" : "bad_value", err.message,
                "aileron config list shows the settings");
            return;
        }
    }
    r = settings_store(broker->settings_path, &changed, &err);
    if (r < 0) {
        api_reply_error(reply, 500, "not_saved", err.message, err.hint);
        return;
    }
    struct settings before = broker->settings;
    broker->settings = changed;
    changed = before;
    apply(broker);
    api_config_list(broker, request, reply);
}
