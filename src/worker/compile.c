/*
 * Compiling. The module is a stranger's: the engine validates it, the process is
 * confined and ends afterwards, its time is limited by the broker and its memory by RLIMIT_DATA.
 * Names of imports are reported as they are, except that one with a control
 * character or a newline is refused, so that the list stays a list.
 */
#include "worker/compile.h"

#include "wire/frame.h"
#include "worker/module.h"
#include "worker/protocol.h"
#include "worker/serve.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define IMPORTS_MAX_BYTES (32 * KIB)

static int name_add(struct buf *list, const wasm_name_t *name)
{
    for (size_t i = 0; i < name->size; i++)
        if (name->data[i] <= ' ' || name->data[i] == 0x7F)
            return -EINVAL;
    return name->size > 0 ? buf_add(list, name->data, name->size) : -EINVAL;
}

/* "module.name" of every import, one a line. */
static int list_imports(const wasmtime_module_t *code, struct buf *list, struct err *err)
{
    CLEANUP(wasm_importtype_vec_delete) wasm_importtype_vec_t imports;

    wasmtime_module_imports(code, &imports);
    for (size_t i = 0; i < imports.size; i++) {
        int r = name_add(list, wasm_importtype_module(imports.data[i]));

        if (r == 0)
            r = buf_add_char(list, '.');
        if (r == 0)
            r = name_add(list, wasm_importtype_name(imports.data[i]));
        if (r == 0)
            r = buf_add_char(list, '\n');
        if (r == -EINVAL)
            return err_set(err, EINVAL, "the module imports something whose name is not plain text");
        if (r < 0)
            return err_set(err, E2BIG, "the module imports too much");
    }
    if (list->len > 0)
        list->data[--list->len] = 0;
    return 0;
}

static int send_compiled(int channel, uint32_t id, const wasmtime_module_t *code, const struct buf *imports, struct err *err)
{
    CLEANUP(wire_free) struct wire_frame frame;
    CLEANUP(wasm_byte_vec_delete) wasm_byte_vec_t bytes = { 0 };
    wasmtime_error_t *error = wasmtime_module_serialize(code, &bytes);
    char detail[ERR_HINT_MAX];
    bool start = false, memory = false;
    uint64_t memory_bytes = 0;

    wire_init(&frame, WORKER_COMPILED, id);
    if (error) {
        int r = err_set(err, EINVAL, "the compiled module could not be written");
        err_hint(err, "%s", engine_error_take(error, detail, sizeof(detail)));
        return r;
    }
    module_exports(code, &start, &memory, &memory_bytes);
    wire_put_blob(&frame, bytes.data, bytes.size);
    wire_put_str(&frame, buf_str(imports));
    wire_put_u8(&frame, start);
    wire_put_u8(&frame, memory);
    return wire_send(channel, &frame);
}

static int compile(int channel, wasm_engine_t *engine, uint32_t id, const void *wasm, size_t len, struct err *err)
{
    CLEANUP(buf_free) struct buf imports = BUF_INIT(IMPORTS_MAX_BYTES);
    wasmtime_module_t *code = NULL;
    wasmtime_error_t *error = wasmtime_module_new(engine, wasm, len, &code);
    char detail[ERR_HINT_MAX];
    int r = 0;

    if (error) {
        r = err_set(err, EINVAL, "this is not a WebAssembly module that can run here");
        err_hint(err, "%s", engine_error_take(error, detail, sizeof(detail)));
        return r;
    }
    r = list_imports(code, &imports, err);
    if (r == 0)
        r = send_compiled(channel, id, code, &imports, err);
    wasmtime_module_delete(code);
    return r;
}

int compile_run(int channel, wasm_engine_t *engine)
{
    CLEANUP(wire_free) struct wire_frame frame;
    struct err err = ERR_INIT;
    const void *wasm = NULL;
    size_t len = 0;
    int r = wire_recv(channel, &frame);

    if (r <= 0) {
        wire_init(&frame, 0, 0);
        return r;
    }
    wasm = wire_get_blob(&frame, LIMIT_WASM_BYTES, &len);
    if (wire_end(&frame) < 0 || frame.type != WORKER_COMPILE)
        return -EPROTO;
    r = compile(channel, engine, frame.id, wasm, len, &err);
    if (r < 0 && err.code != 0)
        r = serve_refuse(channel, frame.id, &err);
    return r;
}
