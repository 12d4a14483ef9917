/*
 * The child that verifies. It is confined to reading the audit folder; its whole
 * output is read before it is believed to be JSON.
 */
#include "broker/verify.h"

#include "audit/audit.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/magic.h"
#include "confine/confine.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/banned.h"

#define VERIFY_MAGIC   0x76657266u
#define VERIFY_MS      120000
#define VERIFY_AT_ONCE 2
#define OUTPUT_MAX     4096

struct verify {
    uint32_t magic;
    struct loop_child *child;
    struct loop_watch *watch;
    struct loop_timer *timer;
    int fd;
    struct buf output;
    verify_fn *fn;
    void *userdata;
};

static unsigned running;

static void verify_free(struct verify *verify)
{
    loop_watch_free(verify->watch);
    loop_timer_free(verify->timer);
    loop_child_free(verify->child);
    if (verify->fd >= 0)
        close(verify->fd);
    buf_free(&verify->output);
    free(verify);
    running--;
}

static void finish(struct verify *verify, const char *trouble)
{
    verify_fn *fn = verify->fn;
    void *userdata = verify->userdata;
    struct err err = ERR_INIT;
    json_t *verdict = NULL;

    if (trouble)
        err_set(&err, EIO, "%s", trouble);
    else
        json_parse(buf_str(&verify->output), verify->output.len, JSON_LIMITS(OUTPUT_MAX), &verdict, &err);
    verify_free(verify);
    fn(verdict, &err, userdata);
}

static void on_output(int fd, int events, void *userdata)
{
    struct verify *verify = MAGIC_CAST(struct verify, userdata, VERIFY_MAGIC);
    char data[1024];
    ssize_t n = read(fd, data, sizeof data);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        if (buf_add(&verify->output, data, (size_t) n) < 0)
            finish(verify, "the verifier said too much");
        return;
    }
    finish(verify, verify->output.len ? NULL : "the verifier ended without an answer");
}

static void on_exit_(struct loop_child *child, int status, void *userdata)
{
    /* The end of its output tells more; it may still be in the pipe. */
}

static void on_timeout(void *userdata)
{
    finish(MAGIC_CAST(struct verify, userdata, VERIFY_MAGIC), "verifying took too long");
}

static int start_child(struct loop *loop, struct verify *verify, int self_program, const char *dir, struct err *err)
{
    const char *const argv[] = { "aileron-broker", "--verify-audit", dir, NULL };
    const char *const envp[] = { NULL };
    int out[2];

    if (pipe2(out, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot make a pipe");
    verify->fd = out[0];
    CLEANUP_CLOSE int theirs = out[1];
    fcntl(verify->fd, F_SETFL, O_NONBLOCK);
    struct proc_spec spec = {
        .program_fd = self_program,
        .argv = argv,
        .envp = envp,
        .stdin_fd = -1,
        .stdout_fd = theirs,
        .stderr_fd = -1,
        .die_with_parent = true,
    };
    int r = loop_child_start(loop, &spec, on_exit_, verify, &verify->child, err);
    if (!r)
        r = loop_watch_new(loop, verify->fd, LOOP_READ, on_output, verify, &verify->watch);
    if (!r)
        r = loop_timer_new(loop, on_timeout, verify, &verify->timer);
    if (!r)
        loop_timer_set(verify->timer, VERIFY_MS);
    return r;
}

int verify_start(struct loop *loop, int self_program, const char *dir, verify_fn *fn, void *userdata, struct err *err)
{
    if (running >= VERIFY_AT_ONCE)
        return err_set(err, EBUSY, "the log is being verified already");
    struct verify *verify = calloc(1, sizeof *verify);
    if (!verify)
        return err_set(err, ENOMEM, "out of memory");
    running++;
    verify->magic = VERIFY_MAGIC;
    verify->fd = -1;
    verify->output = (struct buf) BUF_INIT(OUTPUT_MAX);
    verify->fn = fn;
    verify->userdata = userdata;
    int r = start_child(loop, verify, self_program, dir, err);
    if (r < 0)
        verify_free(verify);
    return r;
}

/* "heads" is for the caller of verify_start(), who may know the vault's key. */
static json_t *verdict_json(const struct audit_verdict *verdict)
{
    const struct audit_anchor *anchor = &verdict->anchor;
    json_t *body = json_pack("{s:b, s:I, s:I, s:s}", "intact", verdict->intact, "events", (json_int_t) verdict->events, "files",
        (json_int_t) verdict->files, "head", verdict->head);

    if (!verdict->intact) {
        json_object_set_new(body, "where", json_string(verdict->where));
        json_object_set_new(body, "what", json_string(verdict->what));
    }
    json_object_set_new(body, "anchor",
        anchor->seq ? json_pack("{s:I, s:I, s:s, s:b}", "seq", (json_int_t) anchor->seq, "later", (json_int_t) anchor->later,
                          "key", anchor->key, "confirmed", 0)
                    : json_null());
    json_object_set_new(body, "heads",
        json_pack("{s:I, s:s, s:b, s:b}", "line", (json_int_t) verdict->head_line, "key", verdict->head_key, "is_last",
            verdict->head_is_last, "made_anew", verdict->made_anew));
    return body;
}

int verify_main(const char *dir)
{
    const char *const readable[] = { dir, NULL };
    const struct confine_paths paths = { readable, NULL };
    CLEANUP(buf_free) struct buf text = BUF_INIT(OUTPUT_MAX);
    struct confine_report report;
    struct audit_verdict verdict;
    struct err err = ERR_INIT;

    json_init();
    if (confine_begin(CONFINE_BROKER, &paths, 0, &report, &err) < 0 || audit_verify(dir, &verdict, &err) < 0) {
        fprintf(stderr, "aileron-broker: %s\n", err.message);
        return 1;
    }
    CLEANUP_JSON json_t *body = verdict_json(&verdict);
    if (!body || json_write(body, &text) < 0)
        return 1;
    return file_write_full(STDOUT_FILENO, text.data, text.len) < 0;
}
