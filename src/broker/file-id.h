/* Which content a file had when it was read: any change of it changes one of these. */
#ifndef BROKER_FILE_ID_H
#define BROKER_FILE_ID_H

#include <stdbool.h>
#include <sys/stat.h>

struct file_id {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec mtime, ctime;
};

static inline struct file_id file_id(const struct stat *st)
{
    return (struct file_id){ st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim };
}

static inline bool file_id_same(const struct file_id *a, const struct file_id *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
           a->mtime.tv_nsec == b->mtime.tv_nsec && a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

#endif
