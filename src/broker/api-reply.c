/*
 * Replies: answered exactly once, whether or not somebody still listens.
 */
#include "broker/api.h"

#include "base/json.h"

#include <stdlib.h>

#include "base/banned.h"

struct api_reply {
    api_reply_fn *fn;           /* NULL: abandoned */
    api_pending_fn *on_pending; /* NULL: the door does not care */
    void *userdata;
    api_gone_fn *on_gone; /* NULL: the broker does not care */
    void *on_gone_userdata;
};

struct api_reply *api_reply_new(api_reply_fn *fn, void *userdata)
{
    struct api_reply *reply = calloc(1, sizeof *reply);

    if (!reply)
        return NULL;
    reply->fn = fn;
    reply->userdata = userdata;
    return reply;
}

void api_reply_on_pending(struct api_reply *reply, api_pending_fn *fn)
{
    reply->on_pending = fn;
}

void api_reply_on_gone(struct api_reply *reply, api_gone_fn *fn, void *userdata)
{
    reply->on_gone = fn;
    reply->on_gone_userdata = userdata;
}

void api_reply_abandon(struct api_reply *reply)
{
    api_gone_fn *on_gone = reply->on_gone;

    reply->fn = NULL;
    reply->on_gone = NULL;
    if (on_gone)
        on_gone(reply->on_gone_userdata);
}

void api_reply_pending(struct api_reply *reply, const char *action, const json_t *pending)
{
    if (reply->fn && reply->on_pending)
        reply->on_pending(reply->userdata, action, pending);
}

bool api_reply_send(struct api_reply *reply, int status, json_t *body)
{
    if (!reply) {
        json_decref(body);
        return false;
    }
    if (!body) {
        status = 500;
        body = json_pack("{s:{s:s, s:s}}", "error", "code", "out_of_memory", "message", "out of memory");
    }
    bool taken = reply->fn != NULL;
    if (taken)
        reply->fn(reply->userdata, status, body);
    else
        json_decref(body);
    free(reply);
    return taken;
}

void api_reply_error(struct api_reply *reply, int status, const char *code, const char *message, const char *hint)
{
    CLEANUP_JSON json_t *text = json_string(message);

    /* A message that quotes foreign bytes must still be an answer. */
    if (!text)
        text = json_string(code);
    json_t *body = json_pack("{s:{s:s, s:O, s:s*}}", "error", "code", code, "message", text, "hint", hint && *hint ? hint : NULL);
    api_reply_send(reply, status, body);
}
