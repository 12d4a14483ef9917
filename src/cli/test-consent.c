/* The consent names every host, warns about strange ones, marks new ones, and is what the spec says. */
#include "cli/consent.h"
#include "cli/domain.h"
#include "cli/term.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define OAUTH2                                                                                                                   \
    "\"credential\":{\"kind\":\"oauth2\",\"scope\":\"Read your mail\",\"oauth2\":{\"authorize_url\":"                            \
    "\"https://accounts.google.com/o/oauth2/v2/auth\",\"token_url\":\"https://oauth2.googleapis.com/token\",\"revoke_url\":"     \
    "\"https://oauth2.googleapis.com/"                                                                                           \
    "revoke\",\"client_id\":\"1234.apps\",\"client_secret\":\"public\",\"scopes\":[\"mail.read\",\"mail.send\"]}}"
#define KEY "\"credential\":{\"kind\":\"api_key\",\"header\":\"X-Api-Key\",\"format\":\"k={key}\"}"

static json_t *connector(const char *hosts, const char *credential)
{
    CLEANUP_FREE char *text = NULL;
    json_t *json;

    assert_true(
        asprintf(&text, "{\"fqn\":\"github://acme/mail\",\"version\":\"1.2.3\",\"hosts\":[%s],%s}", hosts, credential) > 0);
    json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static char *shown(const struct consent *consent)
{
    char *text = NULL;
    size_t len = 0;
    FILE *file = open_memstream(&text, &len);

    consent_print(file, consent);
    fclose(file);
    return text;
}

static void test_every_host_is_named(void **state)
{
    CLEANUP_JSON json_t *json = connector("\"gmail.googleapis.com:443\",\"www.googleapis.com:443\"", OAUTH2);
    CLEANUP_FREE char *text = shown(&(struct consent){ .connector = json, .binding = "oauth2/mail/me" });

    assert_non_null(strstr(text, "github://acme/mail"));
    assert_non_null(strstr(text, "1.2.3"));
    assert_non_null(strstr(text, "oauth2/mail/me"));
    assert_non_null(strstr(text, "Read your mail"));
    assert_non_null(strstr(text, "mail.send"));
    assert_non_null(strstr(text, "The token will be sent to:\n    gmail.googleapis.com:443  under googleapis.com"));
    assert_non_null(strstr(text, "accounts.google.com"));
    assert_non_null(strstr(text, "oauth2.googleapis.com"));
    assert_non_null(strstr(text, "\n    www.googleapis.com:443  under googleapis.com"));
    assert_null(strstr(text, "WARNING"));
    assert_null(strstr(text, "NOT OF THE PROVIDER"));
}

static void test_a_strange_host_is_shouted(void **state)
{
    static const char *const STRANGE[] = { "googleapis.com.evil.test:443", "evil-googleapis.com:443", "googleapis.co.uk:443",
        "192.0.2.1:443", "127.0.0.1:8080", "[2001:db8::1]:443", "com:443" };

    for (size_t i = 0; i < ARRAY_LEN(STRANGE); i++) {
        CLEANUP_FREE char *hosts = NULL;
        CLEANUP_FREE char *text = NULL;
        CLEANUP_JSON json_t *json = NULL;

        assert_true(asprintf(&hosts, "\"www.googleapis.com:443\",\"%s\"", STRANGE[i]) > 0);
        json = connector(hosts, OAUTH2);
        text = shown(&(struct consent){ .connector = json, .binding = "oauth2/mail/me" });
        assert_non_null(strstr(text, "NOT OF THE PROVIDER'S DOMAIN"));
        assert_non_null(strstr(text, "WARNING"));
        assert_null(strstr(text, "www.googleapis.com:443 does not belong"));
    }
}

/* A manifest whose author takes the code of a sign-in at somebody else's provider: every host is near to its token URL. */
static void test_a_token_url_of_somebody_else_is_shouted(void **state)
{
    static const struct {
        const char *authorize, *token, *revoke;
        const char *said; /* NULL: nothing */
    } CASES[] = {
        { "https://accounts.google.com/auth", "https://evil.test/token", NULL, "you sign in at accounts.google.com, but" },
        { "https://accounts.google.com/auth", "https://googleapis.com.evil.test/token", NULL, "you sign in at" },
        { "https://a.github.io/auth", "https://b.github.io/token", NULL, "you sign in at" },
        { "https://googleapis.com/auth", "https://google.com/token", NULL, "you sign in at" },
        { "https://login.evil.test/auth", "https://evil.test/token", "https://other.test/revoke", "on revoking" },
        { "https://login.evil.test/auth", "https://evil.test/token", "https://evil.test/revoke", NULL },
        { "https://accounts.google.com/auth", "https://oauth2.googleapis.com/token", "https://oauth2.googleapis.com/revoke",
            NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(CASES); i++) {
        CLEANUP_JSON json_t *json = connector("\"evil.test:443\"", OAUTH2);
        json_t *oauth2 = json_object_get(json_object_get(json, "credential"), "oauth2");
        CLEANUP_FREE char *text = NULL;

        json_object_set_new(oauth2, "authorize_url", json_string(CASES[i].authorize));
        json_object_set_new(oauth2, "token_url", json_string(CASES[i].token));
        json_object_del(oauth2, "revoke_url");
        if (CASES[i].revoke)
            json_object_set_new(oauth2, "revoke_url", json_string(CASES[i].revoke));
        text = shown(&(struct consent){ .connector = json, .binding = "oauth2/mail/me" });
        if (CASES[i].said)
            assert_non_null(strstr(text, CASES[i].said));
        assert_int_equal(strstr(text, "you sign in at") || strstr(text, "on revoking"), CASES[i].said != NULL);
    }
}

static void test_registrable_domains(void **state)
{
    assert_int_equal(domain_compare("a.example.com", "b.example.com"), DOMAIN_SAME);
    assert_int_equal(domain_compare("example.com", "x.y.example.com"), DOMAIN_SAME);
    assert_int_equal(domain_compare("a.co.uk", "b.co.uk"), DOMAIN_OTHER);
    assert_int_equal(domain_compare("a.github.io", "b.github.io"), DOMAIN_SHARED);
    assert_int_equal(domain_compare("gmail.googleapis.com", "oauth2.googleapis.com"), DOMAIN_SHARED);
    assert_int_equal(domain_compare("x.a.github.io", "a.github.io"), DOMAIN_SAME);
    assert_string_equal(domain_registered("x.a.github.io"), "github.io");
    assert_null(domain_registered("com"));
    assert_null(domain_registered("127.0.0.1"));
    assert_int_equal(domain_compare("co.uk", "a.co.uk"), DOMAIN_OTHER);
    assert_int_equal(domain_compare("127.0.0.1", "127.0.0.1"), DOMAIN_SAME);
    assert_int_equal(domain_compare("127.0.0.1", "1.0.0.1"), DOMAIN_OTHER);
    assert_int_equal(domain_compare("localhost", "127.0.0.1"), DOMAIN_OTHER);
    assert_int_equal(domain_compare("example.com", "example.org"), DOMAIN_OTHER);
}

static void test_without_a_list_it_says_so(void **state)
{
    CLEANUP_JSON json_t *json = connector("\"www.googleapis.com:443\"", OAUTH2);
    CLEANUP_FREE char *text = NULL;

    domain_forget_list(1);
    text = shown(&(struct consent){ .connector = json, .binding = "oauth2/mail/me" });
    domain_forget_list(0);
    assert_non_null(strstr(text, "no public suffix list"));
    assert_null(strstr(text, "NOT OF THE PROVIDER"));
}

static void test_a_key(void **state)
{
    CLEANUP_JSON json_t *json = connector("\"api.acme.test:443\"", KEY);
    CLEANUP_FREE char *text = shown(&(struct consent){ .connector = json, .binding = "api_key/mail/me" });

    assert_non_null(strstr(text, "X-Api-Key: k={key}"));
    assert_non_null(strstr(text, "The key will be sent to:\n    api.acme.test:443\n"));
    assert_null(strstr(text, "WARNING"));
}

static void test_new_hosts_and_replacement(void **state)
{
    CLEANUP_JSON json_t *json = connector("\"www.googleapis.com:443\",\"gmail.googleapis.com:443\"", OAUTH2);
    CLEANUP_JSON json_t *before = json_pack("[s]", "https://www.googleapis.com:443");
    CLEANUP_FREE char *text =
        shown(&(struct consent){ .connector = json, .binding = "oauth2/mail/me", .before = before, .replaces = true });

    assert_non_null(strstr(text, "gmail.googleapis.com:443  NEW"));
    assert_null(strstr(text, "www.googleapis.com:443  NEW"));
    assert_non_null(strstr(text, "is replaced"));
}

/* Whatever stands in a manifest, no terminal obeys it and no line is made up. */
static void test_foreign_text_is_cleaned(void **state)
{
    CLEANUP_JSON json_t *json = connector("\"www.googleapis.com:443\"", OAUTH2);
    CLEANUP_FREE char *text = NULL;

    json_object_set_new(
        json_object_get(json, "credential"), "scope", json_string("fine\nAllow? [y/N]: y\r\x1b[2Jgone \xe2\x80\xae"));
    text = shown(&(struct consent){ .connector = json, .binding = "oauth2/mail/me" });
    assert_null(strchr(text, '\x1b'));
    assert_null(strchr(text, '\r'));
    assert_null(strstr(text, "\nAllow?"));
    assert_null(strstr(text, "\xe2\x80\xae"));
}

static void test_placeholders(void **state)
{
    static const char *const YES[] = { "", "@@client_id@@", "<client id>", "PLACEHOLDER", "your-client-id", "YOUR_ID", "changeme",
        "replace-me", "example.apps.googleusercontent.com", "xxxxXXXX", "unconfigured" };
    static const char *const NO[] = { "1234-abc.apps.googleusercontent.com", "Iv1.0123456789abcdef", "yours", "xxx" };

    assert_true(consent_is_placeholder(NULL));
    for (size_t i = 0; i < ARRAY_LEN(YES); i++)
        assert_true(consent_is_placeholder(YES[i]));
    for (size_t i = 0; i < ARRAY_LEN(NO); i++)
        assert_false(consent_is_placeholder(NO[i]));
}

static void assert_origins(const json_t *spec, const char *const *expected, size_t len)
{
    const json_t *origins = json_object_get(spec, "origins");

    assert_int_equal(json_array_size(origins), len);
    for (size_t i = 0; i < len; i++)
        assert_string_equal(json_string_value(json_array_get(origins, i)), expected[i]);
}

static void test_spec_is_what_was_shown(void **state)
{
    static const char *const ORIGINS[] = { "https://a.test:443", "https://127.0.0.1:8080", "http://127.0.0.1:8080" };
    CLEANUP_JSON json_t *oauth2 = connector("\"a.test:443\",\"127.0.0.1:8080\"", OAUTH2);
    CLEANUP_JSON json_t *key = connector("\"a.test:443\"", KEY);
    CLEANUP_JSON json_t *spec = NULL;
    CLEANUP_JSON json_t *key_spec = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(consent_spec(&(struct consent){ .connector = oauth2, .binding = "oauth2/mail/me" }, &spec, &err), 0);
    assert_origins(spec, ORIGINS, 3);
    assert_string_equal(json_get_str(spec, "token_url"), "https://oauth2.googleapis.com/token");
    assert_string_equal(json_get_str(spec, "connector_fqn"), "github://acme/mail");
    assert_int_equal(json_array_size(json_object_get(spec, "scopes")), 2);
    assert_null(json_object_get(spec, "header"));
    assert_null(json_object_get(spec, "client_secret"));
    assert_int_equal(consent_spec(&(struct consent){ .connector = key, .binding = "api_key/mail/me" }, &key_spec, &err), 0);
    assert_origins(key_spec, ORIGINS, 1);
    assert_string_equal(json_get_str(key_spec, "header"), "X-Api-Key");
    assert_string_equal(json_get_str(key_spec, "format"), "k={key}");
    assert_null(json_object_get(key_spec, "token_url"));
}

static void test_a_spec_needs_hosts(void **state)
{
    CLEANUP_JSON json_t *none = connector("", KEY);
    CLEANUP_JSON json_t *bad = connector("\"no port\"", KEY);
    json_t *spec = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(consent_spec(&(struct consent){ .connector = none, .binding = "api_key/mail/me" }, &spec, &err), -EINVAL);
    assert_int_equal(consent_spec(&(struct consent){ .connector = bad, .binding = "api_key/mail/me" }, &spec, &err), -EINVAL);
    assert_null(spec);
}

static void assert_name(const char *fqn, const char *as, const char *expected)
{
    CLEANUP_FREE char *name = NULL;
    struct err err = ERR_INIT;
    int r = consent_binding_name(fqn, "oauth2", as, &name, &err);

    if (expected)
        assert_string_equal(name ? name : "", expected);
    else
        assert_int_equal(r, -EINVAL);
}

static void test_names(void **state)
{
    assert_name("local://google", NULL, "oauth2/google/me");
    assert_name("github://Owner/Repo/Sub.Path", "work", "oauth2/sub.path/work");
    assert_name("github://o/_x@y", NULL, "oauth2/x-y/me");
    assert_name("local://google", "oauth2/mail/work", "oauth2/mail/work");
    assert_name("local://google", "api_key/mail/work", NULL);
    assert_name("local://google", "oauth2/mail", NULL);
    assert_name("local://google", "oauth2/mail/a/b", NULL);
    assert_name("local://google", "oauth2//work", NULL);
    assert_name("local://google", "Work", NULL);
    assert_name("local://google", "", NULL);
    assert_name("local://google", "-x", NULL);
    assert_name("local://__", NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_host_is_named),
        cmocka_unit_test(test_a_strange_host_is_shouted),
        cmocka_unit_test(test_a_token_url_of_somebody_else_is_shouted),
        cmocka_unit_test(test_registrable_domains),
        cmocka_unit_test(test_without_a_list_it_says_so),
        cmocka_unit_test(test_a_key),
        cmocka_unit_test(test_new_hosts_and_replacement),
        cmocka_unit_test(test_foreign_text_is_cleaned),
        cmocka_unit_test(test_placeholders),
        cmocka_unit_test(test_spec_is_what_was_shown),
        cmocka_unit_test(test_a_spec_needs_hosts),
        cmocka_unit_test(test_names),
    };

    term_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
