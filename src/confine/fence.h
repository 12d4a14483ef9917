/*
 * The fence around an agent of the same user: it may work on this machine as the
 * person does, and can neither see nor reach what decides for the person.
 *
 * Two user and mount namespaces, one inside the other, and two pid namespaces.
 * The outer ones belong to a small first process, which made the mounts, watches
 * over system calls that need a look, and takes everything inside along when it
 * ends. The inner ones belong to a second one, which has no capability anywhere,
 * starts the program and buries what it leaves behind. From inside neither the
 * first process nor anything of ours has a number, and the mounts cannot be undone.
 */
#ifndef CONFINE_FENCE_H
#define CONFINE_FENCE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct fence_spec {
    const char *home;         /* AILERON_HOME: gone, wherever else it is mounted too */
    const char *socket_dir;   /* the folder of the sockets, home or another: gone */
    const char *agent_dir;    /* what is left of it, read only */
    const char *session_file; /* a path below socket_dir; exists inside only */
    const char *session_text; /* and holds this */
    const char *folder;       /* where the program starts; must not be hidden */
    const char *const
        *fixed; /* NULL-terminated files and folders that cannot be changed or replaced, unless below `folder`; NULL */
};

/* What is told over the channel, one message each. */
enum fence_event_kind {
    FENCE_STARTED, /* by the program's process itself, so that the message's credentials tell its number */
    FENCE_STATUS,  /* `status` as waitpid gives it: it stopped, went on or ended */
    FENCE_FAILED,  /* `err`: it was not started */
};

struct fence_event {
    enum fence_event_kind kind;
    int status;
    struct err err;
};

/* Why there can be no fence here, before anything is started for it: 0, or a negative errno with the setting to change. */
int fence_check(const struct fence_spec *spec, struct err *err);
/* One line: what it is made of on this kernel. Returns `out`. */
char *fence_describe(char *out, size_t size);

/* Called inside, in the process that becomes the program; does not return. */
typedef void fence_main_fn(void *userdata);
/*
 * Puts the fence up and calls `fn` inside. The caller has one thread and all its signals blocked. `channel` is a SOCK_SEQPACKET
 * pair and stays the caller's: its own end, then the other one, which is told what happens until it is closed; once the caller's own
 * end is closed everywhere, everything inside ends. *ret_pid is the first process: it ends when the program has, is to be reaped, and
 * killing it ends everything.
 */
int fence_start(
    const struct fence_spec *spec, const int channel[2], fence_main_fn *fn, void *userdata, pid_t *ret_pid, struct err *err);

#endif
