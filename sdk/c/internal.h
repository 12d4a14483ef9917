/*
 * What the SDK's own files share: the state of a call, and the host below.
 *
 * The host is seven functions. In a connector five of them are imports of the
 * module `aileron_host` and two come from WASI; in a native build (tests,
 * fuzzers) fake-host.c stands in for all.
 */
#ifndef AILERON_INTERNAL_H
#define AILERON_INTERNAL_H

#include "aileron.h"

#define AILERON_OUTPUT_MAX   (1024 * 1024)
#define AILERON_INPUT_MAX    (2 * 1024 * 1024)
#define AILERON_REQUEST_MAX  (8 * 1024 * 1024)
#define AILERON_RESPONSE_MAX (8 * 1024 * 1024)
#define AILERON_MESSAGE_MAX  1000
#define AILERON_DEPTH_MAX    64
#define AILERON_NODES_MAX    100000
#define AILERON_MEMBERS_MAX  1024

struct aileron_writer {
    struct aileron_text text;
    unsigned depth;
    bool comma;                          /* the next member needs one before it */
    bool misused;                        /* closed too often, or nested too deep */
    char closing[AILERON_DEPTH_MAX + 1]; /* what closes each open level */
};

struct aileron_block {
    struct aileron_block *next;
    size_t used, size;
    _Alignas(16) char data[];
};

struct aileron_call {
    struct aileron_block *blocks; /* newest first */
    const struct aileron_json *args;
    struct aileron_writer *output;
    const char *error_class; /* NULL: none yet */
    char *message;
    int status;            /* 0: none */
    int64_t retry_after_s; /* negative: none */
};

/* `call` is zeroed memory of the caller. */
void aileron_call_init(struct aileron_call *call);
void aileron_call_free(struct aileron_call *call);
/* Runs one operation: envelope in (overwritten, one byte of room after it), envelope out. The answer lives as long as the call. */
const char *aileron_run(
    struct aileron_call *call, const struct aileron_operation *operations, char *input, size_t len, size_t *ret_len);
void aileron_writer_init(struct aileron_writer *writer, struct aileron_call *call, size_t max_bytes);

#ifdef __wasm__
#define AILERON_IMPORT(name) __attribute__((import_module("aileron_host"), import_name(name)))
#else
#define AILERON_IMPORT(name)
#endif

/* Lengths and results are i32 in the ABI. */
AILERON_IMPORT("log") void aileron_host_log(const char *level, uint32_t level_len, const char *text, uint32_t text_len);
AILERON_IMPORT("http_request") int32_t aileron_host_http_request(const char *request, uint32_t len);
AILERON_IMPORT("http_response_status") int32_t aileron_host_http_response_status(void);
AILERON_IMPORT("http_response_size") int32_t aileron_host_http_response_size(void);
AILERON_IMPORT("http_response_read") int32_t aileron_host_http_response_read(char *ret_bytes, uint32_t cap);
/* Seconds since 1970. */
int64_t aileron_host_now(void);
/* Answers resource_limit_exceeded and ends. */
_Noreturn void aileron_host_out_of_memory(void);

#endif
