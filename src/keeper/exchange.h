/*
 * One HTTP exchange on curl: request out, answer in. All that protects it is set
 * here, once: no proxy, no redirect, no compression, no name lookup by curl, only
 * pinned addresses, TLS 1.2 or later verified against the keeper's own store,
 * bounds on what comes back, the credential masked in it.
 */
#ifndef KEEPER_EXCHANGE_H
#define KEEPER_EXCHANGE_H

#include "keeper/address.h"
#include "keeper/pool.h"
#include "keeper/request.h"

#include <openssl/x509_vfy.h>

#define EXCHANGE_ETAG_MAX   256
#define EXCHANGE_ANSWER_MAX ((size_t) 64 * 1024) /* of the keeper's own requests */

/* Where to connect: decided and checked by the caller. */
struct route {
    struct address_list addresses;
    const struct connect_to *connect_to; /* the override that applies, or NULL */
    bool any_address;                    /* exempt from the address rules */
};

struct exchange_result {
    enum keeper_http_outcome outcome;
    bool may_have_left; /* a byte of the request may have reached the provider */
    uint32_t status;
    int64_t retry_after_ms; /* -1: none */
    const char *location;   /* of a redirect: absolute, borrowed from the exchange; NULL when there is none */
    struct err err;         /* our words when the outcome is not KEEPER_HTTP_DONE */
};

struct exchange;

/*
 * Starts in `pool`. `request`, `store` and `pool` must outlive the exchange. The pool's done function gets
 * `userdata`; call exchange_finish there. A failure is an outcome with words, nothing was sent then.
 */
enum keeper_http_outcome exchange_start(struct pool *pool, const struct request *request, const struct route *route,
    X509_STORE *store, int64_t timeout_ms, void *userdata, struct exchange **ret_exchange, struct err *err);
/* Reads the result after curl has ended the transfer. The body waits in exchange_body(). */
void exchange_finish(struct exchange *exchange, CURLcode code, struct exchange_result *ret_result);
const struct buf *exchange_body(const struct exchange *exchange);
/* Of a download: its version ("" = none), and how much of how much (0: unknown) is there. */
const char *exchange_etag(const struct exchange *exchange);
uint64_t exchange_received(const struct exchange *exchange, uint64_t *ret_total);
/* The same of one of the keeper's own requests (request->form), where exchange_body() is empty. */
const struct secret *exchange_answer(const struct exchange *exchange);
/* True once the request may be on its way. */
bool exchange_may_have_left(const struct exchange *exchange);
/* Stops it if it still runs. Not to be called inside a curl callback. */
void exchange_free(struct exchange *exchange);
DEFINE_CLEANUP_PTR(struct exchange, exchange_free)

#endif
