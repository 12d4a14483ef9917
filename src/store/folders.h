/* Folders below the home, made so that what is put into them is not lost with them when the power goes. */
#ifndef STORE_FOLDERS_H
#define STORE_FOLDERS_H

#include "base/err.h"

#include <limits.h>

/* Makes every missing folder of `relative`, each on disk before the next. ret_path is the whole path. */
int folders_make(const char *home, const char *relative, char ret_path[PATH_MAX], struct err *err);
/* The same, opened for reading. */
int folders_open(const char *home, const char *relative, int *ret_fd, struct err *err);
/* Removes the temporary files (".….new", ".….tmp") that a program left in a folder, but for those that begin with `except` (NULL: none). */
void folders_sweep(int folder, const char *except);

#endif
