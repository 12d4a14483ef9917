/*
 * What the relay itself says to the agent when the daemon cannot: every function adds one line of JSON-RPC. A call's answer is a
 * tool result, in words and in structured form, because models see only one of the two and never an error of JSON-RPC.
 */
#ifndef RELAY_WORDS_H
#define RELAY_WORDS_H

#include "base/buf.h"
#include "relay/flight.h"

/* The daemon may have carried it out. */
int words_lost(struct buf *out, const struct flight *flight);
/* It never reached the daemon: `why`, plain text without quotes. initialize and ping are answered as the daemon would. */
int words_unreachable(struct buf *out, const struct flight *flight, const char *why);
/* An error of JSON-RPC; `id` NULL: it could not be read. */
int words_error(struct buf *out, const char *id, int code, const char *text);
int words_tools_changed(struct buf *out);

#endif
