/* The URL is one argument and passes no shell. */
#include "cli/browser.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define WORDS_MAX 16

static bool has(const char *variable)
{
    const char *value = getenv(variable);

    return value && *value;
}

bool browser_is_here(void)
{
    if (has("SSH_CONNECTION") || has("SSH_TTY"))
        return false;
    return has("DISPLAY") || has("WAYLAND_DISPLAY") || has("WSL_DISTRO_NAME");
}

/* A session of its own, so that neither Ctrl-C nor the end of the terminal reaches it. */
static int spawn(char *const argv[], pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults, none;
    int r;

    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE); /* ignored here */
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    r = posix_spawnp(ret_pid, argv[0], &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -r;
}

/* The first command of $BROWSER, which may be a list with colons and may say with %s where the URL goes. */
static int open_variable(const char *url, pid_t *ret_pid)
{
    CLEANUP_FREE char *text = strndup(getenv("BROWSER"), strcspn(getenv("BROWSER"), ":"));
    char *argv[WORDS_MAX + 2] = { NULL }, *at = text;
    size_t argc = 0;
    bool placed = false;

    while (at && *at && argc < WORDS_MAX) {
        size_t len = strcspn(at, " \t");
        bool more = at[len] != '\0';

        at[len] = '\0';
        if (len && !strcmp(at, "%s")) {
            argv[argc++] = (char *) url;
            placed = true;
        } else if (len) {
            argv[argc++] = at;
        }
        at += len + more;
    }
    if (!argc)
        return -ENOENT;
    if (!placed)
        argv[argc] = (char *) url;
    return spawn(argv, ret_pid);
}

int browser_start(const char *url, pid_t *ret_pid, struct err *err)
{
    static const char *const PROGRAMS[] = { "xdg-open", "wslview", "open" };
    int r = has("BROWSER") ? open_variable(url, ret_pid) : -ENOENT;

    for (size_t i = 0; i < ARRAY_LEN(PROGRAMS) && r == -ENOENT; i++) {
        char *argv[] = { (char *) PROGRAMS[i], (char *) url, NULL };

        r = spawn(argv, ret_pid);
    }
    return r < 0 ? err_errno(err, -r, "no browser could be started") : 0;
}

int browser_open(const char *url, struct err *err)
{
    pid_t pid;

    return browser_start(url, &pid, err);
}
