/*
 * The requests that the agent waits for. Each leaves the table exactly once: with the daemon's answer, or with one of ours
 * (words.h) when there is none to come. The text is kept as long as the daemon may have to be asked again.
 */
#ifndef RELAY_FLIGHT_H
#define RELAY_FLIGHT_H

#include "base/buf.h"
#include "relay/scan.h"

#include <stdbool.h>
#include <stdint.h>

#define FLIGHTS_MAX      256
#define FLIGHTS_KEPT_MAX (8u * 1024 * 1024) /* bytes of text that wait for a daemon */

struct flight {
    char *id;         /* as it was sent */
    struct buf plain; /* scan_id_plain() */
    char *tool;       /* of tools/call, as the words call it; NULL: another method */
    char version[16]; /* of initialize: what the agent asked for */
    char *text;       /* NULL: not kept any more */
    size_t text_len;
    uint64_t due;    /* link.c: it was sent when so many bytes were; 0: it is not on its way */
    bool initialize; /* it is the first of all */
    struct flight *next;
};

struct flights {
    struct flight *first, **last; /* in the order in which they came */
    size_t len, kept;
};

#define FLIGHTS_INIT(flights)                                                                                                    \
    {                                                                                                                            \
        NULL, &(flights).first, 0, 0                                                                                             \
    }

/* Adds a request. NULL when there is no room or memory. */
struct flight *flight_add(struct flights *flights, const struct scan *scan, const char *line, size_t len);
struct flight *flight_find(const struct flights *flights, struct scan_slice id);
/* Gives up its text: it is not to be sent again. */
void flight_forget_text(struct flights *flights, struct flight *flight);
void flight_remove(struct flights *flights, struct flight *flight);
void flights_clear(struct flights *flights);

#endif
