/*
 * notify.command (SPEC §12): a program of the owner's that is told that an approval waits: its id, the action's name, the review
 * URL; never arguments. The program has to reach the desktop, so it cannot run inside the broker's confinement. A helper
 * (`aileron-broker --notify`), started before the lock-down, runs it: it holds no secret and no descriptor but one socket, and
 * trusts the broker with nothing. Whatever it is sent, it only starts an existing program file of the user's or root's that lies
 * outside of what the broker may write, with three words of a fixed form. So a broker taken over gains nothing by it.
 */
#ifndef BROKER_NOTIFY_H
#define BROKER_NOTIFY_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/home.h"

#include <limits.h>

struct loop;
struct notify;

/* Starts the helper from the broker's own program file; call it before the lock-down. `home` is borrowed. */
int notify_start(int program_fd, const struct home *home, struct notify **ret_notify, struct err *err);
/* From now on it can be told. Takes no ownership of the loop. */
int notify_attach(struct notify *notify, struct loop *loop, struct err *err);
/* NULL or "": nobody is told. Copied. */
void notify_set_command(struct notify *notify, const char *command);
/* Tells that an approval was requested. Never fails: what goes wrong is in the log, and the approval waits all the same. */
void notify_send(struct notify *notify, const char *id, const char *action, const char *url);
void notify_free(struct notify *notify);
DEFINE_CLEANUP_PTR(struct notify, notify_free)

/*
 * Whether `command` may be run: an absolute path of a program file of this user's or root's that nobody else can write, outside of
 * `home` and `socket_dir`. `resolved` gets the path without links. -EINVAL and the like, in words.
 */
int notify_check(const char *command, const char *home, const char *socket_dir, char resolved[PATH_MAX], struct err *err);

/* The helper's main; descriptor 3 is the socket. */
int notifier_main(const char *home, const char *socket_dir);

/* Frames of that socket (docs/protocols.md). */
enum notify_frame {
    NOTIFY_RUN = 1,    /* broker → helper: str command, str approval id, str action, str URL */
    NOTIFY_FAILED = 2, /* helper → broker: str what went wrong, for the log */
};

#define NOTIFY_FD       3
#define NOTIFY_TEXT_MAX 8192

#endif
