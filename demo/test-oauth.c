/* The stand-in's authorization server is as strict as a real one, or the tour would prove nothing. */
#include "oauth.h"

#include "base/encode.h"
#include "crypt/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define VERIFIER  "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" /* RFC 7636, appendix B */
#define REDIRECT  "http://127.0.0.1:4711/oauth2/callback"

typedef void endpoint_fn(struct oauth *oauth, const json_t *fields, struct oauth_answer *answer);

static void ask(struct oauth *oauth, endpoint_fn *endpoint, json_t *fields, struct oauth_answer *ret_answer)
{
    CLEANUP_JSON json_t *owned = fields;

    assert_non_null(owned);
    oauth_answer_free(ret_answer);
    *ret_answer = (struct oauth_answer) OAUTH_ANSWER_INIT;
    endpoint(oauth, owned, ret_answer);
}

static json_t *request(const char *redirect, const char *scope)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "client_id", OAUTH_CLIENT_ID, "redirect_uri", redirect, "response_type",
        "code", "code_challenge_method", "S256", "code_challenge", CHALLENGE, "scope", scope, "state", "a b&c");
}

/* The value of a parameter of a Location, still percent-encoded. malloc'd. */
static char *parameter(const char *location, const char *name)
{
    char mark[32];
    const char *at;

    snprintf(mark, sizeof(mark), "%s=", name);
    at = location ? strstr(location, mark) : NULL;
    assert_non_null(at);
    at += strlen(mark);
    return strndup(at, strcspn(at, "&"));
}

static char *page_id(const struct oauth_answer *answer)
{
    const char *at = strstr(buf_str(&answer->page), "name=\"request\" value=\"");

    assert_non_null(at);
    at += strlen("name=\"request\" value=\"");
    return strndup(at, strcspn(at, "\""));
}

/* A code as the consent page gives it, percent-encoded: its only such character is the slash. */
static char *code_new(struct oauth *oauth)
{
    CLEANUP(oauth_answer_free) struct oauth_answer answer = OAUTH_ANSWER_INIT;
    CLEANUP_FREE char *id = NULL;
    CLEANUP_FREE char *encoded = NULL;
    char *code;

    ask(oauth, oauth_authorize, request(REDIRECT, "mail"), &answer);
    assert_int_equal(answer.status, 200);
    id = page_id(&answer);
    ask(oauth, oauth_consent, json_pack("{s:s,s:s}", "request", id, "decision", "allow"), &answer);
    assert_int_equal(answer.status, 302);
    assert_true(strstr(answer.location, "state=a%20b%26c") != NULL);
    assert_true(strstr(answer.location, "iss=https%3A%2F%2Faccounts.google.com") != NULL);
    encoded = parameter(answer.location, "code");
    assert_memory_equal(encoded, "4%2F", 4);
    assert_true(asprintf(&code, "4/%s", encoded + 4) > 0);
    return code;
}

static json_t *exchange(const char *code, const char *verifier)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "client_id", OAUTH_CLIENT_ID, "client_secret", OAUTH_CLIENT_SECRET,
        "grant_type", "authorization_code", "code", code, "redirect_uri", REDIRECT, "code_verifier", verifier);
}

static json_t *refreshing(const char *token)
{
    return json_pack("{s:s,s:s,s:s,s:s}", "client_id", OAUTH_CLIENT_ID, "client_secret", OAUTH_CLIENT_SECRET, "grant_type",
        "refresh_token", "refresh_token", token);
}

static void test_code_once(void **state)
{
    CLEANUP_PTR(oauth_free) struct oauth *oauth = oauth_new(3600);
    CLEANUP(oauth_answer_free) struct oauth_answer answer = OAUTH_ANSWER_INIT;
    CLEANUP_FREE char *code = code_new(oauth);
    CLEANUP_FREE char *access = NULL;

    ask(oauth, oauth_token, exchange(code, VERIFIER), &answer);
    assert_int_equal(answer.status, 200);
    access = strdup(json_get_str(answer.json, "access_token"));
    assert_true(oauth_accepts(oauth, access));
    ask(oauth, oauth_token, exchange(code, VERIFIER), &answer);
    assert_int_equal(answer.status, 400);
    assert_string_equal(json_get_str(answer.json, "error"), "invalid_grant");
    assert_false(oauth_accepts(oauth, access)); /* a code seen twice ends what it gave */
}

static void test_verifier(void **state)
{
    CLEANUP_PTR(oauth_free) struct oauth *oauth = oauth_new(3600);
    CLEANUP(oauth_answer_free) struct oauth_answer answer = OAUTH_ANSWER_INIT;
    CLEANUP_FREE char *code = code_new(oauth);

    ask(oauth, oauth_token, exchange(code, CHALLENGE), &answer);
    assert_int_equal(answer.status, 400);
    ask(oauth, oauth_token, exchange(code, VERIFIER), &answer);
    assert_int_equal(answer.status, 400); /* used up by the wrong one */
}

static void test_rotation(void **state)
{
    CLEANUP_PTR(oauth_free) struct oauth *oauth = oauth_new(3600);
    CLEANUP(oauth_answer_free) struct oauth_answer answer = OAUTH_ANSWER_INIT;
    CLEANUP_FREE char *code = code_new(oauth);
    CLEANUP_FREE char *first = NULL;
    CLEANUP_FREE char *access = NULL;

    ask(oauth, oauth_token, exchange(code, VERIFIER), &answer);
    first = strdup(json_get_str(answer.json, "refresh_token"));
    ask(oauth, oauth_expire, json_object(), &answer);
    ask(oauth, oauth_token, refreshing(first), &answer);
    assert_int_equal(answer.status, 200);
    assert_string_not_equal(json_get_str(answer.json, "refresh_token"), first);
    access = strdup(json_get_str(answer.json, "access_token"));
    assert_true(oauth_accepts(oauth, access));
    ask(oauth, oauth_token, refreshing(first), &answer);
    assert_int_equal(answer.status, 400);
    assert_false(oauth_accepts(oauth, access));
}

static void test_revocation_and_time(void **state)
{
    CLEANUP_PTR(oauth_free) struct oauth *oauth = oauth_new(3600);
    CLEANUP(oauth_answer_free) struct oauth_answer answer = OAUTH_ANSWER_INIT;
    CLEANUP_FREE char *code = code_new(oauth);
    CLEANUP_FREE char *access = NULL;
    CLEANUP_FREE char *refresh = NULL;

    ask(oauth, oauth_token, exchange(code, VERIFIER), &answer);
    access = strdup(json_get_str(answer.json, "access_token"));
    refresh = strdup(json_get_str(answer.json, "refresh_token"));
    ask(oauth, oauth_expire, json_object(), &answer);
    assert_false(oauth_accepts(oauth, access));
    ask(oauth, oauth_revoke, json_pack("{s:s}", "token", refresh), &answer);
    assert_int_equal(answer.status, 200);
    ask(oauth, oauth_token, refreshing(refresh), &answer);
    assert_string_equal(json_get_str(answer.json, "error"), "invalid_grant");
    ask(oauth, oauth_revoke, json_pack("{s:s}", "token", refresh), &answer);
    assert_int_equal(answer.status, 400);
}

static void test_pages(void **state)
{
    CLEANUP_PTR(oauth_free) struct oauth *oauth = oauth_new(3600);
    CLEANUP(oauth_answer_free) struct oauth_answer answer = OAUTH_ANSWER_INIT;
    CLEANUP_FREE char *id = NULL;
    CLEANUP_FREE char *error = NULL;

    ask(oauth, oauth_authorize, request("https://elsewhere.test/", "mail"), &answer);
    assert_int_equal(answer.status, 400);
    assert_null(answer.location);
    ask(oauth, oauth_authorize, request(REDIRECT, "<script>"), &answer);
    assert_null(strstr(buf_str(&answer.page), "<script>"));
    id = page_id(&answer);
    ask(oauth, oauth_consent, json_pack("{s:s,s:s}", "request", id, "decision", "deny"), &answer);
    error = parameter(answer.location, "error");
    assert_string_equal(error, "access_denied");
    ask(oauth, oauth_consent, json_pack("{s:s,s:s}", "request", id, "decision", "allow"), &answer);
    assert_int_equal(answer.status, 400);
    assert_null(answer.location);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_code_once),
        cmocka_unit_test(test_verifier),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_revocation_and_time),
        cmocka_unit_test(test_pages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
