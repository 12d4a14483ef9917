/*
 * One call from envelope to envelope: {"op","args"} in, {"output"} or {"error"}
 * out, and the memory that lives in between.
 *
 * Memory comes in blocks and is given back all at once. In a connector a block
 * holds many small things, so that few pages are touched; in a native build every
 * thing is a block of its own, so that a sanitizer sees each bound.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __wasm__
#define BLOCK_BYTES ((size_t) 16 * 1024)
#else
#define BLOCK_BYTES ((size_t) 0)
#endif

static struct aileron_block *block_new(struct aileron_call *call, size_t size)
{
    struct aileron_block *block = NULL;

    if (size <= SIZE_MAX - sizeof(*block))
        block = malloc(sizeof(*block) + size);
    if (!block)
        aileron_host_out_of_memory();
    block->used = 0;
    block->size = size;
    block->next = call->blocks;
    call->blocks = block;
    return block;
}

void *aileron_alloc(struct aileron_call *call, size_t size)
{
    struct aileron_block *block = call->blocks;
    size_t rounded = (size + 15) & ~(size_t) 15;
    char *memory;

    if (rounded < size)
        aileron_host_out_of_memory();
#ifndef __wasm__
    rounded = size;
#endif
    if (!block || rounded > block->size - block->used)
        block = block_new(call, rounded > BLOCK_BYTES ? rounded : BLOCK_BYTES);
    memory = block->data + block->used;
    block->used += rounded;
    memset(memory, 0, size);
    return memory;
}

char *aileron_copy(struct aileron_call *call, const char *bytes, size_t len)
{
    char *copy = aileron_alloc(call, len + 1);

    if (len)
        memcpy(copy, bytes, len);
    return copy;
}

void aileron_call_init(struct aileron_call *call)
{
    call->retry_after_s = -1;
    call->output = aileron_alloc(call, sizeof(*call->output));
    aileron_writer_init(call->output, call, AILERON_OUTPUT_MAX);
}

void aileron_call_free(struct aileron_call *call)
{
    for (struct aileron_block *block = call->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    call->blocks = NULL;
}

const struct aileron_json *aileron_args(struct aileron_call *call)
{
    return call->args;
}

const char *aileron_need_string(struct aileron_call *call, const char *name)
{
    const struct aileron_json *value = aileron_json_get(call->args, name);

    if (!value)
        aileron_fail(call, "bad_input", "%s is missing", name);
    else if (value->type != AILERON_STRING)
        aileron_fail(call, "bad_input", "%s must be a string", name);
    else if (!value->len)
        aileron_fail(call, "bad_input", "%s is empty", name);
    else
        return value->text;
    return NULL;
}

struct aileron_writer *aileron_output(struct aileron_call *call)
{
    return call->output;
}

static int fail(
    struct aileron_call *call, const char *error_class, int status, int64_t retry_after_s, const char *format, va_list args)
{
    char message[AILERON_MESSAGE_MAX];

    if (call->error_class)
        return -1;
    if (vsnprintf(message, sizeof(message), format, args) < 0)
        message[0] = '\0';
    call->error_class = error_class;
    call->message = aileron_copy(call, message, strlen(message));
    call->status = status;
    call->retry_after_s = retry_after_s;
    return -1;
}

int aileron_fail(struct aileron_call *call, const char *error_class, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail(call, error_class, 0, -1, format, args);
    va_end(args);
    return -1;
}

int aileron_fail_status(struct aileron_call *call, int status, int64_t retry_after_s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fail(call, "external_api_error", status, retry_after_s, format, args);
    va_end(args);
    return -1;
}

void aileron_log(const char *level, const char *format, ...)
{
    char text[AILERON_MESSAGE_MAX];
    va_list args;

    va_start(args, format);
    if (vsnprintf(text, sizeof(text), format, args) >= 0)
        aileron_host_log(level, (uint32_t) strlen(level), text, (uint32_t) strlen(text));
    va_end(args);
}

int64_t aileron_now(void)
{
    return aileron_host_now();
}

/* Cuts half a character that the message's limit may have left at its end. */
static size_t whole_characters(const char *text)
{
    size_t len = strlen(text);

    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char) text[len - back];

        if (c >= 0xc0)
            return aileron_utf8_next(text + len - back, back) ? len : len - back;
        if (c < 0x80)
            break;
    }
    return len;
}

static const char *error_envelope(struct aileron_call *call, size_t *ret_len)
{
    struct aileron_writer *writer = aileron_writer_new(call);

    aileron_put_object(writer, "error");
    aileron_put_string(writer, "class", call->error_class);
    aileron_put_bytes(writer, "message", call->message, whole_characters(call->message));
    if (call->status || call->retry_after_s >= 0) {
        aileron_put_object(writer, "details");
        if (call->status)
            aileron_put_int(writer, "status", call->status);
        if (call->retry_after_s >= 0)
            aileron_put_int(writer, "retry_after", call->retry_after_s);
    }
    return aileron_writer_text(writer, ret_len);
}

static int run(struct aileron_call *call, const struct aileron_operation *operations, char *input, size_t len)
{
    static const struct aileron_json no_args = { .type = AILERON_OBJECT };
    const char *why, *name;
    const struct aileron_json *envelope = aileron_json_parse(call, input, len, &why);

    if (!envelope)
        return aileron_fail(call, "bad_input", "the call is not understood: %s", why);
    name = aileron_json_string(envelope, "op");
    if (!name)
        return aileron_fail(call, "bad_input", "the call names no operation");
    call->args = aileron_json_get(envelope, "args");
    if (!call->args)
        call->args = &no_args;
    if (call->args->type != AILERON_OBJECT)
        return aileron_fail(call, "bad_input", "the arguments are not an object");
    aileron_put_object(call->output, "output");
    for (const struct aileron_operation *op = operations; op->name; op++)
        if (strcmp(op->name, name) == 0)
            return op->run(call);
    return aileron_fail(call, "unknown_op", "this connector has no operation %s", name);
}

const char *aileron_run(
    struct aileron_call *call, const struct aileron_operation *operations, char *input, size_t len, size_t *ret_len)
{
    const char *text;

    if (run(call, operations, input, len) != 0)
        aileron_fail(call, "connector_runtime_error", "the operation failed without saying why");
    if (!call->error_class) {
        text = aileron_writer_text(call->output, ret_len);
        if (text && !call->error_class)
            return text;
    }
    return error_envelope(call, ret_len);
}
