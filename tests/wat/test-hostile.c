/*
 * Hostile and ordinary modules in the real, confined worker. The table says for each
 * what must come of it; what needs more than one row's words is a function below.
 * After every row the same worker runs the module again with the same result:
 * nothing of a call survives it.
 *
 *     test-hostile AILERON-WORKER FOLDER-OF-MODULES
 */
#include "client.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static const char *worker;
static const char *folder;

enum stage { RUNS, NOT_COMPILED, NOT_LOADED };

struct row {
    const char *module;
    enum stage stage;
    const char *refused; /* part of the refusal */
    enum worker_outcome outcome;
    uint32_t exit_code;
    const char *trap;
    const char *out; /* NULL: empty */
    const char *in;  /* NULL: empty */
    uint32_t memory_mib;
    uint32_t wall_ms;
    uint32_t most_ms; /* 0: 2000; the call is over by then */
};

#define STACK WORKER_STACK_OVERFLOW
#define OOM   WORKER_OUT_OF_MEMORY

static const struct row rows[] = {
    { "empty", .outcome = WORKER_EXITED },
    { "exit", .exit_code = 0, .in = "" },
    { "exit", .exit_code = 0x01010101, .in = "\x01\x01\x01\x01" },
    { "exit", .exit_code = 0xFFFFFFFF, .in = "\xFF\xFF\xFF\xFF and more" },
    { "loop", .outcome = WORKER_TIMED_OUT, .wall_ms = 200, .most_ms = 700 },
    { "bulk", .outcome = WORKER_TIMED_OUT, .wall_ms = 200, .most_ms = 1200 },
    { "start-loop", .outcome = WORKER_TIMED_OUT, .wall_ms = 200, .most_ms = 700 },
    { "bomb", .outcome = OOM, .trap = "unreachable code reached", .memory_mib = 64 },
#ifdef HAVE_AILERON_STORE_LIMIT
    { "bomb-once", .outcome = OOM, .exit_code = 1 },
#else
    /* This engine cannot say that it refused the growth. */
    { "bomb-once", .outcome = WORKER_EXITED, .exit_code = 1 },
#endif
    { "bomb-coped", .outcome = WORKER_EXITED },
    { "stack", .outcome = STACK, .trap = "stack overflow" },
    { "flood", .outcome = WORKER_STDOUT_TOO_LONG, .most_ms = 500 },
    { "flood-vector", .outcome = WORKER_STDOUT_TOO_LONG, .most_ms = 500 },
    { "trap", .outcome = WORKER_TRAPPED, .trap = "unreachable code reached" },
    { "out-of-bounds", .outcome = WORKER_TRAPPED, .trap = "out-of-bounds memory access" },
    { "divide", .outcome = WORKER_TRAPPED, .trap = "division by zero" },
    { "segment-outside", .outcome = WORKER_TRAPPED, .trap = "out-of-bounds memory access" },
    { "table-grow", .outcome = WORKER_EXITED },
    { "segments", .outcome = WORKER_TRAPPED, .trap = "out-of-bounds memory access", .out = "fine" },
    { "fresh", .outcome = WORKER_EXITED },
    { "table-huge", NOT_COMPILED, "table" },
    { "memory-huge", NOT_COMPILED, "memory" },
    { "two-memories", NOT_COMPILED, "" },
    { "memory64", NOT_COMPILED, "" },
    { "shared-memory", NOT_COMPILED, "" },
    { "evil-name", NOT_COMPILED, "not plain text" },
    { "memory-100", NOT_LOADED, "starts with 100 MiB of memory, more than its limit of 64 MiB" },
    { "spawn", NOT_LOADED, "imports aileron_host.spawn, which does not exist or needs a capability" },
    { "stranger", NOT_LOADED, "imports env.system, but there is no module of that name" },
    { "signature", NOT_LOADED, "imports wasi_snapshot_preview1.fd_write with another signature" },
    { "import-memory", NOT_LOADED, "wasi_snapshot_preview1.memory, which is not a function" },
    { "no-start", NOT_LOADED, "_start" },
    { "start-params", NOT_LOADED, "_start" },
    { "no-memory", NOT_LOADED, "memory" },
    { "guest-pointers", .out = "{\"output\":{\"failures\":0}}" },
    { "guest-signatures", .out = "45" },
};

static void module_compile(const char *name, struct client_code *code)
{
    char path[4096];
    size_t len = 0;
    CLEANUP_FREE void *wasm = NULL;

    snprintf(path, sizeof(path), "%s/%s.wasm", folder, name);
    wasm = client_read_file(path, &len);
    client_compile(worker, wasm, len, code);
}

/* A worker that has loaded the module; fails the test when it is refused. */
static void module_start(const char *name, uint32_t ceiling_mib, const char *allowed, struct client *client)
{
    struct client_code code;
    char refused[CLIENT_TEXT_MAX];

    module_compile(name, &code);
    if (!code.data)
        fail_msg("%s: not compiled: %s", name, code.refused);
    client_start(client, worker, "--run");
    if (!client_load(client, code.data, code.len, ceiling_mib, allowed, refused))
        fail_msg("%s: not loaded: %s", name, refused);
    client_code_free(&code);
}

static void assert_ends_well(struct client *client)
{
    int status = client_stop(client);

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

static void check_refusal(const struct row *row, const struct client_code *code)
{
    struct client client;
    char refused[CLIENT_TEXT_MAX];

    if (row->stage == NOT_COMPILED) {
        assert_null(code->data);
        assert_has(code->refused, row->refused);
        return;
    }
    client_start(&client, worker, "--run");
    assert_false(client_load(&client, code->data, code->len, DEFAULT_MEMORY_MIB, "", refused));
    assert_has(refused, row->refused);
    assert_ends_well(&client);
}

static void check_done(const struct row *row, const struct client_done *done)
{
    const char *out = row->out ? row->out : "";

    assert_false(done->died);
    if (done->outcome != row->outcome || done->exit_code != row->exit_code)
        fail_msg("outcome %d, exit code %u, trap \"%s\", stderr \"%s\"", done->outcome, done->exit_code, done->trap, done->err);
    assert_string_equal(done->trap, row->trap ? row->trap : row->outcome == WORKER_TIMED_OUT ? done->trap : "");
    if (row->outcome != WORKER_STDOUT_TOO_LONG)
        assert_string_equal(done->out, out);
    assert_in_range(done->wall_us, 0, (row->most_ms ? row->most_ms : 2000) * 1000);
    if (row->wall_ms)
        assert_in_range(done->run_us, row->wall_ms * 1000, UINT32_MAX);
    assert_true(done->memory_bytes <= (uint64_t) DEFAULT_MEMORY_MIB * MIB);
}

static void check_row(const struct row *row)
{
    struct client_run run = { .in = row->in ? row->in : "", .in_len = row->in ? strlen(row->in) : 0, .wall_ms = row->wall_ms };
    struct client_code code;
    struct client client;
    char refused[CLIENT_TEXT_MAX];

    module_compile(row->module, &code);
    if (row->stage == RUNS) {
        client_start(&client, worker, "--run");
        if (!code.data || !client_load(&client, code.data, code.len, DEFAULT_MEMORY_MIB, "", refused))
            fail_msg("refused: %s", code.data ? refused : code.refused);
        for (int i = 0; i < 3; i++) {
            struct client_done done;

            client_run(&client, &run, &done);
            check_done(row, &done);
            free(done.out);
        }
        assert_ends_well(&client);
    } else {
        check_refusal(row, &code);
    }
    client_code_free(&code);
}

static void test_rows(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        printf("[ ROW      ] %s\n", rows[i].module);
        check_row(&rows[i]);
    }
}

/* Runs once, with `in` as text. */
static void run_text(struct client *client, const char *in, struct client_done *done)
{
    struct client_run run = { .in = in, .in_len = strlen(in) };

    client_run(client, &run, done);
    assert_false(done->died);
}

static void test_stdout_of_any_content_passes(void **state)
{
    struct client client;
    struct client_done done;

    module_start("bad-json", 64, "", &client);
    run_text(&client, "", &done);
    assert_int_equal(done.out_len, 11);
    assert_memory_equal(done.out, "{\"output\":\0\xFF", 11);
    free(done.out);
    assert_ends_well(&client);

    module_start("nodes", 64, "", &client);
    run_text(&client, "", &done);
    assert_int_equal(done.outcome, WORKER_EXITED);
    assert_int_equal(done.out_len, LIMIT_STDOUT_BYTES);
    assert_memory_equal(done.out, "[{},{},{},", 10);
    assert_memory_equal(done.out + done.out_len - 9, "{},{},{}]", 9);
    free(done.out);
    assert_ends_well(&client);
}

static void test_stderr_keeps_the_last_words(void **state)
{
    struct client client;
    struct client_done done;

    module_start("flood-stderr", 64, "", &client);
    run_text(&client, "", &done);
    assert_int_equal(done.exit_code, 3);
    assert_int_equal(done.err_len, LIMIT_STDERR_TAIL_BYTES);
    assert_has(done.err, "xxthe last words");
    free(done.out);
    assert_ends_well(&client);
}

static void test_a_million_log_lines(void **state)
{
    struct client client;
    struct client_done done;

    module_start("logs", 64, "log", &client);
    run_text(&client, "", &done);
    assert_int_equal(done.outcome, WORKER_EXITED);
    assert_int_equal(done.logs, LIMIT_LOG_LINES_PER_CALL + 1);
    assert_string_equal(done.first_log, "line [31m of text");
    assert_string_equal(done.last_log, "further log lines of this call are dropped");
    assert_int_equal(done.last_level, WORKER_LOG_WARN);
    assert_in_range(done.wall_us, 0, 2000000);
    free(done.out);
    assert_ends_well(&client);
}

/* The start function runs in each call, and only there. */
static void test_start_function(void **state)
{
    struct client client;
    struct client_done done;

    module_start("start-log", 64, "", &client);
    for (int i = 0; i < 2; i++) {
        run_text(&client, "", &done);
        assert_int_equal(done.logs, 2);
        assert_string_equal(done.first_log, "begun");
        assert_string_equal(done.last_log, "ended");
        free(done.out);
    }
    assert_ends_well(&client);
}

static void test_permission_for_host_functions(void **state)
{
    struct client_code code;
    struct client client;
    char refused[CLIENT_TEXT_MAX];

    module_compile("http", &code);
    assert_non_null(code.data);
    assert_true(code.has_start && code.has_memory);
    assert_has(code.imports, "wasi_snapshot_preview1.fd_read\n");
    assert_has(code.imports, "\naileron_host.http_request\n");
    client_start(&client, worker, "--run");
    assert_false(client_load(&client, code.data, code.len, 64, "log,http_response_read", refused));
    assert_has(refused, "aileron_host.http_request, which its manifest does not declare");
    assert_true(client_load(&client, code.data, code.len, 64,
        "log,http_request,http_response_status,http_response_size,http_response_read", refused));
    assert_ends_well(&client);
    client_code_free(&code);
}

static struct client_answer answer_with(const void *request, size_t len, unsigned nth, void *userdata)
{
    return *(const struct client_answer *) userdata;
}

static void http_once(struct client *client, struct client_answer answer, struct client_done *done)
{
    struct client_run run = { .in = "{\"url\":\"x\"}", .in_len = 11, .wall_ms = 300, .http = answer_with, .userdata = &answer };

    client_run(client, &run, done);
}

static void test_http(void **state)
{
    CLEANUP_FREE char *big = calloc(1, LIMIT_RESPONSE_BYTES);
    struct client client;
    struct client_done done;

    assert_non_null(big);
    module_start("http", 64, "", &client);
    http_once(&client, (struct client_answer){ .result = 0, .status = 404, .body = "no such", .body_len = 7 }, &done);
    assert_int_equal(done.exit_code, 0);
    assert_int_equal(done.out_len, 11);
    assert_memory_equal(done.out, "\x94\x01\0\0no such", 11);
    free(done.out);
    http_once(
        &client, (struct client_answer){ .result = 0, .status = 200, .body = big, .body_len = LIMIT_RESPONSE_BYTES }, &done);
    assert_int_equal(done.exit_code, 0);
    assert_in_range(done.memory_bytes, LIMIT_RESPONSE_BYTES, 10 * MIB);
    free(done.out);
    http_once(&client, (struct client_answer){ .result = -1 }, &done);
    assert_int_equal(done.exit_code, 1);
    free(done.out);
    http_once(&client, (struct client_answer){ .result = -2 }, &done);
    assert_int_equal(done.exit_code, 2);
    free(done.out);
    assert_ends_well(&client);
}

static void send_late_result(struct client *client, uint32_t id)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_HTTP_RESULT, id);
    wire_put_i64(&frame, 0);
    wire_put_u32(&frame, 200);
    wire_put_blob(&frame, "late", 4);
    client_send(client, &frame);
}

static void test_http_without_an_answer(void **state)
{
    struct client client;
    struct client_done done;

    module_start("http", 64, "", &client);
    http_once(&client, (struct client_answer){ .silent = true }, &done);
    assert_int_equal(done.outcome, WORKER_TIMED_OUT);
    assert_in_range(done.wall_us, 290000, 1000000);
    free(done.out);
    send_late_result(&client, client.last_id);
    http_once(&client, (struct client_answer){ .result = 0, .status = 201, .body = "ok", .body_len = 2 }, &done);
    assert_memory_equal(done.out, "\xC9\0\0\0ok", 6);
    free(done.out);
    assert_ends_well(&client);
}

static void test_http_with_a_wrong_answer(void **state)
{
    struct client_run run = { .in = "{}", .in_len = 2 };
    struct client client;
    struct client_done done;

    module_start("http", 64, "", &client);
    client_run_send(&client, &run);
    send_late_result(&client, client.last_id + 1);
    client_run_finish(&client, &run, &done);
    assert_true(done.died);
    assert_int_equal(WEXITSTATUS(client_wait(&client)), 1);
}

static void test_http_requests_are_limited(void **state)
{
    struct client client;
    struct client_done done;

    module_start("http-many", 64, "", &client);
    run_text(&client, "", &done);
    assert_int_equal(done.outcome, WORKER_EXITED);
    assert_int_equal(done.requests, LIMIT_HTTP_REQUESTS_PER_CALL + 1);
    free(done.out);
    assert_ends_well(&client);
}

static void test_sleep(void **state)
{
    const uint64_t short_ns = 30000000, long_ns = 3600ull * 1000000000;
    struct client_run run = { .in = &short_ns, .in_len = 8, .wall_ms = 400 };
    struct client client;
    struct client_done done;

    module_start("sleep", 64, "", &client);
    client_run(&client, &run, &done);
    assert_int_equal(done.outcome, WORKER_EXITED);
    assert_in_range(done.run_us, 30000, 350000);
    free(done.out);
    run.in = &long_ns;
    client_run(&client, &run, &done);
    assert_int_equal(done.outcome, WORKER_TIMED_OUT);
    assert_in_range(done.run_us, 400000, 900000);
    free(done.out);
    assert_ends_well(&client);
}

static void test_memory_limits(void **state)
{
    struct client_run run = { .in = "", .memory_mib = 64 };
    struct client client;
    struct client_done done;

    module_start("memory-100", 128, "", &client);
    client_run(&client, &run, &done);
    assert_int_equal(done.outcome, WORKER_OUT_OF_MEMORY);
    free(done.out);
    run.memory_mib = 128;
    client_run(&client, &run, &done);
    assert_int_equal(done.outcome, WORKER_EXITED);
    assert_int_equal(done.memory_bytes, 100 * MIB);
    free(done.out);
    assert_ends_well(&client);

    module_start("bomb", CEILING_MEMORY_MIB, "", &client);
    run.memory_mib = 16;
    client_run(&client, &run, &done);
    assert_int_equal(done.outcome, WORKER_OUT_OF_MEMORY);
    assert_int_equal(done.memory_bytes, 16 * MIB);
    free(done.out);
    run.memory_mib = 200;
    client_run(&client, &run, &done);
    assert_int_equal(done.outcome, WORKER_OUT_OF_MEMORY);
    assert_int_equal(done.memory_bytes, 200 * MIB);
    free(done.out);
    assert_ends_well(&client);
}

/* Payloads that travel as memfds, more often than a worker may have descriptors. */
static void test_large_payloads_again_and_again(void **state)
{
    CLEANUP_FREE char *big = malloc(MIB);
    struct client_run run = { .in = big, .in_len = MIB };
    struct client reader, writer;
    struct client_done done;

    assert_non_null(big);
    memset(big, 1, MIB);
    module_start("exit", 64, "", &reader);
    module_start("nodes", 64, "", &writer);
    for (int i = 0; i < 200; i++) {
        client_run(&reader, &run, &done);
        assert_int_equal(done.exit_code, 0x01010101);
        free(done.out);
        client_run(&writer, &run, &done);
        assert_int_equal(done.out_len, LIMIT_STDOUT_BYTES);
        free(done.out);
    }
    assert_ends_well(&reader);
    assert_ends_well(&writer);
}

static void test_libc(void **state)
{
    struct client client;
    struct client_done done;

    module_start("guest-libc", 64, "", &client);
    run_text(&client, "first line\nsecond", &done);
    assert_string_equal(done.err, "to standard error\n");
    assert_int_equal(done.outcome, WORKER_EXITED);
    assert_int_equal(done.exit_code, 0);
    /* 0 to 999, a line each. */
    assert_int_equal(done.out_len, 10 * 2 + 90 * 3 + 900 * 4);
    free(done.out);
    assert_ends_well(&client);
}

static void test_what_is_no_module(void **state)
{
    static const char *const garbage[] = { "", "\0asm", "\0asm\1\0\0\0", "\177ELF", "(module)",
        "\0asm\1\0\0\0\1\377\377\377\377\17" };
    static const size_t lens[] = { 0, 4, 8, 4, 8, 14 };

    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        struct client_code code;

        client_compile(worker, garbage[i], lens[i], &code);
        if (i == 2) {
            assert_non_null(code.data);
            assert_false(code.has_start || code.has_memory);
        } else {
            assert_null(code.data);
            assert_has(code.refused, "not a WebAssembly module");
        }
        client_code_free(&code);
    }
}

/* Not code of this engine: refused by the engine's own header check. */
static void test_what_is_no_compiled_module(void **state)
{
    struct client_code code;
    struct client client;
    char refused[CLIENT_TEXT_MAX];

    module_compile("empty", &code);
    client_start(&client, worker, "--run");
    assert_false(client_load(&client, "", 0, 64, "", refused));
    assert_false(client_load(&client, "\177ELF", 4, 64, "", refused));
    assert_has(refused, "does not fit this engine");
    assert_false(client_load(&client, code.data, code.len / 2, 64, "", refused));
    assert_true(client_load(&client, code.data, code.len, 64, "", refused));
    assert_ends_well(&client);
    client_code_free(&code);
}

/* What a broker never sends ends the worker, with status 1 and without a crash. */
static void test_frames_out_of_turn(void **state)
{
    for (uint16_t type = 0; type < 14; type++) {
        CLEANUP(wire_free) struct wire_frame frame;
        struct client client;
        int status = 0;

        wire_init(&frame, type, 1);
        wire_put_u32(&frame, 1);
        client_start(&client, worker, type % 2 ? "--run" : "--compile");
        client_send(&client, &frame);
        status = client_wait(&client);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
    }
}

static void test_ready(void **state)
{
    struct client run, compile;

    client_start(&run, worker, "--run");
    client_start(&compile, worker, "--compile");
    assert_string_equal(run.engine, compile.engine);
    assert_string_equal(run.key, compile.key);
    assert_has(run.confinement, "seccomp");
    assert_ends_well(&run);
    assert_ends_well(&compile);
}

/* Its memory argument bounds every LOAD, and the kernel's limit with it. */
static void test_memory_argument(void **state)
{
    static const char *const argv[] = { "aileron-worker", "--run", "64", NULL };
    const struct client_run run = { .in = "", .memory_mib = 64 };
    struct client client;
    struct client_code code;
    struct client_done done;
    char refused[CLIENT_TEXT_MAX];

    module_compile("bomb", &code);
    client_start_with(&client, worker, argv);
    client_read_ready(&client);
    assert_true(client_load(&client, code.data, code.len, 64, "", refused));
    client_run(&client, &run, &done);
    assert_int_equal(done.outcome, WORKER_OUT_OF_MEMORY);
    assert_int_equal(done.memory_bytes, 64 * MIB);
    free(done.out);
    assert_ends_well(&client);
    client_start_with(&client, worker, argv);
    client_read_ready(&client);
    assert_false(client_load(&client, code.data, code.len, 65, "", refused));
    assert_string_equal(refused, "died");
    assert_int_equal(WEXITSTATUS(client_wait(&client)), 1);
    client_code_free(&code);
}

static void test_wrong_arguments(void **state)
{
    static const char *const wrong[][5] = {
        { "aileron-worker", NULL },
        { "aileron-worker", "--help", NULL },
        { "aileron-worker", "--compile", "64", NULL },
        { "aileron-worker", "--run", "", NULL },
        { "aileron-worker", "--run", "0", NULL },
        { "aileron-worker", "--run", "1025", NULL },
        { "aileron-worker", "--run", "-1", NULL },
        { "aileron-worker", "--run", "64x", NULL },
        { "aileron-worker", "--run", "64", "64", NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct client client;

        client_start_with(&client, worker, wrong[i]);
        assert_int_equal(WEXITSTATUS(client_wait(&client)), 2);
    }
}

/* A worker whose broker is gone ends by itself, also in the middle of a call. */
static void test_the_broker_dies(void **state)
{
    struct client_run run = { .in = "{}", .in_len = 2, .wall_ms = 20000 };
    struct client client;

    module_start("http", 64, "", &client);
    client_run_send(&client, &run);
    usleep(50000);
    assert_int_equal(WEXITSTATUS(client_stop(&client)), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_stdout_of_any_content_passes),
        cmocka_unit_test(test_stderr_keeps_the_last_words),
        cmocka_unit_test(test_a_million_log_lines),
        cmocka_unit_test(test_start_function),
        cmocka_unit_test(test_permission_for_host_functions),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_http_without_an_answer),
        cmocka_unit_test(test_http_with_a_wrong_answer),
        cmocka_unit_test(test_http_requests_are_limited),
        cmocka_unit_test(test_sleep),
        cmocka_unit_test(test_memory_limits),
        cmocka_unit_test(test_large_payloads_again_and_again),
        cmocka_unit_test(test_libc),
        cmocka_unit_test(test_what_is_no_module),
        cmocka_unit_test(test_what_is_no_compiled_module),
        cmocka_unit_test(test_frames_out_of_turn),
        cmocka_unit_test(test_the_broker_dies),
        cmocka_unit_test(test_memory_argument),
        cmocka_unit_test(test_wrong_arguments),
    };

    if (argc != 3)
        return 2;
    worker = argv[1];
    folder = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
