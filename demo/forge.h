/*
 * A forge in the small: what GitHub's four hosts answer for repositories that lie in a folder. Knows no HTTP.
 *
 *     OWNER/REPO/latest.json        https://api.github.com/repos/OWNER/REPO/releases/latest
 *     OWNER/REPO/tree/PATH          https://raw.githubusercontent.com/OWNER/REPO/REF/PATH, the same at every REF
 *     OWNER/REPO/assets/TAG/FILE    https://github.com/OWNER/REPO/releases/download/TAG/FILE, which leads to another host
 */
#ifndef DEMO_FORGE_H
#define DEMO_FORGE_H

#include "base/buf.h"

#include <stdbool.h>

#define FORGE_FILE_MAX (16 * 1024 * 1024)

bool forge_has(const char *host);
/*
 * GET of a decoded path at one of the hosts: the HTTP status, with the file in `body`, or for 302 where to look in *ret_location
 * (malloc'd). `dir_fd` is the folder.
 */
int forge_get(int dir_fd, const char *host, const char *path, struct buf *body, char **ret_location);

#endif
