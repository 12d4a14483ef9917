/*
 * The relay's loop against an agent and a daemon that are threads of the test:
 * everything arrives, whatever is slow, large or gone.
 */
#include "relay/pump.h"

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

static void hear(int fd, const char *text);

struct scene {
    int agent_in[2], agent_out[2]; /* pipes; the relay reads agent_in[0] and writes agent_out[1] */
    char path[64];
    int listener, daemon; /* the daemon's side */
    struct pump pump;
    enum pump_end end;
    char why[PUMP_WHY_MAX];
    pthread_t thread;
};

static void *run(void *userdata)
{
    struct scene *scene = userdata;

    scene->end = pump_run(&scene->pump, scene->why);
    return NULL;
}

static void listen_at(struct scene *scene)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    snprintf(address.sun_path, sizeof address.sun_path, "%s", scene->path);
    scene->listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(scene->listener, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(listen(scene->listener, 5), 0);
}

/* The relay's next connection, which begins with the token. */
static void accept_relay(struct scene *scene)
{
    scene->daemon = accept(scene->listener, NULL, NULL);
    assert_true(scene->daemon >= 0);
    hear(scene->daemon, "ags_token\n");
}

static void start(struct scene *scene)
{
    snprintf(scene->path, sizeof scene->path, "/tmp/aileron-test-pump-%d.sock", (int) getpid());
    unlink(scene->path);
    assert_int_equal(pipe(scene->agent_in), 0);
    assert_int_equal(pipe(scene->agent_out), 0);
    listen_at(scene);
    scene->pump = (struct pump){
        .in = scene->agent_in[0], .out = scene->agent_out[1], .socket_path = scene->path, .token = "ags_token", .quiet_ms = 300
    };
    assert_int_equal(pthread_create(&scene->thread, NULL, run, scene), 0);
    accept_relay(scene);
}

static enum pump_end finish(struct scene *scene)
{
    pthread_join(scene->thread, NULL);
    unlink(scene->path);
    close(scene->listener);
    return scene->end;
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void hear(int fd, const char *text)
{
    char got[1024] = "";
    size_t len = 0, want = strlen(text);

    while (len < want) {
        ssize_t n = read(fd, got + len, want - len);

        assert_true(n > 0);
        len += (size_t) n;
    }
    assert_string_equal(got, text);
}

static void test_both_ways(void **state)
{
    struct scene scene = { .daemon = -1 };

    start(&scene);
    say(scene.agent_in[1], "{\"id\":1,\"method\":\"ping\"}\n");
    hear(scene.daemon, "{\"id\":1,\"method\":\"ping\"}\n");
    say(scene.daemon, "{\"id\":1,\"result\":{}}\n");
    hear(scene.agent_out[0], "{\"id\":1,\"result\":{}}\n");
    close(scene.agent_in[1]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
}

static void test_end_of_input_waits_for_answers(void **state)
{
    struct scene scene = { .daemon = -1 };

    start(&scene);
    say(scene.agent_in[1], "{\"id\":1,\"method\":\"slow\"}\n");
    close(scene.agent_in[1]);
    hear(scene.daemon, "{\"id\":1,\"method\":\"slow\"}\n");
    usleep(100000);
    say(scene.daemon, "{\"method\":\"notifications/progress\"}\n");
    usleep(250000);
    say(scene.daemon, "{\"id\":1,\"result\":1}\n");
    hear(scene.agent_out[0], "{\"method\":\"notifications/progress\"}\n{\"id\":1,\"result\":1}\n");
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
}

static void test_end_of_input_does_not_wait_for_ever(void **state)
{
    struct scene scene = { .daemon = -1 };

    start(&scene);
    say(scene.agent_in[1], "{\"id\":1,\"method\":\"never\"}\n");
    close(scene.agent_in[1]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
}

static void test_agent_that_went_is_seen(void **state)
{
    struct scene scene = { .daemon = -1 };

    start(&scene);
    say(scene.agent_in[1], "{\"id\":1,\"method\":\"x\"}\n");
    close(scene.agent_out[0]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
    close(scene.agent_in[1]);
}

/* Its last whole words are delivered, half a word is not. */
static void test_a_new_daemon_goes_on(void **state)
{
    struct scene scene = { .daemon = -1 };

    start(&scene);
    say(scene.agent_in[1], "{\"id\":0,\"method\":\"initialize\"}\n");
    hear(scene.daemon, "{\"id\":0,\"method\":\"initialize\"}\n");
    say(scene.daemon, "{\"id\":0,\"result\":0}\n");
    say(scene.agent_in[1], "{\"id\":1,\"method\":\"a\"}\n");
    hear(scene.daemon, "{\"id\":1,\"method\":\"a\"}\n");
    say(scene.daemon, "{\"id\":1,\"result\":1}\n{\"id\":2,\"res");
    close(scene.daemon);
    hear(scene.agent_out[0], "{\"id\":0,\"result\":0}\n{\"id\":1,\"result\":1}\n");
    close(scene.listener);
    unlink(scene.path);
    say(scene.agent_in[1], "{\"id\":3,\"method\":\"b\"}\n");
    usleep(100000);
    listen_at(&scene);
    accept_relay(&scene);
    char got[1024];
    ssize_t n = 0;
    while (n < 1 || !memmem(got, (size_t) n, "\"method\":\"b\"", 12))
        n = read(scene.daemon, got, sizeof got);
    say(scene.daemon, "{\"id\":\"aileron-mcp-resume\",\"result\":{}}\n{\"id\":3,\"result\":3}\n");
    hear(scene.agent_out[0], "{\"id\":3,\"result\":3}\n");
    close(scene.agent_in[1]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
}

static void test_an_unknown_token_is_the_end(void **state)
{
    struct scene scene = { .daemon = -1 };

    start(&scene);
    say(scene.daemon, "{\"id\":null,\"error\":{\"code\":-32001,\"message\":\"unknown or ended session\"}}\n");
    close(scene.daemon);
    assert_int_equal(finish(&scene), PUMP_REFUSED);
    assert_non_null(strstr(scene.why, "unknown or ended session"));
    close(scene.agent_in[1]);
}

#define MUCH (3 * 1024 * 1024)

static void *echo_all(void *userdata)
{
    int fd = *(int *) userdata;
    static char data[10000];
    ssize_t n;

    while ((n = read(fd, data, sizeof(data))) > 0)
        for (ssize_t at = 0, m; at < n; at += m) {
            m = write(fd, data + at, (size_t) (n - at));
            if (m <= 0)
                return NULL;
        }
    return NULL;
}

#define LINE (64 * 1024)

static char letter(size_t i)
{
    return (char) (i % LINE == LINE - 1 ? '\n' : 'a' + i % 23);
}

static void *write_much(void *userdata)
{
    int fd = *(int *) userdata;
    char *much = malloc(MUCH);

    for (size_t i = 0; i < MUCH; i++)
        much[i] = letter(i);
    for (ssize_t at = 0, m; at < MUCH; at += m) {
        m = write(fd, much + at, (size_t) (MUCH - at));
        if (m <= 0)
            break;
    }
    free(much);
    return NULL;
}

/* More than every buffer on the way holds, through a reader that is slow at first. */
static void test_much_arrives_whole(void **state)
{
    struct scene scene = { .daemon = -1 };
    pthread_t writer, echoer;
    static char got[MUCH];
    size_t len = 0;

    start(&scene);
    pthread_create(&echoer, NULL, echo_all, &scene.daemon);
    pthread_create(&writer, NULL, write_much, &scene.agent_in[1]);
    usleep(100000);
    while (len < MUCH) {
        ssize_t n = read(scene.agent_out[0], got + len, MUCH - len);

        assert_true(n > 0);
        len += (size_t) n;
    }
    for (size_t i = 0; i < MUCH; i++)
        assert_int_equal(got[i], letter(i));
    pthread_join(writer, NULL);
    close(scene.agent_out[0]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
    pthread_join(echoer, NULL);
}

/* A line that has no end costs one complaint, not memory. */
static void test_an_endless_line(void **state)
{
    struct scene scene = { .daemon = -1 };
    static char much[64 * 1024];

    start(&scene);
    memset(much, 'x', sizeof much);
    for (int i = 0; i < 48; i++)
        assert_int_equal(write(scene.agent_in[1], much, sizeof much), sizeof much);
    say(scene.agent_in[1], "\n{\"id\":1,\"method\":\"ping\"}\n");
    hear(scene.daemon, "{\"id\":1,\"method\":\"ping\"}\n");
    hear(scene.agent_out[0],
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,\"message\":\"the message is longer than 2 MiB\"}}\n");
    close(scene.agent_out[0]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_end_of_input_waits_for_answers),
        cmocka_unit_test(test_end_of_input_does_not_wait_for_ever),
        cmocka_unit_test(test_agent_that_went_is_seen),
        cmocka_unit_test(test_a_new_daemon_goes_on),
        cmocka_unit_test(test_an_unknown_token_is_the_end),
        cmocka_unit_test(test_much_arrives_whole),
        cmocka_unit_test(test_an_endless_line),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
