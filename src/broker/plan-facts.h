/* What a plan says of itself: comparisons with what is installed, and the JSON of GET /v1/plans/{id}. */
#ifndef BROKER_PLAN_FACTS_H
#define BROKER_PLAN_FACTS_H

#include "broker/plan.h"

/* When everything is acquired: names that collide, previews, changes against installed actions. -EINVAL, -EEXIST with words. */
int plan_facts_make(struct plan *plan, struct err *err);
/* The key's fingerprint of an authority that must be trusted, as it was shown. */
const char *plan_trust_fingerprint(const struct plan_trust *trust, char out[KEYRING_FINGERPRINT_MAX]);

#endif
