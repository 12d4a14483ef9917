/*
 * Settings. One row a key: its rule as a sentence, how it is read from TOML or
 * JSON (both arrive as JSON here), how it is written and what it is when nobody
 * said anything.
 */
#include "broker/settings.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/toml.h"
#include "base/url.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define FILE_HEAD                                                                                                                \
    "# Settings of the Aileron daemon; `aileron config list` explains them. `aileron config set` rewrites this file.\n"

struct setting {
    const char *key, *about, *rule;
    int (*read)(struct settings *settings, const json_t *value); /* -EINVAL: against the rule */
    void (*reset)(struct settings *settings);
    bool (*is_set)(const struct settings *settings);
    json_t *(*value)(const struct settings *settings); /* new reference */
    json_t *(*fallback)(void);
};

static void list_free(char **list, size_t len)
{
    for (size_t i = 0; i < len; i++)
        free(list[i]);
    free(list);
}

void settings_free(struct settings *settings)
{
    list_free(settings->allow_private, settings->allow_private_len);
    free(settings->notify_command);
    *settings = (struct settings) SETTINGS_INIT;
}

/* --- web.port --- */

static int port_read(struct settings *settings, const json_t *value)
{
    json_int_t port = json_integer_value(value);

    if (!json_is_integer(value) || port < 1 || port > 65535)
        return -EINVAL;
    settings->web_port = (unsigned) port;
    settings->set_web_port = true;
    return 0;
}

static void port_reset(struct settings *settings)
{
    settings->web_port = 0;
    settings->set_web_port = false;
}

static bool port_is_set(const struct settings *settings)
{
    return settings->set_web_port;
}

static json_t *port_value(const struct settings *settings)
{
    return settings->set_web_port ? json_integer(settings->web_port) : json_null();
}

/* --- log.level --- */

static int level_read(struct settings *settings, const json_t *value)
{
    const char *name = json_string_value(value);

    if (!name || !log_level_from_name(name, &settings->log_level))
        return -EINVAL;
    settings->set_log_level = true;
    return 0;
}

static void level_reset(struct settings *settings)
{
    settings->log_level = LOG_LEVEL_INFO;
    settings->set_log_level = false;
}

static bool level_is_set(const struct settings *settings)
{
    return settings->set_log_level;
}

static json_t *level_value(const struct settings *settings)
{
    return json_string(log_level_name(settings->log_level));
}

static json_t *level_fallback(void)
{
    return json_string(log_level_name(LOG_LEVEL_INFO));
}

/* --- network.allow_private --- */

static void private_reset(struct settings *settings)
{
    list_free(settings->allow_private, settings->allow_private_len);
    settings->allow_private = NULL;
    settings->allow_private_len = 0;
    settings->set_allow_private = false;
}

static int private_read(struct settings *settings, const json_t *value)
{
    size_t len = json_array_size(value);
    char **list = json_is_array(value) && len <= SETTINGS_ALLOW_PRIVATE_MAX ? calloc(len + 1, sizeof *list) : NULL;

    if (!list)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        const json_t *item = json_array_get(value, i);
        char text[URL_HOSTPORT_MAX];
        struct url url;

        if (!json_is_string(item) || url_parse_hostport(json_string_value(item), json_string_length(item), &url, NULL) < 0 ||
            !(list[i] = strdup(url_hostport(&url, text)))) {
            list_free(list, len);
            return -EINVAL;
        }
    }
    private_reset(settings);
    settings->allow_private = list;
    settings->allow_private_len = len;
    settings->set_allow_private = true;
    return 0;
}

static bool private_is_set(const struct settings *settings)
{
    return settings->set_allow_private;
}

static json_t *private_value(const struct settings *settings)
{
    json_t *array = json_array();

    for (size_t i = 0; i < settings->allow_private_len; i++)
        json_array_append_new(array, json_string(settings->allow_private[i]));
    return array;
}

/* --- vault.auto_lock --- */

#define AUTO_LOCK_MIN_S 10
#define AUTO_LOCK_MAX_S (30 * 24 * 3600)

static int auto_lock_read(struct settings *settings, const json_t *value)
{
    const char *text = json_string_value(value);
    int64_t ms = 0;

    if (!text)
        return -EINVAL;
    if (strcmp(text, "off") &&
        (clock_parse_duration(text, &ms) < 0 || ms < AUTO_LOCK_MIN_S * 1000 || ms > AUTO_LOCK_MAX_S * 1000LL))
        return -EINVAL;
    settings->auto_lock_s = (unsigned) (ms / 1000);
    settings->set_auto_lock = true;
    return 0;
}

static void auto_lock_reset(struct settings *settings)
{
    settings->auto_lock_s = 0;
    settings->set_auto_lock = false;
}

static bool auto_lock_is_set(const struct settings *settings)
{
    return settings->set_auto_lock;
}

/* In the largest unit that says it exactly; 0 is "off". */
static json_t *duration_value(unsigned duration_s)
{
    static const struct {
        unsigned seconds;
        const char *name;
    } units[] = { { 86400, "d" }, { 3600, "h" }, { 60, "m" }, { 1, "s" } };

    for (size_t i = 0; duration_s && i < ARRAY_LEN(units); i++)
        if (duration_s % units[i].seconds == 0)
            return json_sprintf("%u%s", duration_s / units[i].seconds, units[i].name);
    return json_string("off");
}

static json_t *auto_lock_value(const struct settings *settings)
{
    return duration_value(settings->auto_lock_s);
}

static json_t *auto_lock_fallback(void)
{
    return json_string("off");
}

/* --- notify.command --- */

#define NOTIFY_COMMAND_MAX 1024

static void notify_reset(struct settings *settings)
{
    free(settings->notify_command);
    settings->notify_command = NULL;
}

static int notify_read(struct settings *settings, const json_t *value)
{
    const char *text = json_string_value(value);
    char *copy;

    if (!text || text[0] != '/' || strlen(text) > NOTIFY_COMMAND_MAX)
        return -EINVAL;
    for (const char *c = text; *c; c++)
        if ((unsigned char) *c < 0x20 || *c == 0x7f)
            return -EINVAL;
    copy = strdup(text);
    if (!copy)
        return -EINVAL;
    notify_reset(settings);
    settings->notify_command = copy;
    return 0;
}

static bool notify_is_set(const struct settings *settings)
{
    return settings->notify_command != NULL;
}

static json_t *notify_value(const struct settings *settings)
{
    return settings->notify_command ? json_string(settings->notify_command) : json_null();
}

/* --- approval.expiry --- */

#define EXPIRY_MIN_S 1
#define EXPIRY_MAX_S (30 * 24 * 3600)

static int expiry_read(struct settings *settings, const json_t *value)
{
    const char *text = json_string_value(value);
    int64_t ms = 0;

    if (!text || clock_parse_duration(text, &ms) < 0 || ms < EXPIRY_MIN_S * 1000 || ms > EXPIRY_MAX_S * 1000LL)
        return -EINVAL;
    settings->approval_expiry_s = (unsigned) (ms / 1000);
    settings->set_approval_expiry = true;
    return 0;
}

static void expiry_reset(struct settings *settings)
{
    settings->approval_expiry_s = APPROVAL_EXPIRY_DEFAULT_S;
    settings->set_approval_expiry = false;
}

static bool expiry_is_set(const struct settings *settings)
{
    return settings->set_approval_expiry;
}

static json_t *expiry_value(const struct settings *settings)
{
    return duration_value(settings->approval_expiry_s);
}

static json_t *expiry_fallback(void)
{
    return duration_value(APPROVAL_EXPIRY_DEFAULT_S);
}

/* --- approval.confirm --- */

static const char *const CONFIRMS[CONFIRM_KINDS] = { "auto", "always", "never" };

const char *settings_confirm_name(enum approval_confirm confirm)
{
    return CONFIRMS[confirm];
}

static int confirm_read(struct settings *settings, const json_t *value)
{
    const char *text = json_string_value(value);

    for (size_t i = 0; text && i < ARRAY_LEN(CONFIRMS); i++)
        if (!strcmp(CONFIRMS[i], text)) {
            settings->approval_confirm = (enum approval_confirm) i;
            settings->set_approval_confirm = true;
            return 0;
        }
    return -EINVAL;
}

static void confirm_reset(struct settings *settings)
{
    settings->approval_confirm = CONFIRM_AUTO;
    settings->set_approval_confirm = false;
}

static bool confirm_is_set(const struct settings *settings)
{
    return settings->set_approval_confirm;
}

static json_t *confirm_value(const struct settings *settings)
{
    return json_string(CONFIRMS[settings->approval_confirm]);
}

static json_t *confirm_fallback(void)
{
    return json_string(CONFIRMS[CONFIRM_AUTO]);
}

/* --- approval.max_pending --- */

#define MAX_PENDING_MOST 20000

static int max_pending_read(struct settings *settings, const json_t *value)
{
    json_int_t number = json_integer_value(value);

    if (!json_is_integer(value) || number < 1 || number > MAX_PENDING_MOST)
        return -EINVAL;
    settings->approval_max_pending = (unsigned) number;
    settings->set_approval_max_pending = true;
    return 0;
}

static void max_pending_reset(struct settings *settings)
{
    settings->approval_max_pending = APPROVAL_MAX_PENDING_DEFAULT;
    settings->set_approval_max_pending = false;
}

static bool max_pending_is_set(const struct settings *settings)
{
    return settings->set_approval_max_pending;
}

static json_t *max_pending_value(const struct settings *settings)
{
    return json_integer(settings->approval_max_pending);
}

static json_t *max_pending_fallback(void)
{
    return json_integer(APPROVAL_MAX_PENDING_DEFAULT);
}

static const struct setting SETTINGS[] = {
    { "web.port", "TCP port of the web door on 127.0.0.1, from the next start on; without it the last one used, else any",
        "a port from 1 to 65535", port_read, port_reset, port_is_set, port_value, json_null },
    { "network.allow_private", "host:port pairs that connectors may reach although their addresses are private",
        "a list of at most 64 \"host:port\" texts", private_read, private_reset, private_is_set, private_value, json_array },
    { "vault.auto_lock", "locks the vault when nothing has used it for so long",
        "\"off\" or a duration from 10s to 30d, like \"15m\" or \"8h\"", auto_lock_read, auto_lock_reset, auto_lock_is_set,
        auto_lock_value, auto_lock_fallback },
    { "approval.expiry", "how long a call waits for a person before it fails",
        "a duration from 1s to 30d, like \"2h\" or \"24h\"", expiry_read, expiry_reset, expiry_is_set, expiry_value,
        expiry_fallback },
    { "approval.confirm", "when to approve needs the passphrase: auto = unless the call came from a fenced or contained agent",
        "one of \"auto\", \"always\", \"never\"", confirm_read, confirm_reset, confirm_is_set, confirm_value, confirm_fallback },
    { "approval.max_pending", "how many calls of one session may wait for a person at once; 20000 in all",
        "a number from 1 to 20000", max_pending_read, max_pending_reset, max_pending_is_set, max_pending_value,
        max_pending_fallback },
    { "notify.command",
        "a program of yours that is run when an approval is requested, with its id, the action's name and the review URL",
        "the absolute path of a program, without arguments", notify_read, notify_reset, notify_is_set, notify_value, json_null },
    { "log.level", "how much goes into log/daemon.log; debug includes what connectors log",
        "one of \"error\", \"warn\", \"info\", \"debug\"", level_read, level_reset, level_is_set, level_value, level_fallback },
};

/* Keys of SPEC §12 whose concern does not exist yet. */
static const char *const LATER[] = { "network.proxy" };

static const struct setting *setting_find(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(SETTINGS); i++)
        if (!strcmp(SETTINGS[i].key, key))
            return &SETTINGS[i];
    return NULL;
}

static bool is_later(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(LATER); i++)
        if (!strcmp(LATER[i], key))
            return true;
    return false;
}

static int parse_section(const struct toml_node *section, const char *name, struct settings *settings, struct err *err)
{
    for (size_t i = 0; i < section->items_len; i++) {
        const struct toml_node *node = section->items[i];
        char key[128];

        snprintf(key, sizeof key, "%s.%s", section->key, node->key);
        const struct setting *setting = setting_find(key);
        if (!setting && is_later(key))
            return toml_fail(node, name, err, "%s has no effect in this version; remove the line", key);
        if (!setting)
            return toml_fail(node, name, err, "unknown setting %s; `aileron config list` shows those there are", key);
        CLEANUP_JSON json_t *value = toml_to_json(node);
        if (!value || setting->read(settings, value) < 0)
            return toml_fail(node, name, err, "%s must be %s", key, setting->rule);
    }
    return 0;
}

static bool is_section(const char *key)
{
    size_t len = strlen(key);

    for (size_t i = 0; i < ARRAY_LEN(SETTINGS); i++)
        if (!strncmp(SETTINGS[i].key, key, len) && SETTINGS[i].key[len] == '.')
            return true;
    for (size_t i = 0; i < ARRAY_LEN(LATER); i++)
        if (!strncmp(LATER[i], key, len) && LATER[i][len] == '.')
            return true;
    return false;
}

int settings_parse(const char *text, size_t len, const char *name, struct settings *ret_settings, struct err *err)
{
    CLEANUP_PTR(toml_free) struct toml_node *root = NULL;
    CLEANUP(settings_free) struct settings settings = SETTINGS_INIT;
    int r = toml_parse(text, len, name, 1, &root, err);

    if (r < 0)
        return r;
    for (size_t i = 0; i < root->items_len; i++) {
        const struct toml_node *section = root->items[i];

        if (!is_section(section->key))
            return toml_fail(section, name, err, "unknown setting %s; `aileron config list` shows those there are", section->key);
        if (section->type != TOML_TABLE)
            return toml_fail(section, name, err, "%s must be a section, written [%s]", section->key, section->key);
        r = parse_section(section, name, &settings, err);
        if (r < 0)
            return r;
    }
    settings_free(ret_settings);
    *ret_settings = settings;
    settings = (struct settings) SETTINGS_INIT;
    return 0;
}

int settings_format(const struct settings *settings, struct buf *out)
{
    char open[64] = "";
    int r = buf_add_str(out, FILE_HEAD);

    for (size_t i = 0; !r && i < ARRAY_LEN(SETTINGS); i++) {
        const struct setting *setting = &SETTINGS[i];
        int section_len = (int) strcspn(setting->key, ".");

        if (!setting->is_set(settings))
            continue;
        if (strncmp(open, setting->key, (size_t) section_len) || open[section_len]) {
            snprintf(open, sizeof open, "%.*s", section_len, setting->key);
            r = buf_printf(out, "\n[%s]\n", open);
        }
        /* A JSON integer, plain text or list of plain text is the same in TOML. */
        CLEANUP_JSON json_t *value = setting->value(settings);
        CLEANUP_FREE char *text = json_dumps(value, JSON_ENCODE_ANY);
        if (!r)
            r = text ? buf_printf(out, "%s = %s\n", setting->key + section_len + 1, text) : -ENOMEM;
    }
    return r;
}

int settings_change(struct settings *settings, const char *key, const json_t *value, struct err *err)
{
    const struct setting *setting = setting_find(key);

    if (!setting && is_later(key))
        return err_set(err, ENOENT, "%s has no effect in this version", key);
    if (!setting)
        return err_set(err, ENOENT, "there is no setting %s", key);
    if (!value || json_is_null(value)) {
        setting->reset(settings);
        return 0;
    }
    if (setting->read(settings, value) < 0)
        return err_set(err, EINVAL, "%s must be %s", key, setting->rule);
    return 0;
}

json_t *settings_to_json(const struct settings *settings)
{
    json_t *list = json_array();

    for (size_t i = 0; i < ARRAY_LEN(SETTINGS); i++) {
        const struct setting *setting = &SETTINGS[i];

        json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:s, s:s, s:s}", "key", setting->key, "value",
                                        setting->value(settings), "default", setting->fallback(), "about", setting->about, "rule",
                                        setting->rule, "source", setting->is_set(settings) ? "config.toml" : "default"));
    }
    return list;
}

char *settings_allow_private_text(const struct settings *settings)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(SETTINGS_ALLOW_PRIVATE_MAX * URL_HOSTPORT_MAX);

    for (size_t i = 0; i < settings->allow_private_len; i++)
        if (buf_printf(&text, "%s%s", i ? "\n" : "", settings->allow_private[i]) < 0)
            return NULL;
    return buf_take(&text);
}

int settings_load(const char *path, struct settings *ret_settings, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(TOML_MAX_BYTES);
    struct err ours = ERR_INIT;
    int r = file_read(AT_FDCWD, path, &text, &ours);

    if (r == -ENOENT)
        return 0;
    if (r < 0) {
        if (err)
            *err = ours;
        return r;
    }
    return settings_parse(buf_str(&text), text.len, "config.toml", ret_settings, err);
}

int settings_store(const char *path, const struct settings *settings, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(TOML_MAX_BYTES);
    int r = settings_format(settings, &text);

    if (r < 0)
        return err_errno(err, -r, "cannot write %s", path);
    return file_write_atomic(AT_FDCWD, path, text.data, text.len, 0600, err);
}
