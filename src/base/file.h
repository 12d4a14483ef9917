/*
 * Files as the program wants them: read whole with a ceiling, replaced
 * atomically (temporary sibling, fsync, rename, fsync of the folder), never
 * through a symlink at the last component, memfds sealed before anybody else sees them.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads the regular file `path` (below `dirfd`, AT_FDCWD allowed; O_NOFOLLOW) into `buf`; -E2BIG over buf->max. */
int file_read(int dirfd, const char *path, struct buf *buf, struct err *err);
/* The same from an open descriptor, from its start. */
int file_read_fd(int fd, struct buf *buf, struct err *err);
/* Replaces `path` atomically and durably with mode `mode`. */
int file_write_atomic(int dirfd, const char *path, const void *data, size_t len, mode_t mode, struct err *err);
/* Creates every missing folder of `path` with `mode`; an existing one is fine. */
int file_make_dirs(const char *path, mode_t mode, struct err *err);
/* Refuses what is not a regular file owned by the effective user without access for group and others (-EPERM). */
int file_check_private(int fd, const char *path, struct err *err);
int file_sync_dir(int dirfd);
/* Removes a folder and everything below it without following links. */
int file_remove_tree(int dirfd, const char *path);

/* Write or read exactly `len` bytes, across EINTR and short counts; reading less is -EPIPE. */
int file_write_full(int fd, const void *data, size_t len);
int file_read_full(int fd, void *data, size_t len);

/* A memfd holding `data`, sealed against write, grow, shrink and further seals; close-on-exec. fd or -errno. */
int memfd_sealed(const char *name, const void *data, size_t len);
/* True when `fd` is a memfd with all four seals; gives its size. */
bool memfd_is_sealed(int fd, size_t *ret_size);

#endif
