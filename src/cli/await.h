/* Waiting for what becomes of an approval. The daemon may be started anew meanwhile; what waits there survives it. */
#ifndef CLI_AWAIT_H
#define CLI_AWAIT_H

#include "cli/cli.h"

enum await_end {
    AWAIT_OVER,        /* nothing happens to it any more */
    AWAIT_PENDING,     /* it waits for a decision: told only when asked to wait for what follows one */
    AWAIT_INTERRUPTED, /* Ctrl-C; it is as it was */
};

/*
 * Waits until the approval is over, or, unless `also_pending`, until it waits for a decision. *ret_approval is what it was last.
 * `words` (NULL allowed) are said first, when Ctrl-C is caught already. CODE_DONE, or an exit code after printing: it is not
 * known, or the daemon stays away.
 */
int await_approval(
    struct cli *cli, const char *id, const char *words, bool also_pending, enum await_end *ret_end, json_t **ret_approval);

#endif
