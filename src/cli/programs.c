/*
 * A list of places relative to the executable's own folder, tried in order. The
 * path of the executable is the kernel's (/proc/self/exe), so links to it do
 * not matter.
 */
#include "cli/programs.h"

#include "base/cleanup.h"
#include "base/proc.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/banned.h"

static int first_of(
    const char *const *places, const char *name, const char *probe, const char *what, char **ret_path, struct err *err)
{
    CLEANUP_FREE char *self = NULL;
    int r = proc_self_dir(&self, err);

    if (r < 0)
        return r;
    for (; *places; places++) {
        CLEANUP_FREE char *path = NULL;
        CLEANUP_FREE char *probed = NULL;

        if (asprintf(&path, "%s/%s%s", self, *places, name) < 0 || asprintf(&probed, "%s%s", path, probe) < 0)
            return -ENOMEM;
        if (access(probed, F_OK) == 0) {
            *ret_path = realpath(path, NULL);
            return *ret_path ? 0 : err_errno(err, errno, "cannot find %s", path);
        }
    }
    err_set(err, ENOENT, "cannot find %s beside %s/aileron", what, self);
    err_hint(err, "install or build Aileron again; the programs belong together");
    return -ENOENT;
}

int programs_libexec(char **ret_dir, struct err *err)
{
    static const char *const PLACES[] = { "../libexec/aileron", "../../libexec", NULL };

    return first_of(PLACES, "", "/aileron-broker", "the daemon's programs", ret_dir, err);
}

int programs_relay(char **ret_path, struct err *err)
{
    static const char *const PLACES[] = { "", "../relay/", NULL };

    return first_of(PLACES, "aileron-mcp", "", "the program aileron-mcp", ret_path, err);
}

int programs_connector(const char *name, char **ret_dir, struct err *err)
{
    static const char *const PLACES[] = { "../share/aileron/connectors/", "../../connectors/", NULL };

    return first_of(PLACES, name, "/connector.wasm", "the bundled connector", ret_dir, err);
}
