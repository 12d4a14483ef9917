/*
 * Which files and which TCP ports a role may touch. A child inherits its
 * parent's restrictions, so the broker's places include what the keeper reads.
 * Paths are opened here, before the restriction; one that is missing is skipped.
 */
#include "confine/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#include "base/banned.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule       445
#define SYS_landlock_restrict_self  446
#endif

/* linux/landlock.h as of version 7; packaged headers are older than many kernels. */
struct ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};
struct path_rule {
    uint64_t allowed;
    int32_t parent_fd;
} __attribute__((packed));

#define CREATE_VERSION  1u
#define RULE_PATH       1

#define FS_EXECUTE      (1u << 0)
#define FS_WRITE_FILE   (1u << 1)
#define FS_READ_FILE    (1u << 2)
#define FS_READ_DIR     (1u << 3)
#define FS_MAKE_CHAR    (1u << 6)
#define FS_MAKE_BLOCK   (1u << 11)
#define FS_ALL_V1       ((1u << 13) - 1)
#define FS_REFER        (1u << 13)
#define FS_TRUNCATE     (1u << 14)
#define FS_IOCTL_DEV    (1u << 15)
#define FS_FILE         (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_BIND_TCP    (1u << 0)
#define NET_CONNECT_TCP (1u << 1)
#define SCOPE_ABSTRACT  (1u << 0)
#define SCOPE_SIGNAL    (1u << 1)

#define READ_ONLY       (FS_READ_FILE | FS_READ_DIR)
#define READ_EXEC       (READ_ONLY | FS_EXECUTE)
#define READ_WRITE      ((FS_ALL_V1 | FS_REFER | FS_TRUNCATE) & ~(FS_EXECUTE | FS_MAKE_CHAR | FS_MAKE_BLOCK))

#define MIN_VERSION     2

struct place {
    const char *path;
    uint64_t allowed;
};

/* Names are resolved, and certificates found, by reading these; folders where a file may be replaced at any time. */
static const struct place resolver_places[] = {
    { "/etc/resolv.conf", READ_ONLY },
    { "/etc/hosts", READ_ONLY },
    { "/etc/nsswitch.conf", READ_ONLY },
    { "/etc/host.conf", READ_ONLY },
    { "/etc/gai.conf", READ_ONLY },
    { "/etc/services", READ_ONLY },
    { "/run/systemd/resolve", READ_ONLY },
    { "/run/resolvconf", READ_ONLY },
    { "/run/NetworkManager", READ_ONLY },
    { "/mnt/wsl", READ_ONLY },
    { "/etc/ssl/certs", READ_ONLY },
    { "/etc/ssl/openssl.cnf", READ_ONLY },
    { "/etc/ca-certificates", READ_ONLY },
    { "/etc/pki", READ_ONLY },
    { "/usr/lib/ssl", READ_ONLY },
    { "/usr/share/ca-certificates", READ_ONLY },
    { "/usr/local/share/ca-certificates", READ_ONLY },
    { "/dev/urandom", READ_ONLY },
    { "/dev/random", READ_ONLY },
    { "/dev/null", READ_ONLY | FS_WRITE_FILE },
};

static const struct place system_places[] = {
    { "/etc", READ_ONLY },
    { "/usr", READ_EXEC },
    { "/lib", READ_EXEC },
    { "/lib64", READ_EXEC },
    { "/lib32", READ_EXEC },
    { "/bin", READ_EXEC },
    { "/sbin", READ_EXEC },
    { "/nix/store", READ_EXEC },
    { "/gnu/store", READ_EXEC },
    { "/proc", READ_ONLY },
};

/* What each role's own rules are made of; workers have none. The broker's children connect, so it cannot give that up. */
static const struct {
    bool resolver, os;  /* which of the lists above */
    uint64_t read_only; /* what "read only" of the caller's paths means */
    uint64_t net;
} roles[] = {
    [CONFINE_BROKER] = { true, true, READ_EXEC, 0 },
    [CONFINE_KEEPER] = { true, false, READ_ONLY, NET_BIND_TCP },
    [CONFINE_FETCH] = { true, false, READ_ONLY, NET_BIND_TCP },
    [CONFINE_WORKER] = { false, false, 0, NET_BIND_TCP | NET_CONNECT_TCP },
    [CONFINE_COMPILE] = { false, false, 0, NET_BIND_TCP | NET_CONNECT_TCP },
};

int landlock_version(void)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

    return version < MIN_VERSION ? 0 : (int) version;
}

static uint64_t known_rights(int version)
{
    return FS_ALL_V1 | FS_REFER | (version >= 3 ? FS_TRUNCATE : 0) | (version >= 5 ? FS_IOCTL_DEV : 0);
}

static int create_ruleset(enum confine_role role, int version)
{
    struct ruleset rules = { .fs = known_rights(version), .net = roles[role].net, .scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL };
    size_t size = version < 4 ? 8 : version < 6 ? 16 : sizeof rules;
    long fd = syscall(SYS_landlock_create_ruleset, &rules, size, 0);

    return fd < 0 ? -errno : (int) fd;
}

static int allow(int ruleset, const char *path, uint64_t rights, int version, struct err *err)
{
    CLEANUP_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);
    struct path_rule rule = { .allowed = rights & known_rights(version), .parent_fd = fd };
    struct stat st;

    if (fd < 0)
        return errno == ENOENT || errno == EACCES || errno == ENOTDIR ? 0 : err_errno(err, errno, "cannot open %s", path);
    if (fstat(fd, &st) < 0)
        return err_errno(err, errno, "cannot look at %s", path);
    if (!S_ISDIR(st.st_mode))
        rule.allowed &= FS_FILE;
    if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH, &rule, 0) < 0)
        return err_errno(err, errno, "cannot allow %s", path);
    return 0;
}

static int allow_places(int ruleset, const struct place *places, size_t len, int version, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < len && r == 0; i++)
        r = allow(ruleset, places[i].path, places[i].allowed, version, err);
    return r;
}

static int allow_all(int ruleset, const char *const *paths, uint64_t rights, int version, struct err *err)
{
    int r = 0;

    for (size_t i = 0; paths && paths[i] && r == 0; i++)
        r = allow(ruleset, paths[i], rights, version, err);
    return r;
}

int landlock_restrict(enum confine_role role, const struct confine_paths *paths, int version, struct err *err)
{
    CLEANUP_CLOSE int ruleset = create_ruleset(role, version);
    int r = 0;

    if (ruleset < 0)
        return err_errno(err, -ruleset, "cannot make Landlock rules");
    if (roles[role].resolver)
        r = allow_places(ruleset, resolver_places, ARRAY_LEN(resolver_places), version, err);
    if (r == 0 && roles[role].os)
        r = allow_places(ruleset, system_places, ARRAY_LEN(system_places), version, err);
    if (r == 0 && paths)
        r = allow_all(ruleset, paths->read_only, roles[role].read_only, version, err);
    if (r == 0 && paths)
        r = allow_all(ruleset, paths->read_write, READ_WRITE, version, err);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        r = err_errno(err, errno, "cannot apply Landlock rules");
    return r;
}

int landlock_scope(struct err *err)
{
    struct ruleset rules = { .scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL };
    CLEANUP_CLOSE int ruleset = (int) syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);

    if (ruleset < 0)
        return err_errno(err, errno, "cannot make Landlock rules");
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
        return err_errno(err, errno, "cannot apply Landlock rules");
    return 0;
}
