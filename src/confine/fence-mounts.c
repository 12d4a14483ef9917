/*
 * The file system as it is seen inside. Copies of what is kept are taken first,
 * as mounts that hang nowhere yet; then everything that leads out is covered;
 * then the copies are hung in. Kernel settings and cgroups become read only, and
 * for root the system's own folders too: user 0 needs no capability to write them.
 */
#include "confine/fence-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#include "base/banned.h"

#define COPIES_MAX 64
#define NULL_FILE  "/dev/null"
#define HARMLESS   (MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID) /* everything but our own /dev */

/* Copies of files or folders, each to be hung in at a place. */
struct copies {
    struct {
        int fd;
        char *path;
    } list[COPIES_MAX];
    size_t len;
};

struct view {
    const struct fence_spec *spec;
    struct mount_table mounts;
    struct places places;
    struct copies settled, devices, kept;
};

static void copies_free(struct copies *copies)
{
    for (size_t i = 0; i < copies->len; i++) {
        close(copies->list[i].fd);
        free(copies->list[i].path);
    }
    copies->len = 0;
}

static void view_free(struct view *view)
{
    copies_free(&view->settled);
    copies_free(&view->devices);
    copies_free(&view->kept);
    places_free(&view->places);
    mount_table_free(&view->mounts);
}

static int limit(int dirfd, const char *path, unsigned flags, uint64_t set)
{
    struct mount_attr attr = { .attr_set = set };

    return mount_setattr(dirfd, path, flags, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

/* A copy of `path` for `target`; `set` are the limits it gets. What is not there, or not for this user, is left out. */
static int copy_take(struct copies *copies, const char *path, const char *target, unsigned flags, uint64_t set, struct err *err)
{
    CLEANUP_CLOSE int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
    CLEANUP_FREE char *name = NULL;

    if (fd < 0 && (errno == ENOENT || errno == EACCES || errno == ENOTDIR))
        return 0;
    if (fd < 0)
        return err_errno(err, errno, "cannot keep %s", path);
    if (set && limit(fd, "", AT_EMPTY_PATH | flags, set) < 0)
        return err_errno(err, errno, "cannot limit %s", path);
    name = strdup(target);
    if (!name || copies->len == COPIES_MAX)
        return err_set(err, ENOMEM, "too many places are kept");
    copies->list[copies->len].fd = TAKE_FD(fd);
    copies->list[copies->len++].path = TAKE_PTR(name);
    return 0;
}

/* The folders above `path`, as far as they are missing; in what was covered by an empty one they are. */
static void make_parents(const char *path)
{
    CLEANUP_FREE char *folder = strdup(path);
    char *slash = folder ? strrchr(folder, '/') : NULL;

    if (slash && slash != folder) {
        *slash = '\0';
        file_make_dirs(folder, 0700, NULL);
    }
}

static bool is_folder(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int hang_one(int fd, const char *path, struct err *err)
{
    make_parents(path);
    if (is_folder(fd))
        (void) !mkdir(path, 0700);
    else
        close(open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
    if (move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
        return err_errno(err, errno, "cannot show %s", path);
    return 0;
}

static int copies_hang(const struct copies *copies, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < copies->len && r == 0; i++)
        r = hang_one(copies->list[i].fd, copies->list[i].path, err);
    return r;
}

static int mount_empty(const char *path, const char *options, struct err *err)
{
    if (mount("aileron-fence", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        return err_errno(err, errno, "cannot cover %s", path);
    return 0;
}

/* A folder becomes an empty one, anything else a file that is always empty. */
static int cover(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return errno == ENOENT || errno == EACCES ? 0 : err_errno(err, errno, "cannot look at %s", path);
    if (S_ISDIR(st.st_mode))
        return mount_empty(path, (st.st_mode & S_ISVTX) ? "mode=1777" : "mode=0700", err);
    if (mount(NULL_FILE, path, NULL, MS_BIND, NULL) < 0)
        return err_errno(err, errno, "cannot cover %s", path);
    return 0;
}

/* --- devices */

/* What programs need of /dev. No disk, no memory, no input, no screen, no other terminal. */
static const char *const devices[] = { "null", "zero", "full", "random", "urandom", "tty", "fuse", "kvm", "kfd", "dri", "accel",
    "net/tun", "nvidia*" };

static int take_devices(struct view *view, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(devices) && r == 0; i++) {
        char pattern[64];
        glob_t found = { 0 };

        snprintf(pattern, sizeof(pattern), "/dev/%s", devices[i]);
        if (glob(pattern, GLOB_NOSORT, NULL, &found) == 0)
            for (size_t k = 0; k < found.gl_pathc && r == 0; k++)
                r = copy_take(&view->devices, found.gl_pathv[k], found.gl_pathv[k], 0, 0, err);
        globfree(&found);
    }
    return r;
}

/* Our own terminal stays findable by its device, as ttyname(3) looks for it. */
static int take_terminal(struct view *view, struct err *err)
{
    for (int fd = 0; fd <= 2; fd++) {
        char path[64] = "";

        if (ttyname_r(fd, path, sizeof(path)) == 0)
            return copy_take(&view->devices, path, "/dev/console", 0, 0, err);
    }
    return 0;
}

static int fill_dev(struct err *err)
{
    static const char *const links[][2] = { { "/proc/self/fd", "/dev/fd" }, { "/proc/self/fd/0", "/dev/stdin" },
        { "/proc/self/fd/1", "/dev/stdout" }, { "/proc/self/fd/2", "/dev/stderr" }, { "pts/ptmx", "/dev/ptmx" } };
    int r = mount_empty("/dev", "mode=0755", err);

    for (size_t i = 0; i < ARRAY_LEN(links) && r == 0; i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            r = err_errno(err, errno, "cannot make %s", links[i][1]);
    if (r == 0 && (mkdir("/dev/pts", 0755) < 0 || mkdir("/dev/shm", 01777) < 0))
        r = err_errno(err, errno, "cannot fill /dev");
    if (r == 0 && mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") < 0)
        r = err_errno(err, errno, "cannot make terminals for the inside");
    return r == 0 ? mount_empty("/dev/shm", "mode=1777", err) : r;
}

/* --- what is read only */

/* File systems through which the kernel takes orders. */
static bool takes_orders(const char *type)
{
    static const char *const types[] = { "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf",
        "pstore", "efivarfs", "selinuxfs" };

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (!strcmp(type, types[i]))
            return true;
    return false;
}

static int limit_kernel(const struct view *view, struct err *err)
{
    for (size_t i = 0; i < view->mounts.len; i++) {
        const struct mount_row *row = &view->mounts.rows[i];
        int r = takes_orders(row->type) ? limit(AT_FDCWD, row->point, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC) : 0;

        /* Covered by another mount, or in a folder that this user cannot enter: then nobody inside can. */
        if (r < 0 && r != -EINVAL && r != -ENOENT && r != -EACCES)
            return err_errno(err, -r, "cannot make %s read only", row->point);
    }
    return 0;
}

/* For user 0: what the system runs or reads by itself, later and outside. */
static const char *const system_places[] = { "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/boot", "/run",
    "/var/spool", "/var/lib", "/opt" };

/* The project and the person's home stay writable where they lie in one of these. */
static int take_system(struct view *view, struct err *err)
{
    const char *writable[] = { view->spec->folder, getenv("HOME") };
    int r = 0;

    if (geteuid() != 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(system_places) && r == 0; i++) {
        struct stat st;

        if (lstat(system_places[i], &st) == 0 && S_ISDIR(st.st_mode))
            r = copy_take(&view->settled, system_places[i], system_places[i], AT_RECURSIVE, MOUNT_ATTR_RDONLY | HARMLESS, err);
    }
    for (size_t i = 0; i < ARRAY_LEN(writable) && r == 0; i++) {
        CLEANUP_FREE char *real = writable[i] ? realpath(writable[i], NULL) : NULL;

        for (size_t k = 0; real && k < ARRAY_LEN(system_places) && r == 0; k++)
            if (path_is_below(real, system_places[k]) && strcmp(real, system_places[k]) != 0)
                r = copy_take(&view->settled, real, real, AT_RECURSIVE, HARMLESS, err);
    }
    return r;
}

/* --- the whole */

struct kept_state {
    struct view *view;
    struct err *err;
    int r;
};

static void take_kept(const char *path, void *userdata)
{
    struct kept_state *state = userdata;

    for (size_t i = 0; i < state->view->places.len && state->r == 0; i++)
        if (path_is_below(path, state->view->places.paths[i]))
            state->r = copy_take(&state->view->kept, path, path, 0, HARMLESS, state->err);
}

static int write_session(const struct fence_spec *spec, struct err *err)
{
    CLEANUP_CLOSE int fd = open(spec->session_file, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    int r = fd < 0 ? -errno : file_write_full(fd, spec->session_text, strlen(spec->session_text));

    return r < 0 ? err_errno(err, -r, "cannot write the session's file") : 0;
}

/* The token, in the folder that covers the sockets; then nothing can be added there any more. */
static int place_session(const struct fence_spec *spec, struct err *err)
{
    int r = write_session(spec, err);

    if (r < 0)
        return r;
    r = limit(AT_FDCWD, spec->socket_dir, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC);
    if (r == 0 && strcmp(spec->socket_dir, spec->home) != 0)
        r = limit(AT_FDCWD, spec->home, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC);
    return r < 0 ? err_errno(err, -r, "cannot close %s", spec->socket_dir) : 0;
}

/* These may lie in a place that is covered already and get a cover of their own in any case, for it becomes read only. */
static int cover_own(const char *path, struct err *err)
{
    int r = file_make_dirs(path, 0700, err);

    return r == 0 ? mount_empty(path, "mode=0700", err) : r;
}

static int cover_all(const struct view *view, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < view->places.len && r == 0; i++)
        r = cover(view->places.paths[i], err);
    if (r == 0)
        r = cover_own(view->spec->socket_dir, err);
    if (r == 0 && strcmp(view->spec->socket_dir, view->spec->home) != 0)
        r = cover_own(view->spec->home, err);
    return r;
}

/* What is there before anything is covered. */
static int view_take(struct view *view, struct err *err)
{
    struct kept_state state = { view, err, 0 };
    int r = mount_table_read(&view->mounts, err);

    if (r == 0)
        r = places_find(view->spec, &view->mounts, &view->places, err);
    if (r == 0)
        r = take_system(view, err);
    if (r == 0)
        r = take_devices(view, err);
    if (r == 0)
        r = take_terminal(view, err);
    if (r == 0)
        r = copy_take(
            &view->kept, view->spec->agent_dir, view->spec->agent_dir, 0, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC | HARMLESS, err);
    if (r == 0)
        places_kept(take_kept, &state);
    return r == 0 ? state.r : r;
}

/* The same place, as a mount of its own: inside it can neither be renamed nor removed. */
static int pin(const char *path, unsigned flags, uint64_t set, struct err *err)
{
    CLEANUP(copies_free) struct copies one = { .len = 0 };
    int r = copy_take(&one, path, path, flags, set, err);

    return r == 0 ? copies_hang(&one, err) : r;
}

/*
 * The folders above `path`: whoever renames one puts another home in its place, in which the person's next command would find
 * sockets that ask for the passphrase.
 */
static int pin_above(const char *path, struct err *err)
{
    CLEANUP_FREE char *real = realpath(path, NULL);
    int r = 0;

    for (char *at = real ? strchr(real + 1, '/') : NULL; at && r == 0; at = strchr(at + 1, '/')) {
        *at = '\0';
        r = pin(real, AT_RECURSIVE, HARMLESS, err);
        *at = '/';
    }
    return r;
}

static int pin_fixed(const struct fence_spec *spec, struct err *err)
{
    int r = 0;

    for (size_t i = 0; spec->fixed && spec->fixed[i] && r == 0; i++)
        if (!path_is_below(spec->fixed[i], spec->folder))
            r = pin(spec->fixed[i], AT_RECURSIVE, MOUNT_ATTR_RDONLY | HARMLESS, err);
    return r;
}

static int pin_all(const struct fence_spec *spec, struct err *err)
{
    int r = pin_above(spec->home, err);

    if (r == 0)
        r = pin_above(spec->socket_dir, err);
    return r == 0 ? pin_fixed(spec, err) : r;
}

static int make_dev(const struct view *view, struct err *err)
{
    int r = fill_dev(err);

    if (r == 0)
        r = copies_hang(&view->devices, err);
    if (r == 0 && (r = limit(AT_FDCWD, "/dev", 0, MOUNT_ATTR_RDONLY)) < 0)
        err_errno(err, -r, "cannot close /dev");
    return r;
}

int mounts_make(const struct fence_spec *spec, struct err *err)
{
    CLEANUP(view_free) struct view view = { .spec = spec };
    int r;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_errno(err, errno, "cannot part from the machine's mounts");
    r = view_take(&view, err);
    if (r == 0 && (r = limit(AT_FDCWD, "/", AT_RECURSIVE, HARMLESS)) < 0)
        err_errno(err, -r, "cannot limit the machine's mounts");
    if (r == 0)
        r = copies_hang(&view.settled, err);
    if (r == 0)
        r = pin_all(spec, err);
    if (r == 0)
        r = limit_kernel(&view, err);
    if (r == 0)
        r = make_dev(&view, err);
    if (r == 0)
        r = cover_all(&view, err);
    if (r == 0)
        r = copies_hang(&view.kept, err);
    return r == 0 ? place_session(spec, err) : r;
}

/* For user 0, who may write them by ownership alone. Anybody else cannot, and keeps a /proc that can be mounted once more inside. */
static const char *const proc_settings[] = { "/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi" };
static const char *const proc_covered[] = { "/proc/sysrq-trigger", "/proc/kcore", "/proc/latency_stats", "/proc/timer_list" };

int mounts_make_proc(struct err *err)
{
    CLEANUP(copies_free) struct copies settings = { .len = 0 };
    int r = 0;

    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
        return err_errno(err, errno, "cannot make /proc for the inside");
    if (geteuid() != 0)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(proc_settings) && r == 0; i++)
        r = copy_take(&settings, proc_settings[i], proc_settings[i], 0, MOUNT_ATTR_RDONLY, err);
    if (r == 0)
        r = copies_hang(&settings, err);
    for (size_t i = 0; i < ARRAY_LEN(proc_covered) && r == 0; i++)
        r = cover(proc_covered[i], err);
    return r;
}
