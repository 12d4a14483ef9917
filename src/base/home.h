/*
 * Where things are: $AILERON_HOME (default ~/.aileron, 0700), the paths below it
 * and the folder of the sockets, which moves to /run/user/UID/aileron-<hash> when
 * the home's path is too long for a socket address (SPEC §7).
 * Only the CLI and the relay ask the environment; the daemon is told by argument.
 */
#ifndef BASE_HOME_H
#define BASE_HOME_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stddef.h>

struct home {
    char *path;        /* absolute */
    char *socket_dir;  /* path, or the runtime folder */
    char *daemon_sock; /* owner's HTTP door */
    char *keeper_sock; /* passphrases and secrets */
    char *agent_dir;   /* socket_dir/agent */
    char *agent_sock;  /* socket_dir/agent/agent.sock */
};

/* From the environment: AILERON_HOME, else HOME, else the user database. Creates nothing. */
int home_from_env(struct home **ret_home, struct err *err);
/* From an absolute path. */
int home_from_path(const char *path, struct home **ret_home, struct err *err);
/* Creates the folder 0700; refuses one of another owner or accessible to others, naming the chmod. */
int home_create(const struct home *home, struct err *err);
/* malloc'd "<home>/<relative>"; NULL when out of memory. */
char *home_file(const struct home *home, const char *relative);
void home_free(struct home *home);
DEFINE_CLEANUP_PTR(struct home, home_free)

#endif
