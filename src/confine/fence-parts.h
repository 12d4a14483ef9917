/* What the files of the fence know of each other; nobody else includes this. */
#ifndef CONFINE_FENCE_PARTS_H
#define CONFINE_FENCE_PARTS_H

#include "base/err.h"
#include "confine/fence.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* --- fence-space.c: user namespaces */

/* Maps our own user and group, as they were before the namespace was made, to the same numbers. */
int space_map(uid_t uid, gid_t gid, struct err *err);
/* Leaves the capability `keep` (-1: none), in no set any other, and no way for a program of user 0 to get one. */
int space_drop(int keep, struct err *err);
/* Adds to an error of making a namespace or a mount which setting of this machine stands in the way. */
int space_explain(struct err *err);

/* --- fence-table.c: what is mounted */

struct mount_row {
    char *point, *root, *type; /* where, from which folder of its file system, of what kind */
    unsigned major, minor;
};
struct mount_table {
    struct mount_row *rows;
    size_t len;
};
/* One line of mountinfo; what was filled before an error is the caller's too. */
int mount_row_parse(const char *line, struct mount_row *row);
int mount_table_read(struct mount_table *ret_table, struct err *err);
void mount_table_free(struct mount_table *table);
/* True when `path` is `folder` or below it. */
bool path_is_below(const char *path, const char *folder);

/* --- fence-places.c: which places are hidden */

struct places {
    char **paths; /* real paths, each once, none below another, the outer ones first */
    size_t len, room;
    bool failed; /* out of memory */
};
/* Everything on this machine that leads out of the fence, AILERON_HOME included. */
int places_find(const struct fence_spec *spec, const struct mount_table *mounts, struct places *ret_places, struct err *err);
void places_free(struct places *places);
/* Sockets and folders that are kept although they lie in a hidden place: calls `fn` with each real path. */
typedef void places_kept_fn(const char *path, void *userdata);
void places_kept(places_kept_fn *fn, void *userdata);

/* --- fence-mounts.c: the view of the file system, made in the outer mount namespace */

int mounts_make(const struct fence_spec *spec, struct err *err);
/* /proc of the inner pid namespace; called by its first process while it is still in the outer mount namespace. */
int mounts_make_proc(struct err *err);

/* --- fence-filter.c: the system calls */

/* Which walls stand here: with Landlock's scopes no socket needs to be made elsewhere. */
bool filter_scopes(void);
/* Landlock and seccomp on this process and what it starts; *ret_listener is told of the calls that need a look. */
int filter_fence(int *ret_listener, struct err *err);

/* --- fence-watch.c: the first process looks at calls */

struct watch {
    int listener; /* of filter_fence() */
    int child;    /* pidfd of the second process: its end is the end */
    int home;     /* folder with daemon.port */
    int proc;     /* /proc of this process's own pid namespace */
    int channel;  /* to the caller: closed at its end, the caller is gone */
};
/* Until the second process or the caller has ended. */
void watch_run(const struct watch *watch);

#endif
