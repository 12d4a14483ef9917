/*
 * The broker's requests as one table. Each function reads its frame to the end
 * before it acts; a frame with too little, too much or out of turn ends the session.
 */
#include "keeper/session.h"

#include <errno.h>

#include "base/json.h"
#include "base/magic.h"
#include "keeper/gate.h"

#include "base/banned.h"

#define SESSION_MAGIC 0x6b736573u
/* Answers of up to LIMIT_RESPONSE_BYTES each that a broker may leave unread; a broker that works takes them at once. */
#define UNREAD_MAX 128

struct session {
    uint32_t magic;
    struct channel *channel;
    struct http *http;
    struct vault *vault;
    struct gate gate;
    session_end_fn *fn;
    void *userdata;
};

static int on_configure(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    const char *allow_private = wire_get_str(frame, REQUEST_HOSTS_MAX);

    wire_get_u32(frame);
    if (wire_end(frame) < 0)
        return -EPROTO;
    session->gate.configured = true;
    return http_set_allow_private(session->http, allow_private);
}

static int on_get_state(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    CLEANUP_JSON json_t *bindings = NULL;
    CLEANUP(buf_free) struct buf text = BUF_INIT(LIMIT_FRAME_BYTES);
    struct wire_frame answer;

    if (wire_end(frame) < 0)
        return -EPROTO;
    bindings = vault_describe(session->vault);
    if (!bindings || json_write(bindings, &text) < 0)
        return -ENOMEM;
    wire_init(&answer, KEEPER_STATE, frame->id);
    wire_put_u8(&answer, (uint8_t) vault_state(session->vault));
    wire_put_u8(&answer, 0);
    wire_put_bytes(&answer, "", 0);
    wire_put_str(&answer, "");
    wire_put_blob(&answer, buf_str(&text), text.len);
    return channel_send(session->channel, &answer);
}

static int on_http(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    struct request *request = NULL;
    int r = request_read(frame, &request);

    return r < 0 ? r : http_submit(session->http, request);
}

static int on_http_cancel(void *userdata, struct wire_frame *frame)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);

    if (wire_end(frame) < 0)
        return -EPROTO;
    http_cancel(session->http, frame->id);
    return 0;
}

static const struct gate_row rows[] = {
    { KEEPER_CONFIGURE, GATE_FIRST, on_configure },
    { KEEPER_GET_STATE, 0, on_get_state },
    { KEEPER_HTTP, 0, on_http }, /* a locked vault is an answer here, not an offence */
    { KEEPER_HTTP_CANCEL, 0, on_http_cancel },
};

static int on_frame(struct channel *channel, struct wire_frame *frame, void *userdata)
{
    struct session *session = MAGIC_CAST(struct session, userdata, SESSION_MAGIC);
    enum keeper_vault_state state = vault_state(session->vault);
    gate_fn *fn = NULL;

    session->gate.unlocked = state == KEEPER_VAULT_UNLOCKED || state == KEEPER_VAULT_DEVELOPMENT;
    fn = gate_pass(&session->gate, frame->type);
    return fn ? fn(session, frame) : -EPROTO;
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
static void on_answer(const struct http_answer *answer, void *userdata)
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

static int hello_send(struct session *session, const struct session_hello *hello)
{
    struct wire_frame frame;

    wire_init(&frame, KEEPER_HELLO, 0);
    wire_put_u32(&frame, KEEPER_PROTOCOL_VERSION);
    wire_put_u8(&frame, (uint8_t) vault_state(session->vault));
    wire_put_str(&frame, hello->confinement);
    wire_put_u8(&frame, hello->overrides_active);
    wire_put_str(&frame, hello->degraded);
    return channel_send(session->channel, &frame);
}

int session_new(const struct http_context *context, int socket, const struct session_hello *hello, session_end_fn *fn,
    void *userdata, struct session **ret_session, struct err *err)
{
    CLEANUP_PTR(session_free) struct session *session = NULL;
    CLEANUP_CLOSE int fd = socket;
    int r = 0;

    session = calloc(1, sizeof *session);
    if (!session)
        return err_set(err, ENOMEM, "out of memory");
    session->magic = SESSION_MAGIC;
    session->vault = context->vault;
    session->gate = (struct gate){ .rows = rows, .rows_len = ARRAY_LEN(rows) };
    session->fn = fn;
    session->userdata = userdata;
    r = http_new(context, on_answer, session, &session->http);
    if (r == 0)
        r = channel_new(context->loop, TAKE_FD(fd), on_frame, on_close, session, &session->channel);
    if (r == 0)
        r = hello_send(session, hello);
    if (r < 0)
        return err_errno(err, -r, "cannot talk to the broker");
    *ret_session = TAKE_PTR(session);
    return 0;
}

void session_free(struct session *session)
{
    if (!session)
        return;
    http_free(session->http);
    channel_free(session->channel);
    free(session);
}
