/* What `aileron approval watch` shows, as a pure function of what there is: one frame of text for so many columns and rows. */
#ifndef CLI_WATCH_VIEW_H
#define CLI_WATCH_VIEW_H

#include "base/buf.h"
#include "cli/term.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define WATCH_STATUS_MAX 512

struct watch_view {
    const json_t *list; /* approvals, the newest first */
    size_t selected;    /* index; nothing when the list is empty */
    size_t scroll;      /* first line of the card that is shown; brought back into the card by watch_frame() */
    bool whole;         /* the card has the terminal to itself */
    bool live;          /* the daemon answers */
    long long pending;  /* in all; the list may be shorter */
    char status[WATCH_STATUS_MAX];
    enum style status_style;
    int64_t now_unix_ms;
    /* told by watch_frame(): */
    size_t card_lines, card_rows; /* of the card, and how many of them fit */
};

/* Appends the frame, lines separated by "\n". 0 or -ENOMEM. */
int watch_frame(struct watch_view *view, size_t columns, size_t rows, struct buf *out);
/* The last line of the card is in sight. */
bool watch_shows_end(const struct watch_view *view);

#endif
