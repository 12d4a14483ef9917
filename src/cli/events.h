/*
 * The daemon's stream of events (GET /v1/events, server-sent events), read as it comes. An event says that something changed,
 * at most which; what it is now is asked of the API.
 */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include "base/cleanup.h"
#include "base/err.h"

#include <jansson.h>
#include <signal.h>

#define EVENT_TYPE_MAX  32
#define EVENTS_QUIET_MS 40000 /* the daemon says something every 15 s: after so long it is gone */

struct events;

struct event {
    char type[EVENT_TYPE_MAX];
    json_t *data; /* an object; the caller's */
};

/*
 * Connects and waits, at most a few seconds, until the stream has begun: what changes from then on is told. `interrupted` as
 * in http_request. The errors of http_connect(), -EPROTO when the daemon answered something else, -EINTR.
 */
int events_open(const char *socket_path, const volatile sig_atomic_t *interrupted, struct events **ret_events, struct err *err);
/* Readable when there is something to take. */
int events_fd(const struct events *events);
/* 1 and the next event; 0: nothing more for now; negative: the stream has ended. Never waits. */
int events_next(struct events *events, struct event *ret_event);
void events_close(struct events *events);
DEFINE_CLEANUP_PTR(struct events, events_close)

#endif
