/*
 * The one door to an action (DESIGN §2): whoever asks, by whatever protocol, comes through run_start(). It checks what can be
 * checked at once and says which way the call goes: at once, once, or past a person.
 */
#ifndef BROKER_RUN_H
#define BROKER_RUN_H

#include "action/failure.h"
#include "broker/api.h"
#include "broker/catalog.h"

/* Answers `reply` once, at once or later; api_action_run() of api.h. */
void run_start(struct broker *broker, const struct api_request *request, struct api_reply *reply);

/* A call that never began; it has a receipt all the same. */
struct run_refusal {
    const struct catalog_entry *entry; /* NULL: not known or not believed; then: */
    const char *action, *version;      /* version NULL: not known */
    const char *session_id;            /* "" = the owner */
    const char *approval_id;           /* NULL: none */
    bool by_agent;
    const char *actor_id;
};
/* Writes execution.failed, clears the failure, and returns the body of the answer (new reference) with its HTTP status. */
json_t *run_refusal_write(struct broker *broker, const struct run_refusal *refusal, struct failure *failure, int *ret_status);
/* The same as an answer. */
void run_refuse(struct broker *broker, const struct run_refusal *refusal, struct failure *failure, struct api_reply *reply);

#endif
