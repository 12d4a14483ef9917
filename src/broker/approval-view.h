/*
 * What is said of an approval: the whole record to the owner, its end to who asked (SPEC §7). Pure. The `result` of a record
 * is the body with which its run answered: {"audit_id","output",…}, or {"error":{…}}.
 */
#ifndef BROKER_APPROVAL_VIEW_H
#define BROKER_APPROVAL_VIEW_H

#include "approval/approval.h"

struct view_facts {
    const char *base_url; /* "http://127.0.0.1:PORT" */
    bool needs_ticket;    /* counts only while it is pending */
};

/* Everything, as GET /v1/approvals/{id} answers it. New reference; NULL when out of memory. */
json_t *view_approval(const struct approval *approval, const struct view_facts *facts);
/* {"status":"pending_approval","approval_id","review_url"}; nothing of the card. New reference. */
json_t *view_pending(const struct approval *approval, const struct view_facts *facts);
/*
 * What a request for its end gets: the HTTP status, and the body in *ret_body (new reference). 202 and view_pending() as long
 * as there is no end; 410 when the end was forgotten, a while after it had been collected. -ENOMEM.
 */
int view_answer(const struct approval *approval, const struct view_facts *facts, json_t **ret_body);

#endif
