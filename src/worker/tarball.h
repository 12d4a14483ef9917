/*
 * Release archives (SPEC §3): one gzip member around a tar of a few regular files
 * with flat names. Read whole in memory, strictly: what is not expected, comes twice, is cut,
 * goes on after its end or grows too much is refused. Pure: bytes in, bytes out.
 */
#ifndef WORKER_TARBALL_H
#define WORKER_TARBALL_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "wire/limits.h"

#include <stddef.h>
#include <stdint.h>

#define TARBALL_FILES_MAX   8
#define TARBALL_ENTRIES_MAX 64 /* with folders, which are passed over */
#define TARBALL_NAME_MAX    64

struct tarball_file {
    char name[TARBALL_NAME_MAX];
    uint8_t *data; /* owned; not NULL */
    size_t len;
};

struct tarball {
    struct tarball_file items[TARBALL_FILES_MAX];
    size_t len;
};

/*
 * Fills *ret_files, in the order of the archive; free with tarball_free. `names` lists what may be in it, newline-separated;
 * whether all of it is there is the caller's question. -EINVAL with words of our own (a name from the archive is never repeated).
 */
int tarball_read(const void *data, size_t len, const char *names, struct tarball *ret_files, struct err *err);
void tarball_free(struct tarball *files);
/* The archive of these files, in this order: equal files give equal bytes (no times, no owners). */
int tarball_write(const struct tarball *files, struct buf *out, struct err *err);

#endif
