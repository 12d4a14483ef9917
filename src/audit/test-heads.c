/* Signed heads: the line, the file through crashes, and every way of tampering with log or heads that verification must locate. */
#include "audit/test-fixture.h"

#include "audit/heads.h"

#include "base/encode.h"
#include "base/file.h"
#include "crypt/head.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cmocka.h>

#define SIGNED_AT "2026-11-23T12:00:00.000Z"

/* A key that signs, as the keeper would. */
static struct secret *new_key(void)
{
    struct secret *seed = NULL;

    assert_int_equal(sign_seed_new(&seed), 0);
    return seed;
}

static struct audit_head head_of(const struct secret *seed, uint64_t seq, const char *hash)
{
    struct audit_head head = { .seq = seq };
    uint8_t bytes[SHA256_BYTES], message[AUDIT_HEAD_BYTES];

    memcpy(head.hash, hash, AUDIT_PREV_LEN);
    memcpy(head.timestamp, SIGNED_AT, AUDIT_TIME_LEN);
    assert_int_equal(hex_decode(head.hash, bytes, sizeof bytes), 0);
    audit_head_message(seq, bytes, message);
    assert_int_equal(sign_public(seed, head.key), 0);
    assert_int_equal(sign_message(seed, message, sizeof message, head.signature), 0);
    return head;
}

static struct audit_heads *open_heads(const struct log_fixture *f, bool is_torn)
{
    struct audit_heads *heads = NULL;
    struct err err = ERR_INIT;
    bool torn = false;

    if (audit_heads_open(f->log_dir, &heads, &torn, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(torn, is_torn);
    return heads;
}

/* Signs the newest event as it is. */
static void sign_newest(const struct log_fixture *f, struct audit_heads *heads, const struct secret *seed)
{
    struct audit_head head = head_of(seed, audit_last_seq(f->log), audit_last_hash(f->log));
    struct err err = ERR_INIT;

    if (audit_heads_append(heads, &head, &err) < 0)
        fail_msg("%s", err.message);
}

static void append_type(struct log_fixture *f, const char *type)
{
    char id[ULID_ID_MAX];
    struct err err = ERR_INIT;

    if (log_append_event(f, type, NULL, "{\"aileron.vault.path\":\"/v\"}", NOON, id, &err) < 0)
        fail_msg("%s", err.message);
}

/* Twelve events, heads at 4 and 8. */
static struct secret *usual_log(struct log_fixture *f)
{
    struct secret *seed = new_key();
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = NULL;

    log_open_again(f);
    heads = open_heads(f, false);
    for (int i = 0; i < 3; i++) {
        log_append_many(f, NOON, 4);
        if (i < 2)
            sign_newest(f, heads, seed);
    }
    return seed;
}

static void test_the_line(void **state)
{
    static const char opening[] = "{\"seq\":300,\"hash\":\"sha256:" AUDIT_ZEROS "\",\"key\":\"";
    CLEANUP_PTR(secret_free) struct secret *seed = new_key();
    CLEANUP(buf_free) struct buf line = BUF_INIT(AUDIT_HEAD_MAX);
    struct audit_head head = head_of(seed, 300, AUDIT_ZEROS), back;

    assert_int_equal(audit_head_write(&line, &head), 0);
    assert_int_equal(strncmp(buf_str(&line), opening, sizeof opening - 1), 0);
    assert_true(audit_head_read(line.data, line.len, &back));
    assert_memory_equal(&head, &back, sizeof head);
    assert_true(audit_head_is_signed(&back));
    back.seq++;
    assert_false(audit_head_is_signed(&back));
    back = head;
    back.hash[0] = '1';
    assert_false(audit_head_is_signed(&back));
    assert_false(audit_head_read(line.data, line.len - 1, &back));
    assert_int_equal(buf_add_char(&line, ' '), 0);
    assert_false(audit_head_read(line.data, line.len, &back));
}

/* Each byte that is changed makes another head or none, never the same one with a good signature; but for its time, which is not signed. */
static void test_every_byte_of_the_line(void **state)
{
    CLEANUP_PTR(secret_free) struct secret *seed = new_key();
    CLEANUP(buf_free) struct buf line = BUF_INIT(AUDIT_HEAD_MAX);
    struct audit_head head = head_of(seed, 300, AUDIT_ZEROS), back;
    size_t time_at = 0;

    assert_int_equal(audit_head_write(&line, &head), 0);
    time_at = (size_t) (strstr(buf_str(&line), SIGNED_AT) - buf_str(&line));
    for (size_t i = 0; i < time_at; i++) {
        char old = line.data[i];

        line.data[i] = old == '7' ? '8' : '7';
        if (audit_head_read(line.data, line.len, &back) && audit_head_is_signed(&back))
            fail_msg("byte %zu can be changed", i);
        line.data[i] = old;
    }
}

static void test_append_and_take_up(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = open_heads(f, false);
    struct audit_head head = head_of(seed, 8, AUDIT_ZEROS);
    struct err err = ERR_INIT;
    struct stat st;

    assert_int_equal(audit_heads_last(heads)->seq, 8);
    assert_int_equal(audit_heads_append(heads, &head, &err), -EINVAL);
    assert_int_equal(fstat(audit_heads_fd(heads), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    sign_newest(f, heads, seed);
    assert_int_equal(audit_heads_last(heads)->seq, 12);
    log_assert_intact(f, 12);
    assert_int_equal(log_verify(f).anchor.seq, 12);
}

/* A crash may leave any part of the last line. */
static void test_torn_at_every_byte(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    CLEANUP_FREE char *text = NULL;
    size_t len = 0, last = 0;

    text = log_read(f, AUDIT_HEADS_FILE, &len);
    last = (size_t) ((char *) memrchr(text, '\n', len - 1) + 1 - text);
    for (size_t cut = last; cut < len; cut++) {
        log_write(f, AUDIT_HEADS_FILE, text, cut);
        log_assert_intact(f, 12);
        assert_int_equal(log_verify(f).anchor.seq, 4);
        CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = open_heads(f, cut > last);
        sign_newest(f, heads, seed);
        assert_int_equal(log_verify(f).anchor.seq, 12);
        log_assert_intact(f, 12);
    }
}

static void test_short_write_is_undone(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = open_heads(f, false);
    struct audit_head head = head_of(seed, 12, audit_last_hash(f->log));
    struct rlimit old, small;
    struct stat before, after;
    struct err err = ERR_INIT;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(fstat(audit_heads_fd(heads), &before), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    for (int room = 0; room < 200; room += 33) {
        small = (struct rlimit){ (rlim_t) (before.st_size + room), old.rlim_max };
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        int r = audit_heads_append(heads, &head, &err);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
        assert_int_equal(r, -EFBIG);
        assert_int_equal(fstat(audit_heads_fd(heads), &after), 0);
        assert_int_equal(after.st_size, before.st_size);
        assert_int_equal(audit_heads_last(heads)->seq, 8);
    }
    sign_newest(f, heads, seed);
    assert_int_equal(log_verify(f).anchor.seq, 12);
}

/* Removed, cut or written to by others between two appends: taken up as it is, and never with a line inside another. */
static void test_changed_under_us(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = open_heads(f, false);
    CLEANUP_CLOSE int fd = -1;
    char path[256];

    log_file_path(f, AUDIT_HEADS_FILE, path);
    assert_int_equal(unlink(path), 0);
    sign_newest(f, heads, seed);
    assert_int_equal(log_verify(f).anchor.seq, 12);
    fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_int_equal(file_write_full(fd, "{\"seq\":", 7), 0);
    log_append(f, NOON);
    sign_newest(f, heads, seed);
    log_assert_intact(f, 13);
    assert_int_equal(log_verify(f).anchor.seq, 13);
    assert_int_equal(truncate(path, 0), 0);
    log_append(f, NOON);
    sign_newest(f, heads, seed);
    log_assert_intact(f, 14);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/null", path), 0);
    log_append(f, NOON);
    struct audit_head head = head_of(seed, 15, audit_last_hash(f->log));
    assert_int_equal(audit_heads_append(heads, &head, NULL), -ELOOP);
}

static void test_anchored(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    struct audit_verdict verdict = log_verify(f);
    uint8_t key[SIGN_PUBLIC_BYTES];
    CLEANUP(buf_free) struct buf text = BUF_INIT(64);
    char path[256];

    assert_int_equal(sign_public(seed, key), 0);
    assert_int_equal(base64_encode(key, sizeof key, &text), 0);
    assert_true(verdict.intact && verdict.head_is_last && !verdict.made_anew);
    assert_int_equal(verdict.anchor.seq, 8);
    assert_int_equal(verdict.anchor.later, 4);
    assert_string_equal(verdict.anchor.key, buf_str(&text));
    assert_string_equal(verdict.head_key, buf_str(&text));
    assert_int_equal(verdict.head_line, 2);
    log_file_path(f, AUDIT_HEADS_FILE, path);
    assert_int_equal(unlink(path), 0);
    verdict = log_verify(f);
    assert_true(verdict.intact);
    assert_int_equal(verdict.anchor.seq, 0);
    assert_int_equal(verdict.anchor.later, 12);
    assert_int_equal(verdict.head_line, 0);
}

/* The log written anew up to event `count` with event `changed` another, its chain made to fit. */
static void forge(struct log_fixture *f, int count, int changed)
{
    char path[256];

    log_file_path(f, DAY_FILE, path);
    assert_int_equal(unlink(path), 0);
    log_open_again(f);
    for (int i = 1; i <= count; i++)
        log_append(f, i == changed ? NOON + 999 : NOON + i % 4);
}

/* Nothing of the chain gives these away: only the heads do. */
static void test_forged_log(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);

    forge(f, 12, 2);
    log_assert_fault(f, DAY_FILE " line 4",
        "edited or reordered: this event 4 is not the one that was signed at " SIGNED_AT
        "; the change is between event 1 and this one");
    assert_int_equal(log_verify(f).anchor.seq, 0);
}

static void test_forged_after_a_head(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    CLEANUP_FREE char *text = NULL;
    char *lines[16];
    size_t len = 0;

    text = log_read(f, DAY_FILE, &len);
    log_split(text, len, lines, 14);
    /* Five true events, then others in place of 6 to 12. */
    log_write(f, DAY_FILE, text, (size_t) (lines[5] - text));
    log_open_again(f);
    log_append_many(f, NOON + 5000, 7);
    log_assert_fault(f, DAY_FILE " line 8",
        "edited or reordered: this event 8 is not the one that was signed at " SIGNED_AT
        "; the change is between event 5 and this one");
    assert_int_equal(log_verify(f).anchor.seq, 4);
    /* Behind the last head everything can be forged; that is what `later` says. */
    log_write(f, DAY_FILE, text, (size_t) (lines[9] - text));
    log_open_again(f);
    log_append_many(f, NOON + 5000, 3);
    log_assert_intact(f, 12);
    assert_int_equal(log_verify(f).anchor.later, 4);
}

static void test_log_cut(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    CLEANUP_FREE char *text = NULL;
    char *lines[16], path[256];
    size_t len = 0;

    text = log_read(f, DAY_FILE, &len);
    log_split(text, len, lines, 14);
    log_write(f, DAY_FILE, text, (size_t) (lines[7] - text));
    log_assert_fault(f, "the end of the log", "cut: it ends with event 7, but event 8 was signed at " SIGNED_AT);
    assert_int_equal(log_verify(f).anchor.seq, 4);
    assert_int_equal(log_verify(f).anchor.later, 3);
    log_write(f, DAY_FILE, text, (size_t) (lines[2] - text));
    log_assert_fault(f, "the end of the log", "cut: it ends with event 2, but event 8 was signed");
    log_write(f, DAY_FILE, text, 0);
    log_assert_fault(f, "the end of the log", "cut: it ends with event 0, but event 8 was signed");
    log_file_path(f, DAY_FILE, path);
    assert_int_equal(unlink(path), 0);
    log_assert_fault(f, "the end of the log", "cut: it ends with event 0, but event 8 was signed");
    /* Up to the last head and no further can be known. */
    log_write(f, DAY_FILE, text, (size_t) (lines[8] - text));
    log_assert_intact(f, 8);
}

/* Whole days are cut and forged as lines are. */
static void test_heads_over_days(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = open_heads(f, false);
    char path[256], other[256];

    log_append_many(f, NOON + DAY, 3);
    sign_newest(f, heads, seed);
    log_append_many(f, NOON + 2 * DAY, 3);
    sign_newest(f, heads, seed);
    log_assert_intact(f, 18);
    assert_int_equal(log_verify(f).anchor.seq, 18);
    log_file_path(f, "audit-2026-11-25.jsonl", path);
    log_file_path(f, "hidden", other);
    assert_int_equal(rename(path, other), 0);
    log_assert_fault(f, "the end of the log", "cut: it ends with event 15, but event 18 was signed");
    assert_int_equal(log_verify(f).anchor.seq, 15);
    log_open_again(f);
    log_append_many(f, NOON + 2 * DAY + 7, 3);
    log_assert_fault(f, "audit-2026-11-25.jsonl line 3",
        "edited or reordered: this event 18 is not the one that was signed at " SIGNED_AT "; the change is between event 16 and");
    assert_int_equal(rename(other, path), 0);
    log_assert_intact(f, 18);
    log_file_path(f, DAY_FILE, path);
    assert_int_equal(unlink(path), 0);
    log_assert_fault(f, NEXT_FILE " line 1", "cut: the log starts at event 13");
    assert_int_equal(log_verify(f).anchor.seq, 0);
}

/* The daemon starts on a cut log and goes on writing: what is written over signed events stays visible. */
static void test_log_cut_and_continued(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    CLEANUP_FREE char *text = NULL;
    char *lines[16];
    size_t len = 0;

    text = log_read(f, DAY_FILE, &len);
    log_split(text, len, lines, 14);
    log_write(f, DAY_FILE, text, (size_t) (lines[7] - text));
    log_open_again(f);
    log_append_many(f, NOON + 5000, 20);
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = open_heads(f, false);
    sign_newest(f, heads, seed);
    log_assert_fault(f, DAY_FILE " line 8", "edited or reordered: this event 8 is not the one that was signed");
}

static void heads_lines(const struct log_fixture *f, const struct audit_head *heads, size_t count)
{
    CLEANUP(buf_free) struct buf text = BUF_INIT(1 << 16);

    for (size_t i = 0; i < count; i++)
        assert_true(audit_head_write(&text, &heads[i]) == 0 && buf_add_char(&text, '\n') == 0);
    log_write(f, AUDIT_HEADS_FILE, buf_str(&text), text.len);
}

static size_t read_heads(const struct log_fixture *f, struct audit_head *out, size_t max)
{
    size_t len = 0, count = 0;
    CLEANUP_FREE char *text = log_read(f, AUDIT_HEADS_FILE, &len);
    char *lines[16];

    count = log_split(text, len, lines, 14);
    assert_true(count <= max);
    for (size_t i = 0; i < count; i++)
        assert_true(audit_head_read(lines[i], (size_t) (lines[i + 1] - lines[i]) - 1, &out[i]));
    return count;
}

static void test_tampering_with_heads(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f), *other = new_key();
    struct audit_head good[2], bad[3];

    assert_int_equal(read_heads(f, good, 2), 2);
    memcpy(bad, (struct audit_head[]){ good[1], good[0] }, sizeof good);
    heads_lines(f, bad, 2);
    log_assert_fault(f, "heads.jsonl line 2", "reordered: the head of event 4 stands after that of event 8");
    memcpy(bad, (struct audit_head[]){ good[0], good[0] }, sizeof good);
    heads_lines(f, bad, 2);
    log_assert_fault(f, "heads.jsonl line 2", "reordered");
    memcpy(bad, good, sizeof good);
    bad[0].signature[5] ^= 1;
    heads_lines(f, bad, 2);
    log_assert_fault(f, "heads.jsonl line 1", "the signature of the head of event 4 is wrong");
    memcpy(bad, good, sizeof good);
    bad[1].hash[9] = bad[1].hash[9] == '0' ? '1' : '0';
    heads_lines(f, bad, 2);
    log_assert_fault(f, "heads.jsonl line 2", "the signature of the head of event 8 is wrong");
    /* Signed beyond the end of the log, by nobody and by somebody else: not the log's fault. */
    memcpy(bad, good, sizeof good);
    bad[2] = good[1];
    bad[2].seq = 4000;
    heads_lines(f, bad, 3);
    log_assert_fault(f, "heads.jsonl line 3", "the signature of the head of event 4000 is wrong");
    bad[2] = head_of(other, 4000, AUDIT_ZEROS);
    heads_lines(f, bad, 3);
    log_assert_fault(f, "heads.jsonl line 3", "signed by another key than the head of event 8");
    heads_lines(f, good, 2);
    log_assert_intact(f, 12);
}

/* Of many heads the old ones' signatures are looked at only where they tell something: an anchor's always. */
static void test_many_heads(void **state)
{
    enum { EVENTS = 4500 };
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = new_key();
    CLEANUP(buf_free) struct buf heads = BUF_INIT(4 << 20);

    log_open_again(f);
    for (uint64_t seq = 1; seq <= EVENTS; seq++) {
        log_append(f, NOON);
        struct audit_head head = head_of(seed, seq, audit_last_hash(f->log));
        head.signature[3] ^= seq == 100 || seq == 200;
        assert_true(audit_head_write(&heads, &head) == 0 && buf_add_char(&heads, '\n') == 0);
    }
    log_write(f, AUDIT_HEADS_FILE, heads.data, heads.len);
    log_assert_intact(f, EVENTS);
    assert_int_equal(log_verify(f).anchor.seq, EVENTS);
    CLEANUP_FREE char *text = NULL;
    size_t len = 0, cut = 0;
    text = log_read(f, DAY_FILE, &len);
    for (int line = 0; line < 100; cut++)
        line += text[cut] == '\n';
    /* Forged from 101 on: head 101 is good and tells; 100, which fits, is not believed. */
    log_write(f, DAY_FILE, text, cut);
    log_open_again(f);
    log_append_many(f, NOON + 5000, 20);
    log_assert_fault(f, DAY_FILE " line 101", "edited or reordered");
    assert_int_equal(log_verify(f).anchor.seq, 0);
    /* From 200 on: 200 itself does not fit, and is looked at before the log is blamed. */
    for (int line = 100; line < 199; cut++)
        line += text[cut] == '\n';
    log_write(f, DAY_FILE, text, cut);
    log_open_again(f);
    log_append_many(f, NOON + 5000, 20);
    log_assert_fault(f, "heads.jsonl line 200", "the signature of the head of event 200 is wrong");
    assert_int_equal(log_verify(f).anchor.seq, 199);
}

static void test_lines_that_are_no_heads(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    CLEANUP_FREE char *text = NULL;
    CLEANUP(buf_free) struct buf out = BUF_INIT(1 << 20);
    size_t len = 0;

    text = log_read(f, AUDIT_HEADS_FILE, &len);
    assert_true(buf_add_str(&out, "\n") == 0 && buf_add(&out, text, len) == 0);
    log_write(f, AUDIT_HEADS_FILE, out.data, out.len);
    log_assert_fault(f, "heads.jsonl line 1", "edited: not a signed head");
    buf_reset(&out);
    assert_int_equal(buf_add(&out, text, len), 0);
    for (int i = 0; i < 200000; i++)
        assert_int_equal(buf_add_char(&out, 'x'), 0);
    assert_int_equal(buf_add_char(&out, '\n'), 0);
    log_write(f, AUDIT_HEADS_FILE, out.data, out.len);
    log_assert_fault(f, "heads.jsonl line 3", "edited: not a signed head");
    /* The next start moves it away. */
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = open_heads(f, true);
    log_assert_intact(f, 12);
}

/* Whoever has no key of the vault may write heads of his own: by themselves they fit, and the key gives them away. */
static void test_another_key(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f), *other = new_key();
    struct audit_head good[2], bad[2];
    struct audit_verdict verdict;

    assert_int_equal(read_heads(f, good, 2), 2);
    bad[0] = good[0];
    bad[1] = head_of(other, 8, good[1].hash);
    heads_lines(f, bad, 2);
    log_assert_fault(
        f, "heads.jsonl line 2", "signed by another key than the head of event 4, and the vault was not made anew in between");
    bad[0] = head_of(other, 4, good[0].hash);
    heads_lines(f, bad, 2);
    verdict = log_verify(f);
    assert_true(verdict.intact && verdict.head_is_last && !verdict.made_anew);
    CLEANUP(buf_free) struct buf text = BUF_INIT(64);
    assert_int_equal(base64_encode(good[0].key, sizeof good[0].key, &text), 0);
    assert_string_not_equal(verdict.head_key, buf_str(&text));
    assert_string_equal(verdict.head_key, verdict.anchor.key);
}

static void test_vault_made_anew(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f), *anew = new_key();
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = open_heads(f, false);

    assert_false(log_verify(f).made_anew);
    append_type(f, "vault.created");
    assert_true(log_verify(f).made_anew);
    sign_newest(f, heads, anew);
    log_assert_intact(f, 13);
    assert_int_equal(log_verify(f).anchor.seq, 13);
    assert_false(log_verify(f).made_anew);
    /* Back to the old key: not without another vault.created. */
    log_append(f, NOON);
    sign_newest(f, heads, seed);
    log_assert_fault(f, "heads.jsonl line 4", "signed by another key than the head of event 13");
}

/* The receipts themselves say that there were heads. */
static void test_heads_that_must_be_there(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = new_key();
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = NULL;
    char path[256];

    log_open_again(f);
    log_append(f, NOON);
    append_type(f, "vault.unlocked");
    append_type(f, "vault.locked");
    append_type(f, "daemon.stopped");
    /* Locked again before a head could be signed, or killed: nothing can be proved. */
    log_assert_intact(f, 4);
    append_type(f, "vault.unlocked");
    append_type(f, "daemon.started");
    append_type(f, "daemon.stopped");
    log_assert_intact(f, 7);
    append_type(f, "vault.unlocked");
    log_assert_intact(f, 8);
    append_type(f, "daemon.stopped");
    log_assert_fault(f, "heads.jsonl", "missing: the vault was open from event 8 on, but no head of event 8 or a later one");
    heads = open_heads(f, false);
    sign_newest(f, heads, seed);
    log_assert_intact(f, 9);
    log_append(f, NOON);
    append_type(f, "vault.unlocked");
    append_type(f, "daemon.stopped");
    log_assert_fault(f, "heads.jsonl", "missing: the vault was open from event 11 on");
    sign_newest(f, heads, seed);
    log_assert_intact(f, 12);
    log_file_path(f, AUDIT_HEADS_FILE, path);
    assert_int_equal(unlink(path), 0);
    log_assert_fault(f, "heads.jsonl", "missing");
}

static void test_open_for_long_without_heads(void **state)
{
    struct log_fixture *f = *state;

    log_open_again(f);
    append_type(f, "vault.unlocked");
    for (int i = 0; i < 16383; i++)
        append_type(f, "secret.written");
    log_assert_intact(f, 16384);
    append_type(f, "secret.written");
    log_assert_fault(f, "heads.jsonl", "missing: the vault was open from event 1 on");
}

static void test_symlinked_heads_are_refused(void **state)
{
    struct log_fixture *f = *state;
    CLEANUP_PTR(secret_free) struct secret *seed = usual_log(f);
    struct audit_heads *heads = NULL;
    struct audit_verdict verdict;
    struct err err = ERR_INIT;
    char path[256];
    bool torn = false;

    log_file_path(f, AUDIT_HEADS_FILE, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/dev/zero", path), 0);
    assert_true(audit_heads_open(f->log_dir, &heads, &torn, &err) < 0);
    assert_true(audit_verify(f->log_dir, &verdict, &err) < 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_true(audit_heads_open(f->log_dir, &heads, &torn, &err) < 0);
    assert_true(audit_verify(f->log_dir, &verdict, &err) < 0);
    assert_null(heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_line),
        cmocka_unit_test(test_every_byte_of_the_line),
        LOG_TEST(test_append_and_take_up),
        LOG_TEST(test_torn_at_every_byte),
        LOG_TEST(test_short_write_is_undone),
        LOG_TEST(test_changed_under_us),
        LOG_TEST(test_anchored),
        LOG_TEST(test_forged_log),
        LOG_TEST(test_forged_after_a_head),
        LOG_TEST(test_log_cut),
        LOG_TEST(test_heads_over_days),
        LOG_TEST(test_log_cut_and_continued),
        LOG_TEST(test_tampering_with_heads),
        LOG_TEST(test_many_heads),
        LOG_TEST(test_lines_that_are_no_heads),
        LOG_TEST(test_another_key),
        LOG_TEST(test_vault_made_anew),
        LOG_TEST(test_heads_that_must_be_there),
        LOG_TEST(test_open_for_long_without_heads),
        LOG_TEST(test_symlinked_heads_are_refused),
    };

    return cmocka_run_group_tests_name("audit/heads", tests, NULL, NULL);
}
