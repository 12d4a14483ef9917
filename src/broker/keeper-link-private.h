/* What keeper-link.c (the supervisor) and keeper-ask.c (requests and their answers) share. */
#ifndef BROKER_KEEPER_LINK_PRIVATE_H
#define BROKER_KEEPER_LINK_PRIVATE_H

#include "broker/keeper-link.h"

#include <sys/queue.h>

#define LINK_MAGIC 0x6b70726cu

struct channel;
struct loop_child;
struct loop_timer;
struct loop_watch;

struct keeper_call {
    struct keeper_link *link;
    TAILQ_ENTRY(keeper_call) entry;
    uint32_t id;
    uint16_t type; /* of the request */
    int64_t due_ms;
    keeper_answer_fn *on_answer; /* KEEPER_HTTP; both NULL: nobody wants it any more */
    fetch_fn *on_fetch;          /* KEEPER_FORGE */
    keeper_reply_fn *on_reply;   /* anything else */
    void *userdata;
};

enum link_state { LINK_DOWN, LINK_STARTING, LINK_UP };

struct rate {
    int64_t second;
    unsigned count;
};

struct keeper_link {
    uint32_t magic;
    struct keeper_config config;
    enum link_state state;
    struct loop_child *child;
    struct channel *channel;
    struct loop_timer *timer;    /* hello, or the pause before the next start */
    struct loop_timer *watchdog; /* earliest due answer */
    int64_t watchdog_due_ms;     /* 0: not armed */
    int stderr_fd;
    struct loop_watch *stderr_watch;
    struct err words; /* the first two lines it printed: what happened, and a hint */
    bool ever_up, greeted;
    int64_t up_since_ms, backoff_ms;
    unsigned restarts, generation;
    struct rate states, events;
    TAILQ_HEAD(, keeper_call) calls;
    unsigned calls_len;
    uint32_t next_id;
    enum keeper_vault_state vault;
    bool overrides_active, has_head_key;
    uint8_t head_key[KEEPER_HEAD_KEY_BYTES];
    json_t *bindings;
    char *allow_private;
    uint32_t auto_lock_s;
    char confinement[256], degraded[512];
};

/* KEEPER_HTTP_RESULT, DONE, SIGNED or LISTED: to whom asked. -EPROTO when nobody did, or not for this. */
int link_on_answer(struct keeper_link *link, struct wire_frame *frame);
/* The keeper is gone: all that wait are told. */
void link_calls_fail(struct keeper_link *link, const char *message);
void link_calls_free(struct keeper_link *link);
/* When the first answer is due; INT64_MAX: none is. */
int64_t link_earliest_due(const struct keeper_link *link);
void link_arm_watchdog(struct keeper_link *link, int64_t due_ms);

#endif
