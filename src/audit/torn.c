/* See the header. */
#include "audit/torn.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/banned.h"

#define TORN_NAMES 10000

static int copy_range(int from, uint64_t offset, int to)
{
    char chunk[16 * 1024];

    for (;;) {
        ssize_t n = pread(from, chunk, sizeof chunk, (off_t) offset);
        int r = 0;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        r = file_write_full(to, chunk, (size_t) n);
        if (r < 0)
            return r;
        offset += (uint64_t) n;
    }
}

/* A new file in torn/, named after where the piece stood; earlier pieces of the same place are kept. */
static int torn_create(int torn_dirfd, const char *name, uint64_t offset)
{
    char path[64];

    for (int i = 0; i < TORN_NAMES; i++) {
        int fd = -1;

        snprintf(path, sizeof path, "%s.%llu.%d", name, (unsigned long long) offset, i);
        fd = openat(torn_dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST)
            return fd < 0 ? -errno : fd;
    }
    return -EEXIST;
}

int audit_torn_move(int dirfd, int fd, const char *name, uint64_t offset)
{
    CLEANUP_CLOSE int torn_dirfd = -1, piece = -1;
    int r = 0;

    if (mkdirat(dirfd, "torn", 0700) < 0 && errno != EEXIST)
        return -errno;
    torn_dirfd = openat(dirfd, "torn", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (torn_dirfd < 0)
        return -errno;
    piece = torn_create(torn_dirfd, name, offset);
    if (piece < 0)
        return piece;
    r = copy_range(fd, offset, piece);
    if (r == 0 && fsync(piece) < 0)
        r = -errno;
    if (r == 0)
        r = file_sync_dir(torn_dirfd);
    if (r == 0)
        r = file_sync_dir(dirfd);
    if (r == 0 && (ftruncate(fd, (off_t) offset) < 0 || fsync(fd) < 0))
        r = -errno;
    return r;
}
