/*
 * The reader takes lines until the headers end, then the body by its framing.
 * An answer with two lengths, a length and chunks, or a line end without CR is
 * not guessed at: it is refused, since our own daemon sends none.
 */
#include "cli/http-read.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

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
