/*
 * The loop of a run worker. LOAD comes once and first; RUN only afterwards. A call
 * that timed out while the broker was still fetching for it leaves an HTTP_RESULT
 * in flight, which is dropped whenever it arrives. Every other surprise ends the process:
 * the broker starts another.
 */
#include "worker/serve.h"

#include "base/clock.h"
#include "worker/call.h"
#include "worker/module.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define ALLOWED_MAX 1024

int serve_ready(int channel, const char *confinement)
{
    CLEANUP(wire_free) struct wire_frame frame;
    char key[ENGINE_KEY_MAX];

    wire_init(&frame, WORKER_READY, 0);
    wire_put_u32(&frame, WORKER_PROTOCOL_VERSION);
    wire_put_str(&frame, engine_version());
    wire_put_str(&frame, engine_key(key));
    wire_put_str(&frame, confinement);
    return wire_send(channel, &frame);
}

int serve_refuse(int channel, uint32_t id, const struct err *why)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_REFUSED, id);
    wire_put_str(&frame, why->message);
    wire_put_str(&frame, why->hint);
    return wire_send(channel, &frame);
}

static int on_load(struct serve *serve, struct wire_frame *frame)
{
    CLEANUP(wire_free) struct wire_frame answer;
    struct err err = ERR_INIT;
    int64_t started_us = clock_boot_us();
    size_t len = 0;
    const void *code = wire_get_blob(frame, LIMIT_BLOB_BYTES, &len);
    uint32_t ceiling_mib = wire_get_u32(frame);
    const char *allowed = wire_get_str(frame, ALLOWED_MAX);
    int r = 0;

    wire_init(&answer, WORKER_LOADED, frame->id);
    if (wire_end(frame) < 0 || serve->module || ceiling_mib == 0 || ceiling_mib > serve->most_mib)
        return -EPROTO;
    r = module_load(serve->engine, code, len, ceiling_mib, allowed, serve->extra, &serve->module, &err);
    if (r < 0)
        return serve_refuse(serve->channel, frame->id, &err);
    serve->ceiling_mib = ceiling_mib;
    r = serve->on_loaded ? serve->on_loaded() : 0;
    if (r < 0)
        return r;
    wire_put_u64(&answer, (uint64_t) (clock_boot_us() - started_us));
    return wire_send(serve->channel, &answer);
}

static int send_done(const struct call *call, const struct call_result *result)
{
    CLEANUP(wire_free) struct wire_frame frame;
    char tail[LIMIT_STDERR_TAIL_BYTES];

    wire_init(&frame, WORKER_DONE, call->id);
    wire_put_u8(&frame, (uint8_t) result->outcome);
    wire_put_u32(&frame, result->exit_code);
    wire_put_blob(&frame, buf_str(&call->out), call->out.len);
    wire_put_bytes(&frame, tail, call_err_tail(call, tail));
    wire_put_u64(&frame, result->memory_bytes);
    wire_put_u64(&frame, result->run_us);
    wire_put_str(&frame, result->trap);
    return wire_send(call->channel, &frame);
}

static int on_run(struct serve *serve, struct wire_frame *frame)
{
    CLEANUP(call_free) struct call call;
    struct call_result result = { 0 };
    size_t len = 0;
    const void *in = wire_get_blob(frame, LIMIT_BLOB_BYTES, &len);
    uint32_t memory_mib = wire_get_u32(frame), wall_ms = wire_get_u32(frame);
    int r = 0;

    call_init(&call, serve->channel, frame->id, in, len);
    if (wire_end(frame) < 0 || !serve->module || memory_mib == 0 || memory_mib > serve->ceiling_mib || wall_ms == 0 ||
        wall_ms > CEILING_WALL_TIME_S * 1000u)
        return -EPROTO;
    /* No answer of an earlier call can be taken for one of this call. */
    if (frame->id <= serve->last_id)
        return -EPROTO;
    serve->last_id = frame->id;
    call.late_id = serve->late_id;
    r = call_run(&call, serve->module, (uint64_t) memory_mib * MIB, wall_ms, &result);
    if (r == 0)
        r = send_done(&call, &result);
    if (call.http_waits)
        serve->late_id = frame->id;
    return r;
}

static int on_late_result(struct serve *serve, struct wire_frame *frame)
{
    size_t len = 0;

    wire_get_i64(frame);
    wire_get_u32(frame);
    wire_get_blob(frame, LIMIT_RESPONSE_BYTES, &len);
    return wire_end(frame) < 0 || frame->id == 0 || frame->id > serve->late_id ? -EPROTO : 0;
}

int serve_frame(struct serve *serve, struct wire_frame *frame)
{
    static const struct {
        uint16_t type;
        int (*handle)(struct serve *serve, struct wire_frame *frame);
    } rows[] = {
        { WORKER_LOAD, on_load },
        { WORKER_RUN, on_run },
        { WORKER_HTTP_RESULT, on_late_result },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].type == frame->type)
            return rows[i].handle(serve, frame);
    return -EPROTO;
}

int serve_run(struct serve *serve)
{
    int r = 0;

    while (r == 0) {
        struct wire_frame frame;

        r = wire_recv(serve->channel, &frame);
        if (r <= 0)
            break;
        r = serve_frame(serve, &frame);
        wire_free(&frame);
    }
    return r;
}

void serve_free(struct serve *serve)
{
    module_free(TAKE_PTR(serve->module));
}
