/*
 * What passes between one agent and the daemon, and what happens to it when the daemon goes and comes back: a state machine
 * over lines, which knows no descriptor and no clock. Every request gets exactly one answer: the daemon's; an honest error
 * when it may have been carried out; or none of both but the daemon's after all, because it was never sent, or asks only.
 */
#ifndef RELAY_LINK_H
#define RELAY_LINK_H

#include "base/buf.h"
#include "relay/flight.h"

#include <stdbool.h>
#include <stdint.h>

#define LINK_LINE_MAX    (2u * 1024 * 1024)  /* an agent's message, as the daemon takes it */
#define LINK_ANSWER_MAX  (32u * 1024 * 1024) /* a daemon's */
#define LINK_HOLD_MS     3000                /* how long requests wait for a daemon that is away */
#define LINK_BACKLOG_MAX (256u * 1024)       /* more is not read while so much is not taken by the other side */

struct link {
    struct buf to_agent, to_daemon; /* the owner writes and consumes them */
    uint64_t queued, written;       /* bytes of to_daemon since the connection began */
    const char *token;
    struct flights flights;
    bool connected;
    bool good;             /* this connection has been answered */
    bool ever_good;        /* one was */
    bool refused;          /* the daemon does not want this session; why[] says so */
    bool greeted;          /* the agent's initialize was answered */
    bool initialized;      /* it said so */
    bool resuming;         /* our own initialize is on its way */
    bool broken;           /* out of memory: it cannot go on */
    int64_t away_since_ms; /* of CLOCK_MONOTONIC; counts unless `good` */
    char why[256];
};

/* `token` must outlive it. */
void link_init(struct link *link, const char *token, int64_t now_ms);
void link_free(struct link *link);
/* A line from the agent, without its newline; one that was longer than LINK_LINE_MAX. */
void link_agent_line(struct link *link, const char *line, size_t len, int64_t now_ms);
void link_agent_overlong(struct link *link);
/* A line from the daemon. */
void link_daemon_line(struct link *link, const char *line, size_t len, int64_t now_ms);
/* There is a connection. */
void link_connected(struct link *link);
/* So many bytes of to_daemon were written; consumes them. */
void link_written(struct link *link, size_t len);
/* The connection has ended. */
void link_lost(struct link *link, int64_t now_ms);
/* Answers what has waited long enough. Milliseconds until it wants to be called again, or -1. */
int64_t link_time(struct link *link, int64_t now_ms);

#endif
