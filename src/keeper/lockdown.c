/*
 * The paths of the keeper's confinement. /etc/resolv.conf is named as a file, so that
 * the rest of /etc stays out of reach; where it is a link into a folder of its own
 * (systemd-resolved, NetworkManager) that folder is readable, for it is rewritten there.
 */
#include "keeper/lockdown.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "wire/limits.h"

#include "base/banned.h"

#define DATA_LIMIT_BYTES (1024ull * MIB)

/* The folder that /etc/resolv.conf leads to; NULL when it is /etc itself or the root. */
static const char *resolver_folder(char buffer[PATH_MAX])
{
    char *slash = NULL;

    if (!realpath("/etc/resolv.conf", buffer))
        return NULL;
    slash = strrchr(buffer, '/');
    *slash = '\0';
    return slash == buffer || !strcmp(buffer, "/etc") ? NULL : buffer;
}

int lockdown(const char *home, struct confine_report *ret_report, struct err *err)
{
    char buffer[PATH_MAX];
    const char *const read_only[] = {
        "/etc/resolv.conf",
        "/etc/hosts",
        "/etc/nsswitch.conf",
        "/etc/host.conf",
        "/dev/urandom",
        resolver_folder(buffer),
        NULL,
    };
    const char *const read_write[] = { home, NULL };
    const struct confine_paths paths = { read_only, read_write };
    enum confine_role role = home ? CONFINE_KEEPER : CONFINE_FETCH;
    int r = confine_begin(role, &paths, DATA_LIMIT_BYTES, ret_report, err);

    return r < 0 ? r : confine_tighten(role, err);
}
