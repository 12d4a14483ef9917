/* Requests of the owner's door about bindings: keys, grants, defaults, OAuth flows. */
#include "keeper/owner-private.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/magic.h"
#include "keeper/lock.h"
#include "keeper/outcome.h"
#include "keeper/vault.h"
#include "loop/channel.h"

#include "base/banned.h"

#define PASTE_MAX  (OAUTH_URL_MAX + OAUTH_QUERY_MAX)
#define DETAIL_MAX (16 * 1024)

static struct peer *peer_of(void *userdata)
{
    return MAGIC_CAST(struct peer, userdata, PEER_MAGIC);
}

/* Reads the spec; false when the request has ended. */
static bool spec_take(struct peer *peer, enum spec_use use)
{
    struct err err = ERR_INIT;
    int r = spec_parse(peer->work.text, strlen(peer->work.text), use, &peer->work.spec, &err);

    if (r < 0)
        peer_finish(peer, (struct finish){ r == -ENOMEM ? KEEPER_FAILED : KEEPER_REFUSED, err.message, err.hint, NULL });
    return r == 0;
}

/* Of binding.created and binding.rebound: what the person has consented to. */
static json_t *consent_payload(const struct spec *spec)
{
    const struct grant *grant = spec->grant;
    json_t *origins = json_array();

    for (size_t i = 0; origins && i < grant->origins_len; i++)
        json_array_append_new(origins, json_string(grant->origins[i]));
    return json_pack("{s:s, s:s, s:s, s:s, s:o}", "aileron.binding.name", spec->binding, "aileron.connector.fqn",
        grant->connector_fqn, "aileron.capability.kind", grant_kind_name(grant->kind), "aileron.consent.decision", "granted",
        "aileron.binding.origins", origins);
}

/* The detail of a binding that succeeded; `more` may be NULL. */
static void finish_bound(struct peer *peer, const char *binding, const json_t *more)
{
    CLEANUP_JSON json_t *detail = json_pack("{s:s}", "binding", binding);
    CLEANUP(buf_free) struct buf text = BUF_INIT(DETAIL_MAX);

    if (more)
        json_object_update(detail, (json_t *) more);
    else
        json_object_update_new(
            detail, json_pack("{s:[], s:[], s:b}", "granted_scopes", "missing_scopes", "refresh_token_present", false));
    if (!detail || json_write(detail, &text) < 0)
        buf_reset(&text);
    peer_finish(peer, (struct finish){ KEEPER_OK, NULL, NULL, buf_str(&text) });
}

static void bind_key_effect(struct peer *peer)
{
    const struct spec *spec = peer->work.spec;
    struct vault *vault = peer->parts->vault;
    struct err err = ERR_INIT;
    int r = vault_binding_put(vault, spec->binding, spec->grant, peer->work.value, spec->labels, &err);

    if (r == 0 && spec->make_default)
        r = vault_binding_set_default(vault, spec->binding, true, &err);
    if (r == 0) {
        lock_changed(peer->parts->lock);
        finish_bound(peer, spec->binding, NULL);
    } else {
        peer_finish_err(peer, r, &err);
    }
}

static void bind_key_start(struct peer *peer)
{
    const char *refusal = grant_value_refusal(secret_bytes(peer->work.value), secret_len(peer->work.value));
    struct err err = ERR_INIT;
    int r = refusal ? err_set(&err, EINVAL, "the key %s", refusal) : 0;

    if (!spec_take(peer, SPEC_KEY))
        return;
    if (r == 0)
        r = vault_binding_put_check(peer->parts->vault, peer->work.spec->binding, peer->work.spec->grant, peer->work.value, &err);
    if (r != 0)
        peer_finish_err(peer, r, &err);
    else
        peer_record(peer, "binding.created", consent_payload(peer->work.spec), bind_key_effect);
}

int owner_bind_key(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    peer->work.text = peer_text(frame, KEEPER_SPEC_MAX);
    wire_get_secret(frame, KEEPER_SECRET_MAX, &peer->work.value);
    return peer_begin(peer, frame, bind_key_start);
}

/* Ends the request when there is no binding of this name. */
static bool is_binding(struct peer *peer, const char *name)
{
    CLEANUP_JSON json_t *bindings = vault_describe(peer->parts->vault);
    const json_t *binding = NULL;
    struct err err = ERR_INIT;
    size_t i = 0;

    json_array_foreach(bindings, i, binding)
    {
        if (!strcmp(json_get_str(binding, "binding") ?: "", name))
            return true;
    }
    err_set(&err, ENOENT, "there is no binding %s", name);
    err_hint(&err, "aileron binding list");
    peer_finish(peer, (struct finish){ KEEPER_NOT_FOUND, err.message, err.hint, NULL });
    return false;
}

static void rebind_effect(struct peer *peer)
{
    const struct spec *spec = peer->work.spec;
    struct vault *vault = peer->parts->vault;
    struct err err = ERR_INIT;
    int r = vault_binding_regrant(vault, spec->binding, spec->grant, spec->labels, &err);

    if (r == 0 && spec->make_default)
        r = vault_binding_set_default(vault, spec->binding, true, &err);
    if (r == 0)
        lock_changed(peer->parts->lock);
    peer_finish_err(peer, r, &err);
}

static void rebind_start(struct peer *peer)
{
    if (spec_take(peer, SPEC_REBIND) && is_binding(peer, peer->work.spec->binding))
        peer_record(peer, "binding.rebound", consent_payload(peer->work.spec), rebind_effect);
}

int owner_rebind(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    peer->work.text = peer_text(frame, KEEPER_SPEC_MAX);
    return peer_begin(peer, frame, rebind_start);
}

static void default_start(struct peer *peer)
{
    struct err err = ERR_INIT;
    int r = 0;

    if (!is_binding(peer, peer->work.path))
        return;
    r = vault_binding_set_default(peer->parts->vault, peer->work.path, true, &err);
    if (r == 0) {
        lock_used(peer->parts->lock);
        lock_changed(peer->parts->lock);
    }
    peer_finish_err(peer, r, &err);
}

int owner_default(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    peer->work.path = peer_text(frame, GRANT_NAME_MAX);
    return peer_begin(peer, frame, default_start);
}

/* ---- OAuth ---- */

static void on_flow_ended(const struct oauth_outcome *outcome, void *userdata)
{
    struct peer *peer = peer_of(userdata);

    peer->work.flow = NULL;
    if (outcome->result == KEEPER_OK)
        finish_bound(peer, outcome->binding, outcome->detail);
    else
        peer_finish(peer, (struct finish){ outcome->result, outcome->message, outcome->hint, NULL });
}

static void flow_started(struct peer *peer, int r, const char *url, const struct err *err)
{
    struct wire_frame frame;

    if (r != 0) {
        peer_finish_err(peer, r, err);
        return;
    }
    lock_used(peer->parts->lock);
    wire_init(&frame, OWNER_URL, peer->work.id);
    wire_put_str(&frame, url);
    channel_send(peer->channel, &frame);
}

static void oauth_begin_start(struct peer *peer)
{
    struct work *work = &peer->work;
    CLEANUP_FREE char *url = NULL;
    struct err err = ERR_INIT;
    struct oauth_spec spec = { .binding = NULL };
    int r = 0;

    if (!spec_take(peer, SPEC_OAUTH))
        return;
    spec = (struct oauth_spec){
        .binding = work->spec->binding,
        .grant = work->spec->grant,
        .authorize_url = work->spec->authorize_url,
        .client_id = work->spec->client_id,
        .client_secret = secret_len(work->value) > 0 ? work->value : NULL,
        .scopes = work->spec->scopes,
        .scopes_len = work->spec->scopes_len,
        .redirect_uri = work->spec->redirect_uri,
        .make_default = work->spec->make_default,
        .labels = work->spec->labels,
    };
    r = oauth_begin(peer->parts->oauth, &spec, on_flow_ended, peer, &url, &work->flow, &err);
    flow_started(peer, r, url, &err);
}

int owner_oauth_begin(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    peer->work.text = peer_text(frame, KEEPER_SPEC_MAX);
    wire_get_secret(frame, KEEPER_SECRET_MAX, &peer->work.value);
    return peer_begin(peer, frame, oauth_begin_start);
}

static void oauth_again_start(struct peer *peer)
{
    struct work *work = &peer->work;
    CLEANUP_FREE char *url = NULL;
    struct err err = ERR_INIT;
    int r = 0;

    if (!spec_redirect_is_valid(work->text))
        r = err_set(&err, EINVAL, "the redirect URI must be http://127.0.0.1:PORT/oauth2/callback");
    else
        r = oauth_begin_again(peer->parts->oauth, work->path, work->text, on_flow_ended, peer, &url, &work->flow, &err);
    flow_started(peer, r, url, &err);
}

int owner_oauth_again(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);

    peer->work.path = peer_text(frame, GRANT_NAME_MAX);
    peer->work.text = peer_text(frame, SPEC_REDIRECT_MAX);
    return peer_begin(peer, frame, oauth_again_start);
}

/* The URL holds an authorization code. One that fits ends the flow, perhaps before oauth_paste() returns. */
int owner_oauth_paste(void *userdata, struct wire_frame *frame)
{
    struct peer *peer = peer_of(userdata);
    const char *url = wire_get_str(frame, PASTE_MAX);
    struct err err = ERR_INIT;
    struct wire_frame answer;
    int r = 0;

    if (wire_end(frame) < 0)
        return -EPROTO;
    r = oauth_paste(peer->work.flow, url, &err);
    if (r == 0)
        return 0;
    wire_init(&answer, OWNER_PASTED, frame->id);
    wire_put_u8(&answer, (uint8_t) outcome_of(r));
    wire_put_str(&answer, err.message);
    wire_put_str(&answer, err.hint);
    return channel_send(peer->channel, &answer);
}
