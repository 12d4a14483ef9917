/*
 * Starting the stand-in and reading the one line it prints; being the person in front of its consent page.
 */
#include "cli/demo.h"

#include "base/file.h"
#include "base/proc.h"
#include "base/url.h"
#include "cli/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/banned.h"

#define START_MS       5000
#define LINE_MAX_BYTES 8192

/* The line with ports, certificate and client. */
static int read_line(int fd, struct buf *line, struct err *err)
{
    for (;;) {
        struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
        char data[1024];
        ssize_t n = poll(&poll_fd, 1, START_MS);

        if (n < 0 && errno == EINTR)
            continue;
        n = n > 0 ? read(fd, data, sizeof(data)) : 0;
        if (n <= 0 || buf_add(line, data, (size_t) n) < 0)
            return err_set(err, EIO, "the demo's Google Workspace did not start");
        if (memchr(data, '\n', (size_t) n))
            return 0;
    }
}

static int read_announcement(int fd, struct workspace *workspace, struct err *err)
{
    CLEANUP(buf_free) struct buf line = BUF_INIT(LINE_MAX_BYTES);
    CLEANUP_JSON json_t *json = NULL;
    int r = read_line(fd, &line, err);

    if (r >= 0)
        r = json_parse(buf_str(&line), line.len, JSON_LIMITS(LINE_MAX_BYTES), &json, err);
    if (r < 0)
        return r;
    workspace->port = (unsigned) json_integer_value(json_object_get(json, "port"));
    workspace->browser_port = (unsigned) json_integer_value(json_object_get(json, "browser_port"));
    if (!workspace->port || !workspace->browser_port || !json_get_str(json, "ca") || !json_get_str(json, "client_id") ||
        !json_get_str(json, "client_secret"))
        return err_set(err, EPROTO, "the demo's Google Workspace said something unexpected");
    workspace->ca_path = strdup(json_get_str(json, "ca"));
    workspace->client_id = strdup(json_get_str(json, "client_id"));
    workspace->client_secret = strdup(json_get_str(json, "client_secret"));
    return workspace->ca_path && workspace->client_id && workspace->client_secret ? 0 : -ENOMEM;
}

int workspace_start(const char *dir, const char *forge, int delay_ms, struct workspace *ret_workspace, struct err *err)
{
    CLEANUP_FREE char *libexec = NULL;
    CLEANUP_FREE char *path = NULL;
    CLEANUP_CLOSE int program = -1, out_read = -1, in_read = -1, out_write = -1;
    int in_pipe[2], out_pipe[2];
    char delay[16];
    int r = programs_libexec(&libexec, err);

    if (r < 0)
        return r;
    if (asprintf(&path, "%s/aileron-demo-workspace", libexec) < 0)
        return -ENOMEM;
    program = open(path, O_PATH | O_CLOEXEC);
    if (program < 0)
        return err_errno(err, errno, "cannot open %s", path);
    if (pipe2(in_pipe, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    in_read = in_pipe[0];
    ret_workspace->stdin_fd = in_pipe[1];
    if (pipe2(out_pipe, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    out_read = out_pipe[0];
    out_write = out_pipe[1];
    snprintf(delay, sizeof(delay), "%d", delay_ms);

    const char *const argv[] = { "aileron-demo-workspace", "--dir", dir, "--forge", forge, "--delay-ms", delay, NULL };
    const char *const envp[] = { "LANG=C.UTF-8", NULL };
    struct proc_spec spec = { .program_fd = program,
        .argv = argv,
        .envp = envp,
        .stdin_fd = in_read,
        .stdout_fd = out_write,
        .stderr_fd = STDERR_FILENO,
        .die_with_parent = true,
        .new_session = true };

    r = proc_start(&spec, &ret_workspace->pid, &ret_workspace->pidfd, err);
    if (r < 0)
        return r;
    close(TAKE_FD(out_write));
    return read_announcement(out_read, ret_workspace, err);
}

void workspace_stop(struct workspace *workspace)
{
    struct pollfd poll_fd = { .fd = workspace->pidfd, .events = POLLIN };

    if (workspace->stdin_fd >= 0)
        close(TAKE_FD(workspace->stdin_fd));
    if (workspace->pidfd >= 0) {
        if (poll(&poll_fd, 1, 1000) <= 0)
            pidfd_send_signal(workspace->pidfd, SIGKILL, NULL, 0);
        waitpid(workspace->pid, NULL, 0);
        close(TAKE_FD(workspace->pidfd));
    }
    free(workspace->ca_path);
    free(workspace->client_id);
    free(workspace->client_secret);
    workspace->ca_path = workspace->client_id = workspace->client_secret = NULL;
}

int workspace_expire(const struct workspace *workspace, struct err *err)
{
    CLEANUP(visit_page_free) struct visit_page page = VISIT_PAGE_INIT;
    int r = visit_load(workspace->browser_port, "/expire", "", &page, err);

    return r < 0 || page.status == 200 ? r : err_set(err, EPROTO, "the demo's Google Workspace answered %d", page.status);
}

/* Where a URL leads, when it leads to `origin`; NULL otherwise. */
static const char *target_at(const char *url, const char *origin)
{
    size_t len = strlen(origin);

    return !strncmp(url, origin, len) && url[len] == '/' ? url + len : NULL;
}

/* Opens the page and presses Allow; *ret_url is where that leads. */
static int press_allow(const struct workspace *workspace, const char *target, char **ret_url, struct err *err)
{
    static const char mark[] = "name=\"request\" value=\"";
    CLEANUP(visit_page_free) struct visit_page page = VISIT_PAGE_INIT, next = VISIT_PAGE_INIT;
    CLEANUP_FREE char *form = NULL;
    const char *at;
    int r = visit_load(workspace->browser_port, target, NULL, &page, err);

    if (r < 0)
        return r;
    at = page.status == 200 ? strstr(buf_str(&page.text), mark) : NULL;
    if (!at)
        return err_set(err, EPROTO, "the consent page answered %d", page.status);
    at += sizeof(mark) - 1;
    if (asprintf(&form, "request=%.*s&decision=allow", (int) strcspn(at, "\""), at) < 0)
        return -ENOMEM;
    r = visit_load(workspace->browser_port, "/o/oauth2/v2/auth/consent", form, &next, err);
    if (r < 0)
        return r;
    *ret_url = next.status == 302 ? visit_header(&next, "Location") : NULL;
    return *ret_url ? 0 : err_set(err, EPROTO, "the consent page answered %d to Allow", next.status);
}

int workspace_consent(const struct workspace *workspace, const char *url, struct err *err)
{
    const char *target = target_at(url, "https://accounts.google.com");
    CLEANUP(visit_page_free) struct visit_page page = VISIT_PAGE_INIT;
    CLEANUP_FREE char *back = NULL;
    struct url daemon;
    int r = target ? press_allow(workspace, target, &back, err) : err_set(err, EPROTO, "%s is not the stand-in's", url);

    if (r >= 0)
        r = url_parse(back, strlen(back), &daemon, err);
    if (r < 0)
        return r;
    if (daemon.tls || !url_is_this_machine(&daemon))
        return err_set(err, EPROTO, "the consent page does not lead back to the daemon");
    r = visit_load(daemon.port, daemon.target, NULL, &page, err);
    return r < 0 || page.status == 200 ? r : err_set(err, EPROTO, "the daemon answered %d to the consent", page.status);
}
