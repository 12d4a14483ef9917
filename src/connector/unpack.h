/*
 * Unpacking a release archive in `aileron-worker --unpack`, one confined child an
 * archive: bytes in by memfd, names and bytes out as frames. The child is believed in nothing
 * but its bytes, which are then checked against signature and hash like any others.
 */
#ifndef CONNECTOR_UNPACK_H
#define CONNECTOR_UNPACK_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "connector/program.h"

#define UNPACK_FILES_MAX 8
#define UNPACK_NAME_MAX  64
#define UNPACK_MS        30000

struct unpacked_file {
    char name[UNPACK_NAME_MAX];
    struct buf bytes;
};

struct unpacked {
    struct unpacked_file files[UNPACK_FILES_MAX];
    size_t len;
};

void unpacked_free(struct unpacked *unpacked);
/* NULL when the archive did not hold it. */
const struct buf *unpacked_get(const struct unpacked *unpacked, const char *name);

struct unpack;

/*
 * How it ended: 0 with the files (the callback may take them: set len to 0), -EINVAL an archive that is refused, -ETIMEDOUT, -EIO when
 * the child died. Runs once from the loop, unless cancelled.
 */
typedef void unpack_fn(int result, struct unpacked *unpacked, const struct err *err, void *userdata);

/* `archive` is copied into a sealed memfd. `names`: what may be in it, newline-separated. */
int unpack_start(struct loop *loop, const struct worker_program *program, const void *archive, size_t len, const char *names,
    unpack_fn *fn, void *userdata, struct unpack **ret_unpack, struct err *err);
/* The child is killed, `fn` is not called. NULL allowed. */
void unpack_cancel(struct unpack *unpack);

#endif
