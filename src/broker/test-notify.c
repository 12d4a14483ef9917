/* The notify helper: what it runs, with what, and everything that it refuses although the broker says it. */
#include "broker/notify.h"

#include "base/clock.h"
#include "base/file.h"
#include "wire/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define ID  "apr_01ARZ3NDEKTSV4RRFFQ69G5FAV"
#define URL "http://127.0.0.1:8123/approvals/" ID

struct helper {
    char folder[64], home[80];
    pid_t pid;
    int socket;
};

static void helper_start(struct helper *helper)
{
    int sockets[2];

    snprintf(helper->folder, sizeof helper->folder, "/tmp/test-notify-XXXXXX");
    assert_non_null(mkdtemp(helper->folder));
    snprintf(helper->home, sizeof helper->home, "%s/home", helper->folder);
    assert_int_equal(mkdir(helper->home, 0700), 0);
    assert_int_equal(wire_pair(sockets), 0);
    helper->pid = fork();
    if (helper->pid == 0) {
        dup2(sockets[1], NOTIFY_FD);
        closefrom(NOTIFY_FD + 1);
        _exit(notifier_main(helper->home, helper->home));
    }
    close(sockets[1]);
    helper->socket = sockets[0];
}

static void helper_end(struct helper *helper)
{
    int status;

    close(helper->socket);
    assert_int_equal(waitpid(helper->pid, &status, 0), helper->pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(file_remove_tree(AT_FDCWD, helper->folder), 0);
}

/* A script in `where`; its path. */
static char *script(const char *where, const char *name, const char *body, mode_t mode)
{
    char *path = NULL;
    FILE *file;

    assert_true(asprintf(&path, "%s/%s", where, name) > 0);
    file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", body);
    fclose(file);
    assert_int_equal(chmod(path, mode), 0);
    return path;
}

static void send_run(struct helper *helper, const char *command, const char *id, const char *action, const char *url)
{
    struct wire_frame frame;

    wire_init(&frame, NOTIFY_RUN, 0);
    wire_put_str(&frame, command);
    wire_put_str(&frame, id);
    wire_put_str(&frame, action);
    wire_put_str(&frame, url);
    assert_int_equal(wire_send(helper->socket, &frame), 0);
    wire_free(&frame);
}

/* What the helper says next within `ms`; "" when nothing. */
static void said(struct helper *helper, int ms, char out[512])
{
    struct pollfd poll_fd = { .fd = helper->socket, .events = POLLIN };
    struct wire_frame frame;

    out[0] = '\0';
    if (poll(&poll_fd, 1, ms) <= 0)
        return;
    assert_int_equal(wire_recv(helper->socket, &frame), 1);
    assert_int_equal(frame.type, NOTIFY_FAILED);
    snprintf(out, 512, "%s", wire_get_str(&frame, NOTIFY_TEXT_MAX));
    assert_int_equal(wire_end(&frame), 0);
    wire_free(&frame);
}

/* The file's text once it is there; "" after five seconds. */
static void await_file(const struct helper *helper, const char *name, char out[4096])
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", helper->folder, name);
    for (int i = 0; i < 500; i++) {
        FILE *file = fopen(path, "r");

        out[0] = '\0';
        if (file) {
            out[fread(out, 1, 4095, file)] = '\0';
            fclose(file);
            return;
        }
        usleep(10000);
    }
}

static bool exists(const struct helper *helper, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", helper->folder, name);
    return access(path, F_OK) == 0;
}

static void test_runs_with_words_and_environment(void **state)
{
    struct helper helper;
    char text[4096];

    helper_start(&helper);
    char *command = script(helper.folder, "tell me", /* a space in its name is no separator */
        "d=$(dirname \"$0\")\n"
        "{ echo \"$#|$1|$2|$3\"; env | sort; echo \"fds $(ls /proc/self/fd | tr '\\n' ' ')\"; pwd; "
        "read p n s pp g sid rest </proc/$$/stat; echo \"leader $$ $sid\"; } >\"$d/part\"; mv \"$d/part\" \"$d/out\"",
        0755);
    send_run(&helper, command, ID, "create-calendar-event", URL);
    await_file(&helper, "out", text);
    assert_non_null(strstr(text, "3|" ID "|create-calendar-event|" URL "\n"));
    assert_non_null(strstr(text, "AILERON_APPROVAL_ID=" ID "\n"));
    assert_non_null(strstr(text, "AILERON_ACTION=create-calendar-event\n"));
    assert_non_null(strstr(text, "AILERON_REVIEW_URL=" URL "\n"));
    assert_null(strstr(text, "TEST_NOTIFY_SECRET")); /* nothing of whoever started it */
    const char *leader = strstr(text, "leader ");
    long pid = leader ? strtol(leader + 7, NULL, 10) : 0;
    assert_true(pid > 1 && strtol(strchr(leader + 7, ' '), NULL, 10) == pid); /* a session of its own */
    assert_non_null(strstr(text, "fds 0 1 2 3 \n"));                          /* 3: ls itself reads the folder */
    free(command);
    helper_end(&helper);
}

static void test_words_of_another_form_run_nothing(void **state)
{
    static const struct {
        const char *id, *action, *url;
    } cases[] = {
        { ID, "$(touch${IFS}x)", URL },
        { ID, "a; touch x", URL },
        { ID, "-rf", URL },
        { ID, "../x", URL },
        { ID, "", URL },
        { "apr_01ARZ3NDEKTSV4RRFFQ69G5FA", "a", URL },
        { "apr_01ARZ3NDEKTSV4RRFFQ69G5FA;", "a", URL },
        { "/etc/passwd", "a", URL },
        { ID, "a", "http://127.0.0.1.evil.test:80/approvals/" ID },
        { ID, "a", "file:///etc/passwd" },
        { ID, "a", URL "#x" },
        { ID, "a", URL "\nx" },
        { ID, "a", "http://127.0.0.1:8123/approvals/apr_01ARZ3NDEKTSV4RRFFQ69G5FAW" },
    };
    struct helper helper;
    char text[512], out[4096];

    helper_start(&helper);
    char *command = script(helper.folder, "run", "echo \"$2\" >>\"$(dirname \"$0\")/out\"", 0755);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        send_run(&helper, command, cases[i].id, cases[i].action, cases[i].url);
        said(&helper, 5000, text);
        assert_non_null(strstr(text, "no approval"));
    }
    send_run(&helper, command, ID, "good", URL); /* it still serves */
    await_file(&helper, "out", out);
    assert_string_equal(out, "good\n");
    free(command);
    helper_end(&helper);
}

static void test_programs_that_it_does_not_run(void **state)
{
    struct helper helper;
    char text[512], path[256];

    helper_start(&helper);
    char *inside = script(helper.home, "inside", "touch \"$(dirname \"$0\")/../ran\"", 0755);
    char *shared = script(helper.folder, "shared", "touch \"$(dirname \"$0\")/ran\"", 0775);
    char *plain = script(helper.folder, "plain", "touch \"$(dirname \"$0\")/ran\"", 0644);
    snprintf(path, sizeof path, "%s/link", helper.folder);
    assert_int_equal(symlink(inside, path), 0);
    const struct {
        const char *command, *word;
    } cases[] = { { inside, "may write" }, { path, "may write" }, { shared, "another user" }, { plain, "no program" },
        { helper.folder, "no program" }, { "/nonexistent/x", "No such" }, { "sh", "absolute" }, { "sh -c true", "absolute" } };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        send_run(&helper, cases[i].command, ID, "a", URL);
        said(&helper, 5000, text);
        assert_non_null(strstr(text, cases[i].word));
    }
    assert_false(exists(&helper, "ran"));
    free(inside);
    free(shared);
    free(plain);
    helper_end(&helper);
}

static void test_failures_are_told(void **state)
{
    struct helper helper;
    char text[512];

    helper_start(&helper);
    char *fails = script(helper.folder, "fails", "exit 3", 0755);
    send_run(&helper, fails, ID, "a", URL);
    said(&helper, 5000, text);
    assert_non_null(strstr(text, "status 3"));
    free(fails);
    helper_end(&helper);
}

/* At most four at a time, all of them in the end, and none outlives the daemon. */
static void test_a_few_at_once(void **state)
{
    struct helper helper;
    char out[4096] = "";
    size_t most = 0;

    helper_start(&helper);
    char *command = script(helper.folder, "slow",
        "d=$(dirname \"$0\"); touch \"$d/on.$$\"; ls \"$d\" | grep -c '^on' >>\"$d/counts\"; sleep 0.3; rm \"$d/on.$$\"; echo x "
        ">>\"$d/done\"",
        0755);
    for (int i = 0; i < 10; i++)
        send_run(&helper, command, ID, "a", URL);
    for (int i = 0; i < 500 && strlen(out) != 20; i++) {
        usleep(10000);
        if (exists(&helper, "done"))
            await_file(&helper, "done", out);
    }
    assert_int_equal(strlen(out), 20);
    await_file(&helper, "counts", out);
    for (const char *c = out; *c; c++)
        if (*c != '\n' && (size_t) (*c - '0') > most)
            most = (size_t) (*c - '0');
    assert_in_range(most, 2, 4);
    free(command);
    helper_end(&helper);
}

static void test_nothing_outlives_the_daemon(void **state)
{
    struct helper helper;
    char text[4096];
    pid_t pid;

    helper_start(&helper);
    char *command = script(
        helper.folder, "stays", "d=$(dirname \"$0\"); echo $$ >\"$d/part\"; mv \"$d/part\" \"$d/pid\"; sleep 1000 & wait", 0755);
    send_run(&helper, command, ID, "a", URL);
    await_file(&helper, "pid", text);
    pid = (pid_t) strtol(text, NULL, 10);
    assert_true(pid > 1);
    helper_end(&helper);
    for (int i = 0; i < 300 && kill(-pid, 0) == 0; i++)
        usleep(10000);
    assert_int_equal(kill(-pid, 0), -1);
    free(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_with_words_and_environment),
        cmocka_unit_test(test_words_of_another_form_run_nothing),
        cmocka_unit_test(test_programs_that_it_does_not_run),
        cmocka_unit_test(test_failures_are_told),
        cmocka_unit_test(test_a_few_at_once),
        cmocka_unit_test(test_nothing_outlives_the_daemon),
    };
    setenv("TEST_NOTIFY_SECRET", "x", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
