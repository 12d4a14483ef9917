/*
 * The broker's half of worker/protocol.h, for tests and measurements: starts the
 * real aileron-worker, compiles, loads, runs, answers its HTTP frames. What cannot happen
 * in a working tree ends the program with a message.
 */
#ifndef TESTS_WAT_CLIENT_H
#define TESTS_WAT_CLIENT_H

#include "wire/frame.h"
#include "worker/protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CLIENT_TEXT_MAX 512

struct client {
    pid_t pid;
    int channel;
    uint32_t last_id;
    char engine[CLIENT_TEXT_MAX];
    char key[CLIENT_TEXT_MAX];
    char confinement[CLIENT_TEXT_MAX];
};

struct client_code {
    struct wire_frame frame; /* holds `data` */
    const void *data;        /* NULL: refused */
    size_t len;
    const char *imports;
    bool has_start;
    bool has_memory;
    char refused[CLIENT_TEXT_MAX]; /* reason and detail */
};

/* What to answer to one HTTP frame. */
struct client_answer {
    bool silent; /* no answer at all */
    int64_t result;
    uint32_t status;
    const void *body;
    size_t body_len;
};
typedef struct client_answer client_http_fn(const void *request, size_t len, unsigned nth, void *userdata);

struct client_run {
    const void *in;
    size_t in_len;
    uint32_t memory_mib;  /* 0: 64 */
    uint32_t wall_ms;     /* 0: 5000 */
    client_http_fn *http; /* NULL: result -1 */
    void *userdata;
};

struct client_done {
    bool died; /* the worker ended instead of answering */
    enum worker_outcome outcome;
    uint32_t exit_code;
    char *out; /* malloc'd, NUL-terminated */
    size_t out_len;
    char err[LIMIT_STDERR_TAIL_BYTES + 1];
    size_t err_len;
    uint64_t memory_bytes;
    uint64_t run_us;
    int64_t wall_us; /* as seen here */
    char trap[CLIENT_TEXT_MAX];
    unsigned logs;
    char first_log[LIMIT_LOG_LINE_BYTES + 1];
    char last_log[LIMIT_LOG_LINE_BYTES + 1];
    uint8_t last_level;
    unsigned requests;
};

/* Reads a whole file; malloc'd. */
void *client_read_file(const char *path, size_t *ret_len);
/* Starts `program` with `mode` (--run or --compile) and reads READY. */
void client_start(struct client *client, const char *program, const char *mode);
/* The same with all arguments, argv[0] included; READY is not awaited. */
void client_start_with(struct client *client, const char *program, const char *const *argv);
void client_read_ready(struct client *client);
/* Closes the channel and waits; the wait status. */
int client_stop(struct client *client);
/* Waits for a worker that ends by itself; the wait status. */
int client_wait(struct client *client);

void client_compile(const char *program, const void *wasm, size_t len, struct client_code *ret_code);
void client_code_free(struct client_code *code);
/* True when loaded, else `refused` says why, or "died". */
bool client_load(struct client *client, const void *code, size_t len, uint32_t ceiling_mib, const char *allowed,
    char refused[CLIENT_TEXT_MAX]);
/* RUN to DONE. The caller frees ret_done->out. */
void client_run(struct client *client, const struct client_run *run, struct client_done *ret_done);
/* The parts of client_run, for tests that do something in between. */
void client_run_send(struct client *client, const struct client_run *run);
void client_run_finish(struct client *client, const struct client_run *run, struct client_done *ret_done);
/* Sends any frame; false when the worker is gone. */
bool client_send(struct client *client, struct wire_frame *frame);

#endif
