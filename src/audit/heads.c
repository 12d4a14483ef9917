/* Signed heads: one line, and the end of the file that is written. */
#include "audit/heads.h"

#include "audit/cursor.h"
#include "audit/lines.h"
#include "audit/torn.h"

#include "base/encode.h"
#include "base/file.h"
#include "crypt/head.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/banned.h"

#define KEY_TEXT       44 /* base64 of 32 bytes */
#define SIGNATURE_TEXT 88 /* base64 of 64 bytes */

struct audit_heads {
    int dirfd, fd; /* fd -1 while there is no file */
    off_t size;    /* as we left it */
    struct audit_head last;
};

int audit_head_write(struct buf *out, const struct audit_head *head)
{
    int r = buf_printf(out, "{\"seq\":%" PRIu64 ",\"hash\":\"sha256:%s\",\"key\":\"", head->seq, head->hash);

    if (r == 0)
        r = base64_encode(head->key, sizeof head->key, out);
    if (r == 0)
        r = buf_add_str(out, "\",\"signature\":\"");
    if (r == 0)
        r = base64_encode(head->signature, sizeof head->signature, out);
    return r < 0 ? r : buf_printf(out, "\",\"timestamp\":\"%s\"}", head->timestamp);
}

static bool decode(const struct audit_span *span, size_t text_len, uint8_t *out, size_t len)
{
    CLEANUP(buf_free) struct buf bytes = BUF_INIT(SIGN_BYTES);

    if (span->len != text_len || base64_decode(span->text, span->len, &bytes) < 0 || bytes.len != len)
        return false;
    memcpy(out, bytes.data, len);
    return true;
}

/* `"<name>":"` of the next field, then its text. */
static bool take_field(struct audit_cursor *cursor, const char *opening, struct audit_span *ret_span)
{
    return audit_take(cursor, opening) && audit_take_text(cursor, SIGNATURE_TEXT, ret_span);
}

bool audit_head_read(const char *text, size_t len, struct audit_head *ret_head)
{
    struct audit_cursor cursor = { text, text + len };
    struct audit_span hash, key, signature, timestamp;
    struct audit_head head = { 0 };

    if (len >= AUDIT_HEAD_MAX || !audit_take(&cursor, "{\"seq\":") || !audit_take_number(&cursor, &head.seq))
        return false;
    if (!take_field(&cursor, ",\"hash\":\"sha256:", &hash) || !take_field(&cursor, ",\"key\":\"", &key) ||
        !take_field(&cursor, ",\"signature\":\"", &signature) || !take_field(&cursor, ",\"timestamp\":\"", &timestamp) ||
        !audit_take(&cursor, "}") || cursor.at != cursor.end)
        return false;
    if (hash.len != AUDIT_PREV_LEN || !audit_is_hex(hash.text, hash.len) || timestamp.len != AUDIT_TIME_LEN)
        return false;
    if (!decode(&key, KEY_TEXT, head.key, sizeof head.key) ||
        !decode(&signature, SIGNATURE_TEXT, head.signature, sizeof head.signature))
        return false;
    memcpy(head.hash, hash.text, AUDIT_PREV_LEN);
    memcpy(head.timestamp, timestamp.text, AUDIT_TIME_LEN);
    *ret_head = head;
    return true;
}

bool audit_head_is_signed(const struct audit_head *head)
{
    uint8_t hash[SHA256_BYTES], message[AUDIT_HEAD_BYTES];

    if (hex_decode(head->hash, hash, sizeof hash) < 0)
        return false;
    audit_head_message(head->seq, hash, message);
    return sign_verify(head->key, message, sizeof message, head->signature);
}

/* The last head of ours in the file and where its line ends. */
static int last_find(int fd, struct audit_head *ret_head, uint64_t *ret_end)
{
    CLEANUP_PTR(audit_lines_free) struct audit_lines *lines = NULL;
    struct audit_text text;
    int r = audit_lines_new(&lines);

    if (r == 0)
        r = audit_lines_start_at_end(lines, fd);
    *ret_head = (struct audit_head){ 0 };
    *ret_end = 0;
    while (r == 0 && (r = audit_lines_previous(lines, &text)) == 1) {
        if (text.is_whole && audit_head_read(text.text, text.len, ret_head)) {
            *ret_end = text.offset + text.len + 1;
            return 0;
        }
        r = 0;
    }
    return r;
}

/* The file as it is now; none is fine. */
static int take_up(struct audit_heads *heads, bool *ret_torn)
{
    CLEANUP_CLOSE int fd = openat(heads->dirfd, AUDIT_HEADS_FILE, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct audit_head last = { 0 };
    uint64_t end = 0;
    struct stat st;
    int r = fd < 0 ? -errno : last_find(fd, &last, &end);

    if (heads->fd >= 0)
        close(heads->fd);
    heads->fd = -1;
    heads->size = 0;
    heads->last = last;
    if (r == -ENOENT && fd < 0)
        return 0;
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (r == 0 && (uint64_t) st.st_size > end) {
        *ret_torn = true;
        r = audit_torn_move(heads->dirfd, fd, AUDIT_HEADS_FILE, end);
    }
    if (r < 0)
        return r;
    heads->size = (off_t) end;
    heads->fd = TAKE_FD(fd);
    return 0;
}

int audit_heads_open(const char *dir, struct audit_heads **ret_heads, bool *ret_torn, struct err *err)
{
    CLEANUP_PTR(audit_heads_free) struct audit_heads *heads = calloc(1, sizeof *heads);
    bool torn = false;
    int r = 0;

    if (!heads)
        return err_set(err, ENOMEM, "out of memory");
    heads->fd = -1;
    heads->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (heads->dirfd < 0)
        return err_errno(err, errno, "cannot open the audit log %s", dir);
    r = take_up(heads, &torn);
    if (r < 0)
        return err_errno(err, -r, "cannot take up %s/%s", dir, AUDIT_HEADS_FILE);
    *ret_torn = torn;
    *ret_heads = TAKE_PTR(heads);
    return 0;
}

void audit_heads_free(struct audit_heads *heads)
{
    if (!heads)
        return;
    if (heads->fd >= 0)
        close(heads->fd);
    if (heads->dirfd >= 0)
        close(heads->dirfd);
    free(heads);
}

static int create(struct audit_heads *heads)
{
    CLEANUP_CLOSE int fd =
        openat(heads->dirfd, AUDIT_HEADS_FILE, O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    if (fsync(heads->dirfd) < 0)
        return -errno;
    heads->fd = TAKE_FD(fd);
    return 0;
}

/* The file as we left it; or as somebody else did, or none: then taken up anew. */
static int ready(struct audit_heads *heads)
{
    struct stat st;
    bool torn = false;
    int r = 0;

    if (heads->fd >= 0 && fstat(heads->fd, &st) == 0 && st.st_nlink > 0 && st.st_size == heads->size)
        return 0;
    r = take_up(heads, &torn);
    return r < 0 || heads->fd >= 0 ? r : create(heads);
}

/* All of the line or nothing of it. */
static int put(struct audit_heads *heads, const struct buf *line)
{
    int r = file_write_full(heads->fd, line->data, line->len);

    if (r == 0)
        heads->size += (off_t) line->len;
    else if (ftruncate(heads->fd, heads->size) < 0)
        heads->size = -1; /* taken up anew before the next one */
    return r;
}

int audit_heads_append(struct audit_heads *heads, const struct audit_head *head, struct err *err)
{
    CLEANUP(buf_free) struct buf line = BUF_INIT(AUDIT_HEAD_MAX);
    int r = ready(heads);

    if (r == 0 && head->seq <= heads->last.seq)
        return err_set(
            err, EINVAL, "event %" PRIu64 " is not beyond event %" PRIu64 ", whose head is signed", head->seq, heads->last.seq);
    if (r == 0)
        r = audit_head_write(&line, head);
    if (r == 0)
        r = buf_add_char(&line, '\n');
    if (r == 0)
        r = put(heads, &line);
    if (r < 0)
        return err_errno(err, -r, "cannot write %s", AUDIT_HEADS_FILE);
    heads->last = *head;
    return 0;
}

const struct audit_head *audit_heads_last(const struct audit_heads *heads)
{
    return &heads->last;
}

int audit_heads_fd(const struct audit_heads *heads)
{
    return heads->fd;
}
