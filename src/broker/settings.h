/*
 * config.toml (SPEC §12) as a table of keys. A key that this version does not act
 * on is refused with its line, so that nobody believes in a setting without
 * effect. Pure but for settings_load() and settings_store(), which read and
 * replace the one file.
 */
#ifndef BROKER_SETTINGS_H
#define BROKER_SETTINGS_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "broker/log.h"

#include <jansson.h>
#include <stddef.h>

#define SETTINGS_ALLOW_PRIVATE_MAX 64

/* Whether to approve needs the passphrase (SPEC §12). */
enum approval_confirm { CONFIRM_AUTO, CONFIRM_ALWAYS, CONFIRM_NEVER, CONFIRM_KINDS };

#define APPROVAL_EXPIRY_DEFAULT_S    (24 * 3600)
#define APPROVAL_MAX_PENDING_DEFAULT 100

struct settings {
    unsigned web_port; /* 0: the last one used, else any */
    enum log_level log_level;
    char **allow_private; /* "host:port" */
    size_t allow_private_len;
    unsigned auto_lock_s; /* 0: off */
    char *notify_command; /* NULL: none */
    unsigned approval_expiry_s;
    enum approval_confirm approval_confirm;
    unsigned approval_max_pending;                                      /* of a session */
    bool set_web_port, set_log_level, set_allow_private, set_auto_lock; /* said in the file */
    bool set_approval_expiry, set_approval_confirm, set_approval_max_pending;
};

#define SETTINGS_INIT                                                                                                            \
    {                                                                                                                            \
        .log_level = LOG_LEVEL_INFO, .approval_expiry_s = APPROVAL_EXPIRY_DEFAULT_S,                                             \
        .approval_max_pending = APPROVAL_MAX_PENDING_DEFAULT                                                                     \
    }

void settings_free(struct settings *settings);
/* Errors read "config.toml:LINE:COLUMN: …". `ret_settings` is untouched on failure. */
int settings_parse(const char *text, size_t len, const char *name, struct settings *ret_settings, struct err *err);
/* The file's form. */
int settings_format(const struct settings *settings, struct buf *out);
/* Changes one key; NULL or JSON null = back to the default. -ENOENT unknown key, -EINVAL with the key's rule. */
int settings_change(struct settings *settings, const char *key, const json_t *value, struct err *err);
/* [{"key","value","default","about","source"}…] New reference. */
json_t *settings_to_json(const struct settings *settings);
/* "host:port" lines for the keeper. malloc'd. */
char *settings_allow_private_text(const struct settings *settings);

/* "auto", "always", "never" */
const char *settings_confirm_name(enum approval_confirm confirm);

/* A missing file is all defaults. */
int settings_load(const char *path, struct settings *ret_settings, struct err *err);
int settings_store(const char *path, const struct settings *settings, struct err *err);

#endif
