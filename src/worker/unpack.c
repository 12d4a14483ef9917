/* See the header. An archive is read whole before the first file leaves: a refused one gives nothing. */
#include "worker/unpack.h"

#include "wire/frame.h"
#include "worker/tarball.h"
#include "worker/protocol.h"
#include "worker/serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

/* Takes a FILE into the list. -EPROTO for one that cannot be part of an archive. */
static int file_take(struct wire_frame *frame, struct tarball *files)
{
    struct tarball_file *file = &files->items[files->len];
    const char *name = wire_get_str(frame, TARBALL_NAME_MAX - 1);
    size_t len = 0;
    const void *data = wire_get_blob(frame, LIMIT_WASM_BYTES, &len);

    if (wire_end(frame) < 0 || files->len == TARBALL_FILES_MAX || !name[0] || strchr(name, '/'))
        return -EPROTO;
    file->data = malloc(len + 1);
    if (!file->data)
        return -ENOMEM;
    if (len > 0)
        memcpy(file->data, data, len);
    file->len = len;
    memcpy(file->name, name, strlen(name) + 1);
    files->len++;
    return 0;
}

static int packed_send(int channel, uint32_t id, const struct tarball *files)
{
    CLEANUP(wire_free) struct wire_frame answer;
    CLEANUP(buf_free) struct buf archive = BUF_INIT(TARBALL_FILES_MAX * LIMIT_WASM_BYTES);
    struct err err = ERR_INIT;
    int r = tarball_write(files, &archive, &err);

    wire_init(&answer, WORKER_PACKED, id);
    if (r == 0 && archive.len > LIMIT_WASM_BYTES)
        r = err_set(&err, E2BIG, "the archive is larger than %llu MiB", (unsigned long long) (LIMIT_WASM_BYTES / MIB));
    if (r < 0)
        return serve_refuse(channel, id, &err);
    wire_put_blob(&answer, archive.data, archive.len);
    return wire_send(channel, &answer);
}

/* One frame: 1 = more to come. */
static int pack_step(int channel, struct tarball *files)
{
    CLEANUP(wire_free) struct wire_frame frame;
    uint32_t count = 0;
    int r = wire_recv(channel, &frame);

    if (r <= 0) {
        wire_init(&frame, 0, 0);
        return r;
    }
    if (frame.type == WORKER_FILE) {
        r = file_take(&frame, files);
        return r < 0 ? r : 1;
    }
    count = wire_get_u32(&frame);
    if (frame.type != WORKER_PACK || wire_end(&frame) < 0 || count != files->len)
        return -EPROTO;
    return packed_send(channel, frame.id, files);
}

int pack_run(int channel)
{
    CLEANUP(tarball_free) struct tarball files = { .len = 0 };
    int r = 1;

    while (r > 0)
        r = pack_step(channel, &files);
    return r;
}
