/*
 * The module "aileron_host" (SPEC §5): log lines and HTTP requests. A request
 * goes to the broker as the guest wrote it; what is allowed is decided there and
 * in the keeper. While the answer is awaited nothing else happens, but never
 * longer than the call's wall time.
 *
 * The LIMIT_HTTP_REQUESTS_PER_CALL-th request and one more are sent, so that the
 * broker is the one who refuses and remembers why; after that the guest gets -1 without a frame.
 */
#include "base/cleanup.h"
#include "worker/deadline.h"
#include "worker/link.h"
#include "worker/text.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "base/banned.h"

#define LOG_DROPPED "further log lines of this call are dropped"

enum { HOST_DONE = 0, HOST_FAILED = -1, HOST_MALFORMED = -2 };

static void log_send(struct call *call, enum worker_log_level level, const char *text)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_LOG, call->id);
    wire_put_u8(&frame, (uint8_t) level);
    wire_put_str(&frame, text);
    if (wire_send(call->channel, &frame) < 0)
        call->end = CALL_IS_ALONE;
}

static enum worker_log_level level_from(const char *text, size_t len)
{
    static const struct {
        const char *name;
        enum worker_log_level level;
    } levels[] = {
        { "debug", WORKER_LOG_DEBUG },
        { "info", WORKER_LOG_INFO },
        { "warn", WORKER_LOG_WARN },
        { "warning", WORKER_LOG_WARN },
        { "error", WORKER_LOG_ERROR },
    };

    for (size_t i = 0; i < ARRAY_LEN(levels); i++)
        if (strlen(levels[i].name) == len && memcmp(levels[i].name, text, len) == 0)
            return levels[i].level;
    return WORKER_LOG_INFO;
}

static int32_t host_log(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t level_len = (uint32_t) args[1].i32, text_len = (uint32_t) args[3].i32;
    const char *level = call_range(call, (uint32_t) args[0].i32, level_len);
    const char *text = call_range(call, (uint32_t) args[2].i32, text_len);
    char line[LIMIT_LOG_LINE_BYTES + 1];

    if (!level || !text || call->log_lines > LIMIT_LOG_LINES_PER_CALL)
        return 0;
    if (call->log_lines++ == LIMIT_LOG_LINES_PER_CALL) {
        log_send(call, WORKER_LOG_WARN, LOG_DROPPED);
        return 0;
    }
    /* The cleaner stops at its ceiling, but a gigabyte of blanks need not be looked at. */
    text_clean(text, text_len < 4 * LIMIT_LOG_LINE_BYTES ? text_len : 4 * LIMIT_LOG_LINE_BYTES, line, sizeof(line));
    log_send(call, level_from(level, level_len), line);
    return 0;
}

static void response_drop(struct call *call)
{
    if (call->has_response)
        wire_free(&call->response_frame);
    call->has_response = false;
    call->response = NULL;
    call->response_len = 0;
}

/* The answer in `response_frame`, or the end of the worker when it is anything else than HTTP_RESULT for this call. */
static int32_t response_read(struct call *call)
{
    struct wire_frame *frame = &call->response_frame;
    int64_t result = wire_get_i64(frame);

    call->response_status = wire_get_u32(frame);
    call->response = wire_get_blob(frame, LIMIT_RESPONSE_BYTES, &call->response_len);
    if (frame->type != WORKER_HTTP_RESULT || frame->id != call->id || wire_end(frame) < 0 || result > HOST_DONE ||
        result < HOST_MALFORMED)
        call->end = CALL_IS_ALONE;
    if (result != HOST_DONE || call->end != CALL_GOES_ON)
        response_drop(call);
    return (int32_t) result;
}

/* Receives one frame. True when it is the awaited one, false for the answer to a call that had timed out. */
static bool response_receive(struct call *call)
{
    struct wire_frame *frame = &call->response_frame;

    if (wire_recv(call->channel, frame) != 1) {
        call->end = CALL_IS_ALONE;
        return true;
    }
    call->has_response = true;
    if (frame->type != WORKER_HTTP_RESULT || frame->id == 0 || frame->id > call->late_id)
        return true;
    response_drop(call);
    return false;
}

static int32_t response_await(struct call *call)
{
    for (;;) {
        struct pollfd channel = { .fd = call->channel, .events = POLLIN };
        int64_t left_us = deadline_left_us();
        int r = left_us > 0 ? poll(&channel, 1, (int) (left_us / 1000) + 1) : 0;

        if (left_us == 0)
            call->end = CALL_TIMES_OUT;
        else if (r < 0 && errno != EINTR)
            call->end = CALL_IS_ALONE;
        else if (r > 0 && response_receive(call) && call->end == CALL_GOES_ON) {
            call->http_waits = false;
            return response_read(call);
        }
        if (call->end != CALL_GOES_ON)
            return HOST_FAILED;
    }
}

static int32_t http_request(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t len = (uint32_t) args[1].i32;
    const void *request = call_range(call, (uint32_t) args[0].i32, len);
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_HTTP, call->id);
    response_drop(call);
    if (!request || len == 0 || len > LIMIT_REQUEST_ENVELOPE_BYTES)
        return HOST_MALFORMED;
    if (call->http_requests > LIMIT_HTTP_REQUESTS_PER_CALL)
        return HOST_FAILED;
    call->http_requests++;
    wire_put_blob(&frame, request, len);
    if (wire_send(call->channel, &frame) < 0) {
        call->end = CALL_IS_ALONE;
        return HOST_FAILED;
    }
    call->http_waits = true;
    return response_await(call);
}

static int32_t http_response_status(struct call *call, const wasmtime_val_raw_t *args)
{
    return call->has_response ? (int32_t) call->response_status : -1;
}

static int32_t http_response_size(struct call *call, const wasmtime_val_raw_t *args)
{
    return call->has_response ? (int32_t) call->response_len : -1;
}

static int32_t http_response_read(struct call *call, const wasmtime_val_raw_t *args)
{
    uint32_t cap = (uint32_t) args[1].i32;
    void *to = call_range(call, (uint32_t) args[0].i32, cap);
    size_t len = cap < call->response_len ? cap : call->response_len;

    if (!call->has_response || !to)
        return -1;
    if (len > 0)
        memcpy(to, call->response, len);
    return (int32_t) len;
}

static const struct host_function functions[] = {
    { "log", "iiii", "", host_log },
    { "http_request", "ii", "i", http_request },
    { "http_response_status", "", "i", http_response_status },
    { "http_response_size", "", "i", http_response_size },
    { "http_response_read", "ii", "i", http_response_read },
};

const struct host_table host_table = { "aileron_host", functions, ARRAY_LEN(functions), true };
