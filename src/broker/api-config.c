/*
 * Settings over the API: listed with rule and default, changed all or nothing.
 */
#include "broker/approvals.h"
#include "broker/broker.h"

#include "base/json.h"
#include "base/magic.h"
#include "broker/api-keeper.h"
#include "broker/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* --- approvals that need the passphrase less often --- */

/* What a ticket of such a change is for: this key, and the value that it gets. */
#define CONFIRM_KEY  "approval.confirm"
#define CHANGE_MAGIC 0x63686e67u

struct change {
    uint32_t magic;
    struct broker *broker;
    struct api_reply *reply;
    struct settings settings; /* as they are to be */
};

/* Writes and applies the settings, which it takes. */
static void adopt(struct broker *broker, struct settings *settings, struct api_reply *reply)
{
    struct err err = ERR_INIT;
    struct settings before = broker->settings;

    if (settings_store(broker->settings_path, settings, &err) < 0) {
        api_reply_error(reply, 500, "not_saved", err.message, err.hint);
        return;
    }
    broker->settings = *settings;
    *settings = before;
    apply(broker);
    api_config_list(broker, NULL, reply);
}

static void on_proved(const struct keeper_reply *answer, void *userdata)
{
    struct change *change = MAGIC_CAST(struct change, userdata, CHANGE_MAGIC);

    if (!answer->lost && answer->result == KEEPER_OK)
        adopt(change->broker, &change->settings, change->reply);
    else
        api_reply_error(change->reply, 428, "ticket_needed", "the passphrase was not proved for this change; nothing was changed",
            "aileron config set " CONFIRM_KEY);
    settings_free(&change->settings);
    change->magic = 0;
    free(change);
}

/* How often the passphrase is asked for. */
static int strictness(enum approval_confirm confirm)
{
    return confirm == CONFIRM_ALWAYS ? 2 : confirm == CONFIRM_AUTO ? 1 : 0;
}

/*
 * An agent that is neither fenced nor contained can reach this door, and must not do away with what keeps it from deciding. Also
 * when the file was edited under the daemon, and it is another key that is set now. Without a vault there is no passphrase.
 */
static bool weakens(const struct broker *broker, const struct settings *settings)
{
    return strictness(settings->approval_confirm) < strictness(broker->settings.approval_confirm) &&
           !(keeper_is_there(broker->keeper) && keeper_vault_state(broker->keeper) == KEEPER_VAULT_MISSING);
}

/* Takes the settings. */
static void adopt_proved(struct broker *broker, struct settings *settings, const char *ticket, struct api_reply *reply)
{
    const char *value = settings_confirm_name(settings->approval_confirm);
    struct change *change;
    int r;

    if (heads_other_vault(broker->heads)) {
        api_reply_error(reply, 428, "ticket_needed",
            "the vault was exchanged, so its passphrase proves nothing; nothing was changed", "aileron status");
        return;
    }
    if (!ticket) {
        api_reply_error(reply, 428, "ticket_needed",
            "approvals would need the passphrase less often, and that needs the passphrase; nothing was changed",
            "aileron config set " CONFIRM_KEY);
        return;
    }
    change = calloc(1, sizeof *change);
    if (!change) {
        api_reply_error(reply, 500, "out_of_memory", "out of memory; nothing was changed", NULL);
        return;
    }
    *change = (struct change){ CHANGE_MAGIC, broker, reply, *settings };
    *settings = (struct settings) SETTINGS_INIT;
    r = keeper_spend_ticket(broker->keeper, CONFIRM_KEY, value, ticket, on_proved, change, NULL);
    if (r < 0) {
        settings_free(&change->settings);
        free(change);
        api_keeper_not_asked(reply, r);
    }
}

void api_config_patch(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP(settings_free) struct settings changed = SETTINGS_INIT;
    const char *key, *ticket = json_get_str(request->body, "ticket");
    struct err err = ERR_INIT;
    json_t *value;
    int r = settings_load(broker->settings_path, &changed, &err);

    if (r < 0) {
        api_reply_error(reply, 409, "config_broken", err.message, "repair the file by hand first");
        return;
    }
    json_object_foreach((json_t *) request->body, key, value)
    {
        if (!strcmp(key, "ticket"))
            continue;
        if (refuses(broker, request, key, value, reply))
            return;
        r = settings_change(&changed, key, value, &err);
        if (r < 0) {
            api_reply_error(reply, r == -ENOENT ? 404 : 400, r == -ENOENT ? "unknown_setting" : "bad_value", err.message,
                "aileron config list shows the settings");
            return;
        }
    }
    if (weakens(broker, &changed))
        adopt_proved(broker, &changed, ticket, reply);
    else
        adopt(broker, &changed, reply);
}
