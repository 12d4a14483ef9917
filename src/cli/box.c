/* One child a conversation. It is asked READY, given its work, and waited for; whatever is out of order ends it. */
#include "cli/box.h"

#include "base/proc.h"
#include "cli/programs.h"
#include "wire/frame.h"
#include "worker/protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "base/banned.h"

#define TEXT_MAX 4096

struct child {
    pid_t pid;
    int channel;
};

void box_free(struct box *box)
{
    for (size_t i = 0; i < box->len; i++)
        buf_free(&box->files[i].bytes);
    box->len = 0;
}

const struct buf *box_get(const struct box *box, const char *name)
{
    for (size_t i = 0; i < box->len; i++)
        if (!strcmp(box->files[i].name, name))
            return &box->files[i].bytes;
    return NULL;
}

int box_add(struct box *box, const char *name, const void *data, size_t len)
{
    struct box_file *file = &box->files[box->len];

    if (box->len == BOX_FILES_MAX || strlen(name) >= BOX_NAME_MAX)
        return -E2BIG;
    file->bytes = (struct buf) BUF_INIT(LIMIT_WASM_BYTES);
    memcpy(file->name, name, strlen(name) + 1);
    box->len++;
    return buf_add(&file->bytes, data, len);
}

/* ---- the child ---- */

static void child_end(struct child *child)
{
    if (child->channel >= 0)
        close(child->channel);
    if (child->pid > 0) {
        kill(child->pid, SIGKILL);
        waitpid(child->pid, NULL, 0);
    }
}

static int program_open(int *ret_fd, struct err *err)
{
    CLEANUP_FREE char *dir = NULL;
    CLEANUP_FREE char *path = NULL;
    int r = programs_libexec(&dir, err);

    if (r < 0)
        return r;
    if (asprintf(&path, "%s/aileron-worker", dir) < 0)
        return err_set(err, ENOMEM, "out of memory");
    *ret_fd = open(path, O_PATH | O_CLOEXEC);
    return *ret_fd < 0 ? err_errno(err, errno, "cannot open the program %s", path) : 0;
}

static int child_start(const char *mode, struct child *child, struct err *err)
{
    const char *const argv[] = { "aileron-worker", mode, NULL }, *const envp[] = { NULL };
    CLEANUP_CLOSE int program = -1;
    int pair[2] = { -1, -1 }, pidfd = -1;
    int r = program_open(&program, err);

    if (r < 0)
        return r;
    if (wire_pair(pair) < 0)
        return err_set(err, EIO, "cannot make a channel to aileron-worker");
    CLEANUP_CLOSE int theirs = pair[1];
    const struct proc_spec spec = { .program_fd = program,
        .argv = argv,
        .envp = envp,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = STDERR_FILENO,
        .fds = { theirs },
        .fds_len = 1,
        .die_with_parent = true };
    child->channel = pair[0];
    r = proc_start(&spec, &child->pid, &pidfd, err);
    if (pidfd >= 0)
        close(pidfd);
    return r;
}

static int broken(struct err *err)
{
    return err_set(err, EIO, "aileron-worker ended or answered something that makes no sense");
}

/* The next frame, which the caller frees in every case. A REFUSED becomes the error that it is. */
static int frame_next(struct child *child, struct wire_frame *frame, struct err *err)
{
    int r = wire_recv(child->channel, frame);

    if (r <= 0) {
        wire_init(frame, 0, 0);
        return broken(err);
    }
    if (frame->type == WORKER_REFUSED) {
        const char *reason = wire_get_str(frame, TEXT_MAX);

        wire_get_str(frame, TEXT_MAX);
        return wire_end(frame) < 0 ? broken(err) : err_set(err, EINVAL, "%s", reason);
    }
    return 0;
}

static int ready_take(struct child *child, struct err *err)
{
    CLEANUP(wire_free) struct wire_frame frame;
    int r = frame_next(child, &frame, err);

    if (r < 0)
        return r;
    return frame.type != WORKER_READY || wire_get_u32(&frame) != WORKER_PROTOCOL_VERSION ? broken(err) : 0;
}

static int file_send(const struct child *child, const struct box_file *file, struct err *err)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_FILE, 1);
    wire_put_str(&frame, file->name);
    wire_put_blob(&frame, buf_str(&file->bytes), file->bytes.len);
    return wire_send(child->channel, &frame) < 0 ? broken(err) : 0;
}

/* ---- the two conversations ---- */

static int unpack_ask(const struct child *child, const void *archive, size_t len, const char *names, struct err *err)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_UNPACK, 1);
    wire_put_blob(&frame, archive, len);
    wire_put_str(&frame, names);
    return wire_send(child->channel, &frame) < 0 ? broken(err) : 0;
}

/* 1: there is more to come. */
static int unpack_take(struct child *child, struct box *box, struct err *err)
{
    CLEANUP(wire_free) struct wire_frame frame;
    const char *name = NULL;
    const void *data = NULL;
    size_t len = 0;
    int r = frame_next(child, &frame, err);

    if (r < 0)
        return r;
    if (frame.type == WORKER_UNPACKED)
        return wire_get_u32(&frame) == box->len && wire_end(&frame) == 0 ? 0 : broken(err);
    name = wire_get_str(&frame, BOX_NAME_MAX - 1);
    data = wire_get_blob(&frame, LIMIT_WASM_BYTES, &len);
    if (frame.type != WORKER_FILE || wire_end(&frame) < 0 || box_add(box, name, data, len) < 0)
        return broken(err);
    return 1;
}

int box_unpack(const void *archive, size_t len, const char *names, struct box *ret_box, struct err *err)
{
    CLEANUP(child_end) struct child child = { 0, -1 };
    CLEANUP(box_free) struct box box = { .len = 0 };
    int r = child_start("--unpack", &child, err);

    if (r == 0)
        r = ready_take(&child, err);
    if (r == 0)
        r = unpack_ask(&child, archive, len, names, err);
    if (r == 0)
        do
            r = unpack_take(&child, &box, err);
        while (r > 0);
    if (r < 0)
        return r;
    *ret_box = box;
    box.len = 0;
    return 0;
}

static int pack_ask(const struct child *child, const struct box *box, struct err *err)
{
    CLEANUP(wire_free) struct wire_frame frame;

    wire_init(&frame, WORKER_PACK, 1);
    wire_put_u32(&frame, (uint32_t) box->len);
    for (size_t i = 0; i < box->len; i++) {
        int r = file_send(child, &box->files[i], err);

        if (r < 0)
            return r;
    }
    return wire_send(child->channel, &frame) < 0 ? broken(err) : 0;
}

static int packed_take(struct child *child, struct buf *out, struct err *err)
{
    CLEANUP(wire_free) struct wire_frame frame;
    const void *data = NULL;
    size_t len = 0;
    int r = frame_next(child, &frame, err);

    if (r < 0)
        return r;
    data = wire_get_blob(&frame, LIMIT_WASM_BYTES, &len);
    if (frame.type != WORKER_PACKED || wire_end(&frame) < 0)
        return broken(err);
    return buf_add(out, data, len) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

int box_pack(const struct box *box, struct buf *out, struct err *err)
{
    CLEANUP(child_end) struct child child = { 0, -1 };
    int r = child_start("--pack", &child, err);

    if (r == 0)
        r = ready_take(&child, err);
    if (r == 0)
        r = pack_ask(&child, box, err);
    return r < 0 ? r : packed_take(&child, out, err);
}
