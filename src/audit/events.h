/* The table of events against one event about to be written. */
#ifndef AUDIT_EVENTS_H
#define AUDIT_EVENTS_H

#include "audit/audit.h"

/* -EINVAL with the missing key when the type is unknown or its required keys are not all there. */
int audit_event_check(const struct audit_event *event, struct err *err);

#endif
