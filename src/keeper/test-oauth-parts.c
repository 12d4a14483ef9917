/*
 * Tests of OAuth's pure parts: the authorize URL and PKCE, the callback's query, the token endpoint's answers. The
 * challenge is compared with RFC 7636 appendix B.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "keeper/oauth-answer.h"
#include "keeper/oauth-query.h"
#include "keeper/oauth-url.h"
#include "keeper/oauth.h"

#include "base/banned.h"

/* ---- the authorize URL ---- */

static const char *const scopes[] = { "https://mail.example/read", "email" };

static struct oauth_authorize honest(const char *authorize_url)
{
    return (struct oauth_authorize){ authorize_url, "id 1&x", "http://127.0.0.1:8123/oauth2/callback", "st-ate", "chal_lenge",
        scopes, ARRAY_LEN(scopes) };
}

#define OURS                                                                                                                     \
    "response_type=code&client_id=id%201%26x&redirect_uri=http%3A%2F%2F127.0.0.1%3A8123%2Foauth2%2Fcallback&scope="              \
    "https%3A%2F%2Fmail.example%2Fread%20email&state=st-ate&code_challenge=chal_lenge&code_challenge_method=S256"

static void test_authorize_url(void **state)
{
    static const struct {
        const char *base, *expected;
    } cases[] = {
        { "https://a.example/auth", "https://a.example/auth?" OURS "&access_type=offline&prompt=consent" },
        { "https://a.example/auth?", "https://a.example/auth?" OURS "&access_type=offline&prompt=consent" },
        { "https://a.example/auth?hd=x.example",
            "https://a.example/auth?hd=x.example&" OURS "&access_type=offline&prompt=consent" },
        { "https://a.example?prompt=none&access_type=online", "https://a.example?prompt=none&access_type=online&" OURS },
        { "http://localhost:9/auth?promptly=1",
            "http://localhost:9/auth?promptly=1&" OURS "&access_type=offline&prompt=consent" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct oauth_authorize what = honest(cases[i].base);
        char *url = NULL;

        assert_int_equal(oauth_authorize_url(&what, &url, NULL), 0);
        assert_string_equal(url, cases[i].expected);
        free(url);
    }
}

static void test_authorize_refused(void **state)
{
    static const char *const bad[] = { "http://a.example/auth", "ftp://a.example", "https://u@a.example/", "https://a.example/#x",
        "https://a.example/?state=1", "https://a.example/?x&scope", "https://a.example/?client_id=&y", "", "javascript:alert(1)",
        "https://a.example/\r\nX: y", "https://a.example/auth?redirect%5Furi=https%3A%2F%2Fevil.example%2Fcb",
        "https://a.example/auth?a=b;redirect_uri=https://evil.example/cb", "https://a.example/auth?st%61te=x",
        "https://a.example/?State=x", "https://a.example/?request=e30", "https://a.example/?request_uri=https://evil.example",
        "https://a.example/?response_mode=fragment", "https://a.example/?client_secret=x", "https://a.example/?+state=x",
        "https://a.example/?state[]=x", "https://a.example/?x&state" };
    static const char *const quote[] = { "a\"b" }, *const blank[] = { "a b" }, *const none[] = { "" };
    const char *const *wrong[] = { quote, blank, none };
    struct oauth_authorize what = honest("https://a.example/auth");
    CLEANUP_FREE char *large = calloc(1, OAUTH_URL_MAX + 1);
    struct err err = ERR_INIT;
    char *url = NULL;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        const struct oauth_authorize spoilt = honest(bad[i]);

        err_clear(&err);
        if (oauth_authorize_url(&spoilt, &url, &err) != -22 || !err.message[0])
            fail_msg("taken: %s", bad[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        what.scopes = wrong[i];
        what.scopes_len = 1;
        assert_int_equal(oauth_authorize_url(&what, &url, NULL), -22);
    }
    what = honest("https://a.example/auth");
    what.client_id = "a\nb";
    assert_int_equal(oauth_authorize_url(&what, &url, NULL), -22);
    what.client_id = "";
    assert_int_equal(oauth_authorize_url(&what, &url, NULL), -22);
    what = honest("https://a.example/auth");
    assert_non_null(large);
    memset(large, 0x20, 512);
    what.client_id = large; /* three bytes each */
    assert_int_equal(oauth_authorize_url(&what, &url, NULL), 0);
    free(TAKE_PTR(url));
    memset(large, 'a', OAUTH_URL_MAX);
    memcpy(large, "https://a.example/", 18);
    large[OAUTH_URL_MAX - 50] = '\0';
    what = honest(large);
    assert_int_equal(oauth_authorize_url(&what, &url, NULL), -22);
    assert_null(url);
}

static void test_pkce(void **state)
{
    static const char verifier[] = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"; /* RFC 7636 appendix B */
    struct secret *secret = NULL, *other = NULL;
    char challenge[OAUTH_CHALLENGE_LEN + 1], one[OAUTH_STATE_LEN + 1], two[OAUTH_STATE_LEN + 1];

    assert_int_equal(secret_from(verifier, strlen(verifier), &secret), 0);
    assert_int_equal(oauth_challenge(secret, challenge), 0);
    assert_string_equal(challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    secret_free(TAKE_PTR(secret));
    assert_int_equal(oauth_verifier_new(&secret), 0);
    assert_int_equal(oauth_verifier_new(&other), 0);
    assert_int_equal(secret_len(secret), 64); /* RFC 7636 §4.1: 43 to 128 */
    assert_false(secret_equal(secret, other));
    secret_free(secret);
    secret_free(other);
    assert_int_equal(oauth_state_new(one), 0);
    assert_int_equal(oauth_state_new(two), 0);
    assert_int_equal(strlen(one), OAUTH_STATE_LEN);
    assert_string_not_equal(one, two);
    assert_true(OAUTH_STATE_LEN < OAUTH_QUERY_STATE_MAX && OAUTH_STATE_LEN < OAUTH_STATE_MAX);
}

static void test_redirects(void **state)
{
    static const char uri[] = "http://127.0.0.1:8123/oauth2/callback";
    static const char *const bad[] = { "http://localhost:8123/oauth2/callback", "https://127.0.0.1:8123/oauth2/callback",
        "http://127.0.0.1:8123/oauth2/callback/", "http://127.0.0.1:8123/oauth2/callback?x", "http://127.0.0.1/oauth2/callback",
        "", "http://127.0.0.1:08123/oauth2/callback", "http://127.0.0.1:8123/", "http://127.0.0.2:8123/oauth2/callback" };
    static const char *const no_paste[] = { "", "code=1&state=2", "?code=1", "http://127.0.0.1:8123/oauth2/callback",
        "http://127.0.0.1:8123/oauth2/callback/?code=1", "http://127.0.0.1:81230/oauth2/callback?code=1",
        "http://127.0.0.1:8123/oauth2/callback#code=1", "http://127.0.0.1:8123/oauth2/callback?code=1#x",
        "http://localhost:8123/oauth2/callback?code=1", " http://127.0.0.1:8123/oauth2/callback?code=1",
        "HTTP://127.0.0.1:8123/oauth2/callback?code=1" };
    const char *query = NULL;

    assert_int_equal(oauth_redirect_check(uri, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (oauth_redirect_check(bad[i], NULL) != -22)
            fail_msg("taken: %s", bad[i]);
    for (size_t i = 0; i < ARRAY_LEN(no_paste); i++)
        if (oauth_redirect_query(uri, no_paste[i], &query, NULL) != -22)
            fail_msg("taken: %s", no_paste[i]);
    assert_int_equal(oauth_redirect_query(uri, "http://127.0.0.1:8123/oauth2/callback?code=1&state=2", &query, NULL), 0);
    assert_string_equal(query, "code=1&state=2");
}

static void test_issuers(void **state)
{
    static const char url[] = "https://accounts.example/o/oauth2/auth?x=y";

    assert_true(oauth_issuer_matches(url, "https://accounts.example"));
    assert_true(oauth_issuer_matches(url, "https://accounts.example:443/"));
    assert_true(oauth_issuer_matches(url, "https://accounts.example/tenant"));
    assert_false(oauth_issuer_matches(url, "http://accounts.example"));
    assert_false(oauth_issuer_matches(url, "https://evil.example"));
    assert_false(oauth_issuer_matches(url, "https://accounts.example.evil.example"));
    assert_false(oauth_issuer_matches(url, "https://accounts.example@evil.example"));
    assert_false(oauth_issuer_matches(url, "accounts.example"));
    assert_false(oauth_issuer_matches(url, ""));
}

static void test_form(void **state)
{
    const struct oauth_field fields[] = {
        { "grant_type", "authorization_code", 18 },
        { "code", "4/0A b+c&d=e%\xff", 14 },
        { "absent", NULL, 0 },
        { NULL, "x", 1 },
        { "empty", "", 0 },
        { "tail", "~._-", 4 },
    };
    static const char expected[] = "grant_type=authorization_code&code=4%2F0A%20b%2Bc%26d%3De%25%FF&empty=&tail=~._-";
    struct secret *form = NULL;

    assert_int_equal(oauth_form(fields, ARRAY_LEN(fields), &form), 0);
    assert_int_equal(secret_len(form), strlen(expected));
    assert_memory_equal(secret_bytes(form), expected, strlen(expected));
    secret_free(form);
}

/* ---- the callback's query ---- */

static struct oauth_query parse(const char *text)
{
    struct oauth_query query;

    assert_int_equal(oauth_query_parse(text, strlen(text), &query), 0);
    return query;
}

static void test_query(void **state)
{
    struct oauth_query query =
        parse("state=ab-_9&code=4%2F0A+b%7e&scope=a+b&iss=https%3A%2F%2Faccounts.example&authuser=0&x&=&&");

    assert_null(query.refusal);
    assert_string_equal(query.state, "ab-_9");
    assert_int_equal(secret_len(query.code), 7);
    assert_memory_equal(secret_bytes(query.code), "4/0A b~", 7);
    assert_false(query.has_error);
    assert_string_equal(query.issuer, "https://accounts.example");
    oauth_query_free(&query);
    query = parse("%73tate=s&error=access_denied&error_description=the+words+of+a+provider");
    assert_null(query.refusal);
    assert_string_equal(query.state, "s");
    assert_true(query.has_error);
    assert_string_equal(query.error, "access_denied");
    oauth_query_free(&query);
    query = parse("state=s&error=%3Cscript%3E");
    assert_null(query.refusal);
    assert_true(query.has_error);
    assert_null(query.error);
    oauth_query_free(&query);
}

/* Refused, with the state told (then its flow is used up) or not. */
static void test_query_refused(void **state)
{
    static const struct {
        const char *text;
        const char *state;
    } cases[] = {
        { "", "" },
        { "code=c", "" },
        { "state=&code=c", "" },
        { "state=a&state=a&code=c", "" },
        { "state=a&stat%65=b&code=c", "" },
        { "state=a%00b&code=c", "" },
        { "state=a+b&code=c", "" },
        { "state=a/b&code=c", "" },
        { "state=%e4&code=c", "" },
        { "state=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa&code=c", "" },
        { "state=a", "a" },
        { "state=a&code", "a" },
        { "state=a&code=", "a" },
        { "state=a&code=c&code=c", "a" },
        { "state=a&code=c&error=access_denied", "a" },
        { "state=a&error=x&error=y", "a" },
        { "state=a&code=c%0d%0aX", "a" },
        { "state=a&code=c%00", "a" },
        { "state=a&code=c%7f", "a" },
        { "state=a&code=c%2", "a" },
        { "state=a&code=c%", "a" },
        { "state=a&code=c%zz", "a" },
        { "state=a&code=c\xc3\xa4", "a" },
        { "state=a&code=c&iss=", "a" },
        { "state=a&code=c&iss=https://a&iss=https://a", "a" },
        { "code=c&code=d&state=a", "a" },
    };
    CLEANUP_FREE char *large = calloc(1, OAUTH_QUERY_MAX + 2);
    struct oauth_query query;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        query = parse(cases[i].text);
        if (!query.refusal || strcmp(query.state, cases[i].state) != 0)
            fail_msg("%s: %s, state \"%s\"", cases[i].text, query.refusal ? query.refusal : "taken", query.state);
        oauth_query_free(&query);
    }
    assert_non_null(large);
    memset(large, 'c', OAUTH_QUERY_MAX + 1);
    memcpy(large, "state=a&code=", 13);
    query = parse(large);
    assert_non_null(query.refusal);
    oauth_query_free(&query);
    large[13 + OAUTH_CODE_MAX + 1] = '\0';
    query = parse(large);
    assert_non_null(query.refusal);
    oauth_query_free(&query);
    large[13 + OAUTH_CODE_MAX] = '\0';
    query = parse(large);
    assert_null(query.refusal);
    oauth_query_free(&query);
}

/* ---- the token endpoint's answers ---- */

static int answer_read(uint32_t status, const char *text, struct oauth_answer **ret_answer, bool *ret_invalid, struct err *err)
{
    CLEANUP_PTR(secret_free) struct secret *body = NULL;

    assert_int_equal(secret_from(text, strlen(text), &body), 0);
    return oauth_answer_read(status, body, ret_answer, ret_invalid, err);
}

static void test_answers(void **state)
{
    static const struct {
        const char *text;
        int64_t expires_in_s;
        bool refresh;
    } good[] = {
        { "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"expires_in\":3599}", 3599, false },
        { "{\"access_token\":\"secret-one\",\"token_type\":\"bearer\",\"refresh_token\":\"secret-two\",\"id_token\":\"x\"}", 0,
            true },
        { "{\"access_token\":\"secret-one\",\"token_type\":\"BEARER\",\"expires_in\":\"3600\",\"refresh_token\":null}", 3600,
            false },
        { "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"expires_in\":3600.9}", 3600, false },
        { "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"expires_in\":1e300}", OAUTH_EXPIRES_MAX_S, false },
        { "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"expires_in\":9223372036854775807}", OAUTH_EXPIRES_MAX_S,
            false },
        { "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"expires_in\":null,\"scope\":null}", 0, false },
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        CLEANUP_PTR(oauth_answer_free) struct oauth_answer *answer = NULL;

        if (answer_read(200, good[i].text, &answer, NULL, NULL) != 0)
            fail_msg("refused: %s", good[i].text);
        assert_memory_equal(secret_bytes(answer->access), "secret-one", 10);
        assert_int_equal(answer->expires_in_s, good[i].expires_in_s);
        assert_int_equal(answer->refresh != NULL, good[i].refresh);
        assert_true(oauth_answer_grants(answer, "anything"));
    }
}

static void test_answers_refused(void **state)
{
    static const struct {
        uint32_t status;
        const char *text;
        int result;
    } bad[] = {
        { 200, "", OAUTH_ANSWER_UNUSABLE },
        { 200, "null", OAUTH_ANSWER_UNUSABLE },
        { 200, "[]", OAUTH_ANSWER_UNUSABLE },
        { 200, "{}", OAUTH_ANSWER_UNUSABLE },
        { 200, "<html>secret-one</html>", OAUTH_ANSWER_UNUSABLE },
        { 200, "access_token=secret-one&token_type=Bearer", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\"} x", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"access_token\":\"secret-two\",\"token_type\":\"Bearer\"}",
            OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\"}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"token_type\":\"mac\"}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"token_type\":1}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"short\",\"token_type\":\"Bearer\"}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret one\",\"token_type\":\"Bearer\"}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret\\r\\nX: y\",\"token_type\":\"Bearer\"}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret\\u0000one\",\"token_type\":\"Bearer\"}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":12345678,\"token_type\":\"Bearer\"}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"refresh_token\":\"a b c d e f\"}",
            OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"expires_in\":-1}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"expires_in\":\"soon\"}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"expires_in\":true}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"scope\":[]}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"scope\":\"a\\nb\"}", OAUTH_ANSWER_UNUSABLE },
        { 200, "{\"error\":\"invalid_grant\",\"access_token\":\"secret-one\",\"token_type\":\"Bearer\"}", OAUTH_ANSWER_REFUSED },
        { 201, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\"}", OAUTH_ANSWER_UNUSABLE },
        { 204, "", OAUTH_ANSWER_UNUSABLE },
        { 302, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\"}", OAUTH_ANSWER_UNUSABLE },
        { 400, "{\"error\":\"invalid_grant\"}", OAUTH_ANSWER_REFUSED },
        { 401, "{\"error\":\"invalid_client\",\"error_description\":\"secret-one\"}", OAUTH_ANSWER_REFUSED },
        { 400, "{\"error\":\"secret-one\"}", OAUTH_ANSWER_REFUSED },
        { 400, "{\"error\":{\"code\":400,\"message\":\"secret-one\"}}", OAUTH_ANSWER_UNUSABLE },
        { 404, "<html>secret-one", OAUTH_ANSWER_UNUSABLE },
        { 429, "{\"error\":\"invalid_grant\"}", OAUTH_ANSWER_UNAVAILABLE },
        { 500, "{\"error\":\"invalid_grant\"}", OAUTH_ANSWER_UNAVAILABLE },
        { 503, "secret-one", OAUTH_ANSWER_UNAVAILABLE },
        { 0, "{}", OAUTH_ANSWER_UNUSABLE },
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct oauth_answer *answer = NULL;
        struct err err = ERR_INIT;
        bool invalid = true;
        int r = answer_read(bad[i].status, bad[i].text, &answer, &invalid, &err);

        if (r != bad[i].result || answer || !err.message[0] || strstr(err.message, "secret-one"))
            fail_msg("%u %s: %d, \"%s\"", bad[i].status, bad[i].text, r, err.message);
        assert_int_equal(invalid, r == OAUTH_ANSWER_REFUSED && strstr(bad[i].text, "invalid_grant") != NULL);
    }
}

static void test_scopes(void **state)
{
    struct oauth_answer *answer = NULL;

    assert_int_equal(
        answer_read(200, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"scope\":\" mail.read  profile \"}",
            &answer, NULL, NULL),
        0);
    assert_true(oauth_answer_grants(answer, "mail.read"));
    assert_true(oauth_answer_grants(answer, "profile"));
    assert_false(oauth_answer_grants(answer, "mail"));
    assert_false(oauth_answer_grants(answer, "mail.read.all"));
    oauth_answer_free(TAKE_PTR(answer));
    assert_int_equal(
        answer_read(200, "{\"access_token\":\"secret-one\",\"token_type\":\"Bearer\",\"scope\":\"\"}", &answer, NULL, NULL), 0);
    assert_false(oauth_answer_grants(answer, "mail.read")); /* nothing was granted, which is not the same as nothing said */
    oauth_answer_free(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorize_url),
        cmocka_unit_test(test_authorize_refused),
        cmocka_unit_test(test_pkce),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_issuers),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_refused),
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_answers_refused),
        cmocka_unit_test(test_scopes),
    };

    json_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
