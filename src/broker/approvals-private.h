/* What the files of the approvals share. */
#ifndef BROKER_APPROVALS_PRIVATE_H
#define BROKER_APPROVALS_PRIVATE_H

#include "approval/journal.h"
#include "broker/approval-view.h"
#include "broker/approvals.h"
#include "broker/broker.h"
#include "broker/review.h"

#include <sys/queue.h>

#define APPROVALS_MAGIC   0x61707276u
#define APPROVALS_WAITERS 64

struct call_spec;
struct waiter;
struct ask;
struct turn;
struct decision;

struct approvals {
    uint32_t magic;
    struct broker *broker;
    struct queue *queue;
    struct journal *journal;
    struct loop_timer *expiry;                      /* the next pending one expires */
    struct loop_timer *look;                        /* something may be gone */
    struct loop_timer *tidy;                        /* arguments and results may be forgotten */
    struct loop_timer *unlocked;                    /* there is room for more of what waited for the vault */
    bool more_unlocked;                             /* ... and more of it */
    int64_t expiry_unix_ms;                         /* when `expiry` fires; 0: idle */
    bool drops;                                     /* the journal has lines to be flushed */
    char trouble[ERR_MESSAGE_MAX];                  /* of the journal; "" = none */
    LIST_HEAD(, waiter) waiters[APPROVALS_WAITERS]; /* by id */
    LIST_HEAD(, ask) asks;
    LIST_HEAD(, turn) turns;
    LIST_HEAD(, decision) decisions;
};

/* --- approvals.c: the record --- */
/* Writes the record as it is; the trouble is kept for status. */
int approvals_keep(struct approvals *approvals, struct approval *approval, struct err *err);
/* As approvals_keep(), for a change that has happened already: trouble is logged as well. Counts follow; pages are told. */
int approvals_changed(struct approvals *approvals, struct approval *approval);
/* Pages are told of something that a restart need not know. */
void approvals_tell_pages(struct approvals *approvals, const struct approval *approval);
/* It waits for a person now: pages and notify.command hear of it. */
void approvals_tell_people(struct approvals *approvals, const struct approval *approval);
/* approval.<what>; `decider`: a person did it, else the daemon; requested ones are the asker's. Not on disk yet. */
int approvals_receipt(struct approvals *approvals, const struct approval *approval, const char *type, const char *preview_hash,
    char ret_audit_id[ULID_ID_MAX], struct err *err);
struct view_facts approvals_facts(const struct approvals *approvals, const struct approval *approval);
bool approvals_needs_ticket(const struct approvals *approvals, const struct approval *approval);
/* It ended: whoever waits is answered, and it is collected when one of them took the answer. The record may be gone afterwards. */
void approvals_ended(struct approvals *approvals, struct approval *approval);
/* Nothing depends on it any more, or it was told to have failed: it is gone, and its line soon. */
void approvals_drop(struct approvals *approvals, struct approval *approval);
/* A pending one ends without a decision, with its receipt. The record may be gone afterwards. */
void approvals_cancel(struct approvals *approvals, struct approval *approval, const char *reason);
/* An asker took an end that was there already. The record may be gone afterwards. */
void approvals_collected(struct approvals *approvals, struct approval *approval);
/* Ends that are no run: the result of the record names the receipt. */
void approvals_note_receipt(struct approval *approval, const char *audit_id);
/* The next pending one expires then. */
void approvals_arm_expiry(struct approvals *approvals, int64_t expires_unix_ms);

/* --- approvals-wait.c: who waits for its end --- */
/*
 * Answers `reply` with the end of the record, or, when that takes longer than `wait_ms`, with its pending answer. `collects`: its
 * asker asks. wait_ms < 0: as long as it takes. The record may be gone afterwards.
 */
void approvals_wait(
    struct approvals *approvals, struct approval *approval, int64_t wait_ms, bool collects, struct api_reply *reply);
/* It asks (again): doors that can say so to their clients do. */
void approvals_tell_pending(struct approvals *approvals, const struct approval *approval);
/* Answers everybody who waits for it. True when an asker took the answer. */
bool approvals_answer(struct approvals *approvals, const struct approval *approval);
void approvals_wait_free_all(struct approvals *approvals);

/* --- approvals-ask.c --- */
void approvals_ask_free_all(struct approvals *approvals);
/* --- approvals-turn.c: an approved one is looked at again, and run --- */
/* `reply`: of the decision; answered when it runs, asks again, or waits for the vault. NULL allowed. */
void approvals_turn(struct approvals *approvals, struct approval *approval, struct api_reply *reply);
bool approvals_has_turn(const struct approvals *approvals, const char *id);
void approvals_turn_free_all(struct approvals *approvals);
/* Some of what is approved and waits for the vault goes on. */
void approvals_turn_waiting(void *userdata);
/* Begins the call of a record that is running by now. False: it has failed already, and is over. */
bool approvals_begin(struct approvals *approvals, struct approval *approval, const struct call_spec *spec);
/* --- api-approvals.c: decisions under way --- */
bool approvals_has_decision(const struct approvals *approvals, const char *id);
void approvals_decision_free_all(struct approvals *approvals);

#endif
