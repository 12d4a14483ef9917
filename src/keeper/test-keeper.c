/*
 * The real aileron-keeper, driven over its channel as a broker would, honest or not,
 * with small providers on loopback. Its path is the first argument. What a refusal
 * really means is read off the providers: not one byte of HTTP arrived.
 */
#include "keeper/test-driver.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"

#include "base/banned.h"

static void test_hello_and_state(void **state)
{
    struct keeper keeper = keeper_start_raw(driver_home);
    struct wire_frame frame;
    size_t len = 0;
    const char *bindings = NULL;

    assert_int_equal(keeper.state, KEEPER_VAULT_LOCKED);
    assert_int_equal(keeper.overrides, 1);
    keeper_configure(&keeper, "");
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    assert_int_equal(keeper.state, KEEPER_VAULT_UNLOCKED);
    assert_int_equal(keeper.overrides_active, 1);
    keeper_pump(&keeper, 50);
    assert_int_equal(keeper_events(&keeper, "vault.unlocked"), 1);
    assert_int_equal(keeper.events_len, 1);
    wire_init(&frame, KEEPER_GET_STATE, 77);
    keeper_send(&keeper, &frame);
    assert_int_equal(keeper_receive(&keeper, &frame, 5000), 1);
    assert_int_equal(frame.type, KEEPER_STATE);
    assert_int_equal(frame.id, 77);
    assert_int_equal(wire_get_u8(&frame), KEEPER_VAULT_UNLOCKED);
    assert_int_equal(wire_get_u8(&frame), 1);
    wire_get_bytes(&frame, 64, &len);
    assert_int_equal(len, 32);
    wire_get_str(&frame, 1024);
    bindings = wire_get_blob(&frame, 65536, &len);
    assert_non_null(memmem(bindings, len, "\"https://a.test:443\"", 20));
    assert_int_equal(wire_end(&frame), 0);
    assert_null(memmem(frame.body.data, frame.body.len, TOKEN, strlen(TOKEN)));
    wire_free(&frame);
    keeper_stop(&keeper);
}

static void test_without_credentials(void **state)
{
    const char *argv[] = { "aileron-keeper", "--home", driver_bare, NULL };
    struct keeper keeper = keeper_exec(argv);

    keeper_hello(&keeper);
    assert_int_equal(keeper.state, KEEPER_VAULT_MISSING);
    assert_int_equal(keeper.overrides, 0);
    keeper_configure(&keeper, "");
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_BINDING_FAILED, false);
    keeper_stop(&keeper);
}

/* Overrides that were given are nothing while no development vault is open. */
static void test_locked(void **state)
{
    struct keeper keeper = keeper_start_locked();
    unsigned connections = connections_seen();

    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_BINDING_FAILED, false);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok", .binding = "" }, KEEPER_HTTP_NETWORK, false);
    assert_int_equal(connections_seen(), connections);
    assert_int_equal(door_unlock(&keeper, PASSPHRASE).result, KEEPER_OK);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    keeper_stop(&keeper);
}

static void test_get(void **state)
{
    struct keeper keeper = keeper_start();
    CLEANUP(answer_free) struct answer answer = ask(&keeper, (struct ask){ .url = "https://A.test:443/ok?q=a%20b#part" });

    assert_int_equal(answer.outcome, KEEPER_HTTP_DONE);
    assert_true(answer.may_have_left);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.retry_after_ms, -1);
    assert_string_equal(answer.body, "hello");
    assert_ptr_equal(strstr(granted.last, "GET /ok?q=a%20b HTTP/1.1\r\n"), granted.last);
    assert_non_null(strstr(granted.last, "\r\nHost: a.test\r\n"));
    assert_non_null(strstr(granted.last, "\r\nAuthorization: Bearer " TOKEN "\r\n"));
    assert_non_null(strstr(granted.last, "\r\nAccept-Encoding: identity\r\n"));
    assert_non_null(strstr(granted.last, "\r\nUser-Agent: aileron/"));
    assert_null(strcasestr(granted.last, "\r\nCookie:"));
    assert_null(strcasestr(granted.last, "\r\nContent-"));
    keeper_stop(&keeper);
}

static void test_methods_and_bodies(void **state)
{
    struct keeper keeper = keeper_start();
    static char large[200000];

    memset(large, 'z', sizeof large);
    ask_expect(&keeper,
        (struct ask){ .method = "POST",
            .url = "https://a.test/ok",
            .body = "{}",
            .headers = "Content-Type: application/json\nX-Empty:\nX-Own: value\n" },
        KEEPER_HTTP_DONE, true);
    assert_ptr_equal(strstr(granted.last, "POST /ok HTTP/1.1\r\n"), granted.last);
    assert_non_null(strstr(granted.last, "\r\nContent-Length: 2\r\n"));
    assert_non_null(strstr(granted.last, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(granted.last, "\r\nX-Empty:\r\n"));
    assert_non_null(strstr(granted.last, "\r\nX-Own: value\r\n"));
    assert_non_null(strstr(granted.last, "\r\n\r\n{}"));
    assert_null(strcasestr(granted.last, "\r\nExpect:"));
    ask_expect(&keeper, (struct ask){ .method = "PUT", .url = "https://a.test/ok", .body = large, .body_len = sizeof large },
        KEEPER_HTTP_DONE, true);
    assert_ptr_equal(strstr(granted.last, "PUT /ok HTTP/1.1\r\n"), granted.last);
    assert_non_null(strstr(granted.last, "\r\nContent-Length: 200000\r\n"));
    assert_null(strcasestr(granted.last, "\r\nContent-Type:"));
    ask_expect(&keeper, (struct ask){ .method = "POST", .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    assert_non_null(strstr(granted.last, "\r\nContent-Length: 0\r\n"));
    ask_expect(&keeper, (struct ask){ .method = "DELETE", .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    assert_ptr_equal(strstr(granted.last, "DELETE /ok HTTP/1.1\r\n"), granted.last);
    ask_expect(&keeper, (struct ask){ .method = "HEAD", .url = "https://a.test/ok", .read_only = true }, KEEPER_HTTP_DONE, true);
    assert_ptr_equal(strstr(granted.last, "HEAD /ok HTTP/1.1\r\n"), granted.last);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok", .binding = "" }, KEEPER_HTTP_DONE, true);
    assert_null(strcasestr(granted.last, "\r\nAuthorization:"));
    ask_expect(&keeper, (struct ask){ .url = "https://b.test?x", .binding = "" }, KEEPER_HTTP_DONE, true);
    assert_ptr_equal(strstr(elsewhere.last, "GET /?x HTTP/1.1\r\n"), elsewhere.last);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok", .connector = "local://other", .binding = "api_key/other/me" },
        KEEPER_HTTP_DONE, true);
    assert_non_null(strstr(granted.last, "\r\nX-Api-Key: Key " KEY "\r\n"));
    keeper_stop(&keeper);
}

static void test_lying_broker(void **state)
{
    static const struct {
        struct ask ask;
        enum keeper_http_outcome outcome;
    } lies[] = {
        { { .url = "https://b.test/ok" }, KEEPER_HTTP_DENIED },
        { { .url = "https://a.test:8443/ok", .hosts = "a.test:8443" }, KEEPER_HTTP_DENIED },
        { { .url = "http://a.test:443/ok" }, KEEPER_HTTP_DENIED },
        { { .url = "http://a.test:443/ok", .binding = "" }, KEEPER_HTTP_DENIED },
        { { .url = "https://a.test/ok", .connector = "local://evil" }, KEEPER_HTTP_BINDING_REQUIRED },
        { { .url = "https://a.test/ok", .connector = "local://other" }, KEEPER_HTTP_BINDING_REQUIRED },
        { { .url = "https://a.test/ok", .binding = "api_key/other/me" }, KEEPER_HTTP_BINDING_REQUIRED },
        { { .url = "https://a.test/ok", .binding = "oauth2/google/you" }, KEEPER_HTTP_BINDING_REQUIRED },
        { { .url = "https://a.test/ok", .hosts = "b.test:443" }, KEEPER_HTTP_DENIED },
        { { .url = "https://a.test/ok", .hosts = "" }, KEEPER_HTTP_DENIED },
        { { .url = "https://a.test@b.test/ok" }, KEEPER_HTTP_MALFORMED },
        { { .url = "https://u:p@a.test/ok" }, KEEPER_HTTP_MALFORMED },
        { { .url = "https://b.test\\@a.test/ok" }, KEEPER_HTTP_MALFORMED },
        { { .url = "https://a.test./ok" }, KEEPER_HTTP_MALFORMED },
        { { .url = "https://a.test/ok\r\nX: y" }, KEEPER_HTTP_MALFORMED },
        { { .url = "file:///etc/passwd" }, KEEPER_HTTP_MALFORMED },
        { { .url = "https://a.test/ok", .headers = "X: a\r\nY: b\n" }, KEEPER_HTTP_MALFORMED },
        { { .url = "https://a.test/ok", .headers = "Host: b.test\n" }, KEEPER_HTTP_DENIED },
        { { .url = "https://a.test/ok", .headers = "Authorization: mine\n" }, KEEPER_HTTP_DENIED },
        { { .url = "https://a.test/ok", .headers = "Transfer-Encoding: chunked\n" }, KEEPER_HTTP_DENIED },
        { { .url = "https://a.test/ok", .method = "CONNECT" }, KEEPER_HTTP_MALFORMED },
        { { .url = "https://a.test/ok", .method = "POST", .read_only = true }, KEEPER_HTTP_DENIED },
    };
    struct keeper keeper = keeper_start();
    unsigned long bytes = bytes_seen();
    unsigned connections = connections_seen();

    for (size_t i = 0; i < ARRAY_LEN(lies); i++)
        ask_expect(&keeper, lies[i].ask, lies[i].outcome, false);
    assert_int_equal(bytes_seen(), bytes);
    assert_int_equal(connections_seen(), connections);
    keeper_stop(&keeper);
}

/* Addresses of this machine, written as one, as localhost, or found under a name of /etc/hosts. */
static void test_addresses(void **state)
{
    struct keeper keeper = keeper_start();
    char url[6][96], hosts[512];
    size_t at = 0;
    unsigned connections = connections_seen();

    snprintf(url[0], sizeof url[0], "https://127.0.0.1:%u/ok", (unsigned) granted.port);
    snprintf(url[1], sizeof url[1], "http://localhost:%u/ok", (unsigned) plain.port);
    snprintf(url[2], sizeof url[2], "https://localhost:%u/ok", (unsigned) granted.port);
    snprintf(url[3], sizeof url[3], "https://[::ffff:127.0.0.1]:%u/ok", (unsigned) granted.port);
    snprintf(url[4], sizeof url[4], "https://169.254.169.254:%u/ok", (unsigned) granted.port);
    snprintf(url[5], sizeof url[5], "http://127.0.0.1:%u/ok", (unsigned) plain.port);
    for (size_t i = 0; i < ARRAY_LEN(url); i++)
        at += (size_t) snprintf(
            hosts + at, sizeof hosts - at, "%.*s\n", (int) strcspn(strchr(url[i], '/') + 2, "/"), strchr(url[i], '/') + 2);
    for (size_t i = 0; i < ARRAY_LEN(url); i++)
        ask_expect(&keeper, (struct ask){ .url = url[i], .hosts = hosts, .binding = "" }, KEEPER_HTTP_DENIED, false);
    assert_int_equal(connections_seen(), connections);

    keeper_configure(&keeper, strchr(url[1], '/') + 2);
    ask_expect(&keeper, (struct ask){ .url = url[1], .hosts = hosts, .binding = "" }, KEEPER_HTTP_DENIED, false);
    snprintf(hosts + at, sizeof hosts - at, "localhost:%u", (unsigned) plain.port);
    keeper_configure(&keeper, hosts + at);
    ask_expect(&keeper, (struct ask){ .url = url[1], .hosts = hosts, .binding = "" }, KEEPER_HTTP_DONE, true);
    ask_expect(&keeper, (struct ask){ .url = url[5], .hosts = hosts, .binding = "" }, KEEPER_HTTP_DENIED, false);
    keeper_stop(&keeper);
}

/* A name other than localhost that /etc/hosts gives a loopback address; "" when there is none. */
static void hosts_name(char *out, size_t size)
{
    FILE *file = fopen("/etc/hosts", "r");
    char line[256], address[64], name[64];

    out[0] = '\0';
    while (file && !out[0] && fgets(line, sizeof line, file))
        if (sscanf(line, "%63s %63s", address, name) == 2 && (!strncmp(address, "127.", 4) || !strcmp(address, "::1")) &&
            !strstr(name, "localhost"))
            snprintf(out, size, "%s", name);
    if (file)
        fclose(file);
}

static void test_name_of_this_machine(void **state)
{
    struct keeper keeper = keeper_start();
    char name[64], url[128], hosts[96];
    unsigned connections = connections_seen();

    hosts_name(name, sizeof name);
    if (name[0] == '\0') {
        keeper_stop(&keeper);
        print_message("SKIPPED: /etc/hosts has no loopback name other than localhost\n");
        skip();
    }
    snprintf(hosts, sizeof hosts, "%s:%u", name, (unsigned) granted.port);
    snprintf(url, sizeof url, "https://%s/ok", hosts);
    ask_expect(&keeper, (struct ask){ .url = url, .hosts = hosts, .binding = "" }, KEEPER_HTTP_DENIED, false);
    assert_int_equal(connections_seen(), connections);
    /* Exempt, it is reached; its certificate is for other names. */
    keeper_configure(&keeper, hosts);
    ask_expect(&keeper, (struct ask){ .url = url, .hosts = hosts, .binding = "" }, KEEPER_HTTP_NETWORK, false);
    assert_true(connections_seen() > connections);
    keeper_stop(&keeper);
}

static void test_tls(void **state)
{
    struct keeper keeper = keeper_start();
    unsigned long bytes = bytes_seen();

    ask_expect(&keeper, (struct ask){ .url = "https://untrusted.test/ok", .binding = "" }, KEEPER_HTTP_NETWORK, false);
    ask_expect(&keeper, (struct ask){ .url = "https://other-name.test/ok", .binding = "" }, KEEPER_HTTP_NETWORK, false);
    ask_expect(&keeper, (struct ask){ .url = "https://closed.test/ok", .binding = "" }, KEEPER_HTTP_NETWORK, false);
    assert_int_equal(bytes_seen(), bytes);
    /* A ClientHello reaches a plain server as bytes; a request does not. */
    ask_expect(
        &keeper, (struct ask){ .url = "https://plain.test/ok", .binding = "", .deadline_ms = 400 }, KEEPER_HTTP_NETWORK, false);
    assert_int_equal(atomic_load(&plain.requests), 1);
    keeper_stop(&keeper);
    assert_int_equal(access(driver_keylog, F_OK), -1);
}

static void test_redirects(void **state)
{
    static const char *const off[] = { "https://b.test/ok", "http://a.test/ok", "//b.test/ok", "https://a.test:444/ok",
        "https://a.test@b.test/ok", "https://u:p@a.test/ok", "file:///etc/passwd", "https://A.TEST.:443/ok" };
    struct keeper keeper = keeper_start();
    unsigned requests = atomic_load(&granted.requests);
    char url[128];

    ask_expect(&keeper, (struct ask){ .url = "https://a.test/hop/3" }, KEEPER_HTTP_DONE, true);
    assert_int_equal(atomic_load(&granted.requests), requests + 4);
    assert_non_null(strstr(granted.last, "\r\nAuthorization: Bearer " TOKEN "\r\n"));
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/hop/4" }, KEEPER_HTTP_REDIRECT_REFUSED, true);
    assert_int_equal(atomic_load(&granted.requests), requests + 8);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/hop/1", .method = "POST", .body = "once" },
        KEEPER_HTTP_REDIRECT_REFUSED, true);
    assert_int_equal(atomic_load(&granted.requests), requests + 9);
    requests = atomic_load(&elsewhere.requests);
    for (size_t i = 0; i < ARRAY_LEN(off); i++) {
        snprintf(url, sizeof url, "https://a.test/to?%s", off[i]);
        ask_expect(&keeper, (struct ask){ .url = url }, KEEPER_HTTP_REDIRECT_REFUSED, true);
    }
    assert_int_equal(atomic_load(&elsewhere.requests), requests);
    keeper_stop(&keeper);
}

static void test_broken_answers(void **state)
{
    static const char *const broken[] = { "https://a.test/reset", "https://a.test/close", "https://a.test/half",
        "https://a.test/garbage", "https://a.test/gzip" };
    struct keeper keeper = keeper_start();
    unsigned requests = atomic_load(&granted.requests);
    CLEANUP(answer_free) struct answer answer = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        ask_expect(&keeper, (struct ask){ .url = broken[i] }, KEEPER_HTTP_NETWORK, true);
    assert_int_equal(atomic_load(&granted.requests), requests + ARRAY_LEN(broken));
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/gzip", .binding = "" }, KEEPER_HTTP_DONE, true);
    answer = ask(&keeper, (struct ask){ .url = "https://a.test/retry/7" });
    assert_int_equal(answer.status, 429);
    assert_int_equal(answer.retry_after_ms, 7000);
    keeper_stop(&keeper);
}

static void test_large_answers(void **state)
{
    struct keeper keeper = keeper_start();
    CLEANUP(answer_free) struct answer answer = ask(&keeper, (struct ask){ .url = "https://a.test/big/8388608" });

    assert_int_equal(answer.outcome, KEEPER_HTTP_DONE);
    assert_int_equal(answer.body_len, LIMIT_RESPONSE_BYTES);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/big/8388609" }, KEEPER_HTTP_TOO_LARGE, true);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/endless" }, KEEPER_HTTP_TOO_LARGE, true);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/headers" }, KEEPER_HTTP_TOO_LARGE, true);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/big/70000" }, KEEPER_HTTP_DONE, true);
    keeper_stop(&keeper);
}

static void test_masking(void **state)
{
    static const char *const urls[] = { "https://a.test/echo", "https://a.test/split" };
    struct keeper keeper = keeper_start();

    for (size_t i = 0; i < ARRAY_LEN(urls); i++) {
        CLEANUP(answer_free) struct answer answer = ask(&keeper, (struct ask){ .url = urls[i], .headers = "X-Mine: " KEY "\n" });

        assert_int_equal(answer.outcome, KEEPER_HTTP_DONE);
        assert_non_null(strstr(answer.body, "\r\nAuthorization: Bearer [redacted]\r\n"));
        assert_non_null(strstr(answer.body, "\r\nX-Mine: " KEY "\r\n"));
        assert_null(strstr(answer.body, TOKEN));
    }
    keeper_stop(&keeper);
}

static void test_deadline_and_cancel(void **state)
{
    struct keeper keeper = keeper_start();
    struct wire_frame frame;
    struct answer answer;
    int64_t before = clock_boot_ms();
    uint32_t id = 0;

    ask_expect(&keeper, (struct ask){ .url = "https://a.test/slow", .deadline_ms = 300 }, KEEPER_HTTP_NETWORK, true);
    assert_in_range(clock_boot_ms() - before, 250, 2000);
    id = ask_send(&keeper, (struct ask){ .url = "https://a.test/slow" });
    poll(NULL, 0, 200);
    wire_init(&frame, KEEPER_HTTP_CANCEL, id);
    keeper_send(&keeper, &frame);
    answer = answer_read(&keeper);
    assert_int_equal(answer.id, id);
    assert_int_equal(answer.outcome, KEEPER_HTTP_NETWORK);
    assert_true(answer.may_have_left);
    answer_free(&answer);
    /* Too late, or for nothing: no harm. */
    wire_init(&frame, KEEPER_HTTP_CANCEL, id);
    keeper_send(&keeper, &frame);
    wire_init(&frame, KEEPER_HTTP_CANCEL, 4711);
    keeper_send(&keeper, &frame);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    keeper_stop(&keeper);
}

/* Connections are kept, but never shared between bindings, and never used for what must not be sent twice. */
static void test_connections(void **state)
{
    struct keeper keeper = keeper_start();
    unsigned connections = atomic_load(&granted.connections), requests = atomic_load(&granted.requests);

    for (int i = 0; i < 5; i++)
        ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    assert_int_equal(atomic_load(&granted.connections), connections + 1);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok", .binding = "" }, KEEPER_HTTP_DONE, true);
    assert_int_equal(atomic_load(&granted.connections), connections + 2);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok", .connector = "local://other", .binding = "api_key/other/me" },
        KEEPER_HTTP_DONE, true);
    assert_int_equal(atomic_load(&granted.connections), connections + 3);
    assert_int_equal(atomic_load(&granted.requests), requests + 7);
    /* The kept connection breaks under a GET: said, and not asked again behind the broker's back. */
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/first" }, KEEPER_HTTP_NETWORK, true);
    assert_int_equal(atomic_load(&granted.requests), requests + 8);
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/first" }, KEEPER_HTTP_DONE, true);
    /* It would break under a POST as well, so a POST has a connection of its own. */
    ask_expect(&keeper, (struct ask){ .url = "https://a.test/first", .method = "POST", .body = "once" }, KEEPER_HTTP_DONE, true);
    assert_int_equal(atomic_load(&granted.requests), requests + 10);
    keeper_stop(&keeper);
}

static void test_many_at_once(void **state)
{
    struct keeper keeper = keeper_start();
    bool seen[201] = { false };

    for (int i = 0; i < 200; i++)
        ask_send(&keeper, (struct ask){ .url = i % 2 ? "https://a.test/ok" : "https://b.test/ok", .binding = i % 2 ? NULL : "" });
    for (int i = 0; i < 200; i++) {
        CLEANUP(answer_free) struct answer answer = answer_read(&keeper);

        assert_int_equal(answer.outcome, KEEPER_HTTP_DONE);
        assert_in_range(answer.id, 1, 200);
        assert_false(seen[answer.id]);
        seen[answer.id] = true;
    }
    keeper_stop(&keeper);
}

/* Each of these ends the keeper, with one line on standard error. */
static void offence(struct keeper *keeper, struct wire_frame *frame)
{
    char errors[1024];
    int status = 0;

    keeper_send(keeper, frame);
    status = keeper_reap(keeper, 5000);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    keeper_errors(keeper, errors, sizeof errors);
    close(keeper->errors);
    assert_ptr_equal(strstr(errors, "aileron-keeper: "), errors);
    assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
}

static void test_broken_request(void **state)
{
    struct keeper keeper = keeper_start_locked();
    struct wire_frame frame;

    wire_init(&frame, KEEPER_HTTP, 1);
    wire_put_str(&frame, "local://google");
    offence(&keeper, &frame);
}

static void test_same_id_twice(void **state)
{
    struct keeper keeper = keeper_start();
    int status = 0;

    ask_send(&keeper, (struct ask){ .url = "https://a.test/slow" });
    keeper.next_id--;
    ask_send(&keeper, (struct ask){ .url = "https://a.test/slow" });
    status = keeper_reap(&keeper, 5000);
    close(keeper.errors);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

/* Sends request after request and reads nothing, until the keeper has had enough. */
static void flood(const char *url)
{
    struct keeper keeper = keeper_start();
    struct wire_frame frame;
    int r = 0, status = 0;

    for (uint32_t id = 1; r == 0 && id < 5000; id++) {
        wire_init(&frame, KEEPER_HTTP, id);
        wire_put_str(&frame, "local://google");
        wire_put_str(&frame, "oauth2/google/me");
        wire_put_str(&frame, "GET");
        wire_put_str(&frame, url);
        wire_put_str(&frame, "");
        wire_put_blob(&frame, "", 0);
        wire_put_u8(&frame, 0);
        wire_put_str(&frame, HOSTS);
        wire_put_u32(&frame, 60000);
        wire_put_u8(&frame, 0);
        r = wire_send(keeper.channel, &frame);
        wire_free(&frame);
    }
    assert_true(r < 0);
    status = keeper_reap(&keeper, 5000);
    close(keeper.errors);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void test_flood_of_requests(void **state)
{
    flood("https://a.test/slow");
}

static void test_flood_of_unread_answers(void **state)
{
    flood("https://denied.test/");
}

static void test_signal(void **state)
{
    struct keeper keeper = keeper_start();
    int status = 0;

    ask_expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    kill(keeper.pid, SIGTERM);
    status = keeper_reap(&keeper, 3000);
    close(keeper.errors);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void refuses(const char *const *argv, const char *words)
{
    struct keeper keeper = keeper_exec(argv);
    char errors[1024];
    int status = keeper_reap(&keeper, 5000);

    keeper_errors(&keeper, errors, sizeof errors);
    close(keeper.errors);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    if (!strstr(errors, words) || strstr(errors, TOKEN))
        fail_msg("said: %s", errors);
}

static void test_command_line(void **state)
{
    refuses((const char *[]){ "aileron-keeper", NULL }, "--home");
    refuses((const char *[]){ "aileron-keeper", "--home", "relative", NULL }, "--home");
    refuses((const char *[]){ "aileron-keeper", "--home", driver_home, "--insecure", NULL }, "option");
    refuses((const char *[]){ "aileron-keeper", "--home", driver_home, "--dev-credentials", "/nonexistent", NULL }, "option");
    refuses((const char *[]){ "aileron-keeper", "--home", driver_home, "--dev-ca", "/nonexistent", NULL }, "--dev-ca");
    refuses((const char *[]){ "aileron-keeper", "--home", driver_home, "--dev-connect-to", "::b:2", NULL }, "--dev-connect-to");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_and_state),
        cmocka_unit_test(test_without_credentials),
        cmocka_unit_test(test_locked),
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_methods_and_bodies),
        cmocka_unit_test(test_lying_broker),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_name_of_this_machine),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_redirects),
        cmocka_unit_test(test_broken_answers),
        cmocka_unit_test(test_large_answers),
        cmocka_unit_test(test_masking),
        cmocka_unit_test(test_deadline_and_cancel),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_many_at_once),
        cmocka_unit_test(test_broken_request),
        cmocka_unit_test(test_same_id_twice),
        cmocka_unit_test(test_flood_of_requests),
        cmocka_unit_test(test_flood_of_unread_answers),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_command_line),
    };

    if (argc != 2)
        return 2;
    driver_program = argv[1];
    return cmocka_run_group_tests(tests, driver_setup, driver_teardown);
}
