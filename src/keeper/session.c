/*
 * The broker's requests as one table. Each function reads its frame to the end
 * before it acts; a frame with too little, too much or out of turn ends the session.
 */
#include "keeper/session.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/magic.h"
#include "crypt/head.h"
#include "keeper/forge.h"
#include "keeper/gate.h"
#include "keeper/http.h"
#include "keeper/lock.h"
#include "keeper/oauth.h"
#include "keeper/outcome.h"
#include "keeper/owner-spec.h"
#include "keeper/owner.h"
#include "keeper/receipts.h"
#include "keeper/signer.h"
#include "keeper/ticket.h"
#include "keeper/vault.h"
#include "loop/channel.h"

#include "base/banned.h"

#define SESSION_MAGIC 0x6b736573u
#define PENDING_MAGIC 0x70656e64u
/* Answers of up to LIMIT_RESPONSE_BYTES each that a broker may leave unread; a broker that works takes them at once. */
#define UNREAD_MAX  128
#define PENDING_MAX 256
/* Unasked STATEs; what changes more often is told when the second is over. The broker takes twice as many. */
#define STATES_PER_SECOND 50

/* A request whose answer comes later. */
struct pending {
    uint32_t magic;
    struct session *session;
    struct pending *next;
    uint32_t id;
};

struct session {
    uint32_t magic;
    const struct parts *parts;
    struct session_hello hello;
    struct channel *channel;
    struct gate gate;
    bool locked; /* what the gate said of the frame that is being read */
    struct signer signer;
    struct pending *pending;
    size_t pending_len;
    struct loop_timer *tell; /* a STATE that has to wait */
    int64_t told_second;
    unsigned told_count;
    session_end_fn *fn;
    void *userdata;
};

struct done {
    enum keeper_result result;
    const char *message, *hint, *detail;
};

static int done_send(struct session *session, uint32_t id, struct done done)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_DONE, id);
    wire_put_u8(&frame, (uint8_t) done.result);
    wire_put_str(&frame, done.message);
    wire_put_str(&frame, done.hint);
    wire_put_str(&frame, done.detail);
    return channel_send(session->channel, &frame);
}

static int locked_send(struct session *session, uint32_t id)
{
    if (vault_state(session->parts->vault) == KEEPER_VAULT_MISSING)
        return done_send(
            session, id, (struct done){ KEEPER_MISSING, "there is no vault yet", "aileron vault init makes one", NULL });
    return done_send(session, id, (struct done){ KEEPER_LOCKED, "the vault is locked", "aileron vault unlock opens it", NULL });
}

static int state_send(struct session *session, uint32_t id)
{
    struct vault *vault = session->parts->vault;
    CLEANUP_JSON json_t *bindings = vault_describe(vault);
    CLEANUP(buf_free) struct buf text = BUF_INIT(VAULT_FILE_MAX);
    uint8_t key[SIGN_PUBLIC_BYTES];
    bool has_key = vault_signing_public(vault, key);
    struct wire_frame frame;

    if (!bindings || json_write(bindings, &text) < 0)
        return -ENOMEM;
    wire_init(&frame, KEEPER_STATE, id);
    wire_put_u8(&frame, (uint8_t) vault_state(vault));
    wire_put_u8(&frame, lock_overrides_active(session->parts->lock));
    wire_put_bytes(&frame, key, has_key ? sizeof key : 0);
    wire_put_str(&frame, session->hello.degraded(session->hello.userdata));
    wire_put_blob(&frame, buf_str(&text), text.len);
    return channel_send(session->channel, &frame);
}

static void on_tell(void *userdata)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);

    session_tell_state(session);
}

void session_tell_state(struct session *session)
{
    int64_t now_ms = clock_boot_ms();

    if (!session->gate.configured)
        return;
    if (session->told_second != now_ms / 1000)
        session->told_count = 0;
    session->told_second = now_ms / 1000;
    if (session->told_count >= STATES_PER_SECOND) {
        loop_timer_set(session->tell, 1000 - now_ms % 1000);
        return;
    }
    session->told_count++;
    loop_timer_stop(session->tell);
    if (state_send(session, 0) == -ENOMEM)
        session->fn(-ENOMEM, session->userdata);
}

static int on_configure(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    const char *allow_private = wire_get_str(frame, REQUEST_HOSTS_MAX);
    uint32_t auto_lock_s = wire_get_u32(frame);

    if (wire_end(frame) < 0)
        return -EPROTO;
    session->gate.configured = true;
    lock_configure(session->parts->lock, auto_lock_s);
    owner_open(session->parts->owner);
    return http_set_allow_private(session->parts->http, allow_private);
}

static int on_get_state(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);

    return wire_end(frame) < 0 ? -EPROTO : state_send(session, frame->id);
}

static int on_http(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    struct request *request = NULL;
    int r = request_read(frame, &request);

    if (r < 0)
        return r;
    if (request->binding[0])
        lock_binding_used(session->parts->lock);
    return http_submit(session->parts->http, request);
}

static int on_http_cancel(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);

    if (wire_end(frame) < 0)
        return -EPROTO;
    http_cancel(session->parts->http, frame->id);
    return 0;
}

static int on_event_written(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    uint8_t written = wire_get_u8(frame);

    if (wire_end(frame) < 0 || written > 1)
        return -EPROTO;
    return receipts_written(session->parts->receipts, frame->id, written);
}

static enum keeper_result head_sign(
    struct session *session, uint64_t seq, const uint8_t hash[SHA256_BYTES], uint8_t out[SIGN_BYTES])
{
    uint8_t message[AUDIT_HEAD_BYTES];
    int r = 0;

    if (!signer_allows(&session->signer, seq, hash))
        return KEEPER_REFUSED;
    audit_head_message(seq, hash, message);
    r = vault_sign(session->parts->vault, message, sizeof message, out, NULL);
    if (r == 0)
        signer_note(&session->signer, seq, hash);
    return outcome_of(r);
}

static int on_sign_head(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    uint64_t seq = wire_get_u64(frame);
    size_t len = 0;
    const uint8_t *hash = wire_get_bytes(frame, SHA256_BYTES, &len);
    uint8_t signature[SIGN_BYTES];
    enum keeper_result result = KEEPER_OK;
    struct wire_frame answer;

    if (wire_end(frame) < 0 || len != SHA256_BYTES)
        return -EPROTO;
    result = head_sign(session, seq, hash, signature);
    wire_init(&answer, KEEPER_SIGNED, frame->id);
    wire_put_u8(&answer, (uint8_t) result);
    wire_put_bytes(&answer, signature, result == KEEPER_OK ? sizeof signature : 0);
    return channel_send(session->channel, &answer);
}

static int on_lock(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);

    if (wire_end(frame) < 0)
        return -EPROTO;
    if (vault_state(session->parts->vault) == KEEPER_VAULT_MISSING)
        return locked_send(session, frame->id);
    lock_close(session->parts->lock);
    /* Also when it was told a moment ago, or has to wait: the broker sees it before the answer. */
    if (state_send(session, 0) == -ENOMEM)
        return -ENOMEM;
    return done_send(session, frame->id, (struct done){ .result = KEEPER_OK });
}

static struct pending *pending_add(struct session *session, uint32_t id)
{
    struct pending *pending = session->pending_len < PENDING_MAX ? calloc(1, sizeof *pending) : NULL;

    if (!pending)
        return NULL;
    *pending = (struct pending){ PENDING_MAGIC, session, session->pending, id };
    session->pending = pending;
    session->pending_len++;
    return pending;
}

static void pending_remove(struct pending *pending)
{
    struct session *session = pending->session;
    struct pending **at = &session->pending;

    while (*at != pending)
        at = &(*at)->next;
    *at = pending->next;
    session->pending_len--;
    pending->magic = 0;
    free(pending);
}

/* How a revocation ended. */
static void on_revoked(const struct oauth_outcome *outcome, void *userdata)
{
    struct pending *pending = MAGIC_CAST(struct pending, userdata, PENDING_MAGIC);

    done_send(pending->session, pending->id, (struct done){ outcome->result, outcome->message, outcome->hint, NULL });
    pending_remove(pending);
}

static int on_revoke(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    const char *binding = wire_get_str(frame, GRANT_NAME_MAX);
    struct pending *pending = NULL;

    if (wire_end(frame) < 0)
        return -EPROTO;
    if (session->locked)
        return locked_send(session, frame->id);
    pending = pending_add(session, frame->id);
    if (!pending)
        return done_send(session, frame->id, (struct done){ .result = KEEPER_BUSY, .message = "too many requests at once" });
    oauth_revoke(session->parts->oauth, binding, on_revoked, pending);
    return 0;
}

/* A flow that the broker started is told by the STATE that follows and by its callback. */
static void on_flow_ended(const struct oauth_outcome *outcome, void *userdata)
{
}

static int on_oauth_start(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    const char *binding = wire_get_str(frame, GRANT_NAME_MAX), *redirect = wire_get_str(frame, SPEC_REDIRECT_MAX);
    CLEANUP_FREE char *url = NULL;
    struct oauth_flow *flow = NULL;
    struct err err = ERR_INIT;
    int r = 0;

    if (wire_end(frame) < 0)
        return -EPROTO;
    if (session->locked)
        return locked_send(session, frame->id);
    r = spec_redirect_is_valid(redirect)
            ? oauth_begin_again(session->parts->oauth, binding, redirect, on_flow_ended, session, &url, &flow, &err)
            : err_set(&err, EINVAL, "the redirect URI is not this daemon's");
    return done_send(session, frame->id, (struct done){ outcome_of(r), err.message, err.hint, url });
}

static void on_called_back(const struct oauth_outcome *outcome, void *userdata)
{
    struct pending *pending = MAGIC_CAST(struct pending, userdata, PENDING_MAGIC);

    done_send(pending->session, pending->id, (struct done){ outcome->result, outcome->message, outcome->hint, outcome->binding });
    pending_remove(pending);
}

/* The query has an authorization code in it. */
static int on_oauth_callback(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    struct pending *pending = NULL;
    const char *query = NULL;
    size_t len = 0;

    wire_mark_secret(frame);
    query = wire_get_bytes(frame, OAUTH_QUERY_MAX, &len);
    if (wire_end(frame) < 0 || memchr(query, '\0', len))
        return -EPROTO;
    pending = pending_add(session, frame->id);
    if (!pending)
        return done_send(session, frame->id, (struct done){ .result = KEEPER_BUSY, .message = "too many requests at once" });
    oauth_callback(session->parts->oauth, query, len, on_called_back, pending);
    return 0;
}

static int on_spend_ticket(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    const char *approval = wire_get_str(frame, TICKET_APPROVAL_MAX), *seal = wire_get_str(frame, TICKET_SEAL_MAX);
    const char *ticket = wire_get_str(frame, KEEPER_TICKET_MAX);

    if (wire_end(frame) < 0)
        return -EPROTO;
    if (session->locked)
        return locked_send(session, frame->id);
    if (tickets_spend(session->parts->tickets, approval, seal, ticket, clock_boot_ms()))
        return done_send(session, frame->id, (struct done){ .result = KEEPER_OK });
    return done_send(session, frame->id,
        (struct done){ KEEPER_REFUSED, "the ticket is not for this approval, was used already or is too old", NULL, NULL });
}

static int forged_send(struct session *session, uint32_t id, const struct http_get_answer *answer)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_FORGED, id);
    http_get_answer_put(answer, &frame);
    return channel_send(session->channel, &frame);
}

static void on_forged(const struct http_get_answer *answer, void *userdata)
{
    struct pending *pending = MAGIC_CAST(struct pending, userdata, PENDING_MAGIC);

    forged_send(pending->session, pending->id, answer);
    pending_remove(pending);
}

/* Has an answer of its own also when nothing could be asked. */
static int on_forge(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    struct http_get_answer refusal = { .outcome = KEEPER_HTTP_DENIED, .etag = "", .retry_after_ms = -1 };
    const char *path = wire_get_str(frame, FORGE_PATH_MAX), *etag = wire_get_str(frame, FORGE_ETAG_MAX);
    struct pending *pending = NULL;
    struct err err = ERR_INIT;

    if (wire_end(frame) < 0)
        return -EPROTO;
    refusal.message = "too many requests at once";
    pending = pending_add(session, frame->id);
    if (!pending)
        return forged_send(session, frame->id, &refusal);
    if (forge_ask(session->parts->http, session->parts->vault, path, etag, on_forged, pending, &err) == 0)
        return 0;
    pending_remove(pending);
    refusal.message = err.message;
    return forged_send(session, frame->id, &refusal);
}

static int on_list(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    CLEANUP_JSON json_t *entries = NULL;
    CLEANUP(buf_free) struct buf text = BUF_INIT(VAULT_FILE_MAX);
    struct wire_frame answer;

    if (wire_end(frame) < 0)
        return -EPROTO;
    entries = vault_list(session->parts->vault);
    if (entries && json_write(entries, &text) < 0)
        return -ENOMEM;
    wire_init(&answer, KEEPER_LISTED, frame->id);
    wire_put_blob(&answer, entries ? buf_str(&text) : "[]", entries ? text.len : 2);
    return channel_send(session->channel, &answer);
}

static const struct gate_row rows[] = {
    { KEEPER_CONFIGURE, GATE_FIRST, on_configure },
    { KEEPER_GET_STATE, 0, on_get_state },
    { KEEPER_HTTP, 0, on_http }, /* has an answer of its own for a vault that is not open, as SIGN_HEAD */
    { KEEPER_HTTP_CANCEL, 0, on_http_cancel },
    { KEEPER_EVENT_WRITTEN, 0, on_event_written },
    { KEEPER_SIGN_HEAD, 0, on_sign_head },
    { KEEPER_LOCK, 0, on_lock },
    { KEEPER_REVOKE, GATE_NEEDS_UNLOCKED, on_revoke },
    { KEEPER_OAUTH_START, GATE_NEEDS_UNLOCKED, on_oauth_start },
    { KEEPER_OAUTH_CALLBACK, 0, on_oauth_callback },
    { KEEPER_SPEND_TICKET, GATE_NEEDS_UNLOCKED, on_spend_ticket },
    { KEEPER_LIST, 0, on_list },
    { KEEPER_FORGE, 0, on_forge },
};

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    enum gate_verdict verdict = GATE_REFUSED;
    gate_fn *fn = NULL;

    lock_check(session->parts->lock);
    session->gate.unlocked = vault_state(session->parts->vault) == KEEPER_VAULT_UNLOCKED;
    verdict = gate_pass(&session->gate, frame->type, &fn);
    session->locked = verdict == GATE_LOCKED;
    return verdict == GATE_REFUSED ? -EPROTO : fn(session, frame);
}

static void on_close(struct channel *channel, int reason, void *userdata)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);

    session->fn(reason, session->userdata);
}

static int result_send(struct session *session, const struct http_answer *answer)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_HTTP_RESULT, answer->id);
    wire_put_u8(&frame, (uint8_t) answer->outcome);
    wire_put_u8(&frame, answer->may_have_left);
    wire_put_u32(&frame, answer->status);
    wire_put_i64(&frame, answer->retry_after_ms);
    wire_put_blob(&frame, answer->body ? buf_str(answer->body) : "", answer->body ? answer->body->len : 0);
    wire_put_str(&frame, answer->message);
    return channel_send(session->channel, &frame);
}

/* An answer that cannot be passed on (no memory for its body) still ends the call. A dead channel tells on_close. */
void session_answer(const struct http_answer *answer, void *userdata)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);

    if (channel_queued(session->channel) >= UNREAD_MAX) {
        session->fn(-ENOBUFS, session->userdata);
    } else if (result_send(session, answer) == -EMSGSIZE) {
        struct http_answer failure = {
            .id = answer->id,
            .outcome = KEEPER_HTTP_NETWORK,
            .may_have_left = answer->may_have_left,
            .retry_after_ms = -1,
            .message = "the keeper had no memory left to pass the answer on",
        };

        result_send(session, &failure);
    }
}

int session_say_hello(struct session *session, struct err *err)
{
    struct wire_frame frame;
    int r = 0;

    wire_init(&frame, KEEPER_HELLO, 0);
    wire_put_u32(&frame, KEEPER_PROTOCOL_VERSION);
    wire_put_u8(&frame, (uint8_t) vault_state(session->parts->vault));
    wire_put_str(&frame, session->hello.confinement);
    wire_put_u8(&frame, session->hello.overrides_given);
    wire_put_str(&frame, session->hello.degraded(session->hello.userdata));
    r = channel_send(session->channel, &frame);
    return r < 0 ? err_errno(err, -r, "cannot talk to the broker") : 0;
}

int session_new(const struct parts *parts, int socket, const struct session_hello *hello, session_end_fn *fn, void *userdata,
    struct session **ret_session, struct err *err)
{
    CLEANUP_PTR(session_free) struct session *session = NULL;
    CLEANUP_CLOSE int fd = socket;
    int r = 0;

    session = calloc(1, sizeof *session);
    if (!session)
        return err_set(err, ENOMEM, "out of memory");
    session->magic = SESSION_MAGIC;
    session->parts = parts;
    session->hello = *hello;
    session->gate = (struct gate){ .rows = rows, .rows_len = ARRAY_LEN(rows) };
    session->fn = fn;
    session->userdata = userdata;
    r = loop_timer_new(parts->loop, on_tell, session, &session->tell);
    if (r == 0)
        r = channel_new(parts->loop, TAKE_FD(fd), on_frame, on_close, session, &session->channel);
    if (r < 0)
        return err_errno(err, -r, "cannot talk to the broker");
    *ret_session = TAKE_PTR(session);
    return 0;
}

struct channel *session_channel(struct session *session)
{
    return session->channel;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    while (session->pending)
        pending_remove(session->pending);
    loop_timer_free(session->tell);
    channel_free(session->channel);
    session->magic = 0;
    free(session);
}
