/*
 * Receipts. The flush timer runs only while something is not on disk, so an idle
 * daemon is not woken.
 */
#include "broker/receipts.h"

#include "base/clock.h"
#include "base/magic.h"
#include "broker/log.h"
#include "loop/loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/banned.h"

#define RECEIPTS_MAGIC 0x72637074u
#define FLUSH_MS       500

struct receipts {
    uint32_t magic;
    struct audit_log *log;
    struct sync *sync;
    struct loop_timer *flush;
    json_t *empty;
    struct {
        receipts_watch_fn *fn; /* NULL: free */
        void *userdata;
    } watchers[RECEIPTS_WATCHERS_MAX];
    bool dirty;
    char trouble[ERR_MESSAGE_MAX];
};

static void note_trouble(struct receipts *receipts, const char *what)
{
    if (!receipts->trouble[0])
        log_error("receipts cannot be written: %s; no action runs until they can", what);
    snprintf(receipts->trouble, sizeof receipts->trouble, "%s", what);
}

static void on_flushed(int result, void *userdata)
{
    struct receipts *receipts = MAGIC_CAST(struct receipts, userdata, RECEIPTS_MAGIC);

    if (result < 0)
        note_trouble(receipts, strerror(-result));
}

static void on_flush(void *userdata)
{
    struct receipts *receipts = MAGIC_CAST(struct receipts, userdata, RECEIPTS_MAGIC);

    receipts->dirty = false;
    int r = sync_request(receipts->sync, audit_fd(receipts->log), on_flushed, receipts, NULL);
    if (r < 0)
        note_trouble(receipts, strerror(-r));
}

int receipts_open(struct loop *loop, const char *dir, struct receipts **ret_receipts, bool *ret_torn, struct err *err)
{
    CLEANUP_PTR(receipts_close) struct receipts *receipts = calloc(1, sizeof *receipts);

    if (!receipts)
        return err_set(err, ENOMEM, "out of memory");
    receipts->magic = RECEIPTS_MAGIC;
    receipts->empty = json_object();
    int r = audit_open(dir, &receipts->log, ret_torn, err);
    if (!r)
        r = sync_new(loop, &receipts->sync, err);
    if (!r && loop_timer_new(loop, on_flush, receipts, &receipts->flush) < 0)
        r = err_set(err, ENOMEM, "out of memory");
    if (r < 0)
        return r;
    *ret_receipts = TAKE_PTR(receipts);
    return 0;
}

void receipts_close(struct receipts *receipts)
{
    if (!receipts)
        return;
    sync_free(receipts->sync);
    if (receipts->log && receipts->dirty)
        fdatasync(audit_fd(receipts->log));
    loop_timer_free(receipts->flush);
    audit_close(receipts->log);
    json_decref(receipts->empty);
    free(receipts);
}

int receipts_append(struct receipts *receipts, const struct receipt *receipt, char ret_id[ULID_ID_MAX], struct err *err)
{
    struct audit_event event = {
        .type = receipt->type,
        .session_id = receipt->session_id,
        .actor = receipt->actor,
        .actor_id = receipt->actor_id,
        .payload = receipt->payload ? receipt->payload : receipts->empty,
    };
    struct err ours = ERR_INIT;
    char id[ULID_ID_MAX];
    int r = audit_append(receipts->log, &event, clock_unix_ms(), id, &ours);

    if (r < 0) {
        note_trouble(receipts, ours.message[0] ? ours.message : strerror(-r));
        return err_set(err, -r, "no receipt could be written (%s)", receipts->trouble);
    }
    if (receipts->trouble[0]) {
        receipts->trouble[0] = '\0';
        log_info("receipts can be written again");
    }
    if (!receipts->dirty) {
        receipts->dirty = true;
        loop_timer_set(receipts->flush, FLUSH_MS);
    }
    if (ret_id)
        memcpy(ret_id, id, sizeof id);
    for (size_t i = 0; i < RECEIPTS_WATCHERS_MAX; i++)
        if (receipts->watchers[i].fn)
            receipts->watchers[i].fn(receipt->type, receipts->watchers[i].userdata);
    return 0;
}

int receipts_durable(struct receipts *receipts, sync_fn *fn, void *userdata, struct sync_wait **ret_wait)
{
    return sync_request(receipts->sync, audit_fd(receipts->log), fn, userdata, ret_wait);
}

int receipts_sync(struct receipts *receipts, int fd)
{
    return sync_request(receipts->sync, fd, on_flushed, receipts, NULL);
}

int receipts_with(struct receipts *receipts, int fd)
{
    return sync_add(receipts->sync, fd);
}

int receipts_watch(struct receipts *receipts, receipts_watch_fn *fn, void *userdata)
{
    for (size_t i = 0; i < RECEIPTS_WATCHERS_MAX; i++) {
        if (receipts->watchers[i].fn)
            continue;
        receipts->watchers[i].fn = fn;
        receipts->watchers[i].userdata = userdata;
        return 0;
    }
    return -ENOSPC;
}

void receipts_unwatch(struct receipts *receipts, const void *userdata)
{
    for (size_t i = 0; i < RECEIPTS_WATCHERS_MAX; i++)
        if (receipts->watchers[i].userdata == userdata)
            receipts->watchers[i].fn = NULL;
}

uint64_t receipts_head(const struct receipts *receipts, const char **ret_hash)
{
    *ret_hash = audit_last_hash(receipts->log);
    return audit_last_seq(receipts->log);
}

const char *receipts_trouble(const struct receipts *receipts)
{
    return receipts->trouble[0] ? receipts->trouble : NULL;
}
