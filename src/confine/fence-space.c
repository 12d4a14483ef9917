/*
 * User namespaces: who we are in one, what we give up there, and why there may
 * be none. A mapping of one user and one group is all that an ordinary user may
 * make, and all that is needed: files of others stay files of others.
 */
#include "confine/fence-parts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "base/banned.h"

#define LAST_CAP_MAX 63

static int write_text(const char *path, const char *text, struct err *err)
{
    CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t) strlen(text))
        return err_errno(err, errno ? errno : EIO, "cannot write %s", path);
    return 0;
}

int space_map(uid_t uid, gid_t gid, struct err *err)
{
    char text[64];
    int r;

    snprintf(text, sizeof(text), "%u %u 1\n", (unsigned) uid, (unsigned) uid);
    r = write_text("/proc/self/uid_map", text, err);
    if (r == 0)
        r = write_text("/proc/self/setgroups", "deny", err);
    snprintf(text, sizeof(text), "%u %u 1\n", (unsigned) gid, (unsigned) gid);
    return r == 0 ? write_text("/proc/self/gid_map", text, err) : r;
}

int space_drop(int keep, struct err *err)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = { { 0, 0, 0 }, { 0, 0, 0 } };

    for (int cap = 0; cap <= LAST_CAP_MAX; cap++)
        if (cap != keep && prctl(PR_CAPBSET_READ, cap) == 1 && prctl(PR_CAPBSET_DROP, cap) < 0)
            return err_errno(err, errno, "cannot give up capability %d", cap);
    if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED |
                                     SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED) < 0)
        return err_errno(err, errno, "cannot give up the powers of user 0");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (keep >= 0)
        sets[CAP_TO_INDEX((unsigned) keep)].effective = sets[CAP_TO_INDEX((unsigned) keep)].permitted =
            CAP_TO_MASK((unsigned) keep);
    if (syscall(SYS_capset, &header, sets) < 0)
        return err_errno(err, errno, "cannot give up the capabilities");
    return 0;
}

/* The number in a file of /proc/sys; -1 when there is none. */
static long setting(const char *path)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[32];
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

    if (n <= 0)
        return -1;
    text[n] = '\0';
    return strtol(text, NULL, 10);
}

int space_explain(struct err *err)
{
    static const struct {
        const char *path;
        long bad;
        const char *change;
    } settings[] = {
        { "/proc/sys/kernel/unprivileged_userns_clone", 0, "sysctl kernel.unprivileged_userns_clone=1" },
        { "/proc/sys/user/max_user_namespaces", 0, "sysctl user.max_user_namespaces=10000" },
        { "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 1, "sysctl kernel.apparmor_restrict_unprivileged_userns=0" },
    };
    int code = err->code;

    for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
        if (setting(settings[i].path) != settings[i].bad)
            continue;
        err_set(err, code, "the fence cannot be put up: user namespaces are switched off on this machine");
        err_hint(err, "as root: %s; or --no-fence", settings[i].change);
        return -code;
    }
    err_prefix(err, "the fence cannot be put up");
    if (!err->hint[0])
        err_hint(err, "inside a container user namespaces or mounts may be forbidden; --no-fence goes without");
    return -code;
}
