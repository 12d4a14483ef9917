/*
 * Where doors lead out: our own home, wherever it is mounted; other terminals;
 * the desktop; whoever starts programs or containers when asked; signed-in
 * browsers, in whose profiles the key of our own page lies. A table for what is
 * known by its name, and the list of listening sockets for the rest.
 */
#include "confine/fence-parts.h"

#include <errno.h>
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "base/banned.h"

/* `~` is the person's home folder, `%u` their number, `$NAME` the variable; then a glob pattern. */
static const char *const known[] = {
    /* our own usual home, which may be another than AILERON_HOME */
    "~/.aileron",
    /* other terminals */
    "/tmp/tmux-%u", "$TMUX_TMPDIR/tmux-%u", "/run/screen", "$SCREENDIR", "~/.screen", "/tmp/uscreens", "/tmp/zellij-%u",
    "~/.abduco", "~/.dtach",
    /* the desktop, and whatever else a login session shares */
    "/run/user/%u", "$XDG_RUNTIME_DIR", "/tmp/.X11-unix", "/tmp/.ICE-unix", "/tmp/.XIM-unix", "$XAUTHORITY", "~/.Xauthority",
    "/run/WSL", "/mnt/wslg",
    /* what leads a browser to our page, with the code that signs it in (cli/redirect.c) */
    "/tmp/aileron-%u",
    /* what starts programs for who asks */
    "/run/dbus/system_bus_socket", "/run/systemd/private", "/run/systemd/io.systemd.*", "/run/snapd*.socket", "~/.emacs.d/server",
    /* the background servers of Claude Code and Codex, which run what a session asks for */
    "/tmp/cc-daemon-%u", "/tmp/codex-daemon-%u",
    /* containers and virtual machines */
    "/run/docker*", "/run/containerd", "/run/podman", "/run/crio", "/run/buildkit", "/run/k3s", "/run/libvirt",
    "/var/lib/lxd/unix.socket", "/var/snap/lxd/common/lxd/unix.socket", "/var/lib/incus/unix.socket", "~/.docker/run",
    "~/.docker/desktop", "~/.colima", "~/.lima", "~/.rd", "~/.local/share/containers/podman/machine",
    /* browsers */
    "~/.mozilla", "~/.config/mozilla", "~/.librewolf", "~/.zen", "~/.waterfox", "~/.config/chromium*", "~/.config/google-chrome*",
    "~/.config/BraveSoftware", "~/.config/microsoft-edge*", "~/.config/vivaldi*", "~/.config/opera*", "~/.config/epiphany",
    "~/.local/share/epiphany", "~/.local/share/qutebrowser", "~/.config/falkon", "~/.local/share/falkon", "~/snap/firefox",
    "~/snap/chromium", "~/snap/brave", "~/snap/opera", "~/.var/app"
};

/* These let nothing run outside: an agent for keys signs what it is given. */
static const char *const kept[] = { "$SSH_AUTH_SOCK", "/run/user/%u/gnupg", "$XDG_RUNTIME_DIR/gnupg" };

static const char *person_home(void)
{
    const char *home = getenv("HOME");
    const struct passwd *user;

    if (home && home[0] == '/')
        return home;
    user = getpwuid(geteuid());
    return user && user->pw_dir && user->pw_dir[0] == '/' ? user->pw_dir : NULL;
}

/* The pattern with its first part and number filled in; NULL when a variable is not set to an absolute path. malloc'd */
static char *fill_in(const char *pattern)
{
    char uid[16], name[64];
    const char *first = "", *rest = pattern, *number;
    char *out = NULL;

    if (pattern[0] == '~') {
        first = person_home();
        rest = pattern + 1;
    } else if (pattern[0] == '$') {
        size_t len = strcspn(pattern + 1, "/");

        snprintf(name, sizeof(name), "%.*s", (int) len, pattern + 1);
        first = getenv(name);
        rest = pattern + 1 + len;
    }
    if (!first || (rest != pattern && (first[0] != '/' || !first[1])))
        return NULL;
    snprintf(uid, sizeof(uid), "%u", (unsigned) geteuid());
    number = strstr(rest, "%u");
    if (asprintf(&out, "%s%.*s%s%s", first, (int) (number ? number - rest : (long) strlen(rest)), rest, number ? uid : "",
            number ? number + 2 : "") < 0)
        return NULL;
    return out;
}

/* Keeps the list as places_find() promises. Takes `path`. */
static void add_taken(struct places *places, char *path)
{
    size_t len = 0;

    for (size_t i = 0; path && i < places->len; i++) {
        if (path_is_below(path, places->paths[i])) {
            free(path);
            return;
        }
    }
    for (size_t i = 0; path && i < places->len; i++) {
        if (path_is_below(places->paths[i], path))
            free(places->paths[i]);
        else
            places->paths[len++] = places->paths[i];
    }
    places->len = path ? len : places->len;
    if (path && places->len == places->room) {
        size_t room = places->room ? places->room * 2 : 64;
        char **paths = realloc(places->paths, room * sizeof(*paths));

        places->paths = paths ? paths : places->paths;
        places->room = paths ? room : places->room;
    }
    if (!path || places->len == places->room) {
        places->failed = true;
        free(path);
        return;
    }
    places->paths[places->len++] = path;
}

/* What does not exist, or cannot be reached by this user, needs no hiding. "/" never is a place. */
static void add_real(struct places *places, const char *path)
{
    CLEANUP_FREE char *real = realpath(path, NULL);

    if (real && real[1])
        add_taken(places, TAKE_PTR(real));
}

static void add_pattern(struct places *places, const char *pattern)
{
    CLEANUP_FREE char *filled = fill_in(pattern);
    glob_t found = { 0 };

    if (filled && glob(filled, GLOB_NOSORT, NULL, &found) == 0)
        for (size_t i = 0; i < found.gl_pathc; i++)
            add_real(places, found.gl_pathv[i]);
    globfree(&found);
}

/* Who comes later uses these folders, and whoever made them first; so they exist before, empty, as their users make them. */
static void make_folders(void)
{
    static const char *const folders[] = { "/tmp/tmux-%u", "/tmp/aileron-%u", "/tmp/cc-daemon-%u", "/tmp/codex-daemon-%u" };

    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        CLEANUP_FREE char *path = fill_in(folders[i]);

        if (path)
            (void) !mkdir(path, 0700);
    }
}

/* --- the home, wherever its file system is mounted */

/* The row that `path` lies on: of the longest mount points the last. */
static const struct mount_row *row_of(const struct mount_table *mounts, const char *path)
{
    const struct mount_row *best = NULL;

    for (size_t i = 0; i < mounts->len; i++)
        if (path_is_below(path, mounts->rows[i].point) && (!best || strlen(mounts->rows[i].point) >= strlen(best->point)))
            best = &mounts->rows[i];
    return best;
}

/* "/a" and "/b" → "/a/b", either may be "/". malloc'd */
static char *join(const char *folder, const char *rest)
{
    char *out = NULL;

    if (asprintf(&out, "%s%s", folder[1] ? folder : "", rest[1] || !folder[1] ? rest : "") < 0)
        return NULL;
    return out;
}

static const char *behind(const char *path, const char *folder)
{
    const char *rest = path + (folder[1] ? strlen(folder) : 0);

    return *rest ? rest : "/";
}

static void add_everywhere(struct places *places, const struct mount_table *mounts, const char *path)
{
    CLEANUP_FREE char *real = realpath(path, NULL);
    const struct mount_row *own = real ? row_of(mounts, real) : NULL;
    CLEANUP_FREE char *inside = own ? join(own->root, behind(real, own->point)) : NULL;

    add_real(places, path);
    for (size_t i = 0; inside && i < mounts->len; i++) {
        const struct mount_row *row = &mounts->rows[i];
        CLEANUP_FREE char *alias = NULL;

        if (row->major != own->major || row->minor != own->minor)
            continue;
        if (path_is_below(inside, row->root))
            alias = join(row->point, behind(inside, row->root));
        else if (path_is_below(row->root, inside))
            alias = strdup(row->point);
        if (alias)
            add_real(places, alias);
    }
}

/* --- sockets */

/* A program of the person that listens outside of the project's own folder. */
static bool is_a_door(const char *path, const char *folder)
{
    const char *home = person_home();
    bool own_project = path_is_below(path, folder) && !(home && path_is_below(home, folder));
    struct stat st;

    return !own_project && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_uid == geteuid();
}

static void drop_kept(const char *path, void *userdata)
{
    char **door = userdata;

    if (*door && path_is_below(*door, path)) {
        free(*door);
        *door = NULL;
    }
}

/* Another home of ours, whose files matter more than its sockets. `door` becomes its folder. */
static void widen(char *door, const char *folder)
{
    char *slash = strrchr(door, '/');

    if (slash == door || strcmp(slash, "/keeper.sock") != 0)
        return;
    *slash = '\0';
    if (path_is_below(folder, door))
        *slash = '/';
}

/* "ffff: 00000002 00000000 00010000 0001 01 12345 /path": listening is a flag of the fourth word. */
static int add_sockets(struct places *places, const char *folder, struct err *err)
{
    CLEANUP_FCLOSE FILE *file = fopen("/proc/net/unix", "re");
    CLEANUP_FREE char *line = NULL;
    size_t room = 0;

    if (!file)
        return err_errno(err, errno, "cannot read /proc/net/unix");
    while (getline(&line, &room, file) >= 0) {
        CLEANUP_FREE char *door = NULL;
        const char *path = strchr(line, '/');
        unsigned flags = 0;

        if (!path || sscanf(line, "%*s %*s %*s %x", &flags) != 1 || !(flags & 0x10000))
            continue;
        line[strcspn(line, "\n")] = '\0';
        door = realpath(path, NULL);
        if (door && is_a_door(door, folder))
            places_kept(drop_kept, &door);
        else
            door = (free(door), NULL);
        if (!door)
            continue;
        widen(door, folder);
        add_taken(places, TAKE_PTR(door));
    }
    return 0;
}

/* Other mounts of what /proc and /dev show. */
static void add_windows(struct places *places, const struct mount_table *mounts)
{
    for (size_t i = 0; i < mounts->len; i++) {
        const struct mount_row *row = &mounts->rows[i];
        bool shows = !strcmp(row->type, "proc") || !strcmp(row->type, "devtmpfs") || !strcmp(row->type, "devpts");

        if (shows && !path_is_below(row->point, "/proc") && !path_is_below(row->point, "/dev"))
            add_real(places, row->point);
    }
}

void places_kept(places_kept_fn *fn, void *userdata)
{
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        CLEANUP_FREE char *path = fill_in(kept[i]);
        CLEANUP_FREE char *real = path ? realpath(path, NULL) : NULL;

        if (real)
            fn(real, userdata);
    }
}

int places_find(const struct fence_spec *spec, const struct mount_table *mounts, struct places *ret_places, struct err *err)
{
    CLEANUP(places_free) struct places places = { 0 };
    int r;

    make_folders();
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        add_pattern(&places, known[i]);
    add_everywhere(&places, mounts, spec->home);
    add_everywhere(&places, mounts, spec->socket_dir);
    add_windows(&places, mounts);
    r = add_sockets(&places, spec->folder, err);
    if (r < 0)
        return r;
    if (places.failed)
        return err_set(err, ENOMEM, "out of memory");
    *ret_places = places;
    places = (struct places){ 0 };
    return 0;
}

void places_free(struct places *places)
{
    for (size_t i = 0; i < places->len; i++)
        free(places->paths[i]);
    free(places->paths);
    *places = (struct places){ 0 };
}
