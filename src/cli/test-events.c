/* The stream of events, cut at every place, with what a broken daemon might send, and for longer than any buffer. */
#include "cli/events.h"

#include "base/json.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

struct server {
    char dir[64], path[96];
    int listener;
    pthread_t thread;
    const char *head, *body; /* body: event text, sent in chunks of `cut` bytes */
    size_t cut, times;
    bool stay; /* says nothing more, and does not close */
};

static void send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n <= 0)
            return;
        data += n;
        len -= (size_t) n;
    }
}

static void *serve(void *userdata)
{
    struct server *server = userdata;
    char request[4096], size[32];
    int fd = accept(server->listener, NULL, NULL);

    assert_true(recv(fd, request, sizeof request, 0) > 0);
    assert_int_equal(strncmp(request, "GET /v1/events HTTP/1.1\r\n", 25), 0);
    send_all(fd, server->head, strlen(server->head));
    for (size_t i = 0; i < server->times; i++)
        for (size_t at = 0, len = strlen(server->body); at < len; at += server->cut) {
            size_t piece = len - at < server->cut ? len - at : server->cut;

            snprintf(size, sizeof size, "%zx\r\n", piece);
            send_all(fd, size, strlen(size));
            send_all(fd, server->body + at, piece);
            send_all(fd, "\r\n", 2);
        }
    if (server->stay)
        (void) !recv(fd, request, sizeof request, 0); /* until the client goes */
    close(fd);
    return NULL;
}

static void start(struct server *server)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    snprintf(server->dir, sizeof server->dir, "/tmp/test-events-XXXXXX");
    assert_non_null(mkdtemp(server->dir));
    snprintf(server->path, sizeof server->path, "%s/socket", server->dir);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", server->path);
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(listen(server->listener, 1), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void stop(struct server *server)
{
    pthread_join(server->thread, NULL);
    close(server->listener);
    unlink(server->path);
    rmdir(server->dir);
}

/* Waits for the next: 1, or the end's error. */
static int next(struct events *events, struct event *event)
{
    int r;

    while ((r = events_next(events, event)) == 0) {
        struct pollfd poll_fd = { .fd = events_fd(events), .events = POLLIN };

        assert_true(poll(&poll_fd, 1, 5000) > 0);
    }
    return r;
}

static const char BODY[] =
    ":\n\nevent: approval\ndata: {\"id\":\"apr_1\"}\n\n:\n\nevent: audit\ndata: {\"seq\":7}\n\nevent: vault\n\n";

static void test_cut_at_every_place(void **state)
{
    for (size_t cut = 1; cut < sizeof BODY; cut++) {
        struct server server = { .head = HEAD, .body = BODY, .cut = cut, .times = 1 };
        CLEANUP_PTR(events_close) struct events *events = NULL;
        struct event event;
        struct err err = ERR_INIT;

        start(&server);
        assert_int_equal(events_open(server.path, NULL, &events, &err), 0);
        assert_int_equal(next(events, &event), 1);
        assert_string_equal(event.type, "approval");
        assert_string_equal(json_get_str(event.data, "id"), "apr_1");
        json_decref(event.data);
        assert_int_equal(next(events, &event), 1);
        assert_string_equal(event.type, "audit");
        assert_int_equal(json_integer_value(json_object_get(event.data, "seq")), 7);
        json_decref(event.data);
        assert_int_equal(next(events, &event), 1);
        assert_string_equal(event.type, "vault");
        assert_int_equal(json_object_size(event.data), 0);
        json_decref(event.data);
        assert_true(next(events, &event) < 0);
        assert_true(events_next(events, &event) < 0);
        stop(&server);
    }
}

static void test_longer_than_any_buffer(void **state)
{
    struct server server = { .head = HEAD, .body = BODY, .cut = 97, .times = 30000 };
    CLEANUP_PTR(events_close) struct events *events = NULL;
    struct event event;
    struct err err = ERR_INIT;
    size_t count = 0;

    start(&server);
    assert_int_equal(events_open(server.path, NULL, &events, &err), 0);
    while (next(events, &event) > 0) {
        count++;
        json_decref(event.data);
    }
    assert_int_equal(count, 90000);
    stop(&server);
}

static void test_what_is_no_event(void **state)
{
    static const char *const BODIES[] = { "event: approval\ndata: {broken\n\nevent: x\n\n", "data: {}\n\nevent: x\n\n",
        "nonsense\n\nevent: x\n\n", "event: a-type-that-is-much-longer-than-any-of-ours\ndata: []\n\nevent: x\n\n" };

    for (size_t i = 0; i < ARRAY_LEN(BODIES); i++) {
        struct server server = { .head = HEAD, .body = BODIES[i], .cut = 1000, .times = 1 };
        CLEANUP_PTR(events_close) struct events *events = NULL;
        struct event event;
        struct err err = ERR_INIT;
        int r;

        start(&server);
        assert_int_equal(events_open(server.path, NULL, &events, &err), 0);
        while ((r = next(events, &event)) > 0) {
            assert_non_null(event.data);
            assert_true(strlen(event.type) < EVENT_TYPE_MAX);
            r = !strcmp(event.type, "x");
            json_decref(event.data);
            if (r)
                break;
        }
        assert_int_equal(r, 1); /* what comes after it is read */
        assert_true(next(events, &event) < 0);
        stop(&server);
    }
}

static void test_answers_that_are_no_stream(void **state)
{
    static const char *const HEADS[] = { "HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "HTTP/1.1 429 Too Many\r\nTransfer-Encoding: chunked\r\n\r\n",
        "hello\r\n\r\n", "" };

    for (size_t i = 0; i < ARRAY_LEN(HEADS); i++) {
        struct server server = { .head = HEADS[i], .body = "", .cut = 1, .times = 1 };
        CLEANUP_PTR(events_close) struct events *events = NULL;
        struct err err = ERR_INIT;

        start(&server);
        assert_int_equal(events_open(server.path, NULL, &events, &err), -EPROTO);
        assert_null(events);
        stop(&server);
    }
    struct err err = ERR_INIT;
    CLEANUP_PTR(events_close) struct events *events = NULL;
    assert_int_equal(events_open("/tmp/no/such/socket", NULL, &events, &err), -ENOENT);
}

/* A stream that never begins is given up; one without an end of its block is bounded. */
static void test_bounds(void **state)
{
    static const volatile sig_atomic_t interrupted = 1;
    CLEANUP_FREE char *endless = malloc(300 * 1024);
    struct server server = { .head = HEAD, .cut = 4096, .times = 1, .stay = true };
    CLEANUP_PTR(events_close) struct events *events = NULL;
    struct event event;
    struct err err = ERR_INIT;

    memset(endless, 'x', 300 * 1024 - 1);
    endless[300 * 1024 - 1] = '\0';
    server.body = endless;
    start(&server);
    assert_int_equal(events_open(server.path, NULL, &events, &err), 0);
    assert_true(next(events, &event) < 0);
    events_close(TAKE_PTR(events));
    stop(&server);

    struct server silent = { .head = "", .body = "", .cut = 1, .times = 1, .stay = true };
    start(&silent);
    assert_int_equal(events_open(silent.path, &interrupted, &events, &err), -EINTR);
    assert_null(events);
    stop(&silent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_at_every_place),
        cmocka_unit_test(test_longer_than_any_buffer),
        cmocka_unit_test(test_what_is_no_event),
        cmocka_unit_test(test_answers_that_are_no_stream),
        cmocka_unit_test(test_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
