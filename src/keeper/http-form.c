/*
 * The keeper's own requests. They are transfers like all others, with the same rules for addresses, TLS and overrides, but that
 * body and answer are secrets, no redirect is followed, and the URL, which a person consented to, is the one allowed host.
 */
#include <errno.h>

#include "base/clock.h"
#include "keeper/http-private.h"

#include "base/banned.h"

struct http_form {
    struct transfer *transfer;
    http_form_fn *fn;
    void *userdata;
};

void form_free(struct http_form *form)
{
    free(form);
}

void form_answer(struct http_form *form, const struct exchange_result *result, const struct secret *body)
{
    const struct http_form_answer answer = {
        .outcome = result->outcome,
        .may_have_left = result->may_have_left,
        .status = result->status,
        .body = body,
        .message = result->err.message,
    };

    form->fn(&answer, form->userdata);
}

int http_post_form(struct http *http, const struct http_form_request *what, http_form_fn *fn, void *userdata,
    struct http_form **ret_form, struct err *err)
{
    struct request *request = NULL;
    struct transfer *transfer = NULL;
    struct http_form *form = NULL;
    int r = request_form(what->url, what->pool, what->form, &request, err);

    if (r < 0)
        return r;
    request->deadline_ms = what->timeout_ms;
    form = malloc(sizeof *form);
    r = transfer_new(http, request, &transfer);
    if (r < 0 || !form) {
        if (r == 0)
            transfer_free(transfer);
        form_free(form);
        return err_set(err, ENOMEM, "the keeper has no memory left for this request");
    }
    *form = (struct http_form){ transfer, fn, userdata };
    transfer->form = form;
    loop_timer_set(transfer->timer, what->timeout_ms);
    loop_timer_set(http->pump, 0);
    *ret_form = form;
    return 0;
}

void http_form_cancel(struct http_form *form)
{
    if (form)
        transfer_free(form->transfer);
}
