/*
 * Outbound requests from arrival to answer: checks, queue and quotas, addresses,
 * the exchange, redirects on the same origin, the deadline over all of it.
 */
#ifndef KEEPER_HTTP_H
#define KEEPER_HTTP_H

#include "base/buf.h"
#include "keeper/overrides.h"
#include "keeper/request.h"
#include "keeper/resolve.h"
#include "keeper/trust.h"

#define HTTP_RUNNING_MAX     256            /* all pools; POOL_TRANSFERS_MAX each */
#define HTTP_RUNNING_OWN_MAX 64             /* beside them, the keeper's own */
#define HTTP_WAITING_MAX     2048           /* more is a flood */
#define HTTP_HELD_MAX_BYTES  (512ull * MIB) /* request bodies of both */

struct http;
struct http_form;
struct http_get;

/* What surrounds the requests; all borrowed and longer-lived. */
struct http_context {
    struct loop *loop;
    struct vault *vault;
    struct resolver *resolver;
    const struct overrides *overrides;
    const struct trust *trust;
};

struct http_answer {
    uint32_t id;
    enum keeper_http_outcome outcome;
    bool may_have_left;
    uint32_t status;
    int64_t retry_after_ms;
    const struct buf *body; /* NULL: none */
    const char *message;
};

/*
 * Who gets new tokens (oauth.h), behind an interface because it sends its own requests through here. refresh() calls `fn`
 * once, never from inside: DONE, or NETWORK or BINDING_FAILED with words; cancel() ends a wait without that.
 */
typedef void http_refreshed_fn(enum keeper_http_outcome outcome, const char *message, void *userdata);
struct http_refresher {
    /* A token of this binding is waiting to be written: to be refreshed, which is that, before anything else. */
    bool (*is_due)(void *userdata, const char *binding);
    /* Refreshed so recently that a provider which is not content with it will not be with another one. */
    bool (*is_fresh)(void *userdata, const char *binding);
    int (*refresh)(void *userdata, const char *binding, http_refreshed_fn *fn, void *fn_userdata, void **ret_wait);
    void (*cancel)(void *wait);
    void *userdata;
};

/* Called once for each submitted request, also from inside http_submit(). Must not call back into http. */
typedef void http_answer_fn(const struct http_answer *answer, void *userdata);

int http_new(const struct http_context *context, http_answer_fn *fn, void *userdata, struct http **ret_http);
/* network.allow_private as a newline-separated list. 0 or -ENOMEM. */
int http_set_allow_private(struct http *http, const char *list);
/* NULL: tokens are used as they are. `refresher` must outlive http or be taken out again. */
void http_set_refresher(struct http *http, const struct http_refresher *refresher);
/* Takes the request in every case. -EPROTO when its id is in use, -ENOBUFS when there are too many: the peer is dropped. */
int http_submit(struct http *http, struct request *request);
/* Answers the request with this id as cancelled; nothing when it is gone already. */
void http_cancel(struct http *http, uint32_t id);

/* ---- the keeper's own requests: to token and revocation endpoints ---- */

struct http_form_request {
    const char *url;  /* itself the one host:port that is allowed; private addresses as network.allow_private says */
    const char *pool; /* connections are shared only between requests that say the same */
    const struct secret *form;
    uint32_t timeout_ms;
};

struct http_form_answer {
    enum keeper_http_outcome outcome; /* DONE for every status, redirects too: none is followed */
    bool may_have_left;
    uint32_t status;
    const struct secret *body; /* of at most EXCHANGE_ANSWER_MAX bytes; NULL when there is no answer. Borrowed */
    const char *message;       /* our words when there is none */
};
typedef void http_form_fn(const struct http_form_answer *answer, void *userdata);

/*
 * POST of a form, application/x-www-form-urlencoded; everything is copied. `fn` is called once from the loop, never from inside,
 * and may send another one; it must do nothing else that ends a transfer. -EINVAL with words for a URL that is not to be used.
 */
int http_post_form(struct http *http, const struct http_form_request *request, http_form_fn *fn, void *userdata,
    struct http_form **ret_form, struct err *err);
void http_form_cancel(struct http_form *form);

/* ---- downloads: of the fetcher, and of the forge's API ---- */

#define HTTP_GET_REDIRECTS 5

struct http_get_answer {
    enum keeper_http_outcome outcome; /* DONE for every status but the redirects that were followed */
    uint32_t status;
    const char *etag;       /* "" = none */
    int64_t retry_after_ms; /* or until a spent rate limit ends; -1: not said */
    const struct buf *body; /* NULL when there is no answer. Borrowed */
    const char *message;    /* our words when there is none */
};
/* As http_form_fn. */
typedef void http_get_fn(const struct http_get_answer *answer, void *userdata);

/* A download (request.h); `fn` is called once from the loop. -EINVAL with words for a URL that is not to be used. */
struct request_download;
int http_get(struct http *http, const struct request_download *what, uint32_t timeout_ms, http_get_fn *fn, void *userdata,
    struct http_get **ret_get, struct err *err);
void http_get_cancel(struct http_get *get);
/* The fields of FETCH_RESULT and KEEPER_FORGED. */
void http_get_answer_put(const struct http_get_answer *answer, struct wire_frame *frame);
/* Bytes so far; *ret_total 0: unknown. */
uint64_t http_get_progress(const struct http_get *get, uint64_t *ret_total);

/* Open requests are dropped without an answer. */
void http_free(struct http *http);
DEFINE_CLEANUP_PTR(struct http, http_free)

#endif
