/*
 * One fetcher at a time. A download is sent when the fetcher has said hello; those that
 * came before wait. Frames are checked field by field: what talks to the network is
 * believed in nothing but its bytes, which signature and hash decide about.
 */
#include "broker/fetch-link.h"

#include "base/clock.h"
#include "base/magic.h"
#include "loop/channel.h"
#include "loop/loop.h"
#include "wire/limits.h"

#include <errno.h>
#include <string.h>
#include <sys/queue.h>

#include "base/banned.h"

#define LINK_MAGIC   0x6674636cu
#define FETCHES_MAX  64
#define HELLO_MS     10000
#define GRACE_MS     3000
#define TEXT_MAX     4096
#define URL_TEXT_MAX 8192

struct fetch {
    struct fetch_link *link;
    TAILQ_ENTRY(fetch) entry;
    uint32_t id; /* 0: not sent yet */
    bool lost;   /* its fetcher is gone */
    char *url, *accept, *etag;
    uint64_t bytes_max;
    uint32_t deadline_ms;
    int64_t due_ms;
    fetch_fn *fn; /* NULL: cancelled */
    fetch_progress_fn *progress;
    void *userdata;
};

struct fetch_link {
    uint32_t magic;
    struct fetch_config config;
    char *allow_private;
    bool overrides_active, runs_with_overrides;
    struct loop_child *child; /* NULL: none runs */
    struct channel *channel;
    struct loop_timer *timer; /* hello, then the earliest answer due */
    bool greeted;
    TAILQ_HEAD(, fetch) fetches;
    unsigned fetches_len;
    uint32_t next_id;
};

static void fetch_free(struct fetch *fetch)
{
    TAILQ_REMOVE(&fetch->link->fetches, fetch, entry);
    fetch->link->fetches_len--;
    free(fetch->url);
    free(fetch->accept);
    free(fetch->etag);
    free(fetch);
}

static void fetch_end(struct fetch *fetch, const struct fetch_answer *answer)
{
    fetch_fn *fn = fetch->fn;
    void *userdata = fetch->userdata;

    fetch_free(fetch);
    if (fn)
        fn(answer, userdata);
}

/* ---- the process ---- */

static void process_end(struct fetch_link *link)
{
    channel_free(link->channel);
    link->channel = NULL;
    loop_child_free(link->child);
    link->child = NULL;
    link->greeted = false;
    loop_timer_stop(link->timer);
}

/* The fetcher is gone: downloads that it had fail, those that wait for one as well, since it could not even start. */
static void link_lost(struct fetch_link *link, const char *why)
{
    const struct fetch_answer answer = { .outcome = KEEPER_HTTP_NETWORK, .etag = "", .retry_after_ms = -1, .message = why };
    struct fetch *fetch = NULL;

    process_end(link);
    /* Only those of now: an answer may lead to a new download, for which a new fetcher is started. */
    TAILQ_FOREACH(fetch, &link->fetches, entry)
    fetch->lost = true;
    while ((fetch = TAILQ_FIRST(&link->fetches)) && fetch->lost)
        fetch_end(fetch, &answer);
}

static void on_exit_(struct loop_child *child, int wait_status, void *userdata)
{
    link_lost(MAGIC_CAST(struct fetch_link, userdata, LINK_MAGIC), "the program that downloads ended unexpectedly");
}

static void on_close(struct channel *channel, int reason, void *userdata)
{
    struct fetch_link *link = MAGIC_CAST(struct fetch_link, userdata, LINK_MAGIC);

    /* Closing while nothing is asked of it is its way of being idle. */
    if (TAILQ_EMPTY(&link->fetches))
        process_end(link);
    else
        link_lost(link, reason == -EPROTO ? "the program that downloads broke the protocol"
                                          : "the program that downloads ended unexpectedly");
}

static int64_t earliest_due(const struct fetch_link *link)
{
    const struct fetch *fetch = NULL;
    int64_t due = INT64_MAX;

    TAILQ_FOREACH(fetch, &link->fetches, entry)
    if (fetch->id && fetch->due_ms < due)
        due = fetch->due_ms;
    return due;
}

static void timer_arm(struct fetch_link *link)
{
    int64_t due = earliest_due(link), now = clock_boot_ms();

    if (due == INT64_MAX)
        loop_timer_stop(link->timer);
    else
        loop_timer_set(link->timer, due > now ? due - now : 0);
}

static void on_timer(void *userdata)
{
    struct fetch_link *link = MAGIC_CAST(struct fetch_link, userdata, LINK_MAGIC);

    if (link->child && !link->greeted)
        link_lost(link, "the program that downloads did not start in time");
    else if (earliest_due(link) <= clock_boot_ms())
        link_lost(link, "the program that downloads does not answer");
    else
        timer_arm(link);
}

/* ---- frames ---- */

static int configure_send(struct fetch_link *link)
{
    struct wire_frame frame;
    int r = 0;

    wire_init(&frame, FETCH_CONFIGURE, 0);
    wire_put_str(&frame, link->allow_private);
    r = channel_send(link->channel, &frame);
    wire_free(&frame);
    return r;
}

static int fetch_send(struct fetch *fetch)
{
    struct fetch_link *link = fetch->link;
    struct wire_frame frame;
    int r = 0;

    fetch->id = ++link->next_id;
    fetch->due_ms = clock_boot_ms() + fetch->deadline_ms + GRACE_MS;
    wire_init(&frame, FETCH_GET, fetch->id);
    wire_put_str(&frame, fetch->url);
    wire_put_str(&frame, fetch->accept);
    wire_put_str(&frame, fetch->etag);
    wire_put_u64(&frame, fetch->bytes_max);
    wire_put_u32(&frame, fetch->deadline_ms);
    r = channel_send(link->channel, &frame);
    wire_free(&frame);
    return r;
}

static int waiting_send(struct fetch_link *link)
{
    struct fetch *fetch = NULL;
    int r = 0;

    TAILQ_FOREACH(fetch, &link->fetches, entry)
    if (r == 0 && !fetch->id)
        r = fetch_send(fetch);
    timer_arm(link);
    return r;
}

static int on_hello(struct fetch_link *link, struct wire_frame *frame)
{
    uint32_t version = wire_get_u32(frame);
    int r = 0;

    wire_get_str(frame, TEXT_MAX);
    wire_get_str(frame, TEXT_MAX);
    if (wire_end(frame) < 0 || link->greeted || version != KEEPER_PROTOCOL_VERSION)
        return -EPROTO;
    link->greeted = true;
    r = configure_send(link);
    return r < 0 ? r : waiting_send(link);
}

static struct fetch *fetch_find(struct fetch_link *link, uint32_t id)
{
    struct fetch *fetch = NULL;

    TAILQ_FOREACH(fetch, &link->fetches, entry)
    if (id && fetch->id == id)
        return fetch;
    return NULL;
}

static int on_progress(struct fetch_link *link, struct wire_frame *frame)
{
    struct fetch *fetch = fetch_find(link, frame->id);
    uint64_t done = wire_get_u64(frame), total = wire_get_u64(frame);

    if (wire_end(frame) < 0 || !fetch)
        return -EPROTO;
    if (fetch->fn && fetch->progress)
        fetch->progress(done, total, fetch->userdata);
    return 0;
}

static int on_result(struct fetch_link *link, struct wire_frame *frame)
{
    struct fetch *fetch = fetch_find(link, frame->id);
    struct fetch_answer answer;

    if (!fetch || fetch_read_answer(frame, &answer) < 0 || answer.body_len > fetch->bytes_max)
        return -EPROTO;
    fetch_end(fetch, &answer);
    if (!link->channel)
        return 0;
    timer_arm(link);
    /* Nothing under way, and started for other settings than now: the next one is started anew. */
    if (TAILQ_EMPTY(&link->fetches) && link->runs_with_overrides != link->overrides_active)
        process_end(link);
    return 0;
}

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct fetch_link *link = MAGIC_CAST(struct fetch_link, userdata, LINK_MAGIC);

    switch (frame->type) {
    case FETCH_HELLO:
        return on_hello(link, frame);
    case FETCH_PROGRESS:
        return on_progress(link, frame);
    case FETCH_RESULT:
        return on_result(link, frame);
    default:
        return -EPROTO;
    }
}

/* ---- starting ---- */

static int process_start(struct fetch_link *link, struct err *err)
{
    const char *const envp[] = { NULL };
    const char *const *argv = link->overrides_active ? link->config.argv_with_overrides : link->config.argv;
    int pair[2] = { -1, -1 };
    int r = wire_pair(pair);

    if (r < 0)
        return err_errno(err, -r, "cannot make a channel to the program that downloads");
    CLEANUP_CLOSE int ours = pair[0];
    CLEANUP_CLOSE int theirs = pair[1];
    const struct proc_spec spec = { .program_fd = link->config.program_fd,
        .argv = argv,
        .envp = envp,
        .stdin_fd = -1,
        .stdout_fd = -1,
        .stderr_fd = link->config.stderr_fd,
        .fds = { theirs },
        .fds_len = 1,
        .die_with_parent = true };
    r = loop_child_start(link->config.loop, &spec, on_exit_, link, &link->child, err);
    if (r < 0)
        return r;
    r = channel_new(link->config.loop, TAKE_FD(ours), on_frame, on_close, link, &link->channel);
    if (r < 0) {
        process_end(link);
        return err_errno(err, -r, "cannot watch the program that downloads");
    }
    link->runs_with_overrides = link->overrides_active;
    loop_timer_set(link->timer, HELLO_MS);
    return 0;
}

static int fetch_new(struct fetch_link *link, const struct fetch_request *request, struct fetch **ret_fetch)
{
    struct fetch *fetch = calloc(1, sizeof *fetch);

    if (!fetch)
        return -ENOMEM;
    fetch->link = link;
    fetch->url = strdup(request->url);
    fetch->accept = strdup(request->accept ? request->accept : "");
    fetch->etag = strdup(request->etag ? request->etag : "");
    fetch->bytes_max = request->bytes_max;
    fetch->deadline_ms = request->deadline_ms;
    TAILQ_INSERT_TAIL(&link->fetches, fetch, entry);
    link->fetches_len++;
    if (!fetch->url || !fetch->accept || !fetch->etag || strlen(request->url) > URL_TEXT_MAX) {
        fetch_free(fetch);
        return -ENOMEM;
    }
    *ret_fetch = fetch;
    return 0;
}

int fetch_start(struct fetch_link *link, const struct fetch_request *request, fetch_fn *fn, fetch_progress_fn *progress,
    void *userdata, struct fetch **ret_fetch, struct err *err)
{
    struct fetch *fetch = NULL;
    int r = 0;

    if (link->fetches_len >= FETCHES_MAX)
        return err_set(err, ENOBUFS, "%d downloads are under way already; try again when they have ended", FETCHES_MAX);
    if (!link->child)
        r = process_start(link, err);
    if (r < 0)
        return r;
    r = fetch_new(link, request, &fetch);
    if (r < 0)
        return err_set(err, -r, "out of memory");
    if (link->greeted) {
        r = fetch_send(fetch);
        timer_arm(link);
    }
    if (r < 0) {
        fetch_free(fetch);
        return err_errno(err, -r, "cannot ask for a download");
    }
    fetch->fn = fn;
    fetch->progress = progress;
    fetch->userdata = userdata;
    *ret_fetch = fetch;
    return 0;
}

void fetch_cancel(struct fetch *fetch)
{
    struct wire_frame frame;

    if (!fetch)
        return;
    fetch->fn = NULL;
    /* Its answer is on its way already, with those of the others that were lost. */
    if (fetch->lost)
        return;
    if (!fetch->id) {
        fetch_free(fetch);
        return;
    }
    fetch->due_ms = clock_boot_ms() + GRACE_MS;
    wire_init(&frame, FETCH_CANCEL, fetch->id);
    channel_send(fetch->link->channel, &frame);
    wire_free(&frame);
    timer_arm(fetch->link);
}

int fetch_link_new(const struct fetch_config *config, struct fetch_link **ret_link, struct err *err)
{
    CLEANUP_PTR(fetch_link_free) struct fetch_link *link = calloc(1, sizeof *link);

    if (!link)
        return err_set(err, ENOMEM, "out of memory");
    link->magic = LINK_MAGIC;
    link->config = *config;
    TAILQ_INIT(&link->fetches);
    link->allow_private = strdup(config->allow_private);
    if (!link->allow_private || loop_timer_new(config->loop, on_timer, link, &link->timer) < 0)
        return err_set(err, ENOMEM, "out of memory");
    *ret_link = TAKE_PTR(link);
    return 0;
}

void fetch_link_set(struct fetch_link *link, const char *allow_private, bool overrides_active)
{
    char *copy = strdup(allow_private);

    link->overrides_active = overrides_active;
    if (copy) {
        free(link->allow_private);
        link->allow_private = copy;
    }
    if (link->child && TAILQ_EMPTY(&link->fetches) && link->runs_with_overrides != overrides_active)
        process_end(link);
    else if (link->greeted)
        configure_send(link);
}

void fetch_link_free(struct fetch_link *link)
{
    if (!link)
        return;
    while (!TAILQ_EMPTY(&link->fetches))
        fetch_free(TAILQ_FIRST(&link->fetches));
    process_end(link);
    loop_timer_free(link->timer);
    free(link->allow_private);
    free(link);
}
