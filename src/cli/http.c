/*
 * Connecting, asking and waiting. One request a connection, so that nothing is
 * left over from one answer to the next.
 */
#include "cli/http.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/banned.h"

void http_response_free(struct http_response *response)
{
    buf_free(&response->body);
}

int http_connect(const char *socket_path, pid_t *ret_pid, struct err *err)
{
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct ucred peer;
    socklen_t peer_len = sizeof(peer);

    if (fd < 0)
        return err_errno(err, errno, "cannot make a socket");
    if (strlen(socket_path) >= sizeof(address.sun_path))
        return err_set(err, ENAMETOOLONG, "%s is too long for a socket", socket_path);
    memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
    if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
        return err_errno(err, errno, "cannot reach the daemon at %s", socket_path);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_len) < 0)
        return err_errno(err, errno, "cannot tell who listens at %s", socket_path);
    if (peer.uid != geteuid())
        return err_set(err, EPERM, "%s belongs to a program of another user", socket_path);
    if (ret_pid)
        *ret_pid = peer.pid;
    return TAKE_FD(fd);
}

static int send_request(int fd, const struct http_request *request, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(HTTP_HEADER_MAX + request->body_len);
    int r = buf_printf(&text, "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAccept: application/json\r\n",
        request->method, request->path);
    size_t sent = 0;

    if (r >= 0 && request->body)
        r = buf_printf(&text, "Content-Type: application/json\r\nContent-Length: %zu\r\n", request->body_len);
    if (r >= 0)
        r = buf_add_str(&text, "\r\n");
    if (r >= 0 && request->body)
        r = buf_add(&text, request->body, request->body_len);
    if (r < 0)
        return err_set(err, -r, "the request is too large");
    while (sent < text.len) {
        ssize_t n = send(fd, text.data + sent, text.len - sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) /* an early answer (413) may be waiting, so it is read all the same */
            return errno == EPIPE || errno == ECONNRESET ? 0 : err_errno(err, errno, "cannot write to the daemon");
        sent += (size_t) n;
    }
    return 0;
}

/* Waits for bytes: 0, -ETIMEDOUT or -EINTR. Tells the notice once on its way. */
static int wait_readable(int fd, const struct http_request *request, int64_t start_ms, bool *noticed, struct err *err)
{
    for (;;) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        int64_t passed = clock_boot_ms() - start_ms;
        int64_t wait = request->timeout_ms ? request->timeout_ms - passed : -1;
        bool notice_due = request->slow && !*noticed;
        int n;

        if (request->interrupted && *request->interrupted)
            return err_set(err, EINTR, "interrupted");
        if (request->timeout_ms && wait <= 0)
            return err_set(err, ETIMEDOUT, "the daemon did not answer within %d s", request->timeout_ms / 1000);
        if (notice_due && (wait < 0 || request->slow->after_ms - passed < wait))
            wait = request->slow->after_ms > passed ? request->slow->after_ms - passed : 0;
        n = poll(&poll_fd, 1, (int) wait);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_errno(err, errno, "cannot wait for the daemon");
        if (n == 0 && notice_due && clock_boot_ms() - start_ms >= request->slow->after_ms) {
            *noticed = true;
            request->slow->notice(request->slow->userdata);
        }
    }
}

static int read_answer(int fd, const struct http_request *request, struct http_reader *reader, struct err *err)
{
    int64_t start_ms = clock_boot_ms();
    bool noticed = false;
    char data[64 * 1024];

    for (;;) {
        ssize_t n;
        int r = wait_readable(fd, request, start_ms, &noticed, err);

        if (r < 0)
            return r;
        n = recv(fd, data, sizeof(data), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != ECONNRESET)
            return err_errno(err, errno, "cannot read from the daemon");
        r = n > 0 ? http_reader_feed(reader, data, (size_t) n, err) : http_reader_end(reader, err);
        if (r != 0)
            return r < 0 ? r : 0;
        if (request->timeout_ms)
            start_ms = clock_boot_ms();
    }
}

int http_open(const char *socket_path, const struct http_request *request, struct err *err)
{
    CLEANUP_CLOSE int fd = http_connect(socket_path, NULL, err);
    int r;

    if (fd < 0)
        return fd;
    r = send_request(fd, request, err);
    return r < 0 ? r : TAKE_FD(fd);
}

int http_call(const char *socket_path, const struct http_request *request, struct http_response *ret_response, struct err *err)
{
    CLEANUP_CLOSE int fd = http_connect(socket_path, NULL, err);
    CLEANUP(http_reader_free) struct http_reader reader = HTTP_READER_INIT;
    int r;

    if (fd < 0)
        return fd;
    r = send_request(fd, request, err);
    if (r >= 0)
        r = read_answer(fd, request, &reader, err);
    if (r < 0)
        return r;
    ret_response->status = reader.status;
    buf_free(&ret_response->body);
    ret_response->body = reader.body;
    reader.body = (struct buf) BUF_INIT(0);
    return 0;
}
