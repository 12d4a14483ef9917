/* See the header. */
#include "keeper/test-driver.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"

#include "base/banned.h"

const char *driver_program;
char driver_home[] = "/tmp/aileron-keeper-XXXXXX";
char driver_creds[64], driver_ca[64], driver_keylog[64];
struct provider granted, elsewhere, untrusted, plain;

static void child_exec(int channel, int errors, const char *const *argv)
{
    char keylog[96], bundle[96];
    const char *envp[] = { keylog, bundle, "HTTPS_PROXY=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1",
        "ALL_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1", "RES_OPTIONS=timeout:1", NULL };

    snprintf(keylog, sizeof keylog, "SSLKEYLOGFILE=%s", driver_keylog);
    snprintf(bundle, sizeof bundle, "SSL_CERT_FILE=/dev/null");
    dup2(errors, STDERR_FILENO);
    dup2(channel, KEEPER_CHANNEL_FD);
    close_range(KEEPER_CHANNEL_FD + 1, ~0u, 0);
    execve(driver_program, (char *const *) argv, (char *const *) envp);
    _exit(127);
}

struct keeper keeper_exec(const char *const *argv)
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
int keeper_receive(struct keeper *keeper, struct wire_frame *frame, int timeout_ms)
{
    struct pollfd poller = { keeper->channel, POLLIN, 0 };

    if (poll(&poller, 1, timeout_ms) != 1)
        return -1;
    return wire_recv(keeper->channel, frame);
}

void keeper_send(struct keeper *keeper, struct wire_frame *frame)
{
    assert_int_equal(wire_send(keeper->channel, frame), 0);
    wire_free(frame);
}

void keeper_configure(struct keeper *keeper, const char *allow_private)
{
    struct wire_frame frame = { 0 };

    wire_init(&frame, KEEPER_CONFIGURE, 0);
    wire_put_str(&frame, allow_private);
    keeper_send(keeper, &frame);
}

void keeper_hello(struct keeper *keeper)
{
    struct wire_frame frame = { 0 };

    assert_int_equal(keeper_receive(keeper, &frame, 10000), 1);
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
struct keeper keeper_start_raw(void)
{
    static char rows[6][64];
    const char *const names[] = { "a.test", "b.test", "closed.test", "untrusted.test", "other-name.test", "plain.test" };
    const uint16_t ports[] = { granted.port, elsewhere.port, provider_closed_port(), untrusted.port, granted.port, plain.port };
    const char *argv[32] = { "aileron-keeper", "--home", driver_home, "--dev-credentials", driver_creds, "--dev-ca", driver_ca };
    size_t n = 7;
    struct keeper keeper;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(rows[i], sizeof rows[i], "%s:443:127.0.0.1:%u", names[i], (unsigned) ports[i]);
        argv[n++] = "--dev-connect-to";
        argv[n++] = rows[i];
    }
    keeper = keeper_exec(argv);
    keeper_hello(&keeper);
    return keeper;
}

struct keeper keeper_start(void)
{
    struct keeper keeper = keeper_start_raw();

    keeper_configure(&keeper, "");
    return keeper;
}

/* What it wrote to standard error. */
void keeper_errors(struct keeper *keeper, char *out, size_t size)
{
    ssize_t n = 0;
    size_t len = 0;

    while (len + 1 < size && (n = read(keeper->errors, out + len, size - 1 - len)) > 0)
        len += (size_t) n;
    out[len] = '\0';
}

/* Waits for its end; the wait status. */
int keeper_reap(struct keeper *keeper, int timeout_ms)
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
void keeper_stop(struct keeper *keeper)
{
    char errors[4096];
    int status = 0;

    shutdown(keeper->channel, SHUT_RDWR);
    status = keeper_reap(keeper, 3000);
    keeper_errors(keeper, errors, sizeof errors);
    close(keeper->errors);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the keeper ended with status %x: %s", (unsigned) status, errors);
    assert_string_equal(errors, "");
}

uint32_t ask_send(struct keeper *keeper, struct ask ask)
{
    struct wire_frame frame = { 0 };
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
    keeper_send(keeper, &frame);
    return keeper->next_id - 1;
}

void answer_free(struct answer *answer)
{
    free(answer->body);
}

struct answer answer_read(struct keeper *keeper)
{
    struct wire_frame frame = { 0 };
    struct answer answer = { 0 };
    const void *body = NULL;
    char errors[1024];
    int r = keeper_receive(keeper, &frame, 15000);

    if (r != 1) {
        keeper_errors(keeper, errors, sizeof errors);
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

struct answer ask(struct keeper *keeper, struct ask what)
{
    uint32_t id = ask_send(keeper, what);
    struct answer answer = answer_read(keeper);

    assert_int_equal(answer.id, id);
    return answer;
}

/* Asks and compares outcome and "may have left". */
void ask_expect(struct keeper *keeper, struct ask what, enum keeper_http_outcome outcome, bool may_have_left)
{
    CLEANUP(answer_free) struct answer answer = ask(keeper, what);

    if (answer.outcome != outcome || answer.may_have_left != may_have_left)
        fail_msg("%s: outcome %u, may have left %u (%s)", what.url, answer.outcome, answer.may_have_left, answer.message);
}

unsigned long bytes_seen(void)
{
    return atomic_load(&granted.bytes) + atomic_load(&elsewhere.bytes) + atomic_load(&untrusted.bytes) +
           atomic_load(&plain.bytes);
}

unsigned connections_seen(void)
{
    return atomic_load(&granted.connections) + atomic_load(&elsewhere.connections) + atomic_load(&untrusted.connections) +
           atomic_load(&plain.connections);
}

int driver_setup(void **state)
{
    static const char credentials[] =
        "{\"credentials\":[{\"binding\":\"oauth2/google/me\",\"connector_fqn\":\"local://"
        "google\",\"kind\":\"oauth2\",\"origins\":["
        "\"https://a.test:443\"],\"value\":\"" TOKEN "\"},{\"binding\":\"api_key/other/me\",\"connector_fqn\":\"local://other\","
        "\"kind\":\"api_key\",\"header\":\"X-Api-Key\",\"format\":\"Key {key}\",\"origins\":[\"https://a.test\"],\"value\":\"" KEY
        "\"}]}";
    SSL_CTX *tls = NULL;

    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(driver_home))
        return -1;
    snprintf(driver_creds, sizeof driver_creds, "%s/creds.json", driver_home);
    snprintf(driver_ca, sizeof driver_ca, "%s/ca.pem", driver_home);
    snprintf(driver_keylog, sizeof driver_keylog, "%s/keys.log", driver_home);
    tls = provider_tls(driver_ca, "DNS:a.test,DNS:b.test");
    provider_start(&granted, tls);
    provider_start(&elsewhere, tls);
    provider_start(&untrusted, provider_tls(NULL, "DNS:untrusted.test"));
    provider_start(&plain, NULL);
    return file_write_atomic(AT_FDCWD, driver_creds, credentials, strlen(credentials), 0600, NULL);
}

int driver_teardown(void **state)
{
    return file_remove_tree(AT_FDCWD, driver_home);
}
