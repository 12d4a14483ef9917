/*
 * secrets.json on disk: read whole, if it is private to its owner, replaced atomically, and told apart from any other file
 * that stands in its place. Its folder is opened once and no path is walked again.
 */
#ifndef KEEPER_VAULT_DISK_H
#define KEEPER_VAULT_DISK_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"

#include <stdbool.h>

struct vault_disk;

/* Result of vault_disk_write(): the new text is in place and every reader sees it, but the folder could not be synced. */
enum { VAULT_DISK_UNCONFIRMED = 1 };

/* Also removes what an earlier process left half written. -EPERM for a folder that others can write to. */
int vault_disk_open(const char *home, struct vault_disk **ret_disk, struct err *err);
void vault_disk_free(struct vault_disk *disk);
DEFINE_CLEANUP_PTR(struct vault_disk, vault_disk_free)

const char *vault_disk_path(const struct vault_disk *disk);
/* Whether there is anything of that name. */
bool vault_disk_is_there(const struct vault_disk *disk);
/* True when the file is not the one that was read or written last (device, inode, size, times). */
bool vault_disk_is_another(const struct vault_disk *disk);
/* -ENOENT; -EPERM, -ELOOP for what is not a private regular file with one name. */
int vault_disk_read(struct vault_disk *disk, struct buf *text, struct err *err);
/* What was read makes no sense: any file is another one again. */
void vault_disk_forget(struct vault_disk *disk);
/* Through to the disk, file and folder, before it returns 0. */
int vault_disk_write(struct vault_disk *disk, const struct buf *text, struct err *err);

#endif
