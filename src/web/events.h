/*
 * GET /v1/events: the broker's events as server-sent events (WHATWG HTML §9.2) on answers that do not end.
 */
#ifndef WEB_EVENTS_H
#define WEB_EVENTS_H

#include "base/cleanup.h"

#define EVENTS_STREAMS_MAX 32

struct broker;
struct events;
struct evhttp_request;

/* Listens to the broker (borrowed, longer-lived) while there are streams. 0 or -ENOMEM. */
int events_new(struct broker *broker, struct events **ret_events);
/* Lets go of the streams; the server that owns their connections must be freed afterwards. */
void events_free(struct events *events);
DEFINE_CLEANUP_PTR(struct events, events_free)
/* Answers the request with a stream; the caller has added what headers it wants. -ENOSPC: there are too many, not answered. */
int events_open(struct events *events, struct evhttp_request *http);

#endif
