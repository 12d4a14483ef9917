/* See the header. */
#include "keeper/vault-disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "keeper/vault.h"

#include "base/banned.h"

#define NAME             "secrets.json"
#define TEMPORARY_BEFORE "." NAME "."
#define TEMPORARY_AFTER  ".tmp"

struct vault_disk {
    int folder;
    char *path;
    bool known; /* whether `seen` is of a file that was read or written */
    struct stat seen;
};

/* What a write that never came to its end has left. There is one keeper a home, so nobody is writing now. */
static void remove_leftovers(const struct vault_disk *disk)
{
    int fd = openat(disk->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSEDIR DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry = NULL;

    if (!folder && fd >= 0)
        close(fd);
    while (folder && (entry = readdir(folder))) {
        size_t len = strlen(entry->d_name), before = sizeof TEMPORARY_BEFORE - 1, after = sizeof TEMPORARY_AFTER - 1;

        if (len > before + after && !strncmp(entry->d_name, TEMPORARY_BEFORE, before) &&
            !strcmp(entry->d_name + len - after, TEMPORARY_AFTER))
            unlinkat(disk->folder, entry->d_name, 0);
    }
}

static int check_folder(const struct vault_disk *disk, const char *home, struct err *err)
{
    struct stat st;

    if (fstat(disk->folder, &st) < 0)
        return err_errno(err, errno, "cannot look at %s", home);
    if (st.st_uid != geteuid())
        return err_set(err, EPERM, "%s belongs to another user", home);
    if (st.st_mode & 022) {
        err_set(err, EPERM, "%s can be written to by others (mode %04o)", home, st.st_mode & 07777u);
        err_hint(err, "chmod 700 %s", home);
        return -EPERM;
    }
    return 0;
}

int vault_disk_open(const char *home, struct vault_disk **ret_disk, struct err *err)
{
    CLEANUP_PTR(vault_disk_free) struct vault_disk *disk = calloc(1, sizeof *disk);
    int r = 0;

    if (!disk)
        return err_set(err, ENOMEM, "out of memory");
    disk->folder = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk->folder < 0)
        return err_errno(err, errno, "cannot open %s", home);
    r = check_folder(disk, home, err);
    if (r < 0)
        return r;
    if (asprintf(&disk->path, "%s/" NAME, home) < 0) {
        disk->path = NULL;
        return err_set(err, ENOMEM, "out of memory");
    }
    remove_leftovers(disk);
    *ret_disk = TAKE_PTR(disk);
    return 0;
}

void vault_disk_free(struct vault_disk *disk)
{
    if (!disk)
        return;
    if (disk->folder >= 0)
        close(disk->folder);
    free(disk->path);
    free(disk);
}

const char *vault_disk_path(const struct vault_disk *disk)
{
    return disk->path;
}

bool vault_disk_is_there(const struct vault_disk *disk)
{
    struct stat st;

    return fstatat(disk->folder, NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mode == b->st_mode &&
           same_time(&a->st_mtim, &b->st_mtim) && same_time(&a->st_ctim, &b->st_ctim);
}

bool vault_disk_is_another(const struct vault_disk *disk)
{
    struct stat st;

    return !disk->known || fstatat(disk->folder, NAME, &st, AT_SYMLINK_NOFOLLOW) < 0 || !same_file(&st, &disk->seen);
}

static int check_private(const struct vault_disk *disk, int fd, struct stat *ret_seen, struct err *err)
{
    int r = file_check_private(fd, disk->path, err);

    if (r < 0)
        return r;
    if (fstat(fd, ret_seen) < 0)
        return err_errno(err, errno, "cannot look at %s", disk->path);
    if (ret_seen->st_nlink != 1)
        return err_set(err, EPERM, "%s has another name elsewhere (a hard link)", disk->path);
    return 0;
}

int vault_disk_read(struct vault_disk *disk, struct buf *text, struct err *err)
{
    CLEANUP_CLOSE int fd = openat(disk->folder, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat before, after;
    int r = 0;

    disk->known = false;
    if (fd < 0 && errno == ELOOP)
        return err_set(err, ELOOP, "%s is a symbolic link", disk->path);
    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", disk->path);
    r = check_private(disk, fd, &before, err);
    if (r < 0)
        return r;
    r = file_read_fd(fd, text, err);
    if (r < 0) {
        err_prefix(err, "%s", disk->path);
        return r;
    }
    if (fstat(fd, &after) < 0 || !same_file(&before, &after))
        return err_set(err, EAGAIN, "%s is being written to by another program", disk->path);
    disk->seen = after;
    disk->known = true;
    return 0;
}

void vault_disk_forget(struct vault_disk *disk)
{
    disk->known = false;
}

/* Read back, so that a file which somebody else puts there at the same moment is not taken for ours. */
static void know_again(struct vault_disk *disk, const struct buf *text)
{
    CLEANUP(buf_free) struct buf now = BUF_INIT(VAULT_FILE_MAX);

    if (vault_disk_read(disk, &now, NULL) == 0)
        disk->known = now.len == text->len && (now.len == 0 || !memcmp(now.data, text->data, now.len));
}

/* After a write that failed: whether the folder has the same file as before it. No data is read, which a dying disk may not give. */
static bool is_as_before(const struct vault_disk *disk)
{
    return disk->known ? !vault_disk_is_another(disk) : !vault_disk_is_there(disk);
}

int vault_disk_write(struct vault_disk *disk, const struct buf *text, struct err *err)
{
    int r = file_write_atomic(disk->folder, NAME, text->data, text->len, 0600, err);

    if (r < 0 && is_as_before(disk)) {
        err_prefix(err, "the vault is not written");
        return r;
    }
    /* With the new file in its place only the folder's fsync is open: another try decides. */
    if (r < 0)
        r = file_sync_dir(disk->folder) == 0 ? 0 : VAULT_DISK_UNCONFIRMED;
    if (r == VAULT_DISK_UNCONFIRMED)
        err_prefix(err, "what is new is in place, but the disk does not confirm it and a power failure may undo it");
    know_again(disk, text);
    return r;
}
