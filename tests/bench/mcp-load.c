/*
 * MCP calls, one after another, as an agent makes them: through a program on its standard input and output, or over
 * Streamable HTTP on one kept connection. Prints one JSON object with the latencies in microseconds; `first_us` is from the
 * program's start (or the connection) to its greeting. An answer that is no success ends the run with exit 1.
 *
 *     mcp-load TOOL CALLS stdio PROGRAM [ARGUMENT…]
 *     mcp-load TOOL CALLS http PORT TOKEN
 */
#include "base/cleanup.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/banned.h"

#define ANSWER_MAX    (1u << 20)
#define WARM_UP_SHARE 10

static const char HELLO[] =
    "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"2025-11-25\","
    "\"capabilities\":{},\"clientInfo\":{\"name\":\"bench\",\"version\":\"1\"}}}";
static const char READY[] = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}";

struct client {
    int in, out; /* to and from the server */
    bool http;
    unsigned port;
    const char *token;
    pid_t pid;
    char answer[ANSWER_MAX];
};

static int put(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);

        if (n <= 0)
            return -EPIPE;
        data += n;
        len -= (size_t) n;
    }
    return 0;
}

static int start_program(struct client *client, char **argv)
{
    int to[2], from[2];
    posix_spawn_file_actions_t actions;

    if (pipe(to) < 0 || pipe(from) < 0)
        return -errno;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    for (size_t i = 0; i < 2; i++) {
        posix_spawn_file_actions_addclose(&actions, to[i]);
        posix_spawn_file_actions_addclose(&actions, from[i]);
    }
    int r = posix_spawn(&client->pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    client->in = to[1];
    client->out = from[0];
    return -r;
}

static int start_http(struct client *client)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t) client->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    int on = 1;

    client->http = true;
    client->in = client->out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->in < 0 || connect(client->in, (struct sockaddr *) &address, sizeof address) < 0)
        return -errno;
    setsockopt(client->in, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return 0;
}

static int send_message(struct client *client, const char *message)
{
    char text[4096];
    int len =
        client->http
            ? snprintf(text, sizeof text,
                  "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAuthorization: Bearer %s\r\nContent-Type: "
                  "application/json\r\nAccept: "
                  "application/json, text/event-stream\r\nMCP-Protocol-Version: 2025-11-25\r\nContent-Length: %zu\r\n\r\n%s",
                  client->port, client->token, strlen(message), message)
            : snprintf(text, sizeof text, "%s\n", message);

    return len < 0 || (size_t) len >= sizeof text ? -E2BIG : put(client->in, text, (size_t) len);
}

/* Whole when the body that the head announces has come, or the line. */
static bool is_whole(const struct client *client, size_t len)
{
    const char *body = client->http ? strstr(client->answer, "\r\n\r\n") : NULL;
    const char *length = body ? strcasestr(client->answer, "content-length:") : NULL;

    if (!client->http)
        return client->answer[len - 1] == '\n';
    return length && length < body && (size_t) (body + 4 - client->answer) + strtoul(length + 15, NULL, 10) <= len;
}

static int receive(struct client *client)
{
    size_t len = 0;

    do {
        ssize_t n = read(client->out, client->answer + len, sizeof client->answer - 1 - len);

        if (n <= 0)
            return -EPIPE;
        len += (size_t) n;
        client->answer[len] = '\0';
    } while (!is_whole(client, len));
    return 0;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

    return x < y ? -1 : x > y;
}

static int greet(struct client *client)
{
    int r = send_message(client, HELLO);

    if (!r)
        r = receive(client);
    if (r || !strstr(client->answer, "\"result\""))
        return -EPROTO;
    r = send_message(client, READY);
    return !r && client->http ? receive(client) : r;
}

static int call_many(struct client *client, const char *tool, size_t calls, int64_t *latencies)
{
    char message[1024];

    for (size_t i = 0; i < calls; i++) {
        snprintf(message, sizeof message,
            "{\"jsonrpc\":\"2.0\",\"id\":%zu,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\",\"arguments\":{}}}", i + 1,
            tool);
        int64_t sent = clock_boot_us();
        if (send_message(client, message) < 0 || receive(client) < 0)
            return -EPIPE;
        latencies[i] = clock_boot_us() - sent;
        if (!strstr(client->answer, "\"result\"") || strstr(client->answer, "\"isError\":true")) {
            fprintf(stderr, "mcp-load: %.600s\n", client->answer);
            return -EBADMSG;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct client client;
    bool stdio = argc >= 5 && !strcmp(argv[3], "stdio"), http = argc == 6 && !strcmp(argv[3], "http");
    size_t calls = stdio || http ? strtoul(argv[2], NULL, 10) : 0;

    if (!calls) {
        fprintf(stderr, "usage: mcp-load TOOL CALLS stdio PROGRAM [ARGUMENT…] | http PORT TOKEN\n");
        return 2;
    }
    CLEANUP_FREE int64_t *latencies = calloc(calls, sizeof *latencies);
    int64_t started = clock_boot_us();
    signal(SIGPIPE, SIG_IGN);
    if (http) {
        client.port = (unsigned) strtoul(argv[4], NULL, 10);
        client.token = argv[5];
    }
    if (!latencies || (http ? start_http(&client) : start_program(&client, argv + 4)) < 0 || greet(&client) < 0)
        return 1;
    int64_t first = clock_boot_us() - started;
    int r = call_many(&client, argv[1], calls / WARM_UP_SHARE + 1, latencies);
    r = r < 0 ? r : call_many(&client, argv[1], calls, latencies);
    close(client.in);
    if (client.pid > 0)
        waitpid(client.pid, NULL, 0);
    if (r < 0)
        return 1;
    qsort(latencies, calls, sizeof *latencies, compare);
    printf("{\"p50_us\":%ld,\"p99_us\":%ld,\"first_us\":%ld}\n", (long) latencies[calls / 2], (long) latencies[calls * 99 / 100],
        (long) first);
    return 0;
}
