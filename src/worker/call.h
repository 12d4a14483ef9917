/*
 * One call: a fresh instance of the loaded module, its standard input, what it
 * wrote, why it ended. Nothing of a call survives it.
 *
 * Host functions get the call and the raw parameters. They see guest memory
 * only through call_range() and its kin, which check in 64 bits against the size
 * at that moment; `memory` is fetched anew for each host call.
 */
#ifndef WORKER_CALL_H
#define WORKER_CALL_H

#include "base/buf.h"
#include "wire/frame.h"
#include "worker/engine.h"
#include "worker/protocol.h"

#include <stdbool.h>
#include <stdint.h>

#define CALL_MAGIC    0x43616c6cu
#define CALL_TRAP_MAX 128

struct module;

/* Why the host stops the guest; CALL_GOES_ON while it does not. */
enum call_end {
    CALL_GOES_ON,
    CALL_EXITS,          /* proc_exit */
    CALL_TIMES_OUT,      /* in a wait of the host */
    CALL_TALKS_TOO_MUCH, /* standard output */
    CALL_IS_ALONE,       /* the channel is gone or lies: the worker ends */
};

struct call {
    uint32_t magic;
    uint32_t id; /* of the RUN frame, and of every frame of this call */
    int channel;

    wasmtime_store_t *store; /* while it runs, and until call_free() */
    struct engine_limits limits;
    wasmtime_memory_t memory_handle;
    bool memory_known;
    uint8_t *memory;
    uint64_t memory_size;

    const uint8_t *in;
    size_t in_len;
    size_t in_at;
    struct buf out;
    char err_tail[LIMIT_STDERR_TAIL_BYTES]; /* ring */
    uint64_t err_len;                       /* bytes ever written */
    bool fd_closed[3];

    unsigned log_lines;
    unsigned http_requests;
    bool http_waits;  /* an HTTP frame is unanswered */
    uint32_t late_id; /* the last call before this one that ended so, 0: none; answers to it and its elders are dropped */
    bool has_response;
    uint32_t response_status;
    const uint8_t *response;
    size_t response_len;
    struct wire_frame response_frame; /* holds `response` */

    int64_t cpu_start_ns;
    enum call_end end;
    uint32_t exit_code;
};

/* What DONE says, besides what `call` holds. */
struct call_result {
    enum worker_outcome outcome;
    uint32_t exit_code;
    uint64_t memory_bytes;
    uint64_t run_us;
    char trap[CALL_TRAP_MAX];
};

/* `in` is borrowed until call_free(). */
void call_init(struct call *call, int channel, uint32_t id, const void *in, size_t in_len);
/* Resets guest memory for the next call too, which is why DONE is sent before it. */
void call_free(struct call *call);
/* Runs `_start` of a fresh instance to its end. 0, or -EPIPE when the channel failed. */
int call_run(struct call *call, struct module *module, uint64_t memory_bytes, uint32_t wall_ms, struct call_result *ret_result);
/* The last bytes of standard error in order; `out` holds LIMIT_STDERR_TAIL_BYTES. Returns the length. */
size_t call_err_tail(const struct call *call, char *out);

/* The bytes [ptr, ptr + len) of guest memory, or NULL when they are not all inside. */
void *call_range(const struct call *call, uint32_t ptr, uint64_t len);
bool call_get_u8(const struct call *call, uint32_t ptr, uint8_t *ret);
bool call_get_u16(const struct call *call, uint32_t ptr, uint16_t *ret);
bool call_get_u32(const struct call *call, uint32_t ptr, uint32_t *ret);
bool call_get_u64(const struct call *call, uint32_t ptr, uint64_t *ret);
bool call_put_u32(const struct call *call, uint32_t ptr, uint32_t value);
bool call_put_u64(const struct call *call, uint32_t ptr, uint64_t value);

#endif
