/*
 * Bindings over the API: what the keeper says of them, their end, a new consent,
 * and the callback by which a consent comes back from the browser. No value, code or
 * token is looked at here; the callback's query goes to the keeper as it came.
 */
#include "broker/api-keeper.h"
#include "broker/broker.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/magic.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define ASKED_MAGIC    0x6162696eu
#define CALLBACKS_MAX  32
#define CALLBACK_BYTES (16 * 1024)
#define FLOW_S         600 /* how long a consent's URL is good: the keeper's OAUTH_FLOW_MS */

struct asked {
    uint32_t magic;
    struct broker *broker;
    struct api_reply *reply;
    char binding[BINDING_NAME_MAX];
};

static struct asked *asked_new(struct broker *broker, struct api_reply *reply, const char *binding)
{
    struct asked *asked = calloc(1, sizeof *asked);

    if (!asked) {
        api_reply_error(reply, 500, "out_of_memory", "out of memory", NULL);
        return NULL;
    }
    *asked = (struct asked){ .magic = ASKED_MAGIC, .broker = broker, .reply = reply };
    snprintf(asked->binding, sizeof asked->binding, "%s", binding);
    return asked;
}

static void asked_free(struct asked *asked)
{
    asked->magic = 0;
    free(asked);
}

/* --- showing --- */

static bool is_installed(const json_t *stored, const char *fqn)
{
    const json_t *item;
    size_t index;

    json_array_foreach(stored, index, item)
    {
        const char *own = json_get_str(item, "fqn");
        if (own && fqn && !strcmp(own, fqn))
            return true;
    }
    return false;
}

static bool has_expired(const json_t *binding)
{
    const char *text = json_get_str(binding, "expires_at");
    int64_t unix_ms;

    return text && clock_parse(text, &unix_ms) == 0 && unix_ms <= clock_unix_ms();
}

/* One word for what a call would meet. What a locked vault hides is not guessed. */
static const char *state_of(const json_t *binding, enum keeper_vault_state vault)
{
    const char *status = json_get_str(binding, "status"), *reason = json_get_str(binding, "stale_reason");

    if (status && !strcmp(status, "revoked"))
        return "revoked";
    if (status && !strcmp(status, "stale"))
        return reason && !strcmp(reason, "no_grant_record") ? "no_grant" : "stale";
    if (vault != KEEPER_VAULT_UNLOCKED)
        return "locked";
    if (json_is_false(json_object_get(binding, "granted")))
        return "no_grant";
    if (has_expired(binding) && !json_is_true(json_object_get(binding, "refresh_token_present")))
        return "expired_no_refresh";
    return "active";
}

static json_t *binding_json(struct broker *broker, const json_t *stored, const json_t *binding)
{
    json_t *row = json_copy((json_t *) binding);

    if (!row)
        return NULL;
    json_object_set_new(row, "connector_installed", json_boolean(is_installed(stored, json_get_str(binding, "connector_fqn"))));
    json_object_set_new(row, "state", json_string(state_of(binding, keeper_vault_state(broker->keeper))));
    return row;
}

/* The installed connectors, or NULL after answering. */
static json_t *stored_list(struct broker *broker, struct api_reply *reply)
{
    json_t *stored = NULL;
    struct err err = ERR_INIT;

    if (store_list(broker->home->path, &stored, &err) < 0)
        api_reply_error(reply, 500, "store_unreadable", err.message, err.hint);
    return stored;
}

void api_bindings_list(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    CLEANUP_JSON json_t *stored = stored_list(broker, reply);
    const json_t *binding;
    size_t index;

    if (!stored)
        return;
    json_t *list = json_array();
    json_array_foreach(keeper_bindings(broker->keeper), index, binding)
        json_array_append_new(list, binding_json(broker, stored, binding));
    api_reply_send(reply, 200, json_pack("{s:o}", "bindings", list));
}

static const json_t *find(const struct broker *broker, const char *name)
{
    const json_t *binding;
    size_t index;

    json_array_foreach(keeper_bindings(broker->keeper), index, binding)
    {
        const char *own = json_get_str(binding, "binding");
        if (own && !strcmp(own, name))
            return binding;
    }
    return NULL;
}

/* The binding, or NULL after answering. */
static const json_t *find_or_answer(struct broker *broker, const char *name, struct api_reply *reply)
{
    const json_t *binding = find(broker, name);

    if (binding)
        return binding;
    if (!keeper_is_there(broker->keeper))
        api_keeper_not_asked(reply, -ENOTCONN);
    else
        api_reply_error(reply, 404, "not_found", "there is no binding of this name", "aileron binding list shows them");
    return NULL;
}

void api_binding_get(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const json_t *binding = find_or_answer(broker, request->name, reply);
    CLEANUP_JSON json_t *stored = binding ? stored_list(broker, reply) : NULL;

    if (stored)
        api_reply_send(reply, 200, binding_json(broker, stored, binding));
}

/* --- revoking, asking for consent again --- */

static void on_revoked(const struct keeper_reply *answer, void *userdata)
{
    struct asked *asked = MAGIC_CAST(struct asked, userdata, ASKED_MAGIC);

    if (answer->result == KEEPER_OK)
        api_reply_send(asked->reply, 200,
            json_pack("{s:s, s:s*}", "revoked", asked->binding, "note", answer->message[0] ? answer->message : NULL));
    else
        api_keeper_failed(asked->reply, answer);
    asked_free(asked);
}

void api_binding_revoke(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    if (!find_or_answer(broker, request->name, reply))
        return;
    struct asked *asked = asked_new(broker, reply, request->name);
    if (!asked)
        return;
    int r = keeper_revoke(broker->keeper, asked->binding, on_revoked, asked, NULL);
    if (r < 0) {
        api_keeper_not_asked(reply, r);
        asked_free(asked);
    }
}

static void on_started(const struct keeper_reply *answer, void *userdata)
{
    struct asked *asked = MAGIC_CAST(struct asked, userdata, ASKED_MAGIC);

    if (answer->result == KEEPER_OK)
        api_reply_send(asked->reply, 200, json_pack("{s:s, s:i}", "url", answer->detail, "expires_in_s", FLOW_S));
    else
        api_keeper_failed(asked->reply, answer);
    asked_free(asked);
}

void api_oauth_start(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *binding = json_get_str(request->body, "binding");
    char redirect_uri[128];

    if (!binding || json_object_size(request->body) != 1 || !binding_name_is_valid(binding)) {
        api_reply_error(reply, 400, "bad_request", "the body must be {\"binding\":NAME}", "aileron binding list shows the names");
        return;
    }
    if (!find_or_answer(broker, binding, reply))
        return;
    struct asked *asked = asked_new(broker, reply, binding);
    if (!asked)
        return;
    snprintf(redirect_uri, sizeof redirect_uri, "%s/oauth2/callback", discovery_facts(broker->discovery)->url);
    int r = keeper_oauth_start(broker->keeper, asked->binding, redirect_uri, on_started, asked, NULL);
    if (r < 0) {
        api_keeper_not_asked(reply, r);
        asked_free(asked);
    }
}

/* --- the callback --- */

static void callback_answer(struct api_reply *reply, int status, const char *result, const struct keeper_reply *answer)
{
    const bool has = answer != NULL;

    api_reply_send(reply, status,
        json_pack("{s:s, s:s*, s:s*, s:s*}", "result", result, "binding", has && answer->detail[0] ? answer->detail : NULL,
            "message", has && answer->message[0] ? answer->message : NULL, "hint", has && answer->hint[0] ? answer->hint : NULL));
}

static void on_callback(const struct keeper_reply *answer, void *userdata)
{
    static const struct {
        int status;
        const char *result;
    } results[KEEPER_RESULT_COUNT] = {
        [KEEPER_OK] = { 200, "connected" },
        [KEEPER_DENIED] = { 200, "denied" },
        [KEEPER_NOT_FOUND] = { 400, "unknown" },
        [KEEPER_LOCKED] = { 412, "locked" },
        [KEEPER_BUSY] = { 503, "busy" },
        [KEEPER_TIMED_OUT] = { 504, "failed" },
    };
    struct asked *asked = MAGIC_CAST(struct asked, userdata, ASKED_MAGIC);

    asked->broker->callbacks--;
    if (answer->lost)
        callback_answer(asked->reply, 503, "interrupted", NULL);
    else if (results[answer->result].result)
        callback_answer(asked->reply, results[answer->result].status, results[answer->result].result, answer);
    else
        callback_answer(asked->reply, 502, "failed", answer);
    asked_free(asked);
}

void api_oauth_callback(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    if (!request->raw_query[0] || strlen(request->raw_query) > CALLBACK_BYTES) {
        callback_answer(reply, 400, "unknown", NULL);
        return;
    }
    if (broker->callbacks >= CALLBACKS_MAX) {
        callback_answer(reply, 503, "busy", NULL);
        return;
    }
    struct asked *asked = asked_new(broker, reply, "");
    if (!asked)
        return;
    int r = keeper_oauth_callback(broker->keeper, request->raw_query, on_callback, asked, NULL);
    if (r < 0) {
        callback_answer(reply, 503, r == -ENOBUFS ? "busy" : "interrupted", NULL);
        asked_free(asked);
        return;
    }
    broker->callbacks++;
}
