/*
 * What a fresh instance costs, in the real, confined worker: a C connector that
 * does nothing and a Go program of 3 MB. Each figure is the median of the rounds'
 * medians with the lowest and highest round, as one JSON object a line; the
 * reference beside it is what the same isolation costs with a process, /bin/true.
 *
 *     worker-instantiate [WORKER C.wasm GO.wasm]      (a missing GO.wasm is said and left out)
 */
#include "client.h"

#include "base/cleanup.h"
#include "base/clock.h"

#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/banned.h"

#define ROUNDS    7
#define CALLS_MAX 2000

struct figure {
    double median[ROUNDS];
};

static int compare(const void *a, const void *b)
{
    double x = *(const double *) a, y = *(const double *) b;

    return x < y ? -1 : x > y;
}

static double median(double *values, size_t len)
{
    qsort(values, len, sizeof(*values), compare);
    return values[len / 2];
}

static double now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
}

static void print(
    const char *what, struct figure *figure, double scale, const char *unit, const char *budget, struct figure *reference)
{
    double m = median(figure->median, ROUNDS);

    printf("{\"what\": \"%s\", \"median\": %.3f, \"low\": %.3f, \"high\": %.3f, \"unit\": \"%s\", \"budget\": \"%s\"", what,
        m / scale, figure->median[0] / scale, figure->median[ROUNDS - 1] / scale, unit, budget);
    if (reference)
        printf(", \"reference\": \"/bin/true started and waited for\", \"reference_median\": %.3f",
            median(reference->median, ROUNDS) / scale);
    printf("}\n");
    fflush(stdout);
}

static void measure_true(struct figure *figure)
{
    static double values[200];
    char *const argv[] = { (char *) "true", NULL };

    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < ARRAY_LEN(values); i++) {
            double began = now_us();
            pid_t pid = 0;

            if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, argv + 1) != 0 || waitpid(pid, NULL, 0) != pid)
                exit(1);
            values[i] = now_us() - began;
        }
        figure->median[round] = median(values, ARRAY_LEN(values));
    }
}

/* Compiles and loads `path`; how long the worker took to be ready for it, from its start. */
static double start(const char *worker, const char *path, struct client *client)
{
    static struct client_code code;
    static const char *compiled;
    char refused[CLIENT_TEXT_MAX];
    double began = 0;

    if (compiled != path) {
        size_t len = 0;
        CLEANUP_FREE void *wasm = client_read_file(path, &len);

        client_compile(worker, wasm, len, &code);
        compiled = path;
    }
    began = now_us();
    client_start(client, worker, "--run");
    if (!code.data || !client_load(client, code.data, code.len, DEFAULT_MEMORY_MIB, "", refused)) {
        fprintf(stderr, "%s: %s\n", path, code.data ? refused : code.refused);
        exit(1);
    }
    return now_us() - began;
}

static void measure(
    const char *worker, const char *path, size_t calls, struct figure *inside, struct figure *around, struct figure *begin)
{
    static double inside_us[CALLS_MAX], around_us[CALLS_MAX];
    static const char in[] = "{\"op\":\"noop\",\"args\":{}}";
    const struct client_run run = { .in = in, .in_len = sizeof(in) - 1, .wall_ms = 30000 };

    for (int round = 0; round < ROUNDS; round++) {
        struct client client;

        begin->median[round] = start(worker, path, &client);
        for (size_t i = 0; i < calls + calls / 10; i++) {
            struct client_done done;
            double began = now_us();

            client_run(&client, &run, &done);
            if (done.died || done.outcome != WORKER_EXITED || done.exit_code != 0) {
                fprintf(stderr, "%s: outcome %d, exit code %u: %s %s\n", path, done.outcome, done.exit_code, done.trap, done.err);
                exit(1);
            }
            /* The first calls warm up and are overwritten. */
            around_us[i % calls] = now_us() - began;
            inside_us[i % calls] = (double) done.run_us;
            free(done.out);
        }
        inside->median[round] = median(inside_us, calls);
        around->median[round] = median(around_us, calls);
        client_stop(&client);
    }
}

int main(int argc, char **argv)
{
    const char *worker = argc == 4 ? argv[1] : BENCH_WORKER;
    const char *c_guest = argc == 4 ? argv[2] : BENCH_C_GUEST;
    const char *go_guest = argc == 4 ? argv[3] : BENCH_GO_GUEST;
    struct figure inside, around, begin, process;

    measure_true(&process);
    measure(worker, c_guest, CALLS_MAX, &inside, &around, &begin);
    print("fresh instance of a C connector, instantiate and _start", &inside, 1, "us", "< 60", &process);
    print("the same with the frames there and back", &around, 1, "us", "none", &process);
    print("worker for a C connector, from its start to LOADED", &begin, 1000, "ms", "none", &process);
    if (access(go_guest, R_OK) != 0) {
        fprintf(stderr, "%s is missing (no Go?): instances of Go programs are NOT measured\n", go_guest);
        return 0;
    }
    measure(worker, go_guest, CALLS_MAX / 10, &inside, &around, &begin);
    print("fresh instance of a 3 MB Go program, instantiate and _start", &inside, 1000, "ms", "< 5", &process);
    print("worker for a Go program, from its start to LOADED", &begin, 1000, "ms", "none", &process);
    return 0;
}
