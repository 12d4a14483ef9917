/*
 * The fdatasync thread. Shared with it, under the mutex: the descriptors to sync
 * (the log, and beside it the journal of approvals), how often was asked, how often
 * was answered. It has a helper, so that two files cost one wait for the disk and not two. The waiters belong to the loop alone.
 */
#include "broker/sync.h"

#include "base/magic.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "base/banned.h"

#define SYNC_MAGIC 0x73796e63u
#define SYNC_FILES 8

struct sync_wait {
    TAILQ_ENTRY(sync_wait) link;
    sync_fn *fn;
    void *userdata;
    uint64_t number;
};

struct sync_file {
    int fd;
    dev_t device;
    ino_t inode;
};

struct sync {
    uint32_t magic;
    struct loop_watch *watch;
    int event_fd;
    pthread_t thread, helper;
    bool running, helping;
    TAILQ_HEAD(, sync_wait) waits;

    pthread_mutex_t mutex;
    pthread_cond_t wake, wake_helper, helped;
    int helper_fd; /* what the helper syncs; -1: it waits */
    int helper_result;
    bool helper_stop;
    struct sync_file files[SYNC_FILES];
    size_t files_len;
    uint64_t asked, answered;
    int result; /* the first failure stays: what a disk has lost it does not report twice */
    bool stop;
};

static int sync_one(int fd)
{
    return fdatasync(fd) < 0 ? -errno : 0;
}

static void *helper_main(void *userdata)
{
    struct sync *sync = userdata;

    pthread_mutex_lock(&sync->mutex);
    while (sync->helper_fd >= 0 || !sync->helper_stop) {
        int fd = sync->helper_fd;

        if (fd < 0) {
            pthread_cond_wait(&sync->wake_helper, &sync->mutex);
            continue;
        }
        pthread_mutex_unlock(&sync->mutex);
        int result = sync_one(fd);
        pthread_mutex_lock(&sync->mutex);
        sync->helper_result = result;
        sync->helper_fd = -1;
        pthread_cond_signal(&sync->helped);
    }
    pthread_mutex_unlock(&sync->mutex);
    return NULL;
}

/* All of them: the last one by the helper, at the same time. The first failure, or 0. */
static int sync_all(struct sync *sync, const struct sync_file *files, size_t len)
{
    bool helped = len > 1 && sync->helping;
    int result = 0;

    if (helped) {
        pthread_mutex_lock(&sync->mutex);
        sync->helper_fd = files[len - 1].fd;
        pthread_cond_signal(&sync->wake_helper);
        pthread_mutex_unlock(&sync->mutex);
    }
    for (size_t i = 0; i < len - (helped ? 1 : 0); i++) {
        int r = sync_one(files[i].fd);

        result = result ? result : r;
    }
    if (helped) {
        pthread_mutex_lock(&sync->mutex);
        while (sync->helper_fd >= 0)
            pthread_cond_wait(&sync->helped, &sync->mutex);
        result = result ? result : sync->helper_result;
        pthread_mutex_unlock(&sync->mutex);
    }
    return result;
}

static void *sync_main(void *userdata)
{
    struct sync *sync = userdata;

    pthread_mutex_lock(&sync->mutex);
    for (;;) {
        struct sync_file files[SYNC_FILES];
        size_t len = sync->files_len;
        uint64_t number = sync->asked;
        int result = 0;

        if (!len) {
            if (sync->stop)
                break;
            pthread_cond_wait(&sync->wake, &sync->mutex);
            continue;
        }
        for (size_t i = 0; i < len; i++)
            files[i] = sync->files[i];
        sync->files_len = 0;
        pthread_mutex_unlock(&sync->mutex);
        result = sync_all(sync, files, len);
        for (size_t i = 0; i < len; i++)
            close(files[i].fd);
        pthread_mutex_lock(&sync->mutex);
        sync->answered = number;
        if (result)
            sync->result = result;
        eventfd_write(sync->event_fd, 1);
    }
    pthread_mutex_unlock(&sync->mutex);
    return NULL;
}

static void on_answer(int fd, int events, void *userdata)
{
    struct sync *sync = MAGIC_CAST(struct sync, userdata, SYNC_MAGIC);
    struct sync_wait *wait;
    eventfd_t count;

    eventfd_read(fd, &count);
    pthread_mutex_lock(&sync->mutex);
    uint64_t answered = sync->answered;
    int result = sync->result;
    pthread_mutex_unlock(&sync->mutex);
    while ((wait = TAILQ_FIRST(&sync->waits)) && wait->number <= answered) {
        sync_fn *fn = wait->fn;
        void *argument = wait->userdata;

        TAILQ_REMOVE(&sync->waits, wait, link);
        free(wait);
        fn(result, argument);
    }
}

/* Signals belong to the loop's thread. */
static int start_thread(struct sync *sync)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    sync->helping = pthread_create(&sync->helper, NULL, helper_main, sync) == 0;
    int r = pthread_create(&sync->thread, NULL, sync_main, sync);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    sync->running = r == 0;
    return -r;
}

int sync_new(struct loop *loop, struct sync **ret_sync, struct err *err)
{
    CLEANUP_PTR(sync_free) struct sync *sync = calloc(1, sizeof *sync);

    if (!sync)
        return err_set(err, ENOMEM, "out of memory");
    sync->magic = SYNC_MAGIC;
    TAILQ_INIT(&sync->waits);
    pthread_mutex_init(&sync->mutex, NULL);
    pthread_cond_init(&sync->wake, NULL);
    pthread_cond_init(&sync->wake_helper, NULL);
    pthread_cond_init(&sync->helped, NULL);
    sync->helper_fd = -1;
    sync->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (sync->event_fd < 0)
        return err_errno(err, errno, "cannot make an eventfd");
    int r = loop_watch_new(loop, sync->event_fd, LOOP_READ, on_answer, sync, &sync->watch);
    if (!r)
        r = start_thread(sync);
    if (r < 0)
        return err_errno(err, -r, "cannot start the thread that syncs");
    *ret_sync = TAKE_PTR(sync);
    return 0;
}

void sync_free(struct sync *sync)
{
    struct sync_wait *wait;

    if (!sync)
        return;
    if (sync->running) {
        pthread_mutex_lock(&sync->mutex);
        sync->stop = true;
        pthread_cond_signal(&sync->wake);
        pthread_mutex_unlock(&sync->mutex);
        pthread_join(sync->thread, NULL);
    }
    /* Last, for the thread may still need it. */
    if (sync->helping) {
        pthread_mutex_lock(&sync->mutex);
        sync->helper_stop = true;
        pthread_cond_signal(&sync->wake_helper);
        pthread_mutex_unlock(&sync->mutex);
        pthread_join(sync->helper, NULL);
    }
    while ((wait = TAILQ_FIRST(&sync->waits))) {
        TAILQ_REMOVE(&sync->waits, wait, link);
        free(wait);
    }
    loop_watch_free(sync->watch);
    if (sync->event_fd >= 0)
        close(sync->event_fd);
    pthread_cond_destroy(&sync->wake);
    pthread_cond_destroy(&sync->wake_helper);
    pthread_cond_destroy(&sync->helped);
    pthread_mutex_destroy(&sync->mutex);
    free(sync);
}

/* With the mutex held. The same file again needs no second descriptor. */
static int add_file(struct sync *sync, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    for (size_t i = 0; i < sync->files_len; i++)
        if (sync->files[i].device == st.st_dev && sync->files[i].inode == st.st_ino)
            return 0;
    if (sync->files_len == SYNC_FILES)
        return -EBUSY;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return -errno;
    sync->files[sync->files_len++] = (struct sync_file){ copy, st.st_dev, st.st_ino };
    return 0;
}

int sync_add(struct sync *sync, int fd)
{
    pthread_mutex_lock(&sync->mutex);
    int r = add_file(sync, fd);
    pthread_mutex_unlock(&sync->mutex);
    return r;
}

int sync_request(struct sync *sync, int fd, sync_fn *fn, void *userdata, struct sync_wait **ret_wait)
{
    struct sync_wait *wait = fn ? calloc(1, sizeof *wait) : NULL;

    if (fn && !wait)
        return -ENOMEM;
    pthread_mutex_lock(&sync->mutex);
    int r = add_file(sync, fd);
    uint64_t number = r < 0 ? 0 : ++sync->asked;
    if (!r)
        pthread_cond_signal(&sync->wake);
    pthread_mutex_unlock(&sync->mutex);
    if (r < 0) {
        free(wait);
        return r;
    }
    if (wait) {
        wait->fn = fn;
        wait->userdata = userdata;
        wait->number = number;
        TAILQ_INSERT_TAIL(&sync->waits, wait, link);
    }
    if (ret_wait)
        *ret_wait = wait;
    return 0;
}

static void ignore_answer(int result, void *userdata)
{
}

void sync_cancel(struct sync_wait *wait)
{
    if (wait)
        wait->fn = ignore_answer;
}
