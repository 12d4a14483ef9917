/*
 * The smallest MCP client that is one: handshake, tools/list, tools/call, with
 * any number of calls outstanding. It speaks to aileron-mcp over pipes, exactly
 * as a real agent does.
 */
#include "cli/demo.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/proc.h"
#include "cli/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/banned.h"

#define ANSWER_MS   60000
#define END_MS      3000
#define MESSAGE_MAX (4u * 1024 * 1024)
#define PROTOCOL    "2025-11-25"

struct agent {
    int in, out; /* its standard input and output */
    int pidfd;
    pid_t pid;
    int next_id;
    struct buf received;
    const volatile sig_atomic_t *interrupted;
};

static int spawn(struct agent *agent, const char *home, struct err *err)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_FREE char *variable = NULL;
    CLEANUP_CLOSE int program = -1, child_in = -1, child_out = -1;
    int in_pipe[2], out_pipe[2];
    int r = programs_relay(&path, err);

    if (r < 0)
        return r;
    if (asprintf(&variable, "AILERON_HOME=%s", home) < 0)
        return -ENOMEM;
    program = open(path, O_PATH | O_CLOEXEC);
    if (program < 0)
        return err_errno(err, errno, "cannot open %s", path);
    if (pipe2(in_pipe, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    child_in = in_pipe[0];
    agent->in = in_pipe[1];
    if (pipe2(out_pipe, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    agent->out = out_pipe[0];
    child_out = out_pipe[1];

    const char *const argv[] = { "aileron-mcp", "--agent", "demo", NULL };
    const char *const envp[] = { variable, "LANG=C.UTF-8", NULL };
    struct proc_spec spec = { .program_fd = program,
        .argv = argv,
        .envp = envp,
        .stdin_fd = child_in,
        .stdout_fd = child_out,
        .stderr_fd = STDERR_FILENO,
        .die_with_parent = true,
        .new_session = true };

    return proc_start(&spec, &agent->pid, &agent->pidfd, err);
}

static int send_message(struct agent *agent, json_t *message, struct err *err)
{
    CLEANUP_JSON json_t *owned = message;
    CLEANUP(buf_free) struct buf line = BUF_INIT(MESSAGE_MAX);
    int r = message ? json_write(message, &line) : -ENOMEM;

    if (r >= 0)
        r = buf_add_char(&line, '\n');
    if (r >= 0)
        r = file_write_full(agent->in, line.data, line.len);
    return r < 0 ? err_errno(err, -r, "cannot write to aileron-mcp") : 0;
}

/* Waits for more bytes and takes them. */
static int receive_bytes(struct agent *agent, int64_t deadline, struct err *err)
{
    struct pollfd poll_fd = { .fd = agent->out, .events = POLLIN };
    int64_t left = deadline - clock_boot_ms();
    int n = left > 0 ? poll(&poll_fd, 1, (int) left) : 0;
    ssize_t got;

    if (agent->interrupted && *agent->interrupted)
        return err_set(err, EINTR, "interrupted");
    if (n < 0)
        return 0;
    if (n == 0)
        return err_set(err, ETIMEDOUT, "no answer within %d s", ANSWER_MS / 1000);
    if (buf_reserve(&agent->received, 64 * 1024) < 0)
        return err_set(err, E2BIG, "an answer is larger than %u MiB", MESSAGE_MAX >> 20);
    got = read(agent->out, agent->received.data + agent->received.len, 64 * 1024);
    if (got == 0 || (got < 0 && errno != EINTR))
        return err_set(err, EPIPE, "aileron-mcp ended");
    agent->received.len += got > 0 ? (size_t) got : 0;
    return 0;
}

/* The next message, whatever it is. New reference. */
static int receive(struct agent *agent, int64_t deadline, json_t **ret_message, struct err *err)
{
    for (;;) {
        char *newline = agent->received.len ? memchr(agent->received.data, '\n', agent->received.len) : NULL;
        int r;

        if (newline) {
            size_t len = (size_t) (newline - agent->received.data);

            r = json_parse(agent->received.data, len, JSON_LIMITS(MESSAGE_MAX), ret_message, err);
            buf_consume(&agent->received, len + 1);
            return r;
        }
        r = receive_bytes(agent, deadline, err);
        if (r < 0)
            return r;
    }
}

static int send_request(struct agent *agent, const char *method, json_t *params, int *ret_id, struct err *err)
{
    *ret_id = ++agent->next_id;
    return send_message(
        agent, json_pack("{s:s,s:i,s:s,s:o*}", "jsonrpc", "2.0", "id", *ret_id, "method", method, "params", params), err);
}

/* The result of an answer, or its error as ours. */
static int take_result(json_t *message, json_t **ret_result, struct err *err)
{
    const char *text = json_get_str(json_object_get(message, "error"), "message");
    json_t *result = json_object_get(message, "result");

    if (!result)
        return err_set(err, EIO, "%s", text ? text : "an answer without a result");
    *ret_result = json_incref(result);
    return 0;
}

static int request(struct agent *agent, const char *method, json_t *params, json_t **ret_result, struct err *err)
{
    int64_t deadline = clock_boot_ms() + ANSWER_MS;
    int id = 0;
    int r = send_request(agent, method, params, &id, err);

    while (r >= 0) {
        CLEANUP_JSON json_t *message = NULL;

        r = receive(agent, deadline, &message, err);
        if (r >= 0 && json_integer_value(json_object_get(message, "id")) == id)
            return take_result(message, ret_result, err);
    }
    return r;
}

int agent_start(const char *home, const volatile sig_atomic_t *interrupted, struct agent **ret_agent, struct err *err)
{
    CLEANUP_PTR(agent_free) struct agent *agent = calloc(1, sizeof(*agent));
    CLEANUP_JSON json_t *result = NULL;
    int r;

    if (!agent)
        return -ENOMEM;
    *agent = (struct agent){ .in = -1, .out = -1, .pidfd = -1, .received = BUF_INIT(MESSAGE_MAX), .interrupted = interrupted };
    r = spawn(agent, home, err);
    if (r >= 0)
        r = request(agent, "initialize",
            json_pack("{s:s,s:{},s:{s:s,s:s}}", "protocolVersion", PROTOCOL, "capabilities", "clientInfo", "name", "aileron-demo",
                "version", AILERON_VERSION),
            &result, err);
    if (r >= 0)
        r = send_message(agent, json_pack("{s:s,s:s}", "jsonrpc", "2.0", "method", "notifications/initialized"), err);
    if (r < 0)
        return r;
    *ret_agent = TAKE_PTR(agent);
    return 0;
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    if (agent->in >= 0)
        close(agent->in);
    if (agent->pidfd >= 0) {
        struct pollfd poll_fd = { .fd = agent->pidfd, .events = POLLIN };

        if (poll(&poll_fd, 1, END_MS) <= 0)
            pidfd_send_signal(agent->pidfd, SIGKILL, NULL, 0);
        waitpid(agent->pid, NULL, 0);
        close(agent->pidfd);
    }
    if (agent->out >= 0)
        close(agent->out);
    buf_free(&agent->received);
    free(agent);
}

int agent_tools(struct agent *agent, json_t **ret_tools, struct err *err)
{
    CLEANUP_JSON json_t *result = NULL;
    int r = request(agent, "tools/list", json_object(), &result, err);

    if (r < 0)
        return r;
    *ret_tools = json_incref(json_object_get(result, "tools"));
    return json_is_array(*ret_tools) ? 0 : err_set(err, EPROTO, "tools/list was answered without tools");
}

/* A tool's output, or what the tool said went wrong. */
static int take_output(const char *tool, const json_t *result, json_t **ret_output, struct err *err)
{
    const json_t *content = json_array_get(json_object_get(result, "content"), 0);
    json_t *output = json_object_get(result, "structuredContent");

    if (json_is_true(json_object_get(result, "isError")))
        return err_set(err, EIO, "%s: %s", tool, json_get_str(content, "text") ? json_get_str(content, "text") : "failed");
    if (!output)
        return err_set(err, EPROTO, "%s answered without structuredContent", tool);
    *ret_output = json_incref(output);
    return 0;
}

int agent_call(struct agent *agent, const char *tool, const json_t *args, json_t **ret_output, struct err *err)
{
    json_t *const one[] = { (json_t *) args };

    return agent_call_all(agent, tool, one, 1, ret_output, err);
}

int agent_begin(struct agent *agent, const char *tool, const json_t *args, int *ret_id, struct err *err)
{
    return send_request(agent, "tools/call", json_pack("{s:s,s:O}", "name", tool, "arguments", args), ret_id, err);
}

int agent_end(struct agent *agent, int id, json_t **ret_result, struct err *err)
{
    int64_t deadline = clock_boot_ms() + ANSWER_MS;
    int r = 0;

    while (r >= 0) {
        CLEANUP_JSON json_t *message = NULL;

        r = receive(agent, deadline, &message, err);
        if (r >= 0 && json_integer_value(json_object_get(message, "id")) == id)
            return take_result(message, ret_result, err);
    }
    return r;
}

/* Which of the calls an answer belongs to; `len` when to none. */
static size_t call_of(const json_t *message, const int *ids, size_t len)
{
    json_int_t id = json_integer_value(json_object_get(message, "id"));
    size_t i = 0;

    while (i < len && ids[i] != id)
        i++;
    return i;
}

int agent_call_all(struct agent *agent, const char *tool, json_t *const *args, size_t len, json_t **ret_outputs, struct err *err)
{
    int64_t deadline = clock_boot_ms() + ANSWER_MS;
    int ids[AGENT_CALLS_MAX];
    int r = len <= AGENT_CALLS_MAX ? 0 : err_set(err, EINVAL, "too many calls at once");

    for (size_t i = 0; i < len && r >= 0; i++)
        r = send_request(agent, "tools/call", json_pack("{s:s,s:O}", "name", tool, "arguments", args[i]), &ids[i], err);
    for (size_t answered = 0; answered < len && r >= 0;) {
        CLEANUP_JSON json_t *message = NULL;
        CLEANUP_JSON json_t *result = NULL;
        size_t at;

        r = receive(agent, deadline, &message, err);
        at = r < 0 ? len : call_of(message, ids, len);
        if (at == len)
            continue;
        ids[at] = -1;
        answered++;
        r = take_result(message, &result, err);
        if (r >= 0)
            r = take_output(tool, result, &ret_outputs[at], err);
    }
    return r;
}
