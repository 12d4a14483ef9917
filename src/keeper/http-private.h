/*
 * What the files of http share: http.c has the queue and the exchange, http-refresh.c the credential, http-form.c and
 * http-get.c the keeper's own requests.
 */
#ifndef KEEPER_HTTP_PRIVATE_H
#define KEEPER_HTTP_PRIVATE_H

#include "base/magic.h"
#include "keeper/exchange.h"
#include "keeper/http.h"

#define HTTP_MAGIC     0x6b687474u
#define TRANSFER_MAGIC 0x6b747266u

enum transfer_state { TRANSFER_WAITING, TRANSFER_REFRESHING, TRANSFER_RESOLVING, TRANSFER_EXCHANGING };

struct transfer {
    uint32_t magic;
    struct http *http;
    enum transfer_state state;
    struct request *request;
    struct http_form *form; /* one of the keeper's own, or ... */
    struct http_get *get;   /* ... a download; both NULL: the broker's */
    int64_t deadline_ms;    /* CLOCK_BOOTTIME */
    struct loop_timer *timer;
    struct pool *pool; /* a place in it is held while not NULL */
    struct route route;
    struct resolve_wait *wait;
    struct exchange *exchange;
    void *refresh;        /* the refresher's handle of a wait */
    bool refreshed;       /* not a second time for one request */
    struct http_refused { /* the provider said 401; its answer waits in `exchange` while the token is refreshed */
        bool is_set;
        int64_t retry_after_ms;
    } refused;
    unsigned redirects;
    bool has_left; /* an earlier exchange of the same request */
    struct transfer *prev, *next;
};

struct http {
    uint32_t magic;
    struct http_context context;
    http_answer_fn *fn;
    void *userdata;
    const struct http_refresher *refresher;
    struct pools *pools;
    char *allow_private;
    struct loop_timer *pump;
    struct transfer *first, *last;
    size_t waiting;
    size_t running;     /* the broker's */
    size_t running_own; /* the keeper's own; they have places of their own because others may wait for them */
    uint64_t held_bytes;
};

/* ---- http.c ---- */

/* Takes the request. */
int transfer_new(struct http *http, struct request *request, struct transfer **ret_transfer);
/* Unlinks and frees; whatever runs for it is stopped. */
void transfer_free(struct transfer *transfer);
/* Answers and frees. */
void transfer_answer(struct transfer *transfer, const struct exchange_result *result);
/* Ends a transfer with an outcome of our own; `err` has the words. */
void transfer_fail(struct transfer *transfer, enum keeper_http_outcome outcome, const struct err *err);
/* On its way: addresses, then the exchange. */
void transfer_resolve(struct transfer *transfer);

/* ---- http-refresh.c ---- */

/* Takes the credential, refreshed first where that is due, and goes on. */
void transfer_credential(struct transfer *transfer);
/* True when the answer is a 401 that a newer token may mend: then the transfer goes on. */
bool transfer_refused(struct transfer *transfer, const struct exchange_result *result);

/* ---- http-form.c ---- */

void form_answer(struct http_form *form, const struct exchange_result *result, const struct secret *body);
void form_free(struct http_form *form);

/* ---- http-get.c ---- */

void get_answer(struct http_get *get, const struct exchange_result *result, const struct exchange *exchange);
void get_free(struct http_get *get);

#endif
