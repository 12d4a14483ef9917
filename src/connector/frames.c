/* Reading a worker's frames. The worker is a stranger: it may be run by what escaped into it. */
#include "connector/frames.h"

#include "connector/module.h"
#include "wire/limits.h"

#include <errno.h>

#include "base/banned.h"

#define TEXT_MAX      4096
#define FILE_NAME_MAX 63

int frame_read_ready(struct wire_frame *frame, struct frame_ready *ret_ready)
{
    uint32_t version = wire_get_u32(frame);

    ret_ready->engine = wire_get_str(frame, TEXT_MAX);
    ret_ready->config = wire_get_str(frame, TEXT_MAX);
    ret_ready->confinement = wire_get_str(frame, TEXT_MAX);
    return wire_end(frame) < 0 || version != WORKER_PROTOCOL_VERSION ? -EPROTO : 0;
}

int frame_read_loaded(struct wire_frame *frame)
{
    wire_get_u64(frame);
    return wire_end(frame);
}

int frame_read_refused(struct wire_frame *frame, struct frame_refused *ret_refused)
{
    ret_refused->reason = wire_get_str(frame, TEXT_MAX);
    ret_refused->detail = wire_get_str(frame, TEXT_MAX);
    return wire_end(frame);
}

int frame_read_log(struct wire_frame *frame, struct frame_log *ret_log)
{
    uint8_t level = wire_get_u8(frame);

    ret_log->message = wire_get_str(frame, LIMIT_LOG_LINE_BYTES);
    if (wire_end(frame) < 0 || level > WORKER_LOG_ERROR)
        return -EPROTO;
    ret_log->level = level;
    return 0;
}

int frame_read_http(struct wire_frame *frame, struct frame_http *ret_http)
{
    ret_http->envelope = wire_get_blob(frame, LIMIT_REQUEST_ENVELOPE_BYTES, &ret_http->len);
    return wire_end(frame);
}

int frame_read_done(struct wire_frame *frame, struct frame_done *ret_done)
{
    uint8_t outcome = wire_get_u8(frame);

    ret_done->exit_code = wire_get_u32(frame);
    ret_done->out = wire_get_blob(frame, LIMIT_STDOUT_BYTES, &ret_done->out_len);
    ret_done->err_tail = wire_get_bytes(frame, LIMIT_STDERR_TAIL_BYTES, &ret_done->err_tail_len);
    ret_done->peak_bytes = wire_get_u64(frame);
    ret_done->run_us = wire_get_u64(frame);
    ret_done->trap = wire_get_str(frame, TEXT_MAX);
    if (wire_end(frame) < 0 || outcome > WORKER_STDOUT_TOO_LONG)
        return -EPROTO;
    ret_done->outcome = outcome;
    return 0;
}

int frame_read_compiled(struct wire_frame *frame, struct frame_compiled *ret_compiled)
{
    ret_compiled->code = wire_get_blob(frame, LIMIT_BLOB_BYTES, &ret_compiled->code_bytes);
    ret_compiled->imports = wire_get_str(frame, MODULE_IMPORTS_MAX);
    ret_compiled->has_start = wire_get_u8(frame);
    ret_compiled->has_memory = wire_get_u8(frame);
    return wire_end(frame) < 0 || !ret_compiled->code_bytes ? -EPROTO : 0;
}

int frame_read_file(struct wire_frame *frame, struct frame_file *ret_file)
{
    ret_file->name = wire_get_str(frame, FILE_NAME_MAX);
    ret_file->data = wire_get_blob(frame, LIMIT_WASM_BYTES, &ret_file->len);
    return wire_end(frame);
}
