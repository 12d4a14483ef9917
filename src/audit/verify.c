/*
 * Verification: the layout of each line, its number, its `prev` against the hash of
 * the line before, and the signed heads; no JSON is parsed. The first fault ends it.
 *
 * When a `prev` does not fit, either the line before was edited or this line's
 * `prev` was. The line after tells: if it fits this one, this one is as it was written.
 */
#include "audit/anchor.h"
#include "audit/audit.h"
#include "audit/days.h"
#include "audit/layout.h"
#include "audit/lines.h"

#include "base/encode.h"
#include "base/json.h"
#include "crypt/digest.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/banned.h"

struct verify {
    const struct audit_days *days;
    struct audit_lines *lines;
    struct audit_anchoring *anchoring;
    size_t next_file;
    int fd;
    struct audit_place here, before; /* of the line at hand and of the one before it */
    uint64_t seq;                    /* of the last line */
    char hash[AUDIT_PREV_LEN + 1];
    struct audit_verdict verdict;
};

static int next_file(struct verify *verify, struct err *err)
{
    const char *name = verify->days->names[verify->next_file];
    int r = 0;

    if (verify->fd >= 0)
        close(verify->fd);
    verify->fd = audit_days_open(verify->days, verify->next_file);
    r = verify->fd < 0 ? verify->fd : audit_lines_start(verify->lines, verify->fd);
    if (r < 0)
        return err_errno(err, -r, "cannot read %s", name);
    memcpy(verify->here.file, name, AUDIT_FILE_MAX);
    verify->here.number = 0;
    verify->next_file++;
    verify->verdict.files++;
    return 0;
}

/* The next line of the whole log: 1, 0 at its end, negative. */
static int next_line(struct verify *verify, struct audit_text *ret_text, struct err *err)
{
    struct audit_place before = verify->here;

    for (;;) {
        int r = verify->fd >= 0 ? audit_lines_next(verify->lines, ret_text) : 0;

        if (r < 0)
            return err_errno(err, -r, "cannot read %s", verify->here.file);
        if (r > 0) {
            /* An empty day between two others is not the place of the line before. */
            if (verify->verdict.events > 0 && before.number > 0)
                verify->before = before;
            verify->here.number++;
            verify->verdict.events++;
            return 1;
        }
        if (verify->next_file == verify->days->len)
            return 0;
        r = next_file(verify, err);
        if (r < 0)
            return r;
    }
}

static int fault(struct verify *verify, const struct audit_place *place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Notes the fault; 1 as "stop here". */
static int fault(struct verify *verify, const struct audit_place *place, const char *format, ...)
{
    va_list args;

    snprintf(verify->verdict.where, sizeof verify->verdict.where, "%s line %" PRIu64, place->file, place->number);
    va_start(args, format);
    vsnprintf(verify->verdict.what, sizeof verify->verdict.what, format, args);
    va_end(args);
    verify->verdict.intact = false;
    return 1;
}

static int check_first(struct verify *verify, const struct audit_line *line)
{
    if (line->seq != 1)
        return fault(verify, &verify->here, "cut: the log starts at event %" PRIu64 "; what was before it is missing", line->seq);
    if (memcmp(line->prev, AUDIT_ZEROS, AUDIT_PREV_LEN) != 0)
        return fault(verify, &verify->here, "edited: the first line does not start the chain");
    return 0;
}

static int check_number(struct verify *verify, const struct audit_line *line)
{
    bool new_day = verify->here.number == 1;

    if (line->seq == verify->seq + 1)
        return 0;
    if (line->seq > verify->seq + 1)
        return fault(verify, &verify->here, "%s: events %" PRIu64 " to %" PRIu64 " are missing before this line",
            new_day ? "gap between days" : "cut", verify->seq + 1, line->seq - 1);
    return fault(verify, &verify->here, "%s: event %" PRIu64 " stands after event %" PRIu64,
        line->seq == verify->seq ? "repeated" : "reordered", line->seq, verify->seq);
}

static int hash_line(const struct audit_text *text, char out[AUDIT_PREV_LEN + 1])
{
    uint8_t hash[SHA256_BYTES];

    if (sha256(text->text, text->len, hash) < 0)
        return -ENOMEM;
    hex_encode(hash, sizeof hash, out);
    return 0;
}

/* Only where a fault is known already. */
static bool is_json(const struct audit_text *text)
{
    CLEANUP_JSON json_t *event = NULL;

    return json_parse(text->text, text->len, JSON_LIMITS(AUDIT_LINE_MAX), &event, NULL) == 0;
}

/* `prev` of the line at hand does not fit; looks at one line more to say which of two lines was edited. */
static int broken_link(struct verify *verify, const struct audit_text *text, struct err *err)
{
    struct audit_place here = verify->here, before = verify->before;
    char hash[AUDIT_PREV_LEN + 1];
    struct audit_text after;
    struct audit_line line;
    bool was_json = is_json(text);
    int r = hash_line(text, hash);

    if (r == 0)
        r = next_line(verify, &after, err);
    if (r < 0)
        return r;
    if (!was_json || (r == 1 && audit_line_read(after.text, after.len, &line) && memcmp(line.prev, hash, AUDIT_PREV_LEN) != 0))
        return fault(verify, &here, "edited: this line no longer fits its neighbours");
    return fault(verify, &before, "edited: the next line has another hash of this one");
}

/* 0 fine, 1 the first fault was found. */
static int check_line(struct verify *verify, const struct audit_text *text, struct err *err)
{
    struct audit_line line;
    int r = 0;

    if (!text->is_whole)
        return fault(verify, &verify->here, "torn: the line has no end");
    if (!audit_line_read(text->text, text->len, &line))
        return fault(verify, &verify->here, "edited: not a line of the audit log");
    r = verify->verdict.events == 1 ? check_first(verify, &line) : check_number(verify, &line);
    if (r != 0)
        return r;
    if (verify->verdict.events > 1 && memcmp(line.prev, verify->hash, AUDIT_PREV_LEN) != 0)
        return broken_link(verify, text, err);
    verify->seq = line.seq;
    r = hash_line(text, verify->hash);
    return r < 0 ? r : audit_anchoring_see(verify->anchoring, &line, verify->hash, &verify->here, &verify->verdict);
}

static int check_all(struct verify *verify, struct err *err)
{
    struct audit_text text;
    int r = 0;

    while (r == 0 && (r = next_line(verify, &text, err)) == 1)
        r = check_line(verify, &text, err);
    if (r == 0 && verify->verdict.intact)
        r = audit_anchoring_end(verify->anchoring, verify->seq, &verify->verdict);
    return r;
}

int audit_verify(const char *dir, struct audit_verdict *ret_verdict, struct err *err)
{
    CLEANUP(audit_days_free) struct audit_days days = AUDIT_DAYS_INIT;
    CLEANUP_PTR(audit_lines_free) struct audit_lines *lines = NULL;
    CLEANUP_PTR(audit_anchoring_free) struct audit_anchoring *anchoring = NULL;
    struct verify verify = { .fd = -1, .hash = AUDIT_ZEROS, .verdict = { .intact = true } };
    int r = audit_days_list(dir, &days, err);

    /* The heads first: they stand for events that were on disk before them. */
    if (r == 0)
        r = audit_anchoring_new(days.dirfd, &anchoring, err);
    if (r < 0)
        return r;
    if (audit_lines_new(&lines) < 0)
        return err_set(err, ENOMEM, "out of memory");
    verify.days = &days;
    verify.lines = lines;
    verify.anchoring = anchoring;
    r = check_all(&verify, err);
    if (verify.fd >= 0)
        close(verify.fd);
    if (r < 0)
        return r;
    audit_anchoring_confirm(anchoring, &verify.verdict);
    verify.verdict.anchor.later = verify.seq - verify.verdict.anchor.seq;
    snprintf(verify.verdict.head, sizeof verify.verdict.head, "sha256:%s", verify.hash);
    *ret_verdict = verify.verdict;
    return 0;
}
