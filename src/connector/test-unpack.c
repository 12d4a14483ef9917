/*
 * Unpacking through the real, confined worker: what plain tar makes comes out, what is wrong
 * comes back as words, a cancelled one leaves nothing running. The program is argv[1].
 */
#include "connector/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/file.h"

static struct worker_program program = { -1, STDERR_FILENO };
static struct loop *loop;

struct outcome {
    int result, calls;
    char message[ERR_MESSAGE_MAX];
    struct unpacked unpacked;
};

static void on_unpacked(int result, struct unpacked *unpacked, const struct err *err, void *userdata)
{
    struct outcome *outcome = userdata;

    outcome->result = result;
    outcome->calls++;
    snprintf(outcome->message, sizeof outcome->message, "%s", err ? err->message : "");
    outcome->unpacked = *unpacked;
    unpacked->len = 0;
    loop_stop(loop);
}

/* An archive of `files`, made by the system's own tools in a folder of its own. */
static void archive_make(const char *files, struct buf *out)
{
    char folder[] = "/tmp/aileron-unpack-XXXXXX", command[512];
    struct err err = ERR_INIT;

    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command,
        "cd %s && printf wasm >connector.wasm && printf manifest >manifest.toml && head -c 64 /dev/zero >signature.sig && "
        "ln -s manifest.toml link && tar -czf aileron.tar.gz %s",
        folder, files);
    FILE *shell = popen(command, "r");
    assert_non_null(shell);
    assert_int_equal(pclose(shell), 0);
    snprintf(command, sizeof command, "%s/aileron.tar.gz", folder);
    if (file_read(AT_FDCWD, command, out, &err) < 0)
        fail_msg("%s", err.message);
    file_remove_tree(AT_FDCWD, folder);
}

static struct outcome unpack(const void *data, size_t len)
{
    struct outcome outcome = { 0 };
    struct unpack *handle = NULL;
    struct err err = ERR_INIT;

    if (unpack_start(
            loop, &program, data, len, "connector.wasm\nmanifest.toml\nsignature.sig", on_unpacked, &outcome, &handle, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(loop_run(loop), 0);
    assert_int_equal(outcome.calls, 1);
    return outcome;
}

static void test_plain_tar(void **state)
{
    CLEANUP(buf_free) struct buf archive = BUF_INIT(1024 * 1024);
    struct outcome outcome;

    archive_make("connector.wasm manifest.toml signature.sig", &archive);
    outcome = unpack(archive.data, archive.len);
    if (outcome.result < 0)
        fail_msg("%s", outcome.message);
    assert_int_equal(outcome.unpacked.len, 3);
    assert_string_equal(buf_str(unpacked_get(&outcome.unpacked, "manifest.toml")), "manifest");
    assert_int_equal(unpacked_get(&outcome.unpacked, "signature.sig")->len, 64);
    assert_null(unpacked_get(&outcome.unpacked, "other"));
    unpacked_free(&outcome.unpacked);
}

static void test_refused(void **state)
{
    CLEANUP(buf_free) struct buf archive = BUF_INIT(1024 * 1024);
    struct outcome outcome;

    archive_make("connector.wasm link", &archive);
    outcome = unpack(archive.data, archive.len);
    assert_int_equal(outcome.result, -EINVAL);
    assert_non_null(strstr(outcome.message, "no regular file"));
    assert_int_equal(outcome.unpacked.len, 0);
    outcome = unpack("nonsense", 8);
    assert_int_equal(outcome.result, -EINVAL);
}

static void test_cancelled(void **state)
{
    struct outcome outcome = { 0 };
    struct unpack *handle = NULL;

    assert_int_equal(unpack_start(loop, &program, "x", 1, "a", on_unpacked, &outcome, &handle, NULL), 0);
    unpack_cancel(handle);
    assert_int_equal(outcome.calls, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_tar),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cancelled),
    };
    int failed = 0;

    program.fd = argc > 1 ? open(argv[1], O_PATH | O_CLOEXEC) : -1;
    if (program.fd < 0 || loop_new(&loop, NULL) < 0)
        return 2;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    loop_free(loop);
    return failed;
}
