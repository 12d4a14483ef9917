/*
 * A Go program (GOOS=wasip1) as a connector, in the real worker.
 *
 *     test-go AILERON-WORKER GUEST.wasm
 */
#include "client.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *worker;
static const char *guest;
static struct client client;

static int group_setup(void **state)
{
    size_t len = 0;
    CLEANUP_FREE void *wasm = client_read_file(guest, &len);
    struct client_code code;
    char refused[CLIENT_TEXT_MAX];

    client_compile(worker, wasm, len, &code);
    if (!code.data)
        fail_msg("not compiled: %s", code.refused);
    client_start(&client, worker, "--run");
    if (!client_load(&client, code.data, code.len, 64, "", refused))
        fail_msg("not loaded: %s", refused);
    printf("%zu bytes of WebAssembly, %zu of code\n", len, code.len);
    client_code_free(&code);
    return 0;
}

static int group_teardown(void **state)
{
    return client_stop(&client);
}

static struct client_answer answer(const void *request, size_t len, unsigned nth, void *userdata)
{
    static const char wanted[] = "{\"method\":\"GET\",\"url\":\"https://example.com/\"}";
    bool right = len == sizeof(wanted) - 1 && memcmp(request, wanted, len) == 0;

    return (struct client_answer){ .result = right ? 0 : -2, .status = 200, .body = "hello", .body_len = 5 };
}

static void run(const char *in, struct client_done *done)
{
    struct client_run spec = { .in = in, .in_len = strlen(in), .http = answer };

    client_run(&client, &spec, done);
    assert_false(done->died);
}

static void test_request(void **state)
{
    for (int i = 0; i < 5; i++) {
        struct client_done done;

        run("{\"op\":\"get\",\"args\":{\"url\":\"https://example.com/\"}}", &done);
        assert_string_equal(done.err, "");
        assert_string_equal(done.out, "{\"output\":{\"args\":0,\"body\":\"hello\",\"status\":200}}\n");
        assert_int_equal(done.exit_code, 0);
        assert_string_equal(done.last_log, "status 200");
        assert_in_range(done.run_us, 20000, 1000000);
        free(done.out);
    }
}

static void test_failures(void **state)
{
    struct client_done done;

    run("{\"op\":\"exit\",\"args\":{\"code\":3}}", &done);
    assert_int_equal(done.outcome, WORKER_EXITED);
    assert_int_equal(done.exit_code, 3);
    free(done.out);
    run("not json", &done);
    assert_int_equal(done.exit_code, 1);
    assert_non_null(strstr(done.err, "bad input"));
    free(done.out);
    run("{\"op\":\"panic\"}", &done);
    assert_int_equal(done.exit_code, 2);
    assert_int_equal(done.outcome, WORKER_EXITED);
    free(done.out);
    run("{\"op\":\"eat\"}", &done);
    assert_int_equal(done.outcome, WORKER_OUT_OF_MEMORY);
    free(done.out);
    run("{\"op\":\"noop\"}", &done);
    assert_string_equal(done.out, "{\"output\":{}}");
    free(done.out);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_failures),
    };

    if (argc != 3)
        return 2;
    worker = argv[1];
    guest = argv[2];
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
