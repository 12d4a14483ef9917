/*
 * All that other programs see of the keeper: the frames on its private channel
 * to the broker (descriptor 3 of the keeper), in wire_put_* order, and their
 * meanings. docs/protocols.md repeats them.
 *
 * The keeper sends HELLO, gets one CONFIGURE, then serves requests in any number at the
 * same time; the frame id pairs an answer with its request. A credential never
 * appears in any of these frames. `grant` = what the person consented to:
 * connector, origins, header template, token URL. A request can narrow a grant,
 * never widen it: the keeper itself compares connector, binding and origin.
 */
#ifndef KEEPER_CLIENT_H
#define KEEPER_CLIENT_H

#define KEEPER_PROTOCOL_VERSION 1
#define KEEPER_CHANNEL_FD       3

enum keeper_frame_type {
    /* keeper → broker: u32 protocol version, u8 vault state (enum keeper_vault_state), str confinement, u8 overrides active, str what is degraded ("" = nothing) */
    KEEPER_HELLO = 1,
    /* broker → keeper, once and again at each change of the settings: str allow_private ("host:port" newline-separated) */
    KEEPER_CONFIGURE = 2,
    /* broker → keeper: no fields. Answer KEEPER_STATE */
    KEEPER_GET_STATE = 3,
    /* keeper → broker, also unasked at each change: u8 vault state, str JSON array of bindings
     * [{"binding","connector_fqn","kind","service","identity","status","origins":[...],"created_at"?,...}] - labels and grants, never a value */
    KEEPER_STATE = 4,
    /*
     * broker → keeper: one outbound request.
     * str connector FQN, str binding name ("" = without credential), str method, str url,
     * str headers ("Name: value\n" each, already checked by the broker, checked again here), blob body, u8 has body,
     * str allowed hosts (manifest's "host:port", newline-separated), u32 deadline ms (from now), u8 read only (GET and HEAD only)
     */
    KEEPER_HTTP = 5,
    /*
     * keeper → broker: u8 outcome (enum keeper_http_outcome), u8 may have left (any byte of the request
     * may have reached the provider), u32 HTTP status, i64 Retry-After in ms (-1 none), blob body, str message (our words, no secrets)
     */
    KEEPER_HTTP_RESULT = 6,
    /* broker → keeper: the call with this frame id is no longer wanted; no answer follows beyond its HTTP_RESULT */
    KEEPER_HTTP_CANCEL = 7,
};

enum keeper_vault_state { KEEPER_VAULT_MISSING, KEEPER_VAULT_LOCKED, KEEPER_VAULT_UNLOCKED, KEEPER_VAULT_DEVELOPMENT };

enum keeper_http_outcome {
    KEEPER_HTTP_DONE,             /* an answer of whatever status */
    KEEPER_HTTP_DENIED,           /* outside grant, allowed hosts, address rules, or a header rule → capability_denied */
    KEEPER_HTTP_MALFORMED,        /* URL, method or header not well formed → the guest gets -2 */
    KEEPER_HTTP_BINDING_REQUIRED, /* no such binding for this connector */
    KEEPER_HTTP_BINDING_FAILED,   /* revoked, stale, no grant, or vault locked (message says which) */
    KEEPER_HTTP_NETWORK,          /* resolve, connect, TLS, reset, time-out */
    KEEPER_HTTP_TOO_LARGE,        /* response over LIMIT_RESPONSE_BYTES */
    KEEPER_HTTP_REDIRECT_REFUSED, /* redirect off the origin or too many → capability_denied */
};

#endif
