/*
 * The broker's side of the keeper: starts it, restarts it with a growing pause,
 * sends it outbound requests and remembers what it says of vault and bindings.
 * A keeper that dies, breaks the protocol or does not answer in time is
 * replaced; the requests it held fail with KEEPER_HTTP_NETWORK.
 */
#ifndef BROKER_KEEPER_LINK_H
#define BROKER_KEEPER_LINK_H

#include "base/cleanup.h"
#include "base/err.h"
#include "broker/fetch-link.h"
#include "broker/keeper-frames.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct loop;
struct keeper_link;
struct keeper_call;

struct keeper_config {
    struct loop *loop;
    int program_fd;            /* O_PATH; borrowed */
    const char *const *argv;   /* NULL-terminated; borrowed */
    int owner_fd;              /* keeper.sock, listening; borrowed: every keeper inherits it */
    const char *allow_private; /* "host:port" lines */
    uint32_t auto_lock_s;      /* 0: never */
    /* The keeper said something new: state, bindings, or that it is there (first time: `started`). */
    void (*changed)(void *userdata);
    /* Its very first start: 0, or failed with its own words in `err`. */
    void (*started)(int result, const struct err *err, void *userdata);
    /* It ended; `was_open` when it held credentials. */
    void (*lost)(bool was_open, void *userdata);
    /*
     * It wants a receipt; `event` is borrowed. When it wants to know, keeper_event_written() is called with `id` and the
     * generation of now, at once or later. -EPROTO: no such event can be.
     */
    int (*event)(uint32_t id, const struct keeper_event *event, void *userdata);
    void *userdata;
};

/* Starts the keeper; `started` comes from the loop. */
int keeper_link_new(const struct keeper_config *config, struct keeper_link **ret_link, struct err *err);
void keeper_link_free(struct keeper_link *link);
DEFINE_CLEANUP_PTR(struct keeper_link, keeper_link_free)

struct keeper_request {
    const char *connector, *binding; /* binding "": without credential */
    const char *method, *url, *headers;
    const char *body; /* NULL: none */
    size_t body_len;
    const char *hosts; /* the manifest's, newline-separated */
    uint32_t deadline_ms;
    bool read_only;
};

/* `answer` is borrowed during the callback. */
typedef void keeper_answer_fn(const struct keeper_answer *answer, void *userdata);
/* -ENOTCONN while no keeper is there, -ENOBUFS when it has too much to do. `fn` runs later, once. */
int keeper_http(struct keeper_link *link, const struct keeper_request *request, keeper_answer_fn *fn, void *userdata,
    struct keeper_call **ret_call);
/* Nobody wants the answer any more; NULL allowed. */
void keeper_http_cancel(struct keeper_call *call);

/* `reply` is borrowed during the callback; its `lost` says that the keeper ended before it answered. */
typedef void keeper_reply_fn(const struct keeper_reply *reply, void *userdata);
/*
 * Asks the keeper: `frame` holds type and fields and is used up in every case; the answer must come within `due_ms`, or the
 * keeper is replaced. Results as keeper_http(). ret_call NULL allowed.
 */
int keeper_ask(struct keeper_link *link, struct wire_frame *frame, int64_t due_ms, keeper_reply_fn *fn, void *userdata,
    struct keeper_call **ret_call);
/* The keeper finishes what it was asked for, but nobody hears of it; NULL allowed. */
void keeper_ask_cancel(struct keeper_call *call);

/* The requests of keeper/client.h. Each as keeper_ask(). */
int keeper_sign_head(struct keeper_link *link, uint64_t seq, const uint8_t hash[32], keeper_reply_fn *fn, void *userdata,
    struct keeper_call **ret_call); /* reply->signature */
int keeper_lock(struct keeper_link *link, keeper_reply_fn *fn, void *userdata, struct keeper_call **ret_call);
int keeper_revoke(
    struct keeper_link *link, const char *binding, keeper_reply_fn *fn, void *userdata, struct keeper_call **ret_call);
int keeper_oauth_start(struct keeper_link *link, const char *binding, const char *redirect_uri, keeper_reply_fn *fn,
    void *userdata, struct keeper_call **ret_call); /* reply->detail: the URL */
int keeper_oauth_callback(struct keeper_link *link, const char *query, keeper_reply_fn *fn, void *userdata,
    struct keeper_call **ret_call); /* reply->detail: the binding, or "" */
int keeper_spend_ticket(struct keeper_link *link, const char *approval_id, const char *seal, const char *ticket,
    keeper_reply_fn *fn, void *userdata, struct keeper_call **ret_call);
/* GET below https://api.github.com, with the person's token when the vault is open and has one; `etag` "" = none. */
int keeper_forge(
    struct keeper_link *link, const char *path, const char *etag, fetch_fn *fn, void *userdata, struct keeper_call **ret_call);
int keeper_list(struct keeper_link *link, keeper_reply_fn *fn, void *userdata, struct keeper_call **ret_call); /* reply->list */

/* Which keeper it is that speaks now; another number after each restart. */
unsigned keeper_generation(const struct keeper_link *link);
/* Answers an event; dropped when that keeper has gone. */
void keeper_event_written(struct keeper_link *link, unsigned generation, uint32_t id, bool written);

bool keeper_is_there(const struct keeper_link *link);
enum keeper_vault_state keeper_vault_state(const struct keeper_link *link);
/* Development overrides are given, and the open vault permits them. */
bool keeper_overrides_active(const struct keeper_link *link);
/* The public key of audit heads; false while locked. */
bool keeper_head_key(const struct keeper_link *link, uint8_t out[KEEPER_HEAD_KEY_BYTES]);
/* The keeper's bindings; an array, perhaps empty. Borrowed until the next change. */
const json_t *keeper_bindings(const struct keeper_link *link);
/* For status: what confines it, what is missing ("" = nothing), how often it was replaced. */
const char *keeper_confinement(const struct keeper_link *link);
const char *keeper_degraded(const struct keeper_link *link);
unsigned keeper_restarts(const struct keeper_link *link);
/* New settings. */
void keeper_configure(struct keeper_link *link, const char *allow_private, uint32_t auto_lock_s);

#endif
