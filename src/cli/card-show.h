/* A card on a terminal: everything that the page shows of an approval (GET /v1/approvals/{id}), as lines. */
#ifndef CLI_CARD_SHOW_H
#define CLI_CARD_SHOW_H

#include "cli/lines.h"

#include <stdint.h>

/* Adds the whole card; `now_unix_ms` for "12 s ago". */
void card_show(struct lines *lines, const json_t *approval, int64_t now_unix_ms);
/* What became of it, without the card; nothing while it is pending. */
void card_show_outcome(struct lines *lines, const json_t *approval);
/* What is other than when it was asked before; nothing when there is none. */
void card_show_difference(struct lines *lines, const json_t *approval);

/* "waiting for you", "done", "outcome unknown" …; the state itself when it is none of ours. */
const char *card_state_words(const json_t *approval, enum style *ret_style);
/* "Send draft": the title, else the action's name. Borrowed, foreign. */
const char *card_title(const json_t *approval);
/* Appends who asks, visible: "you" for a command of the owner's, "agent NAME" else, for an agent may call itself what it likes. */
int card_asker(const json_t *approval, struct buf *out);
bool card_is(const json_t *approval, const char *state);
/* Nothing happens to it any more. */
bool card_is_over(const json_t *approval);
/* Unknown and nobody has looked after it yet. */
bool card_is_unresolved(const json_t *approval);
/* "12 s ago", "in 23 h 59 min"; "" when it is no time. Returns `out`. */
char *card_ago(const char *rfc3339, int64_t now_unix_ms, char out[64]);

#endif
