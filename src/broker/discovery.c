/*
 * Lock, sockets, discovery files. The lock is an flock on daemon.lock, so it
 * goes with the process however that ends.
 */
#include "broker/discovery.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "base/secret.h"
#include "crypt/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/banned.h"

#define BACKLOG        128
#define KEEPER_BACKLOG 64
#define PORT_FILE      "daemon.port"

static const char *const FILES[] = { "daemon.json", "daemon.pid", "daemon.url" };

struct discovery {
    const struct home *home;
    int dirfd, lock_fd, owner_fd, agent_fd, keeper_fd;
    bool published;
    struct discovery_facts facts;
};

static int take_lock(struct discovery *discovery, struct err *err)
{
    discovery->lock_fd = openat(discovery->dirfd, "daemon.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (discovery->lock_fd < 0)
        return err_errno(err, errno, "cannot open %s/daemon.lock", discovery->home->path);
    if (flock(discovery->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    if (errno != EWOULDBLOCK)
        return err_errno(err, errno, "cannot lock %s/daemon.lock", discovery->home->path);
    err_set(err, EALREADY, "a daemon runs in %s already", discovery->home->path);
    err_hint(err, "aileron status shows it, aileron stop ends it");
    return -EALREADY;
}

/* A socket file of an earlier daemon is in the way; under the lock it belongs to nobody. */
static int remove_stale(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(st.st_mode))
        return -EEXIST;
    return unlink(path) < 0 ? -errno : 0;
}

static int listen_at(const char *path, int type, int backlog, int *ret_fd, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int r = remove_stale(path);

    if (strlen(path) >= sizeof address.sun_path)
        return err_set(err, ENAMETOOLONG, "%s is too long for a socket", path);
    if (r < 0)
        return err_errno(err, -r, "cannot make the socket %s", path);
    CLEANUP_CLOSE int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    /* Nobody can connect between bind and chmod: the folder is private, and nobody listens yet. */
    if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || chmod(path, 0600) < 0 || listen(fd, backlog) < 0)
        return err_errno(err, errno, "cannot make the socket %s", path);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static void make_token(struct discovery_facts *facts)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(DISCOVERY_TOKEN_MAX);
    uint8_t bytes[32];

    random_bytes(bytes, sizeof bytes);
    base64url_encode(bytes, sizeof bytes, &text);
    snprintf(facts->token, sizeof facts->token, "ago_%s", buf_str(&text));
}

int discovery_open(const struct home *home, struct discovery **ret_discovery, struct err *err)
{
    CLEANUP_PTR(discovery_close) struct discovery *discovery = calloc(1, sizeof *discovery);
    int r;

    if (!discovery)
        return err_set(err, ENOMEM, "out of memory");
    discovery->home = home;
    discovery->lock_fd = discovery->owner_fd = discovery->agent_fd = discovery->keeper_fd = -1;
    discovery->dirfd = open(home->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (discovery->dirfd < 0)
        return err_errno(err, errno, "cannot open %s", home->path);
    r = take_lock(discovery, err);
    if (!r)
        r = file_make_dirs(home->socket_dir, 0700, err);
    if (!r)
        r = file_make_dirs(home->agent_dir, 0700, err);
    if (!r)
        r = listen_at(home->daemon_sock, SOCK_STREAM, BACKLOG, &discovery->owner_fd, err);
    if (!r)
        r = listen_at(home->agent_sock, SOCK_STREAM, BACKLOG, &discovery->agent_fd, err);
    if (!r)
        r = listen_at(home->keeper_sock, SOCK_SEQPACKET, KEEPER_BACKLOG, &discovery->keeper_fd, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
        unlinkat(discovery->dirfd, FILES[i], 0);
    make_token(&discovery->facts);
    *ret_discovery = TAKE_PTR(discovery);
    return 0;
}

void discovery_close(struct discovery *discovery)
{
    if (!discovery)
        return;
    if (discovery->published)
        for (size_t i = 0; i < ARRAY_LEN(FILES); i++)
            unlinkat(discovery->dirfd, FILES[i], 0);
    if (discovery->published) {
        unlink(discovery->home->daemon_sock);
        unlink(discovery->home->agent_sock);
        unlink(discovery->home->keeper_sock);
    }
    if (discovery->owner_fd >= 0)
        close(discovery->owner_fd);
    if (discovery->agent_fd >= 0)
        close(discovery->agent_fd);
    if (discovery->keeper_fd >= 0)
        close(discovery->keeper_fd);
    if (discovery->dirfd >= 0)
        close(discovery->dirfd);
    if (discovery->lock_fd >= 0)
        close(discovery->lock_fd);
    secret_wipe(&discovery->facts, sizeof discovery->facts);
    free(discovery);
}

int discovery_take_owner_socket(struct discovery *discovery)
{
    return TAKE_FD(discovery->owner_fd);
}

int discovery_take_agent_socket(struct discovery *discovery)
{
    return TAKE_FD(discovery->agent_fd);
}

int discovery_keeper_socket(const struct discovery *discovery)
{
    return discovery->keeper_fd;
}

static bool port_is_free(unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t) port), .sin_addr = { htonl(INADDR_LOOPBACK) }
    };
    CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    return bind(fd, (struct sockaddr *) &address, sizeof address) == 0;
}

unsigned discovery_last_port(const struct discovery *discovery)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(16);

    if (file_read(discovery->dirfd, PORT_FILE, &text, NULL) < 0)
        return 0;
    unsigned long port = strtoul(buf_str(&text), NULL, 10);
    return port >= 1024 && port <= 65535 && port_is_free((unsigned) port) ? (unsigned) port : 0;
}

/* Whole or not at all, but not synced: after a power loss no daemon runs, and these files mean nothing. */
static int write_text(struct discovery *discovery, const char *name, const char *text, struct err *err)
{
    char temporary[64];
    int r;

    snprintf(temporary, sizeof temporary, ".%s.new", name);
    unlinkat(discovery->dirfd, temporary, 0);
    CLEANUP_CLOSE int fd = openat(discovery->dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    r = fd < 0 ? -errno : file_write_full(fd, text, strlen(text));
    if (!r && renameat(discovery->dirfd, temporary, discovery->dirfd, name) < 0)
        r = -errno;
    return r < 0 ? err_errno(err, -r, "cannot write %s/%s", discovery->home->path, name) : 0;
}

int discovery_publish(struct discovery *discovery, unsigned port, int64_t started_unix_ms, struct err *err)
{
    char started[CLOCK_TEXT_MAX], text[96];
    struct discovery_facts *facts = &discovery->facts;

    snprintf(facts->url, sizeof facts->url, "http://127.0.0.1:%u", port);
    discovery->published = true;
    snprintf(text, sizeof text, "%u\n", port);
    int r = write_text(discovery, PORT_FILE, text, err);
    snprintf(text, sizeof text, "%d\n", (int) getpid());
    if (!r)
        r = write_text(discovery, "daemon.pid", text, err);
    snprintf(text, sizeof text, "%s\n", facts->url);
    if (!r)
        r = write_text(discovery, "daemon.url", text, err);
    json_t *json = json_pack("{s:s, s:s, s:s, s:i, s:s, s:s}", "url", facts->url, "socket", discovery->home->daemon_sock, "token",
        facts->token, "pid", (int) getpid(), "version", AILERON_VERSION, "started_at", clock_format(started_unix_ms, started));
    CLEANUP_FREE char *body = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!r)
        r = body ? write_text(discovery, "daemon.json", body, err) : err_set(err, ENOMEM, "out of memory");
    return r;
}

const struct discovery_facts *discovery_facts(const struct discovery *discovery)
{
    return &discovery->facts;
}

bool discovery_is_token(const struct discovery *discovery, const char *token)
{
    size_t len = strlen(discovery->facts.token);

    return strlen(token) == len && secret_memequal(token, discovery->facts.token, len);
}
