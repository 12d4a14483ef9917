/*
 * A get is one thing that is wanted, however often it must be asked for. Both ways to ask answer
 * alike (struct fetch_answer). What the API said is kept with its ETag, so that asking again costs nothing of the
 * forge's rate limit while it is still true.
 */
#include "broker/forge.h"

#include "base/clock.h"
#include "base/magic.h"
#include "broker/keeper-link.h"
#include "loop/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "base/banned.h"

#define FORGE_MAGIC  0x666f7267u
#define GET_MAGIC    0x66676574u
#define RETRIES      3
#define RETRY_MS     1000
#define PAUSE_MAX_MS 10000 /* a longer wait is the person's decision */
#define DEADLINE_MS  300000
#define MINUTE_MS    60000
#define KNOWN_MAX    32
#define KNOWN_BYTES  ((size_t) 256 * 1024) /* of one */

/* What the API said, for as long as it says that nothing has changed. */
struct known {
    TAILQ_ENTRY(known) link;
    char *api, *etag, *body;
    size_t len;
};

struct forge {
    uint32_t magic;
    struct forge_config config;
    LIST_HEAD(, forge_get) wanted;
    TAILQ_HEAD(known_list, known) known; /* the latest first */
    size_t known_len;
};

struct forge_get {
    uint32_t magic;
    struct forge *forge;
    LIST_ENTRY(forge_get) link;
    char *url, *api, *what;
    uint64_t bytes_max;
    forge_fn *fn;
    forge_progress_fn *progress;
    void *userdata;
    unsigned tries;
    struct fetch *fetch;
    struct keeper_call *call;
    struct loop_timer *timer;
};

void forge_cancel(struct forge_get *get)
{
    if (!get)
        return;
    LIST_REMOVE(get, link);
    fetch_cancel(get->fetch);
    keeper_ask_cancel(get->call);
    loop_timer_free(get->timer);
    free(get->url);
    free(get->api);
    free(get->what);
    free(get);
}
DEFINE_CLEANUP_PTR(struct forge_get, forge_cancel)

static void get_end(struct forge_get *get, int result, const void *data, size_t len, const struct err *err)
{
    forge_fn *fn = get->fn;
    void *userdata = get->userdata;

    get->fetch = NULL;
    get->call = NULL;
    /* The bytes belong to the answer, not to the get; `err` is a copy of its own. */
    forge_cancel(get);
    fn(result, data, len, err, userdata);
}

/* ---- what is known already ---- */

static void known_free(struct forge *forge, struct known *known)
{
    TAILQ_REMOVE(&forge->known, known, link);
    forge->known_len--;
    free(known->api);
    free(known->etag);
    free(known->body);
    free(known);
}

static struct known *known_find(const struct forge *forge, const char *api)
{
    struct known *known = NULL;

    TAILQ_FOREACH(known, &forge->known, link)
    if (api && !strcmp(known->api, api))
        return known;
    return NULL;
}

/* Only saves asking, so that what does not fit or find memory is not kept. */
static void known_add(struct forge *forge, const char *api, const struct fetch_answer *answer)
{
    struct known *known = known_find(forge, api);

    if (known)
        known_free(forge, known);
    if (!api || !answer->etag[0] || answer->body_len > KNOWN_BYTES)
        return;
    if (forge->known_len == KNOWN_MAX)
        known_free(forge, TAILQ_LAST(&forge->known, known_list));
    known = calloc(1, sizeof *known);
    if (!known)
        return;
    *known = (struct known){
        .api = strdup(api), .etag = strdup(answer->etag), .body = malloc(answer->body_len + 1), .len = answer->body_len
    };
    TAILQ_INSERT_HEAD(&forge->known, known, link);
    forge->known_len++;
    if (!known->api || !known->etag || !known->body)
        known_free(forge, known);
    else
        memcpy(known->body, answer->body_len ? answer->body : "", answer->body_len);
}

/* ---- what an answer means ---- */

/* "14:05 (in 12 minutes)" */
static const char *until(int64_t ms, char out[64])
{
    time_t end = (time_t) ((clock_unix_ms() + ms) / 1000);
    struct tm tm;
    char clock[16];

    localtime_r(&end, &tm);
    strftime(clock, sizeof clock, "%H:%M", &tm);
    snprintf(out, 64, "%s (in %lld minutes)", clock, (long long) ((ms + MINUTE_MS - 1) / MINUTE_MS));
    return out;
}

static void say_limited(const struct forge_get *get, const struct fetch_answer *answer, struct err *err)
{
    char text[64];

    if (answer->retry_after_ms > 0)
        err_set(err, EAGAIN, "%s: the forge answers no more requests until %s", get->what, until(answer->retry_after_ms, text));
    else
        err_set(err, EAGAIN, "%s: the forge answers no more requests for now (status %u)", get->what, answer->status);
    err_hint(err, "wait until then, or raise the limit with a token of your own: aileron secret set user/github");
}

/* The error of an answer that is none of success. */
static void say_status(const struct forge_get *get, const struct fetch_answer *answer, struct err *err)
{
    uint32_t status = answer->status;

    if (status == 404 || status == 410) {
        err_set(err, ENOENT, "%s does not exist (status %u)", get->what, status);
        err_hint(err, "check the name and the version; what is private can be fetched only by its API");
    } else if (status == 429 || (status == 403 && answer->retry_after_ms >= 0)) {
        say_limited(get, answer, err);
    } else if (status >= 500) {
        err_set(err, EIO, "%s: the forge has a fault of its own (status %u)", get->what, status);
        err_hint(err, "try again in a while; nothing was changed");
    } else {
        err_set(err, EACCES, "%s: the forge refuses (status %u)", get->what, status);
    }
}

static void say_outcome(const struct forge_get *get, const struct fetch_answer *answer, struct err *err)
{
    switch (answer->outcome) {
    case KEEPER_HTTP_TOO_LARGE:
        err_set(err, E2BIG, "%s is larger than %llu bytes", get->what, (unsigned long long) get->bytes_max);
        return;
    case KEEPER_HTTP_NETWORK:
        err_set(err, EIO, "%s cannot be fetched: %s", get->what, answer->message);
        err_hint(err, "check the network and try again; nothing was changed");
        return;
    default:
        err_set(err, EACCES, "%s cannot be fetched: %s", get->what, answer->message);
    }
}

static bool may_retry(const struct forge_get *get, const struct fetch_answer *answer)
{
    bool passing = answer->outcome == KEEPER_HTTP_NETWORK ||
                   (answer->outcome == KEEPER_HTTP_DONE && (answer->status >= 500 || answer->status == 429));

    return passing && get->tries <= RETRIES && answer->retry_after_ms <= PAUSE_MAX_MS;
}

static void pause_before_retry(struct forge_get *get, const struct fetch_answer *answer)
{
    int64_t first = get->forge->config.retry_ms ? get->forge->config.retry_ms : RETRY_MS;
    int64_t pause = first << (get->tries - 1);

    if (answer->retry_after_ms > pause)
        pause = answer->retry_after_ms;
    if (get->progress)
        get->progress(0, 0, pause, get->userdata);
    loop_timer_set(get->timer, pause);
}

static void on_answer(const struct fetch_answer *answer, void *userdata)
{
    struct forge_get *get = MAGIC_CAST(struct forge_get, userdata, GET_MAGIC);
    struct err err = ERR_INIT;

    get->fetch = NULL;
    get->call = NULL;
    if (answer->outcome == KEEPER_HTTP_DONE && answer->status == 200) {
        known_add(get->forge, get->api, answer);
        get_end(get, 0, answer->body, answer->body_len, NULL);
        return;
    }
    const struct known *known = known_find(get->forge, get->api);
    if (known && answer->outcome == KEEPER_HTTP_DONE && answer->status == 304) {
        get_end(get, 0, known->body, known->len, NULL);
        return;
    }
    if (may_retry(get, answer)) {
        pause_before_retry(get, answer);
        return;
    }
    if (answer->outcome == KEEPER_HTTP_DONE)
        say_status(get, answer, &err);
    else
        say_outcome(get, answer, &err);
    get_end(get, -err.code, NULL, 0, &err);
}

static void on_progress(uint64_t done, uint64_t total, void *userdata)
{
    struct forge_get *get = MAGIC_CAST(struct forge_get, userdata, GET_MAGIC);

    if (get->progress)
        get->progress(done, total, 0, get->userdata);
}

/* ---- asking ---- */

static int get_ask(struct forge_get *get, struct err *err)
{
    struct forge *forge = get->forge;
    const struct fetch_request request = { .url = get->url, .bytes_max = get->bytes_max, .deadline_ms = DEADLINE_MS };
    const struct known *known = known_find(forge, get->api);
    int r = 0;

    get->tries++;
    if (get->url)
        return fetch_start(forge->config.fetcher, &request, on_answer, on_progress, get, &get->fetch, err);
    r = keeper_forge(forge->config.keeper, get->api, known ? known->etag : "", on_answer, get, &get->call);
    return r < 0 ? err_errno(err, -r, "the keeper cannot be asked now") : 0;
}

static void on_timer(void *userdata)
{
    struct forge_get *get = MAGIC_CAST(struct forge_get, userdata, GET_MAGIC);
    struct err err = ERR_INIT;

    if (get_ask(get, &err) < 0)
        get_end(get, -err.code, NULL, 0, &err);
}

int forge_get(struct forge *forge, const struct forge_request *request, forge_fn *fn, forge_progress_fn *progress, void *userdata,
    struct forge_get **ret_get, struct err *err)
{
    CLEANUP_PTR(forge_cancel) struct forge_get *get = calloc(1, sizeof *get);
    int r = 0;

    if (!get)
        return err_set(err, ENOMEM, "out of memory");
    get->magic = GET_MAGIC;
    get->forge = forge;
    LIST_INSERT_HEAD(&forge->wanted, get, link);
    get->url = request->url ? strdup(request->url) : NULL;
    get->api = request->api ? strdup(request->api) : NULL;
    get->what = strdup(request->what);
    get->bytes_max = request->bytes_max;
    get->fn = fn;
    get->progress = progress;
    get->userdata = userdata;
    if ((!get->url && !get->api) || !get->what || loop_timer_new(forge->config.loop, on_timer, get, &get->timer) < 0)
        return err_set(err, ENOMEM, "out of memory");
    r = get_ask(get, err);
    if (r < 0)
        return r;
    *ret_get = TAKE_PTR(get);
    return 0;
}

int forge_new(const struct forge_config *config, struct forge **ret_forge, struct err *err)
{
    struct forge *forge = calloc(1, sizeof *forge);

    if (!forge)
        return err_set(err, ENOMEM, "out of memory");
    forge->magic = FORGE_MAGIC;
    forge->config = *config;
    LIST_INIT(&forge->wanted);
    TAILQ_INIT(&forge->known);
    *ret_forge = forge;
    return 0;
}

void forge_free(struct forge *forge)
{
    if (!forge)
        return;
    while (!LIST_EMPTY(&forge->wanted))
        forge_cancel(LIST_FIRST(&forge->wanted));
    while (!TAILQ_EMPTY(&forge->known))
        known_free(forge, TAILQ_FIRST(&forge->known));
    free(forge);
}
