/* See the header. */
#include "store/folders.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

static int sync_parent(char *path)
{
    char *slash = strrchr(path, '/');

    *slash = '\0';
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *slash = '/';
    return fd < 0 ? -errno : file_sync_dir(fd);
}

/* One folder; its parent is synced when it is new. */
static int make_one(char *path)
{
    struct stat st;
    bool is_new = mkdir(path, 0700) == 0;

    if (!is_new && errno != EEXIST)
        return -errno;
    if (!is_new && (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)))
        return -ENOTDIR;
    return is_new ? sync_parent(path) : 0;
}

int folders_make(const char *home, const char *relative, char ret_path[PATH_MAX], struct err *err)
{
    size_t home_len = strlen(home), len = home_len + 1 + strlen(relative);
    int r = 0;

    if (snprintf(ret_path, PATH_MAX, "%s/%s", home, relative) >= PATH_MAX)
        return err_set(err, ENAMETOOLONG, "the path of the home is too long");
    for (size_t i = home_len + 1; r == 0 && i <= len; i++) {
        char was = ret_path[i];

        if (was != '/' && was != '\0')
            continue;
        ret_path[i] = '\0';
        r = make_one(ret_path);
        ret_path[i] = was;
    }
    return r < 0 ? err_errno(err, -r, "cannot create the folder %s", ret_path) : 0;
}

int folders_open(const char *home, const char *relative, int *ret_fd, struct err *err)
{
    char path[PATH_MAX];
    int r = folders_make(home, relative, path, err);

    if (r < 0)
        return r;
    *ret_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? err_errno(err, errno, "cannot open %s", path) : 0;
}

static bool is_temporary(const char *name)
{
    size_t len = strlen(name);

    return name[0] == '.' && len > 5 && (!strcmp(name + len - 4, ".new") || !strcmp(name + len - 4, ".tmp"));
}

void folders_sweep(int folder, const char *except)
{
    int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CLEANUP_CLOSEDIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry = NULL;

    while (dir && (entry = readdir(dir)))
        if (is_temporary(entry->d_name) && (!except || strncmp(entry->d_name, except, strlen(except)) != 0))
            unlinkat(folder, entry->d_name, 0);
}
