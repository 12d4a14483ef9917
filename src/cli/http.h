/*
 * HTTP/1.1 over the daemon's unix socket, as much as our own daemon speaks: one
 * request a connection, answers with Content-Length, chunked, or up to the end
 * of the connection (http-read.h).
 */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "cli/http-read.h"

#include <signal.h>
#include <stddef.h>
#include <sys/types.h>

/* Called once, `after_ms` after the request was sent, while the answer is awaited. */
struct http_slow {
    void (*notice)(void *userdata);
    void *userdata;
    int after_ms;
};

struct http_request {
    const char *method, *path; /* path with query, already escaped */
    const char *body;          /* JSON, or NULL */
    size_t body_len;
    int timeout_ms;                           /* without one byte of answer; 0: none */
    const struct http_slow *slow;             /* NULL */
    const volatile sig_atomic_t *interrupted; /* looked at when a signal arrives; NULL */
};

struct http_response {
    int status;
    struct buf body;
};

#define HTTP_RESPONSE_INIT                                                                                                       \
    {                                                                                                                            \
        0, BUF_INIT(HTTP_BODY_MAX)                                                                                               \
    }

/*
 * Connects to a socket of our own user. The descriptor, or -ENOENT and -ECONNREFUSED when nobody listens there,
 * -EPERM when somebody else does. *ret_pid (NULL allowed) is who listens.
 */
int http_connect(const char *socket_path, pid_t *ret_pid, struct err *err);
/* Connects, asks, reads the answer. 0, the errors of http_connect, -ETIMEDOUT, -EINTR, -EPIPE, -EPROTO, -E2BIG. */
int http_call(const char *socket_path, const struct http_request *request, struct http_response *ret_response, struct err *err);
/* Connects and asks only; the descriptor on which the answer comes. For answers that have no end. */
int http_open(const char *socket_path, const struct http_request *request, struct err *err);
void http_response_free(struct http_response *response);

#endif
