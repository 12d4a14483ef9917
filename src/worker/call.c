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

static bool load(const struct call *call, uint32_t ptr, unsigned bytes, uint64_t *ret)
{
    const uint8_t *at = call_range(call, ptr, bytes);
    uint64_t value = 0;

    if (!at)
        return false;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t) at[i] << (8 * i);
    *ret = value;
    return true;
}

static bool store(const struct call *call, uint32_t ptr, unsigned bytes, uint64_t value)
{
    uint8_t *at = call_range(call, ptr, bytes);

    if (!at)
        return false;
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t) (value >> (8 * i));
    return true;
}

bool call_get_u8(const struct call *call, uint32_t ptr, uint8_t *ret)
{
    uint64_t value = 0;
    bool good = load(call, ptr, sizeof(*ret), &value);

    if (good)
        *ret = (uint8_t) value;
    return good;
}

bool call_get_u16(const struct call *call, uint32_t ptr, uint16_t *ret)
{
    uint64_t value = 0;
    bool good = load(call, ptr, sizeof(*ret), &value);

    if (good)
        *ret = (uint16_t) value;
    return good;
}

bool call_get_u32(const struct call *call, uint32_t ptr, uint32_t *ret)
{
    uint64_t value = 0;
    bool good = load(call, ptr, sizeof(*ret), &value);

    if (good)
        *ret = (uint32_t) value;
    return good;
}

bool call_get_u64(const struct call *call, uint32_t ptr, uint64_t *ret)
{
    return load(call, ptr, sizeof(*ret), ret);
}

bool call_put_u32(const struct call *call, uint32_t ptr, uint32_t value)
{
    return store(call, ptr, sizeof(value), value);
}

bool call_put_u64(const struct call *call, uint32_t ptr, uint64_t value)
{
    return store(call, ptr, sizeof(value), value);
}
