/*
 * The real aileron-keeper, driven over its channel as a broker would, honest or not,
 * with small providers on loopback. Its path is the first argument. What a refusal
 * really means is read off the providers: not one byte of HTTP arrived.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "keeper/client.h"
#include "keeper/test-provider.h"
#include "wire/frame.h"

#include "base/banned.h"

#define TOKEN "token-of-the-person-7b1f"
#define KEY   "key-of-the-other-9c2e"
#define HOSTS "a.test:443\nb.test:443\nclosed.test:443\nuntrusted.test:443\nother-name.test:443\nplain.test:443"

static const char *program;
static char dir[] = "/tmp/aileron-keeper-XXXXXX";
static char creds_path[64], ca_path[64], keylog_path[64];
static struct provider granted, elsewhere, untrusted, plain;

/* ---- one keeper ---- */

struct keeper {
    pid_t pid;
    int channel;
    int errors; /* its standard error */
    uint32_t next_id;
    uint8_t state;
    uint8_t overrides;
};

struct answer {
    uint32_t id;
    uint8_t outcome;
    uint8_t may_have_left;
    uint32_t status;
    int64_t retry_after_ms;
    char *body;
    size_t body_len;
    char message[512];
};

static void child_exec(int channel, int errors, const char *const *argv)
{
    char keylog[96], bundle[96];
    const char *envp[] = { keylog, bundle, "HTTPS_PROXY=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1",
        "ALL_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1", "RES_OPTIONS=timeout:1", NULL };

    snprintf(keylog, sizeof keylog, "SSLKEYLOGFILE=%s", keylog_path);
    snprintf(bundle, sizeof bundle, "SSL_CERT_FILE=/dev/null");
    dup2(errors, STDERR_FILENO);
    dup2(channel, KEEPER_CHANNEL_FD);
    close_range(KEEPER_CHANNEL_FD + 1, ~0u, 0);
    execve(program, (char *const *) argv, (char *const *) envp);
    _exit(127);
}

static struct keeper keeper_exec(const char *const *argv)
{
    struct keeper keeper = { .next_id = 1 };
    int pair[2], errors[2];

    assert_int_equal(wire_pair(pair), 0);
    assert_int_equal(pipe2(errors, O_CLOEXEC | O_NONBLOCK), 0);
    keeper.pid = fork();
    if (keeper.pid == 0) {
        /* Above the numbers that are given to the child, and without close-on-exec there. */
        int channel = fcntl(pair[1], F_DUPFD, 100), standard_error = fcntl(errors[1], F_DUPFD, 100);

        child_exec(channel, standard_error, argv);
    }
    assert_true(keeper.pid > 0);
    close(pair[1]);
    close(errors[1]);
    keeper.channel = pair[0];
    keeper.errors = errors[0];
    return keeper;
}

/* Waits for a frame; 0 when the keeper closed, -1 when nothing came in time. */
static int frame_wait(struct keeper *keeper, struct wire_frame *frame, int timeout_ms)
{
    struct pollfd poller = { keeper->channel, POLLIN, 0 };

    if (poll(&poller, 1, timeout_ms) != 1)
        return -1;
    return wire_recv(keeper->channel, frame);
}

static void send_frame(struct keeper *keeper, struct wire_frame *frame)
{
    assert_int_equal(wire_send(keeper->channel, frame), 0);
    wire_free(frame);
}

static void configure(struct keeper *keeper, const char *allow_private)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_CONFIGURE, 0);
    wire_put_str(&frame, allow_private);
    send_frame(keeper, &frame);
}

static void hello_read(struct keeper *keeper)
{
    struct wire_frame frame;

    assert_int_equal(frame_wait(keeper, &frame, 10000), 1);
    assert_int_equal(frame.type, KEEPER_HELLO);
    assert_int_equal(wire_get_u32(&frame), KEEPER_PROTOCOL_VERSION);
    keeper->state = wire_get_u8(&frame);
    assert_true(strlen(wire_get_str(&frame, 1024)) > 0);
    keeper->overrides = wire_get_u8(&frame);
    wire_get_str(&frame, 1024);
    assert_int_equal(wire_end(&frame), 0);
    wire_free(&frame);
}

/* With credentials, overrides for the names of HOSTS, and the test CA. Not configured yet. */
static struct keeper keeper_start_raw(void)
{
    static char rows[6][64];
    const char *const names[] = { "a.test", "b.test", "closed.test", "untrusted.test", "other-name.test", "plain.test" };
    const uint16_t ports[] = { granted.port, elsewhere.port, provider_closed_port(), untrusted.port, granted.port, plain.port };
    const char *argv[32] = { "aileron-keeper", "--home", dir, "--dev-credentials", creds_path, "--dev-ca", ca_path };
    size_t n = 7;
    struct keeper keeper;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(rows[i], sizeof rows[i], "%s:443:127.0.0.1:%u", names[i], (unsigned) ports[i]);
        argv[n++] = "--dev-connect-to";
        argv[n++] = rows[i];
    }
    keeper = keeper_exec(argv);
    hello_read(&keeper);
    return keeper;
}

static struct keeper keeper_start(void)
{
    struct keeper keeper = keeper_start_raw();

    configure(&keeper, "");
    return keeper;
}

/* What it wrote to standard error. */
static void errors_read(struct keeper *keeper, char *out, size_t size)
{
    ssize_t n = 0;
    size_t len = 0;

    while (len + 1 < size && (n = read(keeper->errors, out + len, size - 1 - len)) > 0)
        len += (size_t) n;
    out[len] = '\0';
}

/* Waits for its end; the wait status. */
static int keeper_reap(struct keeper *keeper, int timeout_ms)
{
    int status = 0;
    int64_t until = clock_boot_ms() + timeout_ms;

    while (waitpid(keeper->pid, &status, WNOHANG) == 0) {
        if (clock_boot_ms() > until) {
            kill(keeper->pid, SIGKILL);
            waitpid(keeper->pid, &status, 0);
            fail_msg("the keeper did not end");
        }
        poll(NULL, 0, 5);
    }
    close(keeper->channel);
    return status;
}

/* The broker goes away: the keeper ends at once, quietly. */
static void keeper_stop(struct keeper *keeper)
{
    char errors[4096];
    int status = 0;

    shutdown(keeper->channel, SHUT_RDWR);
    status = keeper_reap(keeper, 3000);
    errors_read(keeper, errors, sizeof errors);
    close(keeper->errors);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the keeper ended with status %x: %s", (unsigned) status, errors);
    assert_string_equal(errors, "");
}

/* ---- one request ---- */

struct ask {
    const char *connector, *binding, *method, *url, *headers, *body, *hosts;
    size_t body_len;
    uint32_t deadline_ms;
    bool read_only;
};

static uint32_t ask_send(struct keeper *keeper, struct ask ask)
{
    struct wire_frame frame;
    size_t body_len = ask.body && !ask.body_len ? strlen(ask.body) : ask.body_len;

    wire_init(&frame, KEEPER_HTTP, keeper->next_id++);
    wire_put_str(&frame, ask.connector ? ask.connector : "local://google");
    wire_put_str(&frame, ask.binding ? ask.binding : "oauth2/google/me");
    wire_put_str(&frame, ask.method ? ask.method : "GET");
    wire_put_str(&frame, ask.url);
    wire_put_str(&frame, ask.headers);
    wire_put_blob(&frame, ask.body ? ask.body : "", body_len);
    wire_put_u8(&frame, ask.body != NULL);
    wire_put_str(&frame, ask.hosts ? ask.hosts : HOSTS);
    wire_put_u32(&frame, ask.deadline_ms ? ask.deadline_ms : 10000);
    wire_put_u8(&frame, ask.read_only);
    send_frame(keeper, &frame);
    return keeper->next_id - 1;
}

static void answer_free(struct answer *answer)
{
    free(answer->body);
}

static struct answer answer_read(struct keeper *keeper)
{
    struct wire_frame frame;
    struct answer answer = { 0 };
    const void *body = NULL;
    char errors[1024];
    int r = frame_wait(keeper, &frame, 15000);

    if (r != 1) {
        errors_read(keeper, errors, sizeof errors);
        fail_msg("no answer (%d): %s", r, errors);
    }
    assert_int_equal(frame.type, KEEPER_HTTP_RESULT);
    answer.id = frame.id;
    answer.outcome = wire_get_u8(&frame);
    answer.may_have_left = wire_get_u8(&frame);
    answer.status = wire_get_u32(&frame);
    answer.retry_after_ms = wire_get_i64(&frame);
    body = wire_get_blob(&frame, LIMIT_RESPONSE_BYTES, &answer.body_len);
    answer.body = calloc(1, answer.body_len + 1);
    assert_non_null(answer.body);
    memcpy(answer.body, body, answer.body_len);
    snprintf(answer.message, sizeof answer.message, "%s", wire_get_str(&frame, 511));
    assert_int_equal(wire_end(&frame), 0);
    wire_free(&frame);
    assert_true((answer.outcome == KEEPER_HTTP_DONE) == (answer.message[0] == '\0'));
    assert_null(strstr(answer.message, TOKEN));
    assert_null(memmem(answer.body, answer.body_len, TOKEN, strlen(TOKEN)));
    return answer;
}

static struct answer ask(struct keeper *keeper, struct ask what)
{
    uint32_t id = ask_send(keeper, what);
    struct answer answer = answer_read(keeper);

    assert_int_equal(answer.id, id);
    return answer;
}

/* Asks and compares outcome and "may have left". */
static void expect(struct keeper *keeper, struct ask what, enum keeper_http_outcome outcome, bool may_have_left)
{
    CLEANUP(answer_free) struct answer answer = ask(keeper, what);

    if (answer.outcome != outcome || answer.may_have_left != may_have_left)
        fail_msg("%s: outcome %u, may have left %u (%s)", what.url, answer.outcome, answer.may_have_left, answer.message);
}

static unsigned long bytes_seen(void)
{
    return atomic_load(&granted.bytes) + atomic_load(&elsewhere.bytes) + atomic_load(&untrusted.bytes) +
           atomic_load(&plain.bytes);
}

static unsigned connections_seen(void)
{
    return atomic_load(&granted.connections) + atomic_load(&elsewhere.connections) + atomic_load(&untrusted.connections) +
           atomic_load(&plain.connections);
}

/* ---- tests ---- */

static void test_hello_and_state(void **state)
{
    struct keeper keeper = keeper_start();
    struct wire_frame frame;

    assert_int_equal(keeper.state, KEEPER_VAULT_DEVELOPMENT);
    assert_int_equal(keeper.overrides, 1);
    wire_init(&frame, KEEPER_GET_STATE, 77);
    send_frame(&keeper, &frame);
    assert_int_equal(frame_wait(&keeper, &frame, 5000), 1);
    assert_int_equal(frame.type, KEEPER_STATE);
    assert_int_equal(frame.id, 77);
    assert_int_equal(wire_get_u8(&frame), KEEPER_VAULT_DEVELOPMENT);
    assert_non_null(strstr(wire_get_str(&frame, 65536), "\"origins\":[\"https://a.test:443\""));
    assert_int_equal(wire_end(&frame), 0);
    assert_null(memmem(frame.body.data, frame.body.len, TOKEN, strlen(TOKEN)));
    wire_free(&frame);
    keeper_stop(&keeper);
}

static void test_without_credentials(void **state)
{
    const char *argv[] = { "aileron-keeper", "--home", dir, NULL };
    struct keeper keeper = keeper_exec(argv);

    hello_read(&keeper);
    assert_int_equal(keeper.state, KEEPER_VAULT_MISSING);
    assert_int_equal(keeper.overrides, 0);
    configure(&keeper, "");
    expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_BINDING_REQUIRED, false);
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
    expect(&keeper,
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
    expect(&keeper, (struct ask){ .method = "PUT", .url = "https://a.test/ok", .body = large, .body_len = sizeof large },
        KEEPER_HTTP_DONE, true);
    assert_ptr_equal(strstr(granted.last, "PUT /ok HTTP/1.1\r\n"), granted.last);
    assert_non_null(strstr(granted.last, "\r\nContent-Length: 200000\r\n"));
    assert_null(strcasestr(granted.last, "\r\nContent-Type:"));
    expect(&keeper, (struct ask){ .method = "POST", .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    assert_non_null(strstr(granted.last, "\r\nContent-Length: 0\r\n"));
    expect(&keeper, (struct ask){ .method = "DELETE", .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    assert_ptr_equal(strstr(granted.last, "DELETE /ok HTTP/1.1\r\n"), granted.last);
    expect(&keeper, (struct ask){ .method = "HEAD", .url = "https://a.test/ok", .read_only = true }, KEEPER_HTTP_DONE, true);
    assert_ptr_equal(strstr(granted.last, "HEAD /ok HTTP/1.1\r\n"), granted.last);
    expect(&keeper, (struct ask){ .url = "https://a.test/ok", .binding = "" }, KEEPER_HTTP_DONE, true);
    assert_null(strcasestr(granted.last, "\r\nAuthorization:"));
    expect(&keeper, (struct ask){ .url = "https://b.test?x", .binding = "" }, KEEPER_HTTP_DONE, true);
    assert_ptr_equal(strstr(elsewhere.last, "GET /?x HTTP/1.1\r\n"), elsewhere.last);
    expect(&keeper, (struct ask){ .url = "https://a.test/ok", .connector = "local://other", .binding = "api_key/other/me" },
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
        expect(&keeper, lies[i].ask, lies[i].outcome, false);
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
        expect(&keeper, (struct ask){ .url = url[i], .hosts = hosts, .binding = "" }, KEEPER_HTTP_DENIED, false);
    assert_int_equal(connections_seen(), connections);

    configure(&keeper, strchr(url[1], '/') + 2);
    expect(&keeper, (struct ask){ .url = url[1], .hosts = hosts, .binding = "" }, KEEPER_HTTP_DENIED, false);
    snprintf(hosts + at, sizeof hosts - at, "localhost:%u", (unsigned) plain.port);
    configure(&keeper, hosts + at);
    expect(&keeper, (struct ask){ .url = url[1], .hosts = hosts, .binding = "" }, KEEPER_HTTP_DONE, true);
    expect(&keeper, (struct ask){ .url = url[5], .hosts = hosts, .binding = "" }, KEEPER_HTTP_DENIED, false);
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
    expect(&keeper, (struct ask){ .url = url, .hosts = hosts, .binding = "" }, KEEPER_HTTP_DENIED, false);
    assert_int_equal(connections_seen(), connections);
    /* Exempt, it is reached; its certificate is for other names. */
    configure(&keeper, hosts);
    expect(&keeper, (struct ask){ .url = url, .hosts = hosts, .binding = "" }, KEEPER_HTTP_NETWORK, false);
    assert_true(connections_seen() > connections);
    keeper_stop(&keeper);
}

static void test_tls(void **state)
{
    struct keeper keeper = keeper_start();
    unsigned long bytes = bytes_seen();

    expect(&keeper, (struct ask){ .url = "https://untrusted.test/ok", .binding = "" }, KEEPER_HTTP_NETWORK, false);
    expect(&keeper, (struct ask){ .url = "https://other-name.test/ok", .binding = "" }, KEEPER_HTTP_NETWORK, false);
    expect(&keeper, (struct ask){ .url = "https://closed.test/ok", .binding = "" }, KEEPER_HTTP_NETWORK, false);
    assert_int_equal(bytes_seen(), bytes);
    /* A ClientHello reaches a plain server as bytes; a request does not. */
    expect(
        &keeper, (struct ask){ .url = "https://plain.test/ok", .binding = "", .deadline_ms = 400 }, KEEPER_HTTP_NETWORK, false);
    assert_int_equal(atomic_load(&plain.requests), 1);
    keeper_stop(&keeper);
    assert_int_equal(access(keylog_path, F_OK), -1);
}

static void test_redirects(void **state)
{
    static const char *const off[] = { "https://b.test/ok", "http://a.test/ok", "//b.test/ok", "https://a.test:444/ok",
        "https://a.test@b.test/ok", "https://u:p@a.test/ok", "file:///etc/passwd", "https://A.TEST.:443/ok" };
    struct keeper keeper = keeper_start();
    unsigned requests = atomic_load(&granted.requests);
    char url[128];

    expect(&keeper, (struct ask){ .url = "https://a.test/hop/3" }, KEEPER_HTTP_DONE, true);
    assert_int_equal(atomic_load(&granted.requests), requests + 4);
    assert_non_null(strstr(granted.last, "\r\nAuthorization: Bearer " TOKEN "\r\n"));
    expect(&keeper, (struct ask){ .url = "https://a.test/hop/4" }, KEEPER_HTTP_REDIRECT_REFUSED, true);
    assert_int_equal(atomic_load(&granted.requests), requests + 8);
    expect(&keeper, (struct ask){ .url = "https://a.test/hop/1", .method = "POST", .body = "once" }, KEEPER_HTTP_REDIRECT_REFUSED,
        true);
    assert_int_equal(atomic_load(&granted.requests), requests + 9);
    requests = atomic_load(&elsewhere.requests);
    for (size_t i = 0; i < ARRAY_LEN(off); i++) {
        snprintf(url, sizeof url, "https://a.test/to?%s", off[i]);
        expect(&keeper, (struct ask){ .url = url }, KEEPER_HTTP_REDIRECT_REFUSED, true);
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
        expect(&keeper, (struct ask){ .url = broken[i] }, KEEPER_HTTP_NETWORK, true);
    assert_int_equal(atomic_load(&granted.requests), requests + ARRAY_LEN(broken));
    expect(&keeper, (struct ask){ .url = "https://a.test/gzip", .binding = "" }, KEEPER_HTTP_DONE, true);
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
    expect(&keeper, (struct ask){ .url = "https://a.test/big/8388609" }, KEEPER_HTTP_TOO_LARGE, true);
    expect(&keeper, (struct ask){ .url = "https://a.test/endless" }, KEEPER_HTTP_TOO_LARGE, true);
    expect(&keeper, (struct ask){ .url = "https://a.test/headers" }, KEEPER_HTTP_TOO_LARGE, true);
    expect(&keeper, (struct ask){ .url = "https://a.test/big/70000" }, KEEPER_HTTP_DONE, true);
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

    expect(&keeper, (struct ask){ .url = "https://a.test/slow", .deadline_ms = 300 }, KEEPER_HTTP_NETWORK, true);
    assert_in_range(clock_boot_ms() - before, 250, 2000);
    id = ask_send(&keeper, (struct ask){ .url = "https://a.test/slow" });
    poll(NULL, 0, 200);
    wire_init(&frame, KEEPER_HTTP_CANCEL, id);
    send_frame(&keeper, &frame);
    answer = answer_read(&keeper);
    assert_int_equal(answer.id, id);
    assert_int_equal(answer.outcome, KEEPER_HTTP_NETWORK);
    assert_true(answer.may_have_left);
    answer_free(&answer);
    /* Too late, or for nothing: no harm. */
    wire_init(&frame, KEEPER_HTTP_CANCEL, id);
    send_frame(&keeper, &frame);
    wire_init(&frame, KEEPER_HTTP_CANCEL, 4711);
    send_frame(&keeper, &frame);
    expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    keeper_stop(&keeper);
}

/* Connections are kept, but never shared between bindings, and never used for what must not be sent twice. */
static void test_connections(void **state)
{
    struct keeper keeper = keeper_start();
    unsigned connections = atomic_load(&granted.connections), requests = atomic_load(&granted.requests);

    for (int i = 0; i < 5; i++)
        expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
    assert_int_equal(atomic_load(&granted.connections), connections + 1);
    expect(&keeper, (struct ask){ .url = "https://a.test/ok", .binding = "" }, KEEPER_HTTP_DONE, true);
    assert_int_equal(atomic_load(&granted.connections), connections + 2);
    expect(&keeper, (struct ask){ .url = "https://a.test/ok", .connector = "local://other", .binding = "api_key/other/me" },
        KEEPER_HTTP_DONE, true);
    assert_int_equal(atomic_load(&granted.connections), connections + 3);
    assert_int_equal(atomic_load(&granted.requests), requests + 7);
    /* The kept connection breaks under a GET: said, and not asked again behind the broker's back. */
    expect(&keeper, (struct ask){ .url = "https://a.test/first" }, KEEPER_HTTP_NETWORK, true);
    assert_int_equal(atomic_load(&granted.requests), requests + 8);
    expect(&keeper, (struct ask){ .url = "https://a.test/first" }, KEEPER_HTTP_DONE, true);
    /* It would break under a POST as well, so a POST has a connection of its own. */
    expect(&keeper, (struct ask){ .url = "https://a.test/first", .method = "POST", .body = "once" }, KEEPER_HTTP_DONE, true);
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

    send_frame(keeper, frame);
    status = keeper_reap(keeper, 5000);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    errors_read(keeper, errors, sizeof errors);
    close(keeper->errors);
    assert_ptr_equal(strstr(errors, "aileron-keeper: "), errors);
    assert_ptr_equal(strchr(errors, '\n'), errors + strlen(errors) - 1);
}

static void test_out_of_turn(void **state)
{
    static const uint16_t types[] = { 0, KEEPER_HELLO, KEEPER_STATE, KEEPER_HTTP_RESULT, 8, 0xffff };
    struct wire_frame frame;
    struct keeper keeper;

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        keeper = keeper_start();
        wire_init(&frame, types[i], 1);
        offence(&keeper, &frame);
    }
    keeper = keeper_start_raw();
    wire_init(&frame, KEEPER_GET_STATE, 1);
    offence(&keeper, &frame);
    keeper = keeper_start();
    wire_init(&frame, KEEPER_GET_STATE, 1);
    wire_put_u8(&frame, 0);
    offence(&keeper, &frame);
    keeper = keeper_start();
    wire_init(&frame, KEEPER_CONFIGURE, 1);
    offence(&keeper, &frame);
    keeper = keeper_start();
    wire_init(&frame, KEEPER_HTTP, 1);
    wire_put_str(&frame, "local://google");
    offence(&keeper, &frame);
    keeper = keeper_start();
    wire_init(&frame, KEEPER_GET_STATE, 1);
    wire_put_fd(&frame, dup(0));
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

static void test_flood(void **state)
{
    struct keeper keeper = keeper_start();
    struct wire_frame frame;
    int r = 0, status = 0;

    for (uint32_t id = 1; r == 0 && id < 5000; id++) {
        wire_init(&frame, KEEPER_HTTP, id);
        wire_put_str(&frame, "local://google");
        wire_put_str(&frame, "oauth2/google/me");
        wire_put_str(&frame, "GET");
        wire_put_str(&frame, "https://a.test/slow");
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

static void test_signal(void **state)
{
    struct keeper keeper = keeper_start();
    int status = 0;

    expect(&keeper, (struct ask){ .url = "https://a.test/ok" }, KEEPER_HTTP_DONE, true);
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

    errors_read(&keeper, errors, sizeof errors);
    close(keeper.errors);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    if (!strstr(errors, words) || strstr(errors, TOKEN))
        fail_msg("said: %s", errors);
}

static void test_command_line(void **state)
{
    refuses((const char *[]){ "aileron-keeper", NULL }, "--home");
    refuses((const char *[]){ "aileron-keeper", "--home", "relative", NULL }, "--home");
    refuses((const char *[]){ "aileron-keeper", "--home", dir, "--insecure", NULL }, "option");
    refuses((const char *[]){ "aileron-keeper", "--home", dir, "--dev-ca", ca_path, NULL }, "--dev-credentials");
    refuses((const char *[]){ "aileron-keeper", "--home", dir, "--dev-connect-to", "a:1:b:2", NULL }, "--dev-credentials");
    refuses((const char *[]){ "aileron-keeper", "--home", dir, "--dev-credentials", "/nonexistent", NULL }, "/nonexistent");
    refuses((const char *[]){ "aileron-keeper", "--home", dir, "--dev-credentials", ca_path, NULL }, ca_path);
    refuses((const char *[]){ "aileron-keeper", "--home", dir, "--dev-credentials", creds_path, "--dev-ca", creds_path, NULL },
        "--dev-ca");
    refuses(
        (const char *[]){ "aileron-keeper", "--home", dir, "--dev-credentials", creds_path, "--dev-connect-to", "::b:2", NULL },
        "--dev-connect-to");
}

/* ---- */

static int setup(void **state)
{
    static const char credentials[] =
        "{\"credentials\":[{\"binding\":\"oauth2/google/me\",\"connector_fqn\":\"local://"
        "google\",\"kind\":\"oauth2\",\"origins\":["
        "\"https://a.test:443\"],\"value\":\"" TOKEN "\"},{\"binding\":\"api_key/other/me\",\"connector_fqn\":\"local://other\","
        "\"kind\":\"api_key\",\"header\":\"X-Api-Key\",\"format\":\"Key {key}\",\"origins\":[\"https://a.test\"],\"value\":\"" KEY
        "\"}]}";
    SSL_CTX *tls = NULL;

    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(dir))
        return -1;
    snprintf(creds_path, sizeof creds_path, "%s/creds.json", dir);
    snprintf(ca_path, sizeof ca_path, "%s/ca.pem", dir);
    snprintf(keylog_path, sizeof keylog_path, "%s/keys.log", dir);
    tls = provider_tls(ca_path, "DNS:a.test,DNS:b.test");
    provider_start(&granted, tls);
    provider_start(&elsewhere, tls);
    provider_start(&untrusted, provider_tls(NULL, "DNS:untrusted.test"));
    provider_start(&plain, NULL);
    return file_write_atomic(AT_FDCWD, creds_path, credentials, strlen(credentials), 0600, NULL);
}

static int teardown(void **state)
{
    return file_remove_tree(AT_FDCWD, dir);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_and_state),
        cmocka_unit_test(test_without_credentials),
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
        cmocka_unit_test(test_out_of_turn),
        cmocka_unit_test(test_same_id_twice),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_command_line),
    };

    if (argc != 2)
        return 2;
    program = argv[1];
    return cmocka_run_group_tests(tests, setup, teardown);
}
