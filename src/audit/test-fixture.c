/* See the header. */
#include "audit/test-fixture.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

int log_setup(void **state)
{
    struct log_fixture *f = calloc(1, sizeof *f);

    if (!f)
        return -1;
    /* In memory where that is possible: the tests sync thousands of times. */
    snprintf(f->dir, sizeof f->dir, "%s/audit-test-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(f->dir))
        return -1;
    snprintf(f->log_dir, sizeof f->log_dir, "%s/audit", f->dir);
    *state = f;
    return 0;
}

int log_teardown(void **state)
{
    struct log_fixture *f = *state;

    audit_close(f->log);
    file_remove_tree(AT_FDCWD, f->dir);
    free(f);
    return 0;
}

bool log_open_again(struct log_fixture *f)
{
    bool torn = false;
    struct err err = ERR_INIT;

    audit_close(f->log);
    f->log = NULL;
    if (audit_open(f->log_dir, &f->log, &torn, &err) < 0)
        fail_msg("%s", err.message);
    return torn;
}

int log_append_event(struct log_fixture *f, const char *type, const char *session, const char *payload, int64_t now,
    char id[ULID_ID_MAX], struct err *err)
{
    CLEANUP_JSON json_t *object = json_loads(payload, 0, NULL);
    struct audit_event event = { type, session, AUDIT_SERVICE, "broker", object };

    assert_non_null(object);
    return audit_append(f->log, &event, now, id, err);
}

void log_append(struct log_fixture *f, int64_t now)
{
    char id[ULID_ID_MAX];
    struct err err = ERR_INIT;

    if (log_append_event(f, "daemon.started", NULL, "{\"aileron.version\":\"0.1.0\"}", now, id, &err) < 0)
        fail_msg("%s", err.message);
}

void log_append_many(struct log_fixture *f, int64_t now, int count)
{
    for (int i = 0; i < count; i++)
        log_append(f, now + i);
}

void log_file_path(const struct log_fixture *f, const char *name, char out[256])
{
    assert_true(snprintf(out, 256, "%s/%s", f->log_dir, name) < 256);
}

char *log_read(const struct log_fixture *f, const char *name, size_t *ret_len)
{
    CLEANUP(buf_free) struct buf buf = BUF_INIT(64 << 20);
    char path[256];

    log_file_path(f, name, path);
    assert_int_equal(file_read(AT_FDCWD, path, &buf, NULL), 0);
    *ret_len = buf.len;
    return buf_take(&buf);
}

void log_write(const struct log_fixture *f, const char *name, const char *data, size_t len)
{
    CLEANUP_CLOSE int fd = -1;
    char path[256];

    log_file_path(f, name, path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(file_write_full(fd, data, len), 0);
}

struct audit_verdict log_verify(const struct log_fixture *f)
{
    struct audit_verdict verdict;
    struct err err = ERR_INIT;

    if (audit_verify(f->log_dir, &verdict, &err) < 0)
        fail_msg("%s", err.message);
    return verdict;
}

void log_assert_intact(const struct log_fixture *f, uint64_t events)
{
    struct audit_verdict verdict = log_verify(f);

    if (!verdict.intact)
        fail_msg("%s: %s", verdict.where, verdict.what);
    assert_int_equal(verdict.events, events);
}

void log_assert_fault(const struct log_fixture *f, const char *where, const char *what)
{
    struct audit_verdict verdict = log_verify(f);

    if (verdict.intact || strcmp(verdict.where, where) != 0 || strncmp(verdict.what, what, strlen(what)) != 0)
        fail_msg("intact %d, %s: %s; expected %s: %s", verdict.intact, verdict.where, verdict.what, where, what);
}

size_t log_split(char *text, size_t len, char *lines[], size_t max)
{
    size_t count = 0;

    for (char *at = text; at < text + len && count < max; at = (char *) memchr(at, '\n', (size_t) (text + len - at)) + 1)
        lines[count++] = at;
    lines[count] = text + len;
    return count;
}
