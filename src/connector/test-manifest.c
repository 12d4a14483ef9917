/*
 * Manifests: one with every key, the defaults of the smallest, then edits that
 * each break one rule of SPEC §3, with position and words.
 */
#include "connector/manifest.h"

#include "base/buf.h"
#include "base/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char full[] = "[connector]\n"                                                         /* 1 */
                           "name = \"github://acme/mail/sub\"\n"                                   /* 2 */
                           "version = \"1.2.3-rc.1\"\n"                                            /* 3 */
                           "publisher = \"Acme\"\n"                                                /* 4 */
                           "description = \"\"\"Reads\nmail\"\"\"\n"                               /* 5, 6 */
                           "provenance_hash = \"abc\"\n"                                           /* 7 */
                           "origin = \"https://acme.example\"\n"                                   /* 8 */
                           "[connector.idempotency]\n"                                             /* 9 */
                           "default = \"not_idempotent\"\n"                                        /* 10 */
                           "[capabilities.network]\n"                                              /* 11 */
                           "hosts = [\"api.acme.example:443\", \"127.0.0.1:8080\", \"[::1]:1\"]\n" /* 12 */
                           "[capabilities.credential]\n"                                           /* 13 */
                           "kind = \"oauth2\"\n"                                                   /* 14 */
                           "scope = \"read your mail\"\n"                                          /* 15 */
                           "[capabilities.credential.oauth2]\n"                                    /* 16 */
                           "authorize_url = \"https://acme.example/auth?x=1\"\n"                   /* 17 */
                           "token_url = \"http://localhost:9/token\"\n"                            /* 18 */
                           "client_id = \"id\"\n"                                                  /* 19 */
                           "scopes = [\"a\", \"b\"]\n"                                             /* 20 */
                           "client_secret = \"public\"\n"                                          /* 21 */
                           "revoke_url = \"https://acme.example/revoke\"\n"                        /* 22 */
                           "[capabilities.runtime]\n"                                              /* 23 */
                           "imports = [\"log\", \"http_request\", \"spawn\"]\n"                    /* 24 */
                           "[capabilities.limits]\n"                                               /* 25 */
                           "memory_mib = 1024\n"                                                   /* 26 */
                           "wall_time_s = 300\n"                                                   /* 27 */
                           "[capabilities.spawn]\n"                                                /* 28 */
                           "programs = [\"git\"]\n"                                                /* 29 */
                           "[provides]\n"                                                          /* 30 */
                           "intents = [\"read mail\"]\n";                                          /* 31 */

static struct manifest *parse_good(const char *text)
{
    struct manifest *manifest = NULL;
    struct err err = ERR_INIT;

    if (manifest_parse(text, strlen(text), "manifest.toml", &manifest, &err) < 0)
        fail_msg("%s | %s", err.message, err.hint);
    return manifest;
}

static void assert_json(const struct manifest *manifest, const char *expected)
{
    CLEANUP_JSON json_t *json = manifest_to_json(manifest);
    CLEANUP(buf_free) struct buf out = BUF_INIT(1 << 16);

    assert_int_equal(json_write(json, &out), 0);
    assert_string_equal(buf_str(&out), expected);
}

static void test_every_key(void **state)
{
    CLEANUP_PTR(manifest_free) struct manifest *m = parse_good(full);

    assert_string_equal(m->name, "github://acme/mail/sub");
    assert_string_equal(m->version, "1.2.3-rc.1");
    assert_false(m->idempotent);
    assert_int_equal(m->hosts_len, 3);
    assert_true(manifest_allows(m, "api.acme.example:443") && manifest_allows(m, "[::1]:1"));
    assert_false(manifest_allows(m, "api.acme.example:80") || manifest_allows(m, "acme.example:443") || manifest_allows(m, ""));
    assert_int_equal(m->credential, CREDENTIAL_OAUTH2);
    assert_string_equal(m->oauth2.client_secret, "public");
    assert_string_equal(m->credential_header, "Authorization");
    assert_int_equal(m->memory_mib, 1024);
    assert_int_equal(m->wall_time_s, 300);
    assert_true(m->has_imports && m->wants_spawn);
    assert_json(m,
        "{\"name\":\"github://acme/mail/sub\",\"version\":\"1.2.3-rc.1\",\"publisher\":\"Acme\",\"description\":\"Reads\\nmail\","
        "\"provenance_hash\":\"abc\",\"origin\":\"https://acme.example\",\"idempotency\":\"not_idempotent\","
        "\"hosts\":[\"api.acme.example:443\",\"127.0.0.1:8080\",\"[::1]:1\"],"
        "\"credential\":{\"kind\":\"oauth2\",\"scope\":\"read your "
        "mail\",\"oauth2\":{\"authorize_url\":\"https://acme.example/auth?x=1\","
        "\"token_url\":\"http://localhost:9/token\",\"revoke_url\":\"https://acme.example/"
        "revoke\",\"client_id\":\"id\",\"scopes\":[\"a\",\"b\"]}},"
        "\"imports\":[\"log\",\"http_request\",\"spawn\"],\"limits\":{\"memory_mib\":1024,\"wall_time_s\":300},"
        "\"spawn\":{\"programs\":[\"git\"]},\"intents\":[\"read mail\"]}");
}

static void test_defaults(void **state)
{
    CLEANUP_PTR(manifest_free) struct manifest *m = parse_good("[connector]\nname = \"local://x\"\nversion = \"v1.0.0\"\n");
    CLEANUP_PTR(manifest_free)
    struct manifest *none = parse_good("[connector]\nname = \"local://x\"\nversion = \"1.0.0\"\n"
                                       "[connector.idempotency]\n[capabilities.network]\nhosts = "
                                       "[]\n[capabilities.runtime]\nimports = []\n[capabilities.limits]\n[provides]\n");

    assert_string_equal(m->version, "1.0.0");
    assert_true(m->idempotent);
    assert_int_equal(m->credential, CREDENTIAL_NONE);
    assert_int_equal(m->memory_mib, 64);
    assert_int_equal(m->wall_time_s, 30);
    assert_false(m->has_imports || m->wants_spawn);
    assert_json(m, "{\"name\":\"local://x\",\"version\":\"1.0.0\",\"idempotency\":\"idempotent\",\"hosts\":[],"
                   "\"limits\":{\"memory_mib\":64,\"wall_time_s\":30},\"intents\":[]}");
    assert_true(none->idempotent && none->has_imports);
    assert_int_equal(none->imports_len, 0);
}

static void test_api_key(void **state)
{
#define API_KEY "[connector]\nname = \"local://x\"\nversion = \"1.0.0\"\n[capabilities.credential]\nkind = \"api_key\"\n"
    CLEANUP_PTR(manifest_free) struct manifest *plain = parse_good(API_KEY);
    CLEANUP_PTR(manifest_free) struct manifest *own = parse_good(API_KEY "header = \"X-Api-Key\"\nformat = \"k={key};\"\n");
    CLEANUP_PTR(manifest_free)
    struct manifest *basic = parse_good("[connector]\nname = \"local://x\"\nversion = \"1.0.0\"\n"
                                        "[capabilities.credential]\nkind = \"basic\"\n");

    assert_string_equal(plain->credential_header, "Authorization");
    assert_string_equal(plain->credential_format, "Bearer {key}");
    assert_string_equal(own->credential_header, "X-Api-Key");
    assert_string_equal(own->credential_format, "k={key};");
    assert_int_equal(basic->credential, CREDENTIAL_BASIC);
    assert_string_equal(credential_kind_name(basic->credential), "basic");
}

struct edit {
    const char *from, *to, *position, *words;
};

static void check_edits(const char *base, const struct edit *edits, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        CLEANUP(buf_free) struct buf text = BUF_INIT(1 << 18);
        const char *at = strstr(base, edits[i].from);
        struct manifest *manifest = NULL;
        struct err err = ERR_INIT;
        int r = 0;

        if (!at)
            fail_msg("the good manifest has no '%s'", edits[i].from);
        assert_int_equal(buf_add(&text, base, (size_t) (at - base)), 0);
        assert_int_equal(buf_add_str(&text, edits[i].to), 0);
        assert_int_equal(buf_add_str(&text, at + strlen(edits[i].from)), 0);
        r = manifest_parse(buf_str(&text), text.len, "m", &manifest, &err);
        if (r != -EINVAL || strncmp(err.message, edits[i].position, strlen(edits[i].position)) != 0 ||
            !strstr(err.message, edits[i].words))
            fail_msg("'%s' -> '%s': %d, %s | %s", edits[i].from, edits[i].to, r, err.message, err.hint);
        assert_null(manifest);
    }
}

static void test_rules(void **state)
{
    static const struct edit edits[] = {
        { "[connector]\n", "[connectr]\n", "m:1:", "unknown key 'connectr'" },
        { "name = \"github://acme/mail/sub\"\n", "", "m:", "'name'" },
        { "github://acme/mail/sub", "acme", "m:2:", "'name': a name starts with" },
        { "github://acme/mail/sub", "github://acme/mail@1.0.0", "m:2:", "'name': each part" },
        { "1.2.3-rc.1", "1.2", "m:3:", "'version' is not a SemVer" },
        { "publisher = \"Acme\"", "publisher = 1", "m:4:", "'publisher'" },
        { "publisher = \"Acme\"", "publisher = \"\\u001b]0;x\"", "m:4:", "control character" },
        { "publisher = \"Acme\"", "author = \"Acme\"", "m:4:", "unknown key 'author'" },
        { "publisher = \"Acme\"", "forwarder = true", "m:4:", "'forwarder' is not supported" },
        { "\"not_idempotent\"", "\"no\"", "m:10:", "'default' must be" },
        { "default = ", "defualt = ", "m:10:", "unknown key" },
        { "api.acme.example:443", "api.acme.example", "m:12:", "host:port" },
        { "api.acme.example:443", "*.acme.example:443", "m:12:", "no wildcard" },
        { "api.acme.example:443", "API.acme.example:443", "m:12:", "lower case: \"api.acme.example:443\"" },
        { "api.acme.example:443", "https://api.acme.example:443", "m:12:", "not a URL" },
        { "api.acme.example:443", "api.acme.example:0", "m:12:", "host:port" },
        { "api.acme.example:443", "api.acme.example:65536", "m:12:", "host:port" },
        { "api.acme.example:443", "api.acme.example:0443", "m:12:", "host:port" },
        { "api.acme.example:443", "api.acme.example:443 ", "m:12:", "host:port" },
        { "api.acme.example:443", "user@api.acme.example:443", "m:12:", "host:port" },
        { "api.acme.example:443", "127.1:443", "m:12:", "host:port" },
        { "api.acme.example:443", "0x7f000001:443", "m:12:", "host:port" },
        { "api.acme.example:443", "127.0.0.1:8080", "m:12:", "twice" },
        { "hosts = [", "host = [", "m:12:", "unknown key 'host'" },
        { "kind = \"oauth2\"", "kind = \"oauth\"", "m:14:", "'kind' must be" },
        { "kind = \"oauth2\"", "kind = \"api_key\"", "m:16:", "is for credentials of kind oauth2" },
        { "kind = \"oauth2\"\n", "", "m:", "'kind'" },
        { "scope = \"read your mail\"", "header = \"X-Key\"", "m:15:", "'header' is for credentials of kind api_key" },
        { "scope = \"read your mail\"", "format = \"{key}\"", "m:15:", "'format' is for credentials of kind api_key" },
        { "https://acme.example/auth", "http://acme.example/auth", "m:17:", "must start with https://" },
        { "https://acme.example/auth", "ftp://acme.example/auth", "m:17:", "'authorize_url' is not a URL" },
        { "https://acme.example/auth", "https://u:p@acme.example/auth", "m:17:", "user name" },
        { "http://localhost:9/token", "http://localhost.acme.example/token", "m:18:", "must start with https://" },
        { "http://localhost:9/token", "http://[::1]/token", "m:18:", "must start with https://" },
        { "http://localhost:9/token", "http://127.0.0.2/token", "m:18:", "must start with https://" },
        { "https://acme.example/revoke", "javascript:x", "m:22:", "'revoke_url'" },
        { "token_url = \"http://localhost:9/token\"\n", "", "m:", "'token_url'" },
        { "client_id = \"id\"", "client_id = \"\"", "m:19:", "'client_id' is empty" },
        { "client_id = \"id\"\n", "", "m:", "'client_id'" },
        { "scopes = [\"a\", \"b\"]", "scopes = \"a\"", "m:20:", "'scopes'" },
        { "scopes = [\"a\", \"b\"]\n", "", "m:", "'scopes'" },
        { "client_secret = ", "secret = ", "m:21:", "unknown key 'secret'" },
        { "\"http_request\"", "\"http_get\"", "m:24:", "no host function \"http_get\"" },
        { "\"http_request\"", "\"fd_write\"", "m:24:", "no host function" },
        { "\"http_request\"", "\"log\"", "m:24:", "twice" },
        { "memory_mib = 1024", "memory_mib = 1025", "m:26:", "from 1 to 1024" },
        { "memory_mib = 1024", "memory_mib = 0", "m:26:", "from 1 to 1024" },
        { "memory_mib = 1024", "memory_mib = 64.0", "m:26:", "'memory_mib'" },
        { "wall_time_s = 300", "wall_time_s = 301", "m:27:", "from 1 to 300" },
        { "wall_time_s = 300", "wall_time_s = -1", "m:27:", "from 1 to 300" },
        { "wall_time_s = 300", "cpu_s = 3", "m:27:", "unknown key 'cpu_s'" },
        { "[capabilities.spawn]\nprograms = [\"git\"]\n", "", "m:24:", "needs [capabilities.spawn]" },
        { "[capabilities.spawn]\n", "[capabilities.files]\n", "m:28:", "unknown key 'files'" },
        { "intents = [\"read mail\"]", "intents = [1]", "m:31:", "list of texts" },
        { "intents = [", "intent = [", "m:31:", "unknown key 'intent'" },
        { "[provides]", "[provides", "m:30:", "" },
        { "[connector]\n", "schema = 1\n[connector]\n", "m:1:", "unknown key 'schema'" },
    };

    check_edits(full, edits, ARRAY_LEN(edits));
}

static void test_rules_of_keys(void **state)
{
    static const char key[] = API_KEY "header = \"X-Api-Key\"\nformat = \"k={key}\"\n";
    static const struct edit edits[] = {
        { "X-Api-Key", "X Api", "m:6:", "not the name of an HTTP header" },
        { "X-Api-Key", "X:y", "m:6:", "not the name of an HTTP header" },
        { "X-Api-Key", "", "m:6:", "not the name of an HTTP header" },
        { "X-Api-Key", "X\\r\\nHost", "m:6:", "not the name of an HTTP header" },
        { "X-Api-Key", "X\\u00e9", "m:6:", "not the name of an HTTP header" },
        { "X-Api-Key", "Host", "m:6:", "belongs to the connection" },
        { "X-Api-Key", "content-length", "m:6:", "belongs to the connection" },
        { "X-Api-Key", "Proxy-Authorization", "m:6:", "belongs to the connection" },
        { "X-Api-Key", "Cookie", "m:6:", "belongs to the connection" },
        { "k={key}", "k", "m:7:", "must contain {key}" },
        { "k={key}", "{key}{key}", "m:7:", "must contain {key} once" },
        { "k={key}", "k={key}\\r\\nX: y", "m:7:", "without line breaks" },
        { "k={key}", "k={key}\\n", "m:7:", "without line breaks" },
        { "k={key}", "k=\\u00e9{key}", "m:7:", "printable ASCII" },
        { "kind = \"api_key\"", "kind = \"oauth2\"", "m:6:", "is for credentials of kind api_key" },
        { "kind = \"api_key\"\nheader = \"X-Api-Key\"\nformat = \"k={key}\"\n", "kind = \"oauth2\"\n",
            "m:", "needs [capabilities.credential.oauth2]" },
    };

    check_edits(key, edits, ARRAY_LEN(edits));
}

static void test_sizes(void **state)
{
    CLEANUP(buf_free) struct buf many = BUF_INIT(1 << 17);
    CLEANUP_FREE char *large = malloc(70000);
    struct manifest *manifest = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(buf_add_str(&many, "[connector]\nname = \"local://x\"\nversion = \"1.0.0\"\n[provides]\nintents = ["), 0);
    for (int i = 0; i < 300; i++)
        assert_int_equal(buf_printf(&many, "\"%d\",", i), 0);
    assert_int_equal(buf_add_str(&many, "]\n"), 0);
    assert_int_equal(manifest_parse(buf_str(&many), many.len, "m", &manifest, &err), -EINVAL);
    assert_non_null(strstr(err.message, "at most 256"));
    memset(large, '\n', 70000);
    assert_int_equal(manifest_parse(large, 70000, "m", &manifest, &err), -E2BIG);
    assert_int_equal(manifest_parse("", 0, "m", &manifest, &err), -EINVAL);
    assert_int_equal(manifest_parse("\0", 1, "m", &manifest, &err), -EINVAL);
    assert_null(manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_api_key),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_rules_of_keys),
        cmocka_unit_test(test_sizes),
    };

    return cmocka_run_group_tests_name("connector/manifest", tests, NULL, NULL);
}
