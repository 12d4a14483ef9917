/*
 * Tests of OAuth's flows, refreshes and revocations, and of requests whose token is refreshed, on the real loop and http
 * against a provider on loopback. Vault and receipts are stand-ins of this file that can fail and that log, in order, what they
 * were asked for, so that "recorded before", "on disk before" and "nothing was done" are facts.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#include "base/encode.h"
#include "base/json.h"
#include "keeper/http.h"
#include "keeper/memory.h"
#include "keeper/oauth-url.h"
#include "keeper/oauth.h"
#include "keeper/receipts.h"
#include "keeper/token.h"

#include "base/banned.h"

#define FQN      "local://google"
#define BINDING  "oauth2/google/me"
#define GUARD_MS 15000

/* ---- the provider: one thread, one request a connection ---- */

#define REQUEST_MAX 65536

static struct {
    pthread_mutex_t lock;
    int listener;
    uint16_t port;
    /* what to answer */
    const char *token_status, *token_fields, *token_body;
    size_t token_pad; /* blanks after the body */
    const char *revoke_status;
    const char *good; /* the access token that /api takes; NULL: none */
    bool hangs;
    /* what came */
    unsigned token_requests, api_requests, revoke_requests, other_requests;
    char token_form[REQUEST_MAX], revoke_form[REQUEST_MAX], api_request[REQUEST_MAX];
} provider = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void answer(int fd, const char *status, const char *fields, const char *body, size_t pad)
{
    static const char blanks[1024] = { [0 ... 1023] = ' ' };

    dprintf(fd, "HTTP/1.1 %s\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", status, fields, strlen(body) + pad, body);
    for (; pad > 0; pad -= pad < sizeof blanks ? pad : sizeof blanks)
        if (write(fd, blanks, pad < sizeof blanks ? pad : sizeof blanks) < 0)
            return;
}

static bool talk_read(int fd, char *text)
{
    size_t len = 0, want = SIZE_MAX;

    while (len < want && len < REQUEST_MAX - 1) {
        ssize_t n = read(fd, text + len, REQUEST_MAX - 1 - len);
        const char *end = NULL, *length = NULL;

        if (n <= 0)
            return false;
        len += (size_t) n;
        text[len] = '\0';
        end = strstr(text, "\r\n\r\n");
        if (!end)
            continue;
        length = strcasestr(text, "\r\nContent-Length:");
        want = (size_t) (end + 4 - text) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
    return len >= want;
}

static void api_answer(int fd, const char *text)
{
    char expected[256];

    snprintf(expected, sizeof expected, "\r\nAuthorization: Bearer %s\r\n", provider.good ?: "\x01");
    provider.api_requests++;
    memcpy(provider.api_request, text, REQUEST_MAX);
    if (strstr(text, expected))
        answer(fd, "200 OK", "", "welcome", 0);
    else
        answer(fd, "401 Unauthorized", "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", "who are you", 0);
}

static void converse(int fd)
{
    static char text[REQUEST_MAX];
    const char *body = NULL;

    if (!talk_read(fd, text))
        return;
    body = strstr(text, "\r\n\r\n") + 4;
    pthread_mutex_lock(&provider.lock);
    if (!strncmp(text, "POST /token HTTP/1.1\r\n", 22)) {
        provider.token_requests++;
        snprintf(provider.token_form, REQUEST_MAX, "%s", body);
        assert_non_null(strstr(text, "\r\nContent-Type: application/x-www-form-urlencoded\r\n"));
        assert_non_null(strstr(text, "\r\nAccept: application/json\r\n"));
        assert_null(strcasestr(text, "\r\nAuthorization:"));
        if (!provider.hangs)
            answer(fd, provider.token_status, provider.token_fields, provider.token_body, provider.token_pad);
    } else if (!strncmp(text, "POST /revoke ", 13)) {
        provider.revoke_requests++;
        snprintf(provider.revoke_form, REQUEST_MAX, "%s", body);
        answer(fd, provider.revoke_status, "", "{}", 0);
    } else if (strstr(text, " /api HTTP/1.1\r\n")) {
        api_answer(fd, text);
    } else {
        provider.other_requests++;
        answer(fd, "200 OK", "", "{\"access_token\":\"of-another-place\",\"token_type\":\"Bearer\"}", 0);
    }
    pthread_mutex_unlock(&provider.lock);
}

static void *serve(void *unused)
{
    static int held[64];
    static unsigned held_len;

    for (;;) {
        int fd = accept4(provider.listener, NULL, NULL, SOCK_CLOEXEC);

        assert_true(fd >= 0);
        converse(fd);
        if (provider.hangs && held_len < ARRAY_LEN(held))
            held[held_len++] = fd; /* never answered, never closed */
        else
            close(fd);
    }
    return NULL;
}

static uint16_t listen_loopback(int *ret_fd)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t len = sizeof at;

    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(*ret_fd >= 0 && bind(*ret_fd, (struct sockaddr *) &at, sizeof at) == 0 && listen(*ret_fd, 256) == 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *) &at, &len), 0);
    return ntohs(at.sin_port);
}

static void provider_start(void)
{
    pthread_t thread;

    provider.port = listen_loopback(&provider.listener);
    assert_int_equal(pthread_create(&thread, NULL, serve, NULL), 0);
    pthread_detach(thread);
}

#define TOKENS(access, more) "{\"access_token\":\"" access "\",\"token_type\":\"Bearer\"" more "}"

/* ---- the log of effects ---- */

static char effects[4096];

static void effect(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(effects + strlen(effects), sizeof effects - strlen(effects), format, args);
    va_end(args);
}

/* ---- the vault's stand-in: one binding ---- */

struct vault {
    bool locked, full, unmarkable, picky;
    struct grant *grant; /* NULL: no binding */
    struct token *token;
    struct secret *value;
    uint64_t generation;
    char status[32];
    bool is_default;
    json_t *labels;
    unsigned used;
};
static struct vault vault;

enum keeper_vault_state vault_state(const struct vault *v)
{
    return v->locked ? KEEPER_VAULT_LOCKED : KEEPER_VAULT_UNLOCKED;
}

static int refusal(const struct vault *v, const char *binding, struct err *err)
{
    if (v->locked) {
        err_set(err, EACCES, "the vault is locked");
        return VAULT_UNUSABLE;
    }
    if (!v->grant || strcmp(binding, BINDING) != 0) {
        err_set(err, ENOENT, "there is no binding %s", binding);
        return VAULT_NO_BINDING;
    }
    return 0;
}

int vault_binding_get(struct vault *v, const char *binding, struct grant **ret_grant, struct secret **ret_value,
    uint64_t *ret_generation, struct err *err)
{
    int r = refusal(v, binding, err);

    if (r != 0)
        return r;
    assert_int_equal(grant_copy(v->grant, ret_grant), 0);
    assert_int_equal(secret_from(secret_bytes(v->value), secret_len(v->value), ret_value), 0);
    *ret_generation = v->generation;
    return 0;
}

int vault_binding_put_check(
    struct vault *v, const char *binding, const struct grant *grant, const struct secret *value, struct err *err)
{
    if (!v->picky)
        return 0;
    err_set(err, EINVAL, "the vault is full");
    return VAULT_REFUSED;
}

static void vault_drop(struct vault *v)
{
    grant_free(TAKE_PTR(v->grant));
    token_free(TAKE_PTR(v->token));
    secret_free(TAKE_PTR(v->value));
}

int vault_binding_put(struct vault *v, const char *binding, const struct grant *grant, const struct secret *value,
    const json_t *labels, struct err *err)
{
    struct grant *copy = NULL;

    if (v->locked || v->full) {
        effect("put-failed;");
        return v->locked ? VAULT_NOT_OPEN : err_set(err, ENOSPC, "no space left on the disk");
    }
    assert_string_equal(binding, BINDING);
    assert_int_equal(grant_copy(grant, &copy), 0);
    vault_drop(v);
    v->grant = copy;
    assert_int_equal(secret_from(secret_bytes(value), secret_len(value), &v->value), 0);
    assert_int_equal(token_parse(value, &v->token, NULL), 0);
    v->generation++;
    snprintf(v->status, sizeof v->status, "active");
    json_decref(v->labels);
    v->labels = json_deep_copy(labels);
    effect("put %.*s;", (int) secret_len(v->token->access), (const char *) secret_bytes(v->token->access));
    return 0;
}

int vault_binding_set_default(struct vault *v, const char *binding, bool is_default, struct err *err)
{
    v->is_default = is_default;
    effect("default;");
    return 0;
}

int vault_binding_mark(struct vault *v, const char *binding, const char *status, const char *stale_reason, struct err *err)
{
    if (v->unmarkable)
        return -ENOSPC;
    snprintf(v->status, sizeof v->status, "%s", status);
    effect("mark %s %s;", status, stale_reason);
    return 0;
}

int vault_binding_delete(struct vault *v, const char *binding, struct err *err)
{
    int r = refusal(v, binding, err);

    if (r == 0) {
        vault_drop(v);
        effect("delete;");
    }
    return r;
}

void vault_binding_used(struct vault *v, const char *binding, int64_t now_unix_s)
{
    v->used++;
}

int vault_lend(struct vault *v, const char *binding, const char *connector_fqn, struct vault_loan *ret_loan, struct err *err)
{
    int r = refusal(v, binding, err);

    if (r != 0)
        return r;
    assert_string_equal(connector_fqn, v->grant->connector_fqn);
    if (strcmp(v->status, "active") != 0) {
        err_set(err, EACCES, "stale");
        return VAULT_UNUSABLE;
    }
    *ret_loan = (struct vault_loan){ .grant = v->grant,
        .value = v->token->access,
        .refresh = v->token->refresh,
        .client_secret = v->token->client_secret,
        .expires_unix_s = v->token->expires_unix_s,
        .generation = v->generation };
    return 0;
}

json_t *vault_describe(struct vault *v)
{
    json_t *list = json_array();

    if (v->grant)
        json_array_append_new(list,
            json_pack("{s:s, s:s, s:b}", "binding", BINDING, "connector_fqn", v->grant->connector_fqn, "default", v->is_default));
    return list;
}

/* ---- the receipts' stand-in ---- */

struct receipts {
    struct loop *loop;
    bool fails;
};
static struct receipts receipts;

struct receipt_wait {
    receipt_fn *fn;
    void *userdata;
};

static void on_written(void *userdata)
{
    struct receipt_wait *wait = userdata;

    if (wait->fn)
        wait->fn(receipts.fails ? -EIO : 0, wait->userdata);
    free(wait);
}

/* No word of a provider and no secret may be in one. */
static void payload_check(json_t *payload)
{
    CLEANUP_FREE char *text = json_dumps(payload, JSON_COMPACT);

    assert_non_null(payload);
    assert_string_equal(json_get_str(payload, "aileron.binding.name"), BINDING);
    assert_string_equal(json_get_str(payload, "aileron.connector.fqn"), FQN);
    assert_string_equal(json_get_str(payload, "aileron.capability.kind"), "oauth2");
    assert_null(strstr(text, "token-"));
    json_decref(payload);
}

int receipts_ask(
    struct receipts *r, const char *type, json_t *payload, receipt_fn *fn, void *userdata, struct receipt_wait **ret_wait)
{
    struct receipt_wait *wait = calloc(1, sizeof *wait);

    payload_check(payload);
    effect("ask %s;", type);
    *wait = (struct receipt_wait){ fn, userdata };
    *ret_wait = wait;
    return loop_defer(r->loop, on_written, wait);
}

void receipts_cancel(struct receipt_wait *wait)
{
    if (wait)
        wait->fn = NULL;
}

void receipts_tell(struct receipts *r, const char *type, json_t *payload)
{
    payload_check(payload);
    effect("tell %s;", type);
}

/* ---- the keeper around it ---- */

static struct loop *loop;
static struct resolver *resolver;
static struct trust trust;
static struct overrides overrides;
static struct http *http;
static struct oauth *oauth;
static unsigned changes;

/* How things ended. */
static struct end {
    unsigned calls;
    enum keeper_result result;
    char message[512], hint[256], binding[128];
    json_t *detail;
} flow_end, page_end, other_end;

static struct {
    unsigned answers, good; /* good: 200 */
    enum keeper_http_outcome outcome;
    bool may_have_left;
    uint32_t status;
    char body[256], message[512];
} reply;

static void on_end(const struct oauth_outcome *outcome, void *userdata)
{
    struct end *end = userdata;

    end->calls++;
    end->result = outcome->result;
    snprintf(end->message, sizeof end->message, "%s", outcome->message);
    snprintf(end->hint, sizeof end->hint, "%s", outcome->hint);
    snprintf(end->binding, sizeof end->binding, "%s", outcome->binding);
    json_decref(end->detail);
    end->detail = outcome->detail ? json_deep_copy(outcome->detail) : NULL;
    assert_null(strstr(end->message, "token-")); /* every secret here has this in it */
    assert_null(strstr(end->message, "<provider>"));
}

static void on_reply(const struct http_answer *a, void *userdata)
{
    reply.answers++;
    reply.good += a->outcome == KEEPER_HTTP_DONE && a->status == 200;
    reply.outcome = a->outcome;
    reply.may_have_left = a->may_have_left;
    reply.status = a->status;
    snprintf(reply.body, sizeof reply.body, "%s", a->body ? buf_str(a->body) : "");
    snprintf(reply.message, sizeof reply.message, "%s", a->message);
}

static void on_changed(void *userdata)
{
    changes++;
}

static void on_guard(void *userdata)
{
    *(bool *) userdata = true;
    loop_stop(loop);
}

static void on_tick(void *userdata)
{
    loop_stop(loop);
}

/* Turns the loop until the number is reached. */
static void run_until(const unsigned *count, unsigned wanted)
{
    struct loop_timer *guard = NULL, *tick = NULL;
    bool late = false;

    assert_int_equal(loop_timer_new(loop, on_guard, &late, &guard), 0);
    assert_int_equal(loop_timer_new(loop, on_tick, NULL, &tick), 0);
    loop_timer_set(guard, GUARD_MS);
    while (*count < wanted && !late) {
        loop_timer_set(tick, 2);
        loop_run(loop);
    }
    loop_timer_free(guard);
    loop_timer_free(tick);
    if (late)
        fail_msg("%u of %u after %d s; effects: %s", *count, wanted, GUARD_MS / 1000, effects);
}

static void run_ms(int64_t ms)
{
    struct loop_timer *tick = NULL;

    assert_int_equal(loop_timer_new(loop, on_tick, NULL, &tick), 0);
    loop_timer_set(tick, ms);
    loop_run(loop);
    loop_timer_free(tick);
}

static char *provider_url(const char *path, char out[64])
{
    snprintf(out, 64, "http://127.0.0.1:%u%s", provider.port, path);
    return out;
}

static void oauth_start(int64_t flow_ms)
{
    const struct oauth_context context = { loop, &vault, http, &receipts, on_changed, NULL, flow_ms };

    oauth_free(oauth);
    assert_int_equal(oauth_new(&context, &oauth), 0);
}

static int setup(void **state)
{
    const struct http_context context = { loop, &vault, resolver, &overrides, &trust };
    char allowed[64];

    pthread_mutex_lock(&provider.lock);
    provider.token_status = "200 OK";
    provider.token_fields = "Content-Type: application/json\r\n";
    provider.token_body = TOKENS("token-one", ",\"refresh_token\":\"token-refresh-one\",\"expires_in\":3600");
    provider.token_pad = 0;
    provider.revoke_status = "200 OK";
    provider.good = NULL;
    provider.hangs = false;
    provider.token_requests = provider.api_requests = provider.revoke_requests = provider.other_requests = 0;
    pthread_mutex_unlock(&provider.lock);
    memset(effects, 0, sizeof effects);
    memset(&reply, 0, sizeof reply);
    json_decref(flow_end.detail);
    json_decref(page_end.detail);
    json_decref(other_end.detail);
    memset(&flow_end, 0, sizeof flow_end);
    memset(&page_end, 0, sizeof page_end);
    memset(&other_end, 0, sizeof other_end);
    changes = 0;
    vault = (struct vault){ .locked = false };
    receipts = (struct receipts){ loop, false };
    snprintf(allowed, sizeof allowed, "127.0.0.1:%u", provider.port);
    assert_int_equal(http_new(&context, on_reply, NULL, &http), 0);
    assert_int_equal(http_set_allow_private(http, allowed), 0);
    oauth_start(0);
    return 0;
}

static int teardown(void **state)
{
    oauth_free(TAKE_PTR(oauth));
    http_free(TAKE_PTR(http));
    run_ms(5); /* receipts that nobody waits for */
    vault_drop(&vault);
    json_decref(vault.labels);
    return 0;
}

/* ---- helpers of the flows ---- */

static struct grant *grant_make(void)
{
    struct grant *grant = NULL;
    char url[64];
    CLEANUP_JSON json_t *json = json_pack("{s:s, s:[s]}", "connector_fqn", FQN, "origins", provider_url("", url));

    json_object_set_new(json, "token_url", json_string(provider_url("/token", url)));
    json_object_set_new(json, "revoke_url", json_string(provider_url("/revoke", url)));
    json_object_set_new(json, "authorize_url", json_string("https://accounts.example/auth"));
    assert_int_equal(grant_read(json, GRANT_OAUTH2, &grant, NULL), 0);
    return grant;
}

static const char *const scopes[] = { "mail.read", "profile" };

struct begun {
    struct oauth_flow *flow;
    char url[4096];
    char state[64];
};

static void parameter(const char *url, const char *name, char *out, size_t size)
{
    const char *at = strstr(url, name);

    assert_non_null(at);
    at += strlen(name);
    snprintf(out, size, "%.*s", (int) strcspn(at, "&"), at);
}

static struct begun flow_begin(void)
{
    CLEANUP_PTR(grant_free) struct grant *grant = grant_make();
    CLEANUP_PTR(secret_free) struct secret *client_secret = NULL;
    CLEANUP_FREE char *url = NULL;
    struct oauth_spec spec = { .binding = BINDING,
        .grant = grant,
        .authorize_url = "https://accounts.example/auth",
        .client_id = "the-client",
        .scopes = scopes,
        .scopes_len = 2,
        .redirect_uri = "http://127.0.0.1:8123/oauth2/callback" };
    CLEANUP_JSON json_t *labels =
        json_pack("{s:s, s:s, s:s}", "scope", "reads mail", "status", "revoked", "connector_fqn", "other");
    struct begun begun = { NULL };

    spec.labels = labels;
    assert_int_equal(secret_from("token-client-secret", 19, &client_secret), 0);
    spec.client_secret = client_secret;
    assert_int_equal(oauth_begin(oauth, &spec, on_end, &flow_end, &url, &begun.flow, NULL), 0);
    snprintf(begun.url, sizeof begun.url, "%s", url);
    parameter(url, "&state=", begun.state, sizeof begun.state);
    return begun;
}

static void come_back(const char *format, const char *state)
{
    char query[1024];

    snprintf(query, sizeof query, format, state);
    oauth_callback(oauth, query, strlen(query), on_end, &page_end);
}

/* ---- flows ---- */

static void test_consent(void **state)
{
    struct begun begun = flow_begin();
    char challenge[64], computed[OAUTH_CHALLENGE_LEN + 1], verifier[128];
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;

    provider.token_body =
        TOKENS("token-one", ",\"refresh_token\":\"token-refresh-one\",\"expires_in\":3600,\"scope\":\"mail.read other\"");
    assert_non_null(strstr(begun.url, "https://accounts.example/auth?response_type=code&client_id=the-client&"));
    assert_null(strstr(begun.url, "token-client-secret"));
    come_back("state=%s&code=the%%2Fcode&iss=https%%3A%%2F%%2Faccounts.example", begun.state);
    assert_int_equal(page_end.calls, 0);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_OK);
    assert_int_equal(page_end.calls, 1);
    assert_int_equal(page_end.result, KEEPER_OK);
    assert_string_equal(page_end.binding, BINDING);
    assert_string_equal(effects, "ask binding.created;put token-one;");
    assert_true(changes > 0);
    /* What the provider got. */
    assert_non_null(strstr(provider.token_form, "grant_type=authorization_code&code=the%2Fcode&"));
    assert_non_null(strstr(provider.token_form, "&client_id=the-client&client_secret=token-client-secret&code_verifier="));
    parameter(begun.url, "&code_challenge=", challenge, sizeof challenge);
    parameter(provider.token_form, "&code_verifier=", verifier, sizeof verifier);
    assert_int_equal(secret_from(verifier, strlen(verifier), &secret), 0);
    assert_int_equal(oauth_challenge(secret, computed), 0);
    assert_string_equal(challenge, computed);
    /* What was kept. */
    assert_string_equal(json_get_str(vault.labels, "granted_scopes"), "mail.read");
    assert_string_equal(json_get_str(vault.labels, "missing_scopes"), "profile");
    assert_string_equal(json_get_str(vault.labels, "refresh_token_present"), "true");
    assert_string_equal(json_get_str(vault.labels, "scope"), "reads mail");
    assert_null(json_object_get(vault.labels, "status"));
    assert_null(json_object_get(vault.labels, "connector_fqn"));
    assert_int_equal(json_array_size(json_object_get(flow_end.detail, "missing_scopes")), 1);
    assert_non_null(strstr(flow_end.message, "profile"));
    assert_null(strstr(flow_end.message, "other"));
    assert_string_equal(vault.grant->authorize_url, "https://accounts.example/auth");
    assert_string_equal(vault.token->client_id, "the-client");
    assert_int_equal(vault.token->scopes_len, 2);
    /* The same redirect again. */
    come_back("state=%s&code=the%%2Fcode", begun.state);
    assert_int_equal(page_end.calls, 2);
    assert_int_equal(page_end.result, KEEPER_NOT_FOUND);
    run_ms(20);
    assert_int_equal(provider.token_requests, 1);
}

static void test_refused_at_the_provider(void **state)
{
    static const struct {
        const char *query;
        enum keeper_result result;
    } cases[] = {
        { "state=%s&error=access_denied", KEEPER_DENIED },
        { "state=%s&error=access_denied&iss=https://evil.example", KEEPER_FAILED },
        { "state=%s&error=server_error", KEEPER_FAILED },
        { "state=%s&error=<provider>&error_description=<provider>", KEEPER_FAILED },
        { "state=%s&code=c&iss=https://evil.example", KEEPER_FAILED },
        { "state=%s&code=c&iss=http://accounts.example", KEEPER_FAILED },
        { "state=%s&code=c&iss=<provider>", KEEPER_FAILED },
        { "state=%s&code=c&code=d", KEEPER_FAILED },
        { "state=%s&code=c&error=access_denied", KEEPER_FAILED },
        { "state=%s", KEEPER_FAILED },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct begun begun = flow_begin();

        memset(effects, 0, sizeof effects);
        flow_end.calls = page_end.calls = 0;
        come_back(cases[i].query, begun.state);
        assert_int_equal(flow_end.calls, 1);
        assert_int_equal(page_end.calls, 1);
        if (flow_end.result != cases[i].result || page_end.result != cases[i].result)
            fail_msg("%s: %d \"%s\"", cases[i].query, flow_end.result, flow_end.message);
        assert_string_equal(effects, "tell binding.failed;");
        come_back("state=%s&code=c", begun.state); /* used up */
        assert_int_equal(page_end.result, KEEPER_NOT_FOUND);
    }
    run_ms(20);
    assert_int_equal(provider.token_requests, 0);
}

static void test_wrong_state(void **state)
{
    struct begun begun = flow_begin();
    char almost[64];

    come_back("state=%s&code=c", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_int_equal(page_end.result, KEEPER_NOT_FOUND);
    come_back("state=%s&code=c", "");
    assert_int_equal(page_end.result, KEEPER_NOT_FOUND);
    come_back("code=c%s", "");
    assert_int_equal(page_end.result, KEEPER_NOT_FOUND);
    snprintf(almost, sizeof almost, "%s", begun.state);
    almost[42] = almost[42] == 'A' ? 'B' : 'A';
    come_back("state=%s&code=c", almost);
    assert_int_equal(page_end.result, KEEPER_NOT_FOUND);
    almost[42] = '\0';
    come_back("state=%s&code=c", almost);
    assert_int_equal(page_end.result, KEEPER_NOT_FOUND);
    assert_int_equal(flow_end.calls, 0); /* none of that touched it */
    come_back("state=%s&code=c", begun.state);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_OK);
}

static void test_too_late(void **state)
{
    struct begun begun;

    oauth_start(30);
    begun = flow_begin();
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_TIMED_OUT);
    come_back("state=%s&code=c", begun.state);
    assert_int_equal(page_end.result, KEEPER_NOT_FOUND);
    run_ms(20);
    assert_int_equal(provider.token_requests, 0);
}

static void test_too_many(void **state)
{
    CLEANUP_PTR(grant_free) struct grant *grant = grant_make();
    const struct oauth_spec spec = { .binding = BINDING,
        .grant = grant,
        .authorize_url = "https://accounts.example/auth",
        .client_id = "x",
        .redirect_uri = "http://127.0.0.1:8123/oauth2/callback" };
    struct begun begun[OAUTH_FLOWS_MAX];
    struct oauth_flow *flow = NULL;
    char *url = NULL;

    for (size_t i = 0; i < OAUTH_FLOWS_MAX; i++)
        begun[i] = flow_begin();
    assert_int_equal(oauth_begin(oauth, &spec, on_end, &flow_end, &url, &flow, NULL), -EBUSY);
    oauth_cancel(begun[5].flow);
    assert_int_equal(oauth_begin(oauth, &spec, on_end, &flow_end, &url, &flow, NULL), 0);
    free(url);
    assert_int_equal(flow_end.calls, 0);
    come_back("state=%s&code=c", begun[5].state);
    assert_int_equal(page_end.result, KEEPER_NOT_FOUND);
}

static void test_specs(void **state)
{
    CLEANUP_PTR(grant_free) struct grant *grant = grant_make(), *no_token_url = grant_make();
    const struct oauth_spec good = { .binding = BINDING,
        .grant = grant,
        .authorize_url = "https://accounts.example/auth",
        .client_id = "x",
        .redirect_uri = "http://127.0.0.1:8123/oauth2/callback" };
    struct oauth_spec bad[6] = { good, good, good, good, good, good };
    struct oauth_flow *flow = NULL;
    char *url = NULL;

    free(TAKE_PTR(no_token_url->token_url));
    bad[0].binding = "api_key/google/me";
    bad[1].binding = "oauth2/google";
    bad[2].grant = no_token_url;
    bad[3].authorize_url = "http://accounts.example/auth";
    bad[4].client_id = "";
    bad[5].redirect_uri = "http://evil.example/oauth2/callback";
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = ERR_INIT;

        if (oauth_begin(oauth, &bad[i], on_end, &flow_end, &url, &flow, &err) != -EINVAL || !err.message[0])
            fail_msg("spec %zu was taken", i);
    }
}

static void test_token_answers(void **state)
{
    static const struct {
        const char *status, *fields, *body;
        size_t pad;
    } cases[] = {
        { "200 OK", "", "", 0 },
        { "200 OK", "", "<html><provider></html>", 0 },
        { "200 OK", "", TOKENS("token-one", ""), 70000 },
        { "200 OK", "", "{\"access_token\":\"token-one\"}", 0 },
        { "200 OK", "", TOKENS("token one", ""), 0 },
        { "200 OK", "Content-Encoding: gzip\r\n", TOKENS("token-one", ""), 0 },
        { "302 Found", "Location: /elsewhere\r\n", "", 0 },
        { "307 Temporary Redirect", "Location: /elsewhere\r\n", TOKENS("token-one", ""), 0 },
        { "400 Bad Request", "", "{\"error\":\"invalid_grant\",\"error_description\":\"<provider>\"}", 0 },
        { "400 Bad Request", "", "{\"error\":\"<provider>\"}", 0 },
        { "401 Unauthorized", "", "{\"error\":\"invalid_client\"}", 0 },
        { "404 Not Found", "", "<provider>", 0 },
        { "500 Internal Server Error", "", TOKENS("token-one", ""), 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct begun begun = flow_begin();

        provider.token_status = cases[i].status;
        provider.token_fields = cases[i].fields;
        provider.token_body = cases[i].body;
        provider.token_pad = cases[i].pad;
        flow_end.calls = page_end.calls = 0;
        memset(effects, 0, sizeof effects);
        come_back("state=%s&code=c", begun.state);
        run_until(&flow_end.calls, 1);
        if (flow_end.result != KEEPER_FAILED || !flow_end.message[0] || strcmp(effects, "tell binding.failed;") != 0)
            fail_msg("case %zu: %d \"%s\", %s", i, flow_end.result, flow_end.message, effects);
        assert_int_equal(page_end.calls, 1);
    }
    assert_int_equal(provider.token_requests, ARRAY_LEN(cases));
    assert_int_equal(provider.other_requests, 0); /* no redirect was followed */
    assert_null(vault.grant);
}

/* The largest answer that is taken, to the byte. */
static void test_large_answer(void **state)
{
    struct begun begun = flow_begin();

    provider.token_pad = 65536 - strlen(provider.token_body);
    come_back("state=%s&code=c", begun.state);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_OK);
    begun = flow_begin();
    provider.token_pad++;
    come_back("state=%s&code=c", begun.state);
    run_until(&flow_end.calls, 2);
    assert_int_equal(flow_end.result, KEEPER_FAILED);
}

static void test_cancelled_while_slow(void **state)
{
    struct begun begun = flow_begin();

    provider.hangs = true;
    come_back("state=%s&code=c", begun.state);
    run_until(&provider.token_requests, 1);
    oauth_cancel(begun.flow);
    assert_int_equal(flow_end.calls, 0);
    assert_int_equal(page_end.calls, 1); /* the page does not wait for ever */
    assert_int_equal(page_end.result, KEEPER_FAILED);
    assert_string_equal(effects, "");
}

static void test_no_receipt_no_binding(void **state)
{
    struct begun begun = flow_begin();

    receipts.fails = true;
    come_back("state=%s&code=c", begun.state);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_FAILED);
    assert_string_equal(effects, "ask binding.created;");
    assert_null(vault.grant);
}

static void test_locked_meanwhile(void **state)
{
    struct begun begun = flow_begin();

    vault.locked = true;
    oauth_lock(oauth);
    come_back("state=%s&code=c", begun.state);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_LOCKED);
    assert_string_equal(effects, "tell binding.failed;");
}

static void test_disk_full(void **state)
{
    struct begun begun = flow_begin();

    vault.full = true;
    come_back("state=%s&code=c", begun.state);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_FAILED);
    assert_non_null(strstr(flow_end.message, "no space"));
    assert_string_equal(effects, "ask binding.created;put-failed;tell binding.failed;");
}

/* What the vault would refuse is not recorded as having happened. */
static void test_refused_by_the_vault(void **state)
{
    struct begun begun = flow_begin();

    vault.picky = true;
    come_back("state=%s&code=c", begun.state);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_REFUSED);
    assert_string_equal(effects, "tell binding.failed;");
}

static void test_paste(void **state)
{
    struct begun begun = flow_begin(), other = flow_begin();
    char url[256];
    struct err err = ERR_INIT;

    assert_int_equal(oauth_paste(begun.flow, "https://evil.example/?code=c", &err), -EINVAL);
    snprintf(url, sizeof url, "http://127.0.0.1:8123/oauth2/callback?state=%s&code=c", other.state);
    assert_int_equal(oauth_paste(begun.flow, url, &err), -EINVAL);
    assert_int_equal(flow_end.calls, 0);
    snprintf(url, sizeof url, "http://127.0.0.1:8123/oauth2/callback?state=%s&code=c", begun.state);
    assert_int_equal(oauth_paste(begun.flow, url, &err), 0);
    assert_int_equal(oauth_paste(begun.flow, url, &err), -EINVAL);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_OK);
    assert_int_equal(page_end.calls, 0);
}

/* The provider at a private address that the settings do not name. */
static void test_address_rules(void **state)
{
    struct begun begun = flow_begin();

    assert_int_equal(http_set_allow_private(http, ""), 0);
    come_back("state=%s&code=c", begun.state);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_FAILED);
    assert_non_null(strstr(flow_end.message, "allow_private"));
    run_ms(20);
    assert_int_equal(provider.token_requests, 0);
}

/* ---- a binding that is there ---- */

static void bound_with(const char *access, int64_t expires_in_s, const char *refresh)
{
    CLEANUP_PTR(token_free) struct token *token = calloc(1, sizeof *token);
    CLEANUP_PTR(grant_free) struct grant *grant = grant_make();
    CLEANUP_PTR(secret_free) struct secret *value = NULL;
    CLEANUP_JSON json_t *labels = json_object();

    assert_int_equal(secret_from(access, strlen(access), &token->access), 0);
    if (refresh)
        assert_int_equal(secret_from(refresh, strlen(refresh), &token->refresh), 0);
    assert_int_equal(secret_from("token-client-secret", 19, &token->client_secret), 0);
    token->expires_unix_s = expires_in_s ? time(NULL) + expires_in_s : 0;
    token->client_id = strdup("the-client");
    token->token_url = strdup(grant->token_url);
    token->scopes = calloc(2, sizeof *token->scopes);
    token->scopes[0] = strdup("mail.read");
    token->scopes_len = 1;
    assert_int_equal(token_format(token, &value), 0);
    assert_int_equal(vault_binding_put(&vault, BINDING, grant, value, labels, NULL), 0);
    memset(effects, 0, sizeof effects);
}

static void bound(int64_t expires_in_s, const char *refresh)
{
    bound_with("token-zero", expires_in_s, refresh);
}

static void test_again_keeps_the_refresh_token(void **state)
{
    CLEANUP_FREE char *url = NULL;
    struct oauth_flow *flow = NULL;
    char its_state[64];

    assert_int_equal(
        oauth_begin_again(oauth, BINDING, "http://127.0.0.1:8123/oauth2/callback", on_end, &flow_end, &url, &flow, NULL),
        VAULT_NO_BINDING);
    bound(-5, "token-refresh-zero");
    snprintf(vault.status, sizeof vault.status, "stale");
    assert_int_equal(
        oauth_begin_again(oauth, BINDING, "http://127.0.0.1:8123/oauth2/callback", on_end, &flow_end, &url, &flow, NULL), 0);
    assert_non_null(strstr(url, "https://accounts.example/auth?response_type=code&client_id=the-client&"));
    assert_non_null(strstr(url, "&scope=mail.read&"));
    parameter(url, "&state=", its_state, sizeof its_state);
    provider.token_body = TOKENS("token-one", ",\"expires_in\":3600");
    come_back("state=%s&code=c", its_state);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_OK);
    assert_string_equal(effects, "ask binding.rebound;put token-one;");
    assert_true(json_is_true(json_object_get(flow_end.detail, "refresh_token_present")));
    assert_memory_equal(secret_bytes(vault.token->refresh), "token-refresh-zero", 18);
    assert_true(json_is_null(json_object_get(vault.labels, "stale_reason")));
}

/* ---- refreshing ---- */

static unsigned told;

/* Whoever is told may lend: by then the new token is what the vault has. */
static void on_refreshed(const struct oauth_outcome *outcome, void *userdata)
{
    struct vault_loan loan = { NULL, NULL };

    told++;
    assert_int_equal(outcome->result, KEEPER_OK);
    assert_int_equal(vault_lend(&vault, BINDING, FQN, &loan, NULL), 0);
    assert_memory_equal(secret_bytes(loan.value), "token-one", 9);
}

static void test_single_flight(void **state)
{
    struct oauth_wait *waits[100];

    bound(3600, "token-refresh-zero");
    told = 0;
    for (size_t i = 0; i < ARRAY_LEN(waits); i++)
        assert_int_equal(oauth_refresh(oauth, BINDING, on_refreshed, NULL, &waits[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(waits); i += 10)
        oauth_wait_cancel(waits[i]);
    assert_int_equal(told, 0);
    run_until(&told, 90);
    run_ms(20);
    assert_int_equal(told, 90);
    assert_int_equal(provider.token_requests, 1);
    assert_string_equal(effects, "put token-one;tell binding.refreshed;");
    assert_string_equal(provider.token_form,
        "grant_type=refresh_token&refresh_token=token-refresh-zero&client_id=the-client&client_secret=token-client-secret");
    assert_memory_equal(secret_bytes(vault.token->refresh), "token-refresh-one", 17); /* rotated */
    assert_true(vault.token->expires_unix_s > time(NULL) + 3500);
    assert_string_equal(json_get_str(vault.labels, "refresh_token_present"), "true");
    assert_non_null(json_get_str(vault.labels, "last_refreshed_at"));
    assert_int_equal(vault.token->scopes_len, 1);
}

static void test_refresh_keeps_what_is_not_sent(void **state)
{
    struct oauth_wait *wait = NULL;

    bound(3600, "token-refresh-zero");
    provider.token_body = TOKENS("token-one", "");
    assert_int_equal(oauth_refresh(oauth, BINDING, on_end, &other_end, &wait), 0);
    run_until(&other_end.calls, 1);
    assert_int_equal(other_end.result, KEEPER_OK);
    assert_memory_equal(secret_bytes(vault.token->refresh), "token-refresh-zero", 18);
    assert_int_equal(vault.token->expires_unix_s, 0);
}

static void refresh_expect(enum keeper_result result, const char *expected_effects)
{
    struct oauth_wait *wait = NULL;
    unsigned before = other_end.calls;

    memset(effects, 0, sizeof effects);
    assert_int_equal(oauth_refresh(oauth, BINDING, on_end, &other_end, &wait), 0);
    run_until(&other_end.calls, before + 1);
    assert_int_equal(other_end.result, result);
    assert_string_equal(effects, expected_effects);
}

static void test_invalid_grant(void **state)
{
    bound(3600, "token-refresh-zero");
    provider.token_status = "400 Bad Request";
    provider.token_body = "{\"error\":\"invalid_grant\",\"error_description\":\"<provider>\"}";
    refresh_expect(KEEPER_FAILED, "tell binding.failed;mark stale refresh_failed;");
    assert_non_null(strstr(other_end.message, "aileron binding reauthorize " BINDING));
    assert_string_equal(vault.status, "stale");
}

static void test_refused_otherwise(void **state)
{
    bound(3600, "token-refresh-zero");
    provider.token_status = "401 Unauthorized";
    provider.token_body = "{\"error\":\"invalid_client\"}";
    refresh_expect(KEEPER_FAILED, "");
    assert_non_null(strstr(other_end.message, "invalid_client"));
    assert_string_equal(vault.status, "active");
    /* The next moment it is not asked again. */
    refresh_expect(KEEPER_FAILED, "");
    assert_int_equal(provider.token_requests, 1);
    assert_non_null(strstr(other_end.message, "invalid_client"));
    run_ms(1100);
    provider.token_status = "200 OK";
    provider.token_body = TOKENS("token-one", "");
    refresh_expect(KEEPER_OK, "put token-one;tell binding.refreshed;");
    assert_int_equal(provider.token_requests, 2);
}

static void test_nothing_to_refresh_with(void **state)
{
    bound(3600, NULL);
    refresh_expect(KEEPER_FAILED, "");
    assert_int_equal(provider.token_requests, 0);
    vault.locked = true;
    run_ms(1100);
    refresh_expect(KEEPER_FAILED, "");
}

/* The provider has rotated the token, the disk is full: it is neither lost nor used. */
static void test_unwritten_token(void **state)
{
    bound(3600, "token-refresh-zero");
    vault.full = true;
    refresh_expect(KEEPER_FAILED, "put-failed;");
    assert_non_null(strstr(other_end.message, "no space"));
    assert_memory_equal(secret_bytes(vault.token->access), "token-zero", 10);
    refresh_expect(KEEPER_FAILED, "put-failed;"); /* tries again, but does not ask again */
    assert_int_equal(provider.token_requests, 1);
    vault.full = false;
    refresh_expect(KEEPER_OK, "put token-one;tell binding.refreshed;");
    assert_int_equal(provider.token_requests, 1);
    assert_memory_equal(secret_bytes(vault.token->refresh), "token-refresh-one", 17);
}

static void test_unwritten_token_at_lock(void **state)
{
    bound(3600, "token-refresh-zero");
    vault.full = true;
    refresh_expect(KEEPER_FAILED, "put-failed;");
    vault.full = false;
    memset(effects, 0, sizeof effects);
    oauth_lock(oauth);
    assert_string_equal(effects, "put token-one;");
}

/* Meanwhile the person has consented anew: the answer for the old token must not replace that. */
static void test_overtaken(void **state)
{
    struct oauth_wait *wait = NULL;
    struct begun begun;

    bound(3600, "token-refresh-zero");
    vault.full = true;
    refresh_expect(KEEPER_FAILED, "put-failed;");
    vault.full = false;
    begun = flow_begin();
    provider.token_body = TOKENS("token-two", "");
    come_back("state=%s&code=c", begun.state);
    run_until(&flow_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_OK);
    memset(effects, 0, sizeof effects);
    provider.token_body = TOKENS("token-three", "");
    assert_int_equal(oauth_refresh(oauth, BINDING, on_end, &other_end, &wait), 0);
    run_until(&other_end.calls, 2);
    assert_null(strstr(effects, "token-one"));
    /* And one whose answer comes after the new consent. */
    bound(3600, "token-refresh-zero");
    provider.token_status = "400 Bad Request";
    provider.token_body = "{\"error\":\"invalid_grant\"}";
    run_ms(1100);
    assert_int_equal(oauth_refresh(oauth, BINDING, on_end, &other_end, &wait), 0);
    bound(3600, "token-refresh-new");
    run_until(&other_end.calls, 3);
    assert_int_equal(other_end.result, KEEPER_OK);
    assert_string_equal(vault.status, "active");
    /* The same when it brings a token. */
    run_ms(1100);
    provider.token_status = "200 OK";
    provider.token_body = TOKENS("token-one", "");
    assert_int_equal(oauth_refresh(oauth, BINDING, on_end, &other_end, &wait), 0);
    bound_with("token-newer", 3600, "token-refresh-newer");
    run_until(&other_end.calls, 4);
    assert_int_equal(other_end.result, KEEPER_OK);
    assert_memory_equal(secret_bytes(vault.token->access), "token-newer", 11);
}

/* ---- requests ---- */

static uint32_t request_id;

static void request_send(const char *method, const char *body, uint32_t deadline_ms)
{
    struct request *request = calloc(1, sizeof *request);
    char url[64], hosts[64];

    snprintf(hosts, sizeof hosts, "127.0.0.1:%u", provider.port);
    request->id = ++request_id;
    request->connector_fqn = strdup(FQN);
    request->binding = strdup(BINDING);
    snprintf(request->method, sizeof request->method, "%s", method);
    request->url_text = strdup(provider_url("/api", url));
    request->header_text = strdup("");
    request->allowed_hosts = strdup(hosts);
    request->body = (uint8_t *) strdup(body);
    request->body_len = strlen(body);
    request->has_body = body[0] != '\0';
    request->deadline_ms = deadline_ms;
    assert_int_equal(http_submit(http, request), 0);
}

static void request_expect(const char *method, enum keeper_http_outcome outcome, uint32_t status)
{
    unsigned before = reply.answers;

    request_send(method, !strcmp(method, "POST") ? "the body" : "", 5000);
    run_until(&reply.answers, before + 1);
    if (reply.outcome != outcome || reply.status != status)
        fail_msg("outcome %d status %u \"%s\"", reply.outcome, reply.status, reply.message);
}

static void test_request_with_time_left(void **state)
{
    bound(3600, "token-refresh-zero");
    provider.good = "token-zero";
    request_expect("GET", KEEPER_HTTP_DONE, 200);
    assert_string_equal(reply.body, "welcome");
    assert_int_equal(provider.token_requests, 0);
    assert_int_equal(vault.used, 1);
    bound(61, "token-refresh-zero");
    request_expect("GET", KEEPER_HTTP_DONE, 200);
    assert_int_equal(provider.token_requests, 0);
}

static void test_request_refreshes_before(void **state)
{
    bound(59, "token-refresh-zero");
    provider.good = "token-one";
    for (unsigned i = 0; i < 100; i++)
        request_send("GET", "", 10000);
    run_until(&reply.answers, 100);
    assert_int_equal(reply.outcome, KEEPER_HTTP_DONE);
    assert_int_equal(reply.status, 200);
    assert_int_equal(provider.token_requests, 1);
    assert_int_equal(provider.api_requests, 100); /* none left with the old one */
    assert_string_equal(effects, "put token-one;tell binding.refreshed;");
}

static void test_request_refreshes_after_401(void **state)
{
    bound(3600, "token-refresh-zero");
    provider.good = "token-one";
    request_expect("POST", KEEPER_HTTP_DONE, 200);
    assert_int_equal(provider.token_requests, 1);
    assert_int_equal(provider.api_requests, 2);
    assert_non_null(strstr(provider.api_request, "\r\n\r\nthe body"));
}

/* The new one is refused as well: that is the answer, and whoever may send requests cannot make the keeper ask for ever. */
static void test_refused_whatever_the_token(void **state)
{
    bound(3600, "token-refresh-zero");
    provider.good = "token-never";
    request_expect("GET", KEEPER_HTTP_DONE, 401);
    assert_string_equal(reply.body, "who are you");
    assert_int_equal(provider.token_requests, 1);
    assert_int_equal(provider.api_requests, 2);
    for (unsigned i = 0; i < 20; i++)
        request_expect("GET", KEEPER_HTTP_DONE, 401);
    assert_int_equal(provider.token_requests, 1);
    assert_int_equal(provider.api_requests, 22);
}

/* A provider whose tokens last less than the time before which they are renewed. */
static void test_short_lived_tokens(void **state)
{
    bound(59, "token-refresh-zero");
    provider.good = "token-one";
    provider.token_body = TOKENS("token-one", ",\"expires_in\":30");
    for (unsigned i = 0; i < 5; i++)
        request_expect("GET", KEEPER_HTTP_DONE, 200);
    assert_int_equal(provider.token_requests, 1);
}

static void test_401_without_a_way_out(void **state)
{
    bound(3600, NULL);
    request_expect("GET", KEEPER_HTTP_DONE, 401);
    assert_int_equal(provider.token_requests, 0);
    bound(3600, "token-refresh-zero");
    provider.token_status = "503 Service Unavailable";
    request_expect("GET", KEEPER_HTTP_DONE, 401); /* passed on as it came */
    assert_string_equal(reply.body, "who are you");
    run_ms(1100);
    provider.token_status = "400 Bad Request";
    provider.token_body = "{\"error\":\"invalid_grant\"}";
    request_expect("GET", KEEPER_HTTP_BINDING_FAILED, 0);
    assert_non_null(strstr(reply.message, "aileron binding reauthorize " BINDING));
    request_expect("GET", KEEPER_HTTP_BINDING_FAILED, 0); /* stale by now: nothing is sent at all */
    assert_int_equal(provider.token_requests, 2);
}

/* The mark of a binding that is of no more use could not be written: the first caller is told all the same. */
static void test_401_and_a_disk_that_is_full(void **state)
{
    bound(3600, "token-refresh-zero");
    vault.unmarkable = true;
    provider.token_status = "400 Bad Request";
    provider.token_body = "{\"error\":\"invalid_grant\"}";
    request_expect("GET", KEEPER_HTTP_BINDING_FAILED, 0);
    assert_non_null(strstr(reply.message, "aileron binding reauthorize " BINDING));
}

/* While a request was on its way, another one had the token refreshed: it goes again with that one. */
static void test_401_and_a_newer_token(void **state)
{
    bound(3600, "token-refresh-zero");
    provider.good = "token-newer";
    request_send("POST", "the body", 5000);
    bound_with("token-newer", 3600, "token-refresh-newer");
    run_until(&reply.answers, 1);
    assert_int_equal(reply.status, 200);
    assert_int_equal(provider.api_requests, 2);
    assert_int_equal(provider.token_requests, 0);
    provider.good = "token-never";
    request_send("GET", "", 5000);
    bound_with("token-newest", 3600, "token-refresh-newest");
    run_until(&reply.answers, 2);
    assert_int_equal(reply.status, 401); /* once */
    assert_int_equal(provider.api_requests, 4);
    assert_int_equal(provider.token_requests, 0);
}

static void test_401_storm(void **state)
{
    bound(3600, "token-refresh-zero");
    provider.good = "token-one";
    for (unsigned i = 0; i < 100; i++)
        request_send("GET", "", 10000);
    run_until(&reply.answers, 100);
    assert_int_equal(reply.good, 100);
    assert_int_equal(provider.token_requests, 1);
}

static void test_provider_down(void **state)
{
    provider.good = "token-zero";
    provider.token_status = "500 Internal Server Error";
    bound(30, "token-refresh-zero");
    request_expect("GET", KEEPER_HTTP_DONE, 200); /* the old one still has time */
    assert_int_equal(provider.token_requests, 1);
    bound(-1, "token-refresh-zero");
    request_expect("GET", KEEPER_HTTP_NETWORK, 0);
    assert_false(reply.may_have_left);
    for (unsigned i = 0; i < 100; i++)
        request_send("GET", "", 5000);
    run_until(&reply.answers, 102);
    assert_int_equal(reply.outcome, KEEPER_HTTP_NETWORK);
    assert_int_equal(provider.token_requests, 1); /* a hundred calls do not hammer on it */
    assert_int_equal(provider.api_requests, 1);
    /* Nobody there at all. */
    run_ms(1100);
    free(vault.grant->token_url);
    {
        int closed = -1;
        uint16_t port = listen_loopback(&closed);
        char both[64];

        close(closed);
        assert_true(asprintf(&vault.grant->token_url, "http://127.0.0.1:%u/token", port) > 0);
        snprintf(both, sizeof both, "127.0.0.1:%u\n127.0.0.1:%u", provider.port, port);
        assert_int_equal(http_set_allow_private(http, both), 0);
    }
    request_expect("GET", KEEPER_HTTP_NETWORK, 0);
    assert_false(reply.may_have_left);
}

static void test_expired_without_refresh_token(void **state)
{
    bound(-1, NULL);
    request_expect("GET", KEEPER_HTTP_BINDING_FAILED, 0);
    assert_non_null(strstr(reply.message, "aileron binding reauthorize " BINDING));
    assert_int_equal(provider.api_requests, 0);
}

static void test_request_and_unwritten_token(void **state)
{
    bound(-1, "token-refresh-zero");
    provider.good = "token-one";
    vault.full = true;
    request_expect("GET", KEEPER_HTTP_BINDING_FAILED, 0);
    assert_int_equal(provider.api_requests, 0); /* not used before it is on disk */
    vault.full = false;
    request_expect("GET", KEEPER_HTTP_DONE, 200);
    assert_int_equal(provider.token_requests, 1);
}

static void test_request_waits_and_goes(void **state)
{
    bound(-1, "token-refresh-zero");
    provider.hangs = true;
    request_send("GET", "", 150);
    request_send("GET", "", 5000);
    run_until(&reply.answers, 1); /* its deadline counts while it waits */
    assert_int_equal(reply.outcome, KEEPER_HTTP_NETWORK);
    assert_false(reply.may_have_left);
    http_cancel(http, request_id);
    assert_int_equal(reply.answers, 2);
    assert_int_equal(reply.outcome, KEEPER_HTTP_NETWORK);
    request_send("GET", "", 5000);
    /* Everything is taken down with a request that still waits. */
}

static void test_echo_of_any_secret(void **state)
{
    bound(3600, "token-refresh-zero");
    provider.token_status = "200 OK";
    /* /api answers with nothing secret; the filter itself has its own tests. Here: which secrets it is given. */
    CLEANUP_PTR(request_free) struct request *request = calloc(1, sizeof *request);
    char url[64];

    request->connector_fqn = strdup(FQN);
    request->binding = strdup(BINDING);
    request->url_text = strdup(provider_url("/api", url));
    assert_int_equal(url_parse(request->url_text, strlen(request->url_text), &request->url, NULL), 0);
    assert_int_equal(request_credential(request, &vault, NULL), KEEPER_HTTP_DONE);
    assert_int_equal(request->credential.tainted_len, 3);
    assert_memory_equal(secret_bytes(request->credential.tainted[0]), "token-zero", 10);
    assert_memory_equal(secret_bytes(request->credential.tainted[1]), "token-refresh-zero", 18);
    assert_memory_equal(secret_bytes(request->credential.tainted[2]), "token-client-secret", 19);
}

/* ---- revoking ---- */

static void revoke_expect(enum keeper_result result, const char *expected_effects)
{
    unsigned before = other_end.calls;

    memset(effects, 0, sizeof effects);
    oauth_revoke(oauth, BINDING, on_end, &other_end);
    run_until(&other_end.calls, before + 1);
    assert_int_equal(other_end.result, result);
    assert_string_equal(effects, expected_effects);
}

static void test_revoke(void **state)
{
    bound(3600, "token-refresh-zero");
    revoke_expect(KEEPER_OK, "ask binding.revoked;delete;");
    assert_string_equal(other_end.message, "");
    assert_int_equal(provider.revoke_requests, 1);
    assert_int_equal(strncmp(provider.revoke_form, "token=token-refresh-zero&token_type_hint=refresh_token&client_id=", 65), 0);
    revoke_expect(KEEPER_NOT_FOUND, "");
    bound(3600, NULL);
    revoke_expect(KEEPER_OK, "ask binding.revoked;delete;");
    assert_int_equal(strncmp(provider.revoke_form, "token=token-zero&token_type_hint=access_token&", 46), 0);
    bound(3600, "token-refresh-zero");
    provider.revoke_status = "503 Service Unavailable";
    revoke_expect(KEEPER_OK, "ask binding.revoked;delete;"); /* deleted all the same, and said */
    assert_non_null(strstr(other_end.message, "503"));
    bound(3600, "token-refresh-zero");
    free(TAKE_PTR(vault.grant->revoke_url));
    revoke_expect(KEEPER_OK, "ask binding.revoked;delete;");
    assert_int_equal(provider.revoke_requests, 3);
}

static void test_revoke_refused(void **state)
{
    bound(3600, "token-refresh-zero");
    receipts.fails = true;
    revoke_expect(KEEPER_FAILED, "ask binding.revoked;");
    assert_non_null(vault.grant);
    assert_int_equal(provider.revoke_requests, 0);
    vault.locked = true;
    revoke_expect(KEEPER_LOCKED, "");
}

/* The token that is revoked is the one that a refresh just brought. */
static void test_revoke_after_refresh(void **state)
{
    struct oauth_wait *wait = NULL;

    bound(3600, "token-refresh-zero");
    assert_int_equal(oauth_refresh(oauth, BINDING, on_end, &flow_end, &wait), 0);
    oauth_revoke(oauth, BINDING, on_end, &other_end);
    run_until(&other_end.calls, 1);
    assert_int_equal(flow_end.result, KEEPER_OK);
    assert_string_equal(effects, "put token-one;tell binding.refreshed;ask binding.revoked;delete;");
    assert_int_equal(strncmp(provider.revoke_form, "token=token-refresh-one&", 24), 0);
}

/* Everything under way at the end of the keeper. */
static void test_end_in_the_middle(void **state)
{
    struct oauth_wait *wait = NULL;
    struct begun begun = flow_begin();

    bound(3600, "token-refresh-zero");
    provider.hangs = true;
    come_back("state=%s&code=c", begun.state);
    flow_begin();
    assert_int_equal(oauth_refresh(oauth, BINDING, on_end, &other_end, &wait), 0);
    oauth_revoke(oauth, BINDING, on_end, &other_end);
    run_until(&provider.token_requests, 2);
    assert_int_equal(other_end.calls, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_consent),
        TEST(test_refused_at_the_provider),
        TEST(test_wrong_state),
        TEST(test_too_late),
        TEST(test_too_many),
        TEST(test_specs),
        TEST(test_token_answers),
        TEST(test_large_answer),
        TEST(test_cancelled_while_slow),
        TEST(test_no_receipt_no_binding),
        TEST(test_locked_meanwhile),
        TEST(test_disk_full),
        TEST(test_refused_by_the_vault),
        TEST(test_paste),
        TEST(test_address_rules),
        TEST(test_again_keeps_the_refresh_token),
        TEST(test_single_flight),
        TEST(test_refresh_keeps_what_is_not_sent),
        TEST(test_invalid_grant),
        TEST(test_refused_otherwise),
        TEST(test_nothing_to_refresh_with),
        TEST(test_unwritten_token),
        TEST(test_unwritten_token_at_lock),
        TEST(test_overtaken),
        TEST(test_request_with_time_left),
        TEST(test_request_refreshes_before),
        TEST(test_request_refreshes_after_401),
        TEST(test_refused_whatever_the_token),
        TEST(test_short_lived_tokens),
        TEST(test_401_without_a_way_out),
        TEST(test_401_and_a_disk_that_is_full),
        TEST(test_401_and_a_newer_token),
        TEST(test_401_storm),
        TEST(test_provider_down),
        TEST(test_expired_without_refresh_token),
        TEST(test_request_and_unwritten_token),
        TEST(test_request_waits_and_goes),
        TEST(test_echo_of_any_secret),
        TEST(test_revoke),
        TEST(test_revoke_refused),
        TEST(test_revoke_after_refresh),
        TEST(test_end_in_the_middle),
    };
    int failed = 0;

    if (memory_wipe_on_release(NULL) < 0 || trust_load(NULL, &trust, NULL) < 0 || loop_new(&loop, NULL) < 0 ||
        resolver_new(loop, "127.0.0.1:9", &resolver, NULL) < 0)
        return 1;
    json_init();
    provider_start();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    resolver_free(resolver);
    loop_free(loop);
    trust_free(&trust);
    return failed;
}
