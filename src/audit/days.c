/* Listing, naming and opening the daily files. */
#include "audit/days.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/banned.h"

static bool is_day_file(const char *name)
{
    static const char shape[] = "audit-dddd-dd-dd.jsonl";

    for (size_t i = 0; i < sizeof shape; i++) {
        bool is_digit = name[i] >= '0' && name[i] <= '9';

        /* 'd' stands for a digit within the date; the word "audit" has one of its own. */
        if (shape[i] == 'd' && i >= AUDIT_FILE_DAY_AT ? !is_digit : name[i] != shape[i])
            return false;
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static int add(struct audit_days *days, const char *name)
{
    void *names = reallocarray(days->names, days->len + 1, sizeof *days->names);

    if (!names)
        return -ENOMEM;
    days->names = names;
    memcpy(days->names[days->len++], name, strlen(name) + 1);
    return 0;
}

/* Reads the folder through a descriptor of its own. */
static int fill(struct audit_days *days)
{
    CLEANUP_CLOSEDIR DIR *folder = NULL;
    CLEANUP_CLOSE int fd = openat(days->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct dirent *entry = NULL;

    if (fd < 0)
        return -errno;
    folder = fdopendir(fd);
    if (!folder)
        return -errno;
    fd = -1;
    while ((errno = 0, entry = readdir(folder)) != NULL)
        if (is_day_file(entry->d_name) && add(days, entry->d_name) < 0)
            return -ENOMEM;
    return -errno;
}

int audit_days_list(const char *dir, struct audit_days *ret_days, struct err *err)
{
    struct audit_days days = AUDIT_DAYS_INIT;
    int r = 0;

    days.dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (days.dirfd < 0 && errno != ENOENT)
        return err_errno(err, errno, "cannot open the audit log %s", dir);
    if (days.dirfd >= 0)
        r = fill(&days);
    if (r < 0) {
        audit_days_free(&days);
        return err_errno(err, -r, "cannot list the audit log %s", dir);
    }
    if (days.len > 0)
        qsort(days.names, days.len, sizeof *days.names, compare);
    *ret_days = days;
    return 0;
}

void audit_days_free(struct audit_days *days)
{
    if (days->dirfd >= 0)
        close(days->dirfd);
    free(days->names);
    *days = (struct audit_days) AUDIT_DAYS_INIT;
}

int audit_days_open(const struct audit_days *days, size_t index)
{
    int fd = openat(days->dirfd, days->names[index], O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    return fd < 0 ? -errno : fd;
}

char *audit_day_file(const char *day, char out[AUDIT_FILE_MAX])
{
    memcpy(out, "audit-", AUDIT_FILE_DAY_AT);
    memcpy(out + AUDIT_FILE_DAY_AT, day, AUDIT_DAY_LEN);
    memcpy(out + AUDIT_FILE_DAY_AT + AUDIT_DAY_LEN, ".jsonl", 7);
    return out;
}
