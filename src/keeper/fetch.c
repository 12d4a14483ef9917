/* See the header. One list of downloads on one http; a frame out of order ends the program. */
#include "keeper/fetch.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "base/magic.h"
#include "keeper/client.h"
#include "keeper/http.h"
#include "keeper/lockdown.h"
#include "keeper/start.h"
#include "loop/channel.h"

#include "base/banned.h"

#define FETCHER_MAGIC  0x6b666574u
#define DOWNLOAD_MAGIC 0x6b646f77u
#define ACCEPT_MAX     256
#define ETAG_MAX       256
#define ALLOW_MAX      (32 * KIB)
#define DEADLINE_MAX_S 600

struct fetcher;

struct download {
    uint32_t magic;
    struct fetcher *fetcher;
    LIST_ENTRY(download) link;
    uint32_t id;
    struct http_get *get;
    uint64_t told; /* bytes, at the last PROGRESS */
};

struct fetcher {
    uint32_t magic;
    struct trust trust;
    struct overrides overrides;
    struct loop *loop;
    struct resolver *resolver;
    struct http *http;
    struct channel *channel;
    struct loop_timer *idle, *progress;
    LIST_HEAD(, download) downloads;
    size_t len;
    bool configured;
    int reason;
};

/* ---- answers ---- */

static void download_free(struct download *download)
{
    struct fetcher *fetcher = download->fetcher;

    LIST_REMOVE(download, link);
    fetcher->len--;
    free(download);
    if (fetcher->len == 0) {
        loop_timer_stop(fetcher->progress);
        loop_timer_set(fetcher->idle, FETCH_IDLE_MS);
    }
}

static void result_send(struct fetcher *fetcher, uint32_t id, const struct http_get_answer *answer)
{
    struct wire_frame frame;

    wire_init(&frame, FETCH_RESULT, id);
    http_get_answer_put(answer, &frame);
    channel_send(fetcher->channel, &frame);
    wire_free(&frame);
}

static void fail_send(struct fetcher *fetcher, uint32_t id, enum keeper_http_outcome outcome, const char *message)
{
    const struct http_get_answer answer = { .outcome = outcome, .etag = "", .retry_after_ms = -1, .message = message };

    result_send(fetcher, id, &answer);
}

static void on_got(const struct http_get_answer *answer, void *userdata)
{
    struct download *download = MAGIC_CAST(struct download, userdata, DOWNLOAD_MAGIC);

    result_send(download->fetcher, download->id, answer);
    download_free(download);
}

static void on_progress(void *userdata)
{
    struct fetcher *fetcher = MAGIC_CAST(struct fetcher, userdata, FETCHER_MAGIC);
    struct download *download = NULL;

    LIST_FOREACH(download, &fetcher->downloads, link)
    {
        struct wire_frame frame;
        uint64_t total = 0, done = http_get_progress(download->get, &total);

        if (done == download->told)
            continue;
        download->told = done;
        wire_init(&frame, FETCH_PROGRESS, download->id);
        wire_put_u64(&frame, done);
        wire_put_u64(&frame, total);
        channel_send(fetcher->channel, &frame);
        wire_free(&frame);
    }
    loop_timer_set(fetcher->progress, FETCH_PROGRESS_MS);
}

/* ---- requests ---- */

static struct download *download_find(struct fetcher *fetcher, uint32_t id)
{
    struct download *download = NULL;

    LIST_FOREACH(download, &fetcher->downloads, link)
    if (download->id == id)
        return download;
    return NULL;
}

static int download_start(struct fetcher *fetcher, uint32_t id, const struct request_download *what, uint32_t timeout_ms)
{
    struct download *download = calloc(1, sizeof *download);
    struct err err = ERR_INIT;

    if (!download)
        return -ENOMEM;
    *download = (struct download){ .magic = DOWNLOAD_MAGIC, .fetcher = fetcher, .id = id };
    if (http_get(fetcher->http, what, timeout_ms, on_got, download, &download->get, &err) < 0) {
        free(download);
        fail_send(fetcher, id, KEEPER_HTTP_MALFORMED, err.message);
        return 0;
    }
    LIST_INSERT_HEAD(&fetcher->downloads, download, link);
    if (fetcher->len++ == 0)
        loop_timer_set(fetcher->progress, FETCH_PROGRESS_MS);
    loop_timer_stop(fetcher->idle);
    return 0;
}

static int on_get(struct fetcher *fetcher, struct wire_frame *frame)
{
    struct request_download what = { .pool = "fetch", .follows = true };
    uint64_t bytes_max = 0;
    uint32_t deadline_ms = 0;

    what.url = wire_get_str(frame, URL_MAX_BYTES);
    what.accept = wire_get_str(frame, ACCEPT_MAX);
    what.etag = wire_get_str(frame, ETAG_MAX);
    bytes_max = wire_get_u64(frame);
    deadline_ms = wire_get_u32(frame);
    if (wire_end(frame) < 0 || !fetcher->configured || !frame->id || bytes_max > LIMIT_BLOB_BYTES ||
        deadline_ms > DEADLINE_MAX_S * 1000 || fetcher->len >= FETCH_MAX || download_find(fetcher, frame->id))
        return -EPROTO;
    what.answer_max = (size_t) bytes_max;
    return download_start(fetcher, frame->id, &what, deadline_ms);
}

static int on_cancel(struct fetcher *fetcher, struct wire_frame *frame)
{
    struct download *download = download_find(fetcher, frame->id);

    if (wire_end(frame) < 0)
        return -EPROTO;
    if (!download)
        return 0;
    http_get_cancel(download->get);
    download_free(download);
    fail_send(fetcher, frame->id, KEEPER_HTTP_NETWORK, "the download is no longer wanted");
    return 0;
}

static int on_configure(struct fetcher *fetcher, struct wire_frame *frame)
{
    const char *allow_private = wire_get_str(frame, ALLOW_MAX);

    if (wire_end(frame) < 0)
        return -EPROTO;
    fetcher->configured = true;
    return http_set_allow_private(fetcher->http, allow_private);
}

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct fetcher *fetcher = MAGIC_CAST(struct fetcher, userdata, FETCHER_MAGIC);

    switch (frame->type) {
    case FETCH_CONFIGURE:
        return on_configure(fetcher, frame);
    case FETCH_GET:
        return on_get(fetcher, frame);
    case FETCH_CANCEL:
        return on_cancel(fetcher, frame);
    default:
        return -EPROTO;
    }
}

static void on_close(struct channel *channel, int reason, void *userdata)
{
    struct fetcher *fetcher = MAGIC_CAST(struct fetcher, userdata, FETCHER_MAGIC);

    fetcher->reason = reason;
    loop_stop(fetcher->loop);
}

static void on_idle(void *userdata)
{
    loop_stop(MAGIC_CAST(struct fetcher, userdata, FETCHER_MAGIC)->loop);
}

/* The broker's requests do not come this way. */
static void on_answer(const struct http_answer *answer, void *userdata)
{
}

/* ---- start ---- */

static int options_read(int argc, char **argv, struct fetcher *fetcher, const char **ret_dev_ca, struct err *err)
{
    static const struct option known[] = {
        { "dev-connect-to", required_argument, NULL, 'c' },
        { "dev-ca", required_argument, NULL, 'a' },
        { NULL, 0, NULL, 0 },
    };
    int c = 0, r = 0;

    opterr = 0;
    while (r == 0 && (c = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (c == 'a')
            *ret_dev_ca = optarg;
        else if (c == 'c')
            r = overrides_add(&fetcher->overrides, optarg, err);
        else
            r = err_set(err, EINVAL, "unknown or incomplete option");
    }
    if (r == 0 && optind != argc)
        r = err_set(err, EINVAL, "aileron-keeper --fetch is started by aileron-broker");
    /* Who starts this program gives overrides only while they are active; there is no vault here to ask. */
    fetcher->overrides.active = *ret_dev_ca != NULL || fetcher->overrides.len > 0;
    return r;
}

static int channel_check(struct err *err)
{
    int type = 0;
    socklen_t len = sizeof type;

    if (getsockopt(KEEPER_CHANNEL_FD, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_SEQPACKET)
        return err_set(err, EINVAL, "aileron-keeper --fetch is started by aileron-broker, not by hand");
    return 0;
}

static int hello_send(struct fetcher *fetcher, const struct confine_report *report)
{
    char confinement[256];
    struct wire_frame frame;
    int r = 0;

    wire_init(&frame, FETCH_HELLO, 0);
    wire_put_u32(&frame, KEEPER_PROTOCOL_VERSION);
    wire_put_str(&frame, confine_describe(report, confinement, sizeof confinement));
    wire_put_str(
        &frame, trust_has_system(&fetcher->trust) ? "" : "no system CA certificates, https fails: install ca-certificates");
    r = channel_send(fetcher->channel, &frame);
    wire_free(&frame);
    return r;
}

static int fetcher_open(struct fetcher *fetcher, struct err *err)
{
    const struct http_context context = {
        .loop = fetcher->loop, .resolver = fetcher->resolver, .overrides = &fetcher->overrides, .trust = &fetcher->trust
    };
    int r = http_new(&context, on_answer, fetcher, &fetcher->http);

    if (r == 0)
        r = loop_timer_new(fetcher->loop, on_idle, fetcher, &fetcher->idle);
    if (r == 0)
        r = loop_timer_new(fetcher->loop, on_progress, fetcher, &fetcher->progress);
    if (r == 0)
        r = channel_new(fetcher->loop, KEEPER_CHANNEL_FD, on_frame, on_close, fetcher, &fetcher->channel);
    return r < 0 ? err_errno(err, -r, "cannot start") : 0;
}

static void fetcher_release(struct fetcher *fetcher)
{
    while (!LIST_EMPTY(&fetcher->downloads))
        download_free(LIST_FIRST(&fetcher->downloads));
    http_free(fetcher->http);
    channel_free(fetcher->channel);
    loop_timer_free(fetcher->idle);
    loop_timer_free(fetcher->progress);
    resolver_free(fetcher->resolver);
    loop_free(fetcher->loop);
    trust_free(&fetcher->trust);
}

static int fetcher_serve(struct fetcher *fetcher, const struct confine_report *report, struct err *err)
{
    int r = fetcher_open(fetcher, err);

    if (r == 0 && hello_send(fetcher, report) < 0)
        r = err_set(err, EPIPE, "the broker is gone");
    if (r < 0)
        return r;
    trust_complete(&fetcher->trust);
    loop_timer_set(fetcher->idle, FETCH_IDLE_MS);
    r = loop_run(fetcher->loop);
    if (r < 0)
        return err_errno(err, -r, "the event loop failed");
    return fetcher->reason < 0 ? err_errno(err, -fetcher->reason, "the channel to the broker ended") : 0;
}

int fetch_run(int argc, char **argv, struct err *err)
{
    CLEANUP(fetcher_release) struct fetcher fetcher = { .magic = FETCHER_MAGIC };
    const char *dev_ca = NULL;
    struct confine_report report;
    int r = options_read(argc, argv, &fetcher, &dev_ca, err);

    LIST_INIT(&fetcher.downloads);
    if (r == 0)
        r = channel_check(err);
    if (r == 0)
        r = start_libraries(err);
    if (r == 0)
        r = trust_load(dev_ca, &fetcher.trust, err);
    if (r == 0)
        r = loop_new(&fetcher.loop, err);
    if (r == 0)
        r = resolver_new(fetcher.loop, NULL, &fetcher.resolver, err);
    if (r == 0)
        r = lockdown(NULL, &report, err);
    return r < 0 ? r : fetcher_serve(&fetcher, &report, err);
}
