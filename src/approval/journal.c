/* See the header. The file is read once, at the start; afterwards its end is known and every append is checked against it. */
#include "approval/journal.h"

#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define READ_BYTES ((size_t) 256 * 1024)
#define LINES_KEPT 4096 /* fewer lines of history are not worth a new file */

struct journal {
    char *path;
    int fd;
    off_t end;    /* behind the last whole line */
    size_t lines; /* in the file */
};

void journal_close(struct journal *journal)
{
    if (!journal)
        return;
    if (journal->fd >= 0)
        close(journal->fd);
    free(journal->path);
    free(journal);
}

int journal_fd(const struct journal *journal)
{
    return journal->fd;
}

/* ---- reading ---- */

static int line_take(struct journal *journal, struct queue *queue, const char *line, size_t len, struct err *err)
{
    CLEANUP_JSON json_t *json = NULL;
    struct approval *approval = NULL;
    int r = json_parse(line, len, JSON_LIMITS(JOURNAL_LINE_MAX), &json, err);

    if (r == 0 && json_is_true(json_object_get(json, "dropped"))) {
        const char *id = json_get_str(json, "id");

        approval = id ? queue_find(queue, id) : NULL;
        if (approval)
            queue_withdraw(queue, approval);
        journal->lines++;
        return 0;
    }
    if (r == 0)
        r = approval_from_json(json, &approval, err);
    if (r == 0 && queue_load(queue, approval) < 0)
        r = err_set(err, ENOMEM, "out of memory");
    if (r < 0) {
        err_prefix(err, "%s:%zu", journal->path, journal->lines + 1);
        return r;
    }
    journal->lines++;
    return 0;
}

/* Whole lines of what was read; the rest stays in the buffer. */
static int lines_take(struct journal *journal, struct queue *queue, struct buf *text, struct err *err)
{
    size_t at = 0;
    int r = 0;

    for (;;) {
        const char *start = buf_str(text) + at;
        const char *stop = text->len > at ? memchr(start, '\n', text->len - at) : NULL;

        if (!stop)
            break;
        r = line_take(journal, queue, start, (size_t) (stop - start), err);
        if (r < 0)
            return r;
        at += (size_t) (stop - start) + 1;
        journal->end += (off_t) (stop - start) + 1;
    }
    buf_consume(text, at);
    return 0;
}

static int file_take(struct journal *journal, struct queue *queue, struct err *err)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(JOURNAL_LINE_MAX + READ_BYTES);
    ssize_t n = 0;
    int r = 0;

    for (;;) {
        if (buf_reserve(&text, READ_BYTES) < 0)
            return err_set(err, E2BIG, "%s:%zu: the line is too long", journal->path, journal->lines + 1);
        n = read(journal->fd, text.data + text.len, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        text.len += (size_t) n;
        r = lines_take(journal, queue, &text, err);
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
    journal->fd = open(journal->path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (journal->fd < 0)
        return err_errno(err, errno, "cannot open %s", journal->path);
    return file_check_private(journal->fd, journal->path, err);
}

int journal_open(
    const char *path, struct queue *queue, int64_t now, struct journal **ret_journal, size_t *ret_recovered, struct err *err)
{
    CLEANUP_PTR(journal_close) struct journal *journal = calloc(1, sizeof *journal);
    struct recovery recovery = { journal, queue, err, now, 0, 0 };
    int r = 0;

    if (!journal)
        return err_set(err, ENOMEM, "out of memory");
    journal->fd = -1;
    journal->path = strdup(path);
    if (!journal->path)
        return err_set(err, ENOMEM, "out of memory");
    r = file_open(journal, err);
    if (r == 0)
        r = file_take(journal, queue, err);
    if (r < 0)
        return r;
    queue_visit(queue, recover_one, &recovery);
    if (recovery.r < 0)
        return recovery.r;
    if (ret_recovered)
        *ret_recovered = recovery.count;
    *ret_journal = TAKE_PTR(journal);
    return 0;
}

/* ---- writing ---- */

static int line_make(const struct approval *approval, struct buf *line)
{
    CLEANUP_JSON json_t *json = approval_to_json(approval);
    int r = json ? json_write(json, line) : -ENOMEM;

    return r < 0 ? r : buf_add_char(line, '\n');
}

static int line_append(struct journal *journal, const struct buf *line, struct err *err)
{
    int r = file_write_full(journal->fd, line->data, line->len);

    if (r < 0) {
        /* Half a line must not stand before the next one. If not even this works, the next start cuts it. */
        if (ftruncate(journal->fd, journal->end) < 0)
            return err_errno(err, errno, "cannot write %s, nor undo that", journal->path);
        return err_errno(err, -r, "cannot write %s", journal->path);
    }
    journal->end += (off_t) line->len;
    journal->lines++;
    return 0;
}

int journal_write(struct journal *journal, const struct approval *approval, struct err *err)
{
    CLEANUP(buf_free) struct buf line = BUF_INIT(JOURNAL_LINE_MAX);
    int r = line_make(approval, &line);

    if (r < 0)
        return err_set(err, -r, r == -E2BIG ? "the approval is too large to be kept" : "out of memory");
    return line_append(journal, &line, err);
}

int journal_drop(struct journal *journal, const char *id, struct err *err)
{
    CLEANUP(buf_free) struct buf line = BUF_INIT(JOURNAL_LINE_MAX);

    if (buf_printf(&line, "{\"id\":\"%s\",\"dropped\":true}\n", id) < 0)
        return err_set(err, ENOMEM, "out of memory");
    return line_append(journal, &line, err);
}

struct copy {
    struct buf lines;
    size_t count;
    int r;
};

static bool copy_one(struct approval *approval, void *userdata)
{
    struct copy *copy = userdata;

    copy->r = line_make(approval, &copy->lines);
    copy->count++;
    return copy->r == 0;
}

int journal_compact(struct journal *journal, const struct queue *queue, bool now, struct err *err)
{
    size_t most = now ? queue_len(queue) : 2 * queue_len(queue) + LINES_KEPT;
    struct copy copy = { BUF_INIT(SIZE_MAX / 4), 0, 0 };
    int r = 0;

    if (journal->lines <= most)
        return 0;
    queue_visit(queue, copy_one, &copy);
    r = copy.r < 0 ? err_set(err, ENOMEM, "out of memory")
                   : file_write_atomic(AT_FDCWD, journal->path, buf_str(&copy.lines), copy.lines.len, 0600, err);
    if (r == 0) {
        close(journal->fd);
        r = file_open(journal, err);
        journal->end = (off_t) copy.lines.len;
        journal->lines = copy.count;
    }
    buf_free(&copy.lines);
    return r;
}
