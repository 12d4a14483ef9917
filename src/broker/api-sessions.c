/*
 * Sessions: opening, listing, ending. The table is in src/session; here are its
 * file, its receipts and who may see what.
 */
#include "broker/broker.h"

#include "base/clock.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#include "base/banned.h"

#define TEXT_MAX 4096

static int receipt(struct broker *broker, const char *type, const struct session *session, struct err *err)
{
    CLEANUP_JSON json_t *payload = json_pack("{s:s}", "aileron.session.agent", session->agent);
    const struct receipt receipt = {
        .type = type,
        .session_id = session->id,
        .actor = AUDIT_HUMAN,
        .actor_id = "owner",
        .payload = payload,
    };
    return receipts_append(broker->receipts, &receipt, NULL, err);
}

/* C0, DEL and C1: a name that is shown in terminals and receipts moves no cursor there. */
static bool has_control_characters(const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char) *text, next = (unsigned char) text[1];
        if (c < ' ' || c == 0x7f || (c == 0xc2 && next >= 0x80 && next < 0xa0))
            return true;
    }
    return false;
}

void api_session_open(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const char *confinement = json_get_str(request->body, "confinement");
    struct session_request wanted = {
        .agent = json_get_str(request->body, "agent"),
        .folder = json_get_str(request->body, "folder"),
        .launched = json_is_true(json_object_get(request->body, "launched")),
        .only = json_object_get(request->body, "only"),
    };
    const char *agent = wanted.agent, *folder = wanted.folder;
    char token[SESSION_TOKEN_MAX];
    struct session *session;
    struct err err = ERR_INIT;

    if (!agent || !*agent || strlen(agent) > TEXT_MAX || (folder && strlen(folder) > TEXT_MAX)) {
        api_reply_error(reply, 400, "bad_request", "the body must be {\"agent\":TEXT,\"folder\"?:TEXT}", NULL);
        return;
    }
    if (has_control_characters(agent)) {
        api_reply_error(reply, 400, "bad_request", "the agent's name may not have control characters", NULL);
        return;
    }
    if ((confinement && !session_confinement_parse(confinement, &wanted.confinement)) || !session_only_is_good(wanted.only)) {
        api_reply_error(reply, 400, "bad_request",
            "\"confinement\" is \"none\", \"fence\" or \"container\"; \"only\" is a list of 1 to 64 patterns", NULL);
        return;
    }
    int r = session_open(broker->sessions, &wanted, clock_unix_ms(), &session, token, &err);
    if (r < 0) {
        api_reply_error(
            reply, r == -ENOSPC ? 429 : 400, r == -ENOSPC ? "too_many_sessions" : "bad_request", err.message, err.hint);
        return;
    }
    if (receipt(broker, "session.started", session, &err) < 0) {
        session_end(session, clock_unix_ms());
        broker_no_receipt(reply, &err);
        return;
    }
    if (broker_sessions_save(broker, &err) < 0) {
        session_end(session, clock_unix_ms());
        api_reply_error(reply, 500, "not_saved", err.message, err.hint);
        return;
    }
    api_reply_send(reply, 201, json_pack("{s:s, s:s}", "session_id", session->id, "token", token));
}

void api_sessions_list(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    api_reply_send(reply, 200, json_pack("{s:o}", "sessions", session_list_json(broker->sessions)));
}

static struct session *find(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct session *session = session_by_id(broker->sessions, request->name);

    if (!session)
        api_reply_error(reply, 404, "not_found", "there is no such session, or more than one ends like this",
            "aileron sessions list shows them");
    return session;
}

void api_session_get(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    const struct session *session = find(broker, request, reply);

    if (session)
        api_reply_send(reply, 200, session_to_json(session));
}

void api_session_end(struct broker *broker, const struct api_request *request, struct api_reply *reply)
{
    struct session *session = find(broker, request, reply);
    struct err err = ERR_INIT;

    if (!session)
        return;
    if (!session->ended_unix_ms) {
        if (receipt(broker, "session.ended", session, &err) < 0) {
            broker_no_receipt(reply, &err);
            return;
        }
        session_end(session, clock_unix_ms());
        if (broker_sessions_save(broker, &err) < 0) {
            api_reply_error(reply, 500, "not_saved", err.message, err.hint);
            return;
        }
    }
    api_reply_send(reply, 200, session_to_json(session));
}

#define PARK_LAUNCHED_MS (55 * 60 * 1000)
#define PARK_OTHERS_MS   (45 * 1000)

bool broker_session_allows(const struct session *session, const char *action)
{
    return session_allows(session, action);
}

int64_t broker_session_park_ms(const struct session *session)
{
    return session->launched ? PARK_LAUNCHED_MS : PARK_OTHERS_MS;
}
