/*
 * See the header. The file is read once, at the start; afterwards its end is known and every append is checked against it.
 *
 * What a write must not do is to be believed and lost: a new file counts from its rename on, a folder that could not be
 * synced is synced before the next line is, and no line is written that the next start would not read.
 */
#include "approval/journal.h"

#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define READ_BYTES    ((size_t) 256 * 1024)
#define HISTORY_BYTES ((size_t) 1024 * 1024) /* less of it is not worth a new file, and is read in no time */
#define TEMPORARY     ".approvals.jsonl.tmp"
#define DROPS_BYTES   ((size_t) 1024 * 1024)

/*
 * A line holds what was asked twice (as it came and as it will run), what a person sees of it and what came of it, each of which
 * was within JSON_LIMITS when it came. What is asked leaves room for its end.
 */
static const struct json_limits ASKED_LIMITS = { JOURNAL_LINE_MAX / 2, 192, 500000 };
static const struct json_limits LINE_LIMITS = { JOURNAL_LINE_MAX, 256, 1000000 };

struct journal {
    char *path;
    const char *name; /* the last part of it */
    int folder, fd;
    off_t end;          /* behind the last whole line */
    size_t live;        /* bytes of the lines that count */
    off_t tried;        /* the end when a new file could not be written; 0: it could */
    struct buf drops;   /* to be appended */
    size_t line;        /* while reading: the number of the last one */
    bool folder_synced; /* the file's name is on disk */
    bool torn;          /* half a line stands behind the end */
};

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0)
        journal_flush(journal, NULL);
    if (journal->fd >= 0)
        close(journal->fd);
    buf_free(&journal->drops);
    if (journal->folder >= 0)
        close(journal->folder);
    free(journal->path);
    free(journal);
}

int journal_fd(const struct journal *journal)
{
    return journal->fd;
}

/* ---- reading ---- */

static void drop_line(struct journal *journal, struct queue *queue, const json_t *json)
{
    const char *id = json_get_str(json, "id");
    struct approval *approval = id ? queue_find(queue, id) : NULL;

    if (!approval)
        return;
    journal->live -= approval->line_bytes;
    queue_withdraw(queue, approval);
}

static int load_line(struct journal *journal, struct queue *queue, const json_t *json, size_t len, struct err *err)
{
    struct approval *approval = NULL, *before = NULL;
    int r = approval_from_json(json, &approval, err);

    if (r < 0)
        return r;
    before = queue_find(queue, approval->id);
    journal->live += len - (before ? before->line_bytes : 0);
    approval->line_bytes = len;
    return queue_load(queue, approval) < 0 ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int line_take(struct journal *journal, struct queue *queue, const char *line, size_t len, struct err *err)
{
    CLEANUP_JSON json_t *json = NULL;
    int r = json_parse(line, len, LINE_LIMITS, &json, err);

    journal->line++;
    if (r == 0 && json_is_true(json_object_get(json, "dropped")))
        drop_line(journal, queue, json);
    else if (r == 0)
        r = load_line(journal, queue, json, len + 1, err);
    if (r < 0)
        err_prefix(err, "%s:%zu", journal->path, journal->line);
    return r;
}

/*
 * Whole lines of what was read; the rest stays in the buffer. *ret_torn: a NUL, which no line of ours holds. The disk never got
 * those bytes, so the file was not synced since, and nobody was promised anything that stands there or behind.
 */
static int lines_take(struct journal *journal, struct queue *queue, struct buf *text, bool *ret_torn, struct err *err)
{
    size_t at = 0;
    int r = 0;

    for (;;) {
        const char *start = buf_str(text) + at;
        const char *stop = text->len > at ? memchr(start, '\n', text->len - at) : NULL;
        size_t len = stop ? (size_t) (stop - start) : 0;

        *ret_torn = stop && memchr(start, '\0', len) != NULL;
        if (!stop || *ret_torn)
            break;
        r = line_take(journal, queue, start, len, err);
        if (r < 0)
            return r;
        at += len + 1;
        journal->end += (off_t) len + 1;
    }
    buf_consume(text, at);
    return 0;
}

static int file_take(struct journal *journal, struct queue *queue, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(JOURNAL_LINE_MAX + READ_BYTES);
    bool torn = false;
    ssize_t n = 0;
    int r = 0;

    while (!torn) {
        if (buf_reserve(&text, READ_BYTES) < 0)
            return err_set(err, E2BIG, "%s:%zu: the line is too long", journal->path, journal->line + 1);
        n = read(journal->fd, text.data + text.len, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        text.len += (size_t) n;
        r = lines_take(journal, queue, &text, &torn, err);
        if (r < 0)
            return r;
    }
    if (n < 0)
        return err_errno(err, errno, "cannot read %s", journal->path);
    /* Torn: the crash came before anybody was told that it is there. */
    if (text.len > 0 && ftruncate(journal->fd, journal->end) < 0)
        return err_errno(err, errno, "cannot cut the torn end of %s", journal->path);
    return 0;
}

/* ---- opening ---- */

struct recovery {
    struct journal *journal;
    struct queue *queue;
    struct err *err;
    int64_t now;
    size_t count;
    int r;
};

static bool recover_one(struct approval *approval, void *userdata)
{
    struct recovery *recovery = userdata;

    if (!approval_recover(approval, recovery->now))
        return true;
    queue_changed(recovery->queue, approval);
    recovery->count++;
    recovery->r = journal_write(recovery->journal, approval, recovery->err);
    return recovery->r == 0;
}

static int file_open(struct journal *journal, struct err *err)
{
    journal->fd = openat(journal->folder, journal->name, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (journal->fd < 0)
        return err_errno(err, errno, "cannot open %s", journal->path);
    int r = file_check_private(journal->fd, journal->path, err);
    if (r < 0) {
        close(journal->fd);
        journal->fd = -1;
    }
    return r;
}

static int folder_open(struct journal *journal, struct err *err)
{
    char *slash = strrchr(journal->path, '/');

    if (!slash || slash == journal->path)
        return err_set(err, EINVAL, "the journal needs a folder");
    journal->name = slash + 1;
    *slash = '\0';
    journal->folder = open(journal->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *slash = '/';
    if (journal->folder < 0)
        return err_errno(err, errno, "cannot open the folder of %s", journal->path);
    /* What a stopped compaction left. */
    unlinkat(journal->folder, TEMPORARY, 0);
    return 0;
}

/* Before a line is promised to be there, so must be the file's name. */
static int folder_sync(struct journal *journal, struct err *err)
{
    int r = journal->folder_synced ? 0 : file_sync_dir(journal->folder);

    if (r < 0)
        return err_errno(err, -r, "cannot sync the folder of %s", journal->path);
    journal->folder_synced = true;
    return 0;
}

int journal_open(
    const char *path, struct queue *queue, int64_t now, struct journal **ret_journal, size_t *ret_recovered, struct err *err)
{
    CLEANUP_PTR(journal_close) struct journal *journal = calloc(1, sizeof *journal);
    struct recovery recovery = { journal, queue, err, now, 0, 0 };
    int r = 0;

    if (!journal)
        return err_set(err, ENOMEM, "out of memory");
    journal->fd = journal->folder = -1;
    journal->drops = (struct buf) BUF_INIT(DROPS_BYTES);
    journal->path = strdup(path);
    r = journal->path ? folder_open(journal, err) : err_set(err, ENOMEM, "out of memory");
    if (r == 0)
        r = file_open(journal, err);
    if (r == 0)
        r = file_take(journal, queue, err);
    if (r < 0)
        return r;
    /* A file with a line in it had its folder synced before. */
    journal->folder_synced = journal->end > 0;
    queue_visit_oldest(queue, recover_one, &recovery);
    if (recovery.r < 0)
        return recovery.r;
    if (ret_recovered)
        *ret_recovered = recovery.count;
    *ret_journal = TAKE_PTR(journal);
    return 0;
}

/* ---- writing ---- */

static int line_try(const struct approval *approval, struct buf *line)
{
    bool is_new = approval->line_bytes == 0;
    size_t before = line->len;
    int r = approval_write(approval, line);

    if (r == 0)
        r = json_check_limits(line->data + before, line->len - before, is_new ? ASKED_LIMITS : LINE_LIMITS, NULL);
    if (r == 0)
        return buf_add_char(line, '\n');
    line->len = before;
    return r;
}

/* Adds the line. An end that is too large to be kept whole is kept without what it is about, rather than not at all. */
static int line_make(const struct approval *approval, struct buf *line)
{
    struct approval slim = *approval;
    int r = line_try(approval, line);

    if (r != -E2BIG || !approval_is_over(approval))
        return r;
    slim.asked = slim.card = NULL;
    slim.result = slim.difference = NULL;
    return line_try(&slim, line);
}

/* Half a line must not stand before the next one: it goes now, or before that one, or at the next start. */
static int end_cut(struct journal *journal, struct err *err)
{
    if (journal->torn && ftruncate(journal->fd, journal->end) < 0)
        return err_errno(err, errno, "cannot undo half a line of %s", journal->path);
    journal->torn = false;
    return 0;
}

static int line_append(struct journal *journal, const char *line, size_t len, struct err *err)
{
    int r = folder_sync(journal, err);

    if (r == 0)
        r = end_cut(journal, err);
    if (r < 0)
        return r;
    r = file_write_full(journal->fd, line, len);
    if (r < 0) {
        journal->torn = true;
        end_cut(journal, NULL);
        return err_errno(err, -r, "cannot write %s", journal->path);
    }
    journal->end += (off_t) len;
    return 0;
}

int journal_write(struct journal *journal, struct approval *approval, struct err *err)
{
    CLEANUP(buf_free) struct buf line = BUF_INIT(JOURNAL_LINE_MAX + 1);
    int r = line_make(approval, &line);

    if (r < 0)
        return err_set(err, -r, r == -E2BIG ? "the approval is too large to be kept" : "out of memory");
    r = line_append(journal, line.data, line.len, err);
    if (r < 0)
        return r;
    journal->live += line.len - approval->line_bytes;
    approval->line_bytes = line.len;
    return 0;
}

int journal_drop(struct journal *journal, const struct approval *approval)
{
    journal->live -= approval->line_bytes;
    return buf_printf(&journal->drops, "{\"id\":\"%s\",\"dropped\":true}\n", approval->id);
}

int journal_flush(struct journal *journal, struct err *err)
{
    int r = journal->drops.len ? line_append(journal, journal->drops.data, journal->drops.len, err) : 0;

    if (r == 0)
        buf_reset(&journal->drops);
    return r;
}

/* ---- a new file ---- */

struct copy {
    int fd;
    struct buf lines;
    size_t written;
    int r;
};

static int copy_flush(struct copy *copy)
{
    int r = file_write_full(copy->fd, copy->lines.data, copy->lines.len);

    copy->written += copy->lines.len;
    buf_reset(&copy->lines);
    return r;
}

static bool copy_one(struct approval *approval, void *userdata)
{
    struct copy *copy = userdata;
    size_t before = copy->lines.len;

    copy->r = line_make(approval, &copy->lines);
    if (copy->r < 0)
        return false;
    approval->line_bytes = copy->lines.len - before;
    if (copy->lines.len >= READ_BYTES)
        copy->r = copy_flush(copy);
    return copy->r == 0;
}

/* Writes and syncs it, oldest first; its bytes, or -errno. */
static int copy_all(const struct queue *queue, int fd, size_t *ret_bytes)
{
    struct copy copy = { fd, BUF_INIT(JOURNAL_LINE_MAX + READ_BYTES + 1), 0, 0 };
    int r = 0;

    queue_visit_oldest(queue, copy_one, &copy);
    r = copy.r;
    if (r == 0)
        r = copy_flush(&copy);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    *ret_bytes = copy.written;
    buf_free(&copy.lines);
    return r;
}

/* From the rename on every line goes into the new file, whether or not its folder could be synced at once. */
static int copy_install(struct journal *journal, int fd, size_t bytes, struct err *err)
{
    if (renameat(journal->folder, TEMPORARY, journal->folder, journal->name) < 0)
        return err_errno(err, errno, "cannot write %s", journal->path);
    close(journal->fd);
    journal->fd = fd;
    journal->end = (off_t) bytes;
    journal->live = bytes;
    journal->folder_synced = journal->torn = false;
    journal->tried = 0;
    buf_reset(&journal->drops);
    return 0;
}

static bool is_worth_it(const struct journal *journal, bool now)
{
    size_t history = (size_t) journal->end - journal->live;

    /* What the queue has trimmed or forgotten is not known here. */
    if (now)
        return journal->end > 0;
    /* Where it failed it is not tried again with every line. */
    return history > journal->live + HISTORY_BYTES &&
           journal->end > journal->tried + (journal->tried ? (off_t) HISTORY_BYTES : 0);
}

int journal_compact(struct journal *journal, const struct queue *queue, bool now, struct err *err)
{
    CLEANUP_CLOSE int fd = -1;
    size_t bytes = 0;
    int r = 0;

    if (!is_worth_it(journal, now))
        return 0;
    journal->tried = journal->end;
    fd = openat(journal->folder, TEMPORARY, O_RDWR | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "cannot write %s anew", journal->path);
    r = copy_all(queue, fd, &bytes);
    if (r < 0)
        err_errno(err, -r, "cannot write %s anew", journal->path);
    else
        r = copy_install(journal, fd, bytes, err);
    if (r < 0) {
        unlinkat(journal->folder, TEMPORARY, 0);
        return r;
    }
    fd = -1;
    return folder_sync(journal, err);
}
