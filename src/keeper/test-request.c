/*
 * Tests of reading and judging a request: frames with too little or too much, and a
 * broker that lies about origin, connector, binding or headers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "keeper/request.h"
#include "keeper/test-vault-make.h"

#include "base/banned.h"

#define GRANT_OF_GOOGLE                                                                                                          \
    "{\"connector_fqn\":\"local://google\",\"origins\":[\"https://a.example\",\"http://"                                         \
    "localhost:8080\"],\"token_url\":\"https://t.example/\"}"

static struct vault *vault;

/* A good request; each test spoils one thing. */
struct ask {
    const char *connector, *binding, *method, *url, *headers, *body, *hosts;
    uint8_t has_body, read_only;
};
#define ASK                                                                                                                      \
    (struct ask)                                                                                                                 \
    {                                                                                                                            \
        "local://google", "oauth2/google/me", "GET", "https://a.example/x", "", "",                                              \
            "a.example:443\nb.example:443\nlocalhost:8080", 0, 0                                                                 \
    }

static void frame_make(const struct ask *ask, struct wire_frame *frame)
{
    wire_init(frame, KEEPER_HTTP, 7);
    wire_put_str(frame, ask->connector);
    wire_put_str(frame, ask->binding);
    wire_put_str(frame, ask->method);
    wire_put_str(frame, ask->url);
    wire_put_str(frame, ask->headers);
    wire_put_blob(frame, ask->body, strlen(ask->body));
    wire_put_u8(frame, ask->has_body);
    wire_put_str(frame, ask->hosts);
    wire_put_u32(frame, 5000);
    wire_put_u8(frame, ask->read_only);
}

static int ask_read(const struct ask *ask, struct request **ret_request)
{
    struct wire_frame frame;
    int r = 0;

    frame_make(ask, &frame);
    r = request_read(&frame, ret_request);
    wire_free(&frame);
    return r;
}

static enum keeper_http_outcome judge(struct ask ask)
{
    CLEANUP_PTR(request_free) struct request *request = NULL;
    struct err err = ERR_INIT;
    enum keeper_http_outcome outcome = KEEPER_HTTP_NETWORK;

    assert_int_equal(ask_read(&ask, &request), 0);
    outcome = request_check(request, vault, &err);
    assert_null(request->credential.line); /* not before it leaves */
    if (outcome == KEEPER_HTTP_DONE) {
        assert_int_equal(request_credential(request, vault, &err), KEEPER_HTTP_DONE);
        assert_true(ask.binding[0] == '\0' || request->credential.line);
    } else {
        assert_true(err.message[0] != '\0');
    }
    return outcome;
}

static void test_frames(void **state)
{
    struct request *request = NULL;
    struct wire_frame whole, frame;
    struct ask ask = ASK;

    frame_make(&ask, &whole);
    for (size_t len = 0; len <= whole.body.len + 1; len++) {
        wire_init(&frame, KEEPER_HTTP, 7);
        assert_int_equal(buf_add(&frame.body, whole.body.data, len < whole.body.len ? len : whole.body.len), 0);
        if (len > whole.body.len)
            wire_put_u8(&frame, 0);
        assert_int_equal(request_read(&frame, &request), len == whole.body.len ? 0 : -71);
        if (len == whole.body.len)
            request_free(TAKE_PTR(request));
        wire_free(&frame);
    }
    wire_free(&whole);
    ask.read_only = 2;
    assert_int_equal(ask_read(&ask, &request), -71);
    ask = ASK;
    ask.has_body = 2;
    assert_int_equal(ask_read(&ask, &request), -71);
    ask.has_body = 0;
    ask.body = "x";
    assert_int_equal(ask_read(&ask, &request), -71);
    ask = ASK;
    ask.connector = "";
    assert_int_equal(ask_read(&ask, &request), -71);
    ask = ASK;
    ask.method = "ABCDEFGHIJKLMNOPQ";
    assert_int_equal(ask_read(&ask, &request), -71);
    assert_null(request);
}

static void test_honest(void **state)
{
    CLEANUP_PTR(request_free) struct request *request = NULL;
    struct ask ask = ASK;

    ask.method = "POST";
    ask.has_body = 1;
    ask.body = "{}";
    ask.headers = "Content-Type: application/json\n";
    assert_int_equal(ask_read(&ask, &request), 0);
    assert_int_equal(request_check(request, vault, NULL), KEEPER_HTTP_DONE);
    assert_int_equal(request_credential(request, vault, NULL), KEEPER_HTTP_DONE);
    assert_string_equal((const char *) secret_bytes(request->credential.line), "Authorization: Bearer token-one");
    assert_int_equal(request->credential.tainted_len, 1);
    assert_memory_equal(secret_bytes(request->credential.tainted[0]), "token-one", 9);
    assert_int_equal(request->headers.len, 1);
    assert_int_equal(request->body_len, 2);
    assert_int_equal(request->id, 7);
}

struct lie {
    const char *what;
    struct ask ask;
    enum keeper_http_outcome outcome;
};

static void test_lies(void **state)
{
    const struct lie lies[] = {
        { "an origin outside the grant", { .url = "https://b.example/" }, KEEPER_HTTP_DENIED },
        { "another port", { .url = "https://a.example:8443/", .hosts = "a.example:8443" }, KEEPER_HTTP_DENIED },
        { "plain http", { .url = "http://a.example:443/" }, KEEPER_HTTP_DENIED },
        { "plain http without credential", { .url = "http://a.example:443/", .binding = "" }, KEEPER_HTTP_DENIED },
        { "https where http was granted", { .url = "https://localhost:8080/" }, KEEPER_HTTP_DENIED },
        { "127.0.0.1 where localhost was granted", { .url = "http://127.0.0.1:8080/", .hosts = "127.0.0.1:8080" },
            KEEPER_HTTP_DENIED },
        { "a host outside the manifest", { .url = "https://c.example/", .binding = "" }, KEEPER_HTTP_DENIED },
        { "another connector", { .connector = "local://evil" }, KEEPER_HTTP_BINDING_REQUIRED },
        { "a connector in another case", { .connector = "local://Google" }, KEEPER_HTTP_BINDING_REQUIRED },
        { "another connector's binding", { .binding = "api_key/x/me" }, KEEPER_HTTP_BINDING_REQUIRED },
        { "no such binding", { .binding = "oauth2/google/you" }, KEEPER_HTTP_BINDING_REQUIRED },
        { "a binding of another form", { .binding = "../oauth2/google/me" }, KEEPER_HTTP_BINDING_REQUIRED },
        { "userinfo", { .url = "https://a.example@b.example/" }, KEEPER_HTTP_MALFORMED },
        { "userinfo before the granted host", { .url = "https://u:p@a.example/" }, KEEPER_HTTP_MALFORMED },
        { "backslash", { .url = "https://b.example\\@a.example/" }, KEEPER_HTTP_MALFORMED },
        { "CR LF in the URL", { .url = "https://a.example/\r\nX: y" }, KEEPER_HTTP_MALFORMED },
        { "CR LF in a header", { .headers = "X: a\r\n" }, KEEPER_HTTP_MALFORMED },
        { "the credential's own header", { .headers = "authorization: x\n" }, KEEPER_HTTP_DENIED },
        { "Host", { .headers = "Host: b.example\n" }, KEEPER_HTTP_DENIED },
        { "a method", { .method = "TRACE" }, KEEPER_HTTP_MALFORMED },
        { "POST in a read-only step", { .method = "POST", .read_only = 1 }, KEEPER_HTTP_DENIED },
        { "HEAD with a body", { .method = "HEAD", .has_body = 1 }, KEEPER_HTTP_MALFORMED },
        { "an override in a read-only step", { .headers = "X-HTTP-Method-Override: DELETE\n", .read_only = 1 },
            KEEPER_HTTP_DENIED },
    };

    assert_int_equal(judge(ASK), KEEPER_HTTP_DONE);
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        const struct ask *lie = &lies[i].ask;
        struct ask ask = ASK;

        ask.connector = lie->connector ? lie->connector : ask.connector;
        ask.binding = lie->binding ? lie->binding : ask.binding;
        ask.method = lie->method ? lie->method : ask.method;
        ask.url = lie->url ? lie->url : ask.url;
        ask.headers = lie->headers ? lie->headers : ask.headers;
        ask.hosts = lie->hosts ? lie->hosts : ask.hosts;
        ask.has_body = lie->has_body;
        ask.read_only = lie->read_only;
        if (judge(ask) != lies[i].outcome)
            fail_msg("%s: outcome %d, not %d", lies[i].what, judge(ask), lies[i].outcome);
    }
}

static void test_redirects(void **state)
{
    static const char *const off[] = { "https://b.example/", "http://a.example/", "https://a.example:444/",
        "https://u@a.example/", "file:///etc/passwd", "/relative", "", "https://a.example.:443/",
        "https://a.example\\@b.example/" };
    CLEANUP_PTR(request_free) struct request *request = NULL;
    struct ask ask = ASK;

    assert_int_equal(ask_read(&ask, &request), 0);
    assert_int_equal(request_check(request, vault, NULL), KEEPER_HTTP_DONE);
    for (size_t i = 0; i < ARRAY_LEN(off); i++)
        assert_int_equal(request_redirect(request, off[i], NULL), KEEPER_HTTP_REDIRECT_REFUSED);
    assert_string_equal(request->url_text, "https://a.example/x");
    assert_int_equal(request_redirect(request, "https://A.example:443/y?z", NULL), KEEPER_HTTP_DONE);
    assert_int_equal(request->url.target_len, 4);
    assert_memory_equal(request->url.target, "/y?z", 4);
    request_free(TAKE_PTR(request));
    ask.method = "POST";
    assert_int_equal(ask_read(&ask, &request), 0);
    assert_int_equal(request_check(request, vault, NULL), KEEPER_HTTP_DONE);
    assert_int_equal(request_redirect(request, "https://a.example/y", NULL), KEEPER_HTTP_REDIRECT_REFUSED);
}

/* Between the moment when a request came and the one when it leaves, another grant may have been given. */
static void test_grant_changes(void **state)
{
    CLEANUP_PTR(request_free) struct request *request = NULL;
    struct ask ask = ASK;

    ask.headers = "X-Other: mine\n";
    assert_int_equal(ask_read(&ask, &request), 0);
    assert_int_equal(request_check(request, vault, NULL), KEEPER_HTTP_DONE);
    test_vault_bind(vault, "oauth2/google/me",
        "{\"connector_fqn\":\"local://google\",\"origins\":[\"https://b.example\"],\"token_url\":\"https://t.example/\"}",
        "token-two");
    assert_int_equal(request_credential(request, vault, NULL), KEEPER_HTTP_DENIED);
    assert_null(request->credential.line);
    test_vault_bind(vault, "oauth2/google/me",
        "{\"connector_fqn\":\"local://other\",\"origins\":[\"https://a.example\"],\"token_url\":\"https://t.example/\"}",
        "token-two");
    assert_int_equal(request_credential(request, vault, NULL), KEEPER_HTTP_BINDING_REQUIRED);
    request_free(TAKE_PTR(request));
    ask.connector = "local://x";
    ask.binding = "api_key/x/me";
    assert_int_equal(ask_read(&ask, &request), 0);
    assert_int_equal(request_check(request, vault, NULL), KEEPER_HTTP_DONE);
    test_vault_bind(vault, "api_key/x/me",
        "{\"connector_fqn\":\"local://x\",\"header\":\"X-Other\",\"format\":\"{key}\",\"origins\":[\"https://a.example\"]}",
        "key-number-two");
    assert_int_equal(request_credential(request, vault, NULL), KEEPER_HTTP_DENIED);
    test_vault_bind(vault, "oauth2/google/me", GRANT_OF_GOOGLE, "token-one");
}

static void test_forms(void **state)
{
    static const char *const bad[] = { "http://a.example/token", "https://u@a.example/", "", "https://a.example/\r\nX: y" };
    CLEANUP_PTR(secret_free) struct secret *form = NULL;
    struct request *request = NULL;

    assert_int_equal(secret_from("a=b", 3, &form), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(request_form(bad[i], "pool", form, &request, NULL), -22);
    assert_int_equal(request_form("http://127.0.0.1:9/token", "pool", form, &request, NULL), 0);
    assert_string_equal(request->method, "POST");
    assert_string_equal(request->connector_fqn, ""); /* no connector's, so no connection is shared with one */
    assert_int_equal(request_credential(request, vault, NULL), KEEPER_HTTP_DONE);
    assert_null(request->credential.line);
    request_free(request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames),
        cmocka_unit_test(test_honest),
        cmocka_unit_test(test_lies),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_grant_changes),
        cmocka_unit_test(test_forms),
    };
    int failed = 0;

    vault = test_vault_make();
    test_vault_bind(vault, "oauth2/google/me", GRANT_OF_GOOGLE, "token-one");
    test_vault_bind(vault, "api_key/x/me",
        "{\"connector_fqn\":\"local://x\",\"header\":\"X-Key\",\"format\":\"{key}\",\"origins\":[\"https://a.example\"]}",
        "key-number-two");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    vault_free(vault);
    return failed;
}
