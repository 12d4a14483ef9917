/*
 * The relay's loop against an agent and a daemon that are threads of the test:
 * everything arrives, whatever is slow, large or gone.
 */
#include "relay/pump.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct scene {
    int agent_in[2], agent_out[2]; /* pipes; the relay reads agent_in[0] and writes agent_out[1] */
    int daemon[2];                 /* the relay has daemon[0] */
    struct pump pump;
    enum pump_end end;
    pthread_t thread;
};

static void *run(void *userdata)
{
    struct scene *scene = userdata;

    scene->end = pump_run(&scene->pump);
    return NULL;
}

static void start(struct scene *scene, const char *first_line)
{
    assert_int_equal(pipe(scene->agent_in), 0);
    assert_int_equal(pipe(scene->agent_out), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, scene->daemon), 0);
    scene->pump = (struct pump){ .in = scene->agent_in[0],
        .out = scene->agent_out[1],
        .daemon = scene->daemon[0],
        .first_line = first_line,
        .quiet_ms = 300 };
    assert_int_equal(pthread_create(&scene->thread, NULL, run, scene), 0);
}

static enum pump_end finish(struct scene *scene)
{
    pthread_join(scene->thread, NULL);
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

static void test_token_first_then_both_ways(void **state)
{
    struct scene scene;

    start(&scene, "ags_token\n");
    hear(scene.daemon[1], "ags_token\n");
    say(scene.agent_in[1], "{\"id\":1,\"method\":\"ping\"}\n");
    hear(scene.daemon[1], "{\"id\":1,\"method\":\"ping\"}\n");
    say(scene.daemon[1], "{\"id\":1,\"result\":{}}\n");
    hear(scene.agent_out[0], "{\"id\":1,\"result\":{}}\n");
    close(scene.agent_in[1]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
}

static void test_end_of_input_waits_for_answers(void **state)
{
    struct scene scene;

    start(&scene, NULL);
    say(scene.agent_in[1], "{\"id\":1,\"method\":\"slow\"}\n");
    close(scene.agent_in[1]);
    hear(scene.daemon[1], "{\"id\":1,\"method\":\"slow\"}\n");
    usleep(100000);
    say(scene.daemon[1], "{\"method\":\"notifications/progress\"}\n");
    usleep(250000);
    say(scene.daemon[1], "{\"id\":1,\"result\":1}\n");
    hear(scene.agent_out[0], "{\"method\":\"notifications/progress\"}\n{\"id\":1,\"result\":1}\n");
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
}

static void test_end_of_input_does_not_wait_for_ever(void **state)
{
    struct scene scene;

    start(&scene, NULL);
    say(scene.agent_in[1], "{\"id\":1,\"method\":\"never\"}\n");
    close(scene.agent_in[1]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
}

static void test_agent_that_went_is_seen(void **state)
{
    struct scene scene;

    start(&scene, NULL);
    say(scene.agent_in[1], "{\"id\":1,\"method\":\"x\"}\n");
    close(scene.agent_out[0]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
    close(scene.agent_in[1]);
}

static void test_daemon_that_went_is_told_after_its_words(void **state)
{
    struct scene scene;

    start(&scene, NULL);
    say(scene.daemon[1], "last words\n");
    close(scene.daemon[1]);
    hear(scene.agent_out[0], "last words\n");
    assert_int_equal(finish(&scene), PUMP_DAEMON_GONE);
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

static void *write_much(void *userdata)
{
    int fd = *(int *) userdata;
    char *much = malloc(MUCH);

    for (size_t i = 0; i < MUCH; i++)
        much[i] = (char) ('a' + i % 23);
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
    struct scene scene;
    pthread_t writer, echoer;
    static char got[MUCH];
    size_t len = 0;

    start(&scene, NULL);
    pthread_create(&echoer, NULL, echo_all, &scene.daemon[1]);
    pthread_create(&writer, NULL, write_much, &scene.agent_in[1]);
    usleep(100000);
    while (len < MUCH) {
        ssize_t n = read(scene.agent_out[0], got + len, MUCH - len);

        assert_true(n > 0);
        len += (size_t) n;
    }
    for (size_t i = 0; i < MUCH; i++)
        assert_int_equal(got[i], 'a' + i % 23);
    pthread_join(writer, NULL);
    close(scene.agent_out[0]);
    assert_int_equal(finish(&scene), PUMP_AGENT_DONE);
    shutdown(scene.daemon[0], SHUT_RDWR);
    pthread_join(echoer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token_first_then_both_ways),
        cmocka_unit_test(test_end_of_input_waits_for_answers),
        cmocka_unit_test(test_end_of_input_does_not_wait_for_ever),
        cmocka_unit_test(test_agent_that_went_is_seen),
        cmocka_unit_test(test_daemon_that_went_is_told_after_its_words),
        cmocka_unit_test(test_much_arrives_whole),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
