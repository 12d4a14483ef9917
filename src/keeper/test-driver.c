/* See the header. */
#include "keeper/test-driver.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "crypt/digest.h"
#include "keeper/vault.h"

#include "base/banned.h"

const char *driver_program;
char driver_home[] = "/tmp/aileron-keeper-XXXXXX";
char driver_bare[] = "/tmp/aileron-keeper-XXXXXX";
char driver_ca[64], driver_keylog[64];
struct provider granted, elsewhere, untrusted, plain;

static void child_exec(int channel, int errors, int door, const char *const *argv)
{
    char keylog[96], bundle[96];
    const char *envp[] = { keylog, bundle, "HTTPS_PROXY=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1",
        "ALL_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1", "RES_OPTIONS=timeout:1", NULL };

    snprintf(keylog, sizeof keylog, "SSLKEYLOGFILE=%s", driver_keylog);
    snprintf(bundle, sizeof bundle, "SSL_CERT_FILE=/dev/null");
    dup2(errors, STDERR_FILENO);
    dup2(channel, KEEPER_CHANNEL_FD);
    dup2(door, KEEPER_OWNER_FD);
    close_range(KEEPER_OWNER_FD + 1, ~0u, 0);
    execve(driver_program, (char *const *) argv, (char *const *) envp);
    _exit(127);
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    return address;
}

/* A listening socket as the broker makes it. */
static int door_listen(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(listen(fd, 64), 0);
    return fd;
}

struct keeper keeper_exec(const char *const *argv)
{
    static unsigned number;
    struct keeper keeper = { .next_id = 1 };
    int pair[2], errors[2], listener = -1;

    snprintf(keeper.socket, sizeof keeper.socket, "%s/keeper-%u.sock", driver_bare, number++);
    listener = door_listen(keeper.socket);

    assert_int_equal(wire_pair(pair), 0);
    assert_int_equal(pipe2(errors, O_CLOEXEC | O_NONBLOCK), 0);
    keeper.pid = fork();
    if (keeper.pid == 0) {
        /* Above the numbers that are given to the child, and without close-on-exec there. */
        int channel = fcntl(pair[1], F_DUPFD, 100), standard_error = fcntl(errors[1], F_DUPFD, 100);

        child_exec(channel, standard_error, fcntl(listener, F_DUPFD, 100), argv);
    }
    assert_true(keeper.pid > 0);
    close(listener);
    close(pair[1]);
    close(errors[1]);
    keeper.channel = pair[0];
    keeper.errors = errors[0];
    return keeper;
}

size_t keeper_events(const struct keeper *keeper, const char *type)
{
    size_t count = 0;

    for (size_t i = 0; i < keeper->events_len; i++)
        count += !strcmp(keeper->events[i], type);
    return count;
}

/* A receipt, as the broker would write it. */
static void event_take(struct keeper *keeper, struct wire_frame *frame)
{
    uint8_t wants = wire_get_u8(frame);
    const char *type = wire_get_str(frame, 39), *payload = wire_get_str(frame, 65536);
    CLEANUP_JSON json_t *json = NULL;
    struct wire_frame answer;

    assert_int_equal(wire_end(frame), 0);
    assert_int_equal(json_parse(payload, strlen(payload), JSON_LIMITS(65536), &json, NULL), 0);
    assert_true(json_object_size(json) > 0);
    assert_null(strstr(payload, TOKEN));
    assert_null(strstr(payload, PASSPHRASE));
    assert_true(keeper->events_len < EVENTS_MAX);
    snprintf(keeper->events[keeper->events_len++], sizeof keeper->events[0], "%s", type);
    if (!wants || keeper->ignores_receipts)
        return;
    wire_init(&answer, KEEPER_EVENT_WRITTEN, frame->id);
    wire_put_u8(&answer, !keeper->refuses_receipts);
    keeper_send(keeper, &answer);
}

static void state_take(struct keeper *keeper, struct wire_frame *frame)
{
    size_t len = 0;

    keeper->state = wire_get_u8(frame);
    keeper->overrides_active = wire_get_u8(frame);
    wire_get_bytes(frame, 32, &len);
    assert_int_equal(len, keeper->state == KEEPER_VAULT_UNLOCKED ? 32 : 0);
    wire_get_str(frame, 1024);
    wire_get_blob(frame, LIMIT_BLOB_BYTES, &len);
    assert_int_equal(wire_end(frame), 0);
}

/* True for what needs no answer of the test. Frees such a frame. */
static bool is_taken(struct keeper *keeper, struct wire_frame *frame)
{
    if (frame->type == KEEPER_EVENT)
        event_take(keeper, frame);
    else if (frame->type == KEEPER_STATE && frame->id == 0)
        state_take(keeper, frame);
    else
        return false;
    wire_free(frame);
    return true;
}

int keeper_receive(struct keeper *keeper, struct wire_frame *frame, int timeout_ms)
{
    struct pollfd poller = { keeper->channel, POLLIN, 0 };
    int64_t until = clock_boot_ms() + timeout_ms;
    int r = 0;

    do {
        int64_t left_ms = until - clock_boot_ms();

        if (poll(&poller, 1, left_ms > 0 ? (int) left_ms : 0) != 1)
            return -1;
        r = wire_recv(keeper->channel, frame);
    } while (r == 1 && is_taken(keeper, frame));
    return r;
}

void keeper_pump(struct keeper *keeper, int for_ms)
{
    struct wire_frame frame;

    assert_int_equal(keeper_receive(keeper, &frame, for_ms), -1);
}

static struct done done_take(struct wire_frame *frame, uint16_t type)
{
    struct done done = { .id = frame->id };

    assert_int_equal(frame->type, type);
    done.result = wire_get_u8(frame);
    snprintf(done.message, sizeof done.message, "%s", wire_get_str(frame, sizeof done.message - 1));
    snprintf(done.hint, sizeof done.hint, "%s", wire_get_str(frame, sizeof done.hint - 1));
    snprintf(done.detail, sizeof done.detail, "%s", wire_get_str(frame, sizeof done.detail - 1));
    assert_int_equal(wire_end(frame), 0);
    wire_free(frame);
    assert_true(done.result < KEEPER_RESULT_COUNT);
    assert_true((done.result == KEEPER_OK) == (done.message[0] == '\0') || done.result == KEEPER_OK);
    return done;
}

struct done keeper_ask(struct keeper *keeper, struct wire_frame *frame)
{
    uint32_t id = frame->id;
    struct done done = { .id = 0 };

    keeper_send(keeper, frame);
    assert_int_equal(keeper_receive(keeper, frame, 10000), 1);
    done = done_take(frame, KEEPER_DONE);
    assert_int_equal(done.id, id);
    return done;
}

int door_open_raw(const struct keeper *keeper)
{
    struct sockaddr_un address = address_of(keeper->socket);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof address), 0);
    return fd;
}

int door_receive(struct keeper *keeper, int door, struct wire_frame *frame, int timeout_ms)
{
    int64_t until = clock_boot_ms() + timeout_ms;

    for (;;) {
        struct pollfd pollers[2] = { { door, POLLIN, 0 }, { keeper->channel, POLLIN, 0 } };
        int64_t left_ms = until - clock_boot_ms();

        if (poll(pollers, 2, left_ms > 0 ? (int) left_ms : 0) < 1)
            return -1;
        /* First what the keeper told the broker before it answered here. */
        if (pollers[1].revents)
            assert_int_equal(keeper_receive(keeper, frame, 0), -1);
        if (pollers[0].revents)
            return wire_recv(door, frame);
    }
}

int door_open(struct keeper *keeper)
{
    struct wire_frame frame;
    int door = door_open_raw(keeper);

    assert_int_equal(door_receive(keeper, door, &frame, 5000), 1);
    assert_int_equal(frame.type, OWNER_HELLO);
    assert_int_equal(wire_get_u32(&frame), KEEPER_PROTOCOL_VERSION);
    wire_get_u8(&frame);
    assert_non_null(strstr(wire_get_str(&frame, 4096), "/secrets.json"));
    assert_int_equal(wire_end(&frame), 0);
    wire_free(&frame);
    return door;
}

int door_send(int door, struct wire_frame *frame)
{
    int r = wire_send(door, frame);

    wire_free(frame);
    return r;
}

struct done door_read(struct keeper *keeper, int door)
{
    struct wire_frame frame;

    assert_int_equal(door_receive(keeper, door, &frame, 60000), 1);
    return done_take(&frame, OWNER_DONE);
}

struct done door_ask(struct keeper *keeper, int door, struct wire_frame *frame)
{
    assert_int_equal(door_send(door, frame), 0);
    return door_read(keeper, door);
}

void door_frame(struct wire_frame *frame, uint16_t type, const char *passphrase)
{
    wire_init(frame, type, 7);
    wire_put_secret(frame, passphrase, strlen(passphrase));
}

struct done door_unlock(struct keeper *keeper, const char *passphrase)
{
    CLEANUP_CLOSE int door = door_open(keeper);
    struct wire_frame frame;

    door_frame(&frame, OWNER_UNLOCK, passphrase);
    return door_ask(keeper, door, &frame);
}

void keeper_send(struct keeper *keeper, struct wire_frame *frame)
{
    assert_int_equal(wire_send(keeper->channel, frame), 0);
    wire_free(frame);
}

static void configure(struct keeper *keeper, const char *allow_private, uint32_t auto_lock_s)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_CONFIGURE, 0);
    wire_put_str(&frame, allow_private);
    wire_put_u32(&frame, auto_lock_s);
    keeper_send(keeper, &frame);
}

void keeper_configure(struct keeper *keeper, const char *allow_private)
{
    configure(keeper, allow_private, 0);
}

void keeper_configure_lock(struct keeper *keeper, uint32_t auto_lock_s)
{
    configure(keeper, "", auto_lock_s);
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

/* With overrides for the names of HOSTS, and the test CA. Not configured yet. */
struct keeper keeper_start_raw(const char *home)
{
    static char rows[6][64];
    const char *const names[] = { "a.test", "b.test", "closed.test", "untrusted.test", "other-name.test", "plain.test" };
    const uint16_t ports[] = { granted.port, elsewhere.port, provider_closed_port(), untrusted.port, granted.port, plain.port };
    const char *argv[32] = { "aileron-keeper", "--home", home, "--dev-ca", driver_ca };
    size_t n = 5;
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

struct keeper keeper_start_locked(void)
{
    struct keeper keeper = keeper_start_raw(driver_home);

    keeper_configure(&keeper, "");
    return keeper;
}

struct keeper keeper_start(void)
{
    struct keeper keeper = keeper_start_locked();
    struct done done = door_unlock(&keeper, PASSPHRASE);

    if (done.result != KEEPER_OK)
        fail_msg("not unlocked: %s", done.message);
    assert_int_equal(keeper.state, KEEPER_VAULT_UNLOCKED);
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

static int binding_put(struct vault *vault, const char *binding, enum grant_kind kind, const char *grant_json, const char *value)
{
    CLEANUP_JSON json_t *json = json_loads(grant_json, 0, NULL);
    CLEANUP_PTR(grant_free) struct grant *grant = NULL;
    CLEANUP_PTR(secret_free) struct secret *secret = NULL;
    struct err err = ERR_INIT;
    int r = grant_read(json, kind, &grant, &err);

    if (r == 0)
        r = secret_from(value, strlen(value), &secret);
    if (r == 0)
        r = vault_binding_put(vault, binding, grant, secret, NULL, &err);
    if (r != 0)
        fprintf(stderr, "%s: %s\n", binding, err.message);
    return r;
}

/* A development vault with two bindings. */
static int vault_make(const char *home)
{
    static const uint8_t salt[KDF_SALT_BYTES] = { 1, 2, 3 };
    CLEANUP_PTR(vault_free) struct vault *vault = NULL;
    CLEANUP_PTR(secret_free) struct secret *passphrase = NULL, *key = NULL;
    int r = secret_from(PASSPHRASE, strlen(PASSPHRASE), &passphrase);

    if (r == 0)
        r = kdf_derive(passphrase, salt, &key);
    if (r == 0)
        r = vault_new(home, &vault, NULL);
    if (r == 0)
        r = vault_create(vault, key, salt, true, NULL);
    if (r == 0)
        r = binding_put(vault, "oauth2/google/me", GRANT_OAUTH2,
            "{\"connector_fqn\":\"local://google\",\"origins\":[\"https://a.test:443\"],\"token_url\":\"https://a.test/token\"}",
            "{\"access_token\":\"" TOKEN "\",\"client_id\":\"client\",\"token_url\":\"https://a.test/token\"}");
    if (r == 0)
        r = binding_put(vault, "api_key/other/me", GRANT_API_KEY,
            "{\"connector_fqn\":\"local://other\",\"origins\":[\"https://a.test\"],\"header\":\"X-Api-Key\",\"format\":\"Key "
            "{key}\"}",
            KEY);
    return r;
}

int driver_setup(void **state)
{
    SSL_CTX *tls = NULL;

    signal(SIGPIPE, SIG_IGN);
    if (!mkdtemp(driver_home) || !mkdtemp(driver_bare))
        return -1;
    snprintf(driver_ca, sizeof driver_ca, "%s/ca.pem", driver_home);
    snprintf(driver_keylog, sizeof driver_keylog, "%s/keys.log", driver_home);
    tls = provider_tls(driver_ca, "DNS:a.test,DNS:b.test");
    provider_start(&granted, tls);
    provider_start(&elsewhere, tls);
    provider_start(&untrusted, provider_tls(NULL, "DNS:untrusted.test"));
    provider_start(&plain, NULL);
    return vault_make(driver_home);
}

int driver_teardown(void **state)
{
    int r = file_remove_tree(AT_FDCWD, driver_home);

    return file_remove_tree(AT_FDCWD, driver_bare) < 0 ? -1 : r;
}
