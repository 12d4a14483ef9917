/*
 * Every request is a `transfer` on one list, in the order of arrival but that the keeper's own come first: waiting, having its
 * token refreshed, asking for addresses, or exchanging. A transfer that ends is answered, freed, and whoever
 * waits longest and fits the quotas is started, from the loop and never from inside
 * a callback of curl or c-ares that still walks its own lists.
 */
#include "keeper/http-private.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

#include "base/banned.h"

/* ---- the list ---- */

/* Whether others wait for it, and so it is before them. */
static bool transfer_is_own(const struct transfer *transfer)
{
    return transfer->request->form != NULL || transfer->request->get.is_set;
}

static void transfer_link(struct transfer *transfer)
{
    struct http *http = transfer->http;
    struct transfer *prev = transfer_is_own(transfer) ? NULL : http->last;
    struct transfer *next = transfer_is_own(transfer) ? http->first : NULL;

    transfer->prev = prev;
    transfer->next = next;
    *(prev ? &prev->next : &http->first) = transfer;
    *(next ? &next->prev : &http->last) = transfer;
    http->waiting++;
    http->held_bytes += transfer->request->body_len;
}

static void transfer_unlink(struct transfer *transfer)
{
    struct http *http = transfer->http;

    if (transfer->prev)
        transfer->prev->next = transfer->next;
    else
        http->first = transfer->next;
    if (transfer->next)
        transfer->next->prev = transfer->prev;
    else
        http->last = transfer->prev;
    http->held_bytes -= transfer->request->body_len;
    if (transfer->state == TRANSFER_WAITING)
        http->waiting--;
    else if (transfer_is_own(transfer))
        http->running_own--;
    else
        http->running--;
}

void transfer_free(struct transfer *transfer)
{
    transfer_unlink(transfer);
    if (transfer->refresh)
        transfer->http->refresher->cancel(transfer->refresh);
    resolve_cancel(transfer->wait);
    exchange_free(transfer->exchange);
    if (transfer->pool)
        pool_release(transfer->pool);
    loop_timer_free(transfer->timer);
    request_free(transfer->request);
    form_free(transfer->form);
    get_free(transfer->get);
    transfer->magic = 0;
    free(transfer);
}

/* ---- answers ---- */

static void broker_answer(struct transfer *transfer, const struct exchange_result *result)
{
    struct http *http = transfer->http;
    const struct http_answer answer = {
        .id = transfer->request->id,
        .outcome = result->outcome,
        .may_have_left = result->may_have_left || transfer->has_left,
        .status = result->status,
        .retry_after_ms = result->retry_after_ms,
        .body = result->outcome == KEEPER_HTTP_DONE ? exchange_body(transfer->exchange) : NULL,
        .message = result->err.message,
    };

    http->fn(&answer, http->userdata);
}

void transfer_answer(struct transfer *transfer, const struct exchange_result *result)
{
    struct http *http = transfer->http;

    if (transfer->form)
        form_answer(transfer->form, result, result->outcome == KEEPER_HTTP_DONE ? exchange_answer(transfer->exchange) : NULL);
    else if (transfer->get)
        get_answer(transfer->get, result, transfer->exchange);
    else
        broker_answer(transfer, result);
    transfer_free(transfer);
    if (http->waiting > 0)
        loop_timer_set(http->pump, 0);
}

void transfer_fail(struct transfer *transfer, enum keeper_http_outcome outcome, const struct err *err)
{
    struct exchange_result result = { .outcome = outcome, .retry_after_ms = -1, .err = *err };

    result.may_have_left = transfer->exchange && exchange_may_have_left(transfer->exchange);
    transfer_answer(transfer, &result);
}

/* ---- addresses ---- */

static void transfer_exchange(struct transfer *transfer)
{
    struct http *http = transfer->http;
    struct err err = ERR_INIT;
    int64_t left_ms = transfer->deadline_ms - clock_boot_ms();
    enum keeper_http_outcome outcome = exchange_start(transfer->pool, transfer->request, &transfer->route,
        trust_store(http->context.trust, http->context.overrides->active), left_ms > 0 ? left_ms : 1, transfer,
        &transfer->exchange, &err);

    if (outcome != KEEPER_HTTP_DONE)
        transfer_fail(transfer, outcome, &err);
    else
        transfer->state = TRANSFER_EXCHANGING;
}

static void addresses_use(struct transfer *transfer, const struct address_list *list, const char *reason)
{
    const char *host = transfer->request->url.host;
    struct err err = ERR_INIT;

    if (!list || list->len == 0) {
        err_set(&err, EHOSTUNREACH, "%s: %s", host, reason ? reason : "the name has no address");
        transfer_fail(transfer, KEEPER_HTTP_NETWORK, &err);
        return;
    }
    transfer->route.addresses = *list;
    if (!transfer->route.any_address && address_list_filter(list, &transfer->route.addresses, &reason) == 0) {
        err_set(&err, EACCES, "%s is at %s, which requests may not reach unless network.allow_private names it", host, reason);
        transfer_fail(transfer, KEEPER_HTTP_DENIED, &err);
        return;
    }
    transfer_exchange(transfer);
}

static void on_addresses(const struct address_list *list, const char *reason, void *userdata)
{
    struct transfer *transfer = MAGIC_CAST(struct transfer, userdata, TRANSFER_MAGIC);

    transfer->wait = NULL;
    addresses_use(transfer, list, reason);
}

/* An address needs no lookup, and localhost is 127.0.0.1 without one. */
static bool address_known(const struct url *url, struct address_list *ret_list)
{
    if (url->host_kind == URL_HOST_NAME && !url_is_this_machine(url))
        return false;
    ret_list->len = 1;
    return address_parse(url->host_kind == URL_HOST_NAME ? "127.0.0.1" : url->host, &ret_list->items[0]);
}

void transfer_resolve(struct transfer *transfer)
{
    struct http *http = transfer->http;
    const struct url *url = &transfer->request->url;
    const struct connect_to *row = overrides_find(http->context.overrides, url);
    const struct url *to = row ? &row->to : url;
    struct address_list list = { .len = 0 };
    int r = 1;

    transfer->state = TRANSFER_RESOLVING;
    transfer->route.connect_to = row;
    transfer->route.any_address = row != NULL || hostlist_contains(http->allow_private, url);
    if (!address_known(to, &list))
        r = resolver_ask(http->context.resolver, to->host, on_addresses, transfer, &list, &transfer->wait);
    if (r < 0)
        addresses_use(transfer, NULL, "too many names are being looked up");
    else if (r == 1)
        addresses_use(transfer, &list, NULL);
}

/* ---- the queue ---- */

static void transfer_start(struct transfer *transfer, struct pool *pool)
{
    transfer->pool = pool;
    pool_reserve(pool);
    transfer->http->waiting--;
    if (transfer_is_own(transfer))
        transfer->http->running_own++;
    else
        transfer->http->running++;
    transfer_credential(transfer);
}

/* Downloads leave half of the keeper's own places to those that others wait for. */
static bool has_room(const struct http *http, const struct transfer *transfer)
{
    if (!transfer_is_own(transfer))
        return http->running < HTTP_RUNNING_MAX;
    return http->running_own < (transfer->get ? HTTP_RUNNING_OWN_MAX / 2 : HTTP_RUNNING_OWN_MAX);
}

static bool transfer_may_start(const struct http *http, struct transfer *transfer, struct pool **ret_pool)
{
    const struct request *request = transfer->request;

    if (transfer->state != TRANSFER_WAITING || !has_room(http, transfer))
        return false;
    *ret_pool =
        pools_get(http->pools, &(struct pool_key){ request->connector_fqn, request->binding, http->context.overrides->active });
    return *ret_pool && pool_transfers(*ret_pool) < POOL_TRANSFERS_MAX;
}

static void on_pump(void *userdata)
{
    struct http *http = MAGIC_CAST(struct http, userdata, HTTP_MAGIC);
    struct transfer *next = NULL;
    struct pool *pool = NULL;

    /* Starting may end and free this transfer, never another one: whoever waits for it hears of that at a later turn. */
    for (struct transfer *transfer = http->first; transfer; transfer = next) {
        next = transfer->next;
        if (transfer_may_start(http, transfer, &pool))
            transfer_start(transfer, pool);
    }
}

static void on_deadline(void *userdata)
{
    struct transfer *transfer = MAGIC_CAST(struct transfer, userdata, TRANSFER_MAGIC);
    struct err err = ERR_INIT;

    err_set(&err, ETIMEDOUT, "no complete answer in time from %s", transfer->request->url.host);
    transfer_fail(transfer, KEEPER_HTTP_NETWORK, &err);
}

/* ---- the end of an exchange ---- */

static bool is_redirect(const struct exchange_result *result)
{
    uint32_t status = result->status;

    return result->outcome == KEEPER_HTTP_DONE && result->location &&
           (status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}

/* Sends the request again to where the answer points, if that is allowed; else it ends here. */
static void transfer_redirect(struct transfer *transfer, const struct exchange_result *result)
{
    struct exchange_result refusal = { .outcome = KEEPER_HTTP_REDIRECT_REFUSED, .status = result->status, .retry_after_ms = -1 };

    transfer->has_left = true;
    if (transfer->redirects >= (transfer->get ? HTTP_GET_REDIRECTS : LIMIT_REDIRECTS))
        err_set(&refusal.err, ELOOP, "%s redirects too often", transfer->request->url.host);
    else
        refusal.outcome = request_redirect(transfer->request, result->location, &refusal.err);
    if (refusal.outcome != KEEPER_HTTP_DONE) {
        transfer_answer(transfer, &refusal);
        return;
    }
    transfer->redirects++;
    exchange_free(TAKE_PTR(transfer->exchange));
    transfer_resolve(transfer);
}

static void on_exchange_done(CURL *easy, CURLcode code, void *userdata)
{
    struct transfer *transfer = MAGIC_CAST(struct transfer, userdata, TRANSFER_MAGIC);
    struct exchange_result result;

    exchange_finish(transfer->exchange, code, &result);
    if (transfer->form) /* no redirect is followed with a secret in the body */
        transfer_answer(transfer, &result);
    else if (is_redirect(&result))
        transfer_redirect(transfer, &result);
    else if (!transfer_refused(transfer, &result))
        transfer_answer(transfer, &result);
}

/* ---- the door ---- */

int http_new(const struct http_context *context, http_answer_fn *fn, void *userdata, struct http **ret_http)
{
    CLEANUP_PTR(http_free) struct http *http = calloc(1, sizeof *http);
    int r = 0;

    if (!http)
        return -ENOMEM;
    http->magic = HTTP_MAGIC;
    http->context = *context;
    http->fn = fn;
    http->userdata = userdata;
    http->allow_private = strdup("");
    if (!http->allow_private)
        return -ENOMEM;
    r = loop_timer_new(context->loop, on_pump, http, &http->pump);
    if (r == 0)
        r = pools_new(context->loop, on_exchange_done, &http->pools);
    if (r < 0)
        return r;
    *ret_http = TAKE_PTR(http);
    return 0;
}

int http_set_allow_private(struct http *http, const char *list)
{
    char *copy = strdup(list);

    if (!copy)
        return -ENOMEM;
    free(http->allow_private);
    http->allow_private = copy;
    return 0;
}

void http_set_refresher(struct http *http, const struct http_refresher *refresher)
{
    /* Their waits belong to the old one. Without one they end: it goes away only when the keeper does. */
    for (struct transfer *transfer = http->first; transfer; transfer = transfer->next)
        if (transfer->refresh)
            http->refresher->cancel(TAKE_PTR(transfer->refresh));
    http->refresher = refresher;
}

static struct transfer *transfer_find(const struct http *http, uint32_t id)
{
    for (struct transfer *transfer = http->first; transfer; transfer = transfer->next)
        if (!transfer_is_own(transfer) && transfer->request->id == id)
            return transfer;
    return NULL;
}

int transfer_new(struct http *http, struct request *request, struct transfer **ret_transfer)
{
    CLEANUP_PTR(request_free) struct request *taken = request;
    struct transfer *transfer = NULL;
    int r = 0;

    transfer = calloc(1, sizeof *transfer);
    if (!transfer)
        return -ENOMEM;
    transfer->magic = TRANSFER_MAGIC;
    transfer->http = http;
    r = loop_timer_new(http->context.loop, on_deadline, transfer, &transfer->timer);
    if (r < 0) {
        free(transfer);
        return r;
    }
    transfer->request = TAKE_PTR(taken);
    transfer->deadline_ms = clock_boot_ms() + request->deadline_ms;
    transfer_link(transfer);
    *ret_transfer = transfer;
    return 0;
}

static int submit_check(const struct http *http, const struct request *request)
{
    if (transfer_find(http, request->id))
        return -EPROTO;
    if (http->waiting >= HTTP_WAITING_MAX || http->held_bytes + request->body_len > HTTP_HELD_MAX_BYTES)
        return -ENOBUFS;
    return 0;
}

int http_submit(struct http *http, struct request *request)
{
    CLEANUP_PTR(request_free) struct request *taken = request;
    struct transfer *transfer = NULL;
    struct err err = ERR_INIT;
    struct pool *pool = NULL;
    enum keeper_http_outcome outcome = KEEPER_HTTP_DONE;
    int r = submit_check(http, request);

    if (r == 0)
        r = transfer_new(http, TAKE_PTR(taken), &transfer);

    if (r < 0)
        return r;
    outcome = request_check(transfer->request, http->context.vault, &err);
    if (outcome != KEEPER_HTTP_DONE) {
        transfer_fail(transfer, outcome, &err);
        return 0;
    }
    loop_timer_set(transfer->timer, transfer->request->deadline_ms);
    if (transfer_may_start(http, transfer, &pool))
        transfer_start(transfer, pool);
    return 0;
}

void http_cancel(struct http *http, uint32_t id)
{
    struct transfer *transfer = transfer_find(http, id);
    struct err err = ERR_INIT;

    if (!transfer)
        return;
    err_set(&err, ECANCELED, "the request is no longer wanted");
    transfer_fail(transfer, KEEPER_HTTP_NETWORK, &err);
}

void http_free(struct http *http)
{
    if (!http)
        return;
    while (http->first)
        transfer_free(http->first);
    pools_free(http->pools);
    loop_timer_free(http->pump);
    free(http->allow_private);
    free(http);
}
