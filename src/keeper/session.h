/*
 * The keeper's side of its private channel to the broker (client.h): says HELLO,
 * lets each frame through the gate, answers. When the broker is gone or breaks the
 * protocol the keeper has nothing left to do.
 */
#ifndef KEEPER_SESSION_H
#define KEEPER_SESSION_H

#include "base/cleanup.h"
#include "base/err.h"
#include "keeper/parts.h"

#include <stdbool.h>

struct channel;
struct http_answer;
struct session;

struct session_hello {
    const char *confinement;
    bool overrides_given;
    const char *(*degraded)(void *userdata); /* "" = nothing */
    void *userdata;
};

/* The peer is gone: `reason` as in channel.h. The session is freed by its owner. */
typedef void session_end_fn(int reason, void *userdata);

/* Takes the socket. `parts` is borrowed and needs to be complete before the loop runs; `hello` is copied, its text borrowed until HELLO was said. */
int session_new(const struct parts *parts, int socket, const struct session_hello *hello, session_end_fn *fn, void *userdata,
    struct session **ret_session, struct err *err);
/* Borrowed: what receipts travel over. */
struct channel *session_channel(struct session *session);
/* Once, before the loop runs. */
int session_say_hello(struct session *session, struct err *err);
/* The http_answer_fn of the requests that came through here; `userdata` is the session. */
void session_answer(const struct http_answer *answer, void *userdata);
/* An unasked STATE; nothing before the broker has configured the keeper. */
void session_tell_state(struct session *session);
void session_free(struct session *session);
DEFINE_CLEANUP_PTR(struct session, session_free)

#endif
