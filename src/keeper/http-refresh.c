/*
 * The credential of a request, taken when it is about to leave, and the two moments when its token is refreshed: before, when
 * little time is left, and after, when the provider refused it with 401. A refused request had no effect, so after
 * a refresh it is sent again whatever its method; once, and never when the new token could not be had.
 */
#include <errno.h>

#include "base/clock.h"
#include "keeper/http-private.h"

#include "base/banned.h"

#define EARLY_S 60

static int64_t now_unix_s(void)
{
    return clock_unix_ms() / 1000;
}

static bool has_expired(const struct credential *credential)
{
    return credential->expires_unix_s != 0 && now_unix_s() >= credential->expires_unix_s;
}

/* Else whoever may send requests could make the keeper ask for tokens as often as that. */
static bool token_is_fresh(const struct transfer *transfer)
{
    const struct http_refresher *refresher = transfer->http->refresher;

    return refresher->is_fresh(refresher->userdata, transfer->request->binding);
}

static bool refresh_is_due(const struct transfer *transfer)
{
    const struct http_refresher *refresher = transfer->http->refresher;
    const struct credential *credential = &transfer->request->credential;

    if (!refresher || !credential->refreshable || transfer->refreshed)
        return false;
    if (refresher->is_due(refresher->userdata, transfer->request->binding) || has_expired(credential))
        return true;
    return credential->expires_unix_s != 0 && credential->expires_unix_s - now_unix_s() < EARLY_S && !token_is_fresh(transfer);
}

/* With the token as it is, or as it is now. */
static void transfer_go(struct transfer *transfer)
{
    const struct request *request = transfer->request;
    struct err err = ERR_INIT;

    if (has_expired(&request->credential) && !request->credential.refreshable) {
        err_set(&err, EKEYEXPIRED,
            "the access of %s has expired and the provider gave nothing to renew it with: run `aileron binding reauthorize %s`",
            request->binding, request->binding);
        transfer_fail(transfer, KEEPER_HTTP_BINDING_FAILED, &err);
        return;
    }
    if (request->credential.line && !transfer->get)
        vault_binding_used(transfer->http->context.vault, request->binding, now_unix_s());
    if (transfer->refused.is_set)
        transfer->has_left = true;
    transfer->refused.is_set = false;
    exchange_free(TAKE_PTR(transfer->exchange));
    transfer_resolve(transfer);
}

static void refused_answer(struct transfer *transfer)
{
    const struct exchange_result result = {
        .outcome = KEEPER_HTTP_DONE, .may_have_left = true, .status = 401, .retry_after_ms = transfer->refused.retry_after_ms
    };

    transfer_answer(transfer, &result);
}

/*
 * No new token. The old one is used while it lasts. If it was refused already: that is passed on as it came when the token
 * endpoint could not be asked, and else why there is no new one.
 */
static void refresh_failed(struct transfer *transfer, enum keeper_http_outcome outcome, const char *message)
{
    struct request *request = transfer->request;
    struct err err = ERR_INIT;
    bool usable = request_credential(request, transfer->http->context.vault, NULL) == KEEPER_HTTP_DONE;

    if (transfer->refused.is_set && outcome == KEEPER_HTTP_NETWORK) {
        refused_answer(transfer);
    } else if (usable && !transfer->refused.is_set && !has_expired(&request->credential)) {
        transfer_go(transfer);
    } else {
        err_set(&err, EKEYEXPIRED, "%s", message);
        transfer_fail(transfer, outcome, &err);
    }
}

static void on_refreshed(enum keeper_http_outcome outcome, const char *message, void *userdata)
{
    struct transfer *transfer = MAGIC_CAST(struct transfer, userdata, TRANSFER_MAGIC);
    struct err err = ERR_INIT;

    transfer->refresh = NULL;
    if (outcome != KEEPER_HTTP_DONE) {
        refresh_failed(transfer, outcome, message);
        return;
    }
    outcome = request_credential(transfer->request, transfer->http->context.vault, &err);
    if (outcome == KEEPER_HTTP_DONE)
        transfer_go(transfer);
    else
        transfer_fail(transfer, outcome, &err);
}

static void transfer_refresh(struct transfer *transfer)
{
    const struct http_refresher *refresher = transfer->http->refresher;
    int r = 0;

    transfer->state = TRANSFER_REFRESHING;
    transfer->refreshed = true;
    r = refresher->refresh(refresher->userdata, transfer->request->binding, on_refreshed, transfer, &transfer->refresh);
    if (r < 0)
        refresh_failed(transfer, KEEPER_HTTP_NETWORK, "the keeper has no memory left to refresh the token");
}

void transfer_credential(struct transfer *transfer)
{
    struct err err = ERR_INIT;
    enum keeper_http_outcome outcome = request_credential(transfer->request, transfer->http->context.vault, &err);

    if (outcome != KEEPER_HTTP_DONE)
        transfer_fail(transfer, outcome, &err);
    else if (refresh_is_due(transfer))
        transfer_refresh(transfer);
    else
        transfer_go(transfer);
}

/* Another request may have refreshed the token while this one was on its way; then that one is used. */
static bool token_is_newer(const struct transfer *transfer)
{
    const struct request *request = transfer->request;
    struct vault_loan loan = { NULL, NULL };

    return vault_lend(transfer->http->context.vault, request->binding, request->connector_fqn, &loan, NULL) == 0 &&
           loan.generation != request->credential.generation;
}

bool transfer_refused(struct transfer *transfer, const struct exchange_result *result)
{
    const struct credential *credential = &transfer->request->credential;

    bool is_newer = false;

    if (result->outcome != KEEPER_HTTP_DONE || result->status != 401 || !credential->refreshable || transfer->refreshed ||
        !transfer->http->refresher)
        return false;
    is_newer = token_is_newer(transfer);
    if (!is_newer && token_is_fresh(transfer))
        return false;
    transfer->refused = (struct http_refused){ true, result->retry_after_ms };
    if (is_newer) {
        transfer->refreshed = true;
        on_refreshed(KEEPER_HTTP_DONE, "", transfer);
    } else {
        transfer_refresh(transfer);
    }
    return true;
}
