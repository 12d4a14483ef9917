/*
 * tools/call: the calls of a peer in flight. A gated one parks in the broker; meanwhile a client that asked for progress is
 * told every ten seconds what it waits for. A wait that ends (cancelled, client gone) is abandoned: the broker goes on, and
 * keeps the result of what a person approves for check_action_status.
 */
#include "mcp/rpc-private.h"

#include "base/json.h"
#include "base/magic.h"
#include "base/ulid.h"
#include "broker/api.h"
#include "loop/loop.h"
#include "mcp/result.h"
#include "mcp/tools.h"

#include <stdlib.h>
#include <string.h>

#include "base/banned.h"

#define CALL_MAGIC 0x4d434332u
#define TICK_MS    10000
#define TICK_S     10

static void call_free(struct rpc_call *call)
{
    TAILQ_REMOVE(&call->peer->calls, call, link);
    call->peer->calls_len--;
    json_decref(call->id);
    json_decref(call->progress_token);
    free(call->name);
    free(call->waiting);
    call->magic = 0;
    free(call);
}

static void call_abandon(struct rpc_call *call)
{
    struct api_reply *reply = call->reply;

    call_free(call);
    api_reply_abandon(reply);
}

void rpc_calls_free(struct rpc_peer *peer)
{
    struct rpc_call *call;

    while ((call = TAILQ_FIRST(&peer->calls)))
        call_abandon(call);
    loop_timer_free(peer->tick);
    peer->tick = NULL;
}

static struct rpc_call *find_call(const struct rpc_peer *peer, const json_t *id)
{
    struct rpc_call *call;

    TAILQ_FOREACH(call, &peer->calls, link)
    {
        if (json_equal(call->id, id))
            return call;
    }
    return NULL;
}

bool rpc_has_call(const struct rpc_peer *peer, const json_t *id)
{
    return find_call(peer, id) != NULL;
}

void rpc_cancel_call(struct rpc_peer *peer, const json_t *id)
{
    struct rpc_call *call = find_call(peer, id);

    if (call)
        call_abandon(call);
}

/* ---- progress ---- */

static void send_progress(struct rpc_call *call)
{
    CLEANUP_JSON json_t *text = call->waiting ? json_string(call->waiting) : json_sprintf("%s is still running", call->name);
    CLEANUP_JSON json_t *message = json_pack("{s:s,s:s,s:{s:O,s:I,s:O?}}", "jsonrpc", "2.0", "method", "notifications/progress",
        "params", "progressToken", call->progress_token, "progress", call->progress, "message", text);

    if (message)
        call->peer->send(call->peer->userdata, message);
}

static void on_tick(void *userdata)
{
    struct rpc_peer *peer = MAGIC_CAST(struct rpc_peer, userdata, RPC_PEER_MAGIC);
    struct rpc_call *call;

    peer->ticking = false;
    TAILQ_FOREACH(call, &peer->calls, link)
    {
        if (!call->progress_token)
            continue;
        if (!peer->ticking)
            loop_timer_set(peer->tick, TICK_MS);
        peer->ticking = true;
        call->progress += TICK_S;
        send_progress(call);
    }
}

static void start_ticking(struct rpc_peer *peer)
{
    if (peer->ticking || (!peer->tick && loop_timer_new(broker_loop(peer->broker), on_tick, peer, &peer->tick) < 0))
        return;
    loop_timer_set(peer->tick, TICK_MS);
    peer->ticking = true;
}

static void on_pending(void *userdata, const char *action, const json_t *pending)
{
    struct rpc_call *call = MAGIC_CAST(struct rpc_call, userdata, CALL_MAGIC);

    free(call->waiting);
    call->waiting = result_waiting_text(action, pending);
    if (!call->progress_token)
        return;
    call->progress++;
    send_progress(call);
}

/* ---- calls ---- */

static void on_done(void *userdata, int status, json_t *body)
{
    struct rpc_call *call = MAGIC_CAST(struct rpc_call, userdata, CALL_MAGIC);
    struct rpc_peer *peer = call->peer;
    CLEANUP_JSON json_t *id = json_incref(call->id);
    json_t *result = result_from_api(call->name, status, body);

    json_decref(body);
    call_free(call);
    if (result)
        rpc_send_result(peer, id, result);
    else
        rpc_send_error(peer, id, RPC_INTERNAL_ERROR, "the result could not be written");
}

/* MCP: text or an integer. */
static json_t *progress_token(const json_t *params)
{
    json_t *token = json_object_get(json_object_get(params, "_meta"), "progressToken");

    return json_is_string(token) || json_is_integer(token) ? json_incref(token) : NULL;
}

static struct rpc_call *call_new(struct rpc_peer *peer, const json_t *id, const json_t *params, const char *name)
{
    struct rpc_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    call->magic = CALL_MAGIC;
    call->peer = peer;
    call->id = json_incref((json_t *) id);
    call->progress_token = progress_token(params);
    call->name = strdup(name);
    TAILQ_INSERT_TAIL(&peer->calls, call, link);
    peer->calls_len++;
    call->reply = call->name ? api_reply_new(on_done, call) : NULL;
    if (!call->reply) {
        call_free(call);
        return NULL;
    }
    api_reply_on_pending(call->reply, on_pending);
    if (call->progress_token)
        start_ticking(peer);
    return call;
}

/*
 * Asks the broker by `function`; `subject` is the request's name there, `shown` what the answer calls it. Only what is asked to
 * be done waits for a person; how things stand is said at once.
 */
static void ask(struct rpc_peer *peer, const json_t *id, const json_t *params, api_fn *function, const char *subject,
    const char *shown, json_t *body_stolen)
{
    CLEANUP_JSON json_t *body = body_stolen, *query = json_object();
    struct rpc_call *call = body && query ? call_new(peer, id, params, shown) : NULL;
    struct session *session = broker_session_by_id(peer->broker, peer->session_id);

    if (!call) {
        rpc_send_error(peer, id, RPC_INTERNAL_ERROR, "out of memory");
        return;
    }
    const struct api_request request = {
        .role = API_AGENT,
        .session = session,
        .name = subject,
        .query = query,
        .raw_query = "",
        .body = body,
        .wait_ms = function == api_action_run ? broker_session_park_ms(session) : 0,
    };
    function(peer->broker, &request, call->reply);
}

static void run_tool(struct rpc_peer *peer, const json_t *id, const json_t *params, const char *action, const json_t *arguments)
{
    CLEANUP_FREE char *name = strdup(action); /* the list that it is borrowed from may go */
    json_t *args = arguments ? json_incref((json_t *) arguments) : json_object();

    ask(peer, id, params, api_action_run, name, action, json_pack("{s:o}", "args", args));
}

static bool is_approval_id(const char *text)
{
    static const char PLAIN[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
    size_t len = text ? strspn(text, PLAIN) : 0;

    return len && len < ULID_ID_MAX && !text[len];
}

static void ask_status(struct rpc_peer *peer, const json_t *id, const json_t *params, const json_t *arguments)
{
    const char *approval = json_get_str(arguments, "approval_id");

    if (!is_approval_id(approval) || json_object_size(arguments) != 1)
        rpc_send_result(peer, id, result_of_bad_status_input());
    else
        ask(peer, id, params, api_approval_result, approval, approval, json_object());
}

void rpc_tools_call(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    const struct session *session = broker_session_by_id(peer->broker, peer->session_id);
    const json_t *tools = broker_tools(peer->broker);
    const char *name = json_get_str(params, "name");
    const json_t *arguments = json_object_get(params, "arguments");
    const char *action = name ? tools_action(tools, session, name) : NULL;
    bool is_status = name && !strcmp(name, BROKER_STATUS_TOOL) && tools_have_gated(tools, session);

    if (!action && !is_status)
        rpc_send_error(peer, id, RPC_INVALID_PARAMS, name ? "unknown tool" : "params.name must be a tool's name");
    else if (arguments && !json_is_object(arguments))
        rpc_send_error(peer, id, RPC_INVALID_PARAMS, "params.arguments must be an object");
    else if (peer->calls_len >= RPC_CALLS_MAX)
        rpc_send_error(peer, id, RPC_TOO_MANY_CALLS, "too many calls at the same time; wait for some to end");
    else if (is_status)
        ask_status(peer, id, params, arguments);
    else
        run_tool(peer, id, params, action, arguments);
}

void rpc_tools_list(struct rpc_peer *peer, const json_t *id, const json_t *params)
{
    const json_t *cursor = json_object_get(params, "cursor");
    json_t *page = NULL;

    if ((cursor && !json_is_string(cursor)) ||
        !tools_page(
            broker_tools(peer->broker), broker_session_by_id(peer->broker, peer->session_id), json_string_value(cursor), &page))
        rpc_send_error(peer, id, RPC_INVALID_PARAMS, "params.cursor is none that tools/list gave");
    else if (!page)
        rpc_send_error(peer, id, RPC_INTERNAL_ERROR, "out of memory");
    else
        rpc_send_result(peer, id, page);
}
