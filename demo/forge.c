/* Paths become paths; see the header for which. */
#include "forge.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define API    "api.github.com"
#define SITE   "github.com"
#define RAW    "raw.githubusercontent.com"
#define ASSETS "objects.githubusercontent.com"

static const char *const HOSTS[] = { SITE, API, RAW, ASSETS, NULL };

bool forge_has(const char *host)
{
    for (const char *const *known = HOSTS; host && *known; known++)
        if (!strcmp(host, *known))
            return true;
    return false;
}

/* Segments of plain characters that do not start with a dot: none leads out of the folder. */
static bool path_is_plain(const char *path)
{
    while (*path == '/' && path[1] && path[1] != '/' && path[1] != '.')
        for (path++; isalnum((unsigned char) *path) || (*path && strchr("._-", *path));)
            path++;
    return *path == '\0';
}

/* What stands behind `count` segments: "" or "/…". */
static const char *skip_segments(const char *path, size_t count)
{
    for (; count && *path == '/'; count--)
        path += 1 + strcspn(path + 1, "/");
    return path;
}

/* What stands behind `prefix`; NULL: it is not there. */
static const char *skip_prefix(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) ? NULL : text + len;
}

static int read_file(int dir_fd, const char *repository, int len, const char *folder, const char *path, struct buf *body)
{
    CLEANUP_FREE char *file = NULL;

    if (asprintf(&file, "%.*s/%s%s", len, repository, folder, path) < 0)
        return 500;
    return file_read(dir_fd, file + 1, body, NULL) < 0 ? 404 : 200;
}

int forge_get(int dir_fd, const char *host, const char *path, struct buf *body, char **ret_location)
{
    const char *repository = strcmp(host, API) ? path : skip_prefix(path, "/repos");
    const char *rest, *asset;
    int len;

    *ret_location = NULL;
    if (!repository || !path_is_plain(repository))
        return 404;
    rest = skip_segments(repository, 2);
    len = (int) (rest - repository);
    if (!strcmp(host, API))
        return strcmp(rest, "/releases/latest") ? 404 : read_file(dir_fd, repository, len, "latest.json", "", body);
    if (!strcmp(host, RAW))
        return read_file(dir_fd, repository, len, "tree", skip_segments(rest, 1), body);
    if (!strcmp(host, ASSETS))
        return read_file(dir_fd, repository, len, "assets", rest, body);
    asset = skip_prefix(rest, "/releases/download/");
    if (!asset)
        return 404;
    return asprintf(ret_location, "https://" ASSETS "%.*s/%s", len, repository, asset) < 0 ? 500 : 302;
}
