/* See the header. The archive is read whole before the first file leaves: a refused one gives nothing. */
#include "worker/unpack.h"

#include "wire/frame.h"
#include "worker/tarball.h"
#include "worker/protocol.h"
#include "worker/serve.h"

#include <errno.h>

#include "base/banned.h"

#define NAMES_MAX 1024

static int file_send(int channel, uint32_t id, const struct tarball_file *file)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_FILE, id);
    wire_put_str(&frame, file->name);
    wire_put_blob(&frame, file->data, file->len);
    return wire_send(channel, &frame);
}

static int files_send(int channel, uint32_t id, const struct tarball *files)
{
    CLEANUP(wire_free) struct wire_frame end;

    wire_init(&end, WORKER_UNPACKED, id);
    wire_put_u32(&end, (uint32_t) files->len);
    for (size_t i = 0; i < files->len; i++) {
        int r = file_send(channel, id, &files->items[i]);

        if (r < 0)
            return r;
    }
    return wire_send(channel, &end);
}

int unpack_run(int channel)
{
    CLEANUP(wire_free) struct wire_frame frame;
    CLEANUP(tarball_free) struct tarball files = { .len = 0 };
    struct err err = ERR_INIT;
    const void *data = NULL;
    const char *names = NULL;
    size_t len = 0;
    int r = wire_recv(channel, &frame);

    if (r <= 0) {
        wire_init(&frame, 0, 0);
        return r;
    }
    data = wire_get_blob(&frame, LIMIT_WASM_BYTES, &len);
    names = wire_get_str(&frame, NAMES_MAX);
    if (wire_end(&frame) < 0 || frame.type != WORKER_UNPACK)
        return -EPROTO;
    r = tarball_read(data, len, names, &files, &err);
    if (r < 0)
        return serve_refuse(channel, frame.id, &err);
    return files_send(channel, frame.id, &files);
}
