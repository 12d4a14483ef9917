/* Folders below the home, made so that what is put into them is not lost with them when the power goes. */
#ifndef STORE_FOLDERS_H
#define STORE_FOLDERS_H

#include "base/err.h"

#include <limits.h>
#include <stdbool.h>

/*
 * Makes every missing folder of `relative`, each on disk before the next; `sync_all`: also those that are there
 * already, which a program that was stopped may not have synced. ret_path is the whole path.
 */
int folders_make(const char *home, const char *relative, bool sync_all, char ret_path[PATH_MAX], struct err *err);
/* The same, opened for reading. */
int folders_open(const char *home, const char *relative, bool sync_all, int *ret_fd, struct err *err);
/* Removes the temporary files (".….new", ".….tmp") that a program left in a folder, but for those that begin with `except` (NULL: none). */
void folders_sweep(int folder, const char *except);

#endif
