/*
 * What must hold before a step may begin: the connector is the pinned one, and a binding is chosen, the approved one if there was
 * an approval.
 */
#include "broker/call.h"

#include "base/json.h"
#include "broker/log.h"
#include "broker/trusted.h"
#include "wire/limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

/* What puts the right files back. */
static void say_how_to_restore(const struct action_require *require, struct failure *failure)
{
    size_t len = strlen(failure->message);

    if (trusted_is_local(require->name))
        snprintf(failure->message + len, sizeof failure->message - len,
            "; `aileron connector install --local DIR` installs it again; nothing was done");
    else
        snprintf(failure->message + len, sizeof failure->message - len,
            "; `aileron connector install %s@v%s` restores it; nothing was done", require->name, require->version);
}

static void refuse_signature(const struct action_require *require, const struct err *err, struct failure *failure)
{
    char authority[KEYRING_AUTHORITY_MAX];

    failure_set(
        failure, FAILURE_SIGNATURE_FAILURE, "%s%s%s; nothing was done", err->message, err->hint[0] ? "; " : "", err->hint);
    failure_detail(failure, "authority", json_string(trusted_authority(require->name, authority)));
}

/* The installed connector that the action pins, or false with the failure. */
bool call_find_connector(struct call *call, struct failure *failure)
{
    const struct action_require *require = call_step(call)->require;
    struct err err = ERR_INIT;
    int r = connectors_get(call->broker->connectors, require->hash, &call->connector, &err);

    if (r == -ENOENT) {
        failure_set(failure, FAILURE_HASH_MISMATCH, "connector %s@%s with the hash %s, which the action pins, is not installed",
            require->name, require->version, require->hash);
        say_how_to_restore(require, failure);
    } else if (r == -EBADMSG) {
        log_error("connector %s: %s", require->name, err.message);
        pool_forget(call->broker->pool, require->hash);
        failure_set(failure, FAILURE_HASH_MISMATCH, "connector %s@%s: %s", require->name, require->version, err.message);
        say_how_to_restore(require, failure);
    } else if (r == -EKEYREJECTED)
        refuse_signature(require, &err, failure);
    else if (r < 0)
        failure_set(failure, FAILURE_CONNECTOR_RUNTIME_ERROR, "the connector cannot be used: %s", err.message);
    else if (strcmp(call->connector->manifest->name, require->name) ||
             strcmp(call->connector->manifest->version, require->version))
        failure_set(failure, FAILURE_HASH_MISMATCH,
            "the hash that the action pins belongs to %s@%s, not to %s@%s; nothing was done", call->connector->manifest->name,
            call->connector->manifest->version, require->name, require->version);
    return failure->class == FAILURE_NONE;
}

static void fail_for_reason(struct failure *failure, const char *reason)
{
    failure_detail(failure, "reason", json_string(reason));
}

/* None that fits: the command that makes one. */
static void fail_unbound(struct call *call, const char *kind, struct failure *failure)
{
    const char *fqn = call->connector->manifest->name, *wanted = call->wanted_binding;
    char names[BINDING_CANDIDATES_MAX];

    if (!wanted)
        failure_set(failure, FAILURE_BINDING_REQUIRED,
            "%s needs a credential of the kind %s and none is bound to it; `aileron binding setup %s` binds one", fqn, kind, fqn);
    else if (binding_candidates(keeper_bindings(call->broker->keeper), fqn, kind, NULL, names))
        failure_set(failure, FAILURE_BINDING_REQUIRED,
            "no %s credential of %s is called %s (there is %s); `aileron binding setup %s --as %s` binds it", kind, fqn, wanted,
            names, fqn, wanted);
    else
        failure_set(failure, FAILURE_BINDING_REQUIRED,
            "no %s credential of %s is called %s; `aileron binding setup %s --as %s` binds it", kind, fqn, wanted, fqn, wanted);
}

static void fail_ambiguous(struct call *call, const char *kind, struct failure *failure)
{
    const char *fqn = call->connector->manifest->name;
    char names[BINDING_CANDIDATES_MAX];

    binding_candidates(keeper_bindings(call->broker->keeper), fqn, kind, call->wanted_binding, names);
    failure_set(failure, FAILURE_BINDING_REQUIRED,
        "several %s credentials of %s fit and none of them is its default: %s; say which one with `aileron action run %s --as "
        "IDENTITY`",
        kind, fqn, names, call->entry->action->name);
}

/* It is there but cannot be used: what mends it. */
static void fail_unusable(struct call *call, enum binding_choice choice, struct failure *failure)
{
    const char *name = call->binding;

    if (choice == BINDING_NO_GRANT) {
        failure_set(failure, FAILURE_BINDING_FAILED,
            "the binding %s has no consent that says where it may be sent; `aileron binding rebind %s` asks for it once", name,
            name);
        fail_for_reason(failure, "no_grant");
    } else if (choice == BINDING_REVOKED) {
        failure_set(failure, FAILURE_BINDING_FAILED, "the binding %s was revoked; `aileron binding setup %s` makes a new one",
            name, call->connector->manifest->name);
        fail_for_reason(failure, "revoked");
    } else {
        failure_set(failure, FAILURE_BINDING_FAILED,
            "the binding %s is stale: the provider does not accept it any more; `aileron binding reauthorize %s` renews it", name,
            name);
        fail_for_reason(failure, "stale");
    }
}

void call_fail_locked(const struct keeper_link *keeper, struct failure *failure)
{
    if (keeper_is_there(keeper))
        failure_set(failure, FAILURE_BINDING_FAILED, "the vault is locked; `aileron vault unlock` opens it");
    else
        failure_set(failure, FAILURE_BINDING_FAILED,
            "the keeper is not running, so the vault counts as locked; it is being restarted, then `aileron vault unlock` opens "
            "it");
    fail_for_reason(failure, "vault_locked");
}

/* What was approved was shown with its account: no other one takes its place. */
static bool is_sealed_binding(const struct call *call)
{
    const char *sealed = json_string_value(json_array_get(call->bindings, call->step));

    return !call->bindings || (sealed && !strcmp(sealed, call->binding));
}

bool call_choose_binding(struct call *call, struct failure *failure)
{
    const struct manifest *manifest = call->connector->manifest;
    const struct keeper_link *keeper = call->broker->keeper;
    const char *kind = credential_kind_name(manifest->credential);

    if (manifest->credential == CREDENTIAL_NONE && is_sealed_binding(call))
        return true;
    enum binding_choice choice = BINDING_NONE;
    if (keeper_is_there(keeper))
        choice = binding_choose(keeper_bindings(keeper), manifest->name, kind, call->wanted_binding, call->binding);
    if (!keeper_is_there(keeper)) {
        call_fail_locked(keeper, failure);
    } else if (choice == BINDING_NONE) {
        fail_unbound(call, kind, failure);
    } else if (choice == BINDING_AMBIGUOUS) {
        fail_ambiguous(call, kind, failure);
    } else if (choice != BINDING_CHOSEN) {
        fail_unusable(call, choice, failure);
    } else if (keeper_vault_state(keeper) != KEEPER_VAULT_UNLOCKED) {
        call_fail_locked(keeper, failure);
    } else if (!is_sealed_binding(call)) {
        failure_set(failure, FAILURE_BINDING_FAILED,
            "another binding is the default now than the one that was approved; nothing was done");
        fail_for_reason(failure, "changed");
    } else {
        return true;
    }
    if (choice == BINDING_NONE || choice == BINDING_AMBIGUOUS)
        call->binding[0] = '\0'; /* what was wanted, not a binding */
    return false;
}

bool call_look(struct broker *broker, struct catalog_entry *entry, size_t step, const char *wanted,
    char ret_binding[BINDING_NAME_MAX], struct failure *failure)
{
    struct call probe = { .broker = broker,
        .entry = entry,
        .steps = entry->action->steps,
        .steps_len = entry->action->steps_len,
        .step = step,
        .wanted_binding = (char *) wanted };
    bool found = call_find_connector(&probe, failure) && call_choose_binding(&probe, failure);

    connector_unref(probe.connector);
    snprintf(ret_binding, BINDING_NAME_MAX, "%s", probe.binding);
    return found;
}

void call_fail_disabled(const char *action, struct failure *failure)
{
    failure_set(failure, FAILURE_CAPABILITY_DENIED,
        "the action %s is disabled; `aileron action enable %s` enables it; nothing was done", action, action);
    failure->boundary = "action";
}

int call_make_input(struct call *call)
{
    CLEANUP_JSON json_t *input =
        json_pack("{s:s, s:O}", "op", call_step(call)->op, "args", json_array_get(call->arguments, call->step));

    buf_reset(&call->input);
    return input ? json_write(input, &call->input) : -ENOMEM;
}
