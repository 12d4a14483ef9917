/*
 * The home folder and the places below it. The longest socket path decides
 * whether the sockets stay in the home or move to the user's runtime folder,
 * under a name made of the home's path, so that all programs find the same one.
 */
#include "base/home.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/file.h"

#include "base/banned.h"

#define HOME_MAX_BYTES 3000
#define LONGEST_SOCKET "agent/agent.sock"
#define DEFAULT_NAME   ".aileron"

static char *join(const char *folder, const char *relative)
{
    char *path = NULL;

    if (asprintf(&path, "%s/%s", folder, relative) < 0)
        return NULL;
    return path;
}

char *home_file(const struct home *home, const char *relative)
{
    return join(home->path, relative);
}

/* FNV-1a, 64 bits: tells homes of one user apart; the folder's owner and mode are checked besides. */
static uint64_t hash_path(const char *path)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (; *path; path++)
        hash = (hash ^ (uint8_t) *path) * UINT64_C(0x100000001b3);
    return hash;
}

static char *choose_socket_dir(const char *path)
{
    struct sockaddr_un address;
    char *dir = NULL;

    if (strlen(path) + 1 + strlen(LONGEST_SOCKET) + 1 <= sizeof address.sun_path)
        return strdup(path);
    if (asprintf(&dir, "/run/user/%u/aileron-%016" PRIx64, (unsigned) geteuid(), hash_path(path)) < 0)
        return NULL;
    return dir;
}

/* A copy without doubled and trailing slashes. */
static char *tidy_path(const char *path)
{
    char *out = malloc(strlen(path) + 1);
    size_t len = 0;

    if (!out)
        return NULL;
    for (; *path; path++)
        if (*path != '/' || len == 0 || out[len - 1] != '/')
            out[len++] = *path;
    while (len > 1 && out[len - 1] == '/')
        len--;
    out[len] = '\0';
    return out;
}

static int check_path(const char *path, struct err *err)
{
    size_t len = strlen(path);

    if (path[0] != '/') {
        err_set(err, EINVAL, "the home '%s' is not an absolute path", path);
        err_hint(err, "set AILERON_HOME to a path that starts with /");
        return -EINVAL;
    }
    if (len > HOME_MAX_BYTES || !utf8_is_valid(path, len))
        return err_set(err, EINVAL, "the home's path is too long or not valid UTF-8");
    for (size_t i = 0; i < len; i++)
        if ((uint8_t) path[i] < 0x20 || path[i] == 0x7f)
            return err_set(err, EINVAL, "the home's path holds a control character");
    return 0;
}

int home_from_path(const char *path, struct home **ret_home, struct err *err)
{
    CLEANUP_PTR(home_free) struct home *home = NULL;
    int r = check_path(path, err);

    if (r < 0)
        return r;
    home = calloc(1, sizeof *home);
    if (home)
        home->path = tidy_path(path);
    if (home && home->path)
        home->socket_dir = choose_socket_dir(home->path);
    if (!home || !home->socket_dir)
        return err_set(err, ENOMEM, "out of memory");
    home->daemon_sock = join(home->socket_dir, "daemon.sock");
    home->keeper_sock = join(home->socket_dir, "keeper.sock");
    home->agent_dir = join(home->socket_dir, "agent");
    home->agent_sock = join(home->socket_dir, LONGEST_SOCKET);
    if (!home->daemon_sock || !home->keeper_sock || !home->agent_dir || !home->agent_sock)
        return err_set(err, ENOMEM, "out of memory");
    *ret_home = TAKE_PTR(home);
    return 0;
}

int home_from_env(struct home **ret_home, struct err *err)
{
    const char *set = getenv("AILERON_HOME"), *user_home = getenv("HOME");
    CLEANUP_FREE char *path = NULL;
    const struct passwd *user;

    if (set && *set)
        return home_from_path(set, ret_home, err);
    if (!user_home || !*user_home) {
        user = getpwuid(geteuid());
        user_home = user ? user->pw_dir : NULL;
    }
    if (!user_home || !*user_home) {
        err_set(err, ENOENT, "there is no home folder: neither AILERON_HOME nor HOME is set");
        err_hint(err, "set AILERON_HOME");
        return -ENOENT;
    }
    path = join(user_home, DEFAULT_NAME);
    if (!path)
        return err_set(err, ENOMEM, "out of memory");
    return home_from_path(path, ret_home, err);
}

static int check_folder(const char *path, struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err_errno(err, errno, "cannot look at %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ENOTDIR, "%s is not a folder", path);
    if (st.st_uid != geteuid())
        return err_set(err, EPERM, "%s belongs to another user", path);
    if (st.st_mode & 077) {
        err_set(err, EPERM, "%s can be entered by others (mode %04o)", path, st.st_mode & 07777);
        err_hint(err, "chmod 700 %s", path);
        return -EPERM;
    }
    return 0;
}

/* The runtime folder's parent is the system's to make: a missing one is said, not created. */
static int create_socket_dir(const struct home *home, struct err *err)
{
    if (!strcmp(home->socket_dir, home->path))
        return 0;
    if (mkdir(home->socket_dir, 0700) < 0 && errno != EEXIST) {
        err_errno(err, errno, "the home's path is too long for its sockets, and %s cannot be made", home->socket_dir);
        err_hint(err, "choose a shorter AILERON_HOME");
        return -err->code;
    }
    return check_folder(home->socket_dir, err);
}

int home_create(const struct home *home, struct err *err)
{
    struct err unseen = ERR_INIT;
    int r;

    if (!err)
        err = &unseen;
    r = file_make_dirs(home->path, 0700, err);
    if (r == 0)
        r = check_folder(home->path, err);
    if (r == 0)
        r = create_socket_dir(home, err);
    if (r == 0)
        r = file_make_dirs(home->agent_dir, 0700, err);
    return r < 0 ? r : check_folder(home->agent_dir, err);
}

void home_free(struct home *home)
{
    if (!home)
        return;
    free(home->path);
    free(home->socket_dir);
    free(home->daemon_sock);
    free(home->keeper_sock);
    free(home->agent_dir);
    free(home->agent_sock);
    free(home);
}
