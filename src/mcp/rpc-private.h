/* What the files behind rpc.h share: the peer, its calls in flight and how it answers. */
#ifndef MCP_RPC_PRIVATE_H
#define MCP_RPC_PRIVATE_H

#include "mcp/rpc.h"

#include <stdint.h>
#include <sys/queue.h>

#define RPC_PEER_MAGIC 0x4d435031u
#define RPC_CALLS_MAX  128

struct api_reply;
struct loop_timer;

/* calls.c */
struct rpc_call {
    uint32_t magic;
    struct rpc_peer *peer;
    json_t *id;
    json_t *progress_token; /* NULL: the client wants no progress */
    char *name;             /* of the action, or whatever the answer calls it */
    char *waiting;          /* what the client is told while a person has not decided; NULL */
    json_int_t progress;    /* the last that was said; grows */
    struct api_reply *reply;
    TAILQ_ENTRY(rpc_call) link;
};

struct rpc_peer {
    uint32_t magic;
    struct broker *broker;
    char *session_id;
    rpc_send_fn *send;
    void *userdata;
    bool initialized;
    unsigned calls_len;
    struct loop_timer *tick; /* of progress; NULL until a call wants it */
    bool ticking;
    TAILQ_HEAD(, rpc_call) calls;
};

/* Answers: nothing of the peer may be touched afterwards. */
void rpc_send_result(struct rpc_peer *peer, const json_t *id, json_t *result_stolen);
void rpc_send_error(struct rpc_peer *peer, const json_t *id, int code, const char *text);

typedef void rpc_method_fn(struct rpc_peer *peer, const json_t *id, const json_t *params);
rpc_method_fn rpc_tools_list, rpc_tools_call;
/* Abandons them all. */
void rpc_calls_free(struct rpc_peer *peer);

#endif
