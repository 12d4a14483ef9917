/*
 * The writing end. One process has the log open (the daemon's lock sees to that);
 * it knows the length of the newest file and refuses to go on when the
 * file is not what it left: a receipt must not follow lines that somebody else wrote
 * or go into a file that was removed.
 *
 * A crash can leave a last line without its end, power loss blocks of zeros. Such
 * a tail is copied to torn/ and cut off at open; what stays ends with a line of
 * ours, with which the chain goes on.
 */
#include "audit/audit.h"
#include "audit/days.h"
#include "audit/events.h"
#include "audit/layout.h"
#include "audit/lines.h"
#include "audit/torn.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/encode.h"
#include "base/file.h"
#include "crypt/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

struct audit_log {
    int dirfd, fd;                 /* fd -1 while there is no file yet */
    char day[AUDIT_DAY_LEN + 1];   /* of the newest file; "" while there is none */
    off_t size;                    /* of the newest file as we left it */
    uint64_t seq;                  /* of the last line; 0 before the first */
    char prev[AUDIT_PREV_LEN + 1]; /* its hash */
    bool is_broken;                /* a failed write could not be undone */
    struct buf line;
};

struct tail {
    uint64_t seq;
    char prev[AUDIT_PREV_LEN + 1];
    uint64_t end; /* bytes of the file that are lines of ours */
    bool found;   /* such a line is in the file */
};

static int hash_hex(const char *text, size_t len, char out[AUDIT_PREV_LEN + 1])
{
    uint8_t hash[SHA256_BYTES];
    int r = sha256(text, len, hash);

    if (r == 0)
        hex_encode(hash, sizeof hash, out);
    return r;
}

/* The last line of ours in a file; everything behind it is torn. */
static int tail_find(int fd, struct tail *ret_tail)
{
    CLEANUP_PTR(audit_lines_free) struct audit_lines *lines = NULL;
    struct tail tail = { 0 };
    struct audit_text text;
    struct audit_line line;
    int r = audit_lines_new(&lines);

    if (r == 0)
        r = audit_lines_start_at_end(lines, fd);
    while (r == 0 && (r = audit_lines_previous(lines, &text)) == 1) {
        r = 0;
        if (!text.is_whole || !audit_line_read(text.text, text.len, &line))
            continue;
        tail.seq = line.seq;
        tail.end = text.offset + text.len + 1;
        tail.found = true;
        r = hash_hex(text.text, text.len, tail.prev);
        break;
    }
    if (r < 0)
        return r;
    *ret_tail = tail;
    return 0;
}

/* Takes over the newest file; goes back through older ones only for the end of the chain. */
static int resume(struct audit_log *log, const struct audit_days *days, bool *ret_torn)
{
    for (size_t i = days->len; i > 0; i--) {
        bool is_newest = i == days->len;
        CLEANUP_CLOSE int fd = openat(log->dirfd, days->names[i - 1], O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
        struct tail tail = { 0 };
        struct stat st;
        int r = fd < 0 ? -errno : tail_find(fd, &tail);

        if (r == 0 && fstat(fd, &st) < 0)
            r = -errno;
        if (r == 0 && (uint64_t) st.st_size > tail.end) {
            r = audit_torn_move(log->dirfd, fd, days->names[i - 1], tail.end);
            *ret_torn = true;
        }
        if (r < 0)
            return r;
        if (is_newest) {
            memcpy(log->day, days->names[i - 1] + AUDIT_FILE_DAY_AT, AUDIT_DAY_LEN);
            log->size = (off_t) tail.end;
            log->fd = TAKE_FD(fd);
        }
        if (tail.found) {
            log->seq = tail.seq;
            memcpy(log->prev, tail.prev, sizeof log->prev);
            return 0;
        }
    }
    return 0;
}

int audit_open(const char *dir, struct audit_log **ret_log, bool *ret_torn, struct err *err)
{
    CLEANUP_PTR(audit_close) struct audit_log *log = calloc(1, sizeof *log);
    CLEANUP(audit_days_free) struct audit_days days = AUDIT_DAYS_INIT;
    bool torn = false;
    int r = 0;

    if (!log)
        return err_set(err, ENOMEM, "out of memory");
    log->fd = log->dirfd = -1;
    log->line = (struct buf) BUF_INIT(AUDIT_LINE_MAX);
    memcpy(log->prev, AUDIT_ZEROS, sizeof log->prev);
    r = file_make_dirs(dir, 0700, err);
    if (r < 0)
        return r;
    log->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (log->dirfd < 0)
        return err_errno(err, errno, "cannot open the audit log %s", dir);
    r = audit_days_list(dir, &days, err);
    if (r < 0)
        return r;
    r = resume(log, &days, &torn);
    if (r < 0)
        return err_errno(err, -r, "cannot take up the audit log in %s", dir);
    *ret_torn = torn;
    *ret_log = TAKE_PTR(log);
    return 0;
}

void audit_close(struct audit_log *log)
{
    if (!log)
        return;
    if (log->fd >= 0)
        close(log->fd);
    if (log->dirfd >= 0)
        close(log->dirfd);
    buf_free(&log->line);
    free(log);
}

/* Begins the file of a new day. What the old one holds is made durable first: nobody will sync it any more. */
static int day_begin(struct audit_log *log, const char *day, struct err *err)
{
    CLEANUP_CLOSE int fd = -1;
    char name[AUDIT_FILE_MAX];

    if (log->fd >= 0 && fdatasync(log->fd) < 0)
        return err_errno(err, errno, "cannot make the audit log of %s durable", log->day);
    audit_day_file(day, name);
    fd = openat(log->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_errno(err, errno, "cannot begin the audit file %s", name);
    if (fsync(log->dirfd) < 0) {
        err_errno(err, errno, "cannot make the audit file %s durable", name);
        unlinkat(log->dirfd, name, 0);
        return -err->code;
    }
    if (log->fd >= 0)
        close(log->fd);
    log->fd = TAKE_FD(fd);
    log->size = 0;
    memcpy(log->day, day, AUDIT_DAY_LEN + 1);
    return 0;
}

/* The file must be as we left it: of this name still, and of this length. */
static int unchanged(struct audit_log *log, struct err *err)
{
    struct stat st;

    if (log->is_broken || fstat(log->fd, &st) < 0 || st.st_nlink == 0 || st.st_size != log->size) {
        log->is_broken = true;
        err_set(err, EIO, "the audit file of %s is not as the daemon left it", log->day);
        err_hint(err, "run `aileron audit verify`, then `aileron stop`; the next start takes the log up again");
        return -EIO;
    }
    return 0;
}

/* All of the line or nothing of it. */
static int line_put(struct audit_log *log, struct err *err)
{
    size_t done = 0;
    int r = 0;

    while (done < log->line.len && r == 0) {
        ssize_t n = write(log->fd, log->line.data + done, log->line.len - done);

        if (n > 0)
            done += (size_t) n;
        else if (n == 0 || errno != EINTR)
            r = n == 0 ? -EIO : -errno;
    }
    if (r == 0) {
        log->size += (off_t) done;
        return 0;
    }
    if (done > 0 && ftruncate(log->fd, log->size) < 0)
        log->is_broken = true;
    return err_errno(err, -r, "cannot write the audit log");
}

int audit_append(
    struct audit_log *log, const struct audit_event *event, int64_t now_unix_ms, char ret_id[ULID_ID_MAX], struct err *err)
{
    struct err local = ERR_INIT;
    char day[CLOCK_TEXT_MAX], timestamp[CLOCK_TEXT_MAX], id[ULID_ID_MAX], prev[AUDIT_PREV_LEN + 1];
    int r = 0;

    err = err ? err : &local;
    r = audit_event_check(event, err);
    if (r < 0)
        return r;
    clock_format_day(now_unix_ms, day);
    /* A clock that went back must not begin a file before the newest one. */
    if (log->fd < 0 || strcmp(day, log->day) > 0)
        r = day_begin(log, day, err);
    if (r == 0)
        r = unchanged(log, err);
    if (r < 0)
        return r;
    buf_reset(&log->line);
    r = audit_line_write(&log->line, log->seq + 1, ulid_new(AUDIT_ID_PREFIX, now_unix_ms, id),
        clock_format(now_unix_ms, timestamp), event, log->prev);
    if (r == 0)
        r = hash_hex(log->line.data, log->line.len, prev);
    if (r == 0)
        r = buf_add_char(&log->line, '\n');
    if (r < 0)
        return err_errno(err, -r, "the audit event %s cannot be written as a line", event->type);
    r = line_put(log, err);
    if (r < 0)
        return r;
    log->seq++;
    memcpy(log->prev, prev, sizeof prev);
    memcpy(ret_id, id, sizeof id);
    return 0;
}

int audit_fd(const struct audit_log *log)
{
    return log->fd;
}

uint64_t audit_last_seq(const struct audit_log *log)
{
    return log->seq;
}

const char *audit_last_hash(const struct audit_log *log)
{
    return log->prev;
}
