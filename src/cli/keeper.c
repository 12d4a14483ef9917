/*
 * A blocking client. Ctrl-C ends the program as usual, and with it the connection, which is how the keeper learns that
 * nobody waits any more; inside the tour it sets the flag that is looked at here.
 */
#include "cli/keeper.h"

#include "base/clock.h"
#include "cli/passphrase.h"
#include "cli/term.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/banned.h"

#define SLOW_MS        1000
#define HELLO_MS       30000
#define ANSWER_MS      180000 /* the keeper's own longest pause and a queue of derivations before ours */
#define TEXT_MAX       4096
#define VAULT_NAME_MAX 8192

struct keeper {
    int fd;
    enum keeper_vault_state state;
    char *path;
    uint32_t next_id;
};

void keeper_close(struct keeper *keeper)
{
    if (!keeper)
        return;
    cleanup_close(&keeper->fd);
    free(keeper->path);
    free(keeper);
}

void keeper_answer_free(struct keeper_answer *answer)
{
    free(answer->message);
    free(answer->hint);
    free(answer->detail);
    *answer = (struct keeper_answer){ 0 };
}

enum keeper_vault_state keeper_state(const struct keeper *keeper)
{
    return keeper->state;
}

const char *keeper_vault_path(const struct keeper *keeper)
{
    return keeper->path;
}

int keeper_fd(const struct keeper *keeper)
{
    return keeper->fd;
}

static int connect_to(const char *path, struct err *err)
{
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct ucred peer;
    socklen_t peer_len = sizeof(peer);

    if (fd < 0)
        return err_errno(err, errno, "cannot make a socket");
    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(err, ENAMETOOLONG, "%s is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
        return err_errno(err, errno, "cannot reach the keeper at %s", path);
    /* A passphrase goes to a program of this user only. */
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) < 0)
        return err_errno(err, errno, "cannot tell who listens at %s", path);
    if (peer.uid != geteuid())
        return err_set(err, EPERM, "%s belongs to a program of another user", path);
    return TAKE_FD(fd);
}

static int fail_wait(int r, const char *what)
{
    if (r == -EINTR)
        return cli_failf(CODE_FAILED, NULL, "interrupted");
    if (r == -ETIMEDOUT)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the keeper does not answer");
    return cli_failf(
        CODE_FAILED, "aileron daemon logs", "%s: %s", what, r == -EPROTO ? "the keeper's answer is malformed" : strerror(-r));
}

/* Waits for a packet: 0, -EINTR, -ETIMEDOUT. */
static int wait_readable(const struct cli *cli, int fd, const char *note, int64_t limit_ms)
{
    int64_t start_ms = clock_boot_ms();
    bool noted = !note || !term_is_tty(stderr);

    for (;;) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        int64_t passed = clock_boot_ms() - start_ms;
        int64_t wait = limit_ms ? limit_ms - passed : -1;
        int n;

        if (cli->interrupted && *cli->interrupted)
            return -EINTR;
        if (limit_ms && wait <= 0)
            return -ETIMEDOUT;
        if (!noted && passed >= SLOW_MS) {
            cli_note("aileron: %s", note);
            noted = true;
        }
        if (!noted && (wait < 0 || SLOW_MS - passed < wait))
            wait = SLOW_MS - passed;
        n = poll(&poll_fd, 1, (int) wait);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
    }
}

int keeper_receive(struct cli *cli, struct keeper *keeper, const char *note, int64_t limit_ms, struct wire_frame *ret_frame)
{
    int r = wait_readable(cli, keeper->fd, note, limit_ms);

    if (r >= 0)
        r = wire_recv(keeper->fd, ret_frame);
    if (r == 0 || r == -EPIPE || r == -ECONNRESET)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the keeper ended the connection");
    return r < 0 ? fail_wait(r, "cannot read from the keeper") : CODE_DONE;
}

static int read_hello(struct cli *cli, struct keeper *keeper)
{
    CLEANUP(wire_free) struct wire_frame frame = { 0 };
    uint32_t version;
    uint8_t state;
    int code = keeper_receive(cli, keeper, "waiting for the keeper …", HELLO_MS, &frame);

    if (code)
        return code;
    version = wire_get_u32(&frame);
    if (frame.type != OWNER_HELLO || version != KEEPER_PROTOCOL_VERSION)
        return cli_failf(
            CODE_FAILED, "aileron stop, then try again", "the running daemon is of another version than this command");
    state = wire_get_u8(&frame);
    keeper->path = strdup(wire_get_str(&frame, VAULT_NAME_MAX));
    if (wire_end(&frame) < 0 || state > KEEPER_VAULT_UNLOCKED)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the keeper's greeting is malformed");
    keeper->state = (enum keeper_vault_state) state;
    return keeper->path ? CODE_DONE : cli_failf(CODE_FAILED, NULL, "out of memory");
}

int keeper_open(struct cli *cli, struct keeper **ret_keeper)
{
    CLEANUP_PTR(keeper_close) struct keeper *keeper = NULL;
    struct err err = ERR_INIT;
    int code = cli_daemon(cli);

    if (code)
        return code;
    keeper = calloc(1, sizeof(*keeper));
    if (!keeper)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    keeper->fd = connect_to(cli->home->keeper_sock, &err);
    if (keeper->fd < 0) {
        err_hint(&err, "aileron stop, then try again; the log: aileron daemon logs");
        return cli_fail(CODE_FAILED, &err);
    }
    code = read_hello(cli, keeper);
    if (code)
        return code;
    *ret_keeper = TAKE_PTR(keeper);
    return CODE_DONE;
}

int keeper_send(struct keeper *keeper, struct wire_frame *request)
{
    int r;

    request->id = ++keeper->next_id;
    r = wire_send(keeper->fd, request);
    if (r == -EMSGSIZE)
        return cli_failf(CODE_FAILED, NULL, "that is too large for the keeper");
    if (r == -EPIPE)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the keeper ended the connection");
    return r < 0 ? fail_wait(r, "cannot write to the keeper") : CODE_DONE;
}

int keeper_read_done(struct wire_frame *frame, struct keeper_answer *ret_answer)
{
    uint8_t result;

    if (frame->type != OWNER_DONE)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the keeper's answer is of an unknown kind");
    result = wire_get_u8(frame);
    keeper_answer_free(ret_answer);
    ret_answer->message = strdup(wire_get_str(frame, TEXT_MAX));
    ret_answer->hint = strdup(wire_get_str(frame, TEXT_MAX));
    ret_answer->detail = strdup(wire_get_str(frame, LIMIT_FRAME_BYTES));
    if (wire_end(frame) < 0 || result >= KEEPER_RESULT_COUNT)
        return cli_failf(CODE_FAILED, "aileron daemon logs", "the keeper's answer is malformed");
    if (!ret_answer->message || !ret_answer->hint || !ret_answer->detail)
        return cli_failf(CODE_FAILED, NULL, "out of memory");
    ret_answer->result = (enum keeper_result) result;
    return CODE_DONE;
}

int keeper_ask(
    struct cli *cli, struct keeper *keeper, struct wire_frame *request, const char *note, struct keeper_answer *ret_answer)
{
    CLEANUP(wire_free) struct wire_frame frame = { 0 };
    int code = keeper_send(keeper, request);

    if (!code)
        code = keeper_receive(cli, keeper, note, ANSWER_MS, &frame);
    return code ? code : keeper_read_done(&frame, ret_answer);
}

int keeper_fail(const struct keeper_answer *answer)
{
    static const struct {
        enum keeper_result result;
        const char *message, *hint;
    } WORDS[] = {
        { KEEPER_WRONG_PASSPHRASE, "the passphrase is wrong", NULL },
        { KEEPER_LOCKED, "the vault is locked", "aileron vault unlock" },
        { KEEPER_MISSING, "there is no vault yet", "aileron vault init" },
        { KEEPER_EXISTS, "there is a vault already", NULL },
        { KEEPER_NOT_FOUND, "there is nothing of that name", NULL },
        { KEEPER_BUSY, "the keeper has too much to do at once", "try again in a moment" },
        { KEEPER_DENIED, "the provider was told no", NULL },
        { KEEPER_TIMED_OUT, "it took too long", NULL },
    };
    enum exit_code code = answer->result == KEEPER_LOCKED ? CODE_LOCKED : CODE_FAILED;
    const char *message = answer->message, *hint = answer->hint;

    for (size_t i = 0; i < ARRAY_LEN(WORDS); i++) {
        if (WORDS[i].result != answer->result)
            continue;
        message = message && *message ? message : WORDS[i].message;
        hint = hint && *hint ? hint : WORDS[i].hint;
    }
    return cli_failf(code, hint && *hint ? hint : NULL, "%s", message && *message ? message : "the keeper could not do that");
}

void keeper_put_secret(struct wire_frame *frame, const struct secret *secret)
{
    if (secret)
        wire_put_secret(frame, secret_bytes(secret), secret_len(secret));
    else
        wire_put_bytes(frame, "", 0);
}

json_t *keeper_detail(const struct keeper_answer *answer)
{
    json_t *json = NULL;

    if (answer->detail && *answer->detail)
        json_parse(answer->detail, strlen(answer->detail), JSON_LIMITS(LIMIT_FRAME_BYTES), &json, NULL);
    return json;
}
