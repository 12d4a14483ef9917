/*
 * Files: whole reads with a ceiling, atomic and durable replacement, folders,
 * sealed memfds. A file is opened without following a symlink and without
 * blocking on a FIFO, and looked at through its descriptor only.
 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <linux/magic.h>

#include "base/cleanup.h"
#include "base/encode.h"

#include "base/banned.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#define ALL_SEALS       (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define READ_STEP       (64 * 1024)
#define REMOVE_DEPTH    64
#define TEMP_NAME_BYTES 8

/* Reads from the current position to the end. */
static int read_rest(int fd, struct buf *buf)
{
    for (;;) {
        size_t room = buf->max - buf->len;
        ssize_t n;
        int r;

        if (room > READ_STEP)
            room = READ_STEP;
        if (room == 0) {
            char more;

            n = read(fd, &more, 1);
            if (n < 0 && errno == EINTR)
                continue;
            return n < 0 ? -errno : n > 0 ? -E2BIG : 0;
        }
        r = buf_reserve(buf, room);
        if (r < 0)
            return r;
        n = read(fd, buf->data + buf->len, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        buf->len += (size_t) n;
        buf->data[buf->len] = '\0';
    }
}

int file_read_fd(int fd, struct buf *buf, struct err *err)
{
    size_t before = buf->len;
    struct stat st;
    int r;

    if (fstat(fd, &st) < 0)
        return err_errno(err, errno, "cannot look at the file");
    if (!S_ISREG(st.st_mode))
        return err_set(err, EINVAL, "not a regular file");
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_errno(err, errno, "cannot read the file");
    r = (uint64_t) st.st_size > buf->max - buf->len ? -E2BIG : buf_reserve(buf, (size_t) st.st_size);
    if (r == 0)
        r = read_rest(fd, buf);
    if (r == 0)
        return 0;
    buf->len = before;
    if (buf->data)
        buf->data[before] = '\0';
    if (r == -E2BIG)
        return err_set(err, E2BIG, "larger than the %zu bytes allowed", buf->max - before);
    return err_errno(err, -r, "cannot read the file");
}

int file_read(int dirfd, const char *path, struct buf *buf, struct err *err)
{
    CLEANUP_CLOSE int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    int r;

    if (fd < 0)
        return err_errno(err, errno, "cannot open %s", path);
    r = file_read_fd(fd, buf, err);
    if (r < 0)
        err_prefix(err, "%s", path);
    return r;
}

/* The folder that holds `path`, opened; `*ret_name` points into `path`. */
static int open_parent(int dirfd, const char *path, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    size_t len = slash ? (size_t) (slash - path) : 0;
    int fd;

    *ret_name = slash ? slash + 1 : path;
    if (**ret_name == '\0' || len >= sizeof folder)
        return **ret_name == '\0' ? -EISDIR : -ENAMETOOLONG;
    memcpy(folder, path, len);
    folder[len] = '\0';
    fd = openat(dirfd, len > 0 ? folder : slash ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Creates an empty sibling of `name`; a name met by chance is tried again. */
static int open_temporary(int folder, const char *name, mode_t mode, char *out, size_t size)
{
    uint8_t random[TEMP_NAME_BYTES];
    char hex[2 * TEMP_NAME_BYTES + 1];
    int fd, n;

    for (int i = 0; i < 8; i++) {
        if (getrandom(random, sizeof random, 0) != (ssize_t) sizeof random)
            return -EIO;
        hex_encode(random, sizeof random, hex);
        n = snprintf(out, size, ".%s.%s.tmp", name, hex);
        if (n < 0 || (size_t) n >= size)
            return -ENAMETOOLONG;
        fd = openat(folder, out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd >= 0 || errno != EEXIST)
            return fd < 0 ? -errno : fd;
    }
    return -EEXIST;
}

static int fill_and_sync(int fd, const void *data, size_t len, mode_t mode)
{
    int r = file_write_full(fd, data, len);

    if (r < 0)
        return r;
    if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
        return -errno;
    return 0;
}

int file_write_atomic(int dirfd, const char *path, const void *data, size_t len, mode_t mode, struct err *err)
{
    char temporary[NAME_MAX + 1];
    const char *name;
    CLEANUP_CLOSE int folder = open_parent(dirfd, path, &name);
    CLEANUP_CLOSE int fd = -1;
    int r;

    if (folder < 0)
        return err_errno(err, -folder, "cannot write %s", path);
    fd = open_temporary(folder, name, mode, temporary, sizeof temporary);
    if (fd < 0)
        return err_errno(err, -fd, "cannot write %s", path);
    r = fill_and_sync(fd, data, len, mode);
    if (r == 0 && renameat(folder, temporary, folder, name) < 0)
        r = -errno;
    if (r < 0) {
        unlinkat(folder, temporary, 0);
        return err_errno(err, -r, "cannot write %s", path);
    }
    r = file_sync_dir(folder);
    if (r < 0)
        return err_errno(err, -r, "cannot sync the folder of %s", path);
    return 0;
}

/* Makes one folder; one that is there must be a folder. */
static int make_dir(const char *path, mode_t mode)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int file_make_dirs(const char *path, mode_t mode, struct err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);
    int r = 0;

    if (len == 0 || len >= sizeof part)
        return err_set(err, ENAMETOOLONG, "cannot create the folder %s", path);
    memcpy(part, path, len + 1);
    for (size_t i = 1; i <= len && r == 0; i++) {
        if (part[i] != '/' && part[i] != '\0')
            continue;
        part[i] = '\0';
        r = make_dir(part, mode);
        if (i < len)
            part[i] = '/';
    }
    if (r < 0)
        return err_errno(err, -r, "cannot create the folder %s", path);
    return 0;
}

int file_check_private(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return err_errno(err, errno, "cannot look at %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, EPERM, "%s is not a regular file", path);
    if (st.st_uid != geteuid())
        return err_set(err, EPERM, "%s belongs to another user", path);
    if (st.st_mode & 077) {
        err_set(err, EPERM, "%s can be read by others (mode %04o)", path, st.st_mode & 07777);
        err_hint(err, "chmod 600 %s", path);
        return -EPERM;
    }
    return 0;
}

int file_sync_dir(int dirfd)
{
    return fsync(dirfd) < 0 ? -errno : 0;
}

static int remove_at(int dirfd, const char *name, unsigned depth)
{
    CLEANUP_CLOSEDIR DIR *dir = NULL;
    struct dirent *entry;
    int fd, r;

    if (unlinkat(dirfd, name, 0) == 0)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -errno;
    if (depth == REMOVE_DEPTH)
        return -ELOOP;
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -ENOMEM;
    }
    for (errno = 0; (entry = readdir(dir)); errno = 0) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        r = remove_at(fd, entry->d_name, depth + 1);
        if (r < 0)
            return r;
    }
    if (errno)
        return -errno;
    return unlinkat(dirfd, name, AT_REMOVEDIR) < 0 ? -errno : 0;
}

int file_remove_tree(int dirfd, const char *path)
{
    return remove_at(dirfd, path, 0);
}

int file_write_full(int fd, const void *data, size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        at += n;
        len -= (size_t) n;
    }
    return 0;
}

int file_read_full(int fd, void *data, size_t len)
{
    char *at = data;

    while (len > 0) {
        ssize_t n = read(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EPIPE;
        at += n;
        len -= (size_t) n;
    }
    return 0;
}

int memfd_sealed(const char *name, const void *data, size_t len)
{
    CLEANUP_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    int r;

    if (fd < 0 && errno == EINVAL)
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return -errno;
    r = file_write_full(fd, data, len);
    if (r < 0)
        return r;
    if (fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0)
        return -errno;
    return TAKE_FD(fd);
}

/*
 * Huge-page memfds are refused: touching one can fault when the machine has no such pages left. The fstat system
 * call is made by number, because glibc's goes through a path, which a confined worker may not.
 */
bool memfd_is_sealed(int fd, size_t *ret_size)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct statfs fs;
    struct stat st;

    if (seals < 0 || (seals & ALL_SEALS) != ALL_SEALS)
        return false;
    if (fstatfs(fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return false;
    if (syscall(SYS_fstat, fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0)
        return false;
    *ret_size = (size_t) st.st_size;
    return true;
}
