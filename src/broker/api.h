/*
 * What one may ask the broker. The doors (src/web for HTTP, src/mcp for JSON-RPC)
 * turn their protocol into an api_request, check who asks, and call one of the
 * functions below; none of them decides policy. Every function answers exactly
 * once through its reply, at once or later, with an HTTP status and a JSON body.
 *
 * Errors that are not action failures have the body
 * {"error":{"code","message","hint"?}}; action failures that of SPEC §6.
 */
#ifndef BROKER_API_H
#define BROKER_API_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct broker;
struct session;
struct loop;

enum api_role { API_OWNER, API_AGENT };

struct api_request {
    enum api_role role;
    struct session *session;     /* API_AGENT: whose token it was; NULL for the owner */
    bool owner_socket;           /* it came through daemon.sock, by whatever credential */
    const char *name;            /* the {name}, {id} or {hash} of the route; NULL */
    const json_t *query;         /* object of strings, never NULL */
    const char *raw_query;       /* as it came, "" without one; never logged */
    const json_t *body;          /* object; NULL when there was none */
    int64_t wait_ms;             /* how long a gated call may park; 0 */
    const char *idempotency_key; /* NULL */
};

struct api_reply;
/* `body` is owned by the callee. Called at most once. */
typedef void api_reply_fn(void *userdata, int status, json_t *body);

/* Made by a door. NULL when out of memory. */
struct api_reply *api_reply_new(api_reply_fn *fn, void *userdata);
/*
 * By a door: told when the call waits for a person, before its answer and perhaps again when it has to ask anew. `pending`: the body
 * of a 202, borrowed.
 */
typedef void api_pending_fn(void *userdata, const char *action, const json_t *pending);
void api_reply_on_pending(struct api_reply *reply, api_pending_fn *fn);
/*
 * By a door: the client has gone, or does not want the answer any more. No function is called from now on; the broker goes on and
 * frees the reply at its end, perhaps before this returns.
 */
void api_reply_abandon(struct api_reply *reply);
/* By the broker: told once when the client goes before its answer. It may send (and so free) the reply in it. */
typedef void api_gone_fn(void *userdata);
void api_reply_on_gone(struct api_reply *reply, api_gone_fn *fn, void *userdata);
/* By the broker: the call waits for a person. `pending` is borrowed. */
void api_reply_pending(struct api_reply *reply, const char *action, const json_t *pending);
/* By the broker: answers (unless abandoned) and frees the reply. Takes `body`. True when a door took the answer. */
bool api_reply_send(struct api_reply *reply, int status, json_t *body);
/* {"error":{"code","message","hint"?}}; hint may be NULL. */
void api_reply_error(struct api_reply *reply, int status, const char *code, const char *message, const char *hint);

typedef void api_fn(struct broker *broker, const struct api_request *request, struct api_reply *reply);

/* {"status":"ok","version","pid"} */
api_fn api_health;
/*
 * {"version","pid","started_at","uptime_s","url","socket","home","vault_state":"missing|locked|unlocked",
 *  "counts":{"actions","actions_enabled","connectors","sessions_open","calls_running","workers","approvals_pending"},
 *  "confinement":{"broker","keeper","worker"}, "overrides":[text…],"overrides_active":bool, "degraded":[{"what","do"}…], "restarts":{"keeper","worker"}}
 */
api_fn api_status;
/* {"actions":[{"name","version","intent","enabled","gated","kind","connectors":[{"fqn","version","hash","ops"}],"idempotent","read_only","source"?,"signed","unsigned","fqn"?}…],
 *  "load_errors":[{"class":"bad_input|hash_mismatch|signature_failure","message","file","line","hint"?,"name"?,"signed"?,"fqn"?,"version"?,"authority"?}…]}; an agent sees enabled ones only */
api_fn api_actions_list;
/* one action: the list's fields plus "needs_credential","inputs","steps","approval","body","schema","description","mcp_name","hash","file" */
api_fn api_action_get;
/* PATCH {"enabled":bool} → the action */
api_fn api_action_patch;
/* DELETE → {"removed":name} */
api_fn api_action_remove;
/* POST {"path":absolute path of a .md, or folder of .md files,"local":true,"bind":{NAME:value},"force"?: also over a signed one} → {"installed":[{"name","version","hash","unsigned":true,"updated":bool}…]} */
api_fn api_action_install;
/* POST {"text","file"} → {"valid":bool,"errors":[{"class","message","file","line"}…]} */
api_fn api_action_validate;
/*
 * POST {"args":{}, "as"?:binding, or its last part (the owner only)} → 200 {"audit_id","output","steps":[{"id","op","duration_ms","retried"}],"connector_version","connector_hash","binding"} or a failure.
 * A gated one parks for wait_ms, then 202 {"status":"pending_approval","approval_id","review_url"}
 */
api_fn api_action_run;
/* {"connectors":[{"fqn","version","hash","unsigned","files":"intact|changed","credential"?,"hosts"?,"ops"?,"used_by":[action…],"error"?,"hint"?}…]} */
api_fn api_connectors_list;
/* POST {"plan","consent":"accepted|cancelled","trust"?:[{"authority","fingerprint"}],"only"?:[names]} → 202 {"plan"}; 409 trust_needed, not_ready. Or local: */
/* POST {"path":absolute folder with connector.wasm and manifest.toml,"local":true,"name"?:"local://…","bind":{}} → {"fqn","version","hash","unsigned":true,"already_installed":bool} */
api_fn api_connector_install;
/* DELETE {hash} → {"removed":hash} */
api_fn api_connector_remove;
/*
 * {"connectors":[{"fqn","version","hash","files":"intact|changed|missing","signature":"valid|unsigned|untrusted|invalid","signed","latest"?,
 *  "latest_error"?,"newer":bool,"used_by":[action…],"error"?,"hint"?}…]}; asks the forge, each repository once
 */
api_fn api_connectors_check;
/*
 * POST → {"missing_connectors":[{"fqn","version","hash","needed_by":[action…]}],"missing_bindings":[{"connector_fqn","kind","command","needed_by"}],
 *  "changed":[{"kind":"connector|action","class","message",…}],"vault_state","ok":bool}
 */
api_fn api_sync;
/* POST {"ref","keys"?:[PEM or base64],"force"?} → 202 {"plan"} */
api_fn api_connector_preview;
/* POST {"ref","suite"?:bool,"keys"?,"force"?}, or {"path":absolute,"suite":true} of a local suite → 202 {"plan"} */
api_fn api_action_preview;
/*
 * {"plan","kind":"connector|action|suite","state":"working|ready|failed|installing|done","progress":{"what","phase","done","total","item","items"},
 *  "suite"?:{"name","description","version"?},"error"?:{"code","message","hint"?}}, and once it is ready: "trust_needed":[{"authority","fingerprint","url"}],
 *  "sentences":[{"text","level"}],"changes":[{"action","text","level"}],"connectors":[{"fqn","version","hash","signature":"valid|new_key","fingerprint"?,
 *  "already_installed","hosts","scopes","credential","publisher"?,"description"?,"memory_mib","wants_spawn"}],"actions":[{"name","fqn","version","hash"?,
 *  "signature","already_installed","updates"?,"gated","kind","intent","operations","connector":{…},"warning"?,"changes"?}]; while it installs and after:
 *  "results":[{"kind","name","version","state":"waiting|installing|installed|updated|already|failed|skipped","error"?}]
 */
api_fn api_plan_get;
/* DELETE → {"cancelled":plan}; receipted when there was something to decide */
api_fn api_plan_drop;
/* {"publishers":[{"authority","kind":"owner|repository","fingerprint","key"}…]} */
api_fn api_keyring_list;
/* POST {"authority","key"?,"fingerprint"?}: without a fingerprint → {"authority","fingerprint","url"?,"trusted":false}; with the key's own → trusted */
api_fn api_keyring_trust;
/* DELETE {"authority","fingerprint"?} → {"authority","revoked":number of keys} */
api_fn api_keyring_revoke;
/* {hash}, or its first 6 or more digits → what a person consents to: {"fqn","version","hash","hosts":[],"credential":{"kind","scope"?,"header"?,"format"?,
 *  "oauth2"?:{"authorize_url","token_url","revoke_url"?,"client_id","client_secret"?,"scopes":[]}}}; kind "none" without any other key */
api_fn api_connector_get;
/* {"state":"missing|locked|unlocked","path","auto_lock_s","overrides_active":bool,
 *  "entries":[{"path","kind":"binding|login|token|secret","type","environment","labels":{}}…]}; never a value */
api_fn api_vault_get;
/* POST → {"state":"locked"} or 409 vault_missing. Opening goes through keeper.sock alone */
api_fn api_vault_lock;
/* {"bindings":[…]} as the keeper states them (vault_describe() of keeper/vault.h): names, labels, grants, never a value; and
 *  "connector_installed":bool, "state":"active|stale|revoked|expired_no_refresh|no_grant|locked" */
api_fn api_bindings_list;
/* {kind}/{service}/{identity} → one of them */
api_fn api_binding_get;
/* DELETE → {"revoked":name,"note"?: what the provider could not be told}; 412 vault_locked */
api_fn api_binding_revoke;
/* POST {"binding"} → {"url","expires_in_s"}: a new consent of a binding that has a grant */
api_fn api_oauth_start;
/*
 * GET, open to anybody: raw_query's state alone authorises. {"result":"connected|denied|unknown|failed|locked|busy|interrupted",
 * "binding"?,"message"?,"hint"?}, which the HTTP door turns into a page.
 */
api_fn api_oauth_callback;
/* {"events":[…]} query: since until type session connector class text limit before */
api_fn api_audit_list;
api_fn api_audit_get;
/* {"intact":bool,"events","files","where"?,"what"?,"head"}; runs in a child of its own */
api_fn api_audit_verify;
/*
 * ?status= → {"approvals":[as api_approval_get…],"pending":number in all,"more":bool}, newest first, or
 * ?order=oldest; ?limit (1–1000, default 100), ?before=id and ?after=id page. A page of large cards is shorter than its limit: "more" says whether another one follows.
 */
api_fn api_approvals_list;
/* view_approval() of broker/approval-view.h. By id or unique suffix of 6 or more */
api_fn api_approval_get;
/* POST {"approved":bool,"reason"?,"seal"?: what the decider saw,"ticket"?} → 200 as api_approval_get; 404; 409 decided already, or changed; 428 ticket needed */
api_fn api_approval_decide;
/* POST → 200 as api_approval_get: an unknown outcome that a person has looked after; 409 when it is none */
api_fn api_approval_resolve;
/* What the call would have answered: 200 or a failure once there is an end, 202 before, 410 when it was forgotten. An agent gets its own ones only (404) */
api_fn api_approval_result;
/*
 * POST {"agent","folder"?,"launched"?:true: our launcher's, parks longer,"confinement"?:"fence|container": what its agent cannot leave,
 * "only"?:[globs of action names]: no other action exists for it} → 201 {"session_id","token"}
 */
api_fn api_session_open;
/* {"sessions":[{"id","agent","folder"?,"started_at","ended_at"?,"last_seen_at","calls"}…]} */
api_fn api_sessions_list;
api_fn api_session_get;
/* POST → the session */
api_fn api_session_end;
/* {"settings":[{"key","value","default","about","source":"default|config.toml"}…]} */
api_fn api_config_list;
/* PATCH {key:value|null, "ticket"?} → as list; 400 with the key's rule; 428: a weaker approval.confirm needs a ticket for (that key, its value) */
api_fn api_config_patch;
/* POST, on the owner's socket only → 201 {"code"}: good for a minute, once. POST {"code"} → 200 {"waiting":bool}: it was not spent yet */
api_fn api_web_code;
/* POST {"code"}, open to anybody on TCP → 201 {"key"}: the owner's bearer on TCP until the daemon ends; 401, 429 */
api_fn api_web_login;
/* POST (owner) → 202, then a clean stop */
api_fn api_stop;

/* For doors: */
struct loop *broker_loop(struct broker *broker);
/* The session of an agent's token, or NULL; marks it seen. */
struct session *broker_session(struct broker *broker, const char *token);
/* The open session with this id, or NULL. A door keeps ids, not pointers: sessions end. */
struct session *broker_session_by_id(struct broker *broker, const char *id);
/* True when `token` is the owner's of daemon.json (constant time). */
bool broker_owner_token(struct broker *broker, const char *token);
/* True when `token` is a key that a browser signed in with. Counts on TCP only. */
bool broker_web_key(struct broker *broker, const char *token);
/* Something changed: "approval", "audit", "session", "vault", "actions". `data` is borrowed. */
typedef void broker_event_fn(const char *type, const json_t *data, void *userdata);
/* One listener, told from now on; NULL: nobody. Without one there is no work. */
void broker_on_event(struct broker *broker, broker_event_fn *fn, void *userdata);
/* Tells the listener; small, ids only. Takes `data`. */
void broker_event(struct broker *broker, const char *type, json_t *data);
/* True when the session may see and run the action (its `only`). */
bool broker_session_allows(const struct session *session, const char *action);
/* Milliseconds that a gated call of this session parks at a door that can wait (SPEC §10). */
int64_t broker_session_park_ms(const struct session *session);
/* By this name agents collect what a person approved; no action may have it. */
#define BROKER_STATUS_TOOL "check_action_status"
/* Tools for MCP: [{"name":mcp name,"action":name,"description","inputSchema","annotations"}…], enabled and ungated-or-supported ones. Cached; borrowed until the next change. */
const json_t *broker_tools(struct broker *broker);
/* Told whenever the list of actions changes; several listeners allowed. */
typedef void broker_changed_fn(void *userdata);
int broker_on_actions_changed(struct broker *broker, broker_changed_fn *fn, void *userdata);

#endif
