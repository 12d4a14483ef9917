/* The broker's end of the notify helper: it sends and forgets. A helper that died stays dead until the daemon starts anew. */
#include "broker/notify.h"

#include "base/magic.h"
#include "base/proc.h"
#include "broker/log.h"
#include "loop/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/banned.h"

#define NOTIFY_MAGIC 0x6e746679u

struct notify {
    uint32_t magic;
    pid_t pid;
    int socket;              /* -1: the channel has it */
    struct channel *channel; /* NULL: not attached, or the helper has ended */
    char *command;
};

int notify_start(int program_fd, const struct home *home, struct notify **ret_notify, struct err *err)
{
    const char *const argv[] = { "aileron-notify", "--home", home->path, "--notify", home->socket_dir, NULL };
    const char *const envp[] = { "LANG=C.UTF-8", NULL };
    CLEANUP_PTR(notify_free) struct notify *notify = calloc(1, sizeof *notify);
    CLEANUP_CLOSE int theirs = -1;
    CLEANUP_CLOSE int pidfd = -1;
    int sockets[2], r;

    if (!notify)
        return err_set(err, ENOMEM, "out of memory");
    notify->magic = NOTIFY_MAGIC;
    notify->socket = -1;
    r = wire_pair(sockets);
    if (r < 0)
        return err_errno(err, -r, "cannot make a socket pair");
    notify->socket = sockets[0];
    theirs = sockets[1];
    const struct proc_spec spec = { .program_fd = program_fd,
        .argv = argv,
        .envp = envp,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = -1,
        .fds = { theirs },
        .fds_len = 1,
        .new_session = true };
    r = proc_start(&spec, &notify->pid, &pidfd, err);
    if (r < 0)
        return r;
    *ret_notify = TAKE_PTR(notify);
    return 0;
}

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    const char *text = wire_get_str(frame, NOTIFY_TEXT_MAX);

    if (frame->type != NOTIFY_FAILED || wire_end(frame) < 0)
        return -EPROTO;
    log_warn("%s", text);
    return 0;
}

static void on_close(struct channel *channel, int reason, void *userdata)
{
    struct notify *notify = MAGIC_CAST(struct notify, userdata, NOTIFY_MAGIC);

    log_warn("notify.command is without effect until the daemon starts anew: its helper has ended");
    waitpid(notify->pid, NULL, WNOHANG);
    channel_free(TAKE_PTR(notify->channel));
}

int notify_attach(struct notify *notify, struct loop *loop, struct err *err)
{
    int r = channel_new(loop, TAKE_FD(notify->socket), on_frame, on_close, notify, &notify->channel);

    return r < 0 ? err_errno(err, -r, "cannot talk to the notify helper") : 0;
}

void notify_set_command(struct notify *notify, const char *command)
{
    free(notify->command);
    notify->command = command && *command ? strdup(command) : NULL;
}

void notify_send(struct notify *notify, const char *id, const char *action, const char *url)
{
    CLEANUP(wire_free) struct wire_frame frame = { 0 };

    if (!notify || !notify->command || !notify->channel)
        return;
    wire_init(&frame, NOTIFY_RUN, 0);
    wire_put_str(&frame, notify->command);
    wire_put_str(&frame, id);
    wire_put_str(&frame, action);
    wire_put_str(&frame, url);
    if (channel_send(notify->channel, &frame) < 0)
        log_warn("notify.command was not run for %s", id);
}

void notify_free(struct notify *notify)
{
    if (!notify)
        return;
    channel_free(notify->channel);
    if (notify->socket >= 0)
        close(notify->socket);
    free(notify->command);
    free(notify);
}
