/* The reader with every framing, cut at every place, and with what a broken or hostile daemon might send; then over a socket. */
#include "cli/http.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

/* Feeds `text` in pieces of `chunk` bytes and then the end; the result of the last call. */
static int read_text(const char *text, size_t len, size_t chunk, struct http_reader *reader)
{
    struct err err = ERR_INIT;
    int r = 0;

    for (size_t at = 0; at < len && r == 0; at += chunk)
        r = http_reader_feed(reader, text + at, len - at < chunk ? len - at : chunk, &err);
    return r ? r : http_reader_end(reader, &err);
}

static void expect(const char *text, int status, const char *body)
{
    for (size_t chunk = 1; chunk <= strlen(text); chunk++) {
        CLEANUP(http_reader_free) struct http_reader reader = HTTP_READER_INIT;

        assert_int_equal(read_text(text, strlen(text), chunk, &reader), 1);
        assert_int_equal(reader.status, status);
        assert_string_equal(buf_str(&reader.body), body);
    }
}

static void refuse(const char *text, int error)
{
    static const size_t CHUNKS[] = { 1, 5, 100000 };

    for (size_t i = 0; i < ARRAY_LEN(CHUNKS); i++) {
        CLEANUP(http_reader_free) struct http_reader reader = HTTP_READER_INIT;

        assert_int_equal(read_text(text, strlen(text), CHUNKS[i], &reader), error);
    }
}

static void test_framings(void **state)
{
    expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, "{}");
    expect("HTTP/1.1 200 OK\r\ncontent-length:   2  \r\n\r\n{}", 200, "{}");
    expect("HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", 404, "");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n", 200, "abcd");
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNKED\r\n\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n", 200, "0123456789");
    expect("HTTP/1.0 200 OK\r\n\r\nto the end", 200, "to the end");
    expect("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    expect("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201, "x");
}

static void test_cut_answers(void **state)
{
    refuse("", -EPIPE);
    refuse("HTTP/1.1 200 OK\r\nContent-Len", -EPIPE);
    refuse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1234", -EPIPE);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", -EPIPE);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", -EPIPE);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", -EPIPE);
}

static void test_what_is_not_http(void **state)
{
    refuse("hello\r\n\r\n", -EPROTO);
    refuse("HTTP/2 200 OK\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 20 OK\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 2000 OK\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 099 OK\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\n\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\n: empty\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n123456789\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", -EPROTO);
}

static void test_ambiguous_lengths(void **state)
{
    refuse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n", -EPROTO);
    refuse("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", -EPROTO);
}

static void test_bounds(void **state)
{
    CLEANUP_FREE char *text = malloc(HTTP_HEADER_MAX * 2 + 1);

    refuse("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", -E2BIG);
    refuse("HTTP/1.1 200 OK\r\nContent-Length: 67108865\r\n\r\n", -E2BIG);
    memset(text, 'x', HTTP_HEADER_MAX * 2);
    text[HTTP_HEADER_MAX * 2] = '\0';
    refuse(text, -E2BIG);
    memcpy(text, "HTTP/1.1 200 OK\r\n", 17);
    for (size_t i = 17; i + 6 < HTTP_HEADER_MAX * 2; i += 6)
        memcpy(text + i, "a: b\r\n", 6);
    refuse(text, -E2BIG);
}

static void test_nul_bytes(void **state)
{
    static const char TEXT[] = "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n";
    CLEANUP(http_reader_free) struct http_reader reader = HTTP_READER_INIT;

    assert_int_equal(read_text(TEXT, sizeof(TEXT) - 1, 4096, &reader), -EPROTO);
}

/* A daemon of one answer: reads a request up to its empty line, then sends `answer` and closes. */
struct server {
    int fd;
    const char *answer;
    char request[4096];
    int delay_ms;
};

static void *serve(void *userdata)
{
    struct server *server = userdata;
    int fd = accept(server->fd, NULL, NULL);
    size_t len = 0;

    while (len < sizeof(server->request) - 1 && !strstr(server->request, "\r\n\r\n")) {
        ssize_t n = read(fd, server->request + len, sizeof(server->request) - 1 - len);

        if (n <= 0)
            break;
        len += (size_t) n;
    }
    usleep((useconds_t) server->delay_ms * 1000);
    (void) !write(fd, server->answer, strlen(server->answer)); /* who asked may have given up */
    close(fd);
    return NULL;
}

static void count_notice(void *userdata)
{
    ++*(int *) userdata;
}

static int call(struct server *server, const struct http_request *request, struct http_response *response, struct err *err)
{
    char dir[] = "/tmp/aileron-test-http-XXXXXX";
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    pthread_t thread;
    int r;

    assert_non_null(mkdtemp(dir));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
    server->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *) &address, sizeof(address)), 0);
    assert_int_equal(listen(server->fd, 1), 0);
    pthread_create(&thread, NULL, serve, server);
    r = http_call(address.sun_path, request, response, err);
    pthread_join(thread, NULL);
    close(server->fd);
    assert_int_equal(http_call(address.sun_path, request, response, err), -ECONNREFUSED);
    unlink(address.sun_path);
    assert_int_equal(http_call(address.sun_path, request, response, err), -ENOENT);
    rmdir(dir);
    return r;
}

static void test_over_a_socket(void **state)
{
    struct server server = { .answer = "HTTP/1.1 201 Created\r\nContent-Length: 8\r\n\r\n{\"a\": 1}", .delay_ms = 150 };
    int notices = 0;
    struct http_slow slow = { count_notice, &notices, 50 };
    struct http_request request = { .method = "POST", .path = "/v1/x?y=z", .body = "{}", .body_len = 2, .slow = &slow };
    CLEANUP(http_response_free) struct http_response response = HTTP_RESPONSE_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(call(&server, &request, &response, &err), 0);
    assert_int_equal(response.status, 201);
    assert_string_equal(buf_str(&response.body), "{\"a\": 1}");
    assert_int_equal(notices, 1);
    assert_ptr_equal(strstr(server.request, "POST /v1/x?y=z HTTP/1.1\r\n"), server.request);
    assert_non_null(strstr(server.request, "Content-Length: 2\r\n"));
}

static void test_a_slow_daemon_times_out(void **state)
{
    struct server server = { .answer = "", .delay_ms = 300 };
    struct http_request request = { .method = "GET", .path = "/", .timeout_ms = 100 };
    CLEANUP(http_response_free) struct http_response response = HTTP_RESPONSE_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(call(&server, &request, &response, &err), -ETIMEDOUT);
}

static void test_a_daemon_that_ends(void **state)
{
    struct server server = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf" };
    struct http_request request = { .method = "GET", .path = "/" };
    CLEANUP(http_response_free) struct http_response response = HTTP_RESPONSE_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(call(&server, &request, &response, &err), -EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_framings),
        cmocka_unit_test(test_cut_answers),
        cmocka_unit_test(test_what_is_not_http),
        cmocka_unit_test(test_ambiguous_lengths),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_over_a_socket),
        cmocka_unit_test(test_a_slow_daemon_times_out),
        cmocka_unit_test(test_a_daemon_that_ends),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
