/*
 * The reading half of HTTP/1.1 for one answer: a pure state machine that is fed
 * with whatever bytes came. Content-Length, chunked, or up to the end of the
 * connection; anything that could be read in two ways is refused.
 */
#ifndef CLI_HTTP_READ_H
#define CLI_HTTP_READ_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

#endif
