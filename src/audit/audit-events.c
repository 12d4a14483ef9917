/*
 * What each event must say (SPEC §9), as data. "a|b" is satisfied by either key:
 * a local action has a name where an installed one has its FQN. Whatever else an
 * event carries is the caller's matter, but never a secret, an argument value,
 * a body, a query string, or words of a connector or provider.
 */
#include "audit/events.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define EXECUTION                                                                                                                \
    "aileron.action.name", "aileron.action.version", "aileron.action.hash", "aileron.connector.fqn",                             \
        "aileron.connector.version", "aileron.connector.hash", "aileron.connector.op", "aileron.execution.disposition"
#define APPROVAL                                                                                                                 \
    "aileron.approval.id", "aileron.approval.kind", "aileron.approval.seal", "aileron.action.name", "aileron.connector.fqn"

static const char *const execution_started[] = { EXECUTION, NULL };
static const char *const execution_succeeded[] = { EXECUTION, "aileron.execution.duration_ms", NULL };
static const char *const execution_failed[] = { EXECUTION, "aileron.execution.duration_ms", "aileron.failure.class",
    "aileron.failure.boundary", "aileron.failure.retriable", NULL };
static const char *const approval_requested[] = { APPROVAL, NULL };
static const char *const approval_decided[] = { APPROVAL, "aileron.approval.wait_ms", NULL };
static const char *const action_installed[] = { "aileron.action.fqn|aileron.action.name", "aileron.action.version",
    "aileron.action.hash", "aileron.signature.status", "aileron.consent.decision", NULL };
static const char *const connector_installed[] = { "aileron.connector.fqn", "aileron.connector.version", "aileron.connector.hash",
    "aileron.signature.status", "aileron.consent.decision", NULL };
static const char *const action_changed[] = { "aileron.action.fqn|aileron.action.name", "aileron.action.version",
    "aileron.action.hash", NULL };
static const char *const connector_changed[] = { "aileron.connector.fqn", "aileron.connector.version", "aileron.connector.hash",
    NULL };
static const char *const consent_cancelled[] = { "aileron.connector.fqn|aileron.action.fqn|aileron.action.name",
    "aileron.connector.version|aileron.action.version", "aileron.consent.decision", NULL };
static const char *const binding[] = { "aileron.binding.name", "aileron.connector.fqn", "aileron.capability.kind", NULL };
static const char *const secret[] = { "aileron.vault.path", NULL };
static const char *const keyring[] = { "aileron.keyring.authority", "aileron.keyring.fingerprint", NULL };
static const char *const none[] = { NULL };

static const struct row {
    const char *type;
    const char *const *keys;
    bool needs_session;
} rows[] = {
    { "execution.started", execution_started, false },
    { "execution.succeeded", execution_succeeded, false },
    { "execution.failed", execution_failed, false },
    { "approval.requested", approval_requested, false },
    { "approval.approved", approval_decided, false },
    { "approval.denied", approval_decided, false },
    { "approval.expired", approval_decided, false },
    { "approval.cancelled", approval_decided, false },
    { "action.installed", action_installed, false },
    { "action.updated", action_installed, false },
    { "action.removed", action_changed, false },
    { "action.enabled", action_changed, false },
    { "action.disabled", action_changed, false },
    { "connector.installed", connector_installed, false },
    { "connector.removed", connector_changed, false },
    { "consent.cancelled", consent_cancelled, false },
    { "binding.created", binding, false },
    { "binding.resolved", binding, false },
    { "binding.refreshed", binding, false },
    { "binding.rebound", binding, false },
    { "binding.revoked", binding, false },
    { "binding.failed", binding, false },
    { "vault.created", none, false },
    { "vault.unlocked", none, false },
    { "vault.unlock_failed", none, false },
    { "vault.locked", none, false },
    { "vault.passphrase_changed", none, false },
    { "secret.written", secret, false },
    { "secret.deleted", secret, false },
    { "keyring.trusted", keyring, false },
    { "keyring.revoked", keyring, false },
    { "session.started", none, true },
    { "session.ended", none, true },
    { "daemon.started", none, false },
    { "daemon.stopped", none, false },
    { "audit.recovered", none, false },
    { "capability.denied", none, false },
};

static const struct row *row_find(const char *type)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!strcmp(rows[i].type, type))
            return &rows[i];
    return NULL;
}

const char *const *audit_required_keys(const char *type)
{
    const struct row *row = row_find(type);

    return row ? row->keys : NULL;
}

/* A value is there when it is neither null nor empty text. */
static bool has_value(const json_t *payload, const char *key, size_t len)
{
    const json_t *value = json_object_getn(payload, key, len);

    return value && !json_is_null(value) && !(json_is_string(value) && json_string_length(value) == 0);
}

static bool has_one_of(const json_t *payload, const char *keys)
{
    for (;;) {
        size_t len = strcspn(keys, "|");

        if (has_value(payload, keys, len))
            return true;
        if (keys[len] == '\0')
            return false;
        keys += len + 1;
    }
}

int audit_event_check(const struct audit_event *event, struct err *err)
{
    static const char disposition[] = "aileron.execution.disposition", approval_id[] = "aileron.approval.id";
    const struct row *row = row_find(event->type);
    const char *how = NULL;

    if (!row)
        return err_set(err, EINVAL, "there is no audit event '%.64s'", event->type);
    if (row->needs_session && !event->session_id)
        return err_set(err, EINVAL, "the audit event %s lacks its session", event->type);
    if (!json_is_object(event->payload))
        return err_set(err, EINVAL, "the audit event %s has no payload object", event->type);
    for (const char *const *key = row->keys; *key; key++)
        if (!has_one_of(event->payload, *key))
            return err_set(err, EINVAL, "the audit event %s lacks %s", event->type, *key);
    how = json_string_value(json_object_get(event->payload, disposition));
    if (row->keys[0] == execution_started[0] && how && strcmp(how, "unattended") != 0 &&
        (strcmp(how, "approved") != 0 || !has_value(event->payload, approval_id, sizeof approval_id - 1)))
        return err_set(err, EINVAL, "the audit event %s must be unattended, or approved with %s", event->type, approval_id);
    return 0;
}
