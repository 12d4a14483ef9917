/*
 * The log against its signed heads. Hashes of all heads are compared; signatures only where they tell something: of the newest
 * heads (they cover the older ones), and of one that does not fit before the log is blamed.
 */
#include "audit/anchor.h"

#include "audit/heads.h"
#include "audit/lines.h"

#include "base/encode.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

/* So much of the end of heads.jsonl has its signatures checked: some 3,500 heads, a fraction of a second. */
#define SIGNATURES_BYTES (1024 * 1024)
/* The broker asks for a head each 256 events while the vault is open; however slow the disk, one is there after so many. */
#define HEAD_OVERDUE 16384

struct audit_anchoring {
    int fd;
    struct audit_lines *lines;
    uint64_t size;              /* of heads.jsonl when we began */
    uint64_t number;            /* line of `next` */
    struct audit_head next;     /* not reached by the log yet; seq 0: no more */
    bool next_is_new;           /* its signature is one of the newest */
    struct audit_head last;     /* the newest that fits; seq 0: none */
    bool last_is_checked;       /* its signature, too */
    uint64_t created_seq;       /* the newest vault.created */
    uint64_t open_seq;          /* since this event the vault is open; 0: it is not, as far as the log says */
    uint64_t expected_seq;      /* a head of this event or of a later one must be there */
    uint64_t expected_from_seq; /* the vault was opened by this event */
};

static int fault(struct audit_verdict *verdict, const char *where, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Notes the fault; 1 as "stop here". */
static int fault(struct audit_verdict *verdict, const char *where, const char *format, ...)
{
    va_list args;

    snprintf(verdict->where, sizeof verdict->where, "%s", where);
    va_start(args, format);
    vsnprintf(verdict->what, sizeof verdict->what, format, args);
    va_end(args);
    verdict->intact = false;
    return 1;
}

#define HEADS_PLACE(anchoring) (heads_place((anchoring)->number, (char[64]){ 0 }))

static const char *heads_place(uint64_t number, char out[64])
{
    snprintf(out, 64, "%s line %" PRIu64, AUDIT_HEADS_FILE, number);
    return out;
}

static int key_text(const struct audit_head *head, char out[AUDIT_KEY_MAX])
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(AUDIT_KEY_MAX);
    int r = base64_encode(head->key, sizeof head->key, &text);

    if (r == 0)
        snprintf(out, AUDIT_KEY_MAX, "%s", buf_str(&text));
    return r;
}

static bool same_key(const struct audit_head *a, const struct audit_head *b)
{
    return memcmp(a->key, b->key, sizeof a->key) == 0;
}

/* Reads the next head. A last line without its end is what a crash leaves. */
static int advance(struct audit_anchoring *anchoring, struct audit_verdict *verdict)
{
    uint64_t before = anchoring->next.seq;
    struct audit_text text;
    int r = anchoring->lines ? audit_lines_next(anchoring->lines, &text) : 0;

    anchoring->next.seq = 0;
    if (r <= 0)
        return r;
    if (text.offset >= anchoring->size || (!text.is_whole && text.offset + text.len >= anchoring->size))
        return 0;
    anchoring->number++;
    if (!text.is_whole || !audit_head_read(text.text, text.len, &anchoring->next)) {
        anchoring->next.seq = 0;
        return fault(verdict, HEADS_PLACE(anchoring), "edited: not a signed head");
    }
    if (anchoring->next.seq <= before)
        return fault(verdict, HEADS_PLACE(anchoring),
            "reordered: the head of event %" PRIu64 " stands after that of event %" PRIu64, anchoring->next.seq, before);
    anchoring->next_is_new = text.offset + SIGNATURES_BYTES >= anchoring->size;
    verdict->head_line = anchoring->number;
    return key_text(&anchoring->next, verdict->head_key);
}

/* A key may follow another only when the vault was made anew in between. */
static int check_key(struct audit_anchoring *anchoring, struct audit_verdict *verdict)
{
    const struct audit_head *last = &anchoring->last, *next = &anchoring->next;

    if (last->seq == 0 || same_key(last, next) || anchoring->created_seq > last->seq)
        return 0;
    return fault(verdict, HEADS_PLACE(anchoring),
        "signed by another key than the head of event %" PRIu64 ", and the vault was not made anew in between", last->seq);
}

static int check_signature(const struct audit_anchoring *anchoring, struct audit_verdict *verdict)
{
    if (audit_head_is_signed(&anchoring->next))
        return 0;
    return fault(verdict, HEADS_PLACE(anchoring), "the signature of the head of event %" PRIu64 " is wrong", anchoring->next.seq);
}

/* The log has reached the head's event. */
static int compare(
    struct audit_anchoring *anchoring, const char *hash, const struct audit_place *place, struct audit_verdict *verdict)
{
    const struct audit_head *next = &anchoring->next;
    bool fits = memcmp(next->hash, hash, AUDIT_PREV_LEN) == 0;
    char where[64];
    int r = check_key(anchoring, verdict);

    if (r == 0 && (!fits || anchoring->next_is_new))
        r = check_signature(anchoring, verdict);
    if (r != 0)
        return r;
    if (!fits) {
        snprintf(where, sizeof where, "%s line %" PRIu64, place->file, place->number);
        return fault(verdict, where,
            "edited or reordered: this event %" PRIu64
            " is not the one that was signed at %s; the change is between event %" PRIu64 " and this one",
            next->seq, next->timestamp, anchoring->last.seq + 1);
    }
    anchoring->last = *next;
    anchoring->last_is_checked = anchoring->next_is_new;
    verdict->made_anew = false;
    verdict->anchor.seq = next->seq;
    memcpy(verdict->anchor.key, verdict->head_key, AUDIT_KEY_MAX);
    return advance(anchoring, verdict);
}

static bool is(const struct audit_span *type, const char *text)
{
    return type->len == strlen(text) && memcmp(type->text, text, type->len) == 0;
}

static void expect(struct audit_anchoring *anchoring, uint64_t seq)
{
    anchoring->expected_seq = seq;
    anchoring->expected_from_seq = anchoring->open_seq;
}

/* When the log itself says that a head must have been signed: the vault was open for long, or until a clean stop. */
static void follow_vault(struct audit_anchoring *anchoring, const struct audit_line *line)
{
    const struct audit_span *type = &line->type;

    if (anchoring->open_seq && line->seq - anchoring->open_seq >= HEAD_OVERDUE)
        expect(anchoring, line->seq - HEAD_OVERDUE);
    if (type->len < 12 || (type->text[0] != 'v' && type->text[0] != 'd'))
        return;
    if (is(type, "vault.created"))
        anchoring->created_seq = line->seq;
    /* vault.created says what was about to happen, vault.unlocked what has. */
    if (is(type, "vault.unlocked")) {
        anchoring->open_seq = anchoring->open_seq ? anchoring->open_seq : line->seq;
    } else if (is(type, "vault.locked") || is(type, "daemon.started")) {
        anchoring->open_seq = 0;
    } else if (is(type, "daemon.stopped")) {
        if (anchoring->open_seq)
            expect(anchoring, anchoring->open_seq);
        anchoring->open_seq = 0;
    }
}

int audit_anchoring_see(struct audit_anchoring *anchoring, const struct audit_line *line, const char *hash,
    const struct audit_place *place, struct audit_verdict *verdict)
{
    int r = 0;

    if (line->seq == 1)
        r = advance(anchoring, verdict);
    follow_vault(anchoring, line);
    if (anchoring->created_seq == line->seq)
        verdict->made_anew = true;
    return r == 0 && anchoring->next.seq == line->seq ? compare(anchoring, hash, place, verdict) : r;
}

static int open_heads(struct audit_anchoring *anchoring, int dirfd)
{
    struct stat st;
    int r = 0;

    anchoring->fd = openat(dirfd, AUDIT_HEADS_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (anchoring->fd < 0)
        return errno == ENOENT ? 0 : -errno;
    if (fstat(anchoring->fd, &st) < 0)
        return -errno;
    anchoring->size = (uint64_t) st.st_size;
    r = audit_lines_new(&anchoring->lines);
    return r < 0 ? r : audit_lines_start(anchoring->lines, anchoring->fd);
}

int audit_anchoring_new(int dirfd, struct audit_anchoring **ret_anchoring, struct err *err)
{
    CLEANUP_PTR(audit_anchoring_free) struct audit_anchoring *anchoring = calloc(1, sizeof *anchoring);
    int r = 0;

    if (!anchoring)
        return err_set(err, ENOMEM, "out of memory");
    anchoring->fd = -1;
    if (dirfd >= 0)
        r = open_heads(anchoring, dirfd);
    if (r < 0)
        return err_errno(err, -r, "cannot read %s", AUDIT_HEADS_FILE);
    *ret_anchoring = TAKE_PTR(anchoring);
    return 0;
}

void audit_anchoring_free(struct audit_anchoring *anchoring)
{
    if (!anchoring)
        return;
    audit_lines_free(anchoring->lines);
    if (anchoring->fd >= 0)
        close(anchoring->fd);
    free(anchoring);
}

/* Heads behind the end of the log. The newest of them that is well signed says how long the log was. */
static int log_is_short(struct audit_anchoring *anchoring, uint64_t seq, struct audit_verdict *verdict)
{
    struct audit_head last;
    int r = 0;

    do {
        r = check_key(anchoring, verdict);
        if (r == 0)
            r = check_signature(anchoring, verdict);
        last = anchoring->next;
        if (r == 0)
            r = advance(anchoring, verdict);
    } while (r == 0 && anchoring->next.seq);
    if (r != 0)
        return r;
    return fault(verdict, "the end of the log", "cut: it ends with event %" PRIu64 ", but event %" PRIu64 " was signed at %s",
        seq, last.seq, last.timestamp);
}

int audit_anchoring_end(struct audit_anchoring *anchoring, uint64_t seq, struct audit_verdict *verdict)
{
    int r = seq == 0 ? advance(anchoring, verdict) : 0;

    verdict->head_is_last = r == 0;
    if (r == 0 && anchoring->next.seq)
        r = log_is_short(anchoring, seq, verdict);
    if (r == 0 && anchoring->last.seq < anchoring->expected_seq)
        r = fault(verdict, AUDIT_HEADS_FILE,
            "missing: the vault was open from event %" PRIu64 " on, but no head of event %" PRIu64
            " or a later one is there; heads were removed or could not be written",
            anchoring->expected_from_seq, anchoring->expected_seq);
    return r;
}

void audit_anchoring_confirm(struct audit_anchoring *anchoring, struct audit_verdict *verdict)
{
    if (anchoring->last.seq && !anchoring->last_is_checked && !audit_head_is_signed(&anchoring->last))
        verdict->anchor = (struct audit_anchor){ .seq = 0 };
}
