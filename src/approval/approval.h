/*
 * One approval (SPEC §8): what a person is asked about, what was decided and what became of it. A record without I/O and
 * clock; every change goes through one of the functions below, which say whether it may happen.
 *
 *     pending → approved → running → completed | failed | unknown
 *     pending → denied | expired | cancelled
 *     approved → pending: something changed before it ran, so it asks again
 *
 * `unknown`: the request may have left and no answer was seen. It is never run again; a person may note that it is resolved.
 */
#ifndef APPROVAL_APPROVAL_H
#define APPROVAL_APPROVAL_H

#include "base/cleanup.h"
#include "base/err.h"
#include "base/ulid.h"
#include "crypt/digest.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define APPROVAL_KEY_MAX     256
#define APPROVAL_REASON_MAX  1024
#define APPROVAL_ACTION_MAX  72
#define APPROVAL_BINDING_MAX 208

enum approval_state {
    APPROVAL_PENDING,
    APPROVAL_APPROVED,
    APPROVAL_RUNNING,
    APPROVAL_COMPLETED,
    APPROVAL_FAILED,
    APPROVAL_UNKNOWN,
    APPROVAL_DENIED,
    APPROVAL_EXPIRED,
    APPROVAL_CANCELLED,
    APPROVAL_STATES
};

/* Why a change may not happen. */
enum approval_refusal {
    APPROVAL_WRONG_STATE = 1, /* decided already, or not to be decided */
    APPROVAL_OTHER_SEAL = 2,  /* the decision was about something that has changed since */
};

struct buf;

struct approval {
    char id[ULID_ID_MAX]; /* "apr_…" */
    enum approval_state state;
    char session_id[ULID_ID_MAX]; /* "" = the owner */
    char seal[SHA256_TAGGED_MAX]; /* of what is shown and what would run */
    char same[SHA256_TAGGED_MAX]; /* of session, action and operation arguments: what "the same call" means */
    char key[APPROVAL_KEY_MAX];   /* idempotency key; "" = none */
    /* Ten thousand may wait: both are kept as compact text, and read when they are needed. */
    char *asked; /* the call as it came, to be rendered again; NULL once it was forgotten */
    char *card;  /* what a person sees and what is run, sealed; NULL once it was forgotten, or when nobody is asked */
    char action[APPROVAL_ACTION_MAX];   /* of what was asked; "" when that was forgotten */
    char binding[APPROVAL_BINDING_MAX]; /* of the card; "" = none, or several */
    json_t *result;                     /* body of the run's answer, with "output" or "error"; NULL */
    json_t *difference;                 /* what is other than when it was asked before; NULL */
    char reason[APPROVAL_REASON_MAX];   /* of a denial, or why it was cancelled; "" = none */
    int64_t requested_unix_ms, expires_unix_ms;
    int64_t decided_unix_ms, finished_unix_ms, collected_unix_ms, resolved_unix_ms; /* 0: not yet */
    char before[ULID_ID_MAX]; /* the last one that did the same and was collected; "" = none */
    int64_t before_unix_ms;
    bool repeatable; /* idempotent by its own word: holds no second call of the same back */
    bool unattended; /* nobody is asked: it runs from the beginning, and is here so that it happens once */
    bool confined;   /* asked by an agent that cannot decide itself */
    bool client_gone;
    size_t line_bytes; /* of its line in the journal; the journal's */
};

const char *approval_state_name(enum approval_state state);
/* False when it is none. */
bool approval_state_parse(const char *name, enum approval_state *ret_state);
/* Nothing happens to it any more. */
bool approval_is_over(const struct approval *approval);
/* It stands between a second call of the same and its effect: it is pending, will run, runs, or nobody has its end yet. */
bool approval_holds(const struct approval *approval);

/*
 * "sha256:…" over canonical JSON of {"action","action_hash","arguments","connector_hash","binding","preview"}. `preview`: array of
 * [label, text] pairs as they are shown, or NULL for "unavailable". 0 or -ENOMEM.
 */
struct approval_seal {
    const char *action, *action_hash, *connector_hash, *binding; /* binding "" = none */
    const json_t *arguments;                                     /* array: the final arguments of each step */
    const json_t *preview;
};
int approval_seal_make(const struct approval_seal *what, char out[SHA256_TAGGED_MAX]);
/* "sha256:…" of session, action and operation arguments. */
int approval_same_make(const char *session_id, const char *action, const json_t *arguments, char out[SHA256_TAGGED_MAX]);

/* Each 0 or an approval_refusal; nothing has changed then. */
/* `seal`: what the decider saw; NULL when it could not be another. A NULL or overlong reason is cut. */
int approval_decide(struct approval *approval, bool approved, const char *seal, const char *reason, int64_t now);
int approval_start(struct approval *approval, int64_t now);
/* A decision that could not be written down, and of which nothing has come: it waits again. */
int approval_undecide(struct approval *approval);
/* Approved, but what would run is not what was approved. Takes card and difference. Or -ENOMEM. */
int approval_ask_again(
    struct approval *approval, const char *seal, json_t *card, json_t *difference, int64_t expires, int64_t now);
/* `end`: completed, failed or unknown. Takes the result. */
int approval_finish(struct approval *approval, enum approval_state end, json_t *result, int64_t now);
/* Its end was handed to who asked. */
int approval_collect(struct approval *approval, int64_t now);
int approval_expire(struct approval *approval, int64_t now);
int approval_cancel(struct approval *approval, const char *reason, int64_t now);
/* A person has looked after an unknown outcome. The state stays. */
int approval_resolve(struct approval *approval, int64_t now);
/* The daemon starts: what was approved asks again, what ran has an unknown end. True when something changed. */
bool approval_recover(struct approval *approval, int64_t now);
/* Arguments and results leave `after_ms` after collection. True when something left. */
bool approval_forget(struct approval *approval, int64_t after_ms, int64_t now);

/* What was asked, the call as it came and its card; either may be NULL. Both are borrowed. -ENOMEM. */
int approval_set(struct approval *approval, const json_t *asked, const json_t *card);
/* Read again, new reference; NULL when it was forgotten, or out of memory. */
json_t *approval_asked(const struct approval *approval);
json_t *approval_card(const struct approval *approval);
/* About how many bytes of memory it takes. */
size_t approval_memory(const struct approval *approval);

/* One line of the journal, without its newline, and back. */
int approval_write(const struct approval *approval, struct buf *out);
/* The same as a value. New reference; NULL when out of memory. */
json_t *approval_to_json(const struct approval *approval);
int approval_from_json(const json_t *json, struct approval **ret_approval, struct err *err);
void approval_free(struct approval *approval);
DEFINE_CLEANUP_PTR(struct approval, approval_free)

#endif
