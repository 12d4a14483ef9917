/* Signed-in pages, for `aileron open` and the tour. */
#ifndef CLI_OPEN_H
#define CLI_OPEN_H

#include "cli/cli.h"

/* The address of the page at `path` ("/approvals") with a fresh one-time code in its fragment. malloc'd; CODE_DONE or printed. */
int open_url(struct cli *cli, const char *path, char **ret_url, unsigned *ret_port);
/* Prints the address for a browser elsewhere, and the way to here from its machine. To a terminal only. */
void open_print(struct cli *cli, const char *url, unsigned port);
/* Sends a browser there through a file that only this user can read, and waits until it is signed in. -ENOENT: there is none. */
int open_browser(struct cli *cli, const char *url, struct err *err);

#endif
