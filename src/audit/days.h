/* The files of the log, one a UTC day, oldest first. Names sort as dates do. */
#ifndef AUDIT_DAYS_H
#define AUDIT_DAYS_H

#include "base/cleanup.h"
#include "base/err.h"

#include <stddef.h>

#define AUDIT_DAY_LEN     10 /* YYYY-MM-DD */
#define AUDIT_FILE_MAX    24 /* "audit-YYYY-MM-DD.jsonl" and NUL */
#define AUDIT_FILE_DAY_AT 6

struct audit_days {
    int dirfd;
    char (*names)[AUDIT_FILE_MAX];
    size_t len;
};

#define AUDIT_DAYS_INIT                                                                                                          \
    {                                                                                                                            \
        -1, NULL, 0                                                                                                              \
    }

/* Lists `dir`; a folder that does not exist is an empty log (dirfd stays -1). Files with other names are not ours. */
int audit_days_list(const char *dir, struct audit_days *ret_days, struct err *err);
void audit_days_free(struct audit_days *days);
/* Opens one for reading, never through a symlink. fd or -errno. */
int audit_days_open(const struct audit_days *days, size_t index);
char *audit_day_file(const char *day, char out[AUDIT_FILE_MAX]);

#endif
