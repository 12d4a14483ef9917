/* Waiting, streaming and leaving on a real evhttp: what the library does not see by itself, and what once ended servers on it. */
#include "web/exchange.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <event2/http.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    struct event_base *base;
    struct evhttp *server;
    struct exchange *waiting; /* the newest request */
    unsigned requests, gone;
    int client;
} scene;

static void on_gone(void *userdata)
{
    assert_ptr_equal(userdata, &scene);
    scene.waiting = NULL;
    scene.gone++;
}

static void on_request(struct evhttp_request *http, void *userdata)
{
    scene.waiting = exchange_new(http);
    scene.requests++;
    exchange_watch(scene.waiting, on_gone, &scene);
}

static int setup(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;

    memset(&scene, 0, sizeof scene);
    scene.base = event_base_new();
    scene.server = evhttp_new(scene.base);
    evhttp_set_gencb(scene.server, on_request, NULL);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(scene.server, "127.0.0.1", 0);
    assert_int_equal(getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *) &address, &len), 0);
    scene.client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(scene.client, (struct sockaddr *) &address, sizeof address), 0);
    fcntl(scene.client, F_SETFL, O_NONBLOCK);
    return 0;
}

static int teardown(void **state)
{
    if (scene.client >= 0)
        close(scene.client);
    if (scene.waiting)
        exchange_drop(scene.waiting);
    evhttp_free(scene.server);
    event_base_free(scene.base);
    return 0;
}

static void turn(void)
{
    for (int i = 0; i < 20; i++) {
        event_base_loop(scene.base, EVLOOP_NONBLOCK);
        usleep(1000);
    }
}

static void say(const char *text)
{
    assert_int_equal(send(scene.client, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    turn();
}

/* All that has come; "" when nothing has. */
static const char *hear(void)
{
    static char got[65536];
    ssize_t n;

    turn();
    n = recv(scene.client, got, sizeof got - 1, 0);
    got[n > 0 ? n : 0] = '\0';
    return got;
}

#define REQUEST "POST /x HTTP/1.1\r\nHost: h\r\nX-Name: value\r\nContent-Length: 4\r\n\r\nbody"

static void test_a_request(void **state)
{
    size_t len;

    say(REQUEST);
    assert_non_null(scene.waiting);
    assert_string_equal(exchange_method(scene.waiting), "POST");
    assert_string_equal(exchange_header(scene.waiting, "x-name"), "value");
    assert_null(exchange_header(scene.waiting, "Accept"));
    assert_memory_equal(exchange_body(scene.waiting, &len), "body", 4);
    assert_int_equal(len, 4);
    exchange_answer(scene.waiting, 200, "application/json", "{}", 2);
    scene.waiting = NULL;
    const char *got = hear();
    assert_non_null(strstr(got, "HTTP/1.1 200"));
    assert_non_null(strstr(got, "Cache-Control: no-store"));
    assert_non_null(strstr(got, "\r\n\r\n{}"));
}

static void test_who_goes_is_noticed(void **state)
{
    say(REQUEST);
    assert_int_equal(scene.gone, 0);
    close(scene.client);
    scene.client = -1;
    turn();
    assert_int_equal(scene.gone, 1);
}

/* The next request comes while one waits: it is kept until that is answered, however often. */
static void test_who_does_not_wait(void **state)
{
    say(REQUEST);
    say(REQUEST REQUEST);
    assert_int_equal(scene.requests, 1);
    assert_int_equal(scene.gone, 0);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(scene.requests, i);
        exchange_answer(scene.waiting, 202, NULL, NULL, 0);
        scene.waiting = NULL;
        assert_non_null(strstr(hear(), "HTTP/1.1 202"));
    }
}

static void test_a_stream(void **state)
{
    say(REQUEST);
    exchange_stream(scene.waiting);
    const char *got = hear();
    assert_non_null(strstr(got, "Content-Type: text/event-stream"));
    exchange_event(scene.waiting, "{\"a\":1}", 7);
    exchange_comment(scene.waiting);
    got = hear();
    assert_non_null(strstr(got, "event: message\ndata: {\"a\":1}\n\n"));
    assert_non_null(strstr(got, ":\n\n"));
    exchange_end(scene.waiting);
    scene.waiting = NULL;
    assert_non_null(strstr(hear(), "0\r\n\r\n"));
    assert_int_equal(recv(scene.client, (char[1]){ 0 }, 1, 0), 0); /* closed */
    assert_int_equal(scene.gone, 0);
}

static void test_who_leaves_a_stream(void **state)
{
    say(REQUEST);
    exchange_stream(scene.waiting);
    turn();
    close(scene.client);
    scene.client = -1;
    turn();
    assert_int_equal(scene.gone, 1);
}

/* Its backlog does not grow for ever: it is cut off, and its end told like any other. */
static void test_who_does_not_read(void **state)
{
    const size_t len = 1u << 20;
    char *much = malloc(len);
    unsigned sent = 0;

    memset(much, 'x', len);
    say(REQUEST);
    exchange_stream(scene.waiting);
    for (; scene.waiting && sent < 100; sent++) {
        exchange_event(scene.waiting, much, len);
        turn();
    }
    free(much);
    assert_int_equal(scene.gone, 1);
    assert_in_range(sent, 4, 40);
}

static void test_it_may_be_taken_back(void **state)
{
    say(REQUEST);
    struct evhttp_request *http = exchange_take(scene.waiting);
    scene.waiting = NULL;
    evhttp_send_reply(http, 204, NULL, NULL);
    assert_non_null(strstr(hear(), "HTTP/1.1 204"));
    say(REQUEST);
    assert_int_equal(scene.requests, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_request, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_goes_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_does_not_wait, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_leaves_a_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_who_does_not_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_it_may_be_taken_back, setup, teardown),
    };

    signal(SIGPIPE, SIG_IGN); /* as the daemon has it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
