/* Sending the person's browser to a page, or telling that there is none here. */
#ifndef CLI_BROWSER_H
#define CLI_BROWSER_H

#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/* Over ssh, or without a display, a browser would open where nobody looks, or nowhere. */
bool browser_is_here(void);
/*
 * Starts $BROWSER, xdg-open, wslview or open, whichever is there first, in a session of its own and with /dev/null as stdio.
 * It gets our environment, from which the passphrase is gone. 0 when it was started; -ENOENT when there is none.
 */
int browser_open(const char *url, struct err *err);
/* The same; *ret_pid is a child that the caller may wait for. */
int browser_start(const char *url, pid_t *ret_pid, struct err *err);

#endif
