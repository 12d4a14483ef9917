/* What waits, kept up to date by the daemon's events: the part of `approval watch` that shows nothing. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H

#include "cli/cli.h"
#include "cli/events.h"

struct watch {
    struct cli *cli;
    json_t *list;          /* pending ones and unresolved unknown ones, the newest first */
    long long pending;     /* in all */
    struct events *events; /* NULL: the daemon is away */
    bool was_away;         /* it has been since the last time it was there */
    /* Told of every approval that was asked for, or whose state or seal changed, also at the beginning; `fresh`: it was not known before. */
    void (*changed)(const json_t *approval, bool fresh, void *userdata);
    void *userdata;
};

int watch_init(struct watch *watch, struct cli *cli);
void watch_clear(struct watch *watch);
/* Connects to a daemon that is away and asks for everything. False: it is still away. */
bool watch_connect(struct watch *watch);
/* Takes what the stream has to say. False: the daemon has gone. */
bool watch_take(struct watch *watch);
/* Puts one that is known to be newer into its place, or takes it out when it is not to be decided any more. */
void watch_put(struct watch *watch, const json_t *approval);
/* Its place in the list; the list's length when it is not there. */
size_t watch_find(const struct watch *watch, const char *id);

#endif
