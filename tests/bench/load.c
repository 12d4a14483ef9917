/*
 * A load of MCP calls on agent.sock: N connections, each with one call at a time,
 * M calls in all, after a warm-up unless the last word is `cold`. Prints one JSON object with the latencies in
 * microseconds. Any answer that is not a success ends the run with exit 1.
 *
 *     load SOCKET TOKEN TOOL ARGUMENTS-JSON CLIENTS CALLS [cold]
 */
#include "base/cleanup.h"
#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/banned.h"

#define LINE_MAX_BYTES (4u << 20)
#define WARM_UP_SHARE  10

struct client {
    int fd;
    char *line;
    size_t len;
    int64_t sent_us;
};

static char request[65536];
static size_t request_len;

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *) a, y = *(const int64_t *) b;

    return x < y ? -1 : x > y;
}

static int client_open(struct client *client, const char *path, const char *token)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    char first[256];

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    client->line = malloc(LINE_MAX_BYTES);
    if (client->fd < 0 || !client->line || connect(client->fd, (struct sockaddr *) &address, sizeof(address)) < 0)
        return -errno;
    int len = snprintf(first, sizeof(first), "%s\n", token);
    return write(client->fd, first, (size_t) len) == len ? 0 : -EIO;
}

static int client_send(struct client *client)
{
    client->sent_us = clock_boot_us();
    client->len = 0;
    return write(client->fd, request, request_len) == (ssize_t) request_len ? 0 : -EIO;
}

/* 1: a whole answer, which was a success; 0: more to come; negative: failed. */
static int client_read(struct client *client)
{
    ssize_t got = read(client->fd, client->line + client->len, LINE_MAX_BYTES - 1 - client->len);

    if (got <= 0)
        return -EPIPE;
    client->len += (size_t) got;
    client->line[client->len] = '\0';
    if (client->line[client->len - 1] != '\n')
        return 0;
    if (strstr(client->line, "\"isError\":false"))
        return 1;
    fprintf(stderr, "load: %.600s\n", client->line);
    return -EBADMSG;
}

static int run(struct client *clients, struct pollfd *polls, size_t clients_len, size_t calls, int64_t *latencies)
{
    size_t sent = 0, answered = 0;

    for (size_t i = 0; i < clients_len && sent < calls; i++, sent++) {
        if (client_send(&clients[i]) < 0)
            return -EIO;
    }
    while (answered < calls) {
        if (poll(polls, clients_len, 30000) <= 0)
            return -ETIMEDOUT;
        for (size_t i = 0; i < clients_len; i++) {
            if (!polls[i].revents)
                continue;
            int r = client_read(&clients[i]);
            if (r < 0)
                return r;
            if (!r)
                continue;
            latencies[answered++] = clock_boot_us() - clients[i].sent_us;
            if (sent < calls && ++sent && client_send(&clients[i]) < 0)
                return -EIO;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    bool cold = argc == 8 && !strcmp(argv[7], "cold");

    if (argc != 7 && !cold) {
        fprintf(stderr, "usage: load SOCKET TOKEN TOOL ARGUMENTS-JSON CLIENTS CALLS [cold]\n");
        return 2;
    }
    size_t clients_len = strtoul(argv[5], NULL, 10), calls = strtoul(argv[6], NULL, 10);
    CLEANUP_FREE struct client *clients = calloc(clients_len, sizeof(*clients));
    CLEANUP_FREE struct pollfd *polls = calloc(clients_len, sizeof(*polls));
    CLEANUP_FREE int64_t *latencies = calloc(calls, sizeof(*latencies));

    request_len = (size_t) snprintf(request, sizeof(request),
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{\"name\":\"%s\",\"arguments\":%s}}\n", argv[3],
        argv[4]);
    if (!clients || !polls || !latencies || !clients_len || !calls)
        return 2;
    for (size_t i = 0; i < clients_len; i++) {
        if (client_open(&clients[i], argv[1], argv[2]) < 0) {
            fprintf(stderr, "load: cannot connect to %s: %s\n", argv[1], strerror(errno));
            return 1;
        }
        polls[i] = (struct pollfd){ .fd = clients[i].fd, .events = POLLIN };
    }
    if (!cold && run(clients, polls, clients_len, calls / WARM_UP_SHARE + clients_len, latencies) < 0)
        return 1;
    int64_t started = clock_boot_us();
    if (run(clients, polls, clients_len, calls, latencies) < 0)
        return 1;
    double seconds = (double) (clock_boot_us() - started) / 1e6;
    qsort(latencies, calls, sizeof(*latencies), compare);
    printf("{\"p50_us\":%ld,\"p25_us\":%ld,\"p75_us\":%ld,\"p99_us\":%ld,\"max_us\":%ld,\"calls_per_s\":%.0f}\n",
        (long) latencies[calls / 2], (long) latencies[calls / 4], (long) latencies[calls * 3 / 4],
        (long) latencies[calls * 99 / 100], (long) latencies[calls - 1], (double) calls / seconds);
    return 0;
}
