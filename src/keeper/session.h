/*
 * The keeper's side of its private channel to the broker (client.h): says HELLO,
 * lets each frame through the gate, answers. When the broker is gone or breaks the
 * protocol the keeper has nothing left to do.
 */
#ifndef KEEPER_SESSION_H
#define KEEPER_SESSION_H

#include "keeper/http.h"
#include "loop/channel.h"

struct session;

struct session_hello {
    const char *confinement;
    bool overrides_active;
    const char *degraded; /* "" = nothing */
};

/* The peer is gone: `reason` as in channel.h. The session is freed by its owner. */
typedef void session_end_fn(int reason, void *userdata);

/* Takes the socket; sends HELLO. `context` is copied, what it names must outlive the session. */
int session_new(const struct http_context *context, int socket, const struct session_hello *hello, session_end_fn *fn,
    void *userdata, struct session **ret_session, struct err *err);
void session_free(struct session *session);
DEFINE_CLEANUP_PTR(struct session, session_free)

#endif
