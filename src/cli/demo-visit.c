/*
 * As much of a browser as pressing one button takes: plain HTTP to this machine, one request a connection, read to its end.
 */
#include "cli/demo.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/banned.h"

#define STEP_S      15 /* the daemon asks the provider for tokens meanwhile */
#define REQUEST_MAX (32 * 1024)

void visit_page_free(struct visit_page *page)
{
    buf_free(&page->text);
}

static int connect_to(unsigned port, struct err *err)
{
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)
    };
    struct timeval patience = { .tv_sec = STEP_S };

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
        return err_errno(err, errno, "cannot reach 127.0.0.1:%u", port);
    return TAKE_FD(fd);
}

static int send_request(int fd, unsigned port, const char *target, const char *form, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(REQUEST_MAX);
    int r = buf_printf(&text, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nAccept: text/html\r\nConnection: close\r\n",
        form ? "POST" : "GET", target, port);

    if (r >= 0 && form)
        r = buf_printf(&text, "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n", strlen(form));
    if (r >= 0)
        r = buf_printf(&text, "\r\n%s", form ? form : "");
    if (r < 0)
        return err_set(err, -r, "an address is too long");
    /* Smaller than any socket's buffer: sent at once or not at all. */
    return send(fd, text.data, text.len, MSG_NOSIGNAL) == (ssize_t) text.len
               ? 0
               : err_errno(err, errno, "cannot write to 127.0.0.1:%u", port);
}

static int receive(int fd, unsigned port, struct buf *text, struct err *err)
{
    for (;;) {
        char data[4096];
        ssize_t n = recv(fd, data, sizeof(data), 0);

        if (n == 0)
            return 0;
        if (n < 0)
            return err_errno(err, errno, "no answer of 127.0.0.1:%u", port);
        if (buf_add(text, data, (size_t) n) < 0)
            return err_set(err, E2BIG, "the answer of 127.0.0.1:%u is too large", port);
    }
}

/* 0 when the text begins with a status line. */
static int read_status(const char *text, int *ret_status)
{
    static const char version[] = "HTTP/1.1 ";
    char *end;
    long status;

    if (strncmp(text, version, sizeof(version) - 1) != 0)
        return -EPROTO;
    status = strtol(text + sizeof(version) - 1, &end, 10);
    if (status < 100 || status > 599 || (*end != ' ' && *end != '\r'))
        return -EPROTO;
    *ret_status = (int) status;
    return 0;
}

int visit_load(unsigned port, const char *target, const char *form, struct visit_page *ret_page, struct err *err)
{
    CLEANUP_CLOSE int fd = connect_to(port, err);
    int r = fd < 0 ? fd : send_request(fd, port, target, form, err);

    if (r >= 0)
        r = receive(fd, port, &ret_page->text, err);
    if (r >= 0 && read_status(buf_str(&ret_page->text), &ret_page->status) < 0)
        r = err_set(err, EPROTO, "127.0.0.1:%u does not speak HTTP", port);
    return r;
}

char *visit_header(const struct visit_page *page, const char *name)
{
    const char *line = buf_str(&page->text), *end = strstr(line, "\r\n\r\n");
    size_t len = strlen(name);

    while (end && line < end && (line = strstr(line, "\r\n")) && line < end) {
        line += 2;
        if (!strncasecmp(line, name, len) && line[len] == ':') {
            line += len + 1 + strspn(line + len + 1, " ");
            return strndup(line, strcspn(line, "\r\n"));
        }
    }
    return NULL;
}
