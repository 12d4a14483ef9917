/*
 * Downloads: transfers without a grant, with the same rules for addresses, TLS and overrides as all others. One that follows
 * redirects to other hosts never carries a token (request.h sees to that).
 */
#include <errno.h>

#include "keeper/http-private.h"

#include "base/banned.h"

struct http_get {
    struct transfer *transfer;
    http_get_fn *fn;
    void *userdata;
};

void get_free(struct http_get *get)
{
    free(get);
}

void get_answer(struct http_get *get, const struct exchange_result *result, const struct exchange *exchange)
{
    bool answered = result->outcome == KEEPER_HTTP_DONE && exchange;
    const struct http_get_answer answer = {
        .outcome = result->outcome,
        .status = result->status,
        .etag = answered ? exchange_etag(exchange) : "",
        .retry_after_ms = result->retry_after_ms,
        .body = answered ? exchange_body(exchange) : NULL,
        .message = result->err.message,
    };

    get->fn(&answer, get->userdata);
}

int http_get(struct http *http, const struct request_download *what, uint32_t timeout_ms, http_get_fn *fn, void *userdata,
    struct http_get **ret_get, struct err *err)
{
    struct request *request = NULL;
    struct transfer *transfer = NULL;
    struct http_get *get = NULL;
    int r = request_get(what, &request, err);

    if (r < 0)
        return r;
    request->deadline_ms = timeout_ms;
    get = malloc(sizeof *get);
    r = transfer_new(http, request, &transfer);
    if (r < 0 || !get) {
        if (r == 0)
            transfer_free(transfer);
        get_free(get);
        return err_set(err, ENOMEM, "the keeper has no memory left for this request");
    }
    *get = (struct http_get){ transfer, fn, userdata };
    transfer->get = get;
    loop_timer_set(transfer->timer, timeout_ms);
    loop_timer_set(http->pump, 0);
    *ret_get = get;
    return 0;
}

void http_get_cancel(struct http_get *get)
{
    if (get)
        transfer_free(get->transfer);
}

uint64_t http_get_progress(const struct http_get *get, uint64_t *ret_total)
{
    *ret_total = 0;
    return get->transfer->exchange ? exchange_received(get->transfer->exchange, ret_total) : 0;
}

void http_get_answer_put(const struct http_get_answer *answer, struct wire_frame *frame)
{
    wire_put_u8(frame, (uint8_t) answer->outcome);
    wire_put_u32(frame, answer->status);
    wire_put_str(frame, answer->etag);
    wire_put_i64(frame, answer->retry_after_ms);
    wire_put_blob(frame, answer->body ? buf_str(answer->body) : "", answer->body ? answer->body->len : 0);
    wire_put_str(frame, answer->message);
}
