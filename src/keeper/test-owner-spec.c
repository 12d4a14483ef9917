/* Tests of specs: what the person consented to arrives unchanged, and nothing else does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "keeper/owner-spec.h"

#include "base/banned.h"

#define OAUTH_BASE                                                                                                               \
    "\"binding\":\"oauth2/google/me\",\"connector_fqn\":\"local://google\",\"origins\":[\"https://gmail.googleapis.com\"],"      \
    "\"token_url\":\"https://oauth2.googleapis.com/token\""
#define OAUTH_FLOW                                                                                                               \
    OAUTH_BASE ",\"authorize_url\":\"https://accounts.google.com/o/oauth2/v2/auth?prompt=consent\",\"client_id\":\"id-1\","      \
               "\"redirect_uri\":\"http://127.0.0.1:4711/oauth2/callback\""
#define KEY_BASE                                                                                                                 \
    "\"binding\":\"api_key/other/me\",\"connector_fqn\":\"local://other\",\"origins\":[\"https://api.other.test:8443\"]"

static int parse(const char *text, enum spec_use use, struct spec **ret_spec)
{
    struct err err = ERR_INIT;
    int r = spec_parse(text, strlen(text), use, ret_spec, &err);

    assert_true((r == 0) == (err.message[0] == '\0'));
    return r;
}

static void test_oauth(void **state)
{
    CLEANUP_PTR(spec_free) struct spec *spec = NULL;

    assert_int_equal(parse("{" OAUTH_FLOW ",\"scopes\":[\"https://www.googleapis.com/auth/gmail.readonly\",\"b\"],"
                           "\"default\":true,\"labels\":{\"scope\":\"mail\"}}",
                         SPEC_OAUTH, &spec),
        0);
    assert_string_equal(spec->binding, "oauth2/google/me");
    assert_int_equal(spec->grant->kind, GRANT_OAUTH2);
    assert_string_equal(spec->grant->origins[0], "https://gmail.googleapis.com:443");
    assert_string_equal(spec->grant->token_url, "https://oauth2.googleapis.com/token");
    assert_string_equal(spec->authorize_url, "https://accounts.google.com/o/oauth2/v2/auth?prompt=consent");
    assert_string_equal(spec->client_id, "id-1");
    assert_string_equal(spec->redirect_uri, "http://127.0.0.1:4711/oauth2/callback");
    assert_int_equal(spec->scopes_len, 2);
    assert_string_equal(spec->scopes[1], "b");
    assert_true(spec->make_default);
    assert_string_equal(json_get_str(spec->labels, "scope"), "mail");
}

static void test_key_and_rebind(void **state)
{
    CLEANUP_PTR(spec_free) struct spec *key = NULL, *again = NULL, *oauth = NULL;

    assert_int_equal(parse("{" KEY_BASE ",\"header\":\"X-Api-Key\",\"format\":\"{key}\"}", SPEC_KEY, &key), 0);
    assert_string_equal(key->grant->header, "X-Api-Key");
    assert_false(key->make_default);
    assert_null(key->labels);
    assert_int_equal(parse("{" KEY_BASE "}", SPEC_REBIND, &again), 0);
    /* The same words that set it up may rebind it, and fewer do as well. */
    assert_int_equal(parse("{" OAUTH_BASE "}", SPEC_REBIND, &oauth), 0);
    spec_free(oauth);
    oauth = NULL;
    assert_int_equal(parse("{" OAUTH_FLOW "}", SPEC_REBIND, &oauth), 0);
}

static void test_refused(void **state)
{
    static const struct {
        enum spec_use use;
        const char *text;
    } bad[] = {
        { SPEC_OAUTH, "" },
        { SPEC_OAUTH, "[]" },
        { SPEC_OAUTH, "{}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW "} "
                      "x" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"client_secret\":\"s\"}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"binding\":\"oauth2/google/you\"}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"default\":\"true\"}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"labels\":[]}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"labels\":{\"scope\":1}}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"labels\":{\"status\":\"active\"}}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"labels\":{\"connector_fqn\":\"local://evil\"}}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"labels\":{\"default\":\"true\"}}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"scopes\":\"a b\"}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"scopes\":[\"a b\"]}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"scopes\":[\"\"]}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"scopes\":[1]}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"header\":\"X-Key\"}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"revoke_url\":\"http://oauth2.googleapis.com/revoke\"}" },
        { SPEC_OAUTH, "{" OAUTH_FLOW ",\"revoke_url\":7}" },
        { SPEC_OAUTH, "{" OAUTH_BASE "}" },
        { SPEC_OAUTH, "{" KEY_BASE "}" },
        { SPEC_OAUTH, "{" OAUTH_BASE ",\"client_id\":\"i\",\"redirect_uri\":\"http://127.0.0.1:1/oauth2/callback\"}" },
        { SPEC_OAUTH, "{" OAUTH_BASE ",\"client_id\":\"i\",\"redirect_uri\":\"http://127.0.0.1:1/oauth2/callback\","
                      "\"authorize_url\":\"http://accounts.google.com/auth\"}" },
        { SPEC_OAUTH, "{" OAUTH_BASE ",\"client_id\":\"i\",\"redirect_uri\":\"http://127.0.0.1:1/oauth2/callback\","
                      "\"authorize_url\":\"https://accounts.google.com/auth#x\"}" },
        { SPEC_OAUTH, "{" OAUTH_BASE ",\"client_id\":\"i\",\"redirect_uri\":\"http://127.0.0.1:1/oauth2/callback\","
                      "\"authorize_url\":\"javascript:alert(1)\"}" },
        { SPEC_OAUTH, "{" OAUTH_BASE ",\"client_id\":\"\",\"redirect_uri\":\"http://127.0.0.1:1/oauth2/callback\","
                      "\"authorize_url\":\"https://accounts.google.com/auth\"}" },
        { SPEC_OAUTH, "{" OAUTH_BASE ",\"client_id\":\"i\",\"redirect_uri\":\"https://evil.test/oauth2/callback\","
                      "\"authorize_url\":\"https://accounts.google.com/auth\"}" },
        { SPEC_REBIND,
            "{\"binding\":\"oauth2/google/me\",\"connector_fqn\":\"local://google\",\"origins\":[\"https://a.test\"]}" },
        { SPEC_REBIND,
            "{\"binding\":\"basic/google/me\",\"connector_fqn\":\"local://google\",\"origins\":[\"https://a.test\"]}" },
        { SPEC_REBIND,
            "{\"binding\":\"_grants/oauth2/me\",\"connector_fqn\":\"local://google\",\"origins\":[\"https://a.test\"]}" },
        { SPEC_KEY, "{" OAUTH_BASE "}" },
        { SPEC_KEY, "{" KEY_BASE ",\"token_url\":\"https://a.test/\"}" },
        { SPEC_KEY, "{" KEY_BASE ",\"scopes\":[]}" },
        { SPEC_KEY, "{" KEY_BASE ",\"format\":\"no mark\"}" },
        { SPEC_KEY, "{" KEY_BASE ",\"header\":\"Host\"}" },
        { SPEC_KEY, "{" KEY_BASE ",\"labels\":{\"a\":{\"b\":{\"c\":1}}}}" },
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct spec *spec = NULL;

        if (parse(bad[i].text, bad[i].use, &spec) == 0)
            fail_msg("accepted: %s", bad[i].text);
        assert_null(spec);
    }
}

static void test_too_many(void **state)
{
    struct spec *spec = NULL;
    CLEANUP(buf_free) struct buf text = BUF_INIT(65536);

    buf_add_str(&text, "{" OAUTH_FLOW ",\"scopes\":[\"s\"");
    for (int i = 0; i < SPEC_SCOPES_MAX; i++)
        buf_add_str(&text, ",\"s\"");
    buf_add_str(&text, "]}");
    assert_int_not_equal(parse(buf_str(&text), SPEC_OAUTH, &spec), 0);
    buf_reset(&text);
    buf_add_str(&text, "{" KEY_BASE ",\"labels\":{\"a\":\"");
    for (int i = 0; i < SPEC_LABEL_MAX + 1; i++)
        buf_add_char(&text, 'x');
    buf_add_str(&text, "\"}}");
    assert_int_not_equal(parse(buf_str(&text), SPEC_KEY, &spec), 0);
}

static void test_redirect(void **state)
{
    static const char *const bad[] = { "", "http://127.0.0.1/oauth2/callback", "http://127.0.0.1:0/oauth2/callback",
        "http://127.0.0.1:65536/oauth2/callback", "http://127.0.0.1:99999999999999999999/oauth2/callback",
        "http://127.0.0.1:080/oauth2/callback", "http://127.0.0.1:+80/oauth2/callback", "http://127.0.0.1: 80/oauth2/callback",
        "http://127.0.0.1:80/oauth2/callback/", "http://127.0.0.1:80/oauth2/callback?x", "http://127.0.0.1:80/other",
        "http://localhost:80/oauth2/callback", "https://127.0.0.1:80/oauth2/callback",
        "http://127.0.0.1:80@evil.test/oauth2/callback" };

    assert_true(spec_redirect_is_valid("http://127.0.0.1:1/oauth2/callback"));
    assert_true(spec_redirect_is_valid("http://127.0.0.1:65535/oauth2/callback"));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (spec_redirect_is_valid(bad[i]))
            fail_msg("accepted: %s", bad[i]);
}

static void test_labels(void **state)
{
    CLEANUP_JSON json_t *labels = NULL;
    static const char *const bad[] = { "[]", "{\"a\":1}", "{\"a\":{}}", "{\"a\":\"b\"", "{\"\":\"b\"}",
        "{\"a\":\"b\",\"a\":\"c\"}" };

    assert_int_equal(spec_labels_parse("", 0, &labels, NULL), 0);
    assert_null(labels);
    assert_int_equal(spec_labels_parse("{\"Any\":\"text\"}", 14, &labels, NULL), 0);
    assert_string_equal(json_get_str(labels, "Any"), "text");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        json_t *none = NULL;

        assert_true(spec_labels_parse(bad[i], strlen(bad[i]), &none, NULL) < 0);
        assert_null(none);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oauth),
        cmocka_unit_test(test_key_and_rebind),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_redirect),
        cmocka_unit_test(test_labels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
