/*
 * The reader takes lines until the headers end, then the body by its framing.
 * An answer with two lengths, a length and chunks, or a line end without CR is
 * not guessed at: it is refused, since our own daemon sends none.
 */
#include "cli/http.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/banned.h"

enum { STATUS_LINE, HEADERS, BODY_LENGTH, BODY_TO_END, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILERS, DONE };

static int fail(struct err *err, const char *what)
{
    return err_set(err, EPROTO, "the daemon's answer is not valid HTTP: %s", what);
}

static int read_status_line(struct http_reader *reader, const char *line, struct err *err)
{
    bool ours = !strncmp(line, "HTTP/1.1 ", 9) || !strncmp(line, "HTTP/1.0 ", 9);
    int status = 0;

    for (int i = 9; ours && i < 12; i++) {
        ours = line[i] >= '0' && line[i] <= '9';
        status = status * 10 + (line[i] - '0');
    }
    if (!ours || status < 100 || (line[12] && line[12] != ' '))
        return fail(err, "status line");
    reader->status = status;
    reader->chunked = reader->has_length = false;
    reader->left = 0;
    reader->no_body = status < 200 || status == 204 || status == 304;
    reader->state = HEADERS;
    return 0;
}

static int read_length(struct http_reader *reader, const char *value, struct err *err)
{
    uint64_t length = 0;

    if (reader->has_length || !*value)
        return fail(err, "Content-Length");
    for (; *value; value++) {
        if (*value < '0' || *value > '9')
            return fail(err, "Content-Length");
        length = length * 10 + (uint64_t) (*value - '0');
        if (length > HTTP_BODY_MAX)
            return err_set(err, E2BIG, "the daemon's answer is larger than %u MiB", HTTP_BODY_MAX >> 20);
    }
    reader->has_length = true;
    reader->left = length;
    return 0;
}

static int read_header(struct http_reader *reader, char *line, struct err *err)
{
    char *colon = strchr(line, ':');
    char *value;
    size_t len;

    if (!colon || colon == line || line[0] == ' ' || line[0] == '\t')
        return fail(err, "header");
    *colon = '\0';
    value = colon + 1 + strspn(colon + 1, " \t");
    len = strlen(value);
    while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
        value[--len] = '\0';
    if (!strcasecmp(line, "content-length"))
        return read_length(reader, value, err);
    if (!strcasecmp(line, "transfer-encoding")) {
        if (reader->chunked || strcasecmp(value, "chunked") != 0)
            return fail(err, "Transfer-Encoding");
        reader->chunked = true;
    }
    return 0;
}

/* The empty line after the headers. */
static int headers_end(struct http_reader *reader, struct err *err)
{
    if (reader->chunked && reader->has_length)
        return fail(err, "a length and chunks");
    if (reader->status < 200)
        reader->state = STATUS_LINE;
    else if (reader->no_body || (reader->has_length && !reader->left))
        reader->state = DONE;
    else
        reader->state = reader->chunked ? CHUNK_SIZE : reader->has_length ? BODY_LENGTH : BODY_TO_END;
    return 0;
}

static int read_chunk_size(struct http_reader *reader, const char *line, struct err *err)
{
    uint64_t size = 0;
    size_t digits = strspn(line, "0123456789abcdefABCDEF");

    if (!digits || digits > 8 || (line[digits] && line[digits] != ';' && line[digits] != ' '))
        return fail(err, "chunk size");
    for (size_t i = 0; i < digits; i++) {
        char c = line[i];

        size = size * 16 + (uint64_t) (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    reader->left = size;
    reader->state = size ? CHUNK_DATA : TRAILERS;
    return 0;
}

static int take_line(struct http_reader *reader, struct err *err)
{
    char *line = reader->line.data ? reader->line.data : (char *) "";
    bool empty = reader->line.len == 0;

    if (strlen(line) != reader->line.len)
        return fail(err, "a NUL byte");
    switch (reader->state) {
    case STATUS_LINE:
        return read_status_line(reader, line, err);
    case HEADERS:
        return empty ? headers_end(reader, err) : read_header(reader, line, err);
    case CHUNK_SIZE:
        return read_chunk_size(reader, line, err);
    case CHUNK_END:
        reader->state = CHUNK_SIZE;
        return empty ? 0 : fail(err, "chunk end");
    default: /* TRAILERS */
        if (empty)
            reader->state = DONE;
        return 0;
    }
}

static bool wants_line(const struct http_reader *reader)
{
    return reader->state != BODY_LENGTH && reader->state != BODY_TO_END && reader->state != CHUNK_DATA;
}

/* Collects up to the next CRLF; *ret_used bytes were taken. */
static int feed_line(struct http_reader *reader, const char *data, size_t len, size_t *ret_used, struct err *err)
{
    const char *newline = memchr(data, '\n', len);
    size_t take = newline ? (size_t) (newline - data) + 1 : len;
    int r;

    reader->header_bytes += take;
    if (reader->header_bytes > HTTP_HEADER_MAX && reader->state < BODY_LENGTH)
        return err_set(err, E2BIG, "the daemon's answer has more than %u KiB of headers", HTTP_HEADER_MAX >> 10);
    r = buf_add(&reader->line, data, take);
    if (r < 0)
        return err_set(err, -r, "the daemon's answer has an overlong line");
    *ret_used = take;
    if (!newline)
        return 0;
    if (reader->line.len < 2 || reader->line.data[reader->line.len - 2] != '\r')
        return fail(err, "line end");
    reader->line.len -= 2;
    reader->line.data[reader->line.len] = '\0';
    r = take_line(reader, err);
    buf_reset(&reader->line);
    return r;
}

static int feed_body(struct http_reader *reader, const char *data, size_t len, size_t *ret_used, struct err *err)
{
    size_t take = reader->state == BODY_TO_END || reader->left > len ? len : (size_t) reader->left;
    int r = buf_add(&reader->body, data, take);

    if (r < 0)
        return err_set(err, -r, "the daemon's answer is larger than %u MiB", HTTP_BODY_MAX >> 20);
    *ret_used = take;
    if (reader->state == BODY_TO_END)
        return 0;
    reader->left -= take;
    if (!reader->left)
        reader->state = reader->state == CHUNK_DATA ? CHUNK_END : DONE;
    return 0;
}

int http_reader_feed(struct http_reader *reader, const char *data, size_t len, struct err *err)
{
    while (len && reader->state != DONE) {
        size_t used = 0;
        int r = wants_line(reader) ? feed_line(reader, data, len, &used, err) : feed_body(reader, data, len, &used, err);

        if (r < 0)
            return r;
        data += used;
        len -= used;
    }
    return reader->state == DONE ? 1 : 0;
}

int http_reader_end(struct http_reader *reader, struct err *err)
{
    if (reader->state == DONE || reader->state == BODY_TO_END)
        return 1;
    err_set(err, EPIPE, "the daemon closed the connection before its answer was complete");
    err_hint(err, "aileron daemon logs");
    return -EPIPE;
}

void http_reader_free(struct http_reader *reader)
{
    buf_free(&reader->line);
    buf_free(&reader->body);
}

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
