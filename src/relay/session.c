/*
 * Two small HTTP/1.0 requests: one answer a connection, read to its end, no
 * chunks. The answer's two texts are ids of ours, so they are taken only in
 * the plain form that ids have.
 */
#include "relay/session.h"

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/encode.h"
#include "base/home.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/banned.h"

#define ANSWER_MAX (64 * 1024)
#define TIMEOUT_S  20

int relay_connect(const char *path, int flags, struct err *err)
{
    CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (fd < 0)
        return err_errno(err, errno, "cannot make a socket");
    if (strlen(path) >= sizeof(address.sun_path))
        return err_set(err, ENAMETOOLONG, "%s is too long for a socket", path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *) &address, sizeof(address)) < 0)
        return err_errno(err, errno, "cannot reach the daemon at %s", path);
    return TAKE_FD(fd);
}

/* Quoted JSON text. What is not UTF-8 becomes "". */
static int quote(struct buf *out, const char *text)
{
    int r = buf_add_char(out, '"');

    if (!utf8_is_valid(text, strlen(text)))
        text = "";
    for (; *text && r >= 0; text++) {
        if ((unsigned char) *text < 0x20)
            r = buf_printf(out, "\\u%04x", (unsigned) *text);
        else if (*text == '"' || *text == '\\')
            r = buf_printf(out, "\\%c", *text);
        else
            r = buf_add_char(out, *text);
    }
    return r < 0 ? r : buf_add_char(out, '"');
}

static int send_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            return -errno;
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t) n : 0;
    }
    return 0;
}

static int receive_all(int fd, struct buf *answer)
{
    char data[4096];

    for (;;) {
        ssize_t n = recv(fd, data, sizeof(data), 0);
        int r;

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        r = buf_add(answer, data, (size_t) n);
        if (r < 0)
            return r;
    }
}

/* POSTs `body` ("" allowed); gives the HTTP status and the whole answer. */
static int post(const struct home *home, const char *path, const char *body, int *ret_status, struct buf *answer, struct err *err)
{
    CLEANUP_CLOSE int fd = relay_connect(home->daemon_sock, 0, err);
    CLEANUP(buf_free) struct buf request = BUF_INIT(ANSWER_MAX);
    struct timeval timeout = { .tv_sec = TIMEOUT_S };
    int r;

    if (fd < 0)
        return fd;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    r = buf_printf(&request,
        "POST %s HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path,
        strlen(body), body);
    if (r >= 0)
        r = send_all(fd, request.data, request.len);
    if (r >= 0)
        r = receive_all(fd, answer);
    if (r < 0)
        return err_errno(err, -r, "cannot speak to the daemon");
    if (strncmp(buf_str(answer), "HTTP/1.", 7) != 0 || answer->len < 12 || strspn(answer->data + 9, "0123456789") != 3)
        return err_set(err, EPROTO, "the daemon's answer is not valid HTTP");
    *ret_status = (int) strtol(answer->data + 9, NULL, 10);
    return 0;
}

/* The text of "name":"…" if it is made of letters, digits, - and _ and fits. */
static bool take_text(const char *answer, const char *name, char *out, size_t size)
{
    static const char PLAIN[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char key[64];
    const char *at;
    size_t len;

    snprintf(key, sizeof(key), "\"%s\"", name);
    at = strstr(answer, key);
    if (!at)
        return false;
    at += strlen(key);
    at += strspn(at, " :");
    len = *at == '"' ? strspn(at + 1, PLAIN) : 0;
    if (!len || len >= size || at[1 + len] != '"')
        return false;
    memcpy(out, at + 1, len);
    out[len] = '\0';
    return true;
}

int relay_session_open(
    const struct home *home, const char *agent, const char *folder, struct relay_session *ret_session, struct err *err)
{
    CLEANUP(buf_free) struct buf body = BUF_INIT(16 * 1024);
    CLEANUP(buf_free) struct buf answer = BUF_INIT(ANSWER_MAX);
    const char *content;
    int status = 0;
    int r = buf_add_str(&body, "{\"agent\":");

    if (r >= 0)
        r = quote(&body, agent);
    if (r >= 0 && folder)
        r = buf_add_str(&body, ",\"folder\":");
    if (r >= 0 && folder)
        r = quote(&body, folder);
    if (r >= 0)
        r = buf_add_char(&body, '}');
    if (r < 0)
        return err_set(err, -r, "the folder's name is too long");
    r = post(home, "/v1/sessions", buf_str(&body), &status, &answer, err);
    if (r < 0)
        return r;
    content = strstr(buf_str(&answer), "\r\n\r\n");
    if (status / 100 != 2 || !content || !take_text(content, "session_id", ret_session->id, sizeof(ret_session->id)) ||
        !take_text(content, "token", ret_session->token, sizeof(ret_session->token)))
        return err_set(err, EPROTO, "the daemon opened no session for this agent (status %d)", status);
    return 0;
}

void relay_session_end(const struct home *home, const struct relay_session *session)
{
    CLEANUP(buf_free) struct buf answer = BUF_INIT(ANSWER_MAX);
    char path[RELAY_ID_MAX + 32];
    int status;

    snprintf(path, sizeof(path), "/v1/sessions/%s/end", session->id);
    post(home, path, "{}", &status, &answer, NULL);
}

/* The command line program beside this one: installed, or in the build folder. */
static int find_cli(char path[PATH_MAX], struct err *err)
{
    static const char *const PLACES[] = { "aileron", "../cli/aileron" };
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (len <= 0)
        return err_errno(err, errno, "cannot tell where this program is");
    self[len] = '\0';
    slash = strrchr(self, '/');
    for (size_t i = 0; slash && i < ARRAY_LEN(PLACES); i++) {
        if (snprintf(path, PATH_MAX, "%.*s/%s", (int) (slash - self), self, PLACES[i]) < PATH_MAX && access(path, X_OK) == 0)
            return 0;
    }
    return err_set(err, ENOENT, "cannot find the program aileron beside %s", self);
}

int relay_start_daemon(struct err *err)
{
    char path[PATH_MAX], name[] = "aileron", group[] = "daemon", verb[] = "start";
    char *const argv[] = { name, group, verb, NULL };
    posix_spawn_file_actions_t actions;
    int status = 0;
    pid_t pid;
    int r = find_cli(path, err);

    if (r < 0)
        return r;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", 0, 0);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO); /* stdout belongs to the protocol */
    r = posix_spawn(&pid, path, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (r)
        return err_errno(err, r, "cannot run %s", path);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return err_errno(err, errno, "cannot wait for %s", path);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_set(err, EIO, "the daemon could not be started");
    return 0;
}
