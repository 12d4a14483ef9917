/*
 * The one ownership idiom: a variable declared with one of these macros is
 * released when it leaves scope; TAKE_PTR and TAKE_FD hand ownership on.
 * Destructors take NULL and half-built objects.
 *
 *     CLEANUP_FREE char *text = NULL;
 *     CLEANUP(buf_free) struct buf buf = BUF_INIT(LIMIT);
 *     CLEANUP_PTR(action_free) struct action *action = NULL;   // needs DEFINE_CLEANUP_PTR(struct action, action_free)
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(function) __attribute__((cleanup(function), unused))

/* For `type *p`: defines function##_p(type **), used by CLEANUP_PTR(function). */
#define DEFINE_CLEANUP_PTR(type, function)                                                                                       \
    static inline __attribute__((unused)) void function##_p(type **p)                                                            \
    {                                                                                                                            \
        if (*p)                                                                                                                  \
            function(*p);                                                                                                        \
    }
#define CLEANUP_PTR(function) CLEANUP(function##_p)

static inline void cleanup_free(void *p)
{
    free(*(void **) p);
}

static inline void cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void cleanup_closedir(DIR **dir)
{
    if (*dir)
        closedir(*dir);
}

static inline void cleanup_fclose(FILE **file)
{
    if (*file)
        fclose(*file);
}

#define CLEANUP_FREE     CLEANUP(cleanup_free)
#define CLEANUP_CLOSE    CLEANUP(cleanup_close)
#define CLEANUP_CLOSEDIR CLEANUP(cleanup_closedir)
#define CLEANUP_FCLOSE   CLEANUP(cleanup_fclose)

#define TAKE_PTR(p)                                                                                                              \
    ({                                                                                                                           \
        __typeof__(p) *take_from_ = &(p);                                                                                        \
        __typeof__(p) take_it_ = *take_from_;                                                                                    \
        *take_from_ = NULL;                                                                                                      \
        take_it_;                                                                                                                \
    })

#define TAKE_FD(fd)                                                                                                              \
    ({                                                                                                                           \
        int *take_fd_ = &(fd);                                                                                                   \
        int take_it_ = *take_fd_;                                                                                                \
        *take_fd_ = -1;                                                                                                          \
        take_it_;                                                                                                                \
    })

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
