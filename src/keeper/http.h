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

#define HTTP_RUNNING_MAX    256            /* all pools; POOL_TRANSFERS_MAX each */
#define HTTP_WAITING_MAX    2048           /* more is a flood */
#define HTTP_HELD_MAX_BYTES (512ull * MIB) /* request bodies of both */

struct http;

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

/* Called once for each submitted request, also from inside http_submit(). Must not call back into http. */
typedef void http_answer_fn(const struct http_answer *answer, void *userdata);

int http_new(const struct http_context *context, http_answer_fn *fn, void *userdata, struct http **ret_http);
/* network.allow_private as a newline-separated list. 0 or -ENOMEM. */
int http_set_allow_private(struct http *http, const char *list);
/* Takes the request in every case. -EPROTO when its id is in use, -ENOBUFS when there are too many: the peer is dropped. */
int http_submit(struct http *http, struct request *request);
/* Answers the request with this id as cancelled; nothing when it is gone already. */
void http_cancel(struct http *http, uint32_t id);
/* Open requests are dropped without an answer. */
void http_free(struct http *http);
DEFINE_CLEANUP_PTR(struct http, http_free)

#endif
