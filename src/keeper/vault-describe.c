/* The bindings as the broker and people see them. Labels are checked before they are shown; a value never is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/json.h"
#include "keeper/vault-private.h"

#include "base/banned.h"

#define VALUE_COST  8 /* so that rows of many small values use their share up as well */
#define LABEL_MAX   1024
#define TIME_DIGITS 11
#define TOKENS_MAX  TOKEN_SCOPES_MAX
/* 9999-12-31T23:59:59Z */
#define UNIX_S_MAX 253402300799

static size_t count_values(const json_t *json)
{
    size_t len = 1, i = 0;
    const char *key = NULL;
    json_t *value = NULL;

    json_object_foreach((json_t *) json, key, value) len += count_values(value);
    json_array_foreach(json, i, value) len += count_values(value);
    return len;
}

int vault_row_add(json_t *rows, json_t *row, size_t *room)
{
    size_t need = row ? json_dumpb(row, NULL, 0, JSON_COMPACT) + VALUE_COST * count_values(row) : 0;

    if (!row)
        return -ENOMEM;
    if (need == 0 || need > *room) {
        json_decref(row);
        return 0;
    }
    *room -= need;
    return json_array_append_new(rows, row) < 0 ? -ENOMEM : 0;
}

/* A label that can be shown, or NULL. */
static const char *shown_label(const struct vault_entry *entry, const char *name)
{
    const char *text = vault_entry_label(entry, name);

    if (!text || strlen(text) > LABEL_MAX)
        return NULL;
    for (const char *at = text; *at; at++)
        if ((uint8_t) *at < 0x20 || *at == 0x7f)
            return NULL;
    return text;
}

static int put_text(json_t *row, const char *key, const char *text)
{
    return text ? json_object_set_new(row, key, json_string(text)) : 0;
}

static int put_label(json_t *row, const struct vault_entry *entry, const char *name)
{
    return put_text(row, name, shown_label(entry, name));
}

static int put_unix_s(json_t *row, const char *key, int64_t unix_s)
{
    char text[CLOCK_TEXT_MAX];

    return unix_s > 0 && unix_s <= UNIX_S_MAX ? put_text(row, key, clock_format(unix_s * 1000, text)) : 0;
}

/* Unix seconds as text; 0 for anything else. */
static int64_t label_time(const struct vault_entry *entry, const char *name)
{
    const char *text = vault_entry_label(entry, name);
    size_t len = text ? strspn(text, "0123456789") : 0;

    return len > 0 && len <= TIME_DIGITS && text[len] == '\0' ? strtoll(text, NULL, 10) : 0;
}

static int put_times(const struct vault *vault, json_t *row, const struct vault_entry *entry)
{
    int64_t used = label_time(entry, "last_used_at"), waiting = vault_used_at(vault, entry->path);

    if (put_unix_s(row, "created_at", label_time(entry, "created_at")) < 0 ||
        put_unix_s(row, "last_used_at", waiting > used ? waiting : used) < 0)
        return -1;
    return put_unix_s(row, "last_refreshed_at", label_time(entry, "last_refreshed_at"));
}

static int put_flag(json_t *row, const struct vault_entry *entry, const char *name)
{
    const char *text = vault_entry_label(entry, name);

    return json_object_set_new(row, name, json_boolean(text && !strcmp(text, "true")));
}

/* A label of words with blanks between them, as a list. */
static int put_words(json_t *row, const struct vault_entry *entry, const char *name)
{
    const char *text = shown_label(entry, name);
    CLEANUP_JSON json_t *list = json_array();

    for (text = text ? text : ""; list && *text && json_array_size(list) < TOKENS_MAX;) {
        size_t len = strcspn(text, " ");

        if (len > 0 && json_array_append_new(list, json_stringn(text, len)) < 0)
            return -1;
        text += len + (text[len] == ' ');
    }
    return json_object_set_new(row, name, TAKE_PTR(list));
}

static int put_name(json_t *row, const char *binding)
{
    const char *service = strchr(binding, '/') + 1, *identity = strchr(service, '/') + 1;

    if (put_text(row, "binding", binding) < 0 ||
        json_object_set_new(row, "kind", json_stringn(binding, (size_t) (service - 1 - binding))) < 0 ||
        json_object_set_new(row, "service", json_stringn(service, (size_t) (identity - 1 - service))) < 0)
        return -1;
    return put_text(row, "identity", identity);
}

static json_t *origins_json(const struct grant *grant)
{
    CLEANUP_JSON json_t *list = json_array();

    for (size_t i = 0; list && i < grant->origins_len; i++)
        if (json_array_append_new(list, json_string(grant->origins[i])) < 0)
            return NULL;
    return TAKE_PTR(list);
}

/* What the sealed grant says; it goes over what labels say. */
static int put_grant(struct vault *vault, json_t *row, struct vault_entry *entry)
{
    struct vault_open *open = NULL;

    if (vault_open_get(vault, entry, &open, NULL) != 0)
        return json_object_set_new(row, "granted", json_false());
    if (json_object_set_new(row, "granted", json_true()) < 0 ||
        json_object_set_new(row, "origins", origins_json(open->grant)) < 0 ||
        put_text(row, "connector_fqn", open->grant->connector_fqn) < 0 || put_text(row, "header", open->grant->header) < 0 ||
        put_text(row, "token_url", open->grant->token_url) < 0 || put_text(row, "revoke_url", open->grant->revoke_url) < 0)
        return -1;
    if (!open->token)
        return 0;
    if (json_object_set_new(row, "refresh_token_present", json_boolean(open->token->refresh)) < 0)
        return -1;
    return put_unix_s(row, "expires_at", open->token->expires_unix_s);
}

static json_t *describe(struct vault *vault, struct vault_entry *entry)
{
    CLEANUP_JSON json_t *row = json_object();
    const char *connector = shown_label(entry, "connector_fqn"), *status = shown_label(entry, "status");

    if (!row || put_name(row, entry->path) < 0 || put_text(row, "connector_fqn", connector ? connector : "") < 0 ||
        put_text(row, "status", status ? status : "active") < 0 || put_label(row, entry, "stale_reason") < 0 ||
        put_flag(row, entry, "default") < 0 || put_times(vault, row, entry) < 0 || put_label(row, entry, "account") < 0 ||
        put_label(row, entry, "scope") < 0 || put_flag(row, entry, "refresh_token_present") < 0 ||
        put_words(row, entry, "granted_scopes") < 0 || put_words(row, entry, "missing_scopes") < 0 ||
        (vault->key && put_grant(vault, row, entry) < 0))
        return NULL;
    return TAKE_PTR(row);
}

json_t *vault_describe(struct vault *vault)
{
    CLEANUP_JSON json_t *rows = json_array();
    size_t room = VAULT_LISTED_MAX;

    /* When the file cannot be read now, what was read of it before is still what there is. */
    vault_refresh(vault, NULL);
    for (size_t i = 0; vault->tree && i < vault->tree->len; i++) {
        struct vault_entry *entry = vault->tree->entries[i];

        if (rows && vault_path_is_binding(entry->path) && vault_row_add(rows, describe(vault, entry), &room) < 0)
            return NULL;
    }
    return TAKE_PTR(rows);
}
