/*
 * The frames that a worker sends, read strictly (worker/protocol.h): every field
 * within its bound, enumerations within their range, nothing left over. What is
 * returned is borrowed from the frame. Pure.
 */
#ifndef CONNECTOR_FRAMES_H
#define CONNECTOR_FRAMES_H

#include "wire/frame.h"
#include "worker/protocol.h"

struct frame_ready {
    const char *engine, *config, *confinement;
};

struct frame_refused {
    const char *reason, *detail;
};

struct frame_log {
    enum worker_log_level level;
    const char *message;
};

struct frame_http {
    const char *envelope;
    size_t len;
};

struct frame_done {
    enum worker_outcome outcome;
    uint32_t exit_code;
    const char *out, *err_tail;
    size_t out_len, err_tail_len;
    uint64_t peak_bytes, run_us;
    const char *trap;
};

struct frame_compiled {
    const void *code;
    size_t code_bytes;
    const char *imports;
    bool has_start, has_memory;
};

struct frame_file {
    const char *name;
    const void *data;
    size_t len;
};

/* Each 0 or -EPROTO. A READY of another protocol version is -EPROTO too. */
int frame_read_ready(struct wire_frame *frame, struct frame_ready *ret_ready);
int frame_read_loaded(struct wire_frame *frame);
int frame_read_refused(struct wire_frame *frame, struct frame_refused *ret_refused);
int frame_read_log(struct wire_frame *frame, struct frame_log *ret_log);
int frame_read_http(struct wire_frame *frame, struct frame_http *ret_http);
int frame_read_done(struct wire_frame *frame, struct frame_done *ret_done);
/* An empty code is none. */
int frame_read_compiled(struct wire_frame *frame, struct frame_compiled *ret_compiled);
int frame_read_file(struct wire_frame *frame, struct frame_file *ret_file);

#endif
