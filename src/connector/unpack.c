/* One child, one archive. Whatever the child sends that is not in order ends it, and the unpacking with it. */
#include "connector/unpack.h"

#include "base/file.h"
#include "base/magic.h"
#include "connector/frames.h"
#include "wire/limits.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define UNPACK_MAGIC 0x756e706bu

struct unpack {
    uint32_t magic;
    struct worker_process process;
    struct loop_timer *timer;
    unpack_fn *fn;
    void *userdata;
    char *names;
    int archive_fd; /* sealed; -1 once sent */
    size_t archive_bytes;
    struct unpacked unpacked;
};

void unpacked_free(struct unpacked *unpacked)
{
    for (size_t i = 0; i < unpacked->len; i++)
        buf_free(&unpacked->files[i].bytes);
    unpacked->len = 0;
}

const struct buf *unpacked_get(const struct unpacked *unpacked, const char *name)
{
    for (size_t i = 0; i < unpacked->len; i++)
        if (!strcmp(unpacked->files[i].name, name))
            return &unpacked->files[i].bytes;
    return NULL;
}

void unpack_cancel(struct unpack *unpack)
{
    if (!unpack)
        return;
    worker_process_end(&unpack->process);
    loop_timer_free(unpack->timer);
    unpacked_free(&unpack->unpacked);
    if (unpack->archive_fd >= 0)
        close(unpack->archive_fd);
    free(unpack->names);
    free(unpack);
}
DEFINE_CLEANUP_PTR(struct unpack, unpack_cancel)

static int finish(struct unpack *unpack, int result, const struct err *err)
{
    struct unpacked unpacked = unpack->unpacked;
    unpack_fn *fn = unpack->fn;
    void *userdata = unpack->userdata;

    unpack->unpacked.len = 0;
    unpack_cancel(unpack);
    fn(result, &unpacked, err, userdata);
    unpacked_free(&unpacked);
    return 0;
}

static int fail(struct unpack *unpack, int code, const char *message)
{
    struct err err = ERR_INIT;

    return finish(unpack, err_set(&err, code, "%s", message), &err);
}

static void on_timeout(void *userdata)
{
    fail(MAGIC_CAST(struct unpack, userdata, UNPACK_MAGIC), ETIMEDOUT, "unpacking the archive took too long and was stopped");
}

static void on_exit_(struct loop_child *child, int wait_status, void *userdata)
{
    fail(MAGIC_CAST(struct unpack, userdata, UNPACK_MAGIC), EIO, "the program that unpacks ended without an answer");
}

static void on_close(struct channel *channel, int reason, void *userdata)
{
    fail(MAGIC_CAST(struct unpack, userdata, UNPACK_MAGIC), EIO,
        reason == -EPROTO ? "the program that unpacks sent an answer that makes no sense"
                          : "the program that unpacks ended without an answer");
}

static int on_ready(struct unpack *unpack, struct wire_frame *frame)
{
    struct wire_frame request;
    struct frame_ready ready;
    int r = frame_read_ready(frame, &ready);

    if (r < 0 || unpack->archive_fd < 0)
        return -EPROTO;
    /* A blob by descriptor, written by hand so that the bytes are not copied once more. */
    wire_init(&request, WORKER_UNPACK, 1);
    wire_put_u8(&request, 1);
    wire_put_u64(&request, unpack->archive_bytes);
    wire_put_fd(&request, TAKE_FD(unpack->archive_fd));
    wire_put_str(&request, unpack->names);
    r = channel_send(unpack->process.channel, &request);
    wire_free(&request);
    return r;
}

static bool name_was_asked_for(const char *names, const char *name)
{
    size_t name_len = strlen(name);

    for (const char *at = names; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (strcspn(at, "\n") == name_len && !memcmp(at, name, name_len))
            return name_len > 0;
    return false;
}

static int on_file(struct unpack *unpack, struct wire_frame *frame)
{
    struct unpacked *unpacked = &unpack->unpacked;
    struct unpacked_file *file = &unpacked->files[unpacked->len];
    struct frame_file got;

    if (unpack->archive_fd >= 0 || frame_read_file(frame, &got) < 0 || unpacked->len == UNPACK_FILES_MAX ||
        !name_was_asked_for(unpack->names, got.name) || unpacked_get(unpacked, got.name))
        return -EPROTO;
    file->bytes = (struct buf) BUF_INIT(LIMIT_WASM_BYTES);
    memcpy(file->name, got.name, strlen(got.name) + 1);
    unpacked->len++;
    return buf_add(&file->bytes, got.data, got.len);
}

static int on_refused(struct unpack *unpack, struct wire_frame *frame)
{
    struct frame_refused refused;

    if (unpack->archive_fd >= 0 || frame_read_refused(frame, &refused) < 0)
        return -EPROTO;
    return fail(unpack, EINVAL, refused.reason);
}

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct unpack *unpack = MAGIC_CAST(struct unpack, userdata, UNPACK_MAGIC);
    uint32_t count = 0;

    switch (frame->type) {
    case WORKER_READY:
        return on_ready(unpack, frame);
    case WORKER_FILE:
        return on_file(unpack, frame);
    case WORKER_REFUSED:
        return on_refused(unpack, frame);
    case WORKER_UNPACKED:
        count = wire_get_u32(frame);
        if (unpack->archive_fd >= 0 || wire_end(frame) < 0 || count != unpack->unpacked.len)
            return -EPROTO;
        return finish(unpack, 0, NULL);
    default:
        return -EPROTO;
    }
}

int unpack_start(struct loop *loop, const struct worker_program *program, const void *archive, size_t len, const char *names,
    unpack_fn *fn, void *userdata, struct unpack **ret_unpack, struct err *err)
{
    CLEANUP_PTR(unpack_cancel) struct unpack *unpack = calloc(1, sizeof *unpack);
    int r = 0;

    if (!unpack)
        return err_set(err, ENOMEM, "out of memory");
    unpack->magic = UNPACK_MAGIC;
    unpack->fn = fn;
    unpack->userdata = userdata;
    unpack->archive_bytes = len;
    unpack->archive_fd = memfd_sealed("archive", archive, len);
    if (unpack->archive_fd < 0)
        return err_errno(err, -unpack->archive_fd, "cannot hold the archive in memory");
    unpack->names = strdup(names);
    if (!unpack->names || loop_timer_new(loop, on_timeout, unpack, &unpack->timer) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = worker_process_start(loop, program, "--unpack", on_exit_, on_frame, on_close, unpack, &unpack->process, err);
    if (r < 0)
        return r;
    loop_timer_set(unpack->timer, UNPACK_MS);
    *ret_unpack = TAKE_PTR(unpack);
    return 0;
}
