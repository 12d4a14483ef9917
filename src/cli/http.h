/*
 * HTTP/1.1 over the daemon's unix socket, as much as our own daemon speaks: one
 * request a connection, answers with Content-Length, chunked, or up to the end
 * of the connection. The reader is a pure state machine; http_call() feeds it.
 */
#ifndef CLI_HTTP_H
#define CLI_HTTP_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define HTTP_HEADER_MAX (32u * 1024)
#define HTTP_BODY_MAX   (64u * 1024 * 1024)

struct http_reader {
    int state;
    int status; /* of the final answer */
    bool chunked, has_length, no_body;
    uint64_t left;       /* of the body or of the current chunk */
    size_t header_bytes; /* of status line, headers, chunk sizes and trailers together */
    struct buf line;
    struct buf body;
};

#define HTTP_READER_INIT                                                                                                         \
    {                                                                                                                            \
        .line = BUF_INIT(HTTP_HEADER_MAX), .body = BUF_INIT(HTTP_BODY_MAX)                                                       \
    }

/* Takes received bytes. 0: wants more; 1: the answer is complete; -EPROTO, -E2BIG, -ENOMEM with words in `err`. */
int http_reader_feed(struct http_reader *reader, const char *data, size_t len, struct err *err);
/* The connection ended. 1: that completed the answer; -EPIPE: it was cut. */
int http_reader_end(struct http_reader *reader, struct err *err);
void http_reader_free(struct http_reader *reader);

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
void http_response_free(struct http_response *response);

#endif
