/*
 * The state of a call and the way to guest memory. Lengths are 64 bits wide
 * before they are compared, so that nothing wraps; guest memory is little-endian
 * and has no alignment.
 */
#include "worker/call.h"

#include <string.h>
#include <time.h>

#include "base/banned.h"

void call_init(struct call *call, int channel, uint32_t id, const void *in, size_t in_len)
{
    struct timespec cpu;

    memset(call, 0, sizeof(*call));
    call->magic = CALL_MAGIC;
    call->id = id;
    call->channel = channel;
    call->in = in;
    call->in_len = in_len;
    call->out = (struct buf) BUF_INIT(LIMIT_STDOUT_BYTES);
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0)
        call->cpu_start_ns = (int64_t) cpu.tv_sec * 1000000000 + cpu.tv_nsec;
}

void call_free(struct call *call)
{
    if (call->has_response)
        wire_free(&call->response_frame);
    call->has_response = false;
    if (call->store)
        wasmtime_store_delete(call->store);
    call->store = NULL;
    buf_free(&call->out);
    call->magic = 0;
}

size_t call_err_tail(const struct call *call, char *out)
{
    size_t held = call->err_len < sizeof(call->err_tail) ? (size_t) call->err_len : sizeof(call->err_tail);
    size_t first = (size_t) ((call->err_len - held) % sizeof(call->err_tail));

    for (size_t i = 0; i < held; i++)
        out[i] = call->err_tail[(first + i) % sizeof(call->err_tail)];
    return held;
}

void *call_range(const struct call *call, uint32_t ptr, uint64_t len)
{
    if (len > call->memory_size || ptr > call->memory_size - len)
        return NULL;
    return call->memory + ptr;
}

#define DEFINE_ACCESS(bits)                                                                      \
    bool call_get_u##bits(const struct call *call, uint32_t ptr, uint##bits##_t *ret)            \
    {                                                                                            \
        const uint8_t *at = call_range(call, ptr, bits / 8);                                     \
        uint64_t value = 0;                                                                      \
                                                                                                 \
        if (!at)                                                                                 \
            return false;                                                                        \
        for (unsigned i = 0; i < bits / 8; i++)                                                  \
            value |= (uint64_t) at[i] << (8 * i);                                                \
        *ret = (uint##bits##_t) value;                                                           \
        return true;                                                                             \
    }
#define DEFINE_STORE(bits)                                                                       \
    bool call_put_u##bits(const struct call *call, uint32_t ptr, uint##bits##_t value)           \
    {                                                                                            \
        uint8_t *at = call_range(call, ptr, bits / 8);                                           \
                                                                                                 \
        if (!at)                                                                                 \
            return false;                                                                        \
        for (unsigned i = 0; i < bits / 8; i++)                                                  \
            at[i] = (uint8_t) (value >> (8 * i));                                                \
        return true;                                                                             \
    }

DEFINE_ACCESS(8)
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)
DEFINE_STORE(32)
DEFINE_STORE(64)
