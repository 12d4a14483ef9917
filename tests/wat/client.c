/*
 * The test side of a worker's channel. A watchdog of half a minute kills a worker that
 * does not answer, so that a hanging worker is a failed test and no hanging one.
 */
#include "client.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/banned.h"

#define ANSWER_MS 40000

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("tests/wat: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void *client_read_file(const char *path, size_t *ret_len)
{
    struct buf buf = BUF_INIT(LIMIT_BLOB_BYTES);
    struct err err = ERR_INIT;

    if (file_read(AT_FDCWD, path, &buf, &err) < 0)
        die("%s", err.message);
    *ret_len = buf.len;
    return buf_take(&buf);
}

/* A frame, or false when the worker is gone. */
static bool receive(const struct client *client, struct wire_frame *frame)
{
    struct pollfd poll_channel = { .fd = client->channel, .events = POLLIN };

    if (poll(&poll_channel, 1, ANSWER_MS) != 1) {
        kill(client->pid, SIGKILL);
        die("the worker did not answer within %d ms", ANSWER_MS);
    }
    if (wire_recv(client->channel, frame) != 1) {
        wire_init(frame, 0, 0);
        return false;
    }
    return true;
}

static void text_copy(char out[CLIENT_TEXT_MAX], const char *text)
{
    snprintf(out, CLIENT_TEXT_MAX, "%s", text);
}

void client_read_ready(struct client *client)
{
    CLEANUP(wire_free) struct wire_frame frame;

    if (!receive(client, &frame) || frame.type != WORKER_READY)
        die("the worker did not say READY");
    if (wire_get_u32(&frame) != WORKER_PROTOCOL_VERSION)
        die("another protocol version");
    text_copy(client->engine, wire_get_str(&frame, CLIENT_TEXT_MAX - 1));
    text_copy(client->key, wire_get_str(&frame, CLIENT_TEXT_MAX - 1));
    text_copy(client->confinement, wire_get_str(&frame, CLIENT_TEXT_MAX - 1));
    if (wire_end(&frame) < 0)
        die("READY is malformed");
}

void client_start_with(struct client *client, const char *program, const char *const *argv)
{
    const char *envp[] = { "RUST_BACKTRACE=1", "SECRET=leak", NULL };
    CLEANUP_CLOSE int program_fd = open(program, O_PATH | O_CLOEXEC);
    CLEANUP_CLOSE int pidfd = -1;
    struct proc_spec spec = { .program_fd = program_fd,
        .argv = argv,
        .envp = envp,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = 2,
        .fds_len = 1,
        .die_with_parent = true };
    struct err err = ERR_INIT;
    int pair[2];

    memset(client, 0, sizeof(*client));
    if (program_fd < 0 || wire_pair(pair) < 0)
        die("cannot open %s", program);
    spec.fds[0] = pair[1];
    if (proc_start(&spec, &client->pid, &pidfd, &err) < 0)
        die("%s", err.message);
    close(pair[1]);
    client->channel = pair[0];
}

void client_start(struct client *client, const char *program, const char *mode)
{
    const char *argv[] = { "aileron-worker", mode, NULL };

    client_start_with(client, program, argv);
    client_read_ready(client);
}

int client_wait(struct client *client)
{
    int status = 0;

    for (int tries = 0; waitpid(client->pid, &status, WNOHANG) == 0; tries++) {
        if (tries > ANSWER_MS / 10)
            kill(client->pid, SIGKILL);
        usleep(10000);
    }
    if (client->channel >= 0)
        close(client->channel);
    client->channel = -1;
    return status;
}

int client_stop(struct client *client)
{
    close(client->channel);
    client->channel = -1;
    return client_wait(client);
}

bool client_send(struct client *client, struct wire_frame *frame)
{
    int r = wire_send(client->channel, frame);

    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        die("cannot send: %s", strerror(-r));
    return r == 0;
}

static void refused_copy(char out[CLIENT_TEXT_MAX], struct wire_frame *frame)
{
    const char *reason = wire_get_str(frame, CLIENT_TEXT_MAX);
    const char *detail = wire_get_str(frame, CLIENT_TEXT_MAX);

    snprintf(out, CLIENT_TEXT_MAX, "%s%s%s", reason, *detail ? " | " : "", detail);
    if (wire_end(frame) < 0)
        die("REFUSED is malformed");
}

void client_compile(const char *program, const void *wasm, size_t len, struct client_code *ret_code)
{
    CLEANUP(wire_free) struct wire_frame frame;
    struct client client;

    memset(ret_code, 0, sizeof(*ret_code));
    client_start(&client, program, "--compile");
    wire_init(&frame, WORKER_COMPILE, 7);
    wire_put_blob(&frame, wasm, len);
    client_send(&client, &frame);
    if (!receive(&client, &ret_code->frame)) {
        text_copy(ret_code->refused, "died");
    } else if (ret_code->frame.type == WORKER_REFUSED && ret_code->frame.id == 7) {
        refused_copy(ret_code->refused, &ret_code->frame);
    } else {
        ret_code->data = wire_get_blob(&ret_code->frame, LIMIT_BLOB_BYTES, &ret_code->len);
        ret_code->imports = wire_get_str(&ret_code->frame, LIMIT_FRAME_BYTES);
        ret_code->has_start = wire_get_u8(&ret_code->frame);
        ret_code->has_memory = wire_get_u8(&ret_code->frame);
        if (ret_code->frame.type != WORKER_COMPILED || ret_code->frame.id != 7 || wire_end(&ret_code->frame) < 0)
            die("COMPILED is malformed");
    }
    client_wait(&client);
}

void client_code_free(struct client_code *code)
{
    wire_free(&code->frame);
}

bool client_load(
    struct client *client, const void *code, size_t len, uint32_t ceiling_mib, const char *allowed, char refused[CLIENT_TEXT_MAX])
{
    CLEANUP(wire_free) struct wire_frame frame;
    CLEANUP(wire_free) struct wire_frame answer;

    wire_init(&frame, WORKER_LOAD, ++client->last_id);
    wire_put_blob(&frame, code, len);
    wire_put_u32(&frame, ceiling_mib);
    wire_put_str(&frame, allowed);
    client_send(client, &frame);
    if (!receive(client, &answer)) {
        text_copy(refused, "died");
        return false;
    }
    if (answer.id != client->last_id)
        die("the answer to LOAD has another id");
    if (answer.type == WORKER_REFUSED) {
        refused_copy(refused, &answer);
        return false;
    }
    wire_get_u64(&answer);
    if (answer.type != WORKER_LOADED || wire_end(&answer) < 0)
        die("LOADED is malformed");
    return true;
}

void client_run_send(struct client *client, const struct client_run *run)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_RUN, ++client->last_id);
    wire_put_blob(&frame, run->in, run->in_len);
    wire_put_u32(&frame, run->memory_mib ? run->memory_mib : DEFAULT_MEMORY_MIB);
    wire_put_u32(&frame, run->wall_ms ? run->wall_ms : 5000);
    client_send(client, &frame);
}

static void on_log(struct wire_frame *frame, struct client_done *done)
{
    const char *text = NULL;

    done->last_level = wire_get_u8(frame);
    text = wire_get_str(frame, LIMIT_LOG_LINE_BYTES);
    snprintf(done->last_log, sizeof(done->last_log), "%s", text);
    if (done->logs++ == 0)
        snprintf(done->first_log, sizeof(done->first_log), "%s", text);
}

static void on_http(struct client *client, const struct client_run *run, struct wire_frame *frame, struct client_done *done)
{
    struct client_answer answer = { .result = -1 };
    CLEANUP(wire_free) struct wire_frame reply;
    size_t len = 0;
    const void *request = wire_get_blob(frame, LIMIT_REQUEST_ENVELOPE_BYTES, &len);

    if (run->http)
        answer = run->http(request, len, done->requests, run->userdata);
    done->requests++;
    wire_init(&reply, WORKER_HTTP_RESULT, frame->id);
    wire_put_i64(&reply, answer.result);
    wire_put_u32(&reply, answer.status);
    wire_put_blob(&reply, answer.body, answer.body_len);
    if (!answer.silent)
        client_send(client, &reply);
}

static void on_done(struct wire_frame *frame, struct client_done *done)
{
    size_t len = 0;
    const void *data = NULL;

    done->outcome = wire_get_u8(frame);
    done->exit_code = wire_get_u32(frame);
    data = wire_get_blob(frame, LIMIT_STDOUT_BYTES, &done->out_len);
    done->out = calloc(1, done->out_len + 1);
    if (!done->out)
        die("out of memory");
    if (done->out_len)
        memcpy(done->out, data, done->out_len);
    data = wire_get_bytes(frame, LIMIT_STDERR_TAIL_BYTES, &len);
    if (len)
        memcpy(done->err, data, len);
    done->err_len = len;
    done->memory_bytes = wire_get_u64(frame);
    done->run_us = wire_get_u64(frame);
    text_copy(done->trap, wire_get_str(frame, CLIENT_TEXT_MAX - 1));
}

void client_run_finish(struct client *client, const struct client_run *run, struct client_done *ret_done)
{
    int64_t started_us = clock_boot_us();
    bool done = false;

    memset(ret_done, 0, sizeof(*ret_done));
    while (!done) {
        CLEANUP(wire_free) struct wire_frame frame;

        if (!receive(client, &frame)) {
            ret_done->died = true;
            return;
        }
        if (frame.id != client->last_id)
            die("a frame of type %u has id %u, not the call's %u", frame.type, frame.id, client->last_id);
        if (frame.type == WORKER_LOG)
            on_log(&frame, ret_done);
        else if (frame.type == WORKER_HTTP)
            on_http(client, run, &frame, ret_done);
        else if (frame.type == WORKER_DONE)
            on_done(&frame, ret_done);
        else
            die("frame of type %u while a call runs", frame.type);
        done = frame.type == WORKER_DONE;
        if (wire_end(&frame) < 0)
            die("frame of type %u is malformed", frame.type);
    }
    ret_done->wall_us = clock_boot_us() - started_us;
}

void client_run(struct client *client, const struct client_run *run, struct client_done *ret_done)
{
    client_run_send(client, run);
    client_run_finish(client, run, ret_done);
}
