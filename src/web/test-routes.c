/* The route matcher: captures, methods, near misses, and that agents reach only what SPEC §7 lists for them. */
#include "web/routes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The table refers to the broker's functions; the matcher never calls them. */
#define UNUSED_API(name)                                                                                                         \
    void name(struct broker *broker, const struct api_request *request, struct api_reply *reply)                                 \
    {                                                                                                                            \
    }
UNUSED_API(api_health)
UNUSED_API(api_web_code)
UNUSED_API(api_web_login)
UNUSED_API(api_status)
UNUSED_API(api_stop)
UNUSED_API(api_actions_list)
UNUSED_API(api_action_install)
UNUSED_API(api_action_validate)
UNUSED_API(api_action_run)
UNUSED_API(api_action_get)
UNUSED_API(api_action_patch)
UNUSED_API(api_action_remove)
UNUSED_API(api_connectors_list)
UNUSED_API(api_connector_install)
UNUSED_API(api_connector_get)
UNUSED_API(api_connector_preview)
UNUSED_API(api_action_preview)
UNUSED_API(api_plan_get)
UNUSED_API(api_plan_drop)
UNUSED_API(api_keyring_list)
UNUSED_API(api_keyring_trust)
UNUSED_API(api_keyring_revoke)
UNUSED_API(api_connector_remove)
UNUSED_API(api_connectors_check)
UNUSED_API(api_sync)
UNUSED_API(api_vault_get)
UNUSED_API(api_vault_lock)
UNUSED_API(api_binding_get)
UNUSED_API(api_binding_revoke)
UNUSED_API(api_oauth_start)
UNUSED_API(api_oauth_callback)
UNUSED_API(api_bindings_list)
UNUSED_API(api_audit_list)
UNUSED_API(api_audit_verify)
UNUSED_API(api_audit_get)
UNUSED_API(api_approvals_list)
UNUSED_API(api_approval_get)
UNUSED_API(api_approval_decide)
UNUSED_API(api_approval_resolve)
UNUSED_API(api_approval_result)
UNUSED_API(api_sessions_list)
UNUSED_API(api_session_open)
UNUSED_API(api_session_end)
UNUSED_API(api_session_get)
UNUSED_API(api_config_list)
UNUSED_API(api_config_patch)

static const struct route *found(const char *method, const char *path, const char *want_name)
{
    const struct route *route = NULL;
    char name[ROUTE_NAME_MAX], allow[64];

    assert_int_equal(route_find(method, path, &route, name, allow, sizeof(allow)), ROUTE_FOUND);
    assert_string_equal(name, want_name);
    return route;
}

static void test_found(void **state)
{
    assert_ptr_equal(found("GET", "/v1/actions", "")->function, api_actions_list);
    assert_ptr_equal(found("GET", "/v1/actions/get-email", "get-email")->function, api_action_get);
    assert_ptr_equal(found("POST", "/v1/actions/get-email/run", "get-email")->function, api_action_run);
    assert_ptr_equal(found("POST", "/v1/actions/validate", "")->function, api_action_validate);
    assert_ptr_equal(found("GET", "/v1/audit/verify", "")->function, api_audit_verify);
    assert_ptr_equal(found("GET", "/v1/audit/aud_X", "aud_X")->function, api_audit_get);
    assert_ptr_equal(found("GET", "/v1/bindings/oauth2/google/me", "oauth2/google/me")->function, api_binding_get);
    assert_ptr_equal(found("DELETE", "/v1/bindings/api_key/x/y.z", "api_key/x/y.z")->function, api_binding_revoke);
    assert_ptr_equal(found("POST", "/v1/bindings/oauth2/start", "")->function, api_oauth_start);
    assert_ptr_equal(found("DELETE", "/v1/connectors/sha256:00", "sha256:00")->function, api_connector_remove);
}

static void test_not_found(void **state)
{
    static const char *const paths[] = { "", "/", "/v1", "/v1/", "/v1/actions/", "/v1/actions//run", "/v1/actionsx",
        "/v1/actions/a/b", "/v1/actions/a/run/", "v1/actions", "//v1/actions" };
    const struct route *route;
    char name[ROUTE_NAME_MAX], allow[64], longest[2 * ROUTE_NAME_MAX] = "/v1/audit/";

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_int_equal(route_find("GET", paths[i], &route, name, allow, sizeof(allow)), ROUTE_NO_PATH);
    memset(longest + 10, 'a', sizeof(longest) - 11);
    assert_int_equal(route_find("GET", longest, &route, name, allow, sizeof(allow)), ROUTE_NO_PATH);
    assert_int_equal(route_find("PUT", "/v1/config", &route, name, allow, sizeof(allow)), ROUTE_NO_METHOD);
    assert_string_equal(allow, "GET, PATCH");
}

static void test_agents(void **state)
{
    assert_int_equal(found("GET", "/v1/actions", "")->who, ROUTE_AGENT);
    assert_int_equal(found("POST", "/v1/actions/a/run", "a")->who, ROUTE_AGENT);
    assert_int_equal(found("GET", "/v1/status", "")->who, ROUTE_OWNER);
    assert_int_equal(found("POST", "/v1/sessions", "")->who, ROUTE_OWNER);
    assert_int_equal(found("GET", "/v1/audit", "")->who, ROUTE_OWNER);
    assert_int_equal(found("PATCH", "/v1/config", "")->who, ROUTE_OWNER);
    assert_int_equal(found("GET", "/v1/health", "")->who, ROUTE_OPEN);
    assert_int_equal(found("GET", "/v1/vault", "")->who, ROUTE_OWNER);
    assert_int_equal(found("POST", "/v1/vault/lock", "")->who, ROUTE_OWNER);
    assert_int_equal(found("GET", "/v1/bindings/a/b/c", "a/b/c")->who, ROUTE_OWNER);
    assert_int_equal(found("DELETE", "/v1/bindings/a/b/c", "a/b/c")->who, ROUTE_OWNER);
    assert_int_equal(found("POST", "/v1/bindings/oauth2/start", "")->who, ROUTE_OWNER);
    assert_int_equal(found("GET", "/v1/connectors/sha256:00", "sha256:00")->who, ROUTE_OWNER);
    assert_true(found("GET", "/oauth2/callback", "")->who == ROUTE_OPEN && found("GET", "/oauth2/callback", "")->page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),
        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_agents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
