/*
 * Health, status, stop: what the daemon says of itself. What is degraded is said
 * together with what to do about it, never silently.
 */
#include "broker/broker.h"

#include "base/clock.h"
#include "base/json.h"
#include "broker/approvals.h"
#include "broker/log.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

void api_health(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    api_reply_send(reply, 200, json_pack("{s:s, s:s, s:i}", "status", "ok", "version", AILERON_VERSION, "pid", (int) getpid()));
}

static unsigned sessions_open(struct broker *broker)
{
    CLEANUP_JSON json_t *list = session_list_json(broker->sessions);
    const json_t *session;
    size_t index;
    unsigned open = 0;

    json_array_foreach(list, index, session)
    {
        const json_t *ended = json_object_get(session, "ended_at");
        open += !ended || json_is_null(ended);
    }
    return open;
}

static json_t *counts(struct broker *broker)
{
    CLEANUP(catalog_list_free) struct catalog_list list = { 0 };
    CLEANUP_JSON json_t *connectors = NULL;
    struct pool_stats stats;
    unsigned enabled = 0;

    if (catalog_list(broker->catalog, &list, NULL) == 0)
        for (size_t i = 0; i < list.len; i++)
            enabled += catalog_is_enabled(broker->catalog, list.entries[i]->action->name);
    store_list(broker->home->path, &connectors, NULL);
    pool_stats(broker->pool, &stats);
    return json_pack("{s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "actions", (int) list.len, "actions_enabled", (int) enabled,
        "connectors", (int) json_array_size(connectors), "sessions_open", (int) sessions_open(broker), "calls_running",
        (int) broker->calls_len, "workers", (int) stats.workers, "approvals_pending", (int) approvals_pending(broker->approvals));
}

static json_t *overrides(const struct broker_flags *flags)
{
    json_t *list = json_array();

    for (size_t i = 0; i < flags->dev_connect_to_len; i++)
        json_array_append_new(list, json_sprintf("--dev-connect-to %s", flags->dev_connect_to[i]));
    if (flags->dev_ca)
        json_array_append_new(list, json_sprintf("--dev-ca %s", flags->dev_ca));
    return list;
}

/* Given, and an open vault does not permit them. */
static bool overrides_are_idle(const struct broker *broker)
{
    return (broker->flags->dev_ca || broker->flags->dev_connect_to_len) &&
           keeper_vault_state(broker->keeper) == KEEPER_VAULT_UNLOCKED && !keeper_overrides_active(broker->keeper);
}

static void add_degraded(json_t *list, const char *what, const char *act)
{
    if (what && *what)
        json_array_append_new(list, json_pack("{s:s, s:s}", "what", what, "do", act));
}

static json_t *degraded(struct broker *broker)
{
    const char *trouble = receipts_trouble(broker->receipts);
    json_t *list = json_array();
    char text[512];

    if (trouble) {
        snprintf(text, sizeof text, "the audit log cannot be written (%s), so no action runs", trouble);
        add_degraded(list, text, "make room on the disk of the home folder; actions run again by themselves");
    }
    if (approvals_trouble(broker->approvals)) {
        snprintf(text, sizeof text, "approvals.jsonl cannot be written (%s), so nothing new is asked or approved",
            approvals_trouble(broker->approvals));
        add_degraded(list, text, "make room on the disk of the home folder");
    }
    if (!broker->confined.landlock_abi)
        add_degraded(list, "the kernel has no Landlock, so file access is limited less than it could be",
            "use a kernel from 5.13 on with Landlock enabled");
    if (keeper_vault_state(broker->keeper) == KEEPER_VAULT_UNLOCKED && !heads_vault_key(broker->heads))
        add_degraded(list, "the vault has no usable key to sign the audit log with",
            "its entry _audit/head-key was changed or could not be written: see the free space of the home folder, then lock and "
            "unlock");
    if (heads_other_vault(broker->heads)) {
        snprintf(text, sizeof text,
            "this is not the vault whose key signed event %llu of the audit log, and no receipt tells of a new one",
            (unsigned long long) heads_other_vault(broker->heads));
        add_degraded(
            list, text, "if you did not exchange secrets.json, somebody else did: aileron vault lock, then put yours back");
    }
    if (heads_trouble(broker->heads)) {
        snprintf(text, sizeof text, "the signed heads of the audit log: %s", heads_trouble(broker->heads));
        add_degraded(list, text, "receipts are written all the same; aileron audit verify tells up to which they are signed");
    }
    if (broker->settings.approval_confirm == CONFIRM_NEVER)
        add_degraded(list, "approvals need no passphrase, not even for agents that are neither fenced nor contained",
            "aileron config set approval.confirm auto");
    add_degraded(list, keeper_degraded(broker->keeper), "see the log; `aileron daemon logs` shows it");
    if (overrides_are_idle(broker))
        add_degraded(list,
            "the daemon was started with development overrides, but this vault was not made for them: they have no effect",
            "stop it and start it without them; `aileron vault init --dev` makes a vault that permits them");
    return list;
}

void api_status(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const struct discovery_facts *facts = discovery_facts(broker->discovery);
    char started[CLOCK_TEXT_MAX], confined[256];
    struct pool_stats stats;

    pool_stats(broker->pool, &stats);
    confine_describe(&broker->confined, confined, sizeof confined);
    clock_format(broker->started_unix_ms, started);
    json_t *body = json_pack("{s:s, s:i, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:{s:s, s:s, s:s}, s:o, s:b, s:o, s:{s:i, s:I}}",
        "version", AILERON_VERSION, "pid", (int) getpid(), "started_at", started, "uptime_s",
        (json_int_t) ((clock_boot_ms() - broker->started_boot_ms) / 1000), "url", facts->url, "socket", broker->home->daemon_sock,
        "home", broker->home->path, "log", log_path(), "vault_state", vault_state_name(keeper_vault_state(broker->keeper)),
        "counts", counts(broker), "confinement", "broker", confined, "keeper", keeper_confinement(broker->keeper), "worker",
        *stats.confinement ? stats.confinement : "not started yet", "overrides", overrides(broker->flags), "overrides_active",
        keeper_overrides_active(broker->keeper), "degraded", degraded(broker), "restarts", "keeper",
        (int) keeper_restarts(broker->keeper), "worker", (json_int_t) stats.replaced);
    api_reply_send(reply, 200, body);
}

void api_stop(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    api_reply_send(reply, 202, json_pack("{s:s}", "status", "stopping"));
    broker_stop(broker);
}
