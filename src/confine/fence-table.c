/* /proc/self/mountinfo (proc(5)) as rows. */
#include "confine/fence-parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#include "base/banned.h"

/* \040 and its like, in place. */
static void unescape(char *text)
{
    char *out = text;

    for (const char *at = text; *at; at++) {
        if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' && at[2] <= '7' && at[3] >= '0' && at[3] <= '7') {
            *out++ = (char) ((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            at += 3;
        } else {
            *out++ = *at;
        }
    }
    *out = '\0';
}

/* "36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw" */
int mount_row_parse(const char *line, struct mount_row *row)
{
    const char *type = strstr(line, " - ");

    if (!type || sscanf(line, "%*d %*d %u:%u %ms %ms", &row->major, &row->minor, &row->root, &row->point) != 4 ||
        sscanf(type + 3, "%ms", &row->type) != 1)
        return -EPROTO;
    unescape(row->root);
    unescape(row->point);
    return 0;
}

int mount_table_read(struct mount_table *ret_table, struct err *err)
{
    CLEANUP(mount_table_free) struct mount_table table = { 0 };
    CLEANUP_FCLOSE FILE *file = fopen("/proc/self/mountinfo", "re");
    CLEANUP_FREE char *line = NULL;
    size_t room = 0;
    int r = 0;

    if (!file)
        return err_errno(err, errno, "cannot read /proc/self/mountinfo");
    while (r == 0 && getline(&line, &room, file) >= 0) {
        struct mount_row *rows = realloc(table.rows, (table.len + 1) * sizeof(*rows));

        if (!rows)
            return -ENOMEM;
        table.rows = rows;
        table.rows[table.len] = (struct mount_row){ 0 };
        r = mount_row_parse(line, &table.rows[table.len++]);
    }
    if (r < 0 || ferror(file))
        return err_set(err, EPROTO, "cannot read /proc/self/mountinfo");
    *ret_table = table;
    table = (struct mount_table){ 0 };
    return 0;
}

void mount_table_free(struct mount_table *table)
{
    for (size_t i = 0; i < table->len; i++) {
        free(table->rows[i].point);
        free(table->rows[i].root);
        free(table->rows[i].type);
    }
    free(table->rows);
    *table = (struct mount_table){ 0 };
}

bool path_is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    if (len == 1 && folder[0] == '/')
        return path[0] == '/';
    return !strncmp(path, folder, len) && (path[len] == '/' || path[len] == '\0');
}
