/*
 * The daemon's log. Writing never fails the caller: a full disk costs lines here,
 * while receipts (src/audit) stop the effect.
 */
#include "broker/log.h"

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/file.h"
#include "wire/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define LOG_KEPT     3
#define LOG_LINE_MAX 2048

static struct {
    int fd;
    uint64_t size;
    enum log_level level;
    char path[4096];
} the_log = { .fd = -1, .level = LOG_LEVEL_INFO };

static const char *const NAMES[] = { "error", "warn", "info", "debug" };

bool log_level_from_name(const char *name, enum log_level *ret_level)
{
    for (size_t i = 0; i < ARRAY_LEN(NAMES); i++)
        if (!strcmp(NAMES[i], name)) {
            *ret_level = (enum log_level) i;
            return true;
        }
    return false;
}

const char *log_level_name(enum log_level level)
{
    return NAMES[level];
}

void log_set_level(enum log_level level)
{
    the_log.level = level;
}

const char *log_path(void)
{
    return the_log.path;
}

static int open_file(void)
{
    struct stat st;
    int fd = open(the_log.path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    the_log.fd = fd;
    the_log.size = (uint64_t) st.st_size;
    /* What a library or a sanitizer prints with its last breath is kept too. */
    dup2(fd, STDERR_FILENO);
    return 0;
}

int log_open(const char *path, struct err *err)
{
    CLEANUP_FREE char *dir = strdup(path);
    char *slash = dir ? strrchr(dir, '/') : NULL;

    if (!slash || strlen(path) >= sizeof the_log.path - 8)
        return err_set(err, EINVAL, "no usable path for the log: %s", path);
    *slash = '\0';
    int r = file_make_dirs(dir, 0700, err);
    if (r < 0)
        return r;
    snprintf(the_log.path, sizeof the_log.path, "%s", path);
    r = open_file();
    return r < 0 ? err_errno(err, -r, "cannot open the log %s", path) : 0;
}

void log_close(void)
{
    if (the_log.fd >= 0)
        close(the_log.fd);
    the_log.fd = -1;
}

/* daemon.log → .1 → .2 → .3; the oldest goes. */
static void rotate(void)
{
    char from[sizeof the_log.path + 8], to[sizeof the_log.path + 8];

    for (int i = LOG_KEPT; i > 0; i--) {
        snprintf(to, sizeof to, "%s.%d", the_log.path, i);
        if (i == 1)
            snprintf(from, sizeof from, "%s", the_log.path);
        else
            snprintf(from, sizeof from, "%s.%d", the_log.path, i - 1);
        rename(from, to);
    }
    log_close();
    open_file();
}

/* One line may hold nothing that steers a terminal or forges another line. */
static void clean(char *text)
{
    for (; *text; text++)
        if ((unsigned char) *text < 0x20 || *text == 0x7f)
            *text = '?';
}

void log_write(enum log_level level, const char *format, ...)
{
    char line[LOG_LINE_MAX], time_text[CLOCK_TEXT_MAX];
    va_list args;

    if (the_log.fd < 0 || level > the_log.level)
        return;
    int at = snprintf(line, sizeof line, "%s %-5s ", clock_format(clock_unix_ms(), time_text), NAMES[level]);
    va_start(args, format);
    vsnprintf(line + at, sizeof line - (size_t) at - 1, format, args);
    va_end(args);
    clean(line + at);
    size_t len = strlen(line);
    line[len++] = '\n';
    if (the_log.size + len > LIMIT_LOG_FILE_BYTES)
        rotate();
    if (the_log.fd >= 0 && file_write_full(the_log.fd, line, len) == 0)
        the_log.size += len;
}
