/*
 * One call of an action, from its final arguments to its receipt and end: an explicit state machine without a thread (DESIGN §2).
 * Every wait is a handle in the record; whatever state it is in, call_free() can end it. run.h is what decides that a call begins.
 */
#ifndef BROKER_CALL_H
#define BROKER_CALL_H

#include "action/failure.h"
#include "broker/broker.h"
#include "broker/envelope.h"

#include <sys/queue.h>

enum call_state {
    CALL_NEW,
    CALL_COMPILING, /* the connector's module is being compiled */
    CALL_SYNCING,   /* execution.started goes to disk */
    CALL_QUEUED,    /* no worker is free */
    CALL_RUNNING,   /* the connector runs */
    CALL_ASKING,    /* ... and waits for an answer from outside */
    CALL_PAUSING,   /* before a retry */
    CALL_ENDED,
};

enum call_purpose {
    CALL_RUN,
    CALL_PREVIEW, /* the preview's operation, before anybody consented: it may only read, is bounded in time and leaves no receipt of its own */
};

/* What is to be run, for whom. Everything is copied or referenced. */
struct call_spec {
    enum call_purpose purpose;
    struct catalog_entry *entry;
    const char *session_id; /* "" = the owner */
    enum audit_actor actor;
    const char *actor_id;
    const char *wanted_binding; /* NULL: the default one */
    const json_t *steps;        /* array: each step's final arguments; of a preview its only ones */
    const json_t *bindings;     /* array: the binding that each step must get, "" = none; NULL: whichever is chosen */
    const char *approval_id;    /* "" = nobody was asked */
};

/* How a call ended. Borrowed during the callback. */
struct call_end {
    int status;                    /* of HTTP */
    json_t *body;                  /* {"audit_id","output",…}, or a failure as SPEC §6 has it */
    const struct failure *failure; /* NULL: it succeeded */
};
typedef void call_end_fn(const struct call_end *end, void *userdata);

struct call {
    uint32_t magic;
    struct broker *broker;
    LIST_ENTRY(call) link;
    enum call_state state;
    call_end_fn *fn; /* NULL: nobody wants to know */
    void *userdata;

    /* Who asked for what. */
    enum call_purpose purpose;
    struct catalog_entry *entry;
    const struct action_step *steps; /* the action's, or `preview` */
    size_t steps_len;
    struct action_step preview;
    char session_id[ULID_ID_MAX]; /* "" = the owner */
    char *actor_id;
    enum audit_actor actor;
    char *wanted_binding;          /* NULL */
    json_t *arguments, *bindings;  /* of each step */
    char approval_id[ULID_ID_MAX]; /* "" = none */

    /* The step. */
    size_t step;
    struct connector *connector;
    char binding[BINDING_NAME_MAX]; /* "" = none */
    char execution_id[ULID_ID_MAX];
    json_t *payload; /* what its receipts have in common */
    struct buf input;
    int64_t step_started_ms, deadline_ms;
    unsigned retried;
    uint64_t peak_bytes;

    /* The attempt. */
    struct failure refusal; /* sticky: the call fails with it whatever the connector says */
    struct failure trouble; /* a request failed; counts unless the connector succeeds all the same */
    unsigned requests;
    bool unsafe_may_have_left;                          /* a request other than GET or HEAD */
    bool changed_something;                             /* ... or perhaps: in any attempt of any step */
    bool unsafe_unanswered;                             /* ... and nobody knows what became of it */
    bool asking_unsafe;                                 /* the request under way is such a one */
    char asked_method[8], asked_host[URL_HOST_MAX + 1]; /* the newest request */
    uint32_t last_status;
    int64_t last_retry_after_ms;

    /* Handles of what is waited for. */
    struct connector_wait *compile;
    struct sync_wait *sync;
    struct lease *lease;
    struct keeper_call *http;
    struct loop_timer *timer;

    /* What has been done. */
    json_t *done, *output;
    char audit_id[ULID_ID_MAX];
};

#define CALL_MAGIC 0x63616c6cu

/*
 * Begins a call; `fn` once, perhaps before this returns; never after call_forget(). *ret_call is set before `fn` can run, and lives
 * until then. -ENOMEM: nothing began, and there is no `fn`.
 */
int call_begin(struct broker *broker, const struct call_spec *spec, call_end_fn *fn, void *userdata, struct call **ret_call);
/* Nobody wants to know the end any more; a preview is given up, a run goes on. NULL allowed. */
void call_forget(struct call *call);
/* Ends every call with a failure, receipts included: the daemon stops. */
void call_stop_all(struct broker *broker);

/* The step that runs. */
static inline const struct action_step *call_step(const struct call *call)
{
    return &call->steps[call->step];
}

/* call-prepare.c: each false with the failure. */
bool call_find_connector(struct call *call, struct failure *failure);
bool call_choose_binding(struct call *call, struct failure *failure);
/* Whether a step could begin now, and with which binding ("" = none); nothing is begun. */
bool call_look(struct broker *broker, struct catalog_entry *entry, size_t step, const char *wanted,
    char ret_binding[BINDING_NAME_MAX], struct failure *failure);
/* capability_denied of an action that is disabled. */
void call_fail_disabled(const char *action, struct failure *failure);
/* binding_failed, reason vault_locked: nothing is lent now. */
void call_fail_locked(const struct keeper_link *keeper, struct failure *failure);
/* Makes call->input; -E2BIG when the arguments are too large. */
int call_make_input(struct call *call);

/* call-result.c */
bool call_step_says_idempotent(const struct call *call);
/* Success gives *ret_output and false; else true with the failure that counts. */
bool call_read_result(struct call *call, const struct frame_done *result, json_t **ret_output, struct failure *failure);
/* Adds what the connector could not know: the status it met, what Retry-After said, an unknown outcome. */
void call_complete_failure(struct call *call, struct failure *failure);
/* Milliseconds until the next attempt, or -1 when there is none. */
int64_t call_retry_delay_ms(const struct call *call, const struct failure *failure);

/* call-http.c: a request of the running connector, and the end of one that nobody waits for any more. */
void call_on_http(struct lease *lease, const char *envelope, size_t len, void *userdata);
void call_http_abandon(struct call *call);

/* call-receipt.c */
int call_receipt_started(struct call *call, struct err *err);
int call_receipt_succeeded(struct call *call, struct err *err);
/* Fills audit_id when it could be written. */
void call_receipt_failed(struct call *call, const struct failure *failure);
/* -errno when it could not be written. */
int call_receipt_denied(struct call *call);
void call_receipt_binding(struct call *call);
/* Makes call->payload for the current step. */
int call_payload_make(struct call *call);

#endif
