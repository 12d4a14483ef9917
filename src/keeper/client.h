/*
 * All that other programs see of the keeper: two doors, their frames in wire_put_* order, and their meanings.
 * docs/protocols.md repeats them.
 *
 * KEEPER_*: its private channel to the broker (descriptor 3). The keeper sends HELLO, gets one CONFIGURE, then serves
 * requests in any number at the same time; the frame id pairs an answer with its request. No credential, passphrase or
 * key ever appears in these frames. `grant` = what the person consented to: connector, origins, header template, token
 * URL. A request can narrow a grant, never widen it: the keeper itself compares connector, binding and origin.
 *
 * OWNER_*: keeper.sock (descriptor 4, listening, SOCK_SEQPACKET), for programs of the same user that are neither fenced nor
 * contained: the command line. The only door through which a secret enters; none leaves it. One request at a time a
 * connection; the keeper speaks first (OWNER_HELLO). A frame out of turn, unknown, too long or with bytes left over ends
 * that connection and nothing else.
 *
 * FETCH_*: the channel (descriptor 3) of `aileron-keeper --fetch`, which downloads what needs no credential: it has no vault, no
 * secret and no door. It exits when nothing was asked of it for a minute.
 */
#ifndef KEEPER_CLIENT_H
#define KEEPER_CLIENT_H

#define KEEPER_PROTOCOL_VERSION 2
#define KEEPER_CHANNEL_FD       3
#define KEEPER_OWNER_FD         4

#define KEEPER_PASSPHRASE_MAX   1024
#define KEEPER_SECRET_MAX       (32 * 1024)
#define KEEPER_SPEC_MAX         (32 * 1024)
#define KEEPER_TICKET_MAX       64     /* text of a ticket with its NUL */
#define KEEPER_TICKET_MS        120000 /* a ticket's life */

enum keeper_vault_state { KEEPER_VAULT_MISSING, KEEPER_VAULT_LOCKED, KEEPER_VAULT_UNLOCKED };

/* How a request of either door ended, beside its own answer. */
enum keeper_result {
    KEEPER_OK,
    KEEPER_FAILED,           /* message and hint say why */
    KEEPER_REFUSED,          /* what was asked for cannot be: a wrong name, value, origin … */
    KEEPER_WRONG_PASSPHRASE, /* a growing pause is behind it */
    KEEPER_LOCKED,
    KEEPER_MISSING, /* there is no vault yet */
    KEEPER_EXISTS,  /* there is one already */
    KEEPER_NOT_FOUND,
    KEEPER_BUSY,   /* too many at once */
    KEEPER_DENIED, /* the person said no at the provider */
    KEEPER_TIMED_OUT,
    KEEPER_RESULT_COUNT
};

enum keeper_frame_type {
    /* keeper → broker: u32 protocol version, u8 vault state (enum keeper_vault_state), str confinement, u8 overrides given, str degraded ("" = nothing) */
    KEEPER_HELLO = 1,
    /* broker → keeper, once and again at each change of the settings: str allow_private ("host:port" newline-separated), u32 auto-lock seconds (0 = off) */
    KEEPER_CONFIGURE = 2,
    /* broker → keeper: no fields. Answer KEEPER_STATE */
    KEEPER_GET_STATE = 3,
    /*
     * keeper → broker, also unasked at each change: u8 vault state, u8 overrides active, bytes public key of audit heads (32, or none while
     * locked), str degraded, blob JSON array of the bindings as vault_describe() makes it - labels and grants, never a value
     */
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
    /* keeper → broker: u8 wants KEEPER_EVENT_WRITTEN, str event type (SPEC §9), str payload JSON. The broker writes the receipt */
    KEEPER_EVENT = 8,
    /* broker → keeper, same id: u8 written and on disk (0: it is not, there must be no effect) */
    KEEPER_EVENT_WRITTEN = 9,
    /* broker → keeper: u64 seq, bytes hash (32). Answer KEEPER_SIGNED. Never signs another hash for a seq, nor a seq below the last */
    KEEPER_SIGN_HEAD = 10,
    /* keeper → broker: u8 result (enum keeper_result), bytes Ed25519 signature (64; none when it failed) of audit_head_message() */
    KEEPER_SIGNED = 11,
    /* broker → keeper: no fields. Locks the vault. Answer KEEPER_DONE, and a STATE before it */
    KEEPER_LOCK = 12,
    /* broker → keeper: str binding. Tells the provider, deletes value and grant. Answer KEEPER_DONE */
    KEEPER_REVOKE = 13,
    /* broker → keeper: str binding, str redirect URI: a new authorisation under the sealed grant. Answer KEEPER_DONE, detail = the URL to open */
    KEEPER_OAUTH_START = 14,
    /* broker → keeper: str query of GET /oauth2/callback, as it came. Answer KEEPER_DONE, detail = the binding's name ("" when unknown) */
    KEEPER_OAUTH_CALLBACK = 15,
    /* broker → keeper: str approval id, str seal, str ticket. Needs unlocked. Answer KEEPER_DONE; a ticket is good once, for exactly these two */
    KEEPER_SPEND_TICKET = 16,
    /* broker → keeper: no fields. Answer KEEPER_LISTED: blob JSON array as vault_list() makes it */
    KEEPER_LIST = 17,
    KEEPER_LISTED = 18,
    /* keeper → broker: u8 result, str message, str hint, str detail */
    KEEPER_DONE = 19,
    /*
     * broker → keeper: str path below https://api.github.com, one of those that release.h makes, str ETag ("" = none). GET, with the person's user/github
     * token when the vault is open and has one: a grant of its own that serves nothing else. Answer KEEPER_FORGED
     */
    KEEPER_FORGE = 20,
    /* keeper → broker: as FETCH_RESULT */
    KEEPER_FORGED = 21,

    /* keeper → owner, first of all: u32 protocol version, u8 vault state, str path of the vault file */
    OWNER_HELLO = 64,
    /* owner → keeper, each answered by OWNER_DONE: */
    OWNER_CREATE = 65, /* bytes passphrase, u8 dev */
    OWNER_UNLOCK = 66, /* bytes passphrase; right also when it is open already */
    OWNER_CHANGE = 67, /* bytes old passphrase, bytes new passphrase; opens it if need be */
    OWNER_TICKET =
        68,         /* needs unlocked. bytes passphrase, str approval id, str seal; detail = the ticket, void at the next lock */
    OWNER_PUT = 69, /* needs unlocked. str path, bytes value, str type, str environment, str labels JSON ("" = none) */
    OWNER_DELETE = 70,   /* needs unlocked. str path */
    OWNER_BIND_KEY = 71, /* needs unlocked. str spec JSON (below), bytes key */
    OWNER_REBIND = 72,   /* needs unlocked. str spec JSON: the sealed grant of an existing binding becomes this one */
    OWNER_DEFAULT = 73,  /* needs unlocked. str binding */
    /* needs unlocked. str spec JSON, bytes client secret (none = 0). Answer OWNER_URL, and OWNER_DONE when the flow has ended. Closing the connection ends it */
    OWNER_OAUTH_BEGIN = 74,
    /* needs unlocked. str binding, str redirect URI: as OAUTH_BEGIN under the sealed grant and with the client that it has */
    OWNER_OAUTH_AGAIN = 75,
    /* only while a flow of this connection is under way: str the URL that the browser was sent to. Wrong ones are told by OWNER_PASTED */
    OWNER_OAUTH_PASTE = 76,
    /* keeper → owner: str URL to open */
    OWNER_URL = 77,
    /* keeper → owner: u8 result, str message, str hint; the flow goes on */
    OWNER_PASTED = 78,
    /* keeper → owner: u8 result, str message, str hint, str detail */
    OWNER_DONE = 79,

    /* `aileron-keeper --fetch` → broker, first of all: u32 protocol version, str confinement, str degraded */
    FETCH_HELLO = 96,
    /* broker → fetch: str allow_private; before the first GET and at each change */
    FETCH_CONFIGURE = 97,
    /* broker → fetch: str https URL, str Accept, str ETag ("" = none), u64 most bytes, u32 deadline ms. Redirects are followed, also to other hosts, at most 5 */
    FETCH_GET = 98,
    /* fetch → broker, at most five times a second: u64 bytes so far, u64 bytes in all (0: unknown) */
    FETCH_PROGRESS = 99,
    /*
     * fetch → broker, once for each GET: u8 outcome (enum keeper_http_outcome), u32 HTTP status, str ETag, i64 ms until it may be asked again (Retry-After,
     * or the end of a rate limit; -1: not said), blob body, str message (our words)
     */
    FETCH_RESULT = 100,
    /* broker → fetch: nobody wants the GET of this id any more; its RESULT still comes */
    FETCH_CANCEL = 101,
};

/*
 * Spec JSON: {"binding","connector_fqn","origins":["https://host:port"…],"header"?,"format"?,"token_url"?,"revoke_url"?,
 * "authorize_url"?,"client_id"?,"scopes"?:[…],"redirect_uri"?,"default"?:bool,"labels"?:{…}}. The kind is the binding's first
 * part. Unknown keys are refused. What stands in it is what the person has consented to.
 * Detail of a binding that succeeded: {"binding","granted_scopes":[],"missing_scopes":[],"expires_at"?,"refresh_token_present":bool}.
 */

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
