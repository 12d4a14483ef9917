/*
 * The table of HTTP routes and its matcher. Adding an endpoint is one row here
 * and one function of broker/api.h; nothing in this file decides who someone is.
 */
#include "web/routes.h"

#include "base/cleanup.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

static const struct route ROUTES[] = {
    { "GET", "/v1/health", api_health, ROUTE_OPEN },
    { "GET", "/v1/status", api_status, ROUTE_OWNER },
    { "POST", "/v1/stop", api_stop, ROUTE_OWNER },
    { "GET", "/v1/actions", api_actions_list, ROUTE_AGENT },
    { "GET", "/v1/vault", api_vault_get, ROUTE_OWNER },
    { "POST", "/v1/vault/lock", api_vault_lock, ROUTE_OWNER },
    { "POST", "/v1/actions/preview", api_action_preview, ROUTE_OWNER },
    { "POST", "/v1/actions/install", api_action_install, ROUTE_OWNER },
    { "POST", "/v1/actions/validate", api_action_validate, ROUTE_OWNER },
    { "POST", "/v1/actions/{}/run", api_action_run, ROUTE_AGENT, .watched = true },
    { "GET", "/v1/actions/{}", api_action_get, ROUTE_OWNER },
    { "PATCH", "/v1/actions/{}", api_action_patch, ROUTE_OWNER },
    { "DELETE", "/v1/actions/{}", api_action_remove, ROUTE_OWNER },
    { "GET", "/v1/connectors", api_connectors_list, ROUTE_OWNER },
    { "POST", "/v1/connectors/preview", api_connector_preview, ROUTE_OWNER },
    { "POST", "/v1/connectors/install", api_connector_install, ROUTE_OWNER },
    { "GET", "/v1/connectors/check", api_connectors_check, ROUTE_OWNER },
    { "GET", "/v1/connectors/{}", api_connector_get, ROUTE_OWNER },
    { "DELETE", "/v1/connectors/{}", api_connector_remove, ROUTE_OWNER },
    { "GET", "/v1/plans/{}", api_plan_get, ROUTE_OWNER },
    { "DELETE", "/v1/plans/{}", api_plan_drop, ROUTE_OWNER },
    { "GET", "/v1/keyring", api_keyring_list, ROUTE_OWNER },
    { "POST", "/v1/keyring", api_keyring_trust, ROUTE_OWNER },
    { "DELETE", "/v1/keyring", api_keyring_revoke, ROUTE_OWNER },
    { "POST", "/v1/sync", api_sync, ROUTE_OWNER },
    { "GET", "/v1/bindings", api_bindings_list, ROUTE_OWNER },
    { "POST", "/v1/bindings/oauth2/start", api_oauth_start, ROUTE_OWNER },
    { "GET", "/v1/bindings/{*}", api_binding_get, ROUTE_OWNER },
    { "DELETE", "/v1/bindings/{*}", api_binding_revoke, ROUTE_OWNER },
    { "GET", "/oauth2/callback", api_oauth_callback, ROUTE_OPEN, .page = true },
    { "GET", "/v1/audit", api_audit_list, ROUTE_OWNER },
    { "GET", "/v1/audit/verify", api_audit_verify, ROUTE_OWNER },
    { "GET", "/v1/audit/{}", api_audit_get, ROUTE_OWNER },
    { "GET", "/v1/approvals", api_approvals_list, ROUTE_OWNER },
    { "POST", "/v1/approvals/{}/decide", api_approval_decide, ROUTE_OWNER },
    { "POST", "/v1/approvals/{}/resolve", api_approval_resolve, ROUTE_OWNER },
    { "GET", "/v1/approvals/{}/result", api_approval_result, ROUTE_AGENT, .watched = true },
    { "GET", "/v1/approvals/{}", api_approval_get, ROUTE_OWNER },
    { "GET", "/v1/sessions", api_sessions_list, ROUTE_OWNER },
    { "POST", "/v1/sessions", api_session_open, ROUTE_OWNER },
    { "POST", "/v1/sessions/{}/end", api_session_end, ROUTE_OWNER },
    { "GET", "/v1/sessions/{}", api_session_get, ROUTE_OWNER },
    { "POST", "/v1/web/code", api_web_code, ROUTE_OWNER },
    { "POST", "/v1/web/login", api_web_login, ROUTE_OPEN },
    { "GET", "/v1/events", NULL, ROUTE_OWNER, .stream = true },
    { "GET", "/v1/config", api_config_list, ROUTE_OWNER },
    { "PATCH", "/v1/config", api_config_patch, ROUTE_OWNER },
    { "GET", "/mcp", NULL, ROUTE_SESSION, .mounted = true },
    { "POST", "/mcp", NULL, ROUTE_SESSION, .mounted = true },
};

/* Matches one path against one pattern; a capture is copied to `name`. */
static bool path_matches(const char *pattern, const char *path, char name[ROUTE_NAME_MAX])
{
    name[0] = '\0';
    for (;;) {
        size_t want = strcspn(pattern, "/");
        size_t have = strcspn(path, "/");

        if (want == 3 && !memcmp(pattern, "{*}", 3))
            return *path && (size_t) snprintf(name, ROUTE_NAME_MAX, "%s", path) < ROUTE_NAME_MAX;
        if (want == 2 && !memcmp(pattern, "{}", 2)) {
            if (!have || have >= ROUTE_NAME_MAX)
                return false;
            memcpy(name, path, have);
            name[have] = '\0';
        } else if (want != have || memcmp(pattern, path, want)) {
            return false;
        }
        pattern += want;
        path += have;
        if (*pattern != *path)
            return false;
        if (!*pattern)
            return true;
        pattern++;
        path++;
    }
}

enum route_match route_find(const char *method, const char *path, const struct route **ret_route, char ret_name[ROUTE_NAME_MAX],
    char *ret_allow, size_t allow_size)
{
    size_t used = 0;

    ret_allow[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(ROUTES); i++) {
        if (!path_matches(ROUTES[i].path, path, ret_name))
            continue;
        if (!strcmp(ROUTES[i].method, method)) {
            *ret_route = &ROUTES[i];
            return ROUTE_FOUND;
        }
        int wrote = snprintf(ret_allow + used, allow_size - used, "%s%s", used ? ", " : "", ROUTES[i].method);
        if (wrote > 0 && (size_t) wrote < allow_size - used)
            used += (size_t) wrote;
    }
    return used ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}
