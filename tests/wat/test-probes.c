/*
 * Proves that a worker is an empty box. Inside it each probe must fail with an
 * errno, or the filter must kill the worker; outside each must work. And from outside: what
 * the kernel says of the process, which descriptors it holds.
 *
 *     test-probes PROBE-WORKER AILERON-WORKER FOLDER-OF-MODULES
 */
#include "client.h"
#include "probe.h"

#include "base/cleanup.h"
#include "confine/sanitized.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static const char *probe_worker;
static const char *worker;
static const char *folder;

static void compile(const char *name, struct client_code *code)
{
    char path[4096];
    size_t len = 0;
    CLEANUP_FREE void *wasm = NULL;

    snprintf(path, sizeof(path), "%s/%s.wasm", folder, name);
    wasm = client_read_file(path, &len);
    client_compile(worker, wasm, len, code);
    assert_non_null(code->data);
}

static void load(struct client *client, const char *program, const struct client_code *code)
{
    char refused[CLIENT_TEXT_MAX];

    client_start(client, program, "--run");
    if (!client_load(client, code->data, code->len, 64, "", refused))
        fail_msg("not loaded: %s", refused);
}

static void probe_inside(uint32_t row, const struct client_code *code)
{
    struct client_run run = { .in = &row, .in_len = 4 };
    struct client client;
    struct client_done done;
    int status = 0;

    load(&client, probe_worker, code);
    client_run(&client, &run, &done);
    if (done.died) {
        status = client_wait(&client);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
            fail_msg("%s: the worker ended with wait status %x", probes[row].name, status);
        printf("[   probe  ] %s: killed\n", probes[row].name);
        return;
    }
    if (done.outcome != WORKER_EXITED || done.exit_code == 0)
        fail_msg("%s: outcome %d, exit code %u: it is possible", probes[row].name, done.outcome, done.exit_code);
    printf("[   probe  ] %s: %s\n", probes[row].name, strerror((int) done.exit_code));
    free(done.out);
    client_stop(&client);
}

static void test_inside_nothing_works(void **state)
{
    struct client_code code;

    compile("probe", &code);
    for (uint32_t row = 0; row < probes_len; row++)
        probe_inside(row, &code);
    client_code_free(&code);
}

static void test_outside_all_work(void **state)
{
    for (size_t row = 0; row < probes_len; row++) {
        pid_t pid = 0;
        int status = 0;

        if (probes[row].privileged)
            continue;
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            _exit(probes[row].attempt());
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            fail_msg("%s fails outside too (status %x): the probe proves nothing", probes[row].name, status);
    }
}

static void read_proc(pid_t pid, const char *file, char *out, size_t size)
{
    char path[64];
    FILE *in = NULL;
    size_t len = 0;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int) pid, file);
    in = fopen(path, "r");
    if (!in)
        fail_msg("%s: %s", path, strerror(errno));
    len = fread(out, 1, size - 1, in);
    out[len] = 0;
    fclose(in);
}

static void assert_line(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("\"%s\" is not in:\n%s", line, text);
}

/* Standard streams on /dev/null or the test's own stderr, the channel, the engine's image of memory: nothing else. */
static void check_descriptors(pid_t pid)
{
    char path[300], target[256];
    CLEANUP_CLOSEDIR DIR *dir = NULL;
    struct dirent *entry = NULL;

    snprintf(path, sizeof(path), "/proc/%d/fd", (int) pid);
    dir = opendir(path);
    if (!dir && errno == EACCES && geteuid() != 0) {
        print_message("NOT TESTED: an undumpable process shows its descriptors to root alone\n");
        return;
    }
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        ssize_t len = 0;

        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "2") == 0)
            continue;
        snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int) pid, entry->d_name);
        len = readlink(path, target, sizeof(target) - 1);
        assert_true(len > 0);
        target[len] = 0;
        if (strcmp(entry->d_name, "0") == 0 || strcmp(entry->d_name, "1") == 0)
            assert_string_equal(target, "/dev/null");
        else if (strcmp(entry->d_name, "3") == 0)
            assert_int_equal(strncmp(target, "socket:", 7), 0);
        else if (strncmp(target, "/memfd:", 7) != 0)
            fail_msg("descriptor %s of the worker is %s", entry->d_name, target);
    }
}

static void test_what_the_kernel_says(void **state)
{
    struct client_code code;
    struct client client;
    char text[8192];

    compile("empty", &code);
    load(&client, worker, &code);
    read_proc(client.pid, "status", text, sizeof(text));
    assert_line(text, "NoNewPrivs:\t1\n");
    assert_line(text, "Seccomp:\t2\n");
    assert_line(text, "Threads:\t1\n");
    read_proc(client.pid, "limits", text, sizeof(text));
    assert_line(text, "Max core file size        0                    0 ");
    assert_line(text, "Max processes             0                    0 ");
    if (!CONFINE_SANITIZED && strstr(text, "Max data size             unlimited"))
        fail_msg("the worker's memory is not limited:\n%s", text);
    check_descriptors(client.pid);
    client_stop(&client);
    client_code_free(&code);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outside_all_work),
        cmocka_unit_test(test_inside_nothing_works),
        cmocka_unit_test(test_what_the_kernel_says),
    };

    if (argc != 4)
        return 2;
    probe_worker = argv[1];
    worker = argv[2];
    folder = argv[3];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
