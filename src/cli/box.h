/*
 * Packing and unpacking release archives for `aileron publish`: in the same confined
 * program (`aileron-worker --pack`, `--unpack`) that the daemon uses, spoken to directly and blocking.
 */
#ifndef CLI_BOX_H
#define CLI_BOX_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#define BOX_FILES_MAX 8
#define BOX_NAME_MAX  64

struct box_file {
    char name[BOX_NAME_MAX];
    struct buf bytes;
};

struct box {
    struct box_file files[BOX_FILES_MAX];
    size_t len;
};

void box_free(struct box *box);
/* NULL when it is not there. */
const struct buf *box_get(const struct box *box, const char *name);
/* Copies the bytes. -E2BIG when there is no room, -ENOMEM. */
int box_add(struct box *box, const char *name, const void *data, size_t len);

/* The files of an archive; `names`: what may be in it, newline-separated. -EINVAL says why an archive is refused. */
int box_unpack(const void *archive, size_t len, const char *names, struct box *ret_box, struct err *err);
/* The archive of these files, in this order; equal files give equal bytes. */
int box_pack(const struct box *box, struct buf *out, struct err *err);

#endif
