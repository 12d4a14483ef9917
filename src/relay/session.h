/*
 * A session of the relay's own, for when no launcher gave it one: opened and
 * ended over the owner's door, which is used for nothing else.
 */
#ifndef RELAY_SESSION_H
#define RELAY_SESSION_H

#include "base/err.h"

struct home;

#define RELAY_ID_MAX    64
#define RELAY_TOKEN_MAX 128

struct relay_session {
    char id[RELAY_ID_MAX];
    char token[RELAY_TOKEN_MAX];
};

/* A connected stream socket, close-on-exec and with `flags` of socket(2); -ENOENT and -ECONNREFUSED when nobody listens. */
int relay_connect(const char *path, int flags, struct err *err);
/* Opens a session for `agent` (what the client calls itself) in `folder` (NULL: none). As relay_connect when there is no daemon. */
int relay_session_open(
    const struct home *home, const char *agent, const char *folder, struct relay_session *ret_session, struct err *err);
/* Ends it; whether the daemon still knows it does not matter. */
void relay_session_end(const struct home *home, const struct relay_session *session);
/* Runs `aileron daemon start`, which lies beside this program. 0, or -errno after it said why on stderr. */
int relay_start_daemon(struct err *err);

#endif
